/*
 * Batches of reservations.  The first request opens a batch of its SKU, others
 * join it, and before the loop sleeps it is sent, unless calls were under way
 * when it was opened: then it waits for their answers, and what comes
 * meanwhile joins.  So a lone buyer waits for nobody, nobody for calls that
 * began after he came, and the more is going on the less each of them costs.
 *
 * A sale that refused everybody the last time is first asked whether it still
 * does, without naming anybody: the answer is as true and costs the same for
 * a hundred buyers as for one.  Those who sent a key are always named, for
 * they may have bought before.
 *
 * What the script decides stands in lua/reserve.lua; here it only gets its C
 * form.
 */
#include "reservations.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "arguments.h"
#include "log.h"
#include "scripts.h"

/* Requests of one call: the script stops Redis for less than half a
 * millisecond. */
#define BATCH_MAX 100
/* Questions kept for the next turn: all of them at once is more than malloc()
 * has at hand. */
#define SPARES_MAX 256
/* Sales that are remembered to refuse everybody.  Of two that share a place
 * one is asked in full. */
#define REFUSING_MAX 256

struct question {
	SLIST_ENTRY(question) link; /* while it is spare */
	struct reservation reservation;
	reserve_fn *fn;
	void *arg;
};

struct batch {
	TAILQ_ENTRY(batch) link; /* while it is open */
	struct reservations *owner;
	char sku[SKU_MAX + 1];
	uint64_t after; /* so many answers it leaves */
	bool has_keys;
	size_t n, named; /* buyers; those whom the call under way names */
	struct question *questions[BATCH_MAX];
};

struct reservations {
	struct ev_loop *loop;
	struct redis *redis;
	ev_prepare before_sleep;
	TAILQ_HEAD(, batch) open;
	uint64_t called, answered; /* calls; Redis answers in their order */
	SLIST_HEAD(, question) spares;
	unsigned n_spares;
	char refusing[REFUSING_MAX][SKU_MAX + 1];
};

/* --- Which sales refuse everybody --- */

static char *
refusing_place(struct reservations *r, const char *sku)
{
	unsigned hash = 5381;

	while (*sku != '\0')
		hash = hash * 33 + (unsigned char)*sku++;
	return r->refusing[hash % REFUSING_MAX];
}

static bool
is_refusing(struct reservations *r, const char *sku)
{
	return strcmp(refusing_place(r, sku), sku) == 0;
}

static void
note_refusing(struct reservations *r, const char *sku, bool refusing)
{
	char *place = refusing_place(r, sku);

	if (refusing)
		memcpy(place, sku, strlen(sku) + 1);
	else if (strcmp(place, sku) == 0)
		place[0] = '\0';
}

/* --- 3. The answers --- */

/* Where things stand in the script's answer. */
enum {
	AT_STATUS,
	AT_REMAINING,
	AT_LIMIT,
	AT_OPENS_AT,
	AT_SALE_ID,
	AT_REVISION,
	AT_TOTAL,
	AT_PRICE,
	AT_CURRENCY,
	AT_NOW,
	AT_ANSWERS
};

/* {ok, remaining, outbox entry} */
static void
read_taken(const struct redis_value *all, const struct redis_value *answer,
    struct reservation *out)
{
	struct order *order = &out->order;

	out->outcome = RESERVE_OK;
	out->remaining = redis_int(redis_at(answer, 1));
	redis_copy(redis_at(answer, 2), out->entry_id, sizeof(out->entry_id));
	redis_copy(
	    redis_at(all, AT_SALE_ID), order->sale_id, sizeof(order->sale_id));
	order->revision = redis_int(redis_at(all, AT_REVISION));
	order->total = redis_int(redis_at(all, AT_TOTAL));
	order->price_minor = redis_int(redis_at(all, AT_PRICE));
	redis_copy(redis_at(all, AT_CURRENCY), order->currency,
	    sizeof(order->currency));
	order->reserved_at = redis_int(redis_at(all, AT_NOW));
}

/*
 * {replayed, order id, its value}.  The same key asks for the same: another
 * quantity is a mistake that must not be answered with an order of the wrong
 * size.
 */
