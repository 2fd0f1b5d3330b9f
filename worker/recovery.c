/*
 * The recoverer.  Buyers do not wait for it, so it is written as a sequence:
 * ask, wait for the answer, go on.  As long as there is nothing to recover it
 * looks now and then whether the books balance (drift.h).
 *
 *   1. settle   orders that were on their way when Redis went reach MySQL:
 *               wait until the queue and the dead letters, which the
 *               consumers try once more, are empty, and a while for the senders
 *               (QUEUE=redis: for the hauls that consumers have in hand)
 *   2. rebuild  each sale from MySQL's orders and what survived in Redis
 *   3. open     the sale takes the epoch of this Redis; when all have it,
 *               fs:epoch takes it too
 *
 * Whatever fails in between is tried again from the start: a sale that is not
 * finished sells nothing, and every step can be repeated.
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
#include "pool.h"
#include "rebuild.h"
#include "redis.h"
#include "sale.h"
#include "sqs.h"
#include "uuid.h"

#include "await.h"
#include "drift.h"
#include "part.h"
#include "recovery.h"

#define LOOK_SECONDS 1.0  /* between two looks at the epoch */
#define EMPTY_LOOKS 2	  /* in a row that must find the queue empty */
#define TELL_SECONDS 10.0 /* between two lines about what is waited for */

struct recovery {
	const struct config *config;
	struct ev_loop *loop;
	struct redis *redis;
	struct sqs *queue;	  /* NULL: there is none outside of Redis */
	struct sqs *dead_letters; /* NULL: nobody reads them here */
	struct db *db;
	struct part store, queue_part, dead_letters_part;
	bool leaving;
	double tell_at;		    /* clock_seconds() */
	char token[UUID_TEXT_SIZE]; /* of this rebuilder */
	char epoch[64];		    /* the run id that we rebuild for */

	/* the answer that is waited for */
	struct await await;
	bool complete;
	enum rebuild_outcome outcome;
	int64_t remaining;
	char sale_id[UUID_TEXT_SIZE]; /* that is being rebuilt */

	/* what MySQL and Redis know, each sorted as it says */
	struct sale *sales; /* by SKU */
	size_t sales_n;
	struct ledger_order *dead; /* by sale: MySQL would not have them */
	size_t dead_n;

	/* a chunk of orders on its way from MySQL to Redis */
	struct ledger_order orders[REBUILD_ORDERS_MAX];
	size_t orders_n;
	size_t orders_total;
};

/* --- Waiting --- */

