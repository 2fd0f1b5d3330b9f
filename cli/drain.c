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
	bool has_books; /* MySQL was asked of all of them */
	bool is_drained;
};

static enum err
add_sale(
    struct session *s, struct backlog *b, const char *sku, char why[WHY_SIZE])
{
	struct survey v;
	enum err err = survey_sale(s, sku, &v, why);

	if (err != ERR_OK)
		return err;
	b->has_books = b->has_books && v.has_book;
	b->taken += v.taken;
	b->arrived += v.book.confirmed_units + v.book.rejected_units;
	b->outbox += v.view.outbox;
	b->is_drained = b->is_drained && survey_is_drained(&b->queue, &v);
	return ERR_OK;
}

/* A SKU that is only listed, and has no sale, is passed over. */
static int
look(struct session *s, const struct sku_list *list, bool is_listed,
    struct backlog *b)
{
	char why[WHY_SIZE];
	size_t i;

	*b = (struct backlog){.has_books = true, .is_drained = true};
	survey_queue(s, &b->queue);
	for (i = 0; i < list->n; i++) {
		enum err err = add_sale(s, b, list->skus[i], why);

		if (err != ERR_OK && (err != ERR_NOT_FOUND || !is_listed))
			return survey_exit_code(
			    &command_drain, list->skus[i], err, why);
	}
	return EXIT_FINE;
}

static void
print_backlog(FILE *file, const struct backlog *b)
{
	if (b->has_books)
		fprintf(file, "%" PRId64 " of ", b->arrived);
	else
		fprintf(file, "- of ");
	fprintf(file, "%" PRId64 " units in MySQL, outbox %" PRId64, b->taken,
	    b->outbox);
	if (b->queue.has_queue)
		fprintf(file,
		    ", queue %" PRId64 " visible, %" PRId64
		    " in flight, %" PRId64 " delayed\n",
		    b->queue.visible, b->queue.in_flight, b->queue.delayed);
	else
		fprintf(file, ", queue -\n");
}

static int
wait_until_drained(struct session *s, const struct sku_list *list,
    bool is_listed, int64_t timeout)
{
	double begun = clock_seconds();
	struct backlog b;
	int code;

	while ((code = look(s, list, is_listed, &b)) == EXIT_FINE &&
	       !b.is_drained) {
		progress_draw((uint64_t)b.arrived, (uint64_t)b.taken,
		    "%" PRId64 " of %" PRId64 " units in MySQL", b.arrived,
		    b.taken);
		if (clock_seconds() - begun > (double)timeout ||
		    !session_sleep(s, LOOK_SECONDS))
			break;
	}
	progress_clear();
	if (code != EXIT_FINE)
		return code;
	if (!b.is_drained)
		fprintf(stderr, "flashsale drain: not drained: ");
	print_backlog(b.is_drained ? stdout : stderr, &b);
	if (b.is_drained)
		return EXIT_FINE;
	return b.has_books && b.queue.has_queue ? EXIT_FAILED : EXIT_UNAVAIL;
}

/* What is not rebuilt yet may not even be listed. */
static int
drain(struct session *s, const char *sku, int64_t timeout)
{
	struct sku_list list;
	enum err err;
	int code;

	if (sku == NULL && session_is_recovering(s)) {
		fprintf(stderr,
		    "flashsale drain: the sales are being rebuilt: try again "
		    "in some seconds (does a worker run?).\n");
		return EXIT_UNAVAIL;
	}
	err = session_choose(s, sku, &list);
	if (err != ERR_OK)
		return session_failed(err, "listing the sales");
	code = wait_until_drained(s, &list, sku == NULL, timeout);
	free(list.skus);
	return code;
}

static int
run_drain(const struct config *config, int argc, char **argv)
{
	struct session session;
	const char *sku = NULL;
	int64_t timeout = 60;
	int option, code;

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
	code = drain(&session, sku, timeout);
	session_close(&session);
	return code;
}

const struct command command_drain = {
    "drain",
    "[SKU] [--timeout=SECONDS]",
    "Wait until every order has arrived in MySQL",
    "  --timeout=SECONDS  give up then and exit 1 (60)\n",
    "Drained is: outbox empty, queue empty, and a row in MySQL for every\n"
    "unit that was taken; of all sales unless a SKU is named.  Exit 69 when\n"
    "MySQL or the queue could not be asked.\n",
    run_drain,
};
