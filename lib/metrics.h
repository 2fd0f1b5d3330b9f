/*
 * Counters and latency histograms in memory shared by a master and its
 * children: one slot per process, written without locks by its owner, summed
 * by whoever renders.  A restarted child takes over its predecessor's slot,
 * so counters never go backwards while the master lives.
 */
#ifndef FLASHSALE_METRICS_H
#define FLASHSALE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,	  /* summed over the slots */
	METRIC_HISTOGRAM, /* seconds; observed in microseconds */
};

/* A program lists its metrics in one array; the index is the metric's id. */
struct metric {
	enum metric_type type;
	const char *name;   /* "flashsale_requests_total" */
	const char *labels; /* "code=\"sold_out\"", or "" */
	const char *help;   /* those of one name stand together, same help */
};

#define METRICS_MAX 64

/*
 * Map the shared memory: before the first fork.  defs must live on.
 * Dies when there is no memory.
 */
void metrics_init(const struct metric *defs, size_t n, unsigned slots);

/* After the fork: this process writes slot i (0 before that).  Gauges begin
 * at 0, counters go on from where the slot's last process left them. */
void metrics_use_slot(unsigned slot);

void metrics_add(unsigned id, int64_t n);
void metrics_set(unsigned id, int64_t value); /* gauges */
void metrics_observe(unsigned id, double seconds);

/* The sum over all slots: for tests and status lines. */
int64_t metrics_sum(unsigned id);

/*
 * A histogram, summed over all slots: how many were observed in each bucket,
 * which holds what is over the bound before its own; the last has none.
 */
#define METRICS_BUCKETS 14
void metrics_buckets(unsigned id, int64_t counts[METRICS_BUCKETS]);
double metrics_bound(size_t bucket); /* seconds */

/* Prometheus text format 0.0.4 into buf; ERR_NOMEM if it does not fit. */
enum err metrics_render(char *buf, size_t size, size_t *len) MUST_CHECK;

#endif
