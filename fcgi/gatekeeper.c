/*
 * For each SKU a gate: open, or shut by a marker file.
 *
 *   Redis says that all are refused, and gives a lease -> marker
 *   Redis says that it sells                           -> no marker; when it
 *                                                         is forgotten, the
 *                                                         lease goes back
 *
 * Redis sells nothing while there is a lease (lua/gate.lua), so the order of
 * these steps is all that keeps a buyer from being refused wrongly: a marker
 * is there only while its lease lasts, and the lease is given back only when
 * the web server has forgotten the marker (markers.h).  Should this process
 * stop in between, its markers lose their validity before the lease ends.  Each
 * lease has a name of its own, so that what arrives late, by a connection given
 * up, ends no other.
 *
 * A Redis that was restarted or promoted may not know of a lease.  It sells
 * nothing before a rebuild, which takes longer than a marker is valid.
 *
 * Changes are heard of by a subscription.  What is missed there is found by
 * looking at every SKU in turn.
 */
#include "gatekeeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ev.h>

#include "clock.h"
#include "exit_codes.h"
#include "gate.h"
#include "log.h"
#include "markers.h"
#include "message.h"
#include "metrics.h"
#include "pool.h"
#include "problem.h"
#include "redis.h"
#include "sale.h"
#include "stats.h"

#define GATES_MAX 1024	/* SKUs; others are refused by the responders */
#define TICK 0.1	/* seconds */
#define LIST_EVERY 10	/* ticks */
#define LOOKS_A_TICK 16 /* SKUs that are looked at in their turn */

#define LEASE_SIZE 96
#define MARKER_NAME_SIZE (SKU_MAX + 32)
#define LEASE (GATE_LEASE_MS / 1000.)
/* A lease with less left is extended. */
#define LEASE_SHORT (LEASE - 0.3)

struct gate {
	TAILQ_ENTRY(gate) link;
	struct gatekeeper *keeper;
	char sku[SKU_MAX + 1];
	const char *suffix;	/* of its marker; NULL: there is none */
	double removed;		/* its last marker: clock_seconds(), or 0 */
	double lease_until;	/* the same; 0 = there is none */
	char lease[LEASE_SIZE]; /* its name, until it was given back */
	double asked;		/* when Redis was, 0 = it has answered */
	bool changed;		/* since then */
};

struct gatekeeper {
	struct ev_loop *loop;
	const struct config *config;
	struct redis *redis;
	struct redis *ear; /* the connection that is subscribed */
	struct markers *markers;
	TAILQ_HEAD(, gate) gates; /* who was looked at longest ago first */
	unsigned n, shut;
	unsigned long leases; /* so many were asked for */
	unsigned long ticks;
	bool leaving;
	ev_timer tick;
};

static void look(struct gate *);

/* --- Markers --- */

/* The markers of a gate: the path of its SKU, and /buy alone for the SKU that
 * is bought by default.  How many they are. */
static unsigned
name_markers(const struct gate *gate, char names[2][MARKER_NAME_SIZE])
{
	const char *default_sku = gate->keeper->config->default_sku;

	snprintf(
	    names[0], MARKER_NAME_SIZE, "/buy/%s%s", gate->sku, gate->suffix);
	snprintf(names[1], MARKER_NAME_SIZE, "/buy%s", gate->suffix);
	return strcmp(gate->sku, default_sku) == 0 ? 2 : 1;
}

static void
set_suffix(struct gate *gate, const char *suffix)
{
	struct gatekeeper *k = gate->keeper;

	k->shut -= gate->suffix != NULL;
	k->shut += suffix != NULL;
	gate->suffix = suffix;
	metrics_set(STAT_GATES_SHUT, k->shut);
}

static void
remove_markers(struct gate *gate)
{
	char names[2][MARKER_NAME_SIZE];

	if (gate->suffix == NULL)
		return;
	for (unsigned i = 0, n = name_markers(gate, names); i < n; i++)
		markers_remove(gate->keeper->markers, names[i]);
	gate->removed = clock_seconds();
	set_suffix(gate, NULL);
}

