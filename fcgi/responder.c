/*
 * A responder's life: connect, serve, drain.  It starts without waiting for
 * Redis or SQS; what needs them is answered 503 until they are there.
 */
#define _GNU_SOURCE /* SCHED_BATCH */
#include "responder.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "pool.h"
#include "redis_url.h"
#include "route.h"
#include "stats.h"

#define TICK 1.0 /* seconds */

/*
 * How often SQS is looked at, in seconds.  The first call on a connection is
 * many times slower than the next ones, and idle ones are closed after about
 * two minutes: so one is kept warm.  When SQS is away, who finds out that it
 * is back should not be a buyer.
 */
#define CHECK_WELL 60.0
#define CHECK_UNWELL 2.0

/* A responder that starts takes no connection before Redis is there, or a
 * reload would answer 503; but it does not wait for a Redis that is down. */
#define REDIS_PATIENCE 1.0
#define SHORT_TICK 0.005

/* Descriptors for Redis, logs, event loops, name look-ups... */
#define OTHER_DESCRIPTORS 24
/* With fewer connections than that a responder is no use. */
#define LEAST_CONNECTIONS 16

/* --- Watching SQS --- */

static void
on_sqs_checked(const struct sqs_result *result,
    const struct sqs_attributes *attributes, void *arg)
{
	struct responder *r = arg;
	bool ok = result->err == ERR_OK;

	if (ok)
		r->queue = *attributes;
	if (!ok && (r->sqs_ok || r->sqs_seen == 0))
		log_warn("sqs: %s%s%s: %s", err_name(result->err),
		    result->code[0] == '\0' ? "" : " ", result->code,
		    result->message);
	else if (ok && !r->sqs_ok)
		log_info("sqs: the queue answers");
	if (ok)
		sender_trust(r->sender);
	r->sqs_ok = ok;
	r->sqs_seen = clock_seconds();
	r->checking = false;
	if (r->checked != NULL)
		r->checked(r->checked_arg);
	r->checked = NULL;
}

void
responder_check_sqs(struct responder *r, void (*fn)(void *), void *arg)
{
	if (r->sqs == NULL || r->checking ||
	    (r->sqs_seen != 0 &&
		clock_seconds() - r->sqs_seen < CHECK_UNWELL)) {
		if (fn != NULL)
			fn(arg);
		return;
	}
	r->checking = true;
	r->checked = fn;
	r->checked_arg = arg;
	sqs_get_queue_attributes(r->sqs, on_sqs_checked, r);
}

const char *
responder_order_status(const struct responder *r, const char *state)
{
	return r->sender == NULL && strcmp(state, "reserved") == 0 ? "queued"
								   : state;
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct responder *r = timer->data;

	(void)loop;
	(void)events;
	metrics_set(STAT_CONNECTIONS, fastcgi_connections(r->edge));
	if (r->sqs != NULL && (!r->sqs_ok || !sender_is_well(r->sender) ||
				  clock_seconds() - r->sqs_seen > CHECK_WELL))
		responder_check_sqs(r, NULL, NULL);
}

/* --- Leaving --- */

/* No buyer waits any more; but what SQS is about to acknowledge should also
 * leave the outbox. */
static void
on_last_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct responder *r = timer->data;

	(void)events;
	if ((r->sender == NULL || sender_pending(r->sender) == 0) &&
	    redis_is_idle(r->redis))
		ev_break(loop, EVBREAK_ALL);
}

static void
on_drained(void *arg)
{
	struct responder *r = arg;

	ev_timer_stop(r->loop, &r->tick);
	ev_timer_init(&r->tick, on_last_tick, 0., SHORT_TICK);
	ev_timer_start(r->loop, &r->tick);
}

static void
on_asked_to_leave(void *arg)
{
	struct responder *r = arg;

	fastcgi_drain(r->edge, pool_goes_on());
}

/* --- Starting --- */

static void
on_patience_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct responder *r = timer->data;

	(void)events;
	if (redis_is_ready(r->redis) || clock_seconds() > r->patient_until)
		ev_break(loop, EVBREAK_ALL);
}

static void
wait_for_redis(struct responder *r)
{
	ev_timer tick;

	r->patient_until = clock_seconds() + REDIS_PATIENCE;
	ev_timer_init(&tick, on_patience_tick, 0., SHORT_TICK);
	tick.data = r;
	ev_timer_start(r->loop, &tick);
	ev_run(r->loop, 0);
	ev_timer_stop(r->loop, &tick);
}

