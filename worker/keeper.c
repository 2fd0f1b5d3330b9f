/*
 * The keeper.  Once a second it goes through all SKUs, one after the other,
 * and page by page through the outbox of each: send the orders that have been
 * there for OUTBOX_AGE_MS, and definitions, which nobody else may have sent, at
 * once; and take out what SQS has acknowledged.  What fails
 * stays where it is for the next round and stands in nobody's way; nothing is
 * ever rolled back.  One keeper at a time has the lease of a SKU, so that
 * several machines do not send the same; were it lost, an order sent twice is
 * booked once.  With QUEUE=redis the outbox is the queue, and there is nothing
 * to send.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>

#include "clock.h"
#include "exit_codes.h"
#include "failpoint.h"
#include "lease.h"
#include "log.h"
#include "message.h"
#include "metrics.h"
#include "pool.h"
#include "redis.h"
#include "sale.h"
#include "sqs.h"
#include "uuid.h"

#include "keeper.h"
#include "part.h"
#include "stats.h"

#define ROUND_SECONDS 1.0
#define STATS_SECONDS 60.0
#define CONNECTIONS 4
#define STUCK_SECONDS 60.0 /* between two lines about what is stuck */
#define BATCHES_MAX (OUTBOX_PAGE / SQS_BATCH_MAX)
#define LEASE_MS 15000 /* to send a page, at its slowest */
#define DEADLINE 0.9   /* of DRAIN_SECONDS, when the master kills */

/* Entries that travel to SQS in one call. */
struct batch {
	struct keeper *keeper;
	const struct outbox_entry *entries[SQS_BATCH_MAX];
	char bodies[SQS_BATCH_MAX][MESSAGE_MAX + 1];
	struct sqs_text texts[SQS_BATCH_MAX];
	size_t n;
};

struct keeper {
	const struct config *config;
	struct ev_loop *loop;
	struct sqs *sqs; /* NULL: the outbox is the queue */
	struct redis *redis;
	struct part queue, outbox;
	char token[UUID_TEXT_SIZE]; /* whose leases are ours */
	bool leaving;

	/* a round */
	bool in_round;
	char (*skus)[SKU_MAX + 1];
	size_t skus_n, sku;	       /* which one it is the turn of */
	bool is_ours;		       /* the lease on it */
	void (*then)(struct keeper *); /* once it is let go */
	size_t resent;
	bool unmarked; /* something was sent and not taken out */
	double pause;  /* longer than ROUND_SECONDS after a failure */
	size_t stuck;  /* what cannot be sent, and the first of it */
	char stuck_as[512];
	double stuck_told; /* clock_seconds() */

	/* a page of that SKU's outbox */
	struct outbox_entry entries[OUTBOX_PAGE];
	size_t entries_n;
	char last[ENTRY_ID_SIZE]; /* where the next page begins */
	struct batch batches[BATCHES_MAX];
	size_t batches_n, batches_out; /* out: not answered yet */
	const struct outbox_entry *sent[OUTBOX_PAGE];
	size_t sent_n;
	struct sqs_result failure; /* of the service, not of an entry */

	ev_timer round, stats, deadline;
};

static void read_page(struct keeper *);

/* --- Rounds --- */

static void
note_stuck(struct keeper *k, const char *entry_id, const char *why)
{
	if (k->stuck++ == 0)
		snprintf(k->stuck_as, sizeof(k->stuck_as), "%s %s: %s",
		    k->skus[k->sku], entry_id, why);
}

static void
tell_round(struct keeper *k)
{
	double now = clock_seconds();

	if (k->resent > 0)
		log_info(
		    "brought %zu messages from the outbox to SQS", k->resent);
	if (k->stuck == 0 ||
	    (k->stuck_told > 0 && now - k->stuck_told < STUCK_SECONDS))
		return;
	log_error(
	    "stuck in the outbox: %zu; the first is %s", k->stuck, k->stuck_as);
	k->stuck_told = now;
}

static void
on_let_go(enum err err, bool is_ours, void *arg)
{
	struct keeper *k = arg;

	(void)err; /* it runs out by itself */
	(void)is_ours;
	k->then(k);
}