/* The body that a responder would answer with. */
static size_t
compose(const struct gate *gate, const char *refusal, int64_t opens_at,
    char *body, size_t size)
{
	static const struct {
		const char *refusal;
		enum problem problem;
	} problems[] = {
	    {"sold_out", PROBLEM_SOLD_OUT},
	    {"not_open", PROBLEM_NOT_OPEN},
	    {"closed", PROBLEM_CLOSED},
	    {"paused", PROBLEM_PAUSED},
	};
	const struct problem_detail d = {
	    .sku = gate->sku, .opens_at = opens_at};

	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		if (strcmp(refusal, problems[i].refusal) == 0)
			return problem_compose(
			    body, size, problems[i].problem, &d);
	return 0;
}

static void
put_markers(struct gate *gate, const char *refusal, int64_t opens_at)
{
	char body[PROBLEM_MAX], names[2][MARKER_NAME_SIZE];
	size_t len = compose(gate, refusal, opens_at, body, sizeof(body));
	const char *suffix =
	    strcmp(refusal, "sold_out") == 0 ? ".sold_out" : ".shut";

	if (len == 0)
		return; /* a refusal that only responders know */
	if (gate->suffix != suffix)
		remove_markers(gate);
	set_suffix(gate, suffix);
	for (unsigned i = 0, n = name_markers(gate, names); i < n; i++)
		markers_put(gate->keeper->markers, names[i], body, len);
}

/* --- Leases --- */

/* May a marker be there until the next tick, and for as long as it stays
 * valid should there be none? */
static bool
has_time(const struct gate *gate)
{
	return gate->lease_until - clock_seconds() > MARKERS_LIFE + TICK;
}

/* When nobody can refuse by it any more.  Only while no question is under
 * way: its answer would be of a lease that has been given back. */
static void
give_lease_back(struct gate *gate)
{
	double now = clock_seconds();

	if (gate->suffix != NULL || gate->asked != 0 ||
	    now < gate->removed + MARKERS_MEMORY)
		return;
	if (gate->lease_until > now) {
		gate_lift(gate->keeper->redis, gate->sku, gate->lease);
		gate->lease[0] = '\0'; /* the next one has another name */
	}
	gate->lease_until = 0;
}

static void
on_looked(enum err err, const char *refusal, int64_t opens_at, void *arg)
{
	struct gate *gate = arg;
	double asked = gate->asked;

	gate->asked = 0;
	if (err == ERR_OK && strcmp(refusal, "open") == 0) {
		remove_markers(gate);
		give_lease_back(gate);
	} else if (err == ERR_OK) {
		gate->lease_until = asked + LEASE;
		if (has_time(gate) && !gate->keeper->leaving)
			put_markers(gate, refusal, opens_at);
	}
	if (gate->changed)
		look(gate);
}

/* Ask Redis how it is; when it has just been asked, once more after that. */
static void
look(struct gate *gate)
{
	struct gatekeeper *k = gate->keeper;

	gate->changed = gate->asked != 0;
	if (gate->changed || k->leaving)
		return;
	if (gate->lease[0] == '\0')
		snprintf(gate->lease, sizeof(gate->lease), "%s %lu",
		    markers_name(k->markers), ++k->leases);
	gate->asked = clock_seconds();
	TAILQ_REMOVE(&k->gates, gate, link);
	TAILQ_INSERT_TAIL(&k->gates, gate, link);
	gate_shut(k->redis, gate->sku, gate->lease, on_looked, gate);
}

/* --- Which SKUs there are --- */

/* NULL: there are too many. */
static struct gate *
find_gate(struct gatekeeper *k, const char *sku)
{
	struct gate *gate;

	TAILQ_FOREACH(gate, &k->gates, link)
	if (strcmp(gate->sku, sku) == 0)
		return gate;
	if (k->n == GATES_MAX || (gate = calloc(1, sizeof(*gate))) == NULL)
		return NULL;
	gate->keeper = k;
	memcpy(gate->sku, sku, strlen(sku) + 1);
	TAILQ_INSERT_HEAD(&k->gates, gate, link);
	k->n++;
	return gate;
}

