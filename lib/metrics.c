/*
 * Metrics in shared memory.  Every process writes only its own slot, with
 * plain relaxed stores; the slots stand a cache line apart, so counting costs
 * an add.
 */
#include "metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"

/* Upper bounds in seconds, fit for both a Redis round trip and a slow send. */
static const double bounds[] = {
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};
#define N_BOUNDS (sizeof(bounds) / sizeof(bounds[0]))
_Static_assert(N_BOUNDS + 1 == METRICS_BUCKETS, "as metrics.h has it");

struct cell {
	_Atomic int64_t value; /* counter, gauge, or sum in microseconds */
	_Atomic int64_t buckets[N_BOUNDS + 1]; /* not cumulative; last = +Inf */
};

struct slot {
	struct cell cells[METRICS_MAX];
	char padding[64];
};

static struct slot *slots, *mine;
static unsigned n_slots;
static const struct metric *metrics;
static size_t n_metrics;

void
metrics_init(const struct metric *defs, size_t n, unsigned count)
{
	if (n > METRICS_MAX)
		fatal(EXIT_OSERR, "metrics: %zu are more than %d", n,
		    METRICS_MAX);
	slots = mmap(NULL, count * sizeof(struct slot), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		fatal(EXIT_OSERR, "no memory for the metrics of %u processes",
		    count);
	mine = slots;
	n_slots = count;
	metrics = defs;
	n_metrics = n;
}

void
metrics_use_slot(unsigned slot)
{
	mine = &slots[slot < n_slots ? slot : 0];
	/* Whoever had it was killed, perhaps: what it held is gone. */
	for (unsigned id = 0; id < n_metrics; id++)
		if (metrics[id].type == METRIC_GAUGE)
			metrics_set(id, 0);
}

/* One writer per slot: a load and a store, no locked instruction. */
static void
bump(_Atomic int64_t *value, int64_t n)
{
	atomic_store_explicit(value,
	    atomic_load_explicit(value, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

void
metrics_add(unsigned id, int64_t n)
{
	bump(&mine->cells[id].value, n);
}

void
metrics_set(unsigned id, int64_t value)
{
	atomic_store_explicit(
	    &mine->cells[id].value, value, memory_order_relaxed);
}

void
metrics_observe(unsigned id, double seconds)
{
	size_t i = 0;

	while (i < N_BOUNDS && seconds > bounds[i])
		i++;
	bump(&mine->cells[id].buckets[i], 1);
	bump(&mine->cells[id].value, (int64_t)llround(seconds * 1e6));
}

int64_t
metrics_sum(unsigned id)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < n_slots; i++)
		sum += atomic_load_explicit(
		    &slots[i].cells[id].value, memory_order_relaxed);
	return sum;
}

static int64_t
sum_bucket(unsigned id, size_t bucket)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < n_slots; i++)
		sum += atomic_load_explicit(
		    &slots[i].cells[id].buckets[bucket], memory_order_relaxed);
	return sum;
}

void
metrics_buckets(unsigned id, int64_t counts[METRICS_BUCKETS])
{
	for (size_t i = 0; i < METRICS_BUCKETS; i++)
		counts[i] = sum_bucket(id, i);
}

double
metrics_bound(size_t bucket)
{
	return bucket < N_BOUNDS ? bounds[bucket] : INFINITY;
}

/* --- Prometheus text --- */

struct page {
	char *buf;
	size_t size, len;
	bool full;
};

static void PRINTF_LIKE(2, 3) print(struct page *page, const char *fmt, ...)
{
	va_list args;
	int n;

	if (page->full)
		return;
	va_start(args, fmt);
	n = vsnprintf(page->buf + page->len, page->size - page->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= page->size - page->len)
		page->full = true;
	else
		page->len += (size_t)n;
}

static void
print_histogram(struct page *page, unsigned id)
{
	const struct metric *m = &metrics[id];
	const char *comma = m->labels[0] != '\0' ? "," : "";
	char braces[128] = "";
	int64_t count = 0;

	if (m->labels[0] != '\0')
		snprintf(braces, sizeof(braces), "{%s}", m->labels);

	for (size_t i = 0; i < N_BOUNDS; i++) {
		count += sum_bucket(id, i);
		print(page, "%s_bucket{%s%sle=\"%g\"} %" PRId64 "\n", m->name,
		    m->labels, comma, bounds[i], count);
	}
	count += sum_bucket(id, N_BOUNDS);
	print(page, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", m->name,
	    m->labels, comma, count);
	print(page, "%s_sum%s %.6f\n", m->name, braces,
	    (double)metrics_sum(id) / 1e6);
	print(page, "%s_count%s %" PRId64 "\n", m->name, braces, count);
}

static void
print_metric(struct page *page, unsigned id)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	const struct metric *m = &metrics[id];

	if (id == 0 || strcmp(m->name, metrics[id - 1].name) != 0)
		print(page, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help,
		    m->name, types[m->type]);
	if (m->type == METRIC_HISTOGRAM)
		print_histogram(page, id);
	else if (m->labels[0] != '\0')
		print(page, "%s{%s} %" PRId64 "\n", m->name, m->labels,
		    metrics_sum(id));
	else
		print(page, "%s %" PRId64 "\n", m->name, metrics_sum(id));
}

enum err
metrics_render(char *buf, size_t size, size_t *len)
{
	struct page page = {.buf = buf, .size = size};

	for (unsigned id = 0; id < n_metrics; id++)
		print_metric(&page, id);
	*len = page.len;
	return page.full ? ERR_NOMEM : ERR_OK;
}
