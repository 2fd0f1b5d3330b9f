/*
 * Asking and waiting.  No buyer waits for the recoverer, so it is written as a
 * sequence: ask, wait for the answer, go on.  One question at a time.
 */
#ifndef WORKER_AWAIT_H
#define WORKER_AWAIT_H

#include <stdbool.h>

#include <ev.h>

#include "err.h"
#include "sqs.h"

struct await {
	struct ev_loop *loop;
	const bool *leaving; /* ends the waiting */
	bool answered;
	enum err err;
	/* the last answer of a queue */
	struct sqs_result sqs;
	struct sqs_attributes depth;
};

/* For the callback: this is the answer. */
void await_answered(struct await *, enum err);

/* False: it failed, or we are to leave. */
bool await_answer(struct await *);

/* Is nothing in that queue?  A queue that there is not is NULL, and empty.
 * False as well: nobody knows. */
bool await_empty_queue(struct await *, struct sqs *);

#endif
