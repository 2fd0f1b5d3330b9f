/* flashsale status: where every sale stands, in one table. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
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

static const struct column columns[] = {{"SKU", false}, {"state", false},
    {"total", true}, {"remaining", true}, {"reserved", true}, {"queued", true},
    {"confirmed", true}, {"rejected", true}, {"outbox", true}, {"queue", true}};

struct report {
	struct queue_survey queue;
	struct table table;
	json_t *sales; /* NULL: a table is wanted */
};

static int64_t
queue_depth(const struct queue_survey *q)
{
	return q->visible + q->in_flight + q->delayed;
}

/* --- For a person --- */

static enum colour
state_colour(const char *state)
{
	if (strcmp(state, "on_sale") == 0)
		return GOOD;
	return strcmp(state, "sold_out") == 0 ? PLAIN : CAUTION;
}

/* A number; "-" where it is not known. */
static void
put_number(struct table *t, bool known, int64_t value)
{
	if (known)
		table_put(t, PLAIN, "%" PRId64, value);
	else
		table_put(t, FAINT, "-");
}

static void
put_row(struct report *r, const struct survey *v)
{
	const char *state = sale_status(&v->view, clock_wall_ms());
	struct table *t = &r->table;

	table_put(t, PLAIN, "%s", v->view.sale.sku);
	table_put(t, state_colour(state), "%s", state);
	put_number(t, true, v->view.sale.total);
	put_number(t, true, v->view.remaining);
	table_put(
	    t, PLAIN, "%s%" PRId64, v->is_estimate ? "~" : "", v->reserved);
	put_number(t, v->has_book, v->queued);
	put_number(t, v->has_book, v->book.confirmed_units);
	put_number(t, v->has_book, v->book.rejected_units);
	put_number(t, true, v->view.outbox);
	put_number(t, r->queue.has_queue, queue_depth(&r->queue));
}

static void
print_table(struct report *r)
{
	const struct queue_survey *q = &r->queue;

	if (r->table.n == 0) {
		printf("no sales; to open one: "
		       "flashsale open SKU --stock N\n");
		return;
	}
	table_finish(&r->table, stdout);
	if (!q->has_queue)
		return;
	printf("\nqueue, for all sales: %" PRId64 " visible, %" PRId64
	       " in flight, %" PRId64 " delayed",
	    q->visible, q->in_flight, q->delayed);
	if (q->has_dead_letters)
		paint(stdout, q->dead_letters > 0 ? BAD : PLAIN,
		    ", %" PRId64 " dead letters", q->dead_letters);
	printf("\n");
}

/* --- For a program --- */

static json_t *
json_number(bool known, int64_t value)
{
	return known ? json_integer(value) : json_null();
}

static void
add_json(struct report *r, const struct survey *v)
{
	static const char *const set[] = {"open", "paused", "closed"};
	const struct sale *sale = &v->view.sale;

	json_array_append_new(r->sales,
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:o, "
		      "s:o, s:o, s:I}",
		"sku", sale->sku, "saleId", sale->id, "name", sale->name,
		"state", sale_status(&v->view, clock_wall_ms()), "set",
		set[v->view.sale.state], "total", (json_int_t)sale->total,
		"remaining", (json_int_t)v->view.remaining, "reserved",
		(json_int_t)v->reserved, "reservedIsEstimate",
		(int)v->is_estimate, "queued",
		json_number(v->has_book, v->queued), "confirmed",
		json_number(v->has_book, v->book.confirmed_units), "rejected",
		json_number(v->has_book, v->book.rejected_units), "outbox",
		(json_int_t)v->view.outbox));
}

static void
print_json(struct report *r)
{
	const struct queue_survey *q = &r->queue;
	json_t *root = json_pack("{s:o, s:{s:o, s:o, s:o, s:o}}", "sales",
	    r->sales, "queue", "visible", json_number(q->has_queue, q->visible),
	    "inFlight", json_number(q->has_queue, q->in_flight), "delayed",
	    json_number(q->has_queue, q->delayed), "deadLetters",
	    json_number(q->has_dead_letters, q->dead_letters));

	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
}

/* --- The command --- */

/* A SKU that is only listed, and has no sale, is passed over. */
static int
report_sale(
    struct session *s, struct report *r, const char *sku, bool is_listed)
{
	struct survey v;
	char why[WHY_SIZE];
	enum err err = survey_sale(s, sku, &v, why);

	if (err == ERR_NOT_FOUND && is_listed)
		return EXIT_FINE;
	if (err != ERR_OK)
		return survey_exit_code(&command_status, sku, err, why);
	if (r->sales != NULL)
		add_json(r, &v);
	else
		put_row(r, &v);
	return EXIT_FINE;
}

static int
report_all(struct session *s, struct report *r)
{
	int one, code = EXIT_FINE;
	struct sku_list list;
	enum err err = session_list(s, &list);
	size_t i;

	if (err != ERR_OK)
		return session_failed(err, "listing the sales");
	/* One that is damaged does not hide the others. */
	for (i = 0; i < list.n; i++) {
		one = report_sale(s, r, list.skus[i], true);
		code = code == EXIT_FINE ? one : code;
	}
	free(list.skus);
	return code;
}

static int
report(struct session *s, const char *sku, bool json)
{
	struct report r = {.sales = json ? json_array() : NULL};
	int code;

	if (session_is_recovering(s))
		fprintf(stderr,
		    "This Redis may have lost sales: the worker rebuilds them "
		    "now (does one run?).\n");
	table_init(&r.table, columns, sizeof(columns) / sizeof(*columns));
	survey_queue(s, &r.queue);
	code = sku == NULL ? report_all(s, &r) : report_sale(s, &r, sku, false);
	if (sku != NULL && code != EXIT_FINE)
		return code;
	if (json)
		print_json(&r);
	else
		print_table(&r);
	return code;
}

static int
run_status(const struct config *config, int argc, char **argv)
{
	struct session session;
	const char *sku = NULL;
	bool json = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_status);
		if (option != 'j')
			command_hint(&command_status);
		json = true;
	}
	if (optind < argc)
		sku = command_sku(&command_status, argc, argv, NULL);
	session_open_all(&session, config);
	code = report(&session, sku, json);
	session_close(&session);
	return code;
}

const struct command command_status = {
    "status",
    "[SKU] [--json]",
    "Tell where the sales stand",
    "  --json             report as JSON\n",
    "Units: total = remaining + reserved (in the outbox, not yet sent) +\n"
    "queued (sent to SQS, no row in MySQL yet) + confirmed + rejected (both\n"
    "in MySQL).  outbox counts entries, queue the messages of all sales.\n"
    "\"-\" is what cannot be reached; stderr says why.\n",
    run_status,
};
