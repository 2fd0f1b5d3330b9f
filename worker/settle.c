/* One call to Redis for each SKU of a haul. */
#include <stdlib.h>
#include <string.h>

#include "sale.h"

#include "settle.h"

/* What sale_settle takes at once. */
#define SETTLE_MAX 500

static int
compare_skus(const void *a, const void *b)
{
	const struct ledger_entry *const *left = a, *const *right = b;

	return strcmp(
	    (*left)->message->order.sku, (*right)->message->order.sku);
}

static void
on_settled(enum err err, void *arg)
{
	size_t *pending = arg;

	(void)err;
	(*pending)--;
}

/* The orders at the front that have one SKU. Returns how many those are. */
static size_t
settle_first_sku(struct redis *redis, const struct ledger_entry **orders,
    size_t n, size_t *pending)
{
	struct settlement settlements[SETTLE_MAX];
	const char *sku = orders[0]->message->order.sku;
	size_t i;

	for (i = 0; i < n && i < SETTLE_MAX; i++) {
		if (strcmp(orders[i]->message->order.sku, sku) != 0)
			break;
		memcpy(settlements[i].order_id, orders[i]->message->order.id,
		    sizeof(settlements[i].order_id));
		settlements[i].state = orders[i]->verdict == LEDGER_CONFIRMED
					   ? "confirmed"
					   : "rejected";
	}
	(*pending)++;
	sale_settle(redis, sku, settlements, i, on_settled, pending);
	return i;
}

void
settle_entries(struct redis *redis, const struct ledger_entry *entries,
    size_t n, size_t *pending)
{
	const struct ledger_entry **orders;
	size_t i, orders_n = 0;

	if (!redis_is_ready(redis))
		return;
	orders = calloc(n, sizeof(orders[0]));
	if (orders == NULL)
		return;
	for (i = 0; i < n; i++)
		if (entries[i].verdict == LEDGER_CONFIRMED ||
		    entries[i].verdict == LEDGER_REJECTED)
			orders[orders_n++] = &entries[i];
	qsort(orders, orders_n, sizeof(orders[0]), compare_skus);
	for (i = 0; i < orders_n;)
		i += settle_first_sku(redis, orders + i, orders_n - i, pending);
	free(orders);
}
