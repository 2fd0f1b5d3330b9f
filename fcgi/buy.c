/*
 * POST /buy: the journey of an order, top to bottom.
 *
 *   request -> reservation (Redis) -> send (SQS) -> reply
 *
 * From the reservation on the order is safe: its outbox entry was written in
 * the same step.  Whether SQS takes it now or the keeper sends it later only
 * decides between "queued" and "reserved" in the answer.  With QUEUE=redis the
 * outbox is the queue, and there is nothing to send.
 */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "clock.h"
#include "failpoint.h"
#include "handlers.h"
#include "metrics.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"
#include "stats.h"
#include "text.h"

#define USER_RULE "must be 1 to 128 printable ASCII characters, no space"

/* An order on its way to SQS, and who waits for the answer. */
struct purchase {
	struct exchange *exchange;
	struct order order;
	int64_t remaining;
};

static bool read_order(struct exchange *, struct order *);
static void on_reserved(const struct reservation *, void *exchange);
static void send_order(struct exchange *, const struct reservation *);
static void on_sent(bool queued, void *purchase);
static void reply_accepted(struct exchange *, const struct order *,
    const char *status, int64_t remaining, enum stat_id);
static void reply_refused(struct exchange *, const struct reservation *);

/* --- 1. The request --- */

void
buy_handle(struct exchange *x, const char *sku)
{
	struct responder *responder = x->responder;
	struct order order = {.quantity = 1};

	if (sku[0] == '\0')
		sku = responder->config->default_sku;
	if (!sku_is_valid(sku, strlen(sku))) {
		problem_reply(x, PROBLEM_NO_SUCH_SALE, NULL);
		return;
	}
	if (!read_order(x, &order))
		return;
	memcpy(order.sku, sku, strlen(sku) + 1);
	uuid_v7(order.id);
	reservations_ask(responder->reservations, &order, on_reserved, x);
}

static bool
read_request_key(struct exchange *x, struct order *order)
{
	size_t len = strlen(x->idempotency_key);

	if (len > 0 && !request_key_is_valid(x->idempotency_key, len)) {
		body_refuse(x, "Idempotency-Key", USER_RULE);
		return false;
	}
	memcpy(order->request_key, x->idempotency_key, len + 1);
	return true;
}

/* False after a reply: the request cannot be meant seriously. */
static bool
read_order(struct exchange *x, struct order *order)
{
	json_t *json = body_parse(x);
	struct body_reader body = {.json = json};
	bool good;

	if (json == NULL)
		return false;
	body_text(&body, "userId", true, user_id_is_valid, USER_RULE,
	    order->user_id, sizeof(order->user_id));
	body_integer(
	    &body, "quantity", false, 1, QUANTITY_MAX, &order->quantity);
	good = body_is_good(&body, x);
	json_decref(json);
	return good && read_request_key(x, order);
}

/* --- 2. Reserved, or refused --- */

static void
accept_order(struct exchange *x, const struct reservation *r)
{
	struct responder *responder = x->responder;

	FAILPOINT("fcgi_reserved");
	metrics_add(STAT_UNITS, r->order.quantity);
	if (responder->sender == NULL)
		reply_accepted(
		    x, &r->order, "queued", r->remaining, STAT_QUEUED);
	else
		send_order(x, r);
}

static void
on_reserved(const struct reservation *r, void *arg)
{
	struct exchange *x = arg;

	if (r->outcome == RESERVE_OK)
		accept_order(x, r);
	else if (r->outcome == RESERVE_REPLAYED)
		reply_accepted(x, &r->order,
		    responder_order_status(x->responder, r->state),
		    r->remaining, STAT_REPLAYED);
	else if (r->outcome == RESERVE_KEY_REUSED)
		body_refuse(x, "Idempotency-Key",
		    "was used before by this buyer for another quantity");
	else
		reply_refused(x, r);
}

/* --- 3. Sent, or kept in the outbox --- */

static void
send_order(struct exchange *x, const struct reservation *r)
{
	struct responder *responder = x->responder;
	struct outbox_entry entry = {
	    .message = {.type = MESSAGE_ORDER, .order = r->order}};
	struct purchase *p = malloc(sizeof(*p));

	memcpy(entry.id, r->entry_id, sizeof(entry.id));
	if (p == NULL) { /* the keeper sends it */
		reply_accepted(
		    x, &r->order, "reserved", r->remaining, STAT_RESERVED);
		return;
	}
	*p = (struct purchase){x, r->order, r->remaining};
	sender_submit(responder->sender, &entry, on_sent, p);
}

static void
on_sent(bool queued, void *arg)
{
	struct purchase *p = arg;

	reply_accepted(p->exchange, &p->order, queued ? "queued" : "reserved",
	    p->remaining, queued ? STAT_QUEUED : STAT_RESERVED);
	free(p);
}

/* --- 4. Reply --- */

static void
reply_accepted(struct exchange *x, const struct order *order,
    const char *status, int64_t remaining, enum stat_id stat)
{
	char headers_buf[256], body_buf[512];
	struct text headers, body;

	text_begin(&headers, headers_buf, sizeof(headers_buf));
	text_add(&headers, "Location: /orders/");
	text_add(&headers, order->sku);
	text_add(&headers, "/");
	text_add(&headers, order->id);
	text_add(&headers, "\r\nCache-Control: no-store\r\n");
	if (stat == STAT_REPLAYED)
		text_add(&headers, "Idempotency-Replayed: true\r\n");
	text_begin(&body, body_buf, sizeof(body_buf));
	text_add(&body, "{\"status\":\"");
	text_add(&body, status);
	text_add(&body, "\"");
	text_add_member(&body, "orderId", order->id);
	text_add_member(&body, "sku", order->sku);
	text_add_number_member(&body, "quantity", order->quantity);
	text_add_number_member(&body, "remaining", remaining);
	text_add(&body, "}\n");
	metrics_add(stat, 1);
	metrics_observe(STAT_REQUEST_SECONDS, clock_seconds() - x->started);
	fastcgi_reply(
	    x, 202, "application/json", headers_buf, body_buf, text_len(&body));
}

static void
reply_refused(struct exchange *x, const struct reservation *r)
{
	static const enum problem problems[] = {
	    [RESERVE_SOLD_OUT] = PROBLEM_SOLD_OUT,
	    [RESERVE_LIMIT_REACHED] = PROBLEM_LIMIT_REACHED,
	    [RESERVE_NOT_OPEN] = PROBLEM_NOT_OPEN,
	    [RESERVE_CLOSED] = PROBLEM_CLOSED,
	    [RESERVE_PAUSED] = PROBLEM_PAUSED,
	    [RESERVE_NO_SALE] = PROBLEM_NO_SUCH_SALE,
	    [RESERVE_RECOVERING] = PROBLEM_RECOVERING,
	    [RESERVE_UNAVAILABLE] = PROBLEM_UNAVAILABLE,
	    [RESERVE_UNKNOWN] = PROBLEM_UNAVAILABLE,
	};
	const struct problem_detail d = {.sku = r->order.sku,
	    .remaining = r->remaining,
	    .limit = r->limit,
	    .opens_at = r->opens_at};

	problem_reply(x, problems[r->outcome], &d);
}
