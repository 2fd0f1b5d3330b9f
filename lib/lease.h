/*
 * A lease on a sale, among the keepers of all machines: fs:{sku}:keeper holds
 * the token of who has it, and runs out when he dies.  It saves work and
 * order; correctness does not hang on it, for whoever was asleep while his
 * ran out only sends messages a second time.
 */
#ifndef FLASHSALE_LEASE_H
#define FLASHSALE_LEASE_H

#include <stdbool.h>

#include "err.h"
#include "redis.h"

typedef void lease_fn(enum err, bool is_ours, void *arg);

/* Take it, or prolong it, for so many ms from now on; 0 lets it go. */
void lease_hold(struct redis *, const char *sku, const char *token, unsigned ms,
    lease_fn *, void *arg);

#endif
