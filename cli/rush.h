/*
 * The crowd of an attack: many HTTP keep-alive connections on one event
 * loop, each sending its next purchase as soon as the one before is answered
 * (a closed loop).  All connections are opened first, then the doors open
 * for all of them at once, as in a sale.
 *
 * With a rate the loop is open: purchases are due at even intervals, however
 * fast the answers come, and whichever connection is free takes the next one.
 * A latency begins when its request was due, so a server that stalls pays for
 * all who would have come meanwhile, and not only for those who could.
 *
 * It is written for being light, since it usually shares the machine with
 * the engine: an ordinary HTTP library costs several times what the engine
 * itself spends on a refusal.
 */
#ifndef FLASHSALE_RUSH_H
#define FLASHSALE_RUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "tally.h"
#include "target.h"

struct rush_plan {
	const struct target *target;
	const char *sku;
	uint32_t requests;    /* 1..TALLY_REQUESTS_MAX */
	uint32_t connections; /* 1..requests */
	uint32_t users;	      /* different ones; 1..requests */
	uint32_t rate;	      /* requests a second; 0 = a closed loop */
	unsigned quantity;
	unsigned timeout_s; /* for one answer, and for connecting */
	bool keys;	    /* send an Idempotency-Key */
};

struct rush_result {
	uint32_t finished; /* requests that were answered or failed */
	bool interrupted;  /* by SIGINT or SIGTERM */
	double seconds;	   /* from the doors' opening to the last answer */
};

/* ERR_NOMEM: the machine has not got the memory. */
enum err rush_run(
    const struct rush_plan *, struct tally *, struct rush_result *) MUST_CHECK;

#endif
