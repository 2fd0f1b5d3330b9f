/*
 * Tells Redis, for the buyers' status pages, what MySQL has decided.  Nobody
 * waits for it: the books are in MySQL.  While Redis is away the decisions
 * are kept here and told when it is back.
 */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include <stddef.h>

#include <ev.h>

#include "err.h"
#include "ledger.h"
#include "redis.h"

struct settler;

/* Borrows the connection. */
enum err settler_new(
    struct settler **, struct ev_loop *, struct redis *) MUST_CHECK;
/* What is not told by now is forgotten. NULL is fine. */
void settler_free(struct settler *);

/* Tell of the orders among the entries that have a verdict. */
void settler_add(struct settler *, const struct ledger_entry *, size_t n);

/* Calls to Redis under way. */
size_t settler_in_flight(const struct settler *);

#endif
