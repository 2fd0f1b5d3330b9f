/* GET /stock: what is left.  The web server may keep the answer a second. */
#include <string.h>

#include "handlers.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"
#include "sale.h"

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	struct exchange *x = arg;

	if (err == ERR_OK)
		reply_json(
		    x, 200, REPLY_A_SECOND_OLD, reply_sale(view), STAT_LOOKED);
	else
		problem_reply_failure(x, err, PROBLEM_NO_SUCH_SALE);
}

void
stock_handle(struct exchange *x, const char *sku)
{
	struct responder *responder = x->responder;

	if (sku[0] == '\0')
		sku = responder->config->default_sku;
	if (sku_is_valid(sku, strlen(sku)))
		sale_look(responder->redis, sku, on_view, x);
	else
		problem_reply(x, PROBLEM_NO_SUCH_SALE, NULL);
}
