/* Reading the books: for people, and for rebuilding Redis. */
#include <stdio.h>
#include <string.h>

#include "ledger.h"

static void
read_book_sale(const struct db_row *row, void *arg)
{
	struct ledger_book *book = arg;
	char state[16];

	db_copy(row, 0, book->sale_id, sizeof(book->sale_id));
	db_copy(row, 1, book->sku, sizeof(book->sku));
	db_copy(row, 2, book->name, sizeof(book->name));
	book->revision = db_int(row, 3);
	book->total = db_int(row, 4);
	book->sold = db_int(row, 5);
	book->defined = db_int(row, 6) != 0;
	book->limit = db_int(row, 7);
	db_copy(row, 8, state, sizeof(state));
	if (!sale_state_parse(state, &book->state))
		book->state = SALE_PAUSED;
	db_copy(row, 9, book->newest, sizeof(book->newest));
}

static void
read_book_orders(const struct db_row *row, void *arg)
{
	struct ledger_book *book = arg;

	book->confirmed_orders = db_int(row, 0);
	book->confirmed_units = db_int(row, 1);
	book->rejected_orders = db_int(row, 2);
	book->rejected_units = db_int(row, 3);
}

enum err
ledger_read_book(struct db *db, const char *sale_id, struct ledger_book *book)
{
	struct sql sql = {0};
	enum err err;

	*book = (struct ledger_book){.sale_id = ""};
	sql_add(&sql, "SELECT sale_id, sku, name, revision, total, sold, "
		      "defined, limit_per_user, state, "
		      "(SELECT MAX(newest.sale_id) FROM sales newest "
		      "WHERE newest.sku = sales.sku) "
		      "FROM sales WHERE sale_id = ");
	sql_add_text(&sql, sale_id);
	err = db_query(db, &sql, read_book_sale, book);
	sql_clear(&sql);
	sql_add(&sql, "SELECT SUM(status = 'confirmed'),"
		      " SUM(IF(status = 'confirmed', quantity, 0)),"
		      " SUM(status = 'rejected'),"
		      " SUM(IF(status = 'rejected', quantity, 0))"
		      " FROM orders WHERE sale_id = ");
	sql_add_text(&sql, sale_id);
	if (err == ERR_OK)
		err = db_query(db, &sql, read_book_orders, book);
	sql_free(&sql);
	if (err == ERR_OK && book->sale_id[0] == '\0' &&
	    book->confirmed_orders == 0 && book->rejected_orders == 0)
		err = ERR_NOT_FOUND;
	return err;
}

struct sale_listing {
	ledger_sale_fn *fn;
	void *arg;
};

static void
read_listed_sale(const struct db_row *row, void *arg)
{
	const struct sale_listing *listing = arg;
	struct sale sale = {.state = SALE_PAUSED};
	char state[16];

	db_copy(row, 0, sale.id, sizeof(sale.id));
	db_copy(row, 1, sale.sku, sizeof(sale.sku));
	db_copy(row, 2, sale.name, sizeof(sale.name));
	sale.total = db_int(row, 3);
	sale.revision = db_int(row, 4);
	sale.limit = db_int(row, 5);
	sale.opens_at = db_int(row, 6);
	sale.closes_at = db_int(row, 7);
	sale.price_minor = db_int(row, 8);
	db_copy(row, 9, sale.currency, sizeof(sale.currency));
	sale.created_at = db_int(row, 10);
	db_copy(row, 11, state, sizeof(state));
	if (!sale_state_parse(state, &sale.state))
		sale.state = SALE_PAUSED;
	listing->fn(&sale, listing->arg);
}

/* Milliseconds since 1970, whatever the session's time zone. */
#define MS(column) \
	"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " column ") DIV 1000"

/* The formatter takes strings apart at macros. */
/* clang-format off */
static const char newest_sales[] =
    "SELECT sale_id, sku, name, total, revision, IFNULL(limit_per_user, -1), "
    MS("opens_at") ", " MS("closes_at") ", price_minor, currency, "
    MS("created_at") ", IF(defined, state, 'paused') "
    "FROM sales WHERE sale_id IN "
    "(SELECT MAX(sale_id) FROM sales GROUP BY sku)";
