/* Reading a sale's books: Redis, the outbox, the queue, MySQL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exit_codes.h"
#include "log.h"

#include "inspect.h"

#define MYSQL_PAGE 5000	     /* orders read at once */
#define PATIENCE_SECONDS 5.0 /* for orders that move while we read */
#define LOOK_SECONDS 0.1     /* between two looks at them */

/* --- Redis and the outbox --- */

static void
on_order(const char *id, const struct order_view *order, void *arg)
{
	audit_add_redis(arg, id, order->state, order->quantity, order->user_id);
}

static void
on_buyer(const char *user_id, int64_t units, void *arg)
{
	audit_add_buyer(arg, user_id, units);
}

static void
on_request(const char *request, const char *order_id, void *arg)
{
	audit_add_request(arg, request, order_id);
}

static void
on_waiting(const struct message *message, void *arg)
{
	struct audit *a = arg;
	const struct order *order = &message->order;

	if (message->type == MESSAGE_SALE)
		a->outbox_defines |=
		    strcmp(message->sale.id, a->sale.id) == 0 &&
		    message->sale.revision == a->sale.revision;
	else if (strcmp(order->sale_id, a->sale.id) == 0)
		audit_add_outbox(a, order);
}

/* Redis has not told of it what it should: why? */
static enum err
explain(struct session *s, const char *sku, char why[WHY_SIZE])
{
	struct sale_view view;
	enum err err = survey_look(s, sku, &view, why);

	if (err == ERR_OK && view.recovering)
		err = ERR_RECOVERING;
	if (err == ERR_OK || err == ERR_RECOVERING)
		survey_say_rebuilding(why);
	return err == ERR_OK ? ERR_RETRY : err;
}

static enum err
read_redis(
    struct session *s, const char *sku, struct audit *a, char why[WHY_SIZE])
{
	static const struct books_reader reader = {
	    on_order, on_buyer, on_request};
	struct sale_view view;
	enum err err = session_read_books(s, sku, &reader, a, &view);

	if (err == ERR_NOT_FOUND ||
	    (err == ERR_OK && (view.recovering || view.damaged != NULL)))
		return explain(s, sku, why);
	if (err == ERR_OK) {
		a->sale = view.sale;
		a->remaining = view.remaining;
		a->mended = view.mended;
		a->is_undefined = view.is_undefined;
		err = session_list_outbox(s, sku, on_waiting, a);
	}
	if (err != ERR_OK)
		snprintf(why, WHY_SIZE, "Redis says \"%s\"", err_name(err));
	return err;
}

/* --- The queue --- */

bool
inspect_queue_is_empty(const struct queue_survey *q)
{
	return q->visible <= 0 && q->in_flight <= 0 && q->delayed <= 0 &&
	       q->dead_letters <= 0;
}

static enum err
read_queue(struct session *s, struct audit *a, struct queue_survey *q,
    char why[WHY_SIZE])
{
	survey_queue(s, q); /* which says why */
	if (!q->has_queue) {
		snprintf(why, WHY_SIZE, "the queue cannot be asked");
		return ERR_UNAVAILABLE;
	}
	/* Where the outbox is the queue, it was read: nothing is hidden. */
	a->queue_is_empty = q->is_outbox || inspect_queue_is_empty(q);
	return ERR_OK;
}

/* --- MySQL --- */

struct page {
	struct audit *audit;
	size_t n;
	char last[UUID_TEXT_SIZE]; /* order id */
};

static struct order
message_of(const struct ledger_order *row)
{
	struct order order = {.quantity = row->quantity};

	memcpy(order.id, row->id, sizeof(order.id));
	memcpy(order.user_id, row->user_id, sizeof(order.user_id));
	memcpy(order.request_key, row->request_key, sizeof(order.request_key));
	return order;
}

static void
on_row(const struct ledger_order *row, void *arg)
{
	struct page *page = arg;
	struct order order = message_of(row);

	audit_add_mysql(page->audit, &order, row->status);
	memcpy(page->last, row->id, sizeof(page->last));
	page->n++;
}

static void
on_parked(const struct order *order, void *arg)
{
	struct audit *a = arg;

	if (strcmp(order->sale_id, a->sale.id) == 0)
		audit_add_parked(a, order);
}

