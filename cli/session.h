/*
 * A command's connections to Redis, SQS and MySQL, and its questions to
 * them.  The libraries answer by callback; a command asks and waits, which
 * is what these functions are: each runs the event loop until its answer is
 * there.
 */
#ifndef FLASHSALE_SESSION_H
#define FLASHSALE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "books.h"
#include "config.h"
#include "err.h"
#include "ledger.h"
#include "sale.h"
#include "sqs.h"

struct session {
	const struct config *config;
	struct ev_loop *loop;
	struct redis *redis;
	/* NULL in a session with Redis only, where no URL is set, and with
	 * QUEUE=redis. */
	struct sqs *queue, *dead_letters;
	struct db *db;
	bool waiting; /* for an answer */
};

/* Connect to Redis; dies (69) when it cannot be reached. */
void session_open(struct session *, const struct config *);
/* The same, ready to ask SQS and MySQL too; dies (78) when their settings
 * can never work.  Whether they can be reached shows when they are asked. */
void session_open_all(struct session *, const struct config *);
void session_close(struct session *);

/* The exit code for a Redis that failed in the middle, once logged. */
int session_failed(enum err, const char *doing);

/* --- Redis --- */

enum err session_look(
    struct session *, const char *sku, struct sale_view *) MUST_CHECK;

/* May this Redis have lost sales that a worker has not rebuilt yet? */
bool session_is_recovering(struct session *);

struct sku_list {
	char (*skus)[SKU_MAX + 1]; /* sorted; free() it */
	size_t n;
};
enum err session_list(struct session *, struct sku_list *) MUST_CHECK;
/* The one SKU that was named, or with NULL all of them. */
enum err session_choose(
    struct session *, const char *sku, struct sku_list *) MUST_CHECK;

enum err session_start_sale(struct session *, const struct sale_change *,
    bool only_if_new, struct sale_view *) MUST_CHECK;
enum err session_set_state(
    struct session *, const char *sku, enum sale_state) MUST_CHECK;

#define OUTBOX_LOOK_MAX 100000 /* entries: about a second's reading */

/* The units of this sale that wait in the outbox, in its OUTBOX_LOOK_MAX
 * oldest entries; *entries of them were read. */
enum err session_read_outbox(struct session *, const char *sku,
    const char *sale_id, int64_t *units, size_t *entries) MUST_CHECK;

/* Every message in the outbox, of whatever sale, from the oldest on. */
typedef void session_message_fn(const struct message *, void *arg);
enum err session_list_outbox(struct session *, const char *sku,
    session_message_fn *, void *arg) MUST_CHECK;

/* What Redis says of an order now; "" = nothing. */
enum err session_find_order(struct session *, const char *sku,
    const char *order_id, char state[16]) MUST_CHECK;

/* All of a sale, see lib/books.h. */
enum err session_read_books(struct session *, const char *sku,
    const struct books_reader *, void *arg, struct sale_view *) MUST_CHECK;

/* Mend: what lib/books.h and sale_settle() do, and wait for it. */
enum err session_adopt(struct session *, struct books_sale,
    const struct order *, const char *state) MUST_CHECK;
enum err session_resend(
    struct session *, struct books_sale, const struct order *) MUST_CHECK;
enum err session_define(struct session *, struct books_sale) MUST_CHECK;
enum err session_mend_request(struct session *, struct books_sale, bool is_lost,
    const struct order *) MUST_CHECK;
enum err session_mend_sum(struct session *, struct books_sale, int64_t mended,
    const char *user_id, int64_t units, int64_t expected,
    bool *has_changed) MUST_CHECK;
enum err session_settle(struct session *, const char *sku, const char *order_id,
    const char *verdict) MUST_CHECK;

/* --- Queue and MySQL: on failure why says more --- */

#define WHY_SIZE 512

/* SQS, or with QUEUE=redis the outboxes of all SKUs: in flight is what a
 * worker has taken. */
enum err session_read_queue(
    struct session *, struct sqs_attributes *, char why[WHY_SIZE]) MUST_CHECK;
/* Only where there are dead letters: see struct session. */
enum err session_read_dead_letters(
    struct session *, struct sqs_attributes *, char why[WHY_SIZE]) MUST_CHECK;
/* A sale that MySQL has not heard of yet is all zeros, and ERR_OK. */
enum err session_read_book(struct session *, const char *sale_id,
    struct ledger_book *, char why[WHY_SIZE]) MUST_CHECK;

/* Let time pass; false when SIGINT has come meanwhile. */
bool session_sleep(struct session *, double seconds);

#endif
