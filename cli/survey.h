/*
 * The state of a sale as Redis, SQS and MySQL tell it, side by side.  The
 * three are read one after the other while orders move on: in a running sale
 * the figures are a moment apart.
 *
 * Units of a sale, and where they are:
 *
 *   total     = remaining + taken
 *   taken     = reserved (in the outbox) + queued + confirmed + rejected
 *
 * Queued is what is left of taken: sent to SQS, and no row in MySQL yet.  With
 * QUEUE=redis the outbox is the queue: nothing is reserved, all is queued.
 */
#ifndef FLASHSALE_SURVEY_H
#define FLASHSALE_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "ledger.h"
#include "sale.h"

#include "session.h"

/* The queue is one for all sales. */
struct queue_survey {
	bool has_queue; /* was it reached? */
	bool is_outbox; /* QUEUE=redis */
	int64_t visible, in_flight, delayed;
	bool has_dead_letters;
	int64_t dead_letters;
};

struct survey {
	struct sale_view view;
	int64_t taken;
	int64_t reserved; /* units in the outbox */
	bool is_estimate; /* the outbox is too long to read: the entries
			     behind OUTBOX_LOOK_MAX count as a unit each */
	bool has_book;	  /* was MySQL reached? */
	struct ledger_book book;
	int64_t queued; /* never below 0; only with has_book */
};

/* What cannot be reached is left out; stderr says why, once a run. */
void survey_queue(struct session *, struct queue_survey *);

/* Errors are those of Redis (ERR_NOT_FOUND: no such sale). A MySQL that
 * cannot be reached is left out. */
enum err survey_sale(
    struct session *, const char *sku, struct survey *) MUST_CHECK;

/* Is every unit that was taken on record in MySQL, and nothing under way? */
bool survey_is_drained(const struct queue_survey *, const struct survey *);

#endif
