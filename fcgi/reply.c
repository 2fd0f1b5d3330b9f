#include "reply.h"

#include <stdio.h>

#include "clock.h"
#include "metrics.h"
#include "problem.h"

void
reply_json(struct exchange *x, int status, const char *headers, json_t *json,
    enum stat_id stat)
{
	static char body[REPLY_MAX];
	size_t n = 0;

	if (json != NULL)
		n = json_dumpb(json, body, sizeof(body) - 1,
		    JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(json);
	if (n == 0 || n >= sizeof(body)) {
		problem_reply(x, PROBLEM_INTERNAL, NULL);
		return;
	}
	body[n++] = '\n';
	metrics_add(stat, 1);
	metrics_observe(STAT_REQUEST_SECONDS, clock_seconds() - x->started);
	fastcgi_reply(x, status, "application/json", headers, body, n);
}

/* 0 stands for "no such time" inside, null says so outside. */
static json_t *
time_or_null(int64_t ms)
{
	return ms > 0 ? json_integer((json_int_t)ms) : json_null();
}

json_t *
reply_sale(const struct sale_view *view)
{
	const struct sale *sale = &view->sale;

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:o, s:o, "
			 "s:I, s:s}",
	    "sku", sale->sku, "name", sale->name, "saleId", sale->id,
	    "revision", (json_int_t)sale->revision, "remaining",
	    (json_int_t)view->remaining, "total", (json_int_t)sale->total,
	    "status", sale_status(view, clock_wall_ms()), "limit",
	    (json_int_t)sale->limit, "opensAt", time_or_null(sale->opens_at),
	    "closesAt", time_or_null(sale->closes_at), "priceMinor",
	    (json_int_t)sale->price_minor, "currency", sale->currency);
}
