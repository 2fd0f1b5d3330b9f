/*
 * How fast a queue gives its messages away when nothing else is done: calls
 * that receive ten and delete them, some in flight, until none are left or
 * the time is over.
 *
 *   receive PROCESSES CALLS SECONDS
 *
 * The queue and all else come from the settings.  Prints how many messages
 * were deleted in a second, as a number.
 */
#include <stdbool.h>
#include <stdio.h>

#include <ev.h>

#include "clock.h"
#include "config.h"
#include "exit_codes.h"
#include "log.h"
#include "sqs.h"

#include "crew.h"

#define VISIBILITY 60 /* seconds: as long as the worker's */

struct lane {
	struct ev_loop *loop;
	struct sqs *sqs;
	double ends; /* clock_seconds() */
	unsigned in_flight;
	long *deleted; /* in shared memory */
};

static void receive(struct lane *);

static void
go_on(struct lane *lane, bool more)
{
	lane->in_flight--;
	if (more && clock_seconds() < lane->ends)
		receive(lane);
	else if (lane->in_flight == 0)
		ev_break(lane->loop, EVBREAK_ALL);
}

static void
on_deleted(const struct sqs_result *results, size_t n, void *arg)
{
	struct lane *lane = arg;

	for (size_t i = 0; i < n; i++) {
		if (results[i].err != ERR_OK)
			fatal(EXIT_UNAVAIL, "delete: %s %s", results[i].code,
			    results[i].message);
		++*lane->deleted;
	}
	go_on(lane, true);
}

static void
on_received(const struct sqs_result *result, const struct sqs_message *messages,
    size_t n, void *arg)
{
	const char *handles[SQS_BATCH_MAX];
	struct lane *lane = arg;

	if (result->err != ERR_OK)
		fatal(EXIT_UNAVAIL, "receive: %s %s", result->code,
		    result->message);
	if (n == 0) {
		go_on(lane, false);
		return;
	}
	for (size_t i = 0; i < n; i++)
		handles[i] = messages[i].receipt_handle;
	sqs_delete_batch(lane->sqs, handles, n, on_deleted, lane);
}

static void
receive(struct lane *lane)
{
	lane->in_flight++;
	sqs_receive(lane->sqs, SQS_BATCH_MAX, 0, VISIBILITY, on_received, lane);
}

struct plan {
	const struct config *config;
	unsigned calls;
};

static void
run_lane(unsigned process, double ends, long *deleted, void *arg)
{
	const struct plan *plan = arg;
	struct lane lane = {
	    .loop = ev_loop_new(EVFLAG_AUTO), .ends = ends, .deleted = deleted};
	char why[256];

	(void)process;
	if (sqs_new(&lane.sqs, lane.loop, plan->config,
		plan->config->sqs_queue_url, plan->calls, why,
		sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	for (unsigned i = 0; i < plan->calls; i++)
		receive(&lane);
	ev_run(lane.loop, 0);
	sqs_free(lane.sqs);
	ev_loop_destroy(lane.loop);
}

int
main(int argc, char **argv)
{
	static const struct config_about about = {.program = "receive",
	    .which = FOR_CLI,
	    .synopsis = "PROCESSES CALLS SECONDS",
	    .purpose = "Receive and delete messages as fast as it goes."};
	struct config config;
	struct plan plan = {.config = &config};
	int first = config_load(&config, &about, argc, argv);

	log_init("receive", config.log_level, false);
	if (argc - first != 3)
		config_usage("takes three numbers");
	plan.calls = crew_number(argv[first + 1], 64);
	printf(
	    "%.1f\n", crew_rate(crew_number(argv[first], CREW_MAX),
			  crew_number(argv[first + 2], 600), run_lane, &plan));
	return EXIT_FINE;
}
