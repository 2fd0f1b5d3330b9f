/*
 * flashsale books: what Redis, SQS and MySQL say of a sale, side by side,
 * and whether it adds up.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "exit_codes.h"

#include "command.h"
#include "paint.h"
#include "session.h"
#include "survey.h"

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct books {
	struct queue_survey queue;
	struct survey sale;
	bool is_complete; /* all three stores were reached */
	bool is_quiet;	  /* outbox and queue are empty */
	int64_t oversold; /* units confirmed beyond the total */
	/* Units taken in Redis without a row in MySQL: under way as long as
	 * outbox or queue hold something, lost when both are empty. */
	int64_t missing;
	/* Units confirmed in MySQL that Redis does not know as taken. */
	int64_t unknown;
	bool adds_up;
};

static int64_t
at_least_0(int64_t n)
{
	return n > 0 ? n : 0;
}

static void
balance(struct books *b)
{
	const struct survey *v = &b->sale;
	const struct queue_survey *q = &b->queue;
	int64_t total = v->view.sale.total;
	int64_t arrived = v->book.confirmed_units + v->book.rejected_units;

	b->is_complete = q->has_queue && v->has_book;
	b->is_quiet = b->is_complete && v->view.outbox == 0 &&
		      q->visible <= 0 && q->in_flight <= 0 && q->delayed <= 0;
	b->oversold = at_least_0(v->book.confirmed_units - total);
	b->missing = at_least_0(v->taken - arrived);
	/* What was rejected may have given its units back. */
	b->unknown = at_least_0(v->book.confirmed_units - v->taken);
	b->adds_up = b->oversold == 0 && b->unknown == 0 && b->missing == 0 &&
		     v->view.remaining >= 0 &&
		     v->book.sold == v->book.confirmed_units;
}

/* --- For a person --- */

static void
print_row(const char *where, const char *what, bool known, int64_t units)
{
	printf("  %-7s%-24s", where, what);
	if (known)
		printf("%10" PRId64 "\n", units);
	else
		printf("%10s\n", "-");
}

static void
print_stores(const struct books *b)
{
	const struct survey *v = &b->sale;
	const struct queue_survey *q = &b->queue;
	bool book = v->has_book;

	print_row("Redis", "units in all", true, v->view.sale.total);
	print_row("", "units remaining", true, v->view.remaining);
	print_row("", "units taken", true, v->taken);
	print_row("", "entries in the outbox", true, v->view.outbox);
	print_row(q->is_outbox ? "queue" : "SQS", "messages visible",
	    q->has_queue, q->visible);
	print_row("", "messages in flight", q->has_queue, q->in_flight);
	print_row("", "messages delayed", q->has_queue, q->delayed);
	print_row("", "dead letters", q->has_dead_letters, q->dead_letters);
	print_row("MySQL", "orders confirmed", book, v->book.confirmed_orders);
	print_row("", "units confirmed", book, v->book.confirmed_units);
	print_row("", "orders rejected", book, v->book.rejected_orders);
	print_row("", "units rejected", book, v->book.rejected_units);
}

static void
print_verdict(const struct books *b)
{
	if (!b->is_complete) {
		paint(stdout, CAUTION,
		    "cannot be balanced: not every store "
		    "was reached\n");
		return;
	}
	printf("%" PRId64 " oversold, ", b->oversold);
	if (b->is_quiet)
		printf("%" PRId64 " lost", b->missing);
	else
		printf("%" PRId64 " under way", b->missing);
	if (b->unknown > 0)
		printf(", %" PRId64 " unknown to Redis", b->unknown);
	printf(": ");
	if (b->adds_up)
		paint(stdout, GOOD, "the books add up\n");
	else if (b->is_quiet)
		paint(stdout, BAD, "the books do NOT add up\n");
	else
		paint(stdout, CAUTION, "not drained yet\n");
}

/* --- For a program --- */

static json_t *
number(bool known, int64_t value)
{
	return known ? json_integer(value) : json_null();
}

static json_t *
book_to_json(const struct survey *v)
{
	bool known = v->has_book;

	return json_pack("{s:o, s:o, s:o, s:o}", "confirmedOrders",
	    number(known, v->book.confirmed_orders), "confirmedUnits",
	    number(known, v->book.confirmed_units), "rejectedOrders",
	    number(known, v->book.rejected_orders), "rejectedUnits",
	    number(known, v->book.rejected_units));
}

static void
print_json(const struct books *b)
{
	const struct survey *v = &b->sale;
	const struct queue_survey *q = &b->queue;
	json_t *redis, *sqs, *root;

	redis = json_pack("{s:I, s:I, s:I, s:I}", "total",
	    (json_int_t)v->view.sale.total, "remaining",
	    (json_int_t)v->view.remaining, "taken", (json_int_t)v->taken,
	    "outbox", (json_int_t)v->view.outbox);
	sqs = json_pack("{s:o, s:o, s:o, s:o}", "visible",
	    number(q->has_queue, q->visible), "inFlight",
	    number(q->has_queue, q->in_flight), "delayed",
	    number(q->has_queue, q->delayed), "deadLetters",
	    number(q->has_dead_letters, q->dead_letters));
	root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:b}",
	    "sku", v->view.sale.sku, "saleId", v->view.sale.id, "redis", redis,
	    "sqs", sqs, "mysql", book_to_json(v), "drained", (int)b->is_quiet,
	    "oversold", number(b->is_complete, b->oversold), "lost",
	    number(b->is_quiet, b->missing), "underWay",
	    number(b->is_complete, b->is_quiet ? 0 : b->missing), "addsUp",
	    (int)b->adds_up);
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
}

/* --- The command --- */

static int
print_books(struct session *s, const char *sku, bool json)
{
	struct books b;
	char why[WHY_SIZE];
	enum err err;

	survey_queue(s, &b.queue);
	err = survey_sale(s, sku, &b.sale, why);
	if (err != ERR_OK)
		return survey_exit_code(&command_books, sku, err, why);
	balance(&b);
	if (json) {
		print_json(&b);
	} else {
		printf(
		    "%s, sale %s\n", b.sale.view.sale.sku, b.sale.view.sale.id);
		print_stores(&b);
		print_verdict(&b);
	}
	if (!b.is_complete)
		return EXIT_UNAVAIL;
	return b.adds_up || (!b.is_quiet && b.oversold == 0) ? EXIT_FINE
							     : EXIT_FAILED;
}

static int
run_books(const struct config *config, int argc, char **argv)
{
	struct session session;
	bool json = false;
	const char *sku;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_books);
		if (option != 'j')
			command_hint(&command_books);
		json = true;
	}
	sku = command_sku(&command_books, argc, argv, config->default_sku);
	session_open_all(&session, config);
	code = print_books(&session, sku, json);
	session_close(&session);
	return code;
}

const struct command command_books = {
    "books",
    "[SKU] [--json]",
    "Compare what Redis, SQS and MySQL say of a sale",
    "  --json             report as JSON\n",
    "Of DEFAULT_SKU unless a SKU is named.  Lost is what was taken in Redis\n"
    "and is neither in the outbox nor in the queue nor in MySQL; as long as\n"
    "outbox or queue hold something it cannot be told (exit 0), so run\n"
    "\"flashsale drain\" first.  Exit 1 when the books do not add up.\n",
    run_books,
};
