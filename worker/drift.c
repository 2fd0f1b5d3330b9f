/*
 * Drift.  An order moves from Redis to the queue to MySQL, so that is the
 * order of reading: all sales, the queue, and then MySQL, with a second look
 * at Redis.  When outbox and queue were empty and nobody has bought meanwhile,
 * MySQL has all that was taken.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exit_codes.h"
#include "ledger.h"
#include "log.h"
#include "metrics.h"
#include "sale.h"

#include "await.h"
#include "drift.h"
#include "part.h"

#define LOOK_SECONDS 5.0
#define PAGE_SIZE 32768 /* bytes of the counters' text */

/* A sale, as the last looks had it. */
struct watched {
	char sku[SKU_MAX + 1];
	bool is_here;	/* at this look */
	bool was_exact; /* ever */
	struct sale_view view;
	struct ledger_book book;
	int64_t drift; /* units, when it was exact last */
	int64_t told;
};

struct drift {
	const struct config *config;
	struct redis *redis;
	struct sqs *queue, *dead_letters; /* NULL: there is none */
	struct db *db;
	const bool *leaving;
	double next;	       /* clock_seconds() of the next look */
	struct watched *sales; /* by SKU */
	size_t sales_n;
	struct part file;

	/* the answer that is waited for */
	struct await await;
	struct sale_view view;
};

/* --- Asking --- */

static int
compare_skus(const void *a, const void *b)
{
	return strcmp(
	    ((const struct watched *)a)->sku, ((const struct watched *)b)->sku);
}

/* Room for n more; what they are is for the caller to write. */
static void
grow(struct drift *d, size_t n)
{
	struct watched *more =
	    realloc(d->sales, (d->sales_n + n + 1) * sizeof(*more));

	if (more == NULL)
		fatal(EXIT_OSERR, "out of memory");
	d->sales = more;
}

static void
on_skus(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct drift *d = arg;
	size_t i, known = d->sales_n;

	grow(d, n);
	for (i = 0; i < n; i++) {
		struct watched one = {.is_here = false};

		snprintf(one.sku, sizeof(one.sku), "%s", skus[i]);
		if (bsearch(&one, d->sales, known, sizeof(one), compare_skus) ==
		    NULL)
			d->sales[d->sales_n++] = one;
	}
	if (d->sales_n > known)
		qsort(d->sales, d->sales_n, sizeof(d->sales[0]), compare_skus);
	await_answered(&d->await, err);
}

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	struct drift *d = arg;

	if (err == ERR_OK)
		d->view = *view;
	await_answered(&d->await, err);
}

static bool
look_at(struct drift *d, const char *sku)
{
	sale_look(d->redis, sku, on_view, d);
	return await_answer(&d->await) && !d->view.recovering;
}

/* --- Judging --- */

static int64_t
units_taken(const struct sale_view *view)
{
	return view->sale.total - view->remaining;
}

/* Tell a drift when it is there, has changed, or is gone. */
static void
tell(struct watched *w)
{
	if (w->drift == w->told)
		return;
	if (w->drift == 0)
		log_info("the books of %s balance again", w->sku);
	else
		log_warn("the books of %s do not balance: %" PRId64
			 " units taken in Redis, %" PRId64
			 " confirmed in MySQL, and nothing on its way; "
			 "\"flashsale verify %s\" says more",
		    w->sku, units_taken(&w->view), w->book.confirmed_units,
		    w->sku);
	w->told = w->drift;
}

