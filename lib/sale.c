/*
 * A sale in Redis: keys, calls of the scripts, reading their answers.  What
 * a script decides stands in lua/; here it only gets its C form.
 */
#include "sale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "log.h"
#include "scripts.h"

#define NUMBER_MAX 18 /* digits */

/* A question under way: what to do with its answer. */
struct question {
	union {
		sale_done_fn *done;
		sale_outbox_fn *outbox;
		sale_view_fn *view;
		sale_list_fn *list;
		sale_order_fn *order;
		sale_opened_fn *opened;
		sale_epoch_fn *epoch;
	} fn;
	void *arg;
	char sku[SKU_MAX + 1];
	char order_id[UUID_TEXT_SIZE];
	struct redis *redis;
	enum err err;  /* of the first of two commands */
	bool complete; /* said by the first of two commands */
	union {
		struct sale_view seen;
		struct order_view found;
	};
};

static struct question *
question_new(const char *sku, void *arg)
{
	struct question *q = malloc(sizeof(*q));

	if (q == NULL)
		abort(); /* half a kilobyte: nothing can be answered any more */
	q->arg = arg;
	snprintf(q->sku, sizeof(q->sku), "%s", sku);
	return q;
}

/* --- The outbox --- */

static void
log_refusal(const struct question *q, enum err err, const struct redis_value *v)
{
	static double last_line;

	if (err == ERR_REFUSED && log_rate_ok(&last_line))
		log_error("sale %s: Redis says: %s", q->sku, redis_text(v));
}

static void
conclude(struct question *q, enum err err)
{
	if (q->fn.done != NULL)
		q->fn.done(err, q->arg);
	free(q);
}

static void
on_done(enum err err, const struct redis_value *v, void *arg)
{
	log_refusal(arg, err, v);
	conclude(arg, err);
}

void
sale_mark_queued(struct redis *redis, const char *sku,
    const struct outbox_entry *const *entries, size_t n, sale_done_fn *fn,
    void *arg)
{
	struct question *q = question_new(sku, arg);
	struct arguments a;

	q->fn.done = fn;
	arguments_init(&a);
	arguments_add_key(&a, sku, "orders");
	arguments_add_key(&a, sku, "orders:previous");
	arguments_add_key(&a, sku, "outbox");
	for (size_t i = 0; i < n && i < ARGUMENTS_BATCH_MAX; i++) {
		const struct message *m = &entries[i]->message;

		arguments_add_text(&a, entries[i]->id);
		arguments_add_text(
		    &a, m->type == MESSAGE_ORDER ? m->order.id : "");
	}
	redis_eval(redis, &script_queued, a.n_keys, a.list, a.n, on_done, q);
}

/* A number as the scripts write it.  Nothing else is taken for one: 0 would
 * mean no limit, or open at once. */
static bool
read_number(const struct redis_value *v, int64_t *out)
{
	const char *text = redis_text(v);
	size_t len = redis_text_len(v);

	*out = redis_int(v);
	return len > 0 && len <= NUMBER_MAX &&
	       strspn(text, "0123456789") == len;
}

/* The value of a named field in an entry's flat list of names and values. */
static const struct redis_value *
field(const struct redis_value *fields, const char *name)
{
	for (size_t i = 0; i + 1 < redis_array_size(fields); i += 2)
		if (strcmp(redis_text(redis_at(fields, i)), name) == 0)
			return redis_at(fields, i + 1);
	return NULL;
}

#define COPY(to, fields, name) redis_copy(field(fields, name), to, sizeof(to))

/* These are false of an entry that is damaged.  What they have read of it is
 * for people. */
