/*
 * Group commit to SQS.  What is submitted while calls are under way shares
 * the next SendMessageBatch; no timer makes anybody wait.  A send that fails
 * loses nothing: the entry is in the outbox, and the keeper sends it again.
 * So a submission ends in one of two ways: SQS has it, or the outbox keeps
 * it.
 */
#ifndef FLASHSALE_SENDER_H
#define FLASHSALE_SENDER_H

#include <stdbool.h>
#include <stddef.h>

#include <ev.h>

#include "config.h"
#include "redis.h"
#include "sale.h"
#include "sqs.h"

struct sender;

/* queued: SQS has acknowledged the message; else it waits in the outbox. */
typedef void sender_fn(bool queued, void *arg);

/* Borrows all of its arguments for its life. */
struct sender *sender_new(
    struct ev_loop *, struct sqs *, struct redis *, const struct config *);
void sender_free(struct sender *);

/* The entry is copied. fn is called once, never before this returns, and not
 * later than SEND_DEADLINE_MS from now. It may be NULL. */
void sender_submit(
    struct sender *, const struct outbox_entry *, sender_fn *, void *arg);

/* Has SQS taken what was sent last? */
bool sender_is_well(const struct sender *);

/* SQS was seen to answer: orders need not find that out by themselves. */
void sender_trust(struct sender *);

/* Submissions and calls that have not ended. */
size_t sender_pending(const struct sender *);

#endif
