/* The books of a sale in Redis: one transaction reads, one script mends. */
#include "books.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "log.h"
#include "scripts.h"

/* --- Reading --- */

struct reading {
	struct redis *redis;
	struct books_reader reader;
	sale_view_fn *fn;
	void *arg;
	char sku[SKU_MAX + 1];
	char refusal[128]; /* of one of the questions, or "" */
};

static void
read_orders(const struct reading *r, const struct redis_value *list)
{
	struct order_view order;

	for (size_t i = 0; i + 1 < redis_array_size(list); i += 2)
		if (sale_read_order(redis_at(list, i + 1), &order))
			r->reader.order(
			    redis_text(redis_at(list, i)), &order, r->arg);
		else
			log_warn("books of %s: what Redis has of order %s is "
				 "damaged: \"%s\"",
			    r->sku, redis_text(redis_at(list, i)),
			    redis_text(redis_at(list, i + 1)));
}

static void
read_buyers(const struct reading *r, const struct redis_value *list)
{
	for (size_t i = 0; i + 1 < redis_array_size(list); i += 2)
		r->reader.buyer(redis_text(redis_at(list, i)),
		    redis_int(redis_at(list, i + 1)), r->arg);
}

static void
read_requests(const struct reading *r, const struct redis_value *list)
{
	for (size_t i = 0; i + 1 < redis_array_size(list); i += 2)
		r->reader.request(redis_text(redis_at(list, i)),
		    redis_text(redis_at(list, i + 1)), r->arg);
}

static void
on_whole(enum err err, const struct redis_value *v, void *arg)
{
	struct reading *r = arg;
	struct sale_view view = {.recovering = false};

	if (err == ERR_REFUSED) {
		log_error("books of %s: Redis says: %s", r->sku,
		    r->refusal[0] != '\0' ? r->refusal : redis_text(v));
	} else if (err == ERR_OK) {
		err = sale_read_view(
		    redis_at(v, 0), redis_run_id(r->redis), &view);
		if (err == ERR_REFUSED) /* view.damaged tells */
			err = ERR_OK;
	}
	if (err == ERR_OK) {
		memcpy(view.sale.sku, r->sku, sizeof(r->sku));
		view.outbox = redis_int(redis_at(v, 4));
		view.mended = redis_int(redis_at(redis_at(v, 5), 0));
		view.is_undefined =
		    strcmp(redis_text(redis_at(redis_at(v, 5), 1)), "0") == 0;
		read_orders(r, redis_at(v, 1));
		read_buyers(r, redis_at(v, 2));
		read_requests(r, redis_at(v, 3));
	}
	r->fn(err, &view, r->arg);
	free(r);
}

/* The last answer of the transaction has them all; but where there was one
 * that Redis would not take, it does not say why. */
static void
on_queued(enum err err, const struct redis_value *v, void *arg)
{
	struct reading *r = arg;

	if (err == ERR_REFUSED && r->refusal[0] == '\0')
		snprintf(r->refusal, sizeof(r->refusal), "%s", redis_text(v));
}

static void
ask_about(struct reading *r, const char *command, const char *what)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "fs:{%s}:%s", r->sku, what);
	redis_call(r->redis, on_queued, r, command, key, NULL);
}

void
books_read(struct redis *redis, const char *sku,
    const struct books_reader *reader, sale_view_fn *fn, void *arg)
{
	struct reading *r = malloc(sizeof(*r));
	char key[KEY_SIZE];

	if (r == NULL)
		abort();
	*r = (struct reading){
	    .redis = redis, .reader = *reader, .fn = fn, .arg = arg};
	snprintf(r->sku, sizeof(r->sku), "%s", sku);
	redis_call(redis, on_queued, r, "MULTI", NULL);
	sale_ask_view(redis, sku, on_queued, r);
	ask_about(r, "HGETALL", "orders");
	ask_about(r, "HGETALL", "buyers");
	ask_about(r, "HGETALL", "requests");
	ask_about(r, "XLEN", "outbox");
	snprintf(key, sizeof(key), "fs:{%s}:sale", sku);
	redis_call(
	    redis, on_queued, r, "HMGET", key, "mended", "defined", NULL);
	redis_call(redis, on_whole, r, "EXEC", NULL);
}

/* --- Mending --- */

struct mending {
	books_mended_fn *fn;
	void *arg;
};

