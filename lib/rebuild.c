#include "rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "log.h"
#include "sale.h"
#include "scripts.h"

/* A rebuilder that is silent for so long has died. */
#define LEASE_MS 30000

struct step {
	sale_rebuild_fn *fn;
	void *arg;
	char sku[SKU_MAX + 1];
};

static enum rebuild_outcome
read_outcome(const char *status)
{
	static const char *const names[] = {[REBUILD_OK] = "ok",
	    [REBUILD_FRESH] = "fresh",
	    [REBUILD_BUSY] = "busy",
	    [REBUILD_LOST] = "lost",
	    [REBUILD_NOTHING] = "nothing",
	    [REBUILD_DAMAGED] = "damaged"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(status, names[i]) == 0)
			return (enum rebuild_outcome)i;
	return REBUILD_FAILED;
}

/* What the first step has found to be lost. */
static void
tell_losses(const char *sku, int64_t damaged, bool is_defined)
{
	if (damaged > 0)
		log_warn("sale of %s: %lld orders in Redis cannot be read and "
			 "are passed over, but for what MySQL has of them",
		    sku, (long long)damaged);
	if (!is_defined)
		log_warn("MySQL has no definition of %s: paused; limit, times "
			 "and name are lost; do not resume it, reset it with "
			 "all its options",
		    sku);
}

static void
on_step(enum err err, const struct redis_value *v, void *arg)
{
	struct step *step = arg;
	enum rebuild_outcome outcome = REBUILD_FAILED;

	if (err == ERR_OK)
		outcome = read_outcome(redis_text(redis_at(v, 0)));
	else if (err == ERR_REFUSED)
		log_error(
		    "rebuild of %s: Redis says: %s", step->sku, redis_text(v));
	if (outcome == REBUILD_OK)
		tell_losses(step->sku, redis_int(redis_at(v, 3)),
		    strcmp(redis_text(redis_at(v, 4)), "0") != 0);
	if (outcome == REBUILD_DAMAGED)
		log_error("rebuild of %s: what Redis has of the sale is "
			  "damaged, and MySQL does not know it: reset it with "
			  "all its options",
		    step->sku);
	step->fn(outcome, redis_int(redis_at(v, 1)), redis_text(redis_at(v, 2)),
	    step->arg);
	free(step);
}

static void
start(struct arguments *a, const char *sku, const char *name, const char *token)
{
	arguments_init(a);
	arguments_add_key(a, sku, "sale");
	arguments_add_key(a, sku, "buyers");
	arguments_add_key(a, sku, "requests");
	arguments_add_key(a, sku, "orders");
	arguments_add_key(a, sku, "outbox");
	arguments_add_text(a, name);
	arguments_add_text(a, token);
}

static void
call(struct redis *redis, const char *sku, const struct arguments *a,
    sale_rebuild_fn *fn, void *arg)
{
	struct step *step = malloc(sizeof(*step));

	if (step == NULL)
		abort();
	*step = (struct step){.fn = fn, .arg = arg};
	snprintf(step->sku, sizeof(step->sku), "%s", sku);
	redis_eval(
	    redis, &script_rebuild, a->n_keys, a->list, a->n, on_step, step);
}

void
sale_rebuild_begin(struct redis *redis, const char *sku, const char *token,
    const struct sale *known, sale_rebuild_fn *fn, void *arg)
{
	struct arguments a;

	start(&a, sku, "begin", token);
	arguments_add_text(&a, redis_run_id(redis));
	arguments_add_number(&a, LEASE_MS);
	if (known != NULL) {
		arguments_add_text(&a, known->id);
		arguments_add_number(&a, known->revision);
		arguments_add_number(&a, known->total);
		arguments_add_text(&a, known->name);
		arguments_add_number(&a, known->limit);
		arguments_add_number(&a, known->opens_at);
		arguments_add_number(&a, known->closes_at);
		arguments_add_number(&a, known->price_minor);
		arguments_add_text(&a, known->currency);
		arguments_add_number(&a, known->created_at);
		arguments_add_text(&a, sale_state_name(known->state));
	}
	if (known != NULL)
		sale_list_sku(redis, sku);
	call(redis, sku, &a, fn, arg);
}

void
sale_rebuild_add(struct redis *redis, const char *sku, const char *token,
    const struct ledger_order *orders, size_t n, sale_rebuild_fn *fn, void *arg)
{
	struct arguments a;

	start(&a, sku, "add", token);
	arguments_add_number(&a, LEASE_MS);
	for (size_t i = 0; i < n && i < REBUILD_ORDERS_MAX; i++) {
		arguments_add_text(&a, orders[i].id);
		arguments_add_text(&a, orders[i].status);
		arguments_add_number(&a, orders[i].quantity);
		arguments_add_text(&a, orders[i].user_id);
		arguments_add_text(&a, orders[i].request_key);
	}
	call(redis, sku, &a, fn, arg);
}

void
sale_rebuild_finish(struct redis *redis, const char *sku, const char *token,
    sale_rebuild_fn *fn, void *arg)
{
	struct arguments a;

	start(&a, sku, "finish", token);
	arguments_add_text(&a, redis_run_id(redis));
	call(redis, sku, &a, fn, arg);
}
