/*
 * The group commit.  Two calls may carry a few entries each, so that a lone
 * order goes out at once; further calls are worth it only when they are full.
 */
#include "sender.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"
#include "metrics.h"
#include "stats.h"

#define PARTIAL_CALLS 2 /* calls under way that may be less than full */
#define BACKOFF_MIN 0.1 /* seconds between the tries of an SQS outage */
#define BACKOFF_MAX 2.0
#define EXPIRY_TICK 0.05 /* seconds */

struct submission {
	TAILQ_ENTRY(submission) link;
	struct outbox_entry entry;
	sender_fn *fn;
	void *arg;
	double expires; /* clock_seconds(): a call must start before that */
};
TAILQ_HEAD(submissions, submission);

/* One SendMessageBatch under way. */
struct call {
	struct sender *sender;
	struct submission *list[SQS_BATCH_MAX];
	size_t n;
	double started;
};

struct sender {
	struct ev_loop *loop;
	struct sqs *sqs;
	struct redis *redis;
	const struct config *config;
	struct submissions queue;
	size_t queued, pending;
	unsigned calls;
	ev_prepare flush; /* at the end of a turn that queued something */
	ev_timer expiry;  /* while the queue is not empty */
	bool unwell;	  /* the last call failed */
	double backoff, next_try;
};

/* --- How a submission ends --- */

static void
conclude(struct sender *s, struct submission *m, bool queued)
{
	metrics_add(queued ? STAT_SENT : STAT_SEND_FAILURES, 1);
	s->pending--;
	if (m->fn != NULL)
		m->fn(queued, m->arg);
	free(m);
}

static struct submission *
take_first(struct sender *s)
{
	struct submission *m = TAILQ_FIRST(&s->queue);

	TAILQ_REMOVE(&s->queue, m, link);
	s->queued--;
	return m;
}

static const char *
sku_of(const struct submission *m)
{
	return m->entry.message.type == MESSAGE_ORDER
		   ? m->entry.message.order.sku
		   : m->entry.message.sale.sku;
}

/* Tell Redis what SQS has, one script call per SKU. */
static void
mark_queued(struct call *call, const struct sqs_result *results)
{
	bool marked[SQS_BATCH_MAX] = {false};

	for (size_t i = 0; i < call->n; i++) {
		const struct outbox_entry *same[SQS_BATCH_MAX];
		size_t n = 0;

		for (size_t j = i; j < call->n; j++) {
			if (marked[j] || results[j].err != ERR_OK ||
			    strcmp(sku_of(call->list[i]),
				sku_of(call->list[j])) != 0)
				continue;
			marked[j] = true;
			same[n++] = &call->list[j]->entry;
		}
		if (n > 0)
			sale_mark_queued(call->sender->redis,
			    sku_of(call->list[i]), same, n, NULL, NULL);
	}
}

/* --- Health: one line when SQS goes, one when it is back --- */

static void
note_failure(struct sender *s, const struct sqs_result *result)
{
	if (!s->unwell)
		log_error("sqs: %s %s %s; orders wait in the outbox until it "
			  "is back",
		    err_name(result->err), result->code, result->message);
	s->backoff = s->unwell ? s->backoff * 2 : BACKOFF_MIN;
	if (s->backoff > BACKOFF_MAX)
		s->backoff = BACKOFF_MAX;
	s->unwell = true;
	s->next_try = clock_seconds() + s->backoff * (0.5 + drand48());
}

static void
note_success(struct sender *s)
{
	if (s->unwell)
		log_info("sqs: takes orders again");
	s->unwell = false;
}

/* --- Calls --- */

static void flush(struct sender *);

static void
on_sent(const struct sqs_result *results, size_t n, void *arg)
{
	struct call *call = arg;
	struct sender *s = call->sender;
	size_t failed = 0;

	for (size_t i = 0; i < n; i++)
		failed += results[i].err != ERR_OK;
	if (failed == n)
		note_failure(s, &results[0]);
	else
		note_success(s);
	metrics_observe(STAT_SEND_SECONDS, clock_seconds() - call->started);
	FAILPOINT("fcgi_acknowledged");
	mark_queued(call, results); /* leaves after the replies */
	for (size_t i = 0; i < n; i++) {
		if (results[i].err != ERR_OK && failed < n)
			log_warn("sqs: entry refused: %s %s", results[i].code,
			    results[i].message);
		conclude(s, call->list[i], results[i].err == ERR_OK);
	}
	FAILPOINT("fcgi_replied");
	free(call);
	s->calls--;
	metrics_set(STAT_SENDS_IN_FLIGHT, s->calls);
	flush(s);
}

