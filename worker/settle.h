/*
 * Tells Redis, for the buyers' status pages, what MySQL has decided, and only
 * then lets the messages go: whoever dies in between gets them again, so no
 * status and no unit of a dead order is forgotten.  What is booked does not
 * wait for a Redis that is away, or can write nothing, though: the books are in
 * MySQL, and the decisions are kept here and told when it is back.
 */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include <ev.h>

#include "err.h"
#include "ledger.h"
#include "outbox.h"
#include "redis.h"

struct settler;

/* These messages are dealt with: delete them.  Handles are borrowed. */
typedef void settler_told_fn(const char *const *handles, size_t n, void *arg);

/* Borrows the connection. */
enum err settler_new(struct settler **, struct ev_loop *, struct redis *,
    settler_told_fn *, void *arg) MUST_CHECK;
/* What is not told by now is forgotten. NULL is fine. */
void settler_free(struct settler *);

/* Is there anything to tell of it? */
bool settler_wants(const struct ledger_entry *);

/* Tell of those among the entries that it wants; entry i came with message
 * handle i. */
void settler_add(struct settler *, const struct ledger_entry *,
    const char *const *handles, size_t n);

/*
 * The same of messages from the outbox: all that have a verdict are taken out
 * by the script that tells it.  receipts[i] is that of entry i; told() is not
 * called.
 */
void settler_take_out(struct settler *, const struct ledger_entry *,
    const struct outbox_receipt *receipts, size_t n);

/* Calls to Redis under way. */
size_t settler_in_flight(const struct settler *);

#endif