static void
read_replayed(const struct redis_value *answer, struct reservation *out)
{
	struct order_view earlier;

	redis_copy(redis_at(answer, 1), out->order.id, sizeof(out->order.id));
	if (!sale_read_order(redis_at(answer, 2), &earlier))
		return;
	out->outcome = earlier.quantity == out->order.quantity
			   ? RESERVE_REPLAYED
			   : RESERVE_KEY_REUSED;
	memcpy(out->state, earlier.state, sizeof(out->state));
}

static enum reserve_outcome
read_refusal(const char *status)
{
	static const struct {
		const char *status;
		enum reserve_outcome outcome;
	} refusals[] = {
	    {"sold_out", RESERVE_SOLD_OUT},
	    {"limit_reached", RESERVE_LIMIT_REACHED},
	    {"not_open", RESERVE_NOT_OPEN},
	    {"closed", RESERVE_CLOSED},
	    {"paused", RESERVE_PAUSED},
	    {"no_sale", RESERVE_NO_SALE},
	    {"recovering", RESERVE_RECOVERING},
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(status, refusals[i].status) == 0)
			return refusals[i].outcome;
	return RESERVE_UNKNOWN;
}

static void
read_answer(const struct redis_value *all, const struct redis_value *answer,
    struct reservation *out)
{
	const char *status = redis_text(redis_at(answer, 0));

	out->outcome = RESERVE_UNKNOWN;
	if (strcmp(status, "ok") == 0)
		read_taken(all, answer, out);
	else if (strcmp(status, "replayed") == 0)
		read_replayed(answer, out);
	else
		out->outcome = read_refusal(redis_text(answer));
}

static void
question_free(struct reservations *r, struct question *q)
{
	if (r->n_spares == SPARES_MAX) {
		free(q);
		return;
	}
	SLIST_INSERT_HEAD(&r->spares, q, link);
	r->n_spares++;
}

static void
batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		question_free(b->owner, b->questions[i]);
	free(b);
}

static void
answer_all(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct question *q = b->questions[i];

		q->fn(&q->reservation, q->arg);
	}
	batch_free(b);
}

static void
answer_all_alike(struct batch *b, enum reserve_outcome outcome)
{
	for (size_t i = 0; i < b->n; i++)
		b->questions[i]->reservation.outcome = outcome;
	answer_all(b);
}

/* No such sale: or has this Redis lost it? */
static void
on_absence_checked(enum err err, bool complete, void *arg)
{
	struct batch *b = arg;

	if (err != ERR_OK)
		answer_all_alike(b, RESERVE_UNAVAILABLE);
	else
		answer_all_alike(
		    b, complete ? RESERVE_NO_SALE : RESERVE_RECOVERING);
}

static void call_script(struct batch *, size_t named);

/* What a refusal says besides its reason. */
static void
read_situation(struct batch *b, const struct redis_value *v)
{
	int64_t remaining = redis_int(redis_at(v, AT_REMAINING)),
		limit = redis_int(redis_at(v, AT_LIMIT)),
		opens_at = redis_int(redis_at(v, AT_OPENS_AT));

	for (size_t i = 0; i < b->n; i++) {
		struct reservation *r = &b->questions[i]->reservation;

		r->remaining = remaining;
		r->limit = limit;
		r->opens_at = opens_at;
	}
}

static void
answer_each(struct batch *b, const struct redis_value *v)
{
	for (size_t i = 0; i < b->n; i++)
		read_answer(v, redis_at(v, AT_ANSWERS + i),
		    &b->questions[i]->reservation);
	answer_all(b);
}

static void
read_answers(struct batch *b, const struct redis_value *v)
{
	const char *status = redis_text(redis_at(v, AT_STATUS));
	bool refuses = strcmp(status, "ok") != 0;

	if (refuses || b->named == 0)
		note_refusing(b->owner, b->sku, refuses);
	if (!refuses && b->named == 0) {
		call_script(b, b->n);
		return;
	}
	read_situation(b, v);
	if (strcmp(status, "no_sale") == 0)
		sale_check_absence(
		    b->owner->redis, b->sku, NULL, on_absence_checked, b);
	else if (refuses)
		answer_all_alike(b, read_refusal(status));
	else
		answer_each(b, v);
}

