/*
 * The books: what is kept in MySQL, and the one transaction that writes it.
 * Knows the tables of sql/; knows neither SQS nor Redis.
 *
 * The transaction locks the sales concerned, so transactions of one sale
 * pass one after the other, and an order that has its row already is seen
 * and not counted twice.  However often and in whatever order messages
 * arrive, the books come out the same.
 */
#ifndef FLASHSALE_LEDGER_H
#define FLASHSALE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db.h"
#include "err.h"
#include "message.h"

#define PARKED_ID_MAX 100     /* bytes of a message id that are kept */
#define PARKED_REASON_MAX 255 /* bytes of a reason that are kept */
#define PARKED_BODY_MAX 65535 /* bytes of a body that are kept */

enum ledger_verdict {
	LEDGER_NONE, /* nothing is written: hand the message back */
	LEDGER_CONFIRMED,
	LEDGER_REJECTED, /* the sale has no units left for it */
	LEDGER_NOTED,	 /* a sale's definition is on record */
	LEDGER_PARKED,	 /* kept aside with its reason */
};

/* A message to be written, and what became of it. */
struct ledger_entry {
	const struct message *message; /* NULL: park it */
	const char *message_id;	       /* for parking */
	const char *body; /* its first PARKED_BODY_MAX bytes are enough */
	size_t body_len;  /* of all of it */
	char reason[PARKED_REASON_MAX + 1]; /* why it is parked */

	enum ledger_verdict verdict;
	bool duplicate; /* it had its row already, with this verdict */
	/* What MySQL would not have, if it was parked for that. */
	const struct message *dead;
};

/*
 * Write n entries.  Whatever the data's fault turns out to be is parked by
 * itself and does not hold up the others.  ERR_OK: every entry has its
 * verdict.  Otherwise the store is out of order and db_error() says how;
 * entries that have a verdict nevertheless are committed, the others are not
 * or (ERR_TIMEOUT) perhaps: writing them again is harmless.
 */
enum err ledger_persist(
    struct db *, struct ledger_entry *, size_t n) MUST_CHECK;

/* Would ledger_persist work?  Connects, writes to every table, undoes it. */
enum err ledger_probe(struct db *) MUST_CHECK;

/* The books of one sale. */
struct ledger_book {
	char sale_id[UUID_TEXT_SIZE]; /* "": there are orders, but no row of it
				       */
	char newest[UUID_TEXT_SIZE];  /* sale of that SKU; it may be this one */
	char sku[SKU_MAX + 1];
	char name[NAME_MAX_BYTES + 1];
	int64_t revision;
	bool defined; /* what follows is more than its orders say of it */
	int64_t limit;
	enum sale_state state;
	int64_t total; /* units */
	int64_t sold; /* units; equals confirmed_units or the books are wrong */
	int64_t confirmed_orders, confirmed_units;
	int64_t rejected_orders, rejected_units;
};

/* ERR_NOT_FOUND: neither the sale nor an order of it has arrived yet. */
enum err ledger_read_book(
    struct db *, const char *sale_id, struct ledger_book *) MUST_CHECK;

/* The newest sale of every SKU.  One whose newest revision is known from
 * orders only comes paused; with a limit of -1 if no definition ever came. */
typedef void ledger_sale_fn(const struct sale *, void *arg);
enum err ledger_list_sales(struct db *, ledger_sale_fn *, void *arg) MUST_CHECK;

/* The orders of a sale by id, after the one given ("" = from the first). */
typedef void ledger_order_fn(const struct ledger_order *, void *arg);
enum err ledger_list_orders(struct db *, const char *sale_id, const char *after,
    unsigned max, ledger_order_fn *, void *arg) MUST_CHECK;

/* ERR_NOT_FOUND: there is no row of it. */
enum err ledger_find_order(
    struct db *, const char *id, struct ledger_order *) MUST_CHECK;

/* The orders among the parked messages: MySQL would not have them. */
typedef void ledger_parked_fn(const struct order *, void *arg);
enum err ledger_list_parked(
    struct db *, ledger_parked_fn *, void *arg) MUST_CHECK;

/* Read all that follows as it is now, until ledger_look_away(). */
enum err ledger_look(struct db *) MUST_CHECK;
void ledger_look_away(struct db *);

/* Make a sale's sold what its confirmed orders come to, while no order can
 * arrive; *changed: it was something else. */
enum err ledger_recount(
    struct db *, const char *sale_id, bool *changed) MUST_CHECK;

#endif
