/* flashsale drain: wait until every order has arrived in MySQL. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "exit_codes.h"

#include "command.h"
#include "progress.h"
#include "session.h"
#include "survey.h"

#define LOOK_SECONDS 0.25 /* between two looks */

static const struct option options[] = {
    {"timeout", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What is still missing, over all sales looked at. */
struct backlog {
	struct queue_survey queue;
	int64_t taken, arrived, outbox;
	bool is_drained;
};

static enum err
add_sale(struct session *s, struct backlog *b, const char *sku)
{
	struct survey v;
	enum err err = survey_sale(s, sku, &v);

	if (err != ERR_OK)
		return err;
	b->taken += v.taken;
	b->arrived += v.book.confirmed_units + v.book.rejected_units;
	b->outbox += v.view.outbox;
	b->is_drained = b->is_drained && survey_is_drained(&b->queue, &v);
	return ERR_OK;
}

static enum err
look(struct session *s, const struct sku_list *list, struct backlog *b)
{
	enum err err = ERR_OK;
	size_t i;

	*b = (struct backlog){.is_drained = true};
	survey_queue(s, &b->queue);
	for (i = 0; i < list->n && err == ERR_OK; i++)
		err = add_sale(s, b, list->skus[i]);
	return err;
}

static void
print_backlog(FILE *file, const struct backlog *b)
{
	fprintf(file,
	    "%" PRId64 " of %" PRId64 " units in MySQL, outbox %" PRId64,
	    b->arrived, b->taken, b->outbox);
	if (b->queue.has_queue)
		fprintf(file,
		    ", queue %" PRId64 " visible, %" PRId64
		    " in flight, %" PRId64 " delayed",
		    b->queue.visible, b->queue.in_flight, b->queue.delayed);
	fputc('\n', file);
}

static int
wait_until_drained(
    struct session *s, const struct sku_list *list, int64_t timeout)
{
	double begun = clock_seconds();
	struct backlog b;
	enum err err;

	while ((err = look(s, list, &b)) == ERR_OK && !b.is_drained) {
		progress_draw((uint64_t)b.arrived, (uint64_t)b.taken,
		    "%" PRId64 " of %" PRId64 " units in MySQL", b.arrived,
		    b.taken);
		if (clock_seconds() - begun > (double)timeout ||
		    !session_sleep(s, LOOK_SECONDS))
			break;
	}
	progress_clear();
	if (err == ERR_NOT_FOUND) {
		fprintf(stderr, "flashsale drain: there is no such sale.\n");
		return EXIT_FAILED;
	}
	if (err != ERR_OK)
		return session_failed(err, "reading the sales");
	if (!b.is_drained)
		fprintf(stderr, "flashsale drain: not drained: ");
	print_backlog(b.is_drained ? stdout : stderr, &b);
	return b.is_drained ? EXIT_FINE : EXIT_FAILED;
}

/* The one SKU that was named, or all. */
static enum err
choose_sales(struct session *s, const char *sku, struct sku_list *list)
{
	if (sku == NULL)
		return session_list(s, list);
	*list = (struct sku_list){.skus = calloc(1, sizeof(*list->skus))};
	if (list->skus == NULL)
		return ERR_NOMEM;
	snprintf(list->skus[0], sizeof(list->skus[0]), "%s", sku);
	list->n = 1;
	return ERR_OK;
}

static int
run_drain(const struct config *config, int argc, char **argv)
{
	struct session session;
	struct sku_list list = {0};
	const char *sku = NULL;
	int64_t timeout = 60;
	int option, code;
	enum err err;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_drain);
		if (option != 't')
			command_hint(&command_drain);
		timeout = command_number(
		    &command_drain, "--timeout", optarg, 0, 86400);
	}
	if (optind < argc)
		sku = command_sku(&command_drain, argc, argv, NULL);
	session_open_all(&session, config);
	err = choose_sales(&session, sku, &list);
	code = err == ERR_OK ? wait_until_drained(&session, &list, timeout)
			     : session_failed(err, "listing the sales");
	free(list.skus);
	session_close(&session);
	return code;
}

const struct command command_drain = {
    "drain",
    "[SKU] [--timeout=SECONDS]",
    "Wait until every order has arrived in MySQL",
    "  --timeout=SECONDS  give up then and exit 1 (60)\n",
    "Drained is: outbox empty, queue empty, and a row in MySQL for every\n"
    "unit that was taken; of all sales unless a SKU is named.\n",
    run_drain,
};
