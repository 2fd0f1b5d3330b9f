/*
 * POST /reset and /reset-stock/{n}: a new sale of a SKU, for whoever has the
 * admin token.  What the body does not name stays as in the sale before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "gate.h"
#include "handlers.h"
#include "log.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"
#include "sale.h"

struct reset {
	char sku[SKU_MAX + 1];
	char name[NAME_MAX_BYTES + 1];
	char currency[4];
	struct sale_change change;
};

/* A sale that is to be opened, and who wants it. */
struct wish {
	struct exchange *exchange;
	struct reset reset;
};

/* A sale that is open, and who wants to hear of it. */
struct opened {
	struct exchange *exchange;
	struct sale_view view;
};

static void
on_gates_open(void *arg)
{
	struct opened *o = arg;

	reply_json(o->exchange, 200, "Cache-Control: no-store\r\n",
	    reply_sale(&o->view), STAT_ADMIN);
	free(o);
}

/* The worker learns of the sale by the same way as of orders. */
static void
on_opened(enum err err, const struct sale_view *view,
    const struct outbox_entry *entry, void *arg)
{
	struct exchange *x = arg;
	struct responder *responder = x->responder;
	struct opened *o = malloc(sizeof(*o));

	if (err == ERR_BAD_INPUT) {
		free(o);
		body_refuse(x, "limit",
		    "is needed, as are name, opensAt and closesAt: those of "
		    "the sale before are lost");
		return;
	}
	if (err != ERR_OK || o == NULL) {
		free(o);
		problem_reply(x, PROBLEM_UNAVAILABLE, NULL);
		return;
	}
	log_info("sale %s of %s opened with %lld units", view->sale.id,
	    view->sale.sku, (long long)view->sale.total);
	if (responder->sender != NULL)
		sender_submit(responder->sender, entry, NULL, NULL);
	*o = (struct opened){x, *view};
	gate_wait(responder->loop, responder->redis, view->sale.sku,
	    on_gates_open, o);
}

static void
open_sale(struct exchange *x, struct reset *reset)
{
	const struct responder *responder = x->responder;
	struct sale_change *change = &reset->change;

	change->sku = reset->sku;
	change->name = reset->name[0] != '\0' ? reset->name : NULL;
	change->currency = reset->currency[0] != '\0' ? reset->currency : NULL;
	sale_open(responder->redis, change, false, on_opened, x);
}

/* While the sale before is being rebuilt, nobody knows what "as before" is.
 * One that is damaged may be reset: that is a way to mend it. */
static void
on_seen(enum err err, const struct sale_view *view, void *arg)
{
	struct wish *wish = arg;

	if (err == ERR_OK && view->recovering)
		err = ERR_RECOVERING;
	if (err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_REFUSED)
		open_sale(wish->exchange, &wish->reset);
	else
		problem_reply_failure(wish->exchange, err, PROBLEM_UNAVAILABLE);
	free(wish);
}

static void
reset_sale(struct exchange *x, const struct reset *reset)
{
	const struct responder *responder = x->responder;
	struct wish *wish = malloc(sizeof(*wish));

	if (wish == NULL) {
		problem_reply(x, PROBLEM_UNAVAILABLE, NULL);
		return;
	}
	*wish = (struct wish){x, *reset};
	sale_look(responder->redis, reset->sku, on_seen, wish);
}

static void
reset_init(struct reset *reset, const struct exchange *x)
{
	const struct responder *responder = x->responder;

	memset(reset, 0, sizeof(*reset));
	snprintf(reset->sku, sizeof(reset->sku), "%s",
	    responder->config->default_sku);
	reset->change.limit = reset->change.opens_at = -1;
	reset->change.closes_at = reset->change.price_minor = -1;
}

static void
read_fields(struct body_reader *body, struct reset *reset)
{
	struct sale_change *change = &reset->change;

	body_text(body, "sku", false, sku_is_valid,
	    "must be 1 to 64 of A-Z a-z 0-9 . _ -, not only dots", reset->sku,
	    sizeof(reset->sku));
	body_integer(body, "stock", true, 0, UNITS_MAX, &change->stock);
	body_text(body, "name", false, sale_name_is_valid,
	    "must be 1 to 200 bytes without control characters", reset->name,
	    sizeof(reset->name));
	body_integer(body, "limit", false, 0, UNITS_MAX, &change->limit);
	body_integer(body, "opensAt", false, 0, TIME_MAX, &change->opens_at);
	body_integer(body, "closesAt", false, 0, TIME_MAX, &change->closes_at);
	body_integer(
	    body, "priceMinor", false, 0, PRICE_MAX, &change->price_minor);
	if (change->closes_at > 0 && change->closes_at <= change->opens_at)
		body_mark_bad(body, "closesAt", "must be after opensAt");
	body_text(body, "currency", false, currency_is_valid,
	    "must be three capital letters", reset->currency,
	    sizeof(reset->currency));
}

void
reset_handle(struct exchange *x, const char *rest)
{
	json_t *json = body_parse(x);
	struct body_reader body = {.json = json};
	struct reset reset;

	(void)rest;
	if (json == NULL)
		return;
	reset_init(&reset, x);
	read_fields(&body, &reset);
	if (body_is_good(&body, x))
		reset_sale(x, &reset);
	json_decref(json);
}

void
reset_stock_handle(struct exchange *x, const char *units)
{
	struct reset reset;
	char *end;

	reset_init(&reset, x);
	reset.change.stock = strtol(units, &end, 10);
	if (units[0] < '0' || units[0] > '9' || *end != '\0' ||
	    reset.change.stock > UNITS_MAX) {
		body_refuse(x, "stock",
		    "must be an integer from 0 to "
		    "1000000000");
		return;
	}
	reset_sale(x, &reset);
}
