/*
 * What SQS is told of messages that were received: delete them, or give them
 * to somebody else later.  Sent in batches and tried a few times; what fails
 * even so is left to redelivery, which does no harm.
 */
#ifndef WORKER_ANSWERS_H
#define WORKER_ANSWERS_H

#include <stddef.h>

#include <ev.h>

#include "err.h"
#include "sqs.h"

struct answers;

/* Borrows sqs, which is to outlive it. */
enum err answers_new(
    struct answers **, struct ev_loop *, struct sqs *) MUST_CHECK;
/* What is still under way is forgotten. NULL is fine. */
void answers_free(struct answers *);

/* The receipt handles are copied. */
void answers_delete(struct answers *, const char *const *handles, size_t n);
void answers_hand_back(struct answers *, const char *const *handles, size_t n,
    unsigned after_seconds);

/* Messages whose answer is under way. */
size_t answers_pending(const struct answers *);

#endif