static bool
read_order_entry(const struct redis_value *f, const char *sku, struct order *o)
{
	bool ok;

	COPY(o->id, f, "order_id");
	COPY(o->sale_id, f, "sale_id");
	ok = read_number(field(f, "revision"), &o->revision);
	snprintf(o->sku, sizeof(o->sku), "%s", sku);
	ok &= read_number(field(f, "total"), &o->total);
	COPY(o->user_id, f, "user");
	ok &= read_number(field(f, "quantity"), &o->quantity);
	ok &= read_number(field(f, "price"), &o->price_minor);
	COPY(o->currency, f, "currency");
	COPY(o->request_key, f, "request_key");
	ok &= read_number(field(f, "reserved_at"), &o->reserved_at);
	return ok && uuid_is_valid(o->id, strlen(o->id));
}

static bool
read_sale_entry(const struct redis_value *f, const char *sku, struct sale *s)
{
	bool ok;

	COPY(s->id, f, "sale_id");
	ok = read_number(field(f, "revision"), &s->revision);
	snprintf(s->sku, sizeof(s->sku), "%s", sku);
	COPY(s->name, f, "name");
	ok &= read_number(field(f, "total"), &s->total);
	ok &= read_number(field(f, "limit"), &s->limit);
	ok &= read_number(field(f, "opens_at"), &s->opens_at);
	ok &= read_number(field(f, "closes_at"), &s->closes_at);
	ok &= read_number(field(f, "price"), &s->price_minor);
	COPY(s->currency, f, "currency");
	ok &= read_number(field(f, "created_at"), &s->created_at);
	ok &= sale_state_parse(redis_text(field(f, "state")), &s->state);
	return ok && uuid_is_valid(s->id, strlen(s->id));
}

void
sale_read_entry(
    const struct redis_value *v, const char *sku, struct outbox_entry *entry)
{
	const struct redis_value *fields = redis_at(v, 1);
	struct message *m = &entry->message;

	memset(entry, 0, sizeof(*entry));
	redis_copy(redis_at(v, 0), entry->id, sizeof(entry->id));
	if (strcmp(redis_text(field(fields, "type")), "sale") == 0) {
		m->type = MESSAGE_SALE;
		entry->is_damaged = !read_sale_entry(fields, sku, &m->sale);
	} else {
		m->type = MESSAGE_ORDER;
		entry->is_damaged = !read_order_entry(fields, sku, &m->order);
	}
}

static void
on_outbox(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	size_t n = redis_array_size(v);
	struct outbox_entry *entries = calloc(n + 1, sizeof(*entries));

	if (entries == NULL)
		err = ERR_NOMEM;
	if (err != ERR_OK)
		n = 0;
	for (size_t i = 0; i < n; i++)
		sale_read_entry(redis_at(v, i), q->sku, &entries[i]);
	q->fn.outbox(err, entries, n, q->arg);
	free(entries);
	free(q);
}

void
sale_read_outbox(struct redis *redis, const char *sku, const char *after,
    sale_outbox_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char key[KEY_SIZE], start[ENTRY_ID_SIZE + 1], count[NUMBER_SIZE];

	q->fn.outbox = fn;
	snprintf(key, sizeof(key), "fs:{%s}:outbox", sku);
	/* "(" leaves the entry itself out. */
	snprintf(
	    start, sizeof(start), "%s%s", after[0] != '\0' ? "(" : "-", after);
	snprintf(count, sizeof(count), "%d", OUTBOX_PAGE);
	redis_call(redis, on_outbox, q, "XRANGE", key, start, "+", "COUNT",
	    count, NULL);
}

/* --- After MySQL --- */

/* A Redis that is unable has done nothing, and is worth another try. */
static void
on_settled(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	log_refusal(q, err, v);
	if (err == ERR_REFUSED && redis_is_unable(v))
		err = ERR_UNAVAILABLE;
	conclude(q, err);
}

