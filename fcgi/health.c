/*
 * GET /healthz: the process answers.  GET /readyz: Redis and SQS can be
 * reached.  GET /metrics: Prometheus text.
 */
#include "clock.h"
#include "handlers.h"
#include "metrics.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"

#define SQS_CHECK_SECONDS 2.0 /* balancers ask often, and SQS calls cost */

void
healthz_handle(struct exchange *x, const char *rest)
{
	(void)rest;
	reply_json(x, 200, "Cache-Control: no-store\r\n",
	    json_pack("{s:s}", "status", "ok"), STAT_LOOKED);
}

static void
reply_readiness(struct exchange *x)
{
	const struct responder *r = x->responder;
	bool redis_ok = redis_is_ready(r->redis);
	struct problem_detail d = {
	    .detail = "A part of the engine cannot be reached."};

	if (redis_ok && r->sqs_ok) {
		reply_json(x, 200, "Cache-Control: no-store\r\n",
		    json_pack("{s:s, s:s, s:s}", "status", "ready", "redis",
			"ok", "sqs", "ok"),
		    STAT_LOOKED);
		return;
	}
	d.members = redis_ok ? ",\"redis\":\"ok\",\"sqs\":\"unavailable\""
		    : r->sqs_ok
			? ",\"redis\":\"unavailable\",\"sqs\":\"ok\""
			: ",\"redis\":\"unavailable\",\"sqs\":\"unavailable\"";
	problem_reply(x, PROBLEM_UNAVAILABLE, &d);
}

static void
on_sqs_checked(const struct sqs_result *result,
    const struct sqs_attributes *attributes, void *arg)
{
	struct exchange *x = arg;
	struct responder *r = x->responder;

	(void)attributes;
	r->sqs_ok = result->err == ERR_OK;
	r->sqs_seen = clock_seconds();
	reply_readiness(x);
}

void
readyz_handle(struct exchange *x, const char *rest)
{
	struct responder *r = x->responder;

	(void)rest;
	if (r->sqs_ok && sender_is_well(r->sender) &&
	    clock_seconds() - r->sqs_seen < SQS_CHECK_SECONDS)
		reply_readiness(x);
	else
		sqs_get_queue_attributes(r->sqs, on_sqs_checked, x);
}

void
metrics_handle(struct exchange *x, const char *rest)
{
	static const struct problem_detail nothing;
	static char page[REPLY_MAX];
	size_t len;

	(void)rest;
	if (metrics_render(page, sizeof(page), &len) != ERR_OK) {
		problem_reply(x, PROBLEM_INTERNAL, &nothing);
		return;
	}
	fastcgi_reply(x, 200, "text/plain; version=0.0.4",
	    "Cache-Control: no-store\r\n", page, len);
}