static void
on_mended(enum err err, const struct redis_value *v, void *arg)
{
	struct mending *m = arg;
	const char *status = redis_text(redis_at(v, 0));

	if (err == ERR_REFUSED)
		log_error("mend: Redis says: %s", redis_text(v));
	else if (err == ERR_OK && strcmp(status, "gone") == 0)
		err = ERR_NOT_FOUND;
	else if (err == ERR_OK && strcmp(status, "recovering") == 0)
		err = ERR_RECOVERING;
	m->fn(err, redis_int(redis_at(v, 1)) == 1, m->arg);
	free(m);
}

static void
start(struct arguments *a, struct redis *redis, struct books_sale sale,
    const char *step)
{
	arguments_init(a);
	arguments_add_key(a, sale.sku, "sale");
	arguments_add_key(a, sale.sku, "buyers");
	arguments_add_key(a, sale.sku, "requests");
	arguments_add_key(a, sale.sku, "orders");
	arguments_add_key(a, sale.sku, "outbox");
	arguments_add_text(a, sale.sale_id);
	arguments_add_text(a, redis_run_id(redis));
	arguments_add_text(a, step);
}

static void
call(struct redis *redis, const struct arguments *a, books_mended_fn *fn,
    void *arg)
{
	struct mending *m = malloc(sizeof(*m));

	if (m == NULL)
		abort();
	*m = (struct mending){fn, arg};
	redis_eval(redis, &script_mend, a->n_keys, a->list, a->n, on_mended, m);
}

void
books_adopt(struct redis *redis, struct books_sale sale,
    const struct order *order, const char *state, books_mended_fn *fn,
    void *arg)
{
	struct arguments a;

	start(&a, redis, sale, "adopt");
	arguments_add_text(&a, order->id);
	arguments_add_text(&a, state);
	arguments_add_number(&a, order->quantity);
	arguments_add_text(&a, order->user_id);
	arguments_add_text(&a, order->request_key);
	call(redis, &a, fn, arg);
}

void
books_resend(struct redis *redis, struct books_sale sale, const char *order_id,
    const char *request_key, int64_t reserved_at, books_mended_fn *fn,
    void *arg)
{
	struct arguments a;

	start(&a, redis, sale, "resend");
	arguments_add_text(&a, order_id);
	arguments_add_text(&a, request_key);
	arguments_add_number(&a, reserved_at);
	call(redis, &a, fn, arg);
}

void
books_define(
    struct redis *redis, struct books_sale sale, books_mended_fn *fn, void *arg)
{
	struct arguments a;

	start(&a, redis, sale, "define");
	call(redis, &a, fn, arg);
}

static void
mend_request(struct redis *redis, struct books_sale sale, const char *step,
    const char *const names[3], books_mended_fn *fn, void *arg)
{
	struct arguments a;

	start(&a, redis, sale, step);
	for (int i = 0; i < 3; i++)
		arguments_add_text(&a, names[i]);
	call(redis, &a, fn, arg);
}

void
books_remember(struct redis *redis, struct books_sale sale,
    const char *order_id, const char *user_id, const char *request_key,
    books_mended_fn *fn, void *arg)
{
	const char *const names[] = {order_id, user_id, request_key};

	mend_request(redis, sale, "remember", names, fn, arg);
}

void
books_forget(struct redis *redis, struct books_sale sale, const char *order_id,
    const char *user_id, const char *request_key, books_mended_fn *fn,
    void *arg)
{
	const char *const names[] = {order_id, user_id, request_key};

	mend_request(redis, sale, "forget", names, fn, arg);
}

void
books_mend_sum(struct redis *redis, struct books_sale sale, int64_t mended,
    const char *user_id, int64_t units, int64_t expected, books_mended_fn *fn,
    void *arg)
{
	struct arguments a;
	char text[NUMBER_SIZE], expected_text[NUMBER_SIZE];

	snprintf(text, sizeof(text), "%" PRId64, units); /* may be negative */
	start(&a, redis, sale, "sum");
	arguments_add_number(&a, mended);
	arguments_add_text(&a, user_id);
	arguments_add_text(&a, text);
	snprintf(expected_text, sizeof(expected_text), "%" PRId64, expected);
	arguments_add_text(&a, expected_text);
	call(redis, &a, fn, arg);
}
