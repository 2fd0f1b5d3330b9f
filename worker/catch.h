/*
 * The messages a consumer has in its hands: copies of what a receive lent,
 * decoded, each with the end of its lease.  Knows neither where they come
 * from nor MySQL.
 */
#ifndef WORKER_CATCH_H
#define WORKER_CATCH_H

#include <stddef.h>

#include "ledger.h"
#include "message.h"

#include "source.h"

struct caught {
	char message_id[PARKED_ID_MAX + 1];
	char *handle;
	char *body; /* its first PARKED_BODY_MAX bytes */
	size_t body_len;
	double lease_ends;		    /* clock_seconds() */
	struct message message;		    /* unless there is a reason */
	char reason[PARKED_REASON_MAX + 1]; /* why it cannot be read, or "" */
};

struct catch;

/* Room for max messages. */
enum err catch_new(struct catch **, size_t max) MUST_CHECK;
void catch_free(struct catch *);

size_t catch_size(const struct catch *);
struct caught *catch_at(struct catch *, size_t i);

/* Without memory or room it is passed over: it comes back by itself. */
void catch_add(struct catch *, const struct delivery *, double lease_ends);

/* Let go of the message at i; the last one takes its place. */
void catch_drop(struct catch *, size_t i);

#endif
