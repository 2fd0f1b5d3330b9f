/*
 * The books of a sale in Redis, whole: every order, buyer and request as they
 * are at one moment, and what mends them (lua/mend.lua as functions).  For
 * people and their tools; no buyer ever waits for any of this.
 */
#ifndef FLASHSALE_BOOKS_H
#define FLASHSALE_BOOKS_H

#include <stdbool.h>
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
 * has_changed: false = there was nothing to mend any more.
 * ERR_NOT_FOUND: the sale is another one by now.  ERR_RECOVERING: it is being
 * rebuilt.
 */
typedef void books_mended_fn(enum err, bool has_changed, void *arg);

/* The sale that is mended. */
struct books_sale {
	const char *sku, *sale_id;
};

/* An order that Redis forgot; what it holds is for the sums to follow. */
void books_adopt(struct redis *, struct books_sale, const struct order *,
    const char *state, books_mended_fn *, void *arg);
/* An order that only Redis has: into the outbox, with this key. */
void books_resend(struct redis *, struct books_sale, const char *order_id,
    const char *request_key, int64_t reserved_at, books_mended_fn *, void *arg);
/* The sale's definition: into the outbox, as Redis has it. */
void books_define(
    struct redis *, struct books_sale, books_mended_fn *, void *arg);
/* The Idempotency-Key of an order, and one of no order. */
void books_remember(struct redis *, struct books_sale, const char *order_id,
    const char *user_id, const char *request_key, books_mended_fn *, void *arg);
void books_forget(struct redis *, struct books_sale, const char *order_id,
    const char *user_id, const char *request_key, books_mended_fn *, void *arg);

/*
 * Add units to what a buyer holds, or, with "" for a buyer, to what is on
 * sale; negative takes away.  mended: how often sums were mended when this was
 * found to be needed (struct sale_view).  If that has grown, nothing is done;
 * if something is, it grows by one.
 */
void books_mend_sum(struct redis *, struct books_sale, int64_t mended,
    const char *user_id, int64_t units, int64_t expected, books_mended_fn *,
    void *arg);

#endif
