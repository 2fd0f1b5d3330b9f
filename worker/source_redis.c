/*
 * Messages from the outbox in Redis (QUEUE=redis).  A receive asks for the
 * length of each SKU's outbox, all in one write, and takes from the next one
 * in turn that is not empty; if all are, it rests and looks again.
 *
 * A command each, and no XREADGROUP that blocks on all of them: that could
 * name streams of one cluster slot only, would fail as a whole for one that
 * is damaged, would not see a SKU that is opened meanwhile, and would need a
 * connection of its own.  Looking costs Redis about a microsecond a SKU.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "outbox.h"
#include "sale.h"

#include "settle.h"
#include "source.h"
#include "stats.h"

#define LIST_SECONDS 1.0 /* until new SKUs are looked for */
#define REST_SECONDS 0.05
#define HANDLE_SIZE (SKU_MAX + ENTRY_ID_SIZE + 16)
#define SUSPICIOUS 5 /* deliveries after which the log tells */

struct stream {
	char sku[SKU_MAX + 1];
	bool has_entries;
	struct redis_source *source;
};

struct redis_source {
	struct source source; /* first: callers have a pointer to it */
	struct ev_loop *loop;
	struct redis *redis;
	struct settler *settler;
	unsigned lease_ms;
	double wait; /* seconds */
	bool leaving;

	struct stream *streams;
	size_t streams_n;
	double listed;	  /* clock_seconds() */
	size_t turn;	  /* the stream that is asked first */
	size_t looks;	  /* lengths that are not answered */
	enum err err;	  /* of one of them */
	double last_line; /* about what is stuck */

	/* the receive under way, if fn is not NULL */
	source_fn *fn;
	void *arg;
	double until; /* it waits */
	ev_timer rest;
};

static struct redis_source *
self(struct source *source)
{
	return (struct redis_source *)source;
}

/* --- Handles --- */

/* The SKU is last because it is what may hold anything. */
static void
write_handle(const struct outbox_receipt *receipt, char handle[HANDLE_SIZE])
{
	snprintf(handle, HANDLE_SIZE, "%u %s %s", receipt->deliveries,
	    receipt->entry_id, receipt->sku);
}

static void
read_handle(const char *handle, struct outbox_receipt *receipt)
{
	int sku_at = 0;

	*receipt = (struct outbox_receipt){.sku = ""};
	if (sscanf(handle, "%u %43s %n", &receipt->deliveries,
		receipt->entry_id, &sku_at) == 2)
		snprintf(
		    receipt->sku, sizeof(receipt->sku), "%s", handle + sku_at);
}

/* --- The end of a receive --- */

static void
finish(
    struct redis_source *s, enum err err, const struct delivery *list, size_t n)
{
	source_fn *fn = s->fn;

	s->fn = NULL;
	fn(err, "", list, n, s->arg);
}

static void
tell_stuck(struct redis_source *s, const char *sku, const char *what)
{
	if (log_rate_ok(&s->last_line))
		log_error("stuck in the outbox: %s %s", sku, what);
}

static void
deliver(struct redis_source *s, const struct outbox_message *messages, size_t n)
{
	char(*handles)[HANDLE_SIZE] = calloc(n, sizeof(*handles));
	char(*ids)[HANDLE_SIZE] = calloc(n, sizeof(*ids));
	struct delivery *list = calloc(n, sizeof(*list));

	if (handles == NULL || ids == NULL || list == NULL)
		n = 0; /* they come back by themselves */
	for (size_t i = 0; i < n; i++) {
		const struct outbox_receipt *r = &messages[i].receipt;

		write_handle(r, handles[i]);
		snprintf(ids[i], sizeof(ids[i]), "%s/%s", r->sku, r->entry_id);
		list[i] = (struct delivery){.id = ids[i],
		    .handle = handles[i],
		    .body = messages[i].body,
		    .body_len = messages[i].body_len,
		    .damage = messages[i].damage};
		if (r->deliveries > SUSPICIOUS)
			tell_stuck(s, ids[i],
			    "again and again (does it kill "
			    "the consumers?)");
	}
	finish(s, ERR_OK, list, n);
	free(list);
	free(ids);
	free(handles);
}

/* --- Taking --- */

static void take_next(struct redis_source *);

static void
rest(struct redis_source *s)
{
	ev_timer_set(&s->rest, s->leaving ? 0. : REST_SECONDS, 0.);
	ev_timer_start(s->loop, &s->rest);
}

static void
on_taken(
    enum err err, const struct outbox_message *messages, size_t n, void *arg)
{
	struct stream *stream = arg;
	struct redis_source *s = stream->source;

	stream->has_entries = false; /* until the next look */
	if (err == ERR_REFUSED)
		tell_stuck(s, stream->sku, "all: Redis refuses to read it");
	else if (err != ERR_OK)
		finish(s, err, NULL, 0);
	else if (n > 0)
		deliver(s, messages, n);
	if (s->fn != NULL)
		take_next(s);
}

