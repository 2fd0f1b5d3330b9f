#include "gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "clock.h"
#include "log.h"
#include "scripts.h"

#define WAIT_TICK 0.005 /* seconds between two looks */

/* --- Leases --- */

struct question {
	gate_fn *fn;
	void *arg;
};

static void
on_answer(enum err err, const struct redis_value *v, void *arg)
{
	static double last_line;
	struct question *q = arg;

	if (err == ERR_REFUSED && log_rate_ok(&last_line))
		log_error("gate: Redis says: %s", redis_text(v));
	if (q->fn != NULL)
		q->fn(err, redis_text(redis_at(v, 0)),
		    redis_int(redis_at(v, 1)), q->arg);
	free(q);
}

static void
call(struct redis *redis, const char *step, const char *sku, const char *gate,
    gate_fn *fn, void *arg)
{
	struct question *q = malloc(sizeof(*q));
	struct arguments a;

	if (q == NULL)
		abort(); /* 16 bytes: nothing can be answered any more */
	*q = (struct question){fn, arg};
	arguments_init(&a);
	arguments_add_key(&a, sku, "sale");
	arguments_add_key(&a, sku, "gates");
	arguments_add_text(&a, step);
	arguments_add_text(&a, gate);
	arguments_add_number(&a, GATE_LEASE_MS);
	arguments_add_text(&a, redis_run_id(redis));
	redis_eval(redis, &script_gate, a.n_keys, a.list, a.n, on_answer, q);
}

void
gate_shut(struct redis *redis, const char *sku, const char *gate, gate_fn *fn,
    void *arg)
{
	call(redis, "shut", sku, gate, fn, arg);
}

void
gate_lift(struct redis *redis, const char *sku, const char *gate)
{
	call(redis, "lift", sku, gate, NULL, NULL);
}

/* --- Waiting --- */

struct wait {
	struct ev_loop *loop;
	struct redis *redis;
	char sku[SKU_MAX + 1];
	double until; /* clock_seconds() */
	ev_timer tick;
	void (*fn)(void *arg);
	void *arg;
};

static void
on_asked(enum err err, const char *state, int64_t opens_at, void *arg)
{
	struct wait *w = arg;

	(void)opens_at;
	if (err == ERR_OK && strcmp(state, "wait") == 0 &&
	    clock_seconds() < w->until) {
		ev_timer_set(&w->tick, WAIT_TICK, 0.);
		ev_timer_start(w->loop, &w->tick);
		return;
	}
	w->fn(w->arg);
	free(w);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct wait *w = timer->data;

	(void)loop;
	(void)events;
	call(w->redis, "ask", w->sku, "", on_asked, w);
}

void
gate_wait(struct ev_loop *loop, struct redis *redis, const char *sku,
    void (*fn)(void *arg), void *arg)
{
	struct wait *w = malloc(sizeof(*w));

	if (w == NULL)
		abort(); /* as above */
	*w = (struct wait){.loop = loop, .redis = redis, .fn = fn, .arg = arg};
	w->until = clock_seconds() + GATE_LEASE_MS / 1000.;
	snprintf(w->sku, sizeof(w->sku), "%s", sku);
	ev_timer_init(&w->tick, on_tick, 0., 0.);
	w->tick.data = w;
	on_tick(loop, &w->tick, 0);
}