static void
start_call(struct sender *s)
{
	static char texts[SQS_BATCH_MAX][MESSAGE_MAX + 1];
	struct sqs_text bodies[SQS_BATCH_MAX];
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		abort();
	call->sender = s;
	call->started = clock_seconds();
	while (call->n < SQS_BATCH_MAX && !TAILQ_EMPTY(&s->queue)) {
		struct submission *m = take_first(s);
		size_t i = call->n;

		if (message_encode(&m->entry.message, texts[i],
			sizeof(texts[i]), &bodies[i].len) != ERR_OK) {
			log_error("message of entry %s cannot be encoded",
			    m->entry.id);
			conclude(s, m, false);
			continue;
		}
		bodies[i].data = texts[i];
		call->list[call->n++] = m;
	}
	if (call->n == 0) {
		free(call);
		return;
	}
	s->calls++;
	metrics_set(STAT_SENDS_IN_FLIGHT, s->calls);
	sqs_send_batch(s->sqs, bodies, call->n, on_sent, call);
}

static bool
may_start_call(const struct sender *s)
{
	if (s->queued == 0 || s->calls >= s->config->send_concurrency)
		return false;
	if (s->unwell) /* one at a time tries whether SQS is back */
		return s->calls == 0 && clock_seconds() >= s->next_try;
	return s->queued >= SQS_BATCH_MAX || s->calls < PARTIAL_CALLS;
}

/* SQS is away and nobody is to wait for it: the outbox has them. */
static void
give_up_queue(struct sender *s)
{
	while (s->queued > 0)
		conclude(s, take_first(s), false);
}

static void
flush(struct sender *s)
{
	while (may_start_call(s))
		start_call(s);
	if (s->unwell)
		give_up_queue(s);
	if (s->queued == 0)
		ev_timer_stop(s->loop, &s->expiry);
	else if (!ev_is_active(&s->expiry)) {
		ev_timer_set(&s->expiry, EXPIRY_TICK, EXPIRY_TICK);
		ev_timer_start(s->loop, &s->expiry);
	}
}

static void
on_flush(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	(void)events;
	ev_prepare_stop(loop, watcher);
	flush(watcher->data);
}

/* The calls under way are so slow that those in line would miss their
 * deadline. */
static void
on_expiry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct sender *s = timer->data;
	double now = clock_seconds();

	(void)loop;
	(void)events;
	while (s->queued > 0 && TAILQ_FIRST(&s->queue)->expires < now)
		conclude(s, take_first(s), false);
	flush(s);
}

/* --- For others --- */

struct sender *
sender_new(struct ev_loop *loop, struct sqs *sqs, struct redis *redis,
    const struct config *config)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (s == NULL)
		fatal(EXIT_OSERR, "out of memory");
	s->loop = loop;
	s->sqs = sqs;
	s->redis = redis;
	s->config = config;
	TAILQ_INIT(&s->queue);
	ev_prepare_init(&s->flush, on_flush);
	ev_init(&s->expiry, on_expiry);
	s->flush.data = s->expiry.data = s;
	return s;
}

void
sender_free(struct sender *s)
{
	if (s == NULL)
		return;
	give_up_queue(s);
	ev_prepare_stop(s->loop, &s->flush);
	ev_timer_stop(s->loop, &s->expiry);
	free(s);
}

void
sender_submit(struct sender *s, const struct outbox_entry *entry, sender_fn *fn,
    void *arg)
{
	struct submission *m = malloc(sizeof(*m));

	if (m == NULL)
		abort(); /* two kilobytes: nothing can be answered any more */
	m->entry = *entry;
	m->fn = fn;
	m->arg = arg;
	m->expires =
	    clock_seconds() +
	    (s->config->send_deadline_ms - s->config->sqs_timeout_ms) / 1e3;
	TAILQ_INSERT_TAIL(&s->queue, m, link);
	s->queued++;
	s->pending++;
	ev_prepare_start(s->loop, &s->flush);
}

void
sender_trust(struct sender *s)
{
	note_success(s);
}

bool
sender_is_well(const struct sender *s)
{
	return !s->unwell;
}

size_t
sender_pending(const struct sender *s)
{
	return s->pending;
}