static void
take_next(struct redis_source *s)
{
	for (size_t i = 0; i < s->streams_n; i++) {
		struct stream *stream = &s->streams[s->turn];

		s->turn = (s->turn + 1) % s->streams_n;
		if (!stream->has_entries)
			continue;
		outbox_take(s->redis, stream->sku, s->source.batch, s->lease_ms,
		    on_taken, stream);
		return;
	}
	rest(s);
}

/* --- Looking --- */

/* All lengths are known when the last one is. */
static void
on_length(enum err err, int64_t length, void *arg)
{
	struct stream *stream = arg;
	struct redis_source *s = stream->source;

	stream->has_entries = length > 0;
	if (err == ERR_REFUSED)
		tell_stuck(s, stream->sku, "all: Redis refuses to read it");
	else if (err != ERR_OK)
		s->err = err;
	if (--s->looks > 0)
		return;
	if (s->err != ERR_OK)
		finish(s, s->err, NULL, 0);
	else
		take_next(s);
}

static void
look(struct redis_source *s)
{
	s->err = ERR_OK;
	s->looks = s->streams_n;
	for (size_t i = 0; i < s->streams_n; i++)
		outbox_length(
		    s->redis, s->streams[i].sku, on_length, &s->streams[i]);
	if (s->streams_n == 0)
		rest(s);
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct redis_source *s = arg;
	struct stream *streams = calloc(n + 1, sizeof(*streams));

	if (streams == NULL)
		err = ERR_NOMEM;
	if (err != ERR_OK) {
		free(streams);
		finish(s, err, NULL, 0);
		return;
	}
	free(s->streams);
	s->streams = streams;
	s->streams_n = 0;
	s->turn = n > 0 ? s->turn % n : 0;
	for (size_t i = 0; i < n; i++) {
		struct stream *stream = &streams[s->streams_n];

		if (strlen(skus[i]) > SKU_MAX)
			continue;
		memcpy(stream->sku, skus[i], strlen(skus[i]));
		stream->source = s;
		s->streams_n++;
	}
	s->listed = clock_seconds();
	look(s);
}

/* While Redis is away there is nothing to ask; its client tells of that. */
static void
look_around(struct redis_source *s)
{
	if (!redis_is_ready(s->redis))
		rest(s);
	else if (s->listed == 0 || clock_seconds() - s->listed > LIST_SECONDS)
		sale_list(s->redis, on_list, s);
	else
		look(s);
}

static void
on_rested(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct redis_source *s = timer->data;

	(void)loop;
	(void)events;
	if (s->leaving || clock_seconds() > s->until)
		finish(s, ERR_OK, NULL, 0);
	else
		look_around(s);
}

/* --- For the consumer --- */

static void
receive(struct source *source, source_fn *fn, void *arg)
{
	struct redis_source *s = self(source);

	s->fn = fn;
	s->arg = arg;
	s->until = clock_seconds() + s->wait;
	look_around(s);
}

/* What is to come again later comes as soon as somebody asks: a consumer
 * whose MySQL does not work does not, and the stream grows no older by it. */
static void
answer(struct source *source, const struct ledger_entry *entries,
    const char *const *handles, size_t n, unsigned after_seconds)
{
	struct redis_source *s = self(source);
	struct outbox_receipt *receipts = calloc(n, sizeof(*receipts));

	(void)after_seconds;
	if (receipts == NULL)
		return; /* all of them come back by themselves */
	for (size_t i = 0; i < n; i++) {
		read_handle(handles[i], &receipts[i]);
		if (entries[i].verdict != LEDGER_NONE)
			continue;
		outbox_give_back(s->redis, &receipts[i], s->lease_ms);
		metrics_add(STAT_HANDED_BACK, 1);
	}
	settler_take_out(s->settler, entries, receipts, n);
	free(receipts);
}

static size_t
pending(const struct source *source)
{
	const struct redis_source *s = (const struct redis_source *)source;

	return redis_is_idle(s->redis) ? 0 : 1;
}

static void
leave(struct source *source)
{
	struct redis_source *s = self(source);

	s->leaving = true;
	if (ev_is_active(&s->rest)) {
		ev_timer_stop(s->loop, &s->rest);
		rest(s);
	}
}

static void
source_free(struct source *source)
{
	struct redis_source *s = self(source);

	settler_free(s->settler);
	ev_timer_stop(s->loop, &s->rest);
	free(s->streams);
	free(s);
}

enum err
source_redis_new(struct source **out, struct ev_loop *loop,
    const struct config *config, struct redis *redis)
{
	struct redis_source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->source = (struct source){.name = "Redis",
	    .batch = config->haul_max,
	    .receives = 1,
	    .receive = receive,
	    .answer = answer,
	    .pending = pending,
	    .leave = leave,
	    .free = source_free};
	s->loop = loop;
	s->redis = redis;
	s->lease_ms = config->visibility_seconds * 1000;
	s->wait = config->poll_wait_seconds;
	ev_timer_init(&s->rest, on_rested, 0., 0.);
	s->rest.data = s;
	*out = &s->source;
	return settler_new(&s->settler, loop, redis, NULL, NULL);
}