static void
on_changed(const char *sku, void *arg)
{
	struct gatekeeper *k = arg;
	struct gate *gate;

	if (sku == NULL) { /* and what was said before was not heard */
		TAILQ_FOREACH(gate, &k->gates, link)
		gate->changed = true;
		return;
	}
	if (sku_is_valid(sku, strlen(sku)) &&
	    (gate = find_gate(k, sku)) != NULL)
		look(gate);
}

static void
on_listed(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct gatekeeper *k = arg;

	if (err == ERR_OK)
		for (size_t i = 0; i < n && k->n < GATES_MAX; i++)
			find_gate(k, skus[i]);
}

/* --- Time --- */

/* A lease that could not be extended in time is left to itself. */
static void
watch_lease(struct gate *gate)
{
	if (gate->suffix == NULL)
		return;
	if (!has_time(gate))
		remove_markers(gate);
	else if (gate->asked == 0 &&
		 gate->lease_until - clock_seconds() < LEASE_SHORT)
		look(gate);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct gatekeeper *k = timer->data;
	struct gate *gate, *next;
	int64_t now = clock_wall_ms();
	unsigned looks = 0;

	(void)loop;
	(void)events;
	for (gate = TAILQ_FIRST(&k->gates); gate != NULL; gate = next) {
		next = TAILQ_NEXT(gate, link);
		watch_lease(gate);
		give_lease_back(gate);
		if (gate->asked == 0 && gate->suffix == NULL &&
		    (gate->changed || looks++ < LOOKS_A_TICK))
			look(gate);
	}
	markers_extend(k->markers, now);
	if (k->ticks++ % LIST_EVERY == 0 && k->n < GATES_MAX)
		sale_list(k->redis, on_listed, k);
}

/* --- Life --- */

static void
on_last_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct gatekeeper *k = timer->data;
	struct gate *gate;
	bool has_lease = false;

	(void)events;
	TAILQ_FOREACH(gate, &k->gates, link)
	{
		give_lease_back(gate);
		has_lease = has_lease || gate->lease_until != 0;
	}
	if (!has_lease && redis_is_idle(k->redis))
		ev_break(loop, EVBREAK_ALL);
}

static void
on_asked_to_leave(void *arg)
{
	struct gatekeeper *k = arg;
	struct gate *gate;

	k->leaving = true;
	TAILQ_FOREACH(gate, &k->gates, link)
	remove_markers(gate);
	ev_timer_stop(k->loop, &k->tick);
	ev_timer_init(&k->tick, on_last_tick, 0., TICK / 10);
	ev_timer_start(k->loop, &k->tick);
}

static void
connect_parts(struct gatekeeper *k)
{
	const struct config *config = k->config;
	char why[256] = "out of memory";

	if (redis_new(&k->redis, k->loop, config->redis_url,
		config->redis_timeout_ms, why, sizeof(why)) != ERR_OK ||
	    redis_new(&k->ear, k->loop, config->redis_url,
		config->redis_timeout_ms, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	if (!config->recovery)
		redis_trust(k->redis);
	if (markers_open(&k->markers, config->gate_dir, why, sizeof(why)) !=
	    ERR_OK)
		fatal(EXIT_OSERR, "%s", why);
	redis_subscribe(k->ear, GATE_CHANNEL, on_changed, k);
}

int
gatekeeper_run(const struct config *config)
{
	struct gatekeeper keeper = {.config = config}, *k = &keeper;
	struct gate *gate;

	TAILQ_INIT(&k->gates);
	umask(022);	   /* the web server is to read the markers */
	srand48(getpid()); /* only jitter of back-off depends on it */
	k->loop = pool_new_loop();
	connect_parts(k);
	pool_watch_parent(k->loop, on_asked_to_leave, k);
	ev_timer_init(&k->tick, on_tick, 0., TICK);
	k->tick.data = k;
	ev_timer_start(k->loop, &k->tick);
	ev_run(k->loop, 0);
	redis_free(k->ear);
	redis_free(k->redis);
	markers_close(k->markers);
	while ((gate = TAILQ_FIRST(&k->gates)) != NULL) {
		TAILQ_REMOVE(&k->gates, gate, link);
		free(gate);
	}
	ev_loop_destroy(k->loop);
	return EXIT_FINE;
}
