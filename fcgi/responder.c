/*
 * A responder's life: connect, serve, drain.  It starts without waiting for
 * Redis or SQS; what needs them is answered 503 until they are there.
 */
#include "responder.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "pool.h"
#include "redis_url.h"
#include "route.h"
#include "stats.h"

#define GAUGE_TICK 1.0 /* seconds */
/* The first call on a connection is many times slower than the next ones, and
 * idle ones are closed after about two minutes: keep one warm. */
#define WARM_TICK 60.0

static void
on_drained(void *arg)
{
	struct responder *r = arg;

	ev_break(r->loop, EVBREAK_ALL);
}

static void
on_asked_to_leave(void *arg)
{
	struct responder *r = arg;

	fastcgi_drain(r->edge);
}

static void
on_gauge_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct responder *r = timer->data;

	(void)loop;
	(void)events;
	metrics_set(STAT_CONNECTIONS, fastcgi_connections(r->edge));
}

/* --- Watching SQS --- */

static void
on_sqs_checked(const struct sqs_result *result,
    const struct sqs_attributes *attributes, void *arg)
{
	struct responder *r = arg;
	bool ok = result->err == ERR_OK;

	(void)attributes;
	if (!ok && (r->sqs_ok || r->sqs_seen == 0))
		log_warn("sqs: %s %s %s", err_name(result->err), result->code,
		    result->message);
	else if (ok && !r->sqs_ok)
		log_info("sqs: the queue answers");
	r->sqs_ok = ok;
	r->sqs_seen = clock_seconds();
}

static void
on_warm_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct responder *r = timer->data;

	(void)loop;
	(void)events;
	sqs_get_queue_attributes(r->sqs, on_sqs_checked, r);
}

/* --- Life --- */

enum err
responder_check(const struct config *config, char *why, size_t size)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct redis_address address;
	struct sqs *sqs = NULL;
	enum err err;

	err = redis_url_parse(config->redis_url, &address, why, size);
	if (err == ERR_OK)
		err = sqs_new(
		    &sqs, loop, config, config->sqs_queue_url, 1, why, size);
	if (err == ERR_OK)
		sqs_free(sqs);
	ev_loop_destroy(loop);
	return err;
}

static void
connect_parts(struct responder *r, const struct responder_options *options)
{
	const struct config *config = options->config;
	struct fastcgi_options edge = {.listen_fd = options->listen_fd,
	    .handover = {options->handover[0], options->handover[1]},
	    .max_connections = config->max_connections,
	    .handler = route_request,
	    .responder = r,
	    .drained = on_drained};
	char why[256] = "out of memory";

	r->loop = ev_loop_new(EVFLAG_AUTO);
	r->config = config;
	if (redis_new(&r->redis, r->loop, config->redis_url,
		config->redis_timeout_ms, why, sizeof(why)) != ERR_OK ||
	    sqs_new(&r->sqs, r->loop, config, config->sqs_queue_url,
		config->send_concurrency, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	r->sender = sender_new(r->loop, r->sqs, r->redis, config);
	if (fastcgi_new(&r->edge, r->loop, &edge) != ERR_OK)
		fatal(EXIT_OSERR, "cannot serve the listening socket");
}

int
responder_run(const struct responder_options *options)
{
	struct responder responder = {.sqs_ok = false}, *r = &responder;
	ev_timer gauges, warm;

	srand48(getpid()); /* only jitter of back-off depends on it */
	connect_parts(r, options);
	pool_watch_parent(r->loop, on_asked_to_leave, r);
	ev_timer_init(&gauges, on_gauge_tick, GAUGE_TICK, GAUGE_TICK);
	ev_timer_init(&warm, on_warm_tick, 0., WARM_TICK);
	gauges.data = warm.data = r;
	ev_timer_start(r->loop, &gauges);
	ev_timer_start(r->loop, &warm);
	ev_run(r->loop, 0);
	metrics_set(STAT_CONNECTIONS, 0);
	metrics_set(STAT_SENDS_IN_FLIGHT, 0);
	fastcgi_free(r->edge);
	sender_free(r->sender);
	sqs_free(r->sqs);
	redis_free(r->redis);
	return EXIT_FINE;
}
