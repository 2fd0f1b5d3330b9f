/*
 * flashsale repair: mends what verify names, one order after the other.  No
 * store overwrites another: an order goes on from where it is known to where
 * it is missing, and the sums follow from the orders.  Every step looks once
 * more, in the store and in one moment, whether there is still something to
 * mend, so sales may go on meanwhile, and a second run does nothing.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exit_codes.h"
#include "log.h"
#include "uuid.h"

#include "audit.h"
#include "command.h"
#include "difference.h"
#include "inspect.h"
#include "paint.h"
#include "session.h"

#define LOOK_SECONDS 0.25 /* between two looks at the queue */

static const struct option options[] = {
    {"dry-run", no_argument, NULL, 'n'},
    {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct repair {
	struct session *session;
	bool dry_run;
	double until; /* clock_seconds() to wait for the queue */
	struct audit audit;
	struct queue_survey queue;
	struct books_sale sale;
	size_t left; /* differences */
};

/* --- Telling --- */

static void PRINTF_LIKE(2, 3) tell(const struct repair *r, const char *fmt, ...)
{
	va_list args;

	printf("%s  %s", r->sale.sku, r->dry_run ? "would " : "");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static void
tell_order(const struct repair *r, const char *what, const struct difference *d)
{
	tell(r, "%s: order %s of %s", what, d->order_id, d->user_id);
}

/* --- One difference --- */

/* The order as it is to be mended. */
static struct order
order_of(const struct difference *d)
{
	struct order order = {.quantity = 0};

	snprintf(order.id, sizeof(order.id), "%s", d->order_id);
	snprintf(order.user_id, sizeof(order.user_id), "%s", d->user_id);
	snprintf(
	    order.request_key, sizeof(order.request_key), "%s", d->request_key);
	if (d->order != NULL)
		order.quantity = d->order->quantity;
	order.reserved_at = uuid_time_ms(order.id);
	return order;
}

static enum err
resend(struct repair *r, const struct difference *d)
{
	struct order order = order_of(d);

	tell_order(r, "put back into the outbox", d);
	return r->dry_run ? ERR_OK
			  : session_resend(r->session, r->sale, &order);
}

static enum err
adopt(struct repair *r, const struct difference *d)
{
	struct order order = order_of(d);
	const char *state =
	    d->order->mysql != ORDER_ABSENT ? "confirmed" : "reserved";

	tell_order(r, "make known to Redis", d);
	return r->dry_run ? ERR_OK
			  : session_adopt(r->session, r->sale, &order, state);
}

static enum err
give_back(struct repair *r, const struct difference *d)
{
	tell_order(r, "give back the units of a parked order", d);
	return r->dry_run ? ERR_OK
			  : session_settle(
				r->session, r->sale.sku, d->order_id, "dead");
}

static enum err
leave_alone(struct repair *r, const struct difference *d)
{
	printf("%s  left for you (%s): ", r->sale.sku,
	    difference_kind_name(d->kind));
	difference_print(d);
	printf("\n");
	return ERR_OK;
}

/* One that Redis has made up from orders itself would be none. */
static enum err
define(struct repair *r, const struct difference *d)
{
	if (r->audit.is_undefined) {
		printf("%s  left for you (undefined): its limit and times are "
		       "lost; flashsale reset begins another sale\n",
		    r->sale.sku);
		return ERR_OK;
	}
	tell(r, "send the sale's definition, revision %" PRId64 ", once more",
	    d->expected);
	return r->dry_run ? ERR_OK : session_define(r->session, r->sale);
}

static enum err
tell_status(struct repair *r, const struct difference *d)
{
	enum order_state state = (enum order_state)d->order->mysql;
	const char *status = order_state_name(state);

	if (state != ORDER_CONFIRMED && state != ORDER_REJECTED)
		return leave_alone(r, d);
	tell(r, "tell Redis that it is %s: order %s of %s", status, d->order_id,
	    d->user_id);
	return r->dry_run ? ERR_OK
			  : session_settle(
				r->session, r->sale.sku, d->order_id, status);
}

static enum err
mend_request(struct repair *r, const struct difference *d)
{
	struct order order = order_of(d);
	bool is_lost = d->kind == DIFFERENCE_REQUEST;

	tell(r, "%s Idempotency-Key %s of %s: order %s",
	    is_lost ? "remember" : "forget", d->request_key, d->user_id,
	    d->order_id);
	return r->dry_run
		   ? ERR_OK
		   : session_mend_request(r->session, r->sale, is_lost, &order);
}

static enum err
recount(struct repair *r, const struct difference *d)
{
	bool changed;

	tell(r, "count anew what MySQL has sold: %" PRId64 ", not %" PRId64,
	    d->expected, d->found);
	return r->dry_run
		   ? ERR_OK
		   : ledger_recount(r->session->db, r->sale.sale_id, &changed);
}

/* What is on sale, or what a buyer holds. */
static enum err
mend_sum(struct repair *r, const struct difference *d)
{
	struct audit *a = &r->audit;
	int64_t units = d->expected - d->found;
	bool has_changed = false;
	enum err err;

	if (d->kind == DIFFERENCE_BUYER)
		tell(r, "correct what %s holds: %" PRId64 ", not %" PRId64,
		    d->user_id, d->expected, d->found);
	else if (units > 0)
		tell(r, "put %" PRId64 " units on sale again", units);
	else
		tell(r, "take %" PRId64 " units from sale", -units);
	if (r->dry_run)
		return ERR_OK;
	err = session_mend_sum(r->session, r->sale, a->mended, d->user_id,
	    units, d->expected, &has_changed);
	a->mended += has_changed;
	return err;
}

/* --- All of them --- */

struct mend {
	enum difference_kind kind;
	enum err (*mend)(struct repair *, const struct difference *);
};

/* In this order: the sale and MySQL's counter before an order is sent there
 * again, and orders before their keys. */
static const struct mend order_mends[] = {
    {DIFFERENCE_UNDEFINED, define},
    {DIFFERENCE_SOLD, recount},
    {DIFFERENCE_STATUS, tell_status},
    {DIFFERENCE_DEAD, give_back},
    {DIFFERENCE_UNKNOWN, adopt},
    {DIFFERENCE_REQUEST, mend_request},
    {DIFFERENCE_DANGLING, mend_request},
    {DIFFERENCE_LOST, resend},
};

/* The sums follow from the orders, so they come when those are mended. */
static const struct mend sum_mends[] = {
    {DIFFERENCE_BUYER, mend_sum},
    {DIFFERENCE_UNITS, mend_sum},
    {DIFFERENCE_CONTENT, leave_alone},
    {DIFFERENCE_KEY_TWICE, leave_alone},
    {DIFFERENCE_LIMIT, leave_alone},
    {DIFFERENCE_OVERSOLD, leave_alone},
    {DIFFERENCE_TERMS, leave_alone},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* All differences of these kinds; *n of them. */
static enum err
mend(struct repair *r, const struct mend *mends, size_t kinds, size_t *n,
    char why[WHY_SIZE])
{
	const struct audit *a = &r->audit;
	enum err err = ERR_OK;
	size_t i, kind;

	*n = 0;
	for (kind = 0; kind < kinds; kind++)
		for (i = 0; i < a->differences_n && err == ERR_OK; i++)
			if (a->differences[i].kind == mends[kind].kind) {
				err = mends[kind].mend(r, &a->differences[i]);
				++*n;
			}
	if (err != ERR_OK)
		snprintf(why, WHY_SIZE, "mending failed in the middle: %s",
		    err_name(err));
	return err;
}

/* --- One sale --- */

static void
wait_for_queue(struct repair *r)
{
	do
		survey_queue(r->session, &r->queue);
	while (!r->queue.is_outbox && !inspect_queue_is_empty(&r->queue) &&
	       clock_seconds() < r->until &&
	       session_sleep(r->session, LOOK_SECONDS));
}

static enum err
look(struct repair *r, const char *sku, char why[WHY_SIZE])
{
	enum err err;

	wait_for_queue(r);
	err = inspect_sale(r->session, sku, &r->audit, &r->queue, why);
	if (err != ERR_OK)
		return err;
	audit_judge(&r->audit);
	r->sale = (struct books_sale){sku, r->audit.sale.id};
	return ERR_OK;
}

static enum err
look_again(struct repair *r, const char *sku, char why[WHY_SIZE])
{
	audit_free(&r->audit);
	return look(r, sku, why);
}

/* Orders, then the sums as they are after that, then what is left. */
static enum err
mend_sale(struct repair *r, const char *sku, char why[WHY_SIZE])
{
	size_t orders, sums;
	enum err err = look(r, sku, why);

	if (err != ERR_OK || r->audit.differences_n == 0)
		return err;
	err = mend(r, order_mends, COUNT(order_mends), &orders, why);
	if (err == ERR_OK && orders > 0 && !r->dry_run)
		err = look_again(r, sku, why);
	if (err == ERR_OK)
		err = mend(r, sum_mends, COUNT(sum_mends), &sums, why);
	if (err == ERR_OK && sums > 0 && !r->dry_run)
		err = look_again(r, sku, why);
	return err;
}

static void
conclude(struct repair *r)
{
	const struct audit *a = &r->audit;

	if (a->in_queue > 0 || a->unexplained_units > 0)
		printf("%s  left alone, the queue is not empty: %" PRId64
		       " orders, %" PRId64 " units\n",
		    r->sale.sku, a->in_queue, a->unexplained_units);
	printf("%s  ", r->sale.sku);
	if (a->differences_n == 0)
		paint(stdout, GOOD, "balances\n");
	else
		paint(stdout, BAD, "%zu differences%s\n", a->differences_n,
		    r->dry_run ? "" : " are left");
}

/* A SKU that is only listed, and has no sale, is passed over. */
static int
repair_sale(struct repair *r, const char *sku, bool is_listed)
{
	char why[WHY_SIZE] = "";
	enum err err = mend_sale(r, sku, why);

	if (err == ERR_OK)
		conclude(r);
	r->left += err == ERR_OK ? r->audit.differences_n : 0;
	audit_free(&r->audit);
	if (err == ERR_NOT_FOUND && is_listed)
		return EXIT_FINE;
	return survey_exit_code(&command_repair, sku, err, why);
}

static int
repair(struct repair *r, const char *sku)
{
	struct sku_list list;
	enum err err = inspect_choose(r->session, sku, &list);
	int one, code = EXIT_FINE;
	size_t i;

	if (err != ERR_OK)
		return session_failed(err, "listing the sales");
	for (i = 0; i < list.n; i++) {
		one = repair_sale(r, list.skus[i], sku == NULL);
		code = code == EXIT_FINE ? one : code;
	}
	free(list.skus);
	return code == EXIT_FINE && r->left > 0 ? EXIT_FAILED : code;
}

static int
run_repair(const struct config *config, int argc, char **argv)
{
	struct session session;
	struct repair r = {.session = &session};
	const char *sku = NULL;
	int64_t wait = 30;
	int option, code;

	while ((option = getopt_long(argc, argv, "nh", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_repair);
		else if (option == 'n')
			r.dry_run = true;
		else if (option == 'w')
			wait = command_number(
			    &command_repair, "--wait", optarg, 0, 86400);
		else
			command_hint(&command_repair);
	}
	if (optind < argc)
		sku = command_sku(&command_repair, argc, argv, NULL);
	session_open_all(&session, config);
	r.until = clock_seconds() + (double)wait;
	code = repair(&r, sku);
	session_close(&session);
	return code;
}

const struct command command_repair = {
    "repair",
    "[SKU] [--dry-run] [--wait=SECONDS]",
    "Mend what verify names",
    "  -n, --dry-run      only tell what would be done\n"
    "  --wait=SECONDS     for the queue to become empty (30)\n",
    "Of all sales unless a SKU is named.  Sales may go on meanwhile; what may\n"
    "be on its way in the queue is left alone.  Exit 0 when the books balance\n"
    "afterwards, 1 when something is left, or with --dry-run to be done.\n"
    "Needs the worker's rights in MySQL.\n",
    run_repair,
};