static void
on_reserved(enum err err, const struct redis_value *v, void *arg)
{
	static double last_line;
	struct batch *b = arg;
	struct reservations *r = b->owner;

	r->answered++;
	if (!TAILQ_EMPTY(&r->open))
		ev_prepare_start(r->loop, &r->before_sleep);
	if (err == ERR_REFUSED && log_rate_ok(&last_line))
		log_error("reserve: Redis says: %s", redis_text(v));
	if (err == ERR_OK)
		read_answers(b, v);
	else
		answer_all_alike(b, err == ERR_TIMEOUT && b->named > 0
					? RESERVE_UNKNOWN
					: RESERVE_UNAVAILABLE);
}

/* --- 2. One call for many --- */

/* Names so many of the buyers; none: only asks whether they need to be. */
static void
call_script(struct batch *b, size_t named)
{
	struct reservations *r = b->owner;
	struct arguments a;

	b->named = named;
	r->called++;
	arguments_init(&a);
	arguments_add_key(&a, b->sku, "sale");
	arguments_add_key(&a, b->sku, "buyers");
	arguments_add_key(&a, b->sku, "requests");
	arguments_add_key(&a, b->sku, "orders");
	arguments_add_key(&a, b->sku, "outbox");
	arguments_add_key(&a, b->sku, "gates");
	arguments_add_text(&a, redis_run_id(r->redis));
	for (size_t i = 0; i < named; i++) {
		const struct order *order = &b->questions[i]->reservation.order;

		arguments_add_text(&a, order->id);
		arguments_add_text(&a, order->user_id);
		arguments_add_number(&a, order->quantity);
		arguments_add_text(&a, order->request_key);
	}
	redis_eval(
	    r->redis, &script_reserve, a.n_keys, a.list, a.n, on_reserved, b);
}

static void
send_batch(struct reservations *r, struct batch *b)
{
	TAILQ_REMOVE(&r->open, b, link);
	call_script(b, is_refusing(r, b->sku) && !b->has_keys ? 0 : b->n);
}

static void
on_before_sleep(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct reservations *r = watcher->data;
	struct batch *b;

	(void)events;
	ev_prepare_stop(loop, watcher);
	while ((b = TAILQ_FIRST(&r->open)) != NULL && b->after <= r->answered)
		send_batch(r, b);
}

/* --- 1. The question --- */

static struct batch *
batch_open(struct reservations *r, const char *sku)
{
	struct batch *b;

	TAILQ_FOREACH(b, &r->open, link)
	if (strcmp(b->sku, sku) == 0)
		return b;
	if ((b = malloc(sizeof(*b))) == NULL)
		abort(); /* a kilobyte: nothing can be answered any more */
	b->owner = r;
	b->after = r->called;
	b->n = 0;
	b->has_keys = false;
	memcpy(b->sku, sku, strlen(sku) + 1);
	TAILQ_INSERT_TAIL(&r->open, b, link);
	ev_prepare_start(r->loop, &r->before_sleep);
	return b;
}

static struct question *
question_new(struct reservations *r)
{
	struct question *q = SLIST_FIRST(&r->spares);

	if (q != NULL) {
		SLIST_REMOVE_HEAD(&r->spares, link);
		r->n_spares--;
	} else if ((q = malloc(sizeof(*q))) == NULL)
		abort(); /* as above */
	return q;
}

void
reservations_ask(struct reservations *r, const struct order *wanted,
    reserve_fn *fn, void *arg)
{
	struct batch *b = batch_open(r, wanted->sku);
	struct question *q = question_new(r);

	q->reservation.order = *wanted;
	q->fn = fn;
	q->arg = arg;
	b->questions[b->n++] = q;
	b->has_keys = b->has_keys || wanted->request_key[0] != '\0';
	if (b->n == BATCH_MAX)
		send_batch(r, b);
}

struct reservations *
reservations_new(struct ev_loop *loop, struct redis *redis)
{
	struct reservations *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->loop = loop;
	r->redis = redis;
	ev_prepare_init(&r->before_sleep, on_before_sleep);
	r->before_sleep.data = r;
	TAILQ_INIT(&r->open);
	SLIST_INIT(&r->spares);
	return r;
}

void
reservations_free(struct reservations *r)
{
	struct question *q;

	if (r == NULL)
		return;
	ev_prepare_stop(r->loop, &r->before_sleep);
	while ((q = SLIST_FIRST(&r->spares)) != NULL) {
		SLIST_REMOVE_HEAD(&r->spares, link);
		free(q);
	}
	free(r);
}