/* clang-format on */

enum err
ledger_list_sales(struct db *db, ledger_sale_fn *fn, void *arg)
{
	struct sale_listing listing = {fn, arg};
	struct sql sql = {0};
	enum err err;

	sql_add(&sql, "%s", newest_sales);
	err = db_query(db, &sql, read_listed_sale, &listing);
	sql_free(&sql);
	return err;
}

struct order_listing {
	ledger_order_fn *fn;
	void *arg;
};

static void
read_listed_order(const struct db_row *row, void *arg)
{
	const struct order_listing *listing = arg;
	struct ledger_order order;

	db_uuid(row, 0, order.id);
	db_copy(row, 1, order.status, sizeof(order.status));
	order.quantity = db_int(row, 2);
	db_copy(row, 3, order.user_id, sizeof(order.user_id));
	db_copy(row, 4, order.request_key, sizeof(order.request_key));
	db_copy(row, 5, order.sale_id, sizeof(order.sale_id));
	listing->fn(&order, listing->arg);
}

enum err
ledger_list_orders(struct db *db, const char *sale_id, const char *after,
    unsigned max, ledger_order_fn *fn, void *arg)
{
	struct order_listing listing = {fn, arg};
	struct sql sql = {0};
	enum err err;

	sql_add(&sql, "SELECT id, status, quantity, user_id, request_key, "
		      "sale_id FROM orders WHERE sale_id = ");
	sql_add_text(&sql, sale_id);
	if (after[0] != '\0') {
		sql_add(&sql, " AND id > ");
		sql_add_uuid(&sql, after);
	}
	sql_add(&sql, " ORDER BY id LIMIT %u", max);
	err = db_query(db, &sql, read_listed_order, &listing);
	sql_free(&sql);
	return err;
}

static void
keep_order(const struct ledger_order *order, void *arg)
{
	*(struct ledger_order *)arg = *order;
}

enum err
ledger_find_order(struct db *db, const char *id, struct ledger_order *order)
{
	struct order_listing listing = {keep_order, order};
	struct sql sql = {0};
	enum err err;

	order->id[0] = '\0';
	sql_add(&sql, "SELECT id, status, quantity, user_id, request_key, "
		      "sale_id FROM orders WHERE id = ");
	sql_add_uuid(&sql, id);
	err = db_query(db, &sql, read_listed_order, &listing);
	sql_free(&sql);
	return err == ERR_OK && order->id[0] == '\0' ? ERR_NOT_FOUND : err;
}

/* --- What is parked --- */

struct parked_listing {
	ledger_parked_fn *fn;
	void *arg;
};

static void
read_parked(const struct db_row *row, void *arg)
{
	const struct parked_listing *listing = arg;
	struct message message;
	char why[PARKED_REASON_MAX];

	if (message_decode(row->columns[0], row->lengths[0], &message, why,
		sizeof(why)) == ERR_OK &&
	    message.type == MESSAGE_ORDER)
		listing->fn(&message.order, listing->arg);
}

enum err
ledger_list_parked(struct db *db, ledger_parked_fn *fn, void *arg)
{
	struct parked_listing listing = {fn, arg};
	struct sql sql = {0};
	enum err err;

	sql_add(&sql, "SELECT body FROM parked WHERE body_bytes <= %d",
	    MESSAGE_MAX);
	err = db_query(db, &sql, read_parked, &listing);
	sql_free(&sql);
	return err;
}

/* --- One moment --- */

enum err
ledger_look(struct db *db)
{
	enum err err =
	    db_run_text(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");

	if (err == ERR_OK)
		err = db_run_text(
		    db, "START TRANSACTION WITH CONSISTENT SNAPSHOT");
	return err;
}

void
ledger_look_away(struct db *db)
{
	db_rollback(db);
}
