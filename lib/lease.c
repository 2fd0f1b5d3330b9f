#include "lease.h"

#include <stdlib.h>

#include "arguments.h"
#include "log.h"
#include "scripts.h"

struct question {
	lease_fn *fn;
	void *arg;
};

static void
on_answer(enum err err, const struct redis_value *v, void *arg)
{
	static double last_line;
	struct question *q = arg;

	if (err == ERR_REFUSED && log_rate_ok(&last_line))
		log_error("lease: Redis says: %s", redis_text(v));
	q->fn(err, err == ERR_OK && redis_int(v) == 1, q->arg);
	free(q);
}

void
lease_hold(struct redis *redis, const char *sku, const char *token, unsigned ms,
    lease_fn *fn, void *arg)
{
	struct question *q = malloc(sizeof(*q));
	struct arguments a;

	if (q == NULL)
		abort(); /* 16 bytes: nothing can be answered any more */
	*q = (struct question){fn, arg};
	arguments_init(&a);
	arguments_add_key(&a, sku, "keeper");
	arguments_add_text(&a, token);
	arguments_add_number(&a, ms);
	redis_eval(redis, &script_lease, a.n_keys, a.list, a.n, on_answer, q);
}
