/*
 * The keeper.  Once a second it goes through all SKUs, one after the other:
 * read what has been in the outbox for OUTBOX_AGE_MS, send it, and take out
 * what SQS has acknowledged.  What fails stays where it is for the next
 * round; nothing is ever rolled back.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>

#include "exit_codes.h"
#include "log.h"
#include "message.h"
#include "metrics.h"
#include "pool.h"
#include "redis.h"
#include "sale.h"
#include "sqs.h"

#include "keeper.h"
#include "part.h"
#include "stats.h"

#define ROUND_SECONDS 1.0
#define STATS_SECONDS 60.0
#define CONNECTIONS 4
#define READ_MAX 100 /* outbox entries at once; sale_read_outbox's maximum */
#define BATCHES_MAX (READ_MAX / SQS_BATCH_MAX)
#define DEADLINE 0.9 /* of DRAIN_SECONDS, when the master kills */

/* Entries that travel to SQS in one call. */
struct batch {
	struct keeper *keeper;
	const struct outbox_entry *entries[SQS_BATCH_MAX];
	size_t n;
};

struct keeper {
	const struct config *config;
	struct ev_loop *loop;
	struct sqs *sqs;
	struct redis *redis;
	struct part queue;
	bool leaving;

	bool in_round;
	char (*skus)[SKU_MAX + 1];
	size_t skus_n, sku; /* which one it is the turn of */
	size_t resent;	    /* in this round */

	struct outbox_entry entries[READ_MAX]; /* of that SKU */
	size_t entries_n;
	struct batch batches[BATCHES_MAX];
	size_t batches_out; /* not answered yet */
	const struct outbox_entry *sent[READ_MAX];
	size_t sent_n;
	struct sqs_result failure; /* one of those that failed; or ERR_OK */
	double last_line;	   /* for log_rate_ok */

	ev_timer round, stats, deadline;
};

static void read_outbox(struct keeper *);

static void
finish_round(struct keeper *k, double pause)
{
	if (k->resent > 0)
		log_info(
		    "brought %zu messages from the outbox to SQS", k->resent);
	free(k->skus);
	k->skus = NULL;
	k->skus_n = k->sku = k->resent = 0;
	k->in_round = false;
	if (k->leaving) {
		ev_break(k->loop, EVBREAK_ALL);
		return;
	}
	ev_timer_set(&k->round, pause, 0.);
	ev_timer_start(k->loop, &k->round);
}

static void
next_sku(struct keeper *k)
{
	k->sku++;
	read_outbox(k);
}

/* --- Sending --- */

static void
on_marked(enum err err, void *arg)
{
	struct keeper *k = arg;

	if (err != ERR_OK) {
		/* They will be sent once more, which does no harm. */
		finish_round(k, ROUND_SECONDS);
		return;
	}
	if (k->entries_n == READ_MAX && k->sent_n == READ_MAX)
		read_outbox(k);
	else
		next_sku(k);
}

/* All batches are answered. */
static void
finish_sending(struct keeper *k)
{
	const struct sqs_result *failure = &k->failure;

	if (failure->err == ERR_OK)
		part_works(&k->queue);
	if (k->sent_n > 0) {
		k->resent += k->sent_n;
		metrics_add(STAT_RESENT, (int64_t)k->sent_n);
		sale_mark_queued(k->redis, k->skus[k->sku], k->sent, k->sent_n,
		    on_marked, k);
		return;
	}
	if (failure->err == ERR_OK || failure->sender_fault) {
		next_sku(k);
		return;
	}
	finish_round(
	    k, part_failed(&k->queue, "cannot send: %s %s %s",
		   err_name(failure->err), failure->code, failure->message));
}

static void
on_sent(const struct sqs_result *results, size_t n, void *arg)
{
	struct batch *batch = arg;
	struct keeper *k = batch->keeper;
	size_t i;

	for (i = 0; i < n; i++) {
		if (results[i].err == ERR_OK) {
			k->sent[k->sent_n++] = batch->entries[i];
			continue;
		}
		k->failure = results[i];
		if (results[i].sender_fault && log_rate_ok(&k->last_line))
			log_error("SQS will not have outbox entry %s of %s: "
				  "%s %s",
			    batch->entries[i]->id, k->skus[k->sku],
			    results[i].code, results[i].message);
	}
	if (--k->batches_out == 0)
		finish_sending(k);
}

