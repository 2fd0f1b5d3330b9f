/*
 * Rebuilding a sale in a Redis that may have lost data: lua/rebuild.lua as
 * functions.  Who rebuilds has a token; the sale sells nothing until the last
 * step, and a rebuilder that stops is followed by another when its lease is
 * over.
 */
#ifndef FLASHSALE_REBUILD_H
#define FLASHSALE_REBUILD_H

#include <stdint.h>

#include "message.h"
#include "redis.h"

enum rebuild_outcome {
	REBUILD_OK,
	REBUILD_FRESH,	 /* nothing to do */
	REBUILD_BUSY,	 /* another rebuilder is at it */
	REBUILD_LOST,	 /* another rebuilder took over */
	REBUILD_NOTHING, /* no such sale, neither in MySQL nor here */
	REBUILD_DAMAGED, /* MySQL has none, and the one here is unreadable */
	REBUILD_FAILED,	 /* Redis did not answer, or refused */
};

#define REBUILD_ORDERS_MAX 400 /* at once */

/* sale_id: with REBUILD_OK of the first step, the sale that is rebuilt: MySQL's
 * or a newer one of which only Redis knows; its orders are to be added. */
typedef void sale_rebuild_fn(
    enum rebuild_outcome, int64_t remaining, const char *sale_id, void *arg);

/*
 * known: the newest sale of the SKU in MySQL, or NULL when it has none; with a
 * limit of -1 when it has its orders only.  What is lost for good, and what
 * Redis refuses, is logged here.
 */
void sale_rebuild_begin(struct redis *, const char *sku, const char *token,
    const struct sale *known, sale_rebuild_fn *, void *arg);
void sale_rebuild_add(struct redis *, const char *sku, const char *token,
    const struct ledger_order *, size_t n, sale_rebuild_fn *, void *arg);
void sale_rebuild_finish(struct redis *, const char *sku, const char *token,
    sale_rebuild_fn *, void *arg);

#endif
