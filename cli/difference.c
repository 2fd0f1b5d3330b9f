/* What a difference of the books is, as a sentence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "difference.h"

static void
print_of(const struct difference *d)
{
	printf("order %s of %s: ", d->order_id, d->user_id);
}

static void
print_order_difference(const struct difference *d)
{
	const struct audit_order *o = d->order;

	print_of(d);
	if (d->kind == DIFFERENCE_LOST)
		printf("%s in Redis, and neither in the outbox nor in the "
		       "queue nor in MySQL",
		    order_state_name(o->redis));
	else if (d->kind == DIFFERENCE_UNKNOWN)
		printf("%s, unknown to Redis", o->mysql != ORDER_ABSENT
						   ? "confirmed in MySQL"
						   : "in the outbox");
	else if (d->kind == DIFFERENCE_DEAD)
		printf("parked, and its units are not given back");
	else if (d->kind == DIFFERENCE_STATUS)
		printf("%s in MySQL, %s in Redis", order_state_name(o->mysql),
		    order_state_name(o->redis_now));
	else if (o->is_elsewhere)
		printf("%s in Redis, of another sale in MySQL",
		    order_state_name(o->redis));
	else
		printf("%" PRId64 " units of %s in Redis, %" PRId64
		       " units of %s in MySQL",
		    o->quantity, o->user_id, o->mysql_quantity,
		    o->mysql_user_id);
}

static void
print_request_difference(const struct difference *d)
{
	print_of(d);
	printf("Idempotency-Key %s %s", d->request_key,
	    d->kind == DIFFERENCE_REQUEST    ? "is forgotten"
	    : d->kind == DIFFERENCE_DANGLING ? "is remembered, the order not"
					     : "is that of another order");
}

static void
print_sum_difference(const struct difference *d)
{
	static const char *const texts[DIFFERENCE_KINDS][2] = {
	    [DIFFERENCE_BUYER] = {"units held", "in his orders"},
	    [DIFFERENCE_LIMIT] = {"units in orders", "allowed"},
	    [DIFFERENCE_UNITS] = {"units on sale", "as the orders have it"},
	    [DIFFERENCE_SOLD] = {"units sold as MySQL counts", "in its orders"},
	    [DIFFERENCE_OVERSOLD] = {"units confirmed", "in all"},
	};

	if (d->user_id[0] != '\0')
		printf("buyer %s: ", d->user_id);
	printf("%" PRId64 " %s, %" PRId64 " %s", d->found, texts[d->kind][0],
	    d->expected, texts[d->kind][1]);
}

static void
print_definition_difference(const struct difference *d)
{
	printf("revision %" PRId64 " of the sale's definition is not in MySQL",
	    d->expected);
	if (d->found > 0)
		printf(", which has %s%" PRId64,
		    d->found == d->expected ? "only what orders say of "
					    : "revision ",
		    d->found);
}

static void
print_terms_difference(const struct difference *d)
{
	if (strcmp(d->term, "state") == 0)
		printf("state: %s in Redis, %s in MySQL",
		    sale_state_name((enum sale_state)d->found),
		    sale_state_name((enum sale_state)d->expected));
	else
		printf("%s: %" PRId64 " in Redis, %" PRId64 " in MySQL",
		    d->term, d->found, d->expected);
}

void
difference_print(const struct difference *d)
{
	if (d->kind <= DIFFERENCE_CONTENT)
		print_order_difference(d);
	else if (d->kind <= DIFFERENCE_KEY_TWICE)
		print_request_difference(d);
	else if (d->kind <= DIFFERENCE_OVERSOLD)
		print_sum_difference(d);
	else if (d->kind == DIFFERENCE_UNDEFINED)
		print_definition_difference(d);
	else
		print_terms_difference(d);
}
