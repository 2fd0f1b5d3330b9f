/* flashsale verify: do the books balance, order by order? */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "exit_codes.h"
#include "log.h"

#include "audit.h"
#include "command.h"
#include "difference.h"
#include "inspect.h"
#include "paint.h"
#include "session.h"

#define NAMED_MAX 100 /* differences of a sale that are told one by one */
#define TRIES 3	      /* of reading a sale that is reset meanwhile */

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct report {
	struct queue_survey queue;
	json_t *sales; /* NULL: a person reads it */
	bool balances;
};

static int64_t
moving_orders(const struct audit *a)
{
	return a->in_outbox + a->in_queue;
}

/* --- For a person --- */

static void
print_difference(const struct difference *d)
{
	paint(stdout, BAD, "  %-9s ", difference_kind_name(d->kind));
	difference_print(d);
	printf("\n");
}

static void
print_moving(const struct audit *a)
{
	if (moving_orders(a) > 0)
		printf("  moving: %" PRId64 " orders in the outbox, %" PRId64
		       " in the queue, the oldest for %" PRId64 " s\n",
		    a->in_outbox, a->in_queue,
		    (clock_wall_ms() - a->oldest_moving) / 1000);
	if (a->unexplained_units > 0)
		printf("  %" PRId64 " units are neither on sale nor in a known "
		       "order; the queue may hold it\n",
		    a->unexplained_units);
}

static void
print_sale(const struct audit *a)
{
	size_t i;

	printf("%s, sale %s\n  %" PRId64 " units = %" PRId64
	       " remaining + %" PRId64 " in live orders; in MySQL %" PRId64
	       " confirmed, %" PRId64 " orders rejected, %" PRId64 " parked\n",
	    a->sale.sku, a->sale.id, a->sale.total, a->remaining, a->live_units,
	    a->confirmed_units, a->rejected_orders, a->parked_orders);
	print_moving(a);
	for (i = 0; i < a->differences_n && i < NAMED_MAX; i++)
		print_difference(&a->differences[i]);
	if (a->differences_n > NAMED_MAX)
		printf("  ... and %zu more\n", a->differences_n - NAMED_MAX);
	printf("  ");
	if (a->differences_n > 0)
		paint(stdout, BAD, "%zu differences\n", a->differences_n);
	else if (moving_orders(a) > 0 || a->unexplained_units > 0)
		paint(stdout, CAUTION, "balances, as far as can be told\n");
	else
		paint(stdout, GOOD, "balances\n");
}

static void
print_queue(const struct queue_survey *q)
{
	if (inspect_queue_is_empty(q))
		return;
	printf("\nqueue, for all sales: %" PRId64 " visible, %" PRId64
	       " in flight, %" PRId64 " delayed, %" PRId64 " dead letters\n",
	    q->visible, q->in_flight, q->delayed, q->dead_letters);
}

/* --- For a program --- */

/* Redis may have been written to by hand: JSON takes no bytes but UTF-8. */
static json_t *
json_text(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("?");
}

static json_t *
json_term(const struct difference *d, int64_t value)
{
	if (d->term != NULL && strcmp(d->term, "state") == 0)
		return json_string(sale_state_name((enum sale_state)value));
	return json_integer(value);
}

static json_t *
difference_to_json(const struct difference *d)
{
	json_t *out = json_pack("{s:s}", "kind", difference_kind_name(d->kind));

	if (d->order_id[0] != '\0')
		json_object_set_new(out, "orderId", json_text(d->order_id));
	if (d->user_id[0] != '\0')
		json_object_set_new(out, "userId", json_text(d->user_id));
	if (d->request_key[0] != '\0')
		json_object_set_new(
		    out, "requestKey", json_text(d->request_key));
	if (d->order != NULL) {
		json_object_set_new(out, "redis",
		    json_string(order_state_name(d->order->redis_now)));
		json_object_set_new(out, "mysql",
		    json_string(order_state_name(d->order->mysql)));
		json_object_set_new(
		    out, "quantity", json_integer(d->order->quantity));
	}
	if (d->term != NULL)
		json_object_set_new(out, "term", json_string(d->term));
	if (d->kind >= DIFFERENCE_BUYER) {
		json_object_set_new(out, "found", json_term(d, d->found));
		json_object_set_new(out, "expected", json_term(d, d->expected));
	}
	return out;
}

