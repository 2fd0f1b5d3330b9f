/*
 * How fast a queue takes messages when nothing else is done: processes that
 * each keep some SendMessageBatch calls in flight, again and again, for some
 * seconds.  With one call of one message in flight a process is what a
 * blocking program is; with 8 full calls it is what a responder does at best.
 *
 *   send PROCESSES CALLS MESSAGES SECONDS
 *
 * MESSAGES per call.  The queue and all else come from the settings.  Prints
 * how many messages were acknowledged in a second, as a number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "exit_codes.h"
#include "log.h"
#include "message.h"
#include "sqs.h"
#include "uuid.h"

#include "crew.h"

/* As large as those of a sale, and as good. */
static void
make_message(struct sqs_text *text, char *buf, size_t size)
{
	static char sale_id[UUID_TEXT_SIZE];
	struct message message = {.type = MESSAGE_ORDER,
	    .order = {.revision = 1,
		.sku = "bench",
		.total = 100000000,
		.user_id = "accept-64-1-100000",
		.quantity = 1,
		.price_minor = 79900,
		.currency = "USD",
		.reserved_at = clock_wall_ms()}};

	uuid_v7(message.order.id);
	if (sale_id[0] == '\0')
		uuid_v7(sale_id);
	memcpy(message.order.sale_id, sale_id, sizeof(sale_id));
	text->data = buf;
	if (message_encode(&message, buf, size, &text->len) != ERR_OK)
		fatal(EXIT_OSERR, "cannot encode a message");
}

static void
on_sent(const struct sqs_result *results, size_t n, void *arg)
{
	struct crew_lane *lane = arg;

	for (size_t i = 0; i < n; i++) {
		if (results[i].err != ERR_OK)
			fatal(EXIT_UNAVAIL, "send: %s %s", results[i].code,
			    results[i].message);
		++*lane->done;
	}
	crew_called(lane, true);
}

static void
send_call(struct crew_lane *lane)
{
	static char bodies[SQS_BATCH_MAX][MESSAGE_MAX + 1];
	struct sqs_text texts[SQS_BATCH_MAX];

	for (unsigned i = 0; i < lane->plan->messages; i++)
		make_message(&texts[i], bodies[i], sizeof(bodies[i]));
	sqs_send_batch(lane->sqs, texts, lane->plan->messages, on_sent, lane);
}

int
main(int argc, char **argv)
{
	static const struct config_about about = {.program = "send",
	    .which = FOR_CLI,
	    .synopsis = "PROCESSES CALLS MESSAGES SECONDS",
	    .purpose = "Send messages to a queue as fast as it takes them."};
	struct config config;
	struct crew_plan plan = {.config = &config, .call = send_call};
	int first = config_load(&config, &about, argc, argv);

	log_init("send", config.log_level, false);
	if (argc - first != 4)
		config_usage("takes four numbers");
	plan.calls = crew_number(argv[first + 1], 64);
	plan.messages = crew_number(argv[first + 2], SQS_BATCH_MAX);
	printf("%.1f\n",
	    crew_rate(crew_number(argv[first], CREW_MAX),
		crew_number(argv[first + 3], 600), crew_keep_calling, &plan));
	return EXIT_FINE;
}