/* Others may have this SKU; then go on. */
static void
let_go(struct keeper *k, void (*then)(struct keeper *))
{
	if (!k->is_ours) {
		then(k);
		return;
	}
	k->is_ours = false;
	k->then = then;
	lease_hold(k->redis, k->skus[k->sku], k->token, 0, on_let_go, k);
}

static void
end_round(struct keeper *k)
{
	tell_round(k);
	if (k->resent > 0 && !k->unmarked)
		part_works(&k->outbox);
	free(k->skus);
	k->skus = NULL;
	k->skus_n = k->sku = k->resent = k->stuck = 0;
	k->in_round = false;
	if (k->leaving) {
		ev_break(k->loop, EVBREAK_ALL);
		return;
	}
	ev_timer_set(&k->round, k->pause, 0.);
	ev_timer_start(k->loop, &k->round);
}

static void
finish_round(struct keeper *k)
{
	let_go(k, end_round);
}

/* The next round is to come after so many seconds, if not later. */
static void
postpone(struct keeper *k, double pause)
{
	if (k->pause < pause)
		k->pause = pause;
}

static void
turn_to_next_sku(struct keeper *k)
{
	k->sku++;
	k->last[0] = '\0';
	read_page(k);
}

static void
next_sku(struct keeper *k)
{
	let_go(k, turn_to_next_sku);
}

static void
next_page(struct keeper *k)
{
	if (k->entries_n == OUTBOX_PAGE)
		read_page(k);
	else
		next_sku(k);
}

/* --- Sending --- */

/*
 * What was not marked is sent once more, which does no harm; but a Redis that
 * refuses writes and answers reads is not to be a flood for SQS.
 */
static void
on_marked(enum err err, void *arg)
{
	struct keeper *k = arg;

	if (err == ERR_OK) {
		k->resent += k->sent_n;
		metrics_add(STAT_RESENT, (int64_t)k->sent_n);
		next_page(k);
		return;
	}
	k->unmarked = true;
	postpone(k, part_failed(&k->outbox, "cannot take out what is sent: %s",
			err_name(err)));
	if (err == ERR_REFUSED)
		next_sku(k);
	else
		finish_round(k);
}

/* All batches are answered. */
static void
finish_page(struct keeper *k)
{
	const struct sqs_result *failure = &k->failure;

	if (failure->err == ERR_OK && k->batches_n > 0)
		part_works(&k->queue);
	if (k->sent_n > 0) {
		FAILPOINT("keeper_acknowledged");
		sale_mark_queued(k->redis, k->skus[k->sku], k->sent, k->sent_n,
		    on_marked, k);
	} else if (failure->err == ERR_OK) {
		next_page(k);
	} else {
		postpone(k, part_failed(&k->queue, "cannot send: %s %s %s",
				err_name(failure->err), failure->code,
				failure->message));
		finish_round(k);
	}
}

static void
note_refused(struct keeper *k, const char *entry_id, const struct sqs_result *r)
{
	char why[sizeof(r->code) + sizeof(r->message) + 16];

	snprintf(why, sizeof(why), "SQS says %s %s", r->code, r->message);
	note_stuck(k, entry_id, why);
}

static void
on_sent(const struct sqs_result *results, size_t n, void *arg)
{
	struct batch *batch = arg;
	struct keeper *k = batch->keeper;
	size_t i;

	for (i = 0; i < n; i++) {
		if (results[i].err == ERR_OK)
			k->sent[k->sent_n++] = batch->entries[i];
		else if (results[i].sender_fault)
			note_refused(k, batch->entries[i]->id, &results[i]);
		else
			k->failure = results[i];
	}
	if (--k->batches_out == 0)
		finish_page(k);
}

/* False: there is no message in it, or none that could be sent. */
static bool
batch_add(struct batch *batch, const struct outbox_entry *entry)
{
	size_t i = batch->n;

	if (entry->is_damaged ||
	    message_encode(&entry->message, batch->bodies[i],
		sizeof(batch->bodies[i]), &batch->texts[i].len) != ERR_OK)
		return false;
	batch->texts[i].data = batch->bodies[i];
	batch->entries[i] = entry;
	batch->n++;
	return true;
}

