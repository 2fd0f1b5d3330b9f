/*
 * The outbox as the queue: calls of lua/take.lua and of the stream commands,
 * reading their answers.  Entries become the JSON that SQS would have
 * carried, so that there is one decoder, with one set of rules.
 */
#include "outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "scripts.h"

/* As in lua/take.lua. */
#define GROUP "flashsale"
#define CONSUMER "worker"

/* A question under way. */
struct question {
	union {
		outbox_take_fn *taken;
		outbox_length_fn *counted;
		outbox_depth_fn *measured;
	} fn;
	void *arg;
	char sku[SKU_MAX + 1];
	enum err err; /* of the first of two commands */
	struct outbox_depth depth;
};

static struct question *
question_new(const char *sku, void *arg)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		abort(); /* 150 bytes: nothing can be done any more */
	q->arg = arg;
	snprintf(q->sku, sizeof(q->sku), "%s", sku);
	return q;
}

static void
outbox_key(const char *sku, char key[KEY_SIZE])
{
	snprintf(key, KEY_SIZE, "fs:{%s}:outbox", sku);
}

/* --- From an entry to a message --- */

/* "name=value" a line, for a person. Cut at OUTBOX_RAW_MAX. */
static bool
copy_raw(const struct redis_value *fields, struct outbox_message *m)
{
	size_t room = OUTBOX_RAW_MAX;
	char *out = m->body = calloc(1, OUTBOX_RAW_MAX + 1);

	if (out == NULL)
		return false;
	for (size_t i = 0; i < redis_array_size(fields); i++) {
		const struct redis_value *field = redis_at(fields, i);
		size_t len = redis_text_len(field);
		size_t kept = len < room ? len : room;

		memcpy(out, redis_text(field), kept);
		out += kept;
		room -= kept;
		if (room > 0) {
			*out++ = i % 2 == 0 ? '=' : '\n';
			room--;
		}
		m->body_len += len + 1;
	}
	return true;
}

/* False: out of memory; the entry comes back by itself. */
static bool
read_message(
    const struct redis_value *v, const char *sku, struct outbox_message *m)
{
	static char json[MESSAGE_MAX + 1];
	struct outbox_entry entry;

	*m = (struct outbox_message){.damage = NULL};
	sale_read_entry(v, sku, &entry);
	snprintf(m->receipt.sku, sizeof(m->receipt.sku), "%s", sku);
	memcpy(m->receipt.entry_id, entry.id, sizeof(entry.id));
	m->receipt.deliveries = (unsigned)redis_int(redis_at(v, 2));
	if (entry.is_damaged)
		m->damage = "the outbox entry is damaged";
	else if (message_encode(&entry.message, json, sizeof(json),
		     &m->body_len) != ERR_OK)
		m->damage = "the outbox entry makes no message";
	if (m->damage != NULL)
		return copy_raw(redis_at(v, 1), m);
	m->body = strdup(json);
	return m->body != NULL;
}

/* --- Taking --- */

static void
on_taken(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;
	size_t i, n = 0, most = err == ERR_OK ? redis_array_size(v) : 0;
	struct outbox_message *list = calloc(most + 1, sizeof(*list));

	if (list == NULL) {
		err = ERR_NOMEM;
		most = 0;
	}
	for (i = 0; i < most; i++)
		if (read_message(redis_at(v, i), q->sku, &list[n]))
			n++;
	q->fn.taken(err, list, n, q->arg);
	for (i = 0; i < n; i++)
		free(list[i].body);
	free(list);
	free(q);
}

void
outbox_take(struct redis *redis, const char *sku, unsigned max,
    unsigned lease_ms, outbox_take_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	struct arguments a;

	q->fn.taken = fn;
	arguments_init(&a);
	arguments_add_key(&a, sku, "outbox");
	arguments_add_number(&a, max < OUTBOX_TAKE_MAX ? max : OUTBOX_TAKE_MAX);
	arguments_add_number(&a, lease_ms);
	redis_eval(redis, &script_take, a.n_keys, a.list, a.n, on_taken, q);
}

static void
on_given_back(enum err err, const struct redis_value *v, void *arg)
{
	(void)err;
	(void)v;
	(void)arg;
}

/*
 * XCLAIM by ourselves, backdated so far that lua/take.lua finds the lease
 * over, which is longer for what was delivered more often.
 */
void
outbox_give_back(struct redis *redis, const struct outbox_receipt *receipt,
    unsigned lease_ms)
{
	char key[KEY_SIZE], idle[NUMBER_SIZE], deliveries[NUMBER_SIZE];
	unsigned before = receipt->deliveries > 0 ? receipt->deliveries - 1 : 0;

	outbox_key(receipt->sku, key);
	snprintf(
	    idle, sizeof(idle), "%" PRIu64, (uint64_t)lease_ms * (before + 1));
	snprintf(deliveries, sizeof(deliveries), "%u", before);
	redis_call(redis, on_given_back, NULL, "XCLAIM", key, GROUP, CONSUMER,
	    "0", receipt->entry_id, "IDLE", idle, "RETRYCOUNT", deliveries,
	    "JUSTID", NULL);
}

/* --- Measuring --- */

static void
on_counted(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	q->fn.counted(err, redis_int(v), q->arg);
	free(q);
}

void
outbox_length(
    struct redis *redis, const char *sku, outbox_length_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char key[KEY_SIZE];

	q->fn.counted = fn;
	outbox_key(sku, key);
	redis_call(redis, on_counted, q, "XLEN", key, NULL);
}

static void
on_length(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	q->err = err;
	q->depth.waiting = redis_int(v);
}

/* The second of two answers.  Refused: nobody has made the group yet. */
static void
on_pending(enum err err, const struct redis_value *v, void *arg)
{
	struct question *q = arg;

	if (err == ERR_OK)
		q->depth.taken = redis_int(redis_at(v, 0));
	else if (err == ERR_REFUSED)
		err = ERR_OK;
	q->depth.waiting -= q->depth.taken;
	if (q->depth.waiting < 0) /* deleted, and still on the group's list */
		q->depth.waiting = 0;
	q->fn.measured(q->err != ERR_OK ? q->err : err, &q->depth, q->arg);
	free(q);
}

void
outbox_measure(
    struct redis *redis, const char *sku, outbox_depth_fn *fn, void *arg)
{
	struct question *q = question_new(sku, arg);
	char key[KEY_SIZE];

	q->fn.measured = fn;
	outbox_key(sku, key);
	redis_call(redis, on_length, q, "XLEN", key, NULL);
	redis_call(redis, on_pending, q, "XPENDING", key, GROUP, NULL);
}
