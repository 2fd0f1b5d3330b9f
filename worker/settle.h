/* Tells Redis, for the buyers' status pages, what MySQL has decided. */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include <stddef.h>

#include "ledger.h"
#include "redis.h"

/*
 * Settle the orders among the entries that have a verdict.  Best effort: the
 * books are in MySQL, and Redis being down is no reason to wait.  *pending is
 * raised by the calls under way and lowered as they end.
 */
void settle_entries(
    struct redis *, const struct ledger_entry *, size_t n, size_t *pending);

#endif
