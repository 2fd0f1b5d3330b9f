/*
 * The books of one sale, order by order: what Redis, the outbox, MySQL and
 * the parked messages say of each, put side by side and judged.  Pure but for
 * its memory; whoever fills it asks the stores (inspect.c).
 *
 * An order only moves forward: Redis knows it from its first moment, then it
 * is in the outbox, in the queue, in MySQL.  The queue cannot be read without
 * receiving, but the others can, and the queue tells whether it is empty.  So
 * read in the order in which orders move, an order of Redis' that is neither
 * in the outbox nor in MySQL is in the queue, or, when that was empty in
 * between, lost.
 */
#ifndef FLASHSALE_AUDIT_H
#define FLASHSALE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum order_state {
	ORDER_ABSENT,
	ORDER_RESERVED,
	ORDER_QUEUED,
	ORDER_CONFIRMED,
	ORDER_REJECTED,
	ORDER_OTHER, /* cancelled, expired */
};

enum order_state order_state_parse(const char *);
const char *order_state_name(enum order_state); /* absent: "nothing" */
/* Does an order in that state hold its units? */
bool order_state_is_live(enum order_state);

/* One order, and where it was found. */
struct audit_order {
	char id[UUID_TEXT_SIZE];
	unsigned char redis, mysql; /* enum order_state */
	unsigned char redis_now;    /* the same, when asked again later */
	bool in_outbox, is_parked;
	bool is_newer;	   /* than what was read of Redis: not judged */
	bool is_elsewhere; /* MySQL has it, in another sale */
	int64_t quantity, mysql_quantity;
	/* Never NULL; "" where it is not known. */
	const char *user_id, *mysql_user_id, *request_key;
};

enum difference_kind {
	DIFFERENCE_LOST,     /* taken in Redis, and nowhere else */
	DIFFERENCE_UNKNOWN,  /* booked or in the outbox; Redis forgot it */
	DIFFERENCE_DEAD,     /* parked, and its units are not given back */
	DIFFERENCE_STATUS,   /* Redis does not say what MySQL decided */
	DIFFERENCE_CONTENT,  /* other buyer, quantity or sale in MySQL */
	DIFFERENCE_REQUEST,  /* its Idempotency-Key is forgotten */
	DIFFERENCE_DANGLING, /* an Idempotency-Key of no order */
	DIFFERENCE_KEY_TWICE,
	DIFFERENCE_BUYER,     /* holds other units than his orders have */
	DIFFERENCE_LIMIT,     /* a buyer has more than he may */
	DIFFERENCE_UNITS,     /* remaining + live orders is not the total */
	DIFFERENCE_SOLD,      /* MySQL's counter and its orders disagree */
	DIFFERENCE_OVERSOLD,  /* more units booked than there are */
	DIFFERENCE_UNDEFINED, /* MySQL lacks the sale's definition */
	DIFFERENCE_TERMS,     /* it has other terms of the sale */
	DIFFERENCE_KINDS,
};

const char *difference_kind_name(enum difference_kind);

struct difference {
	enum difference_kind kind;
	const struct audit_order *order;   /* NULL where it is about none */
	const char *order_id;		   /* "" where it is about none */
	const char *user_id, *request_key; /* "" where it is about none */
	/* Units, of the kinds from DIFFERENCE_BUYER on; of a definition its
	 * revision, in MySQL and in Redis; of a term, in Redis and in MySQL. */
	int64_t found, expected;
	const char *term; /* "total", "limit", "state" or "revision" */
};

/* A buyer's entry, or what his orders come to. */
struct audit_buyer {
	const char *user_id;
	int64_t held, wanted, confirmed; /* units */
};

struct audit_request {
	const char *user_id, *request_key;
	char order_id[UUID_TEXT_SIZE];
	bool is_entry; /* of Redis' hash; else it is what an order says */
};

struct audit {
	struct sale sale;
	int64_t remaining;
	int64_t mended;	     /* as in struct sale_view */
	bool is_undefined;   /* likewise */
	bool outbox_defines; /* its definition is on its way */
	bool has_book;	     /* MySQL knows the sale: its revision and total, */
	bool mysql_defines;  /* and also its limit and state */
	struct sale mysql_sale;
	bool is_superseded; /* MySQL knows a newer sale of the SKU */
	int64_t sold;	    /* its counter */
	/* Nothing was in the queue, nor among the dead letters. */
	bool queue_is_empty;

	struct audit_order *orders;
	size_t orders_n, orders_size;
	struct audit_buyer *buyers;
	size_t buyers_n, buyers_size;
	struct audit_request *requests;
	size_t requests_n, requests_size;
	struct text_block *texts;

	/* what audit_judge() found */
	struct difference *differences;
	size_t differences_n, differences_size;
	int64_t live_units, confirmed_units, confirmed_orders;
	int64_t rejected_orders, parked_orders;
	int64_t in_outbox, in_queue; /* orders that are moving */
	/* Units that no order explains, while one may still be in the queue. */
	int64_t unexplained_units;
	int64_t oldest_moving; /* ms since 1970; 0 = nothing moves */
};

void audit_init(struct audit *);
void audit_free(struct audit *);

/* --- What the stores say; texts are copied --- */

void audit_add_redis(struct audit *, const char *order_id, const char *state,
    int64_t quantity, const char *user_id);
void audit_add_buyer(struct audit *, const char *user_id, int64_t units);
/* request: "user key", as Redis has it. */
void audit_add_request(
    struct audit *, const char *request, const char *order_id);
void audit_add_outbox(struct audit *, const struct order *);
void audit_add_mysql(struct audit *, const struct order *, const char *status);
void audit_add_parked(struct audit *, const struct order *);

/* All is added: sort it, an order a row. */
void audit_close(struct audit *);

/* --- Asking again --- */

/*
 * The stores were read one after the other while orders moved on.  A suspect
 * is an order that would be a difference; whoever asks again sets redis_now or
 * mysql, or is_newer when Redis knows now what it did not know then.
 */
enum suspicion { SUSPECT_NOTHING, SUSPECT_REDIS, SUSPECT_MYSQL };
enum suspicion audit_suspect(const struct audit *, const struct audit_order *);
/* May it be another matter a moment later? */
bool audit_may_clear(const struct audit *, const struct audit_order *);

/* Is the sale's definition neither in MySQL nor on its way there? */
bool audit_lacks_definition(const struct audit *);

/* --- The judgement --- */

/* Once.  The differences live as long as the audit. */
void audit_judge(struct audit *);

#endif
