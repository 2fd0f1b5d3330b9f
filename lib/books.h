/*
 * The books of a sale in Redis, whole: every order, buyer and request as they
 * are at one moment, and what mends them (lua/mend.lua as functions).  For
 * people and their tools; no buyer ever waits for any of this.
 */
#ifndef FLASHSALE_BOOKS_H
#define FLASHSALE_BOOKS_H

#include <stdint.h>

#include "err.h"
#include "message.h"
#include "redis.h"
#include "sale.h"

/* --- Reading --- */

/* What is found is borrowed until the function returns. */
struct books_reader {
	void (*order)(const char *id, const struct order_view *, void *arg);
	void (*buyer)(const char *user_id, int64_t units, void *arg);
	/* request: "user key", as reserve.lua has it */
	void (*request)(const char *request, const char *order_id, void *arg);
};

/*
 * Read all of a sale in one transaction, which holds Redis up for a while
 * when there are many orders.  The reader is called for everything, then fn
 * for the sale itself.  ERR_NOT_FOUND: no such sale.
 */
void books_read(struct redis *, const char *sku, const struct books_reader *,
    sale_view_fn *, void *arg);

/* --- Mending --- */

/*
 * changed: orders or keys that were mended; 0 = there was nothing to mend any
 * more.  units: those that books_balance() put on sale, or took away.
 * ERR_NOT_FOUND: the sale is another one by now.  ERR_THROTTLED: it is being
 * rebuilt.
 */
typedef void books_mended_fn(
    enum err, int64_t changed, int64_t units, void *arg);

/* The sale that is mended. */
struct books_sale {
	const char *sku, *sale_id;
};

/* An order that Redis forgot; it holds its units from the next balance on. */
void books_adopt(struct redis *, struct books_sale, const struct order *,
    const char *state, books_mended_fn *, void *arg);
/* An order that only Redis has: into the outbox, with this key. */
void books_resend(struct redis *, struct books_sale, const char *order_id,
    const char *request_key, int64_t reserved_at, books_mended_fn *, void *arg);
/* The Idempotency-Key of an order, and one of no order. */
void books_remember(struct redis *, struct books_sale, const char *order_id,
    const char *user_id, const char *request_key, books_mended_fn *, void *arg);
void books_forget(struct redis *, struct books_sale, const char *order_id,
    const char *user_id, const char *request_key, books_mended_fn *, void *arg);

/*
 * Make remaining and the buyers' units what the orders come to.  may_return:
 * put missing units on sale; only when no order that Redis forgot can be on
 * its way.
 */
void books_balance(struct redis *, struct books_sale, bool may_return,
    books_mended_fn *, void *arg);

#endif
