/*
 * A consumer.  Its source (SQS, or the outbox in Redis) brings messages; at
 * the end of each turn of the event loop all that have come are written to
 * MySQL in one transaction, and only then taken out of the source.  The calls
 * to MySQL block, which is fine: the answers to other receives wait in their
 * sockets meanwhile and make the next haul larger.
 *
 * While MySQL is out of order nothing is received: each receive of a message
 * that cannot be written would take it a step closer to the dead-letter
 * queue.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>

#include "clock.h"
#include "exit_codes.h"
#include "failpoint.h"
#include "ledger.h"
#include "log.h"
#include "metrics.h"
#include "pool.h"
#include "redis.h"

#include "catch.h"
#include "consumer.h"
#include "part.h"
#include "source.h"
#include "stats.h"

/* A message is written only if this share of its lease is left. */
#define LEASE_MARGIN 0.25

/* The master kills at DRAIN_SECONDS: be gone a little earlier. */
#define DEADLINE 0.9

/* Seconds that a message rests which could not be written, at least; up to
 * twice that, so that they do not come back all at once. */
#define HAND_BACK_SECONDS 5

struct consumer {
	const struct config *config;
	const char *queue_url;
	struct ev_loop *loop;
	struct source *source;
	struct redis *redis;
	struct db *db;
	struct catch *catch;
	struct ledger_entry *entries; /* HAUL_MAX of them */
	const char **handles;	      /* HAUL_MAX of them */

	unsigned polls;	       /* in flight */
	unsigned polls_wanted; /* grows while receives come back full */
	double blocked;	       /* seconds that the last haul took */
	bool store_works;      /* false: receive nothing */
	bool on_trial;	       /* MySQL is back, but has not written yet */
	bool leaving;

	struct part queue, store;
	ev_timer queue_pause; /* running: no polls until it ends */
	ev_timer probe;	      /* running while the store does not work */
	ev_timer deadline;    /* running while leaving */
	ev_prepare turn;
};

/* --- Receiving --- */

static void
adapt_polls(struct consumer *c, size_t received)
{
	if (received == 0)
		c->polls_wanted = 1;
	else if (received == c->source->batch)
		c->polls_wanted *= 2;
	if (c->polls_wanted > c->source->receives)
		c->polls_wanted = c->source->receives;
}

/*
 * The lease runs from the moment the message was given away; the answer may
 * have been waiting in the socket for as long as the last haul blocked us.
 */
static void
on_received(enum err err, const char *why, const struct delivery *messages,
    size_t n, void *arg)
{
	struct consumer *c = arg;
	double lease_ends =
	    clock_seconds() - c->blocked + c->config->visibility_seconds;
	size_t i;

	c->polls--;
	if (err != ERR_OK) {
		double pause = part_failed(
		    &c->queue, "cannot receive: %s %s", err_name(err), why);

		c->polls_wanted = 1;
		if (!ev_is_active(&c->queue_pause)) {
			ev_timer_set(&c->queue_pause, pause, 0.);
			ev_timer_start(c->loop, &c->queue_pause);
		}
		return;
	}
	part_works(&c->queue);
	metrics_add(STAT_RECEIVED, (int64_t)n);
	adapt_polls(c, n);
	for (i = 0; i < n; i++)
		catch_add(c->catch, &messages[i], lease_ends);
}

static bool
may_poll(const struct consumer *c)
{
	return !c->leaving && c->store_works &&
	       !ev_is_active(&c->queue_pause) &&
	       c->polls < (c->on_trial ? 1 : c->polls_wanted) &&
	       c->source->pending(c->source) < 4 * (size_t)c->config->haul_max;
}

static void
start_polls(struct consumer *c)
{
	while (may_poll(c)) {
		c->polls++;
		c->source->receive(c->source, on_received, c);
	}
}

/* --- Writing --- */

/* Whose lease is nearly over is being given to somebody else by now. */
static void
drop_expiring(struct consumer *c)
{
	double margin = c->config->visibility_seconds * LEASE_MARGIN;
	double now = clock_seconds();
	size_t i;

	for (i = catch_size(c->catch); i-- > 0;)
		if (catch_at(c->catch, i)->lease_ends - now < margin)
			catch_drop(c->catch, i);
}