void
sale_settle(struct redis *redis, const char *sku, const struct settlement *list,
    size_t n, sale_done_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	struct arguments a;

	q->fn.done = fn;
	arguments_init(&a);
	arguments_add_key(&a, sku, "sale");
	arguments_add_key(&a, sku, "buyers");
	arguments_add_key(&a, sku, "orders");
	arguments_add_key(&a, sku, "orders:previous");
	arguments_add_key(&a, sku, "outbox");
	for (size_t i = 0; i < n && i < ARGUMENTS_BATCH_MAX; i++) {
		arguments_add_text(&a, list[i].order_id);
		arguments_add_text(&a, list[i].verdict);
		arguments_add_text(&a, list[i].entry_id);
	}
	redis_eval(redis, &script_settle, a.n_keys, a.list, a.n, on_settled, q);
}

/* --- Looking --- */

const char *
sale_status(const struct sale_view *view, int64_t now_ms)
{
	const struct sale *sale = &view->sale;

	if (view->recovering)
		return "recovering";
	if (sale->state == SALE_PAUSED)
		return "paused";
	if (sale->state == SALE_CLOSED ||
	    (sale->closes_at > 0 && now_ms >= sale->closes_at))
		return "closed";
	if (now_ms < sale->opens_at)
		return "not_open";
	return view->remaining > 0 ? "on_sale" : "sold_out";
}

/* A hash that lacks a field is damaged; one that lacks all is not there. */
static bool
is_absent(const struct redis_value *v)
{
	for (size_t i = 0; i < redis_array_size(v); i++)
		if (!redis_is_null(redis_at(v, i)))
			return false;
	return true;
}

/* All but remaining, a sum, which flashsale repair can work out.  Returns the
 * name of a field that cannot be read, or NULL. */
static const char *
read_definition(const struct redis_value *v, struct sale *sale)
{
	const struct {
		size_t at;
		const char *name;
		int64_t *to, most;
	} numbers[] = {{2, "revision", &sale->revision, INT64_MAX},
	    {3, "total", &sale->total, UNITS_MAX},
	    {5, "limit", &sale->limit, UNITS_MAX},
	    {6, "opens_at", &sale->opens_at, TIME_MAX},
	    {7, "closes_at", &sale->closes_at, TIME_MAX},
	    {8, "price", &sale->price_minor, PRICE_MAX},
	    {10, "created_at", &sale->created_at, TIME_MAX}};
	const char *damaged = NULL;

	redis_copy(redis_at(v, 0), sale->id, sizeof(sale->id));
	redis_copy(redis_at(v, 1), sale->name, sizeof(sale->name));
	redis_copy(redis_at(v, 9), sale->currency, sizeof(sale->currency));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!read_number(redis_at(v, numbers[i].at), numbers[i].to) ||
		    *numbers[i].to > numbers[i].most)
			damaged = numbers[i].name;
	if (!sale_state_parse(redis_text(redis_at(v, 11)), &sale->state))
		damaged = "state";
	if (sale->currency[0] == '\0')
		damaged = "currency";
	if (sale->name[0] == '\0')
		damaged = "name";
	if (!uuid_is_valid(sale->id, strlen(sale->id)))
		damaged = "sale_id";
	return damaged;
}

enum err
sale_read_view(
    const struct redis_value *v, const char *run_id, struct sale_view *view)
{
	if (is_absent(v))
		return ERR_NOT_FOUND;
	view->damaged = read_definition(v, &view->sale);
	view->remaining = redis_int(redis_at(v, 4));
	view->recovering = run_id[0] != '\0' &&
			   strcmp(run_id, redis_text(redis_at(v, 12))) != 0;
	view->confirmed = redis_int(redis_at(v, 13));
	return view->damaged == NULL ? ERR_OK : ERR_REFUSED;
}

static void
log_damage(const char *sku)
{
	static double last_line;

	if (log_rate_ok(&last_line))
		log_error("sale %s: what Redis has of it is damaged; this "
			  "makes the worker rebuild it: redis-cli DEL fs:epoch",
		    sku);
}

