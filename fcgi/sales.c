/*
 * GET /sales: what is on offer, for a page that shows all of it.  The list,
 * and then a look at each sale; the looks leave in one write.
 */
#include "sales.h"

#include <stdlib.h>

#include "handlers.h"
#include "problem.h"
#include "reply.h"
#include "responder.h"

struct looking {
	sales_fn *fn;
	void *arg;
	struct redis *redis;
	enum err err;	/* the first that was no answer */
	size_t n;	/* sales seen */
	size_t awaited; /* answers that are missing */
	struct sale_view sales[SALES_MAX];
};

static void
finish(struct looking *l)
{
	l->fn(l->err, l->sales, l->n, l->arg);
	free(l);
}

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	struct looking *l = arg;

	if (err == ERR_OK)
		l->sales[l->n++] = *view;
	else if (err != ERR_NOT_FOUND && err != ERR_REFUSED && l->err == ERR_OK)
		l->err = err; /* one that is gone or damaged hides no other */
	if (--l->awaited == 0)
		finish(l);
}

static void
on_epoch(enum err err, bool complete, void *arg)
{
	struct looking *l = arg;

	l->err = err == ERR_OK && !complete ? ERR_RECOVERING : err;
	finish(l);
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct looking *l = arg;

	l->err = err;
	l->awaited = n < SALES_MAX ? n : SALES_MAX;
	if (err != ERR_OK)
		finish(l);
	else if (n == 0) /* none, or lost? */
		sale_check_epoch(l->redis, on_epoch, l);
	else
		for (size_t i = 0; i < n && i < SALES_MAX; i++)
			sale_look(l->redis, skus[i], on_view, l);
}

void
sales_look(struct redis *redis, sales_fn *fn, void *arg)
{
	struct looking *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort(); /* some kilobytes: nothing can be answered any more */
	l->fn = fn;
	l->arg = arg;
	l->redis = redis;
	sale_list(redis, on_list, l);
}

static void
on_sales(enum err err, const struct sale_view *sales, size_t n, void *arg)
{
	struct exchange *x = arg;
	json_t *list;

	if (err != ERR_OK) {
		problem_reply_failure(x, err, PROBLEM_UNAVAILABLE);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, reply_sale(&sales[i]));
	reply_json(x, 200, REPLY_A_SECOND_OLD,
	    json_pack("{s:o}", "sales", list), STAT_LOOKED);
}

void
sales_handle(struct exchange *x, const char *rest)
{
	const struct responder *responder = x->responder;

	(void)rest;
	sales_look(responder->redis, on_sales, x);
}
