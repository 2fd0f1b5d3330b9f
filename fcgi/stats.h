/* What the responders count: names for the ids of lib/metrics.h. */
#ifndef FLASHSALE_STATS_H
#define FLASHSALE_STATS_H

enum stat_id {
	/* requests by outcome; the refusals in the order of enum problem */
	STAT_QUEUED,
	STAT_RESERVED,
	STAT_REPLAYED,
	STAT_LOOKED,
	STAT_ADMIN,
	STAT_PROBLEM_FIRST,
	STAT_PROBLEM_LAST = STAT_PROBLEM_FIRST + 16,
	/* the rest */
	STAT_UNITS,
	STAT_SENT,
	STAT_SEND_FAILURES,
	STAT_CONNECTIONS,
	STAT_SENDS_IN_FLIGHT,
	STAT_GATES_SHUT,
	STAT_REQUEST_SECONDS,
	STAT_SEND_SECONDS,
	STAT_COUNT,
};

/* Map the shared memory for so many processes; before the first fork. */
void stats_init(unsigned slots);

/* What requests a counter up to STAT_PROBLEM_LAST counts: "sold_out". */
#define OUTCOME_SIZE 32
void stats_outcome(enum stat_id, char outcome[OUTCOME_SIZE]);

#endif
