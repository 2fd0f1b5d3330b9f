/*
 * A sale in Redis: the scripts of lua/ as functions, but for those of
 * reservations.h, rebuild.h, books.h, outbox.h, gate.h and lease.h.  Nobody
 * outside of lib/ touches the keys.  All keys of a SKU share the hash tag
 * {sku}, so every script runs on one node of a Redis Cluster:
 *
 *   fs:sales                  set     the SKUs that have a sale
 *   fs:epoch                  string  the run id of the Redis that is known
 *                                     to have all sales
 *   fs:{sku}:sale             hash    the definition, remaining, state
 *   fs:{sku}:buyers           hash    user -> units held
 *   fs:{sku}:requests         hash    user + idempotency key -> order id
 *   fs:{sku}:orders           hash    order id -> "state quantity user"
 *   fs:{sku}:orders:previous  hash    the same of the sale before, for a day
 *   fs:{sku}:outbox           stream  messages SQS has not acknowledged;
 *                                     with QUEUE=redis the queue itself, see
 *                                     outbox.h
 *   fs:{sku}:keeper           string  who sends them, while he does: lease.h
 *   fs:{sku}:gates            hash    web servers that refuse by themselves,
 *                                     see gate.h
 */
#ifndef FLASHSALE_SALE_H
#define FLASHSALE_SALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "message.h"
#include "redis.h"

#define ENTRY_ID_SIZE 44 /* a stream entry's id, "ms-seq", and NUL */

/* --- The outbox --- */

struct outbox_entry {
	char id[ENTRY_ID_SIZE];
	bool is_damaged; /* there is no message in it */
	struct message message;
};

typedef void sale_done_fn(enum err, void *arg);

/* An entry {id, {field, value, ...}} as Redis tells it. */
void sale_read_entry(
    const struct redis_value *, const char *sku, struct outbox_entry *);

/*
 * SQS has these messages of one SKU (at most 500): their orders become "queued"
 * (unless they are further already) and the entries leave the outbox. fn may be
 * NULL.
 */
void sale_mark_queued(struct redis *, const char *sku,
    const struct outbox_entry *const *, size_t n, sale_done_fn *, void *arg);

#define OUTBOX_PAGE 100 /* entries; fewer: there are no more behind them */

/* A page of the outbox: oldest entries first, from the one behind the id
 * after; "" = from the first. */
typedef void sale_outbox_fn(
    enum err, const struct outbox_entry *, size_t n, void *arg);
void sale_read_outbox(struct redis *, const char *sku, const char *after,
    sale_outbox_fn *, void *arg);

/* --- After MySQL --- */

struct settlement {
	char order_id[UUID_TEXT_SIZE]; /* "": it is no order */
	const char *verdict;	       /* "confirmed", "rejected" or "dead" */
	char entry_id[ENTRY_ID_SIZE];  /* to be taken out, or "" */
};

/*
 * Tell the buyers' status page what MySQL decided (orders of one SKU, at most
 * 500), as often as need be, and take out of the outbox what came from there.
 * Dead is what MySQL will never take: rejected, and its units are on sale
 * again.  Unknown orders are passed over.  ERR_REFUSED would be the answer the
 * next time as well.  fn may be NULL.
 */
void sale_settle(struct redis *, const char *sku, const struct settlement *,
    size_t n, sale_done_fn *, void *arg);

/* --- Looking --- */

struct sale_view {
	struct sale sale;
	int64_t remaining;
	int64_t confirmed; /* units that MySQL has */
	bool recovering;   /* this Redis may have lost orders of it */
	int64_t outbox;	   /* entries waiting */
	/* A field of the definition that cannot be read, or NULL: what is read
	 * of it above is nothing to rely on. */
	const char *damaged;
	/* Only books_read() tells: sums, how often; and whether the sale was
	 * rebuilt from its orders, without a definition. */
	int64_t mended;
	bool is_undefined;
};

/* What a buyer sees at that moment: "on_sale", "sold_out", "not_open",
 * "closed", "paused" or "recovering". */
const char *sale_status(const struct sale_view *, int64_t now_ms);