/*
 * As many connections as there are descriptors for.  Did they take the last
 * one, a lost connection to Redis could not be made again.
 */
static unsigned
count_affordable(const struct config *config)
{
	unsigned needed = config->send_concurrency + OTHER_DESCRIPTORS;
	unsigned wanted = config->max_connections;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur >= (rlim_t)wanted + needed)
		return wanted;
	return limit.rlim_cur > needed ? (unsigned)limit.rlim_cur - needed : 0;
}

static enum err
check_descriptors(const struct config *config, char *why, size_t size)
{
	unsigned n = count_affordable(config);

	if (n >= LEAST_CONNECTIONS)
		return ERR_OK;
	snprintf(why, size,
	    "MAX_CONNECTIONS=%u: the limit of file descriptors leaves %u; "
	    "raise it to %u (LimitNOFILE in the systemd unit, or ulimit -n)",
	    config->max_connections, n,
	    config->max_connections + config->send_concurrency +
		OTHER_DESCRIPTORS);
	return ERR_UNAVAILABLE;
}

enum err
responder_check(const struct config *config, char *why, size_t size)
{
	struct redis_url url;
	enum err err;

	err = check_descriptors(config, why, size);
	if (err == ERR_OK)
		err = redis_url_parse(config->redis_url, &url, why, size);
	if (err != ERR_OK || config->queue != QUEUE_SQS)
		return err;
	return sqs_check(config, config->sqs_queue_url, why, size);
}

static unsigned
limit_connections(const struct config *config)
{
	unsigned n = count_affordable(config);

	if (n < config->max_connections)
		log_warn("the limit of file descriptors allows %u of %u "
			 "connections (raise LimitNOFILE)",
		    n, config->max_connections);
	return n;
}

static void
connect_queue(struct responder *r)
{
	const struct config *config = r->config;
	char why[256] = "out of memory";

	if (sqs_new(&r->sqs, r->loop, config, config->sqs_queue_url,
		config->send_concurrency, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	r->sender = sender_new(r->loop, r->sqs, r->redis, config);
}

static void
connect_parts(struct responder *r, const struct responder_options *options)
{
	const struct config *config = options->config;
	struct fastcgi_options edge = {.listen_fd = options->listen_fd,
	    .handover = {options->handover[0], options->handover[1]},
	    .max_connections = limit_connections(config),
	    .handler = route_request,
	    .responder = r,
	    .drained = on_drained};
	char why[256] = "out of memory";

	r->loop = pool_new_loop();
	r->config = config;
	if (redis_new(&r->redis, r->loop, config->redis_url,
		config->redis_timeout_ms, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	if (!config->recovery)
		redis_trust(r->redis);
	r->reservations = reservations_new(r->loop, r->redis);
	if (r->reservations == NULL)
		fatal(EXIT_OSERR, "out of memory");
	if (config->queue == QUEUE_SQS)
		connect_queue(r);
	wait_for_redis(r);
	if (fastcgi_new(&r->edge, r->loop, &edge) != ERR_OK)
		fatal(EXIT_OSERR, "cannot serve the listening socket");
}

/*
 * On a busy machine do not interrupt the web server each time that it hands
 * over a request, but when it has handed over all that it had: one turn of
 * the loop, one write to Redis and one wake-up then serve them together.
 * Idle cores are taken at once as before.  An operator's own choice of a
 * policy stays.  See sched(7).
 */
static void
yield_to_web_server(void)
{
	static const struct sched_param none;

	if (sched_getscheduler(0) == SCHED_OTHER)
		sched_setscheduler(0, SCHED_BATCH, &none);
}

int
responder_run(const struct responder_options *options)
{
	struct responder responder = {.sqs_ok = false}, *r = &responder;

	yield_to_web_server();
	srand48(getpid()); /* only jitter of back-off depends on it */
	connect_parts(r, options);
	pool_watch_parent(r->loop, on_asked_to_leave, r);
	ev_timer_init(&r->tick, on_tick, 0., TICK);
	r->tick.data = r;
	ev_timer_start(r->loop, &r->tick);
	ev_run(r->loop, 0);
	metrics_set(STAT_CONNECTIONS, 0);
	metrics_set(STAT_SENDS_IN_FLIGHT, 0);
	fastcgi_free(r->edge);
	sender_free(r->sender);
	sqs_free(r->sqs);
	reservations_free(r->reservations);
	redis_free(r->redis);
	ev_loop_destroy(r->loop);
	return EXIT_FINE;
}
