/*
 * Reservations: units taken from a sale in Redis by lua/reserve.lua.  Those of
 * one SKU that are asked for in one turn of the event loop, or while calls
 * from before are under way, go to Redis in one call of the script.
 */
#ifndef FLASHSALE_RESERVATIONS_H
#define FLASHSALE_RESERVATIONS_H

#include <stdint.h>

#include <ev.h>

#include "err.h"
#include "message.h"
#include "redis.h"
#include "sale.h"

enum reserve_outcome {
	RESERVE_OK,	  /* the order is in Redis, and in the outbox */
	RESERVE_REPLAYED, /* this Idempotency-Key already has its order */
	RESERVE_SOLD_OUT, /* fewer units left than asked for */
	RESERVE_LIMIT_REACHED,
	RESERVE_NOT_OPEN,
	RESERVE_CLOSED,
	RESERVE_PAUSED,
	RESERVE_NO_SALE,
	RESERVE_RECOVERING,  /* this Redis may have lost orders */
	RESERVE_KEY_REUSED,  /* same key, but another quantity */
	RESERVE_UNAVAILABLE, /* Redis not reached: nothing happened */
	RESERVE_UNKNOWN,     /* no answer: it may have happened */
};

struct reservation {
	enum reserve_outcome outcome;
	struct order order; /* complete when OK; id and quantity if REPLAYED */
	char state[16];	    /* of a REPLAYED order: "reserved", "queued"... */
	int64_t remaining;  /* after it; also with SOLD_OUT */
	int64_t limit;	    /* with LIMIT_REACHED */
	int64_t opens_at;   /* with NOT_OPEN: ms since 1970 */
	char entry_id[ENTRY_ID_SIZE]; /* of the outbox, when OK */
};

/* Called exactly once for each reservation, never before the call that asked
 * for it returns.  The reservation is the callee's until it returns. */
typedef void reserve_fn(const struct reservation *, void *arg);

struct reservations;

/* Both are borrowed. NULL: out of memory. */
struct reservations *reservations_new(struct ev_loop *, struct redis *);

/* None may be waiting for an answer. NULL is fine. */
void reservations_free(struct reservations *);

/*
 * Take wanted->quantity units of wanted->sku for wanted->user_id under
 * wanted->id and, unless "", wanted->request_key.  One round trip, after those
 * under way; two when the sale refused everybody the last time and does so no
 * more.
 */
void reservations_ask(
    struct reservations *, const struct order *wanted, reserve_fn *, void *arg);

#endif
