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
#include <stdio.h>

#include "config.h"
#include "exit_codes.h"
#include "log.h"
#include "sqs.h"

#include "crew.h"

#define VISIBILITY 60 /* seconds: as long as the worker's */

static void
on_deleted(const struct sqs_result *results, size_t n, void *arg)
{
	struct crew_lane *lane = arg;

	for (size_t i = 0; i < n; i++) {
		if (results[i].err != ERR_OK)
			fatal(EXIT_UNAVAIL, "delete: %s %s", results[i].code,
			    results[i].message);
		++*lane->done;
	}
	crew_called(lane, true);
}

static void
on_received(const struct sqs_result *result, const struct sqs_message *messages,
    size_t n, void *arg)
{
	const char *handles[SQS_BATCH_MAX];
	struct crew_lane *lane = arg;

	if (result->err != ERR_OK)
		fatal(EXIT_UNAVAIL, "receive: %s %s", result->code,
		    result->message);
	if (n == 0) {
		crew_called(lane, false);
		return;
	}
	for (size_t i = 0; i < n; i++)
		handles[i] = messages[i].receipt_handle;
	sqs_delete_batch(lane->sqs, handles, n, on_deleted, lane);
}

static void
receive(struct crew_lane *lane)
{
	sqs_receive(lane->sqs, SQS_BATCH_MAX, 0, VISIBILITY, on_received, lane);
}

int
main(int argc, char **argv)
{
	static const struct config_about about = {.program = "receive",
	    .which = FOR_CLI,
	    .synopsis = "PROCESSES CALLS SECONDS",
	    .purpose = "Receive and delete messages as fast as it goes."};
	struct config config;
	struct crew_plan plan = {.config = &config, .call = receive};
	int first = config_load(&config, &about, argc, argv);

	log_init("receive", config.log_level, false);
	if (argc - first != 3)
		config_usage("takes three numbers");
	plan.calls = crew_number(argv[first + 1], 64);
	printf("%.1f\n",
	    crew_rate(crew_number(argv[first], CREW_MAX),
		crew_number(argv[first + 2], 600), crew_keep_calling, &plan));
	return EXIT_FINE;
}
