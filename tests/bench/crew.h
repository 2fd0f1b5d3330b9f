/*
 * What the bare loops have in common: processes that do the same for some
 * seconds, and count.
 */
#ifndef FLASHSALE_BENCH_CREW_H
#define FLASHSALE_BENCH_CREW_H

#include <stdbool.h>

#include <ev.h>

#include "config.h"
#include "sqs.h"

#define CREW_MAX 256 /* processes */

/* Work in the given process (0, 1, ...) until clock_seconds() is ends, or
 * there is nothing left to do, and count it in *done. */
typedef void crew_fn(unsigned process, double ends, long *done, void *arg);

/* What so many processes do in a second.  Exits when one of them fails. */
double crew_rate(unsigned processes, unsigned seconds, crew_fn *, void *arg);

/* A process that keeps some calls to a queue in flight. */
struct crew_lane {
	const struct crew_plan *plan;
	struct ev_loop *loop;
	struct sqs *sqs;
	double ends; /* clock_seconds() */
	unsigned in_flight;
	long *done; /* in shared memory */
};

struct crew_plan {
	const struct config *config;
	unsigned calls;			  /* in flight */
	unsigned messages;		  /* in each */
	void (*call)(struct crew_lane *); /* starts one */
};

/* A crew_fn for such processes; arg is their plan. */
void crew_keep_calling(unsigned process, double ends, long *done, void *arg);

/* A call is over: the next one, if there is more to do and time for it. */
void crew_called(struct crew_lane *, bool more);

/* A number of the command line, from 1 to max. */
unsigned crew_number(const char *text, unsigned max);

#endif
