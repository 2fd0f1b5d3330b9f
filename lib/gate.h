/*
 * Leases of web servers that refuse the buyers of a sale by themselves:
 * lua/gate.lua as functions.
 */
#ifndef FLASHSALE_GATE_H
#define FLASHSALE_GATE_H

#include <stdint.h>

#include <ev.h>

#include "err.h"
#include "redis.h"

/* Published to with a SKU when its sale may refuse, or sell, what it did not
 * before. */
#define GATE_CHANNEL "fs:gate"

/* So long after the call does a lease last at least. */
#define GATE_LEASE_MS 1500

/* refusal: "sold_out", "not_open" (opens_at in ms), "closed" or "paused": the
 * gate has its lease; "open": it has not got one, or an old one runs on. */
typedef void gate_fn(
    enum err, const char *refusal, int64_t opens_at, void *arg);

/* Take or extend the lease on a SKU.  gate: a name that nobody else has. */
void gate_shut(
    struct redis *, const char *sku, const char *gate, gate_fn *, void *arg);

/* Give the lease back: the web server refuses nobody by it any more. */
void gate_lift(struct redis *, const char *sku, const char *gate);

/* Call fn when no web server refuses buyers of the SKU any more whom the sale
 * would not; at the latest when every lease must be over. */
void gate_wait(struct ev_loop *, struct redis *, const char *sku,
    void (*fn)(void *arg), void *arg);

#endif
