/* What the worker counts, and the line that tells of it. */
#ifndef WORKER_STATS_H
#define WORKER_STATS_H

enum worker_metric {
	STAT_RECEIVED,
	STAT_CONFIRMED,
	STAT_REJECTED,
	STAT_NOTED,
	STAT_DUPLICATE,
	STAT_PARKED,
	STAT_HANDED_BACK,
	STAT_DELETED,
	STAT_DELETE_FAILED,
	STAT_RESENT,
	STAT_HAUL_SECONDS,
	STATS,
};

/* Before the first fork: the master and two slots for each child. */
void stats_init(unsigned slots);

/* Log what all processes have done so far, if it is news. */
void stats_log(void);

#endif
