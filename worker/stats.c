/* The counters' names, and the line that tells of them. */
#include <inttypes.h>

#include "log.h"
#include "metrics.h"

#include "stats.h"

#define MESSAGES "flashsale_worker_messages_total"
#define MESSAGES_HELP "Messages by what became of them."
#define DELETES "flashsale_worker_deletes_total"
#define DELETES_HELP "Messages deleted from SQS, or not."

static const struct metric metrics[STATS] = {
    [STAT_RECEIVED] = {METRIC_COUNTER, "flashsale_worker_received_total", "",
	"Messages received, each delivery counted."},
    [STAT_CONFIRMED] = {METRIC_COUNTER, MESSAGES, "outcome=\"confirmed\"",
	MESSAGES_HELP},
    [STAT_REJECTED] = {METRIC_COUNTER, MESSAGES, "outcome=\"rejected\"",
	MESSAGES_HELP},
    [STAT_NOTED] = {METRIC_COUNTER, MESSAGES, "outcome=\"sale_noted\"",
	MESSAGES_HELP},
    [STAT_DUPLICATE] = {METRIC_COUNTER, MESSAGES, "outcome=\"duplicate\"",
	MESSAGES_HELP},
    [STAT_PARKED] = {METRIC_COUNTER, MESSAGES, "outcome=\"parked\"",
	MESSAGES_HELP},
    [STAT_HANDED_BACK] = {METRIC_COUNTER, MESSAGES, "outcome=\"handed_back\"",
	MESSAGES_HELP},
    [STAT_DELETED] = {METRIC_COUNTER, DELETES, "outcome=\"deleted\"",
	DELETES_HELP},
    [STAT_DELETE_FAILED] = {METRIC_COUNTER, DELETES, "outcome=\"failed\"",
	DELETES_HELP},
    [STAT_RESENT] = {METRIC_COUNTER, "flashsale_worker_resent_total", "",
	"Messages that waited in the outbox, sent to SQS by the keeper."},
    [STAT_HAUL_SECONDS] = {METRIC_HISTOGRAM, "flashsale_worker_haul_seconds",
	"", "Time to write a haul of messages to MySQL."},
};

void
stats_init(unsigned slots)
{
	metrics_init(metrics, STATS, slots);
}

void
stats_log(void)
{
	static int64_t told;
	int64_t now[STATS], sum = 0;
	unsigned id;

	for (id = 0; id < STAT_HAUL_SECONDS; id++) {
		now[id] = metrics_sum(id);
		sum += now[id];
	}
	if (sum == told)
		return;
	told = sum;
	log_info("so far: received %" PRId64 ", confirmed %" PRId64
		 ", rejected %" PRId64 ", sales %" PRId64
		 ", duplicates %" PRId64 ", parked %" PRId64
		 ", handed back %" PRId64 ", deleted %" PRId64
		 ", deletes failed %" PRId64 ", from the outbox %" PRId64,
	    now[STAT_RECEIVED], now[STAT_CONFIRMED], now[STAT_REJECTED],
	    now[STAT_NOTED], now[STAT_DUPLICATE], now[STAT_PARKED],
	    now[STAT_HANDED_BACK], now[STAT_DELETED], now[STAT_DELETE_FAILED],
	    now[STAT_RESENT]);
}
