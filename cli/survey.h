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

#include "command.h"
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

/*
 * Look at a sale in Redis.  On failure why says more, and what to do:
 *   ERR_NOT_FOUND   nobody knows of such a sale
 *   ERR_RECOVERING  it is being rebuilt
 *   ERR_BAD_INPUT   Redis has lost it, or a part of its definition
 *   and others: Redis cannot be reached
 */
enum err survey_look(struct session *, const char *sku, struct sale_view *,
    char why[WHY_SIZE]) MUST_CHECK;

/* What survey_look() says of a sale that is being rebuilt. */
void survey_say_rebuilding(char why[WHY_SIZE]);

/* The same, and MySQL; what cannot be reached there is left out. */
enum err survey_sale(struct session *, const char *sku, struct survey *,
    char why[WHY_SIZE]) MUST_CHECK;

/* Once such an err is told on stderr, the exit code for it; EXIT_FINE for
 * ERR_OK. */
int survey_exit_code(
    const struct command *, const char *sku, enum err, const char *why);

/* Is every unit that was taken on record in MySQL, and nothing under way? */
bool survey_is_drained(const struct queue_survey *, const struct survey *);

#endif