static size_t
make_entries(struct consumer *c)
{
	size_t i, n = catch_size(c->catch);

	for (i = 0; i < n; i++) {
		struct caught *caught = catch_at(c->catch, i);
		bool readable = caught->reason[0] == '\0';

		c->entries[i] = (struct ledger_entry){
		    .message = readable ? &caught->message : NULL,
		    .message_id = caught->message_id,
		    .body = caught->body,
		    .body_len = caught->body_len,
		};
		memcpy(c->entries[i].reason, caught->reason,
		    sizeof(caught->reason));
	}
	return n;
}

/*
 * A connection that was idle may have been closed by the server: that is no
 * outage, so a failure on an old connection is tried on a new one.
 */
static enum err
persist(struct consumer *c, size_t n)
{
	bool was_connected = db_is_connected(c->db);
	enum err err = db_connect(c->db);

	if (err == ERR_OK)
		err = ledger_persist(c->db, c->entries, n);
	if (err == ERR_OK || !was_connected || db_is_connected(c->db))
		return err;
	err = db_connect(c->db);
	if (err == ERR_OK)
		err = ledger_persist(c->db, c->entries, n);
	return err;
}

static void
count_entry(const struct ledger_entry *entry)
{
	static const enum worker_metric metric[] = {
	    [LEDGER_CONFIRMED] = STAT_CONFIRMED,
	    [LEDGER_REJECTED] = STAT_REJECTED,
	    [LEDGER_NOTED] = STAT_NOTED,
	    [LEDGER_PARKED] = STAT_PARKED,
	};

	metrics_add(
	    entry->duplicate ? STAT_DUPLICATE : metric[entry->verdict], 1);
}

/*
 * One line a haul for what should not happen, however often it did: the
 * tables have the rest.
 */
static void
tell_exceptions(const struct ledger_entry *entries, size_t n)
{
	const struct ledger_entry *parked = NULL, *rejected = NULL;
	size_t i, parked_n = 0, rejected_n = 0;

	for (i = 0; i < n; i++) {
		if (entries[i].verdict == LEDGER_PARKED && parked_n++ == 0)
			parked = &entries[i];
		if (entries[i].verdict == LEDGER_REJECTED &&
		    !entries[i].duplicate && rejected_n++ == 0)
			rejected = &entries[i];
	}
	if (parked != NULL)
		log_warn("messages parked: %zu; the first is %s: %s", parked_n,
		    parked->message_id, parked->reason);
	if (rejected != NULL)
		log_order_error(rejected->message->order.id,
		    "orders rejected: %zu, this one first; sale %s of %s has "
		    "no units left in MySQL",
		    rejected_n, rejected->message->order.sale_id,
		    rejected->message->order.sku);
}

/* What is written is done with; the rest goes back. */
static void
answer_entries(struct consumer *c, size_t n)
{
	unsigned after =
	    c->leaving
		? 0
		: HAND_BACK_SECONDS + (unsigned)(drand48() * HAND_BACK_SECONDS);
	size_t i;

	for (i = 0; i < n; i++) {
		c->handles[i] = catch_at(c->catch, i)->handle;
		if (c->entries[i].verdict != LEDGER_NONE)
			count_entry(&c->entries[i]);
	}
	tell_exceptions(c->entries, n);
	c->source->answer(c->source, c->entries, c->handles, n, after);
}

static void
store_failed(struct consumer *c, const char *what)
{
	double pause = part_failed(&c->store, "%s: %s", what, db_error(c->db));

	c->store_works = false;
	c->on_trial = true;
	if (!c->leaving) {
		ev_timer_set(&c->probe, pause, 0.);
		ev_timer_start(c->loop, &c->probe);
	}
}

static void
write_haul(struct consumer *c)
{
	double start = clock_seconds();
	enum err err = ERR_UNAVAILABLE;
	size_t n;

	drop_expiring(c);
	n = make_entries(c);
	FAILPOINT("worker_received");
	if (c->store_works && n > 0) {
		err = persist(c, n);
		metrics_observe(STAT_HAUL_SECONDS, clock_seconds() - start);
		if (err != ERR_OK)
			store_failed(c, "cannot write orders");
	}
	if (err == ERR_OK) {
		FAILPOINT("worker_committed");
		part_works(&c->store);
		c->on_trial = false;
	}
	answer_entries(c, n);
	while (catch_size(c->catch) > 0)
		catch_drop(c->catch, catch_size(c->catch) - 1);
	c->blocked = clock_seconds() - start;
}