static void
add_json(struct report *r, const struct audit *a)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < a->differences_n && i < NAMED_MAX; i++)
		json_array_append_new(
		    list, difference_to_json(&a->differences[i]));
	json_array_append_new(r->sales,
	    json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		      "s:I, s:b, s:b, s:I, s:o}",
		"sku", a->sale.sku, "saleId", a->sale.id, "total",
		(json_int_t)a->sale.total, "remaining",
		(json_int_t)a->remaining, "live", (json_int_t)a->live_units,
		"confirmed", (json_int_t)a->confirmed_units, "rejectedOrders",
		(json_int_t)a->rejected_orders, "parkedOrders",
		(json_int_t)a->parked_orders, "movingInOutbox",
		(json_int_t)a->in_outbox, "movingInQueue",
		(json_int_t)a->in_queue, "unexplainedUnits",
		(json_int_t)a->unexplained_units, "drained",
		(int)(a->queue_is_empty && moving_orders(a) == 0), "balances",
		(int)(a->differences_n == 0), "differencesInAll",
		(json_int_t)a->differences_n, "differences", list));
}

static void
print_json(const struct report *r)
{
	const struct queue_survey *q = &r->queue;
	json_t *root = json_pack("{s:o, s:{s:I, s:I, s:I, s:I}, s:b}", "sales",
	    r->sales, "queue", "visible", (json_int_t)q->visible, "inFlight",
	    (json_int_t)q->in_flight, "delayed", (json_int_t)q->delayed,
	    "deadLetters", (json_int_t)q->dead_letters, "balances",
	    (int)r->balances);

	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
}

/* --- The command --- */

/* A SKU that is only listed, and has no sale, is passed over. */
static int
verify_sale(
    struct session *s, struct report *r, const char *sku, bool is_listed)
{
	char why[WHY_SIZE] = "";
	struct audit a;
	enum err err = ERR_RETRY;
	int i;

	for (i = 0; i < TRIES && err == ERR_RETRY; i++) {
		if (i > 0)
			audit_free(&a);
		err = inspect_sale(s, sku, &a, &r->queue, why);
	}
	if (err == ERR_OK) {
		audit_judge(&a);
		r->balances = r->balances && a.differences_n == 0;
		if (r->sales != NULL)
			add_json(r, &a);
		else
			print_sale(&a);
	}
	audit_free(&a);
	if (err == ERR_NOT_FOUND && is_listed)
		return EXIT_FINE;
	return survey_exit_code(&command_verify, sku, err, why);
}

static int
verify(struct session *s, const char *sku, struct report *r)
{
	struct sku_list list;
	enum err err = inspect_choose(s, sku, &list);
	int one, code = EXIT_FINE;
	size_t i;

	if (err != ERR_OK)
		return session_failed(err, "listing the sales");
	for (i = 0; i < list.n; i++) {
		one = verify_sale(s, r, list.skus[i], sku == NULL);
		code = code == EXIT_FINE ? one : code;
	}
	free(list.skus);
	return code;
}

static int
run_verify(const struct config *config, int argc, char **argv)
{
	struct report r = {.balances = true};
	struct session session;
	const char *sku = NULL;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_verify);
		if (option != 'j')
			command_hint(&command_verify);
		if (r.sales == NULL)
			r.sales = json_array();
	}
	if (optind < argc)
		sku = command_sku(&command_verify, argc, argv, NULL);
	session_open_all(&session, config);
	code = verify(&session, sku, &r);
	r.balances = r.balances && code == EXIT_FINE;
	if (r.sales != NULL)
		print_json(&r);
	else
		print_queue(&r.queue);
	session_close(&session);
	return code != EXIT_FINE || r.balances ? code : EXIT_FAILED;
}

const struct command command_verify = {
    "verify",
    "[SKU] [--json]",
    "Check the books order by order",
    "  --json             report as JSON\n",
    "Of all sales unless a SKU is named; changes nothing, and may be run "
    "while\n"
    "people buy.  What is in the queue cannot be read: as long as it is not\n"
    "empty, orders that are nowhere else are \"moving\", and when it is empty\n"
    "they are lost.  Exit 1 when something is named, 0 when nothing is.\n"
    "\"flashsale repair\" mends it.\n",
    run_verify,
};
