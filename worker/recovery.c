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

#include "drift.h"
#include "part.h"
#include "recovery.h"

#define LOOK_SECONDS 1.0 /* between two looks at the epoch */
#define EMPTY_LOOKS 2	 /* in a row that must find the queue empty */

struct recovery {
	const struct config *config;
	struct ev_loop *loop;
	struct redis *redis;
	struct sqs *queue;	  /* NULL: there is none outside of Redis */
	struct sqs *dead_letters; /* NULL: nobody reads them here */
	struct db *db;
	struct part store;
	bool leaving;
	char token[UUID_TEXT_SIZE]; /* of this rebuilder */
	char epoch[64];		    /* the run id that we rebuild for */

	/* the answer that is waited for */
	bool answered;
	enum err err;
	bool complete;
	bool queue_is_empty;
	enum rebuild_outcome outcome;
	int64_t remaining;
	char sale_id[UUID_TEXT_SIZE]; /* that is being rebuilt */

	/* what MySQL and Redis know */
	struct sale *sales;
	size_t sales_n;

	/* a chunk of orders on its way from MySQL to Redis */
	struct ledger_order orders[REBUILD_ORDERS_MAX];
	size_t orders_n;
	size_t orders_total;

	/* orders of the sale that MySQL would not have */
	struct ledger_order *dead;
	size_t dead_n;
};

/* --- Waiting --- */

static void
on_nothing(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

/* Until the answer has come; false when we are to leave. */
static bool
await_answer(struct recovery *r)
{
	while (!r->answered && !r->leaving)
		ev_run(r->loop, EVRUN_ONCE);
	r->answered = false;
	return !r->leaving;
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

	r->err = err;
	r->complete = complete;
	r->answered = true;
}

/* Is there anything to do? */
static bool
redis_is_new(struct recovery *r)
{
	if (!redis_is_ready(r->redis))
		return false;
	sale_check_epoch(r->redis, on_epoch, r);
	return await_answer(r) && r->err == ERR_OK && !r->complete;
}

/* Still the Redis that we rebuild for? */
static bool
epoch_holds(const struct recovery *r)
{
	return strcmp(r->epoch, redis_run_id(r->redis)) == 0;
}

static void
on_attributes(
    const struct sqs_result *result, const struct sqs_attributes *a, void *arg)
{
	struct recovery *r = arg;

	r->queue_is_empty = result->err == ERR_OK && a->visible == 0 &&
			    a->in_flight == 0 && a->delayed <= 0;
	r->answered = true;
}

static bool
is_empty(struct recovery *r, struct sqs *queue)
{
	if (queue == NULL)
		return true;
	sqs_get_queue_attributes(queue, on_attributes, r);
	return await_answer(r) && r->queue_is_empty;
}

/* The queue first: what it gives up is found among the dead letters then. */
static bool
queue_is_empty(struct recovery *r)
{
	return is_empty(r, r->queue) && is_empty(r, r->dead_letters);
}

static void
on_step(enum rebuild_outcome outcome, int64_t remaining, const char *sale_id,
    void *arg)
{
	struct recovery *r = arg;

	snprintf(r->sale_id, sizeof(r->sale_id), "%s", sale_id);
	r->outcome = outcome;
	r->remaining = remaining;
	r->answered = true;
}

static bool
step_is_ok(struct recovery *r)
{
	return await_answer(r) && r->outcome == REBUILD_OK;
}

/* --- What there is to rebuild --- */

static struct sale *
find_sku(struct recovery *r, const char *sku)
{
	for (size_t i = 0; i < r->sales_n; i++)
		if (strcmp(r->sales[i].sku, sku) == 0)
			return &r->sales[i];
	return NULL;
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

/* SKUs that only Redis knows come without an id. */
static void
on_surviving_skus(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct recovery *r = arg;

	r->err = err;
	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		struct sale sale = {.id = ""};

		if (strlen(skus[i]) > SKU_MAX || find_sku(r, skus[i]) != NULL)
			continue;
		memcpy(sale.sku, skus[i], strlen(skus[i]) + 1);
		add_sale(r, &sale);
	}
	r->answered = true;
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

	r->sales_n = 0;
	if (err == ERR_OK)
		err = ledger_list_sales(r->db, on_known_sale, r);
	if (ask_store(r, err) != ERR_OK)
		return false;
	sale_list(r->redis, on_surviving_skus, r);
	return await_answer(r) && r->err == ERR_OK;
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

static void
on_parked(const struct order *order, void *arg)
{
	struct recovery *r = arg;
	struct ledger_order *to;

	if (strcmp(order->sale_id, r->sale_id) != 0)
		return;
	to = realloc(r->dead, (r->dead_n + 1) * sizeof(*to));
	if (to == NULL)
		fatal(EXIT_OSERR, "out of memory");
	r->dead = to;
	to += r->dead_n++;
	*to = (struct ledger_order){.status = "dead"};
	memcpy(to->id, order->id, sizeof(to->id));
	to->quantity = order->quantity;
	memcpy(to->user_id, order->user_id, sizeof(to->user_id));
	memcpy(to->request_key, order->request_key, sizeof(to->request_key));
}

/* A parked order takes no units, whatever Redis still thinks of it. */
static bool
copy_dead(struct recovery *r, const char *sku, const char *sale_id)
{
	size_t i, n;

	r->dead_n = 0;
	memcpy(r->sale_id, sale_id, sizeof(r->sale_id));
	if (ask_store(r, ledger_list_parked(r->db, on_parked, r)) != ERR_OK)
		return false;
	for (i = 0; i < r->dead_n; i += n) {
		n = r->dead_n - i;
		if (n > REBUILD_ORDERS_MAX)
			n = REBUILD_ORDERS_MAX;
		sale_rebuild_add(
		    r->redis, sku, r->token, r->dead + i, n, on_step, r);
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
	if (!await_answer(r))
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
	if (!list_sales(r))
		return false;
	for (size_t i = 0; i < r->sales_n; i++)
		if (!epoch_holds(r) || !rebuild_sale(r, &r->sales[i]))
			return false;
	FAILPOINT("recovery_finished");
	sale_set_epoch(r->redis, on_epoch_set, r);
	return await_answer(r) && r->err == ERR_OK;
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
	r->store.name = "MySQL";
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