static void
on_sale_hash(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	log_refusal(q, err, v);
	if (err == ERR_OK) {
		err = sale_read_view(v, redis_run_id(q->redis), &q->seen);
		if (err == ERR_REFUSED)
			log_damage(q->sku);
	}
	q->err = err;
}

static void
answer_view(struct question *q, enum err err)
{
	memcpy(q->seen.sale.sku, q->sku, sizeof(q->sku));
	q->fn.view(err, &q->seen, q->arg);
	free(q);
}

/* What is not here: does it not exist, or has this Redis lost it? */
static enum err
absence(enum err err, bool complete)
{
	if (err != ERR_OK)
		return err;
	return complete ? ERR_NOT_FOUND : ERR_RECOVERING;
}

static void
on_sight_checked(enum err err, bool complete, void *arg)
{
	answer_view(arg, absence(err, complete));
}

/* The second of two answers; they come in the order of the questions. */
static void
on_outbox_length(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	log_refusal(q, err, v);
	q->seen.outbox = redis_int(v);
	if (q->err != ERR_OK)
		err = q->err;
	if (err == ERR_NOT_FOUND)
		sale_check_absence(q->redis, q->sku, NULL, on_sight_checked, q);
	else
		answer_view(q, err);
}

void
sale_ask_view(struct redis *redis, const char *sku, redis_fn *fn, void *arg)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "fs:{%s}:sale", sku);
	redis_call(redis, fn, arg, "HMGET", key, "sale_id", "name", "revision",
	    "total", "remaining", "limit", "opens_at", "closes_at", "price",
	    "currency", "created_at", "state", "epoch", "confirmed", NULL);
}

