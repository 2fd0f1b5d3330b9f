/*
 * GET /healthz: the process answers.  GET /readyz: Redis and SQS (if orders
 * go there) can be reached, and nothing has to be rebuilt.  GET /metrics:
 * Prometheus text.
 */
#include <stdio.h>

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

static const char *
name_state(bool ok)
{
	return ok ? "ok" : "unavailable";
}

static void
reply_readiness(struct exchange *x)
{
	const struct responder *r = x->responder;
	bool redis_ok = redis_is_ready(r->redis);
	bool has_sqs = r->sqs != NULL;
	char members[64];
	struct problem_detail d = {
	    .detail = "A part of the engine cannot be reached.",
	    .members = members};

	if (redis_ok && !r->complete) {
		problem_reply(x, PROBLEM_RECOVERING, NULL);
		return;
	}
	if (redis_ok && (r->sqs_ok || !has_sqs)) {
		reply_json(x, 200, "Cache-Control: no-store\r\n",
		    json_pack("{s:s, s:s, s:s*}", "status", "ready", "redis",
			"ok", "sqs", has_sqs ? "ok" : NULL),
		    STAT_LOOKED);
		return;
	}
	snprintf(members, sizeof(members), ",\"redis\":\"%s\"%s%s%s",
	    name_state(redis_ok), has_sqs ? ",\"sqs\":\"" : "",
	    has_sqs ? name_state(r->sqs_ok) : "", has_sqs ? "\"" : "");
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
	static char page[REPLY_MAX];
	size_t len;

	(void)rest;
	if (metrics_render(page, sizeof(page), &len) != ERR_OK) {
		problem_reply(x, PROBLEM_INTERNAL, NULL);
		return;
	}
	fastcgi_reply(x, 200, "text/plain; version=0.0.4",
	    "Cache-Control: no-store\r\n", page, len);
}
