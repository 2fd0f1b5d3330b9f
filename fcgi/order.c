/* GET /orders/{sku}/{orderId}: how far an order has come. */
#include <stdio.h>
#include <string.h>

#include "handlers.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"
#include "sale.h"

static void
on_order(enum err err, const struct order_view *order, void *arg)
{
	struct exchange *x = arg;
	const char *path = x->path + strlen("/orders/");
	const char *slash = strchr(path, '/');

	if (err != ERR_OK) {
		problem_reply_failure(x, err, PROBLEM_NO_SUCH_ORDER);
		return;
	}
	/* Not whose it is: the id may have been overheard. */
	reply_json(x, 200, "Cache-Control: no-store\r\n",
	    json_pack("{s:s, s:s%, s:s, s:I}", "orderId", slash + 1, "sku",
		path, (size_t)(slash - path), "status",
		responder_order_status(x->responder, order->state), "quantity",
		(json_int_t)order->quantity),
	    STAT_LOOKED);
}

void
order_handle(struct exchange *x, const char *sku_and_order)
{
	struct responder *responder = x->responder;
	const char *slash = strchr(sku_and_order, '/');
	char sku[SKU_MAX + 1];
	size_t len;

	if (slash == NULL) {
		problem_reply(x, PROBLEM_NOT_FOUND, NULL);
		return;
	}
	len = (size_t)(slash - sku_and_order);
	if (!sku_is_valid(sku_and_order, len) ||
	    !uuid_is_valid(slash + 1, strlen(slash + 1))) {
		problem_reply(x, PROBLEM_NO_SUCH_ORDER, NULL);
		return;
	}
	snprintf(sku, sizeof(sku), "%.*s", (int)len, sku_and_order);
	sale_find_order(responder->redis, sku, slash + 1, on_order, x);
}