static void
send_batch(struct batch *batch)
{
	char bodies[SQS_BATCH_MAX][MESSAGE_MAX + 1];
	struct sqs_text texts[SQS_BATCH_MAX];
	size_t i;

	for (i = 0; i < batch->n; i++) {
		texts[i].data = bodies[i];
		/* It was decoded from a text no longer than this: it fits. */
		if (message_encode(&batch->entries[i]->message, bodies[i],
			sizeof(bodies[i]), &texts[i].len) != ERR_OK)
			texts[i].len = 0; /* which SQS refuses */
	}
	batch->keeper->batches_out++;
	sqs_send_batch(batch->keeper->sqs, texts, batch->n, on_sent, batch);
}

static void
send_entries(struct keeper *k)
{
	struct batch *batch;
	size_t i;

	k->sent_n = 0;
	k->failure = (struct sqs_result){.err = ERR_OK};
	for (i = 0; i < k->entries_n; i++) {
		batch = &k->batches[i / SQS_BATCH_MAX];
		batch->keeper = k;
		batch->n = i % SQS_BATCH_MAX + 1;
		batch->entries[batch->n - 1] = &k->entries[i];
		if (batch->n == SQS_BATCH_MAX || i + 1 == k->entries_n)
			send_batch(batch);
	}
}

/* --- Reading --- */

static void
on_outbox(enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	struct keeper *k = arg;

	if (err != ERR_OK) {
		finish_round(k, ROUND_SECONDS);
		return;
	}
	if (n == 0) {
		next_sku(k);
		return;
	}
	k->entries_n = n > READ_MAX ? READ_MAX : n;
	memcpy(k->entries, entries, k->entries_n * sizeof(entries[0]));
	send_entries(k);
}

static void
read_outbox(struct keeper *k)
{
	if (k->leaving || k->sku >= k->skus_n) {
		finish_round(k, ROUND_SECONDS);
		return;
	}
	sale_read_outbox(k->redis, k->skus[k->sku], k->config->outbox_age_ms,
	    READ_MAX, on_outbox, k);
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct keeper *k = arg;
	size_t i;

	if (err == ERR_OK && n > 0)
		k->skus = calloc(n, sizeof(k->skus[0]));
	if (k->skus == NULL) {
		finish_round(k, ROUND_SECONDS);
		return;
	}
	k->skus_n = n;
	for (i = 0; i < n; i++)
		strncpy(k->skus[i], skus[i], SKU_MAX);
	read_outbox(k);
}

static void
on_round(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct keeper *k = timer->data;

	(void)loop;
	(void)events;
	k->in_round = true;
	sale_list(k->redis, on_list, k);
}

/* --- Coming and going --- */

static void
on_stats(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	stats_log();
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

/* Finish what is under way; the outbox keeps the rest. */
static void
leave(void *arg)
{
	struct keeper *k = arg;

	k->leaving = true;
	ev_timer_start(k->loop, &k->deadline);
	if (!k->in_round)
		ev_break(k->loop, EVBREAK_ALL);
}

static enum err
open_parts(struct keeper *k, char *why, size_t size)
{
	const struct config *config = k->config;
	enum err err;

	err = redis_new(&k->redis, k->loop, config->redis_url,
	    config->redis_timeout_ms, why, size);
	if (err == ERR_OK)
		err = sqs_new(&k->sqs, k->loop, config, config->sqs_queue_url,
		    CONNECTIONS, why, size);
	return err;
}

static void
start_watchers(struct keeper *k)
{
	ev_timer_init(&k->round, on_round, ROUND_SECONDS, 0.);
	ev_timer_init(&k->stats, on_stats, STATS_SECONDS, STATS_SECONDS);
	ev_timer_init(
	    &k->deadline, on_deadline, k->config->drain_seconds * DEADLINE, 0.);
	k->round.data = k;
	ev_timer_start(k->loop, &k->round);
	ev_timer_start(k->loop, &k->stats);
	pool_watch_parent(k->loop, leave, k);
}

int
keeper_main(const struct config *config)
{
	struct keeper *k = calloc(1, sizeof(*k));
	char why[256] = "out of memory";

	srand48(getpid());
	if (k == NULL || (k->loop = ev_loop_new(EVFLAG_AUTO)) == NULL)
		fatal(EXIT_OSERR, "out of memory");
	k->config = config;
	k->queue.name = "SQS";
	if (open_parts(k, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	start_watchers(k);
	ev_run(k->loop, 0);
	stats_log();
	sqs_free(k->sqs);
	redis_free(k->redis);
	free(k->skus);
	ev_loop_destroy(k->loop);
	free(k);
	return EXIT_FINE;
}