static enum err
read_definition(struct db *db, struct audit *a, int64_t *sold)
{
	struct ledger_book book;
	enum err err = ledger_read_book(db, a->sale.id, &book);

	a->has_book = book.sale_id[0] != '\0';
	a->is_superseded = strcmp(book.newest, a->sale.id) > 0;
	a->mysql_defines = book.defined;
	a->mysql_sale = (struct sale){.revision = book.revision,
	    .total = book.total,
	    .limit = book.limit,
	    .state = book.state};
	*sold = book.sold;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err
read_rows(struct db *db, struct audit *a)
{
	struct page page = {.audit = a};
	enum err err = read_definition(db, a, &a->sold);

	do {
		page.n = 0;
		if (err == ERR_OK)
			err = ledger_list_orders(db, a->sale.id, page.last,
			    MYSQL_PAGE, on_row, &page);
	} while (err == ERR_OK && page.n == MYSQL_PAGE);
	if (err == ERR_OK)
		err = ledger_list_parked(db, on_parked, a);
	return err;
}

/* All of it as of one moment. */
static enum err
read_mysql(struct session *s, struct audit *a, char why[WHY_SIZE])
{
	enum err err;

	snprintf(why, WHY_SIZE, "MYSQL_URL is not set");
	if (s->db == NULL)
		return ERR_UNAVAILABLE;
	err = db_connect(s->db);
	if (err == ERR_OK)
		err = ledger_look(s->db);
	if (err == ERR_OK)
		err = read_rows(s->db, a);
	ledger_look_away(s->db);
	if (err != ERR_OK)
		snprintf(why, WHY_SIZE, "MySQL: %s", db_error(s->db));
	return err == ERR_NOT_FOUND || err == ERR_RETRY ? ERR_UNAVAILABLE : err;
}

/* --- Asking again --- */

/* Redis knows an order before anybody else does: one that it knows now, and
 * did not when it was read, is newer than that. */
static enum err
ask_redis(struct session *s, const char *sku, struct audit_order *o)
{
	char state[16];
	enum err err = session_find_order(s, sku, o->id, state);

	if (err == ERR_REFUSED) /* it is damaged: as good as forgotten */
		return ERR_OK;
	if (err != ERR_OK || state[0] == '\0')
		return err;
	o->redis_now = (unsigned char)order_state_parse(state);
	o->is_newer = o->redis == ORDER_ABSENT;
	return ERR_OK;
}

static enum err
ask_mysql(struct session *s, struct audit *a, struct audit_order *o)
{
	struct ledger_order row = {.id = ""};
	enum err err = ledger_find_order(s->db, o->id, &row);

	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	o->is_elsewhere = err == ERR_OK && strcmp(row.sale_id, a->sale.id) != 0;
	if (err == ERR_OK && !o->is_elsewhere) {
		struct order order = message_of(&row);

		audit_add_mysql(a, &order, row.status);
		a->sold +=
		    strcmp(row.status, "confirmed") == 0 ? row.quantity : 0;
	}
	return err;
}

/*
 * One look at all suspects; *left of them may become clear with the next.
 * Those that MySQL has by now come as new entries behind the others.
 */
static enum err
ask_again(struct session *s, const char *sku, struct audit *a, size_t *left)
{
	size_t i, n = a->orders_n;
	enum err err = ERR_OK;
	int64_t sold; /* later than the orders that were counted */

	if (audit_lacks_definition(a))
		err = read_definition(s->db, a, &sold);
	*left = audit_lacks_definition(a);
	for (i = 0; i < n && err == ERR_OK; i++) {
		enum suspicion suspicion = audit_suspect(a, &a->orders[i]);

		if (suspicion == SUSPECT_REDIS)
			err = ask_redis(s, sku, &a->orders[i]);
		else if (suspicion == SUSPECT_MYSQL)
			err = ask_mysql(s, a, &a->orders[i]);
	}
	audit_close(a);
	for (i = 0; i < a->orders_n; i++)
		*left += audit_may_clear(a, &a->orders[i]);
	return err;
}

static enum err
clear_suspicions(struct session *s, const char *sku, struct audit *a)
{
	double until = clock_seconds() + PATIENCE_SECONDS;
	size_t left;
	enum err err;

	do
		err = ask_again(s, sku, a, &left);
	while (err == ERR_OK && left > 0 && clock_seconds() < until &&
	       session_sleep(s, LOOK_SECONDS));
	return err;
}

/* --- All of it --- */

/* Is it still the sale that was read? */
static enum err
look_back(struct session *s, const char *sku, const struct audit *a)
{
	struct sale_view view;
	enum err err = session_look(s, sku, &view);

	if (err == ERR_NOT_FOUND || err == ERR_RECOVERING)
		return ERR_RETRY;
	if (err == ERR_OK &&
	    (view.recovering || view.sale.revision != a->sale.revision ||
		strcmp(view.sale.id, a->sale.id) != 0))
		err = ERR_RETRY;
	return err;
}

enum err
inspect_sale(struct session *s, const char *sku, struct audit *a,
    struct queue_survey *q, char why[WHY_SIZE])
{
	enum err err;

	audit_init(a);
	err = read_redis(s, sku, a, why);
	if (err == ERR_OK)
		err = read_queue(s, a, q, why);
	if (err == ERR_OK)
		err = read_mysql(s, a, why);
	if (err != ERR_OK)
		return err;
	audit_close(a);
	err = clear_suspicions(s, sku, a);
	if (err == ERR_OK)
		err = look_back(s, sku, a);
	snprintf(why, WHY_SIZE, "%s",
	    err == ERR_RETRY ? "it changed while it was read" : err_name(err));
	if (err == ERR_OK && a->is_superseded) {
		snprintf(why, WHY_SIZE,
		    "MySQL has a newer sale of it, and Redis has lost that; "
		    "this makes the worker rebuild it: redis-cli DEL "
		    "'fs:{%s}:sale' fs:epoch",
		    sku);
		return ERR_BAD_INPUT;
	}
	return err;
}

/* --- Sales that Redis does not list --- */

static void
on_known_sale(const struct sale *sale, void *arg)
{
	struct sku_list *list = arg;
	size_t i;
	void *skus;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->skus[i], sale->sku) == 0)
			return;
	skus = realloc(list->skus, (list->n + 1) * sizeof(*list->skus));
	if (skus == NULL)
		return;
	list->skus = skus;
	memcpy(list->skus[list->n++], sale->sku, sizeof(sale->sku));
}

enum err
inspect_choose(struct session *s, const char *sku, struct sku_list *list)
{
	enum err err = session_choose(s, sku, list);

	/* Without MySQL each sale says so by itself. */
	if (err == ERR_OK && sku == NULL && s->db != NULL &&
	    db_connect(s->db) == ERR_OK &&
	    ledger_list_sales(s->db, on_known_sale, list) != ERR_OK)
		log_warn("MySQL cannot list its sales: %s", db_error(s->db));
	return err;
}