/* A responder may be sending an order that is younger.  The id is the time. */
static bool
is_due(const struct keeper *k, const struct outbox_entry *entry)
{
	int64_t age = clock_wall_ms() - strtoll(entry->id, NULL, 10);

	return entry->message.type == MESSAGE_SALE ||
	       age >= (int64_t)k->config->outbox_age_ms;
}

static void
fill_batches(struct keeper *k)
{
	struct batch *batch = &k->batches[0];
	size_t i;

	k->batches_n = 0;
	batch->n = 0;
	for (i = 0; i < k->entries_n; i++) {
		if (!is_due(k, &k->entries[i]))
			continue;
		if (!batch_add(batch, &k->entries[i])) {
			note_stuck(k, k->entries[i].id, "damaged");
			continue;
		}
		if (batch->n == 1)
			k->batches_n++;
		if (batch->n == SQS_BATCH_MAX && k->batches_n < BATCHES_MAX)
			(++batch)->n = 0;
	}
}

static void
send_page(struct keeper *k)
{
	size_t i;

	fill_batches(k);
	k->sent_n = 0;
	k->failure = (struct sqs_result){.err = ERR_OK};
	k->batches_out = k->batches_n;
	for (i = 0; i < k->batches_n; i++) {
		k->batches[i].keeper = k;
		sqs_send_batch(k->sqs, k->batches[i].texts, k->batches[i].n,
		    on_sent, &k->batches[i]);
	}
	if (k->batches_n == 0)
		finish_page(k);
}

/* --- Reading --- */

static void
on_page(enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	struct keeper *k = arg;

	if (err == ERR_REFUSED) { /* of this SKU's key only, perhaps */
		note_stuck(k, "all", "Redis refuses to read its outbox");
		next_sku(k);
		return;
	}
	if (err != ERR_OK) {
		finish_round(k);
		return;
	}
	k->entries_n = n > OUTBOX_PAGE ? OUTBOX_PAGE : n;
	if (k->entries_n == 0) {
		next_sku(k);
		return;
	}
	memcpy(k->entries, entries, k->entries_n * sizeof(entries[0]));
	memcpy(k->last, entries[k->entries_n - 1].id, sizeof(k->last));
	send_page(k);
}

static void
on_lease(enum err err, bool is_ours, void *arg)
{
	struct keeper *k = arg;

	if (err != ERR_OK && err != ERR_REFUSED) {
		finish_round(k);
		return;
	}
	k->is_ours = is_ours;
	/* A Redis that takes no writes has no leases; but orders are not to
	 * wait for that: sent twice, they are booked once. */
	if (is_ours || err == ERR_REFUSED)
		sale_read_outbox(
		    k->redis, k->skus[k->sku], k->last, on_page, k);
	else /* another keeper is at it */
		next_sku(k);
}

static void
read_page(struct keeper *k)
{
	if (!k->leaving && k->sku < k->skus_n)
		lease_hold(
		    k->redis, k->skus[k->sku], k->token, LEASE_MS, on_lease, k);
	else
		finish_round(k);
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct keeper *k = arg;
	size_t i;

	if (err == ERR_OK && n > 0)
		k->skus = calloc(n, sizeof(k->skus[0]));
	if (k->skus == NULL) {
		finish_round(k);
		return;
	}
	k->skus_n = n;
	for (i = 0; i < n; i++)
		strncpy(k->skus[i], skus[i], SKU_MAX);
	read_page(k);
}

static void
on_round(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct keeper *k = timer->data;

	(void)loop;
	(void)events;
	k->in_round = true;
	k->pause = ROUND_SECONDS;
	k->unmarked = false;
	k->last[0] = '\0';
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
	if (err == ERR_OK && config->queue == QUEUE_SQS)
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
	if (k->sqs != NULL)
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
	uuid_v7(k->token);
	k->queue.name = "SQS";
	k->outbox.name = "Redis";
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