void
sale_look(struct redis *redis, const char *sku, sale_view_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char outbox[KEY_SIZE];

	q->fn.view = fn;
	q->redis = redis;
	q->seen.damaged = NULL; /* for what Redis itself refuses */
	snprintf(outbox, sizeof(outbox), "fs:{%s}:outbox", sku);
	sale_ask_view(redis, sku, on_sale_hash, q);
	redis_call(redis, on_outbox_length, q, "XLEN", outbox, NULL);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whoever may write to Redis may write anything into the list; what is no SKU
 * goes no further than here, for names become keys and the names of files. */
static bool
is_listed_sku(const struct redis_value *name)
{
	static bool is_told;

	if (sku_is_valid(redis_text(name), redis_text_len(name)))
		return true;
	if (!is_told)
		log_warn("fs:sales has a member that is no SKU: \"%.80s\"",
		    redis_text(name));
	is_told = true;
	return false;
}

static void
on_list(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	size_t i, n = 0, most = err == ERR_OK ? redis_array_size(v) : 0;
	const char **skus = calloc(most + 1, sizeof(*skus));

	if (skus == NULL) {
		err = ERR_NOMEM;
		most = 0;
	}
	for (i = 0; i < most; i++)
		if (is_listed_sku(redis_at(v, i)))
			skus[n++] = redis_text(redis_at(v, i));
	if (n > 1)
		qsort(skus, n, sizeof(*skus), compare_names);
	q->fn.list(err, skus, n, q->arg);
	free(skus);
	free(q);
}

void
sale_list(struct redis *redis, sale_list_fn *fn, void *arg)
{
	struct question *q = question_new("", arg);

	q->fn.list = fn;
	redis_call(redis, on_list, q, "SMEMBERS", "fs:sales", NULL);
}

/* "state quantity user" */
bool
sale_read_order(const struct redis_value *v, struct order_view *out)
{
	const char *text = redis_text(v);
	long long quantity;
	int user_at = 0;

	if (sscanf(text, "%15s %lld %n", out->state, &quantity, &user_at) < 2 ||
	    user_at == 0 || quantity < 1 || quantity > UNITS_MAX)
		return false;
	out->quantity = quantity;
	snprintf(out->user_id, sizeof(out->user_id), "%s", text + user_at);
	return true;
}

static void
on_order_found(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	q->err = err;
	if (err == ERR_OK && !sale_read_order(v, &q->found))
		q->err = redis_is_null(v) ? ERR_NOT_FOUND : ERR_REFUSED;
}

static void
answer_order(struct question *q, enum err err)
{
	q->fn.order(err, &q->found, q->arg);
	free(q);
}

static void
on_order_absence_checked(enum err err, bool complete, void *arg)
{
	answer_order(arg, absence(err, complete));
}

static void
on_previous_found(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	if (q->err == ERR_NOT_FOUND) {
		q->err = err;
		if (err == ERR_OK && !sale_read_order(v, &q->found))
			q->err = ERR_NOT_FOUND;
	}
	if (q->err == ERR_NOT_FOUND)
		sale_check_absence(
		    q->redis, q->sku, q->order_id, on_order_absence_checked, q);
	else
		answer_order(q, q->err);
}

void
sale_find_order(struct redis *redis, const char *sku, const char *order_id,
    sale_order_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char orders[KEY_SIZE], previous[KEY_SIZE];

	q->fn.order = fn;
	q->redis = redis;
	snprintf(q->order_id, sizeof(q->order_id), "%s", order_id);
	snprintf(orders, sizeof(orders), "fs:{%s}:orders", sku);
	snprintf(previous, sizeof(previous), "fs:{%s}:orders:previous", sku);
	redis_call(redis, on_order_found, q, "HGET", orders, order_id, NULL);
	redis_call(
	    redis, on_previous_found, q, "HGET", previous, order_id, NULL);
}

/* --- Operating --- */

static void
read_opened(
    const struct redis_value *v, const char *sku, struct outbox_entry *entry)
{
	struct sale *sale = &entry->message.sale;

	entry->message.type = MESSAGE_SALE;
	redis_copy(redis_at(v, 1), entry->id, sizeof(entry->id));
	redis_copy(redis_at(v, 2), sale->id, sizeof(sale->id));
	snprintf(sale->sku, sizeof(sale->sku), "%s", sku);
	sale->revision = redis_int(redis_at(v, 3));
	sale->total = redis_int(redis_at(v, 4));
	redis_copy(redis_at(v, 5), sale->name, sizeof(sale->name));
	sale->limit = redis_int(redis_at(v, 6));
	sale->opens_at = redis_int(redis_at(v, 7));
	sale->closes_at = redis_int(redis_at(v, 8));
	sale->price_minor = redis_int(redis_at(v, 9));
	redis_copy(redis_at(v, 10), sale->currency, sizeof(sale->currency));
	sale->created_at = redis_int(redis_at(v, 11));
}

static void
on_opened(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	struct outbox_entry entry = {.id = ""};
	struct sale_view view = {.outbox = 1};
	const char *status = redis_text(redis_at(v, 0));

	if (err == ERR_REFUSED) {
		log_error("open %s: Redis says: %s", q->sku, redis_text(v));
		err = ERR_UNAVAILABLE;
	}
	if (err == ERR_OK && strcmp(status, "undefined") == 0)
		err = ERR_BAD_INPUT;
	else if (err == ERR_OK && strcmp(status, "ok") != 0)
		err = ERR_REFUSED;
	if (err == ERR_OK) {
		read_opened(v, q->sku, &entry);
		view.sale = entry.message.sale;
		view.remaining = view.sale.total;
		view.sale.state = SALE_OPEN;
	}
	q->fn.opened(err, &view, &entry, q->arg);
	free(q);
}

static void
on_listed(enum err err, const struct redis_value *v, void *arg)
{
	(void)err;
	(void)v;
	(void)arg;
}

void
sale_list_sku(struct redis *redis, const char *sku)
{
	redis_call(redis, on_listed, NULL, "SADD", "fs:sales", sku, NULL);
}

void
sale_open(struct redis *redis, const struct sale_change *change,
    bool only_if_new, sale_opened_fn *fn, void *arg)
{
	struct question *q = question_new(change->sku, arg);
	struct arguments a;
	char sale_id[UUID_TEXT_SIZE];

	q->fn.opened = fn;
	uuid_v7(sale_id);
	arguments_init(&a);
	arguments_add_key(&a, change->sku, "sale");
	arguments_add_key(&a, change->sku, "buyers");
	arguments_add_key(&a, change->sku, "requests");
	arguments_add_key(&a, change->sku, "orders");
	arguments_add_key(&a, change->sku, "orders:previous");
	arguments_add_key(&a, change->sku, "outbox");
	arguments_add_text(&a, only_if_new ? "new" : "reset");
	arguments_add_text(&a, sale_id);
	arguments_add_number(&a, change->stock);
	arguments_add_text(&a, change->sku);
	arguments_add_optional(&a, change->name);
	arguments_add_number(&a, change->limit);
	arguments_add_number(&a, change->opens_at);
	arguments_add_number(&a, change->closes_at);
	arguments_add_number(&a, change->price_minor);
	arguments_add_optional(&a, change->currency);
	arguments_add_text(&a, redis_run_id(redis));
	sale_list_sku(redis, change->sku);
	redis_eval(redis, &script_open, a.n_keys, a.list, a.n, on_opened, q);
}

static void
on_state_set(enum err err, const struct redis_value *v, void *arg)
{
	const char *status = redis_text(v);

	if (err == ERR_OK && strcmp(status, "no_sale") == 0)
		err = ERR_NOT_FOUND;
	else if (err == ERR_OK && strcmp(status, "undefined") == 0)
		err = ERR_BAD_INPUT;
	on_done(err, v, arg);
}

void
sale_set_state(struct redis *redis, const char *sku, enum sale_state state,
    sale_done_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	struct arguments a;

	q->fn.done = fn;
	arguments_init(&a);
	arguments_add_key(&a, sku, "sale");
	arguments_add_key(&a, sku, "outbox");
	arguments_add_text(&a, sale_state_name(state));
	redis_eval(
	    redis, &script_state, a.n_keys, a.list, a.n, on_state_set, q);
}

/* --- Epochs --- */

static void
on_epoch(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	const char *here = redis_run_id(q->redis);

	q->fn.epoch(
	    err, here[0] == '\0' || strcmp(redis_text(v), here) == 0, q->arg);
	free(q);
}

void
sale_check_epoch(struct redis *redis, sale_epoch_fn *fn, void *arg)
{
	struct question *q = question_new("", arg);

	q->fn.epoch = fn;
	q->redis = redis;
	redis_call(redis, on_epoch, q, "GET", "fs:epoch", NULL);
}

static void
on_epoch_before(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	const char *here = redis_run_id(q->redis);

	q->err = err;
	q->complete = here[0] == '\0' || strcmp(redis_text(v), here) == 0;
}

static void
on_looked_again(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	q->fn.epoch(q->err != ERR_OK ? q->err : err,
	    q->complete && redis_int(v) == 0, q->arg);
	free(q);
}

void
sale_check_absence(struct redis *redis, const char *sku, const char *order_id,
    sale_epoch_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char key[KEY_SIZE];

	q->fn.epoch = fn;
	q->redis = redis;
	redis_call(redis, on_epoch_before, q, "GET", "fs:epoch", NULL);
	snprintf(key, sizeof(key), "fs:{%s}:%s", sku,
	    order_id == NULL ? "sale" : "orders");
	if (order_id == NULL)
		redis_call(redis, on_looked_again, q, "EXISTS", key, NULL);
	else
		redis_call(
		    redis, on_looked_again, q, "HEXISTS", key, order_id, NULL);
}

void
sale_set_epoch(struct redis *redis, sale_done_fn *fn, void *arg)
{
	struct question *q = question_new("", arg);

	q->fn.done = fn;
	redis_call(
	    redis, on_done, q, "SET", "fs:epoch", redis_run_id(redis), NULL);
}