static void
on_probe(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct consumer *c = timer->data;

	(void)loop;
	(void)events;
	if (c->leaving)
		return;
	if (ledger_probe(c->db) != ERR_OK) {
		store_failed(c, "cannot be used");
		return;
	}
	part_answers(&c->store);
	log_debug("MySQL: %s", db_server(c->db));
	c->store_works = true;
}

/* --- Coming and going --- */

static bool
is_idle(const struct consumer *c)
{
	return c->polls == 0 && c->source->pending(c->source) == 0;
}

/* Everything that came in this turn has come: now write it. */
static void
on_end_of_turn(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct consumer *c = prepare->data;

	(void)events;
	c->blocked = 0;
	if (catch_size(c->catch) > 0)
		write_haul(c);
	start_polls(c);
	if (c->leaving && is_idle(c))
		ev_break(loop, EVBREAK_ALL);
}

/* The end of the pause is all there is to it: the turn starts the polls. */
static void
on_queue_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct consumer *c = timer->data;

	(void)events;
	log_warn("leaving with %u polls and %zu deletes unanswered: those "
		 "messages come back by themselves",
	    c->polls, c->source->pending(c->source));
	ev_break(loop, EVBREAK_ALL);
}

/*
 * Start no more polls, but let those end that are out: they may have been
 * given messages already, which would stay hidden until their lease is over.
 */
static void
leave(void *arg)
{
	struct consumer *c = arg;

	c->leaving = true;
	c->source->leave(c->source);
	ev_timer_stop(c->loop, &c->probe);
	ev_timer_start(c->loop, &c->deadline);
}

static enum err
open_parts(struct consumer *c, char *why, size_t size)
{
	const struct config *config = c->config;
	enum err err;

	err = db_new(
	    &c->db, config->mysql_url, config->mysql_timeout_ms, why, size);
	if (err == ERR_OK)
		err = redis_new(&c->redis, c->loop, config->redis_url,
		    config->redis_timeout_ms, why, size);
	if (err != ERR_OK)
		return err;
	if (config->queue == QUEUE_REDIS)
		return source_redis_new(&c->source, c->loop, config, c->redis);
	return source_sqs_new(
	    &c->source, c->loop, config, c->queue_url, c->redis, why, size);
}

static enum err
allocate(struct consumer *c)
{
	c->entries = calloc(c->config->haul_max, sizeof(c->entries[0]));
	c->handles = calloc(c->config->haul_max, sizeof(c->handles[0]));
	if (c->entries == NULL || c->handles == NULL)
		return ERR_NOMEM;
	return catch_new(&c->catch, c->config->haul_max);
}

static void
start_watchers(struct consumer *c)
{
	ev_timer_init(&c->queue_pause, on_queue_pause_over, 0., 0.);
	ev_timer_init(&c->probe, on_probe, 0., 0.);
	ev_timer_init(
	    &c->deadline, on_deadline, c->config->drain_seconds * DEADLINE, 0.);
	ev_prepare_init(&c->turn, on_end_of_turn);
	c->probe.data = c->deadline.data = c->turn.data = c;
	ev_prepare_start(c->loop, &c->turn);
	/* Receive nothing before MySQL is known to take it. */
	ev_timer_start(c->loop, &c->probe);
	pool_watch_parent(c->loop, leave, c);
}

static void
close_all(struct consumer *c)
{
	redis_free(c->redis); /* which still tells the source */
	c->source->free(c->source);
	db_free(c->db);
	catch_free(c->catch);
	free(c->handles);
	free(c->entries);
	ev_loop_destroy(c->loop);
}

int
consumer_main(const struct config *config, const char *queue_url)
{
	struct consumer c = {
	    .config = config,
	    .queue_url = queue_url,
	    .polls_wanted = 1,
	    .store = {.name = "MySQL"},
	};
	char why[256] = "out of memory";

	srand48(getpid());
	c.loop = pool_new_loop();
	if (open_parts(&c, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	if (allocate(&c) != ERR_OK)
		fatal(EXIT_OSERR, "out of memory");
	c.queue.name = c.source->name;
	start_watchers(&c);
	ev_run(c.loop, 0);
	close_all(&c);
	return EXIT_FINE;
}
