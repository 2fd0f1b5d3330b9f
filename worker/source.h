/*
 * Where a consumer's messages come from, and what becomes of them there: SQS
 * (source_sqs.c) or the outbox in Redis (source_redis.c).  A consumer knows
 * no more of either than this.
 *
 * A message that was received is the consumer's for VISIBILITY_SECONDS.  If it
 * is not answered in that time it comes again, to whoever asks.
 */
#ifndef WORKER_SOURCE_H
#define WORKER_SOURCE_H

#include <stddef.h>

#include <ev.h>

#include "config.h"
#include "err.h"
#include "ledger.h"
#include "redis.h"

/* A message as it is received; borrowed until the callback returns. */
struct delivery {
	const char *id;	    /* to park it under */
	const char *handle; /* to answer it by */
	const char *body;   /* PARKED_BODY_MAX bytes of it at least */
	size_t body_len;
	const char *damage; /* why body is no message, or NULL */
};

/* Unless ERR_OK why says more, for the log. */
typedef void source_fn(
    enum err, const char *why, const struct delivery *, size_t n, void *arg);

struct source {
	const char *name;  /* for the log: "SQS" */
	unsigned batch;	   /* messages that a receive brings at most */
	unsigned receives; /* that are worth having under way at once */

	/* Waits POLL_WAIT_SECONDS for a message; answers once, never before
	 * it returns. */
	void (*receive)(struct source *, source_fn *, void *arg);
	/* What has a verdict is told to its buyer and done with; what has
	 * none goes back and comes again after so many seconds. */
	void (*answer)(struct source *, const struct ledger_entry *,
	    const char *const *handles, size_t n, unsigned after_seconds);
	/* Answers under way. */
	size_t (*pending)(const struct source *);
	/* Receives under way need not wait any longer. */
	void (*leave)(struct source *);
	void (*free)(struct source *);
};

/*
 * Both borrow the config and the connection, which is to be closed before
 * they are freed: it still has answers for them.  queue_url: SQS_QUEUE_URL or
 * SQS_DLQ_URL.  On failure the reason is in why.
 */
enum err source_sqs_new(struct source **, struct ev_loop *,
    const struct config *, const char *queue_url, struct redis *, char *why,
    size_t why_size) MUST_CHECK;
enum err source_redis_new(struct source **, struct ev_loop *,
    const struct config *, struct redis *) MUST_CHECK;

#endif
