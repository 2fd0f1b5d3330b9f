/*
 * A part of the system that may go away and come back (SQS, MySQL): one log
 * line when it goes, one when it is back, and how long to wait between tries.
 */
#ifndef WORKER_PART_H
#define WORKER_PART_H

#include <stdbool.h>

#include "err.h"

struct part {
	const char *name;
	bool down;
	double down_since; /* clock_seconds() */
	double backoff;	   /* seconds; 0 = none yet */
};

/* It failed. Returns the seconds to wait: growing, and never the same for
 * two processes, so that they do not come back all at once. */
double part_failed(struct part *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* It answers again; but until it does real work (part_works) the next
 * failure is taken for the same outage. */
void part_answers(struct part *);
void part_works(struct part *);

#endif