static void
on_nothing(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

static bool
pause_for(struct recovery *r, double seconds)
{
	ev_timer timer;

	ev_now_update(r->loop); /* a call to MySQL may have blocked us */
	ev_timer_init(&timer, on_nothing, seconds, 0.);
	ev_timer_start(r->loop, &timer);
	while (ev_is_active(&timer) && !r->leaving)
		ev_run(r->loop, EVRUN_ONCE);
	ev_timer_stop(r->loop, &timer);
	return !r->leaving;
}

/* --- Questions --- */

static void
on_epoch(enum err err, bool complete, void *arg)
{
	struct recovery *r = arg;

	r->complete = complete;
	await_answered(&r->await, err);
}

/* Is there anything to do? */
static bool
redis_is_new(struct recovery *r)
{
	if (!redis_is_ready(r->redis))
		return false;
	sale_check_epoch(r->redis, on_epoch, r);
	return await_answer(&r->await) && !r->complete;
}

/* Still the Redis that we rebuild for? */
static bool
epoch_holds(const struct recovery *r)
{
	return strcmp(r->epoch, redis_run_id(r->redis)) == 0;
}

/* A queue that is not empty, or does not tell: once in a while. */
static void
tell_waiting(struct recovery *r, const char *name)
{
	const struct await *a = &r->await;

	if (clock_seconds() < r->tell_at)
		return;
	r->tell_at = clock_seconds() + TELL_SECONDS;
	if (a->err != ERR_OK)
		log_warn("sales wait for %s, whose depth is not told: %s %s %s",
		    name, err_name(a->err), a->sqs.code, a->sqs.message);
	else
		log_info("sales wait for %s: %lld visible, %lld in flight, "
			 "%lld delayed",
		    name, (long long)a->depth.visible,
		    (long long)a->depth.in_flight, (long long)a->depth.delayed);
}

static bool
is_empty(struct recovery *r, struct sqs *queue, struct part *part)
{
	bool empty = await_empty_queue(&r->await, queue);

	if (queue == NULL || r->leaving)
		return empty;
	if (r->await.err == ERR_OK)
		part_works(part);
	else
		(void)part_failed(part, "its depth is not told: %s %s %s",
		    err_name(r->await.err), r->await.sqs.code,
		    r->await.sqs.message);
	if (!empty)
		tell_waiting(r, part->name);
	return empty;
}

/* The queue first: what it gives up is found among the dead letters then. */
static bool
queue_is_empty(struct recovery *r)
{
	return is_empty(r, r->queue, &r->queue_part) &&
	       is_empty(r, r->dead_letters, &r->dead_letters_part);
}

static void
on_step(enum rebuild_outcome outcome, int64_t remaining, const char *sale_id,
    void *arg)
{
	struct recovery *r = arg;

	snprintf(r->sale_id, sizeof(r->sale_id), "%s", sale_id);
	r->outcome = outcome;
	r->remaining = remaining;
	await_answered(&r->await, ERR_OK);
}

static bool
step_is_ok(struct recovery *r)
{
	return await_answer(&r->await) && r->outcome == REBUILD_OK;
}

/* --- What there is to rebuild --- */

static int
compare_skus(const void *a, const void *b)
{
	return strcmp(
	    ((const struct sale *)a)->sku, ((const struct sale *)b)->sku);
}

static void
add_sale(struct recovery *r, const struct sale *sale)
{
	struct sale *more = realloc(r->sales, (r->sales_n + 1) * sizeof(*more));

	if (more == NULL)
		fatal(EXIT_OSERR, "out of memory");
	r->sales = more;
	r->sales[r->sales_n++] = *sale;
}

static void
on_known_sale(const struct sale *sale, void *arg)
{
	add_sale(arg, sale);
}

static void
sort_sales(struct recovery *r)
{
	if (r->sales_n > 1)
		qsort(r->sales, r->sales_n, sizeof(r->sales[0]), compare_skus);
}

/* SKUs that only Redis knows come without an id. */
static void
on_surviving_skus(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct recovery *r = arg;
	size_t i, known = r->sales_n;

	sort_sales(r);
	for (i = 0; err == ERR_OK && i < n; i++) {
		struct sale sale = {.id = ""};

		memcpy(sale.sku, skus[i], strlen(skus[i]) + 1);
		if (known == 0 || bsearch(&sale, r->sales, known, sizeof(sale),
				      compare_skus) == NULL)
			add_sale(r, &sale);
	}
	sort_sales(r);
	await_answered(&r->await, err);
}

static int
compare_sale_ids(const void *a, const void *b)
{
	return strcmp(((const struct ledger_order *)a)->sale_id,
	    ((const struct ledger_order *)b)->sale_id);
}

static void
on_parked(const struct order *order, void *arg)
{
	struct recovery *r = arg;
	struct ledger_order *to =
	    realloc(r->dead, (r->dead_n + 1) * sizeof(*to));

	if (to == NULL)
		fatal(EXIT_OSERR, "out of memory");
	r->dead = to;
	to += r->dead_n++;
	*to = (struct ledger_order){.status = "dead"};
	memcpy(to->id, order->id, sizeof(to->id));
	to->quantity = order->quantity;
	memcpy(to->user_id, order->user_id, sizeof(to->user_id));
	memcpy(to->request_key, order->request_key, sizeof(to->request_key));
	memcpy(to->sale_id, order->sale_id, sizeof(to->sale_id));
}

static enum err
ask_store(struct recovery *r, enum err err)
{
	if (err == ERR_OK)
		part_works(&r->store);
	else
		(void)part_failed(&r->store, "recovery: %s", db_error(r->db));
	return err;
}

static bool
list_sales(struct recovery *r)
{
	enum err err = db_connect(r->db);

	r->sales_n = r->dead_n = 0;
	if (err == ERR_OK)
		err = ledger_list_sales(r->db, on_known_sale, r);
	if (err == ERR_OK)
		err = ledger_list_parked(r->db, on_parked, r);
	if (ask_store(r, err) != ERR_OK)
		return false;
	if (r->dead_n > 1)
		qsort(r->dead, r->dead_n, sizeof(r->dead[0]), compare_sale_ids);
	sale_list(r->redis, on_surviving_skus, r);
	return await_answer(&r->await);
}

/* --- One sale --- */

static void
on_order(const struct ledger_order *order, void *arg)
{
	struct recovery *r = arg;

	r->orders[r->orders_n++] = *order;
}

static bool
copy_orders(struct recovery *r, const char *sku, const char *sale_id)
{
	char after[UUID_TEXT_SIZE] = "";

	do {
		r->orders_n = 0;
		if (ask_store(r, ledger_list_orders(r->db, sale_id, after,
				     REBUILD_ORDERS_MAX, on_order, r)) !=
		    ERR_OK)
			return false;
		if (r->orders_n == 0)
			return true;
		memcpy(after, r->orders[r->orders_n - 1].id, sizeof(after));
		sale_rebuild_add(r->redis, sku, r->token, r->orders,
		    r->orders_n, on_step, r);
		if (!step_is_ok(r))
			return false;
		r->orders_total += r->orders_n;
	} while (r->orders_n == REBUILD_ORDERS_MAX);
	return true;
}

/* Those of a sale, which are side by side. */
static size_t
find_dead(
    const struct recovery *r, const char *sale_id, struct ledger_order **first)
{
	size_t low = 0, high = r->dead_n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(r->dead[middle].sale_id, sale_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*first = r->dead + low;
	while (low + n < r->dead_n &&
	       strcmp(r->dead[low + n].sale_id, sale_id) == 0)
		n++;
	return n;
}

/* A parked order takes no units, whatever Redis still thinks of it. */
static bool
copy_dead(struct recovery *r, const char *sku, const char *sale_id)
{
	struct ledger_order *dead;
	size_t i, n, all = find_dead(r, sale_id, &dead);

	for (i = 0; i < all; i += n) {
		n = all - i;
		if (n > REBUILD_ORDERS_MAX)
			n = REBUILD_ORDERS_MAX;
		sale_rebuild_add(
		    r->redis, sku, r->token, dead + i, n, on_step, r);
		if (!step_is_ok(r))
			return false;
	}
	return true;
}

/* False: not now. The sale waits, and all is tried again. */
static bool
rebuild_sale(struct recovery *r, const struct sale *sale)
{
	bool known = sale->id[0] != '\0';
	char sale_id[UUID_TEXT_SIZE]; /* the answers that follow have none */

	sale_rebuild_begin(
	    r->redis, sale->sku, r->token, known ? sale : NULL, on_step, r);
	if (!await_answer(&r->await))
		return false;
	if (r->outcome == REBUILD_FRESH || r->outcome == REBUILD_NOTHING)
		return true;
	FAILPOINT("recovery_begun");
	memcpy(sale_id, r->sale_id, sizeof(sale_id));
	if (r->outcome != REBUILD_OK || !copy_orders(r, sale->sku, sale_id) ||
	    !copy_dead(r, sale->sku, sale_id))
		return false;
	FAILPOINT("recovery_copied");
	sale_rebuild_finish(r->redis, sale->sku, r->token, on_step, r);
	if (!step_is_ok(r))
		return false;
	log_info("sale of %s rebuilt: %lld units remain", sale->sku,
	    (long long)r->remaining);
	return true;
}

/* --- All of it --- */

/* Orders that left before Redis did may still be on their way. */
static bool
settle(struct recovery *r)
{
	double until = clock_seconds() + r->config->recovery_settle_ms / 1000.0;
	unsigned looks = 0;

	while (looks < EMPTY_LOOKS) {
		if (!pause_for(r, LOOK_SECONDS) || !epoch_holds(r))
			return false;
		looks = queue_is_empty(r) ? looks + 1 : 0;
		if (clock_seconds() < until && looks == EMPTY_LOOKS)
			looks--;
	}
	return true;
}

static void
on_epoch_set(enum err err, void *arg)
{
	on_epoch(err, true, arg);
}

static bool
rebuild_all(struct recovery *r)
{
	bool all = true;

	if (!list_sales(r))
		return false;
	for (size_t i = 0; i < r->sales_n; i++) {
		if (!rebuild_sale(r, &r->sales[i]))
			all = false;
		/* One sale that fails does not hold up the others; what they
		 * are rebuilt from does. */
		if (r->leaving || r->store.down || !epoch_holds(r))
			return false;
	}
	if (!all)
		return false;
	FAILPOINT("recovery_finished");
	sale_set_epoch(r->redis, on_epoch_set, r);
	return await_answer(&r->await);
}

/* A system that never sold anything has nothing to wait for. */
static bool
is_virgin(struct recovery *r)
{
	return list_sales(r) && r->sales_n == 0 && queue_is_empty(r);
}

static void
recover(struct recovery *r)
{
	double start = clock_seconds();

	snprintf(r->epoch, sizeof(r->epoch), "%s", redis_run_id(r->redis));
	r->orders_total = 0;
	r->tell_at = start + TELL_SECONDS;
	if (is_virgin(r)) {
		(void)rebuild_all(r);
		return;
	}
	log_warn("this is another Redis than before: sales wait until they "
		 "are rebuilt");
	while (!r->leaving && epoch_holds(r)) {
		if (settle(r) && rebuild_all(r)) {
			log_info("recovered %zu sales and %zu orders in %.1f s",
			    r->sales_n, r->orders_total,
			    clock_seconds() - start);
			return;
		}
		pause_for(r, LOOK_SECONDS);
	}
}

/* --- Coming and going --- */

static void
leave(void *arg)
{
	struct recovery *r = arg;

	r->leaving = true;
}

static enum err
open_parts(struct recovery *r, char *why, size_t size)
{
	const struct config *config = r->config;
	enum err err;

	err = db_new(
	    &r->db, config->mysql_url, config->mysql_timeout_ms, why, size);
	if (err == ERR_OK)
		err = redis_new(&r->redis, r->loop, config->redis_url,
		    config->redis_timeout_ms, why, size);
	if (err == ERR_OK && config->queue == QUEUE_SQS)
		err = sqs_new(&r->queue, r->loop, config, config->sqs_queue_url,
		    1, why, size);
	if (err == ERR_OK && config->queue == QUEUE_SQS &&
	    config->sqs_dlq_url[0] != '\0')
		err = sqs_new(&r->dead_letters, r->loop, config,
		    config->sqs_dlq_url, 1, why, size);
	if (err == ERR_OK && !config->recovery)
		redis_trust(r->redis);
	return err;
}

int
recovery_main(const struct config *config)
{
	struct recovery *r = calloc(1, sizeof(*r));
	struct drift *drift;
	char why[256] = "out of memory";

	if (r == NULL || (r->loop = ev_loop_new(EVFLAG_AUTO)) == NULL)
		fatal(EXIT_OSERR, "out of memory");
	srand48(getpid());
	r->config = config;
	r->await = (struct await){.loop = r->loop, .leaving = &r->leaving};
	r->store.name = "MySQL";
	r->queue_part.name = "the queue";
	r->dead_letters_part.name = "the dead letters";
	uuid_v7(r->token);
	if (open_parts(r, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	drift = drift_new(r->loop, config, r->redis, r->queue, r->dead_letters,
	    r->db, &r->leaving);
	pool_watch_parent(r->loop, leave, r);
	while (!r->leaving) {
		if (redis_is_new(r))
			recover(r);
		else
			drift_look(drift);
		pause_for(r, LOOK_SECONDS);
	}
	redis_free(r->redis); /* it may still have answers for both */
	sqs_free(r->queue);
	sqs_free(r->dead_letters);
	drift_free(drift);
	db_free(r->db);
	free(r->sales);
	free(r->dead);
	ev_loop_destroy(r->loop);
	free(r);
	return EXIT_FINE;
}
