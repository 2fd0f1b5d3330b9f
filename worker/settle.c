/* One call to Redis for each SKU of a haul, repeated until Redis has it. */
#include "settle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "failpoint.h"
#include "log.h"
#include "sale.h"

#define BATCH_MAX 500	/* what sale_settle takes at once */
#define IN_FLIGHT_MAX 8 /* calls */
#define KEPT_MAX 50000	/* decisions kept while Redis is away: megabytes */
#define RETRY_SECONDS 0.25

struct batch {
	TAILQ_ENTRY(batch) link;
	struct settler *settler;
	char sku[SKU_MAX + 1];
	size_t n;
	struct settlement list[]; /* n of them */
};

struct settler {
	struct ev_loop *loop;
	struct redis *redis;
	TAILQ_HEAD(batches, batch) waiting;
	size_t waiting_n; /* decisions in those */
	size_t in_flight; /* calls */
	ev_timer retry;	  /* runs while something waits */
	double last_line;
};

static void tell(struct settler *);

/* Keep it, unless Redis has been away for very long. */
static void
keep(struct settler *s, struct batch *batch)
{
	if (s->waiting_n + batch->n > KEPT_MAX) {
		if (log_rate_ok(&s->last_line))
			log_warn("Redis is away too long: the status of some "
				 "orders will stay \"queued\" there (MySQL is "
				 "right)");
		free(batch);
		return;
	}
	TAILQ_INSERT_TAIL(&s->waiting, batch, link);
	s->waiting_n += batch->n;
	if (!ev_is_active(&s->retry))
		ev_timer_again(s->loop, &s->retry);
}

static void
on_settled(enum err err, void *arg)
{
	struct batch *batch = arg;
	struct settler *s = batch->settler;

	s->in_flight--;
	FAILPOINT("worker_settled");
	/* What Redis refuses it would refuse again. */
	if (err == ERR_OK || err == ERR_REFUSED) {
		free(batch);
		tell(s);
	} else { /* telling it twice does no harm */
		keep(s, batch);
	}
}

static void
tell(struct settler *s)
{
	struct batch *batch;

	while ((batch = TAILQ_FIRST(&s->waiting)) != NULL &&
	       s->in_flight < IN_FLIGHT_MAX && redis_is_ready(s->redis)) {
		TAILQ_REMOVE(&s->waiting, batch, link);
		s->waiting_n -= batch->n;
		s->in_flight++;
		sale_settle(s->redis, batch->sku, batch->list, batch->n,
		    on_settled, batch);
	}
	if (TAILQ_EMPTY(&s->waiting))
		ev_timer_stop(s->loop, &s->retry);
}

static void
on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	tell(timer->data);
}

/* --- From a haul to batches --- */

static int
compare_skus(const void *a, const void *b)
{
	const struct ledger_entry *const *left = a, *const *right = b;

	return strcmp(
	    (*left)->message->order.sku, (*right)->message->order.sku);
}

/* How many at the front have one SKU? */
static size_t
count_first_sku(const struct ledger_entry **orders, size_t n)
{
	size_t i;

	for (i = 1; i < n && i < BATCH_MAX; i++)
		if (compare_skus(&orders[0], &orders[i]) != 0)
			break;
	return i;
}

/* n orders of one SKU.  Without memory they are passed over. */
static void
add_sku(struct settler *s, const struct ledger_entry **orders, size_t n)
{
	struct batch *batch =
	    malloc(sizeof(*batch) + n * sizeof(batch->list[0]));
	size_t i;

	if (batch == NULL)
		return;
	batch->settler = s;
	batch->n = n;
	memcpy(batch->sku, orders[0]->message->order.sku, sizeof(batch->sku));
	for (i = 0; i < n; i++) {
		const struct order *order = &orders[i]->message->order;

		memcpy(batch->list[i].order_id, order->id, sizeof(order->id));
		batch->list[i].state = orders[i]->verdict == LEDGER_CONFIRMED
					   ? "confirmed"
					   : "rejected";
	}
	keep(s, batch);
}

void
settler_add(struct settler *s, const struct ledger_entry *entries, size_t n)
{
	const struct ledger_entry **orders = calloc(n + 1, sizeof(orders[0]));
	size_t i, some, orders_n = 0;

	if (orders == NULL)
		return;
	for (i = 0; i < n; i++)
		if (entries[i].verdict == LEDGER_CONFIRMED ||
		    entries[i].verdict == LEDGER_REJECTED)
			orders[orders_n++] = &entries[i];
	qsort(orders, orders_n, sizeof(orders[0]), compare_skus);
	for (i = 0; i < orders_n; i += some) {
		some = count_first_sku(orders + i, orders_n - i);
		add_sku(s, orders + i, some);
	}
	free(orders);
	tell(s);
}

/* --- Coming and going --- */

enum err
settler_new(struct settler **out, struct ev_loop *loop, struct redis *redis)
{
	struct settler *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->loop = loop;
	s->redis = redis;
	TAILQ_INIT(&s->waiting);
	ev_timer_init(&s->retry, on_retry, RETRY_SECONDS, RETRY_SECONDS);
	s->retry.data = s;
	*out = s;
	return ERR_OK;
}

void
settler_free(struct settler *s)
{
	struct batch *batch;

	if (s == NULL)
		return;
	if (s->waiting_n > 0)
		log_warn("leaving while Redis is away: the status of some "
			 "orders stays \"queued\" there (MySQL is right)");
	while ((batch = TAILQ_FIRST(&s->waiting)) != NULL) {
		TAILQ_REMOVE(&s->waiting, batch, link);
		free(batch);
	}
	ev_timer_stop(s->loop, &s->retry);
	free(s);
}

size_t
settler_in_flight(const struct settler *s)
{
	return s->in_flight;
}