/* ERR_NOT_FOUND: no such sale.  ERR_RECOVERING: none here, but this Redis may
 * have lost it.  ERR_REFUSED: damaged says what of it cannot be read; or NULL,
 * and Redis refused, for it is no hash. */
typedef void sale_view_fn(enum err, const struct sale_view *, void *arg);
void sale_look(struct redis *, const char *sku, sale_view_fn *, void *arg);

/* The SKUs that have a sale, sorted; each is a valid one. */
typedef void sale_list_fn(
    enum err, const char *const *skus, size_t n, void *arg);
void sale_list(struct redis *, sale_list_fn *, void *arg);

struct order_view {
	char state[16]; /* reserved, queued, confirmed, rejected... */
	int64_t quantity;
	char user_id[USER_MAX + 1];
};
/* Errors as of sale_look(). */
typedef void sale_order_fn(enum err, const struct order_view *, void *arg);
void sale_find_order(struct redis *, const char *sku, const char *order_id,
    sale_order_fn *, void *arg);
/* A value of the orders hash.  False: it is damaged. */
bool sale_read_order(const struct redis_value *, struct order_view *);

/* --- For lib/books.c, who reads a sale whole --- */

/* Ask for a sale's hash, and read the answer but for the outbox.
 * ERR_NOT_FOUND: there is no such sale.  ERR_REFUSED: it is damaged, as the
 * view tells; its sums, which can be mended, may be anything. */
void sale_ask_view(struct redis *, const char *sku, redis_fn *, void *arg);
enum err sale_read_view(const struct redis_value *, const char *run_id,
    struct sale_view *) MUST_CHECK;

/* --- Operating --- */

/* A new definition; what is not given is kept from the sale before, or takes
 * its default (name = SKU, limit 1, opens now, never closes, price 0 USD). */
struct sale_change {
	const char *sku;
	int64_t stock;	      /* 0..UNITS_MAX */
	const char *name;     /* NULL = not given, and so on */
	const char *currency; /* NULL = not given */
	int64_t limit, opens_at, closes_at, price_minor; /* -1 = not given */
};

/*
 * Start a new sale (new sale id) of the SKU; its definition goes to the
 * outbox as a message.  The orders of the sale before go their way to MySQL
 * all the same.  only_if_new: ERR_REFUSED when the SKU has a sale already.
 * ERR_BAD_INPUT: what is not given cannot be kept, for Redis has lost it.
 * entry is the outbox entry, for who wants to send it at once.
 */
typedef void sale_opened_fn(
    enum err, const struct sale_view *, const struct outbox_entry *, void *arg);
void sale_open(struct redis *, const struct sale_change *, bool only_if_new,
    sale_opened_fn *, void *arg);

/*
 * Put a SKU on the list of those that have a sale.  The list lives in another
 * slot of a cluster, so no script can add to it.  Before the sale is there: a
 * SKU without a sale is harmless, the other way it is not.
 */
void sale_list_sku(struct redis *, const char *sku);

/* ERR_NOT_FOUND: no such sale.  ERR_BAD_INPUT: its definition is lost, limit
 * and times with it: only a reset that gives all of them helps. */
void sale_set_state(struct redis *, const char *sku, enum sale_state,
    sale_done_fn *, void *arg);

/* --- Recovering --- */

/*
 * Epochs: a sale remembers the run id of the Redis that it was opened on or
 * rebuilt for, fs:epoch the run id of the one that has all sales.  On another
 * Redis (after a restart, on a replica that took over) nothing is sold until
 * somebody has rebuilt it from MySQL and what survived.
 */
typedef void sale_epoch_fn(enum err, bool complete, void *arg);

/* Is everything rebuilt for the Redis that we are connected to? */
void sale_check_epoch(struct redis *, sale_epoch_fn *, void *arg);
/*
 * Something was not found: a sale, or, unless NULL, one of its orders.  Does it
 * not exist?  complete: everything was here, and then it was still absent.  In
 * that order, or a sale that is rebuilt between two questions would seem never
 * to have been.
 */
void sale_check_absence(struct redis *, const char *sku, const char *order_id,
    sale_epoch_fn *, void *arg);
/* Everything is. */
void sale_set_epoch(struct redis *, sale_done_fn *, void *arg);

#endif
