/*
 * GET /healthz: the process answers.  GET /readyz: Redis and SQS can be
 * reached, and nothing has to be rebuilt.  GET /metrics: Prometheus text.
 */
#include "clock.h"
#include "handlers.h"
#include "metrics.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"

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
	static const struct problem_detail nothing;
	bool redis_ok = redis_is_ready(r->redis);
	struct problem_detail d = {
	    .detail = "A part of the engine cannot be reached."};

	if (redis_ok && !r->complete) {
		problem_reply(x, PROBLEM_RECOVERING, &nothing);
		return;
	}
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
on_sqs_checked(void *arg)
{
	reply_readiness(arg);
}

static void
on_epoch(enum err err, bool complete, void *arg)
{
	struct exchange *x = arg;
	struct responder *r = x->responder;

	r->complete = err == ERR_OK && complete;
	responder_check_sqs(r, on_sqs_checked, x);
}

void
readyz_handle(struct exchange *x, const char *rest)
{
	const struct responder *r = x->responder;

	(void)rest;
	sale_check_epoch(r->redis, on_epoch, x);
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