static enum err
read_book(struct drift *d, struct watched *w)
{
	enum err err = db_connect(d->db);

	if (err == ERR_OK)
		err = ledger_read_book(d->db, w->view.sale.id, &w->book);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Nobody has bought, and no other sale has begun, since the first look. */
static bool
is_unchanged(const struct watched *w, const struct sale_view *now)
{
	return strcmp(w->view.sale.id, now->sale.id) == 0 &&
	       w->view.remaining == now->remaining && w->view.outbox == 0 &&
	       now->outbox == 0;
}

/* A drift counts when two looks in a row have found the same: what the queue
 * says of its depth is an estimate. */
static void
judge(struct watched *w)
{
	int64_t drift = units_taken(&w->view) - w->book.confirmed_units;
	bool is_confirmed = drift == w->drift;

	w->drift = drift;
	if (w->was_exact && is_confirmed)
		tell(w);
	w->was_exact = true;
}

/* --- The metrics' file --- */

static int64_t
moving_units(const struct watched *w)
{
	return units_taken(&w->view) - w->book.confirmed_units -
	       (w->was_exact ? w->drift : 0);
}

static void
print_gauge(FILE *file, const struct drift *d, const char *name,
    const char *help, int64_t (*value)(const struct watched *))
{
	size_t i;

	fprintf(file, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
	for (i = 0; i < d->sales_n; i++)
		if (d->sales[i].is_here)
			fprintf(file, "%s{sku=\"%s\"} %" PRId64 "\n", name,
			    d->sales[i].sku, value(&d->sales[i]));
}

static int64_t
drift_units(const struct watched *w)
{
	return w->drift;
}

static int64_t
rejected_orders(const struct watched *w)
{
	return w->book.rejected_orders;
}

static void
print_all(FILE *file, const struct drift *d)
{
	char page[PAGE_SIZE];
	size_t len;

	if (metrics_render(page, sizeof(page), &len) == ERR_OK)
		fwrite(page, 1, len, file);
	print_gauge(file, d, "flashsale_sale_drift_units",
	    "Units taken and neither confirmed nor on their way; when nothing "
	    "moved last.",
	    drift_units);
	print_gauge(file, d, "flashsale_sale_moving_units",
	    "Units taken in Redis that MySQL has not confirmed, without drift.",
	    moving_units);
	print_gauge(file, d, "flashsale_sale_rejected_orders",
	    "Orders that MySQL had no units for.", rejected_orders);
}

/* Whoever reads meanwhile finds the old file or the new one, whole. */
static void
write_file(struct drift *d)
{
	const char *path = d->config->metrics_file;
	char draft[4200];
	FILE *file;

	if (path[0] == '\0')
		return;
	snprintf(draft, sizeof(draft), "%s.new", path);
	file = fopen(draft, "we");
	if (file != NULL) {
		print_all(file, d);
		if (fclose(file) == 0 && rename(draft, path) == 0) {
			part_works(&d->file);
			return;
		}
	}
	(void)part_failed(&d->file, "%s cannot be written: %m", path);
}

/* --- A look --- */

static bool
look_at_redis(struct drift *d)
{
	size_t i;

	sale_list(d->redis, on_skus, d);
	if (!await_answer(&d->await))
		return false;
	for (i = 0; i < d->sales_n; i++) {
		struct watched *w = &d->sales[i];

		w->is_here = look_at(d, w->sku);
		if (w->is_here)
			w->view = d->view;
	}
	return !*d->leaving;
}

static void
look_at_mysql(struct drift *d, bool is_drained)
{
	size_t i;

	for (i = 0; i < d->sales_n && !*d->leaving; i++) {
		struct watched *w = &d->sales[i];

		if (!w->is_here)
			continue;
		if (read_book(d, w) != ERR_OK)
			return; /* the consumers tell of it */
		if (is_drained && look_at(d, w->sku) &&
		    is_unchanged(w, &d->view))
			judge(w);
	}
	write_file(d);
}

void
drift_look(struct drift *d)
{
	bool is_drained;

	if (clock_seconds() < d->next || !redis_is_ready(d->redis))
		return;
	d->next = clock_seconds() + LOOK_SECONDS;
	if (!look_at_redis(d))
		return;
	is_drained = await_empty_queue(&d->await, d->queue) &&
		     await_empty_queue(&d->await, d->dead_letters);
	look_at_mysql(d, is_drained);
}

/* --- Coming and going --- */

struct drift *
drift_new(struct ev_loop *loop, const struct config *config,
    struct redis *redis, struct sqs *queue, struct sqs *dead_letters,
    struct db *db, const bool *leaving)
{
	struct drift *d = calloc(1, sizeof(*d));

	if (d == NULL)
		fatal(EXIT_OSERR, "out of memory");
	*d = (struct drift){.config = config,
	    .await = {.loop = loop, .leaving = leaving},
	    .redis = redis,
	    .queue = queue,
	    .dead_letters = dead_letters,
	    .db = db,
	    .leaving = leaving,
	    .file.name = "METRICS_FILE"};
	return d;
}

void
drift_free(struct drift *d)
{
	free(d->sales);
	free(d);
}
