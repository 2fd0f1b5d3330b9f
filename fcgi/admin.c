/*
 * What the dashboard needs beyond /reset, for whoever has the admin token.
 * GET /admin/stats: every number that moves, of all responders of this host,
 * in one answer.  POST /admin/state/{sku}: pause, resume or close a sale.
 */
#include <string.h>

#include "body.h"
#include "clock.h"
#include "handlers.h"
#include "log.h"
#include "metrics.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"
#include "sale.h"
#include "sales.h"

/* --- GET /admin/stats --- */

static json_t *
count_requests(void)
{
	json_t *counts = json_object();

	for (unsigned id = STAT_QUEUED; id <= STAT_PROBLEM_LAST; id++) {
		char outcome[OUTCOME_SIZE];

		stats_outcome(id, outcome);
		json_object_set_new(
		    counts, outcome, json_integer((json_int_t)metrics_sum(id)));
	}
	return counts;
}

/* Bounds in seconds, and what was observed up to each and beyond the last;
 * not cumulative. */
static json_t *
count_latency(unsigned id)
{
	json_t *bounds = json_array(), *counts = json_array();
	int64_t buckets[METRICS_BUCKETS];

	metrics_buckets(id, buckets);
	for (size_t i = 0; i < METRICS_BUCKETS; i++)
		json_array_append_new(
		    counts, json_integer((json_int_t)buckets[i]));
	for (size_t i = 0; i + 1 < METRICS_BUCKETS; i++)
		json_array_append_new(bounds, json_real(metrics_bound(i)));
	return json_pack("{s:o, s:o}", "bounds", bounds, "counts", counts);
}

/* As the last look said, which is a few seconds old; null = not known. */
static json_t *
describe_queue(const struct responder *r)
{
	const struct sqs_attributes *q = &r->queue;

	if (r->sqs == NULL || !r->sqs_ok)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "visible", (json_int_t)q->visible,
	    "inFlight", (json_int_t)q->in_flight, "delayed",
	    (json_int_t)q->delayed);
}

static json_t *
describe_sale(const struct sale_view *view)
{
	json_t *sale = reply_sale(view);

	json_object_set_new(
	    sale, "confirmed", json_integer((json_int_t)view->confirmed));
	json_object_set_new(
	    sale, "outbox", json_integer((json_int_t)view->outbox));
	return sale;
}

static void
on_sales(enum err err, const struct sale_view *sales, size_t n, void *arg)
{
	struct exchange *x = arg;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, describe_sale(&sales[i]));
	reply_json(x, 200, "Cache-Control: no-store\r\n",
	    json_pack("{s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "now",
		(json_int_t)clock_wall_ms(), "redis",
		err == ERR_OK		? "ok"
		: err == ERR_RECOVERING ? "recovering"
					: "unavailable",
		"queue", describe_queue(x->responder), "requests",
		count_requests(), "latency",
		count_latency(STAT_REQUEST_SECONDS), "sent",
		(json_int_t)metrics_sum(STAT_SENT), "sendFailures",
		(json_int_t)metrics_sum(STAT_SEND_FAILURES), "connections",
		(json_int_t)metrics_sum(STAT_CONNECTIONS), "sales", list),
	    STAT_ADMIN);
}

static void
on_queue_seen(void *arg)
{
	struct exchange *x = arg;
	const struct responder *r = x->responder;

	sales_look(r->redis, on_sales, x);
}

/* An SQS that hangs is waited for once, and then no more: the rest of the
 * numbers is wanted just then. */
void
admin_stats_handle(struct exchange *x, const char *rest)
{
	struct responder *r = x->responder;

	(void)rest;
	if (r->sqs_ok) {
		responder_check_sqs(r, on_queue_seen, x);
		return;
	}
	responder_check_sqs(r, NULL, NULL);
	on_queue_seen(x);
}

/* --- POST /admin/state/{sku} --- */

static const char *
sku_of(const struct exchange *x)
{
	return x->path + strlen("/admin/state/");
}

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	struct exchange *x = arg;

	if (err != ERR_OK) {
		problem_reply_failure(x, err, PROBLEM_NO_SUCH_SALE);
		return;
	}
	log_info("sale %s of %s is %s now", view->sale.id, view->sale.sku,
	    sale_state_name(view->sale.state));
	reply_json(x, 200, "Cache-Control: no-store\r\n", reply_sale(view),
	    STAT_ADMIN);
}

static void
on_state_set(enum err err, void *arg)
{
	struct exchange *x = arg;
	const struct responder *r = x->responder;

	if (err == ERR_OK)
		sale_look(r->redis, sku_of(x), on_view, x);
	else if (err == ERR_BAD_INPUT)
		body_refuse(x, "state",
		    "cannot be set: limit and times of this sale are lost; "
		    "reset it with all of them");
	else
		problem_reply_failure(x, err, PROBLEM_NO_SUCH_SALE);
}

static bool
state_is_valid(const char *text, size_t len)
{
	enum sale_state state;

	(void)len;
	return sale_state_parse(text, &state);
}

void
admin_state_handle(struct exchange *x, const char *sku)
{
	const struct responder *r = x->responder;
	struct body_reader body;
	json_t *json;
	char name[sizeof("paused")] = "";
	enum sale_state state;

	if (!sku_is_valid(sku, strlen(sku))) {
		problem_reply(x, PROBLEM_NO_SUCH_SALE, NULL);
		return;
	}
	if ((json = body_parse(x)) == NULL)
		return;
	body = (struct body_reader){.json = json};
	body_text(&body, "state", true, state_is_valid,
	    "must be open, paused or closed", name, sizeof(name));
	if (body_is_good(&body, x) && sale_state_parse(name, &state))
		sale_set_state(r->redis, sku, state, on_state_set, x);
	json_decref(json);
}
