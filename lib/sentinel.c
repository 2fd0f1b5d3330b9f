/*
 * Redis' Sentinels.  A Sentinel speaks Redis' protocol, so each is a struct
 * redis; what is here is whom to believe.
 */
#include "sentinel.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "redis.h"

#define ASK_SECONDS 1.0	   /* between two questions */
#define HURRY_SECONDS 0.05 /* as long as nobody has said anything */

struct place {
	char host[256]; /* "" = not known */
	int port;
	int64_t epoch; /* each failover has a higher one than those before */
};

/* One Sentinel, and what he said last. */
struct witness {
	struct sentinel *all;
	struct redis *redis;
	struct place place; /* no host: he cannot be reached, or knows none */
	int64_t epoch;	    /* of the answer that is coming */
};

struct sentinel {
	struct ev_loop *loop;
	ev_timer ask;
	char master[65];
	struct witness witnesses[SENTINELS_MAX];
	size_t n;
	struct place told;
	sentinel_fn *fn; /* NULL: nobody listens any more */
	void *arg;
};

static bool
is_same(const struct place *a, const struct place *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/*
 * The newest answer; of equally new ones the one that we know already.  An
 * older one than we know counts only when all have answered: who does not
 * may know better, but Sentinels that were set up anew begin at zero.
 */
static const struct place *
choose(const struct sentinel *s)
{
	const struct place *best = NULL;
	size_t answers = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct place *place = &s->witnesses[i].place;

		if (place->host[0] == '\0')
			continue;
		answers++;
		if (best == NULL || place->epoch > best->epoch ||
		    (place->epoch == best->epoch && is_same(place, &s->told)))
			best = place;
	}
	return best != NULL && best->epoch < s->told.epoch && answers < s->n
		   ? NULL
		   : best;
}

static void
decide(struct sentinel *s)
{
	const struct place *best = choose(s);
	bool moved;

	if (best == NULL)
		return;
	moved = !is_same(best, &s->told);
	s->told = *best;
	if (moved && s->fn != NULL)
		s->fn(s->told.host, s->told.port, s->arg);
}

static void
on_master(enum err err, const struct redis_value *v, void *arg)
{
	static double last_line;
	struct witness *w = arg;
	const char *name = "";

	w->epoch = -1;
	for (size_t i = 0; i + 1 < redis_array_size(v); i += 2) {
		name = redis_text(redis_at(v, i));
		if (strcmp(name, "config-epoch") == 0)
			w->epoch = redis_int(redis_at(v, i + 1));
	}
	if (err == ERR_REFUSED && log_rate_ok(&last_line))
		log_error("a Sentinel says of the master \"%s\": %s",
		    w->all->master, redis_text(v));
}

static void
on_address(enum err err, const struct redis_value *v, void *arg)
{
	struct witness *w = arg;
	struct place *place = &w->place;

	place->host[0] = '\0';
	if (err == ERR_OK && w->epoch >= 0)
		redis_copy(redis_at(v, 0), place->host, sizeof(place->host));
	place->port = (int)redis_int(redis_at(v, 1));
	place->epoch = w->epoch;
	decide(w->all);
}

/* The epoch first: in between the Sentinel may learn of a new master, and an
 * old address must not pass for a new one. */
static void
on_ask(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct sentinel *s = timer->data;

	(void)loop;
	(void)events;
	for (size_t i = 0; i < s->n; i++) {
		struct witness *w = &s->witnesses[i];

		redis_call(w->redis, on_master, w, "SENTINEL", "MASTER",
		    s->master, NULL);
		redis_call(w->redis, on_address, w, "SENTINEL",
		    "get-master-addr-by-name", s->master, NULL);
	}
	timer->repeat = s->told.host[0] != '\0' ? ASK_SECONDS : HURRY_SECONDS;
	ev_timer_again(s->loop, timer);
}

enum err
sentinel_new(struct sentinel **out, struct ev_loop *loop,
    const struct redis_url *url, unsigned timeout_ms, sentinel_fn *fn,
    void *arg)
{
	struct sentinel *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->loop = loop;
	s->fn = fn;
	s->arg = arg;
	memcpy(s->master, url->master, sizeof(s->master));
	for (; s->n < url->sentinels_n; s->n++) {
		struct witness *w = &s->witnesses[s->n];

		w->all = s;
		if (redis_new_bare(&w->redis, loop, "sentinel",
			&url->sentinels[s->n], timeout_ms) != ERR_OK) {
			sentinel_free(s);
			return ERR_NOMEM;
		}
	}
	ev_timer_init(&s->ask, on_ask, 0., HURRY_SECONDS);
	s->ask.data = s;
	ev_timer_start(loop, &s->ask);
	*out = s;
	return ERR_OK;
}

void
sentinel_free(struct sentinel *s)
{
	if (s == NULL)
		return;
	s->fn = NULL;
	ev_timer_stop(s->loop, &s->ask);
	for (size_t i = 0; i < s->n; i++)
		redis_free(s->witnesses[i].redis);
	free(s);
}
