/* One call to Redis for each SKU of a haul, repeated until Redis has it. */
#include "settle.h"

#include <stdio.h>
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
	bool is_dead; /* its orders are */
	size_t n;
	size_t handles_n;	  /* 0 once they are let go */
	char **handles;		  /* of the messages */
	struct settlement list[]; /* n of them */
};

struct settler {
	struct ev_loop *loop;
	struct redis *redis;
	settler_told_fn *told;
	void *arg;
	TAILQ_HEAD(batches, batch) waiting;
	size_t waiting_n; /* decisions in those */
	size_t in_flight; /* calls */
	ev_timer retry;	  /* runs while something waits */
	double last_line;
};

static void tell(struct settler *);

/* --- Batches --- */

static void
batch_free(struct batch *batch)
{
	size_t i;

	for (i = 0; i < batch->handles_n; i++)
		free(batch->handles[i]);
	free(batch->handles);
	free(batch);
}

/* SQS need not wait any longer. */
static void
let_go(struct batch *batch)
{
	struct settler *s = batch->settler;

	if (batch->handles == NULL || batch->handles_n == 0)
		return;
	s->told((const char *const *)batch->handles, batch->handles_n, s->arg);
	while (batch->handles_n > 0)
		free(batch->handles[--batch->handles_n]);
}

/*
 * Redis cannot be told now.  What is booked is in MySQL, whoever dies here;
 * but the units of a dead order would be nobody's, so its message stays until
 * Redis has them back.
 */
static void
let_go_of_booked(struct batch *batch)
{
	if (!batch->is_dead)
		let_go(batch);
}

/* Keep it, unless Redis has been away for very long. */
static void
keep(struct settler *s, struct batch *batch)
{
	if (s->waiting_n + batch->n > KEPT_MAX) {
		if (log_rate_ok(&s->last_line))
			log_warn("Redis is away too long: the status of some "
				 "orders will stay \"queued\" there (MySQL is "
				 "right)");
		let_go_of_booked(batch);
		batch_free(batch);
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
		let_go(batch);
		batch_free(batch);
		tell(s);
	} else { /* telling it twice does no harm */
		let_go_of_booked(batch);
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
	if (!redis_is_ready(s->redis)) {
		TAILQ_FOREACH(batch, &s->waiting, link)
		{
			let_go_of_booked(batch);
		}
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

/* A decision about a message of a SKU. */
struct decision {
	const char *sku;
	struct settlement settlement;
	const char *handle; /* or NULL */
};

static bool
is_dead(const struct decision *d)
{
	return strcmp(d->settlement.verdict, "dead") == 0;
}

static int
compare_kinds(const void *a, const void *b)
{
	const struct decision *left = a, *right = b;
	int order = strcmp(left->sku, right->sku);

	return order != 0 ? order : is_dead(left) - is_dead(right);
}

/* How many at the front have one SKU, and are all dead or not? */
static size_t
count_first_kind(const struct decision *list, size_t n)
{
	size_t i;

	for (i = 1; i < n && i < BATCH_MAX; i++)
		if (compare_kinds(&list[0], &list[i]) != 0)
			break;
	return i;
}

/* n decisions of one kind.  Without memory they are passed over, and their
 * messages come back. */
static void
add_kind(struct settler *s, const struct decision *list, size_t n)
{
	struct batch *batch =
	    calloc(1, sizeof(*batch) + n * sizeof(batch->list[0]));
	size_t i;

	if (batch == NULL)
		return;
	batch->handles = calloc(n, sizeof(batch->handles[0]));
	if (batch->handles == NULL) {
		free(batch);
		return;
	}
	batch->settler = s;
	batch->is_dead = is_dead(&list[0]);
	snprintf(batch->sku, sizeof(batch->sku), "%s", list[0].sku);
	for (i = 0; i < n; i++) {
		batch->list[batch->n++] = list[i].settlement;
		if (list[i].handle == NULL)
			continue;
		batch->handles[batch->handles_n] = strdup(list[i].handle);
		if (batch->handles[batch->handles_n] != NULL)
			batch->handles_n++;
	}
	keep(s, batch);
}

/* NULL: there is nothing to tell of it. */
static const char *
verdict_of(const struct ledger_entry *entry)
{
	if (entry->verdict == LEDGER_CONFIRMED)
		return "confirmed";
	if (entry->verdict == LEDGER_REJECTED)
		return "rejected";
	if (entry->verdict == LEDGER_PARKED && entry->dead != NULL &&
	    entry->dead->type == MESSAGE_ORDER)
		return "dead";
	return NULL;
}

bool
settler_wants(const struct ledger_entry *entry)
{
	return verdict_of(entry) != NULL;
}

static struct decision
decide(const struct ledger_entry *entry)
{
	const struct order *order = entry->message != NULL
					? &entry->message->order
					: &entry->dead->order;
	struct decision decision = {
	    .sku = order->sku, .settlement.verdict = verdict_of(entry)};

	memcpy(decision.settlement.order_id, order->id, sizeof(order->id));
	return decision;
}

/* From n decisions to batches of one kind each. */
static void
add_all(struct settler *s, struct decision *list, size_t n)
{
	size_t i, some;

	qsort(list, n, sizeof(list[0]), compare_kinds);
	for (i = 0; i < n; i += some) {
		some = count_first_kind(list + i, n - i);
		add_kind(s, list + i, some);
	}
	tell(s);
}

void
settler_add(struct settler *s, const struct ledger_entry *entries,
    const char *const *handles, size_t n)
{
	struct decision *list = calloc(n + 1, sizeof(list[0]));
	size_t i, told = 0;

	if (list == NULL)
		return;
	for (i = 0; i < n; i++) {
		if (!settler_wants(&entries[i]))
			continue;
		list[told] = decide(&entries[i]);
		list[told++].handle = handles[i];
	}
	add_all(s, list, told);
	free(list);
}

void
settler_take_out(struct settler *s, const struct ledger_entry *entries,
    const struct outbox_receipt *receipts, size_t n)
{
	struct decision *list = calloc(n + 1, sizeof(list[0]));
	size_t i, told = 0;

	if (list == NULL)
		return;
	for (i = 0; i < n; i++) {
		struct decision *d = &list[told];

		if (entries[i].verdict == LEDGER_NONE)
			continue;
		*d = (struct decision){.settlement.verdict = ""};
		if (settler_wants(&entries[i]))
			*d = decide(&entries[i]);
		d->sku = receipts[i].sku;
		memcpy(d->settlement.entry_id, receipts[i].entry_id,
		    sizeof(receipts[i].entry_id));
		told++;
	}
	add_all(s, list, told);
	free(list);
}

/* --- Coming and going --- */

enum err
settler_new(struct settler **out, struct ev_loop *loop, struct redis *redis,
    settler_told_fn *told, void *arg)
{
	struct settler *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->loop = loop;
	s->redis = redis;
	s->told = told;
	s->arg = arg;
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
		batch_free(batch);
	}
	ev_timer_stop(s->loop, &s->retry);
	free(s);
}

size_t
settler_in_flight(const struct settler *s)
{
	return s->in_flight;
}
