/*
 * The transaction that turns messages into rows, and what to do when it
 * fails: try again after a deadlock, cut the haul in two when the server
 * will not have some of the data, give up when the server is out of order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "failpoint.h"
#include "ledger.h"

/* How often a transaction is tried that deadlocks or times out on a lock. */
#define TRIES 5

/* A sale that messages of the haul belong to. */
struct ledger_sale {
	const char *id;
	const struct message *newest; /* what the haul knows of it */
	bool exists;
	int64_t total, sold, revision; /* of its row */
	bool defined;
	int64_t selling; /* units confirmed in this haul */
};

/* One attempt at writing a haul. */
struct haul {
	struct db *db;
	struct sql sql;
	struct ledger_entry *entries;
	size_t n;
	struct ledger_entry **orders; /* sorted by order id, no id twice */
	size_t orders_n;
	struct ledger_sale *sales; /* sorted by sale id, no id twice */
	size_t sales_n;
};

static const char *
entry_order_id(const struct ledger_entry *entry)
{
	return entry->message->order.id;
}

static const char *
message_sale_id(const struct message *message)
{
	return message->type == MESSAGE_ORDER ? message->order.sale_id
					      : message->sale.id;
}

static int64_t
message_revision(const struct message *message)
{
	return message->type == MESSAGE_ORDER ? message->order.revision
					      : message->sale.revision;
}

/* Does it define the sale, or does it merely know of it? */
static bool
message_defines(const struct message *message)
{
	return message->type == MESSAGE_SALE;
}

/* Does a message tell more of its sale than (revision, defined) does? */
static bool
is_news(const struct message *message, int64_t revision, bool defined)
{
	if (message_revision(message) != revision)
		return message_revision(message) > revision;
	return message_defines(message) && !defined;
}

/* --- What is in the haul --- */

static int
compare_orders(const void *a, const void *b)
{
	return strcmp(entry_order_id(*(struct ledger_entry *const *)a),
	    entry_order_id(*(struct ledger_entry *const *)b));
}

static int
compare_sales(const void *a, const void *b)
{
	return strcmp(((const struct ledger_sale *)a)->id,
	    ((const struct ledger_sale *)b)->id);
}

static int
compare_order_id(const void *id, const void *order)
{
	return strcmp(id, entry_order_id(*(struct ledger_entry *const *)order));
}

static struct ledger_entry *
find_order(const struct haul *haul, const char *id)
{
	struct ledger_entry *const *found = bsearch(id, haul->orders,
	    haul->orders_n, sizeof(haul->orders[0]), compare_order_id);

	return found != NULL ? *found : NULL;
}

static struct ledger_sale *
find_sale(const struct haul *haul, const char *id)
{
	const struct ledger_sale key = {.id = id};

	return bsearch(
	    &key, haul->sales, haul->sales_n, sizeof(key), compare_sales);
}

/* Sort the orders; keep one of each id. UUIDv7: oldest reservation first. */
static void
gather_orders(struct haul *haul)
{
	size_t i, kept = 0;

	for (i = 0; i < haul->n; i++)
		if (haul->entries[i].message != NULL &&
		    haul->entries[i].message->type == MESSAGE_ORDER)
			haul->orders[haul->orders_n++] = &haul->entries[i];
	qsort(haul->orders, haul->orders_n, sizeof(haul->orders[0]),
	    compare_orders);
	for (i = 0; i < haul->orders_n; i++)
		if (kept == 0 || compare_orders(&haul->orders[kept - 1],
				     &haul->orders[i]) != 0)
			haul->orders[kept++] = haul->orders[i];
	haul->orders_n = kept;
}

/* Sort the sales; keep of each what the newest message says. */
static void
gather_sales(struct haul *haul)
{
	struct ledger_sale *sales = haul->sales, *last;
	const struct message *message;
	size_t i, n = 0;

	for (i = 0; i < haul->n; i++) {
		message = haul->entries[i].message;
		if (message != NULL)
			sales[n++] = (struct ledger_sale){
			    .id = message_sale_id(message), .newest = message};
	}
	qsort(sales, n, sizeof(sales[0]), compare_sales);
	for (i = 0; i < n; i++) {
		last = haul->sales_n > 0 ? &sales[haul->sales_n - 1] : NULL;
		if (last == NULL || compare_sales(last, &sales[i]) != 0)
			sales[haul->sales_n++] = sales[i];
		else if (is_news(sales[i].newest,
			     message_revision(last->newest),
			     message_defines(last->newest)))
			last->newest = sales[i].newest;
	}
}

/* --- Sales --- */

static void
read_sale(const struct db_row *row, void *arg)
{
	char id[UUID_TEXT_SIZE];
	struct ledger_sale *sale;

	db_copy(row, 0, id, sizeof(id));
	sale = find_sale(arg, id);
	if (sale == NULL)
		return;
	sale->exists = true;
	sale->total = db_int(row, 1);
	sale->sold = db_int(row, 2);
	sale->revision = db_int(row, 3);
	sale->defined = db_int(row, 4) != 0;
}

/*
 * Everybody locks in the order of the ids, so nobody waits in a circle.
 * Whoever has the lock sees all orders of these sales.
 */
static enum err
lock_sales(struct haul *haul)
{
	struct sql *sql = &haul->sql;
	size_t i;

	sql_clear(sql);
	sql_add(sql, "SELECT sale_id, total, sold, revision, defined "
		     "FROM sales WHERE sale_id IN (");
	for (i = 0; i < haul->sales_n; i++) {
		sql_add(sql, "%s", i == 0 ? "" : ",");
		sql_add_text(sql, haul->sales[i].id);
	}
	sql_add(sql, ") ORDER BY sale_id FOR UPDATE");
	return db_query(haul->db, sql, read_sale, haul);
}

/* A sale whose row has gone has still sold what it has sold. */
static void
add_sold(struct sql *sql, const struct ledger_sale *sale)
{
	if (sale->exists) {
		sql_add(sql, "0"); /* that of the row stays */
		return;
	}
	sql_add(sql, "(SELECT COALESCE(SUM(quantity), 0) FROM orders "
		     "WHERE status = 'confirmed' AND sale_id = ");
	sql_add_text(sql, sale->id);
	sql_add(sql, ")");
}

/* The definition, as far as a message knows it. */
static void
add_sale_row(struct sql *sql, const struct ledger_sale *known)
{
	const struct message *message = known->newest;
	const struct order *order = &message->order;
	const struct sale *sale = &message->sale;
	bool defines = message_defines(message);

	sql_add(sql, "(");
	sql_add_text(sql, message_sale_id(message));
	sql_add(sql, ",");
	sql_add_text(sql, defines ? sale->sku : order->sku);
	sql_add(sql, ",");
	sql_add_text(sql, defines ? sale->name : order->sku);
	sql_add(sql, ",%lld,%lld,%d,",
	    (long long)(defines ? sale->total : order->total),
	    (long long)message_revision(message), defines);
	if (defines)
		sql_add(sql, "%lld,", (long long)sale->limit);
	else
		sql_add(sql, "NULL,");
	sql_add_time(sql, defines ? sale->opens_at : 0);
	sql_add(sql, ",");
	sql_add_time(sql, defines ? sale->closes_at : 0);
	sql_add(sql, ",%lld,",
	    (long long)(defines ? sale->price_minor : order->price_minor));
	sql_add_text(sql, defines ? sale->currency : order->currency);
	sql_add(sql, ",");
	sql_add_time(sql, defines ? sale->created_at : order->reserved_at);
	sql_add(sql, ",");
	sql_add_text(sql, defines ? sale_state_name(sale->state) : "open");
	sql_add(sql, ",");
	add_sold(sql, known);
	sql_add(sql, ")");
}

/*
 * Somebody may have created the row since we looked, so the row decides once
 * more what is news (as is_news does).  Assignments are made from left to
 * right: what the condition reads is assigned last.
 */
#define NEWS                                                            \
	"(VALUES(revision) > revision OR (VALUES(revision) = revision " \
	"AND VALUES(defined) > defined))"

static void
add_sale_update(struct sql *sql)
{
	static const char *const definition[] = {"name", "limit_per_user",
	    "opens_at", "closes_at", "price_minor", "currency", "created_at",
	    "state"};
	size_t i;

	sql_add(sql, " ON DUPLICATE KEY UPDATE ");
	for (i = 0; i < sizeof(definition) / sizeof(definition[0]); i++)
		sql_add(sql,
		    "%s = IF(" NEWS " AND VALUES(defined), "
		    "VALUES(%s), %s), ",
		    definition[i], definition[i], definition[i]);
	sql_add(sql, "total = IF(" NEWS ", VALUES(total), total), "
		     "defined = IF(" NEWS ", VALUES(defined), defined), "
		     "revision = GREATEST(VALUES(revision), revision)");
}

static enum err
write_sales(struct haul *haul)
{
	struct sql *sql = &haul->sql;
	const char *comma = "";
	const struct ledger_sale *sale;
	enum err err;

	sql_clear(sql);
	sql_add(sql, "INSERT INTO sales (sale_id, sku, name, total, revision, "
		     "defined, limit_per_user, opens_at, closes_at, "
		     "price_minor, currency, created_at, state, sold) VALUES ");
	for (sale = haul->sales; sale < haul->sales + haul->sales_n; sale++) {
		if (sale->exists &&
		    !is_news(sale->newest, sale->revision, sale->defined))
			continue;
		sql_add(sql, "%s", comma);
		add_sale_row(sql, sale);
		comma = ",";
	}
	if (comma[0] == '\0')
		return ERR_OK;
	add_sale_update(sql);
	err = db_run(haul->db, sql, NULL);
	return err == ERR_OK ? lock_sales(haul) : err;
}

/* Count what this haul sells.  The condition is the last guard there is. */
static enum err
count_sold(struct haul *haul)
{
	struct sql *sql = &haul->sql;
	struct ledger_sale *sale;
	enum err err = ERR_OK;
	uint64_t affected;

	for (sale = haul->sales;
	     sale < haul->sales + haul->sales_n && err == ERR_OK; sale++) {
		if (sale->selling == 0)
			continue;
		sql_clear(sql);
		sql_add(sql,
		    "UPDATE sales SET sold = sold + %lld WHERE "
		    "sale_id = ",
		    (long long)sale->selling);
		sql_add_text(sql, sale->id);
		sql_add(
		    sql, " AND sold + %lld <= total", (long long)sale->selling);
		err = db_run(haul->db, sql, &affected);
		if (err == ERR_OK && affected != 1)
			err = ERR_RETRY;
	}
	return err;
}

/* --- Orders --- */

static void
read_order(const struct db_row *row, void *arg)
{
	char id[UUID_TEXT_SIZE];
	struct ledger_entry *entry;

	db_uuid(row, 0, id);
	entry = find_order(arg, id);
	if (entry == NULL)
		return;
	entry->duplicate = true;
	/* An order that was cancelled since had been confirmed. */
	entry->verdict = strcmp(row->columns[1], "rejected") == 0
			     ? LEDGER_REJECTED
			     : LEDGER_CONFIRMED;
}

static enum err
find_existing_orders(struct haul *haul)
{
	struct sql *sql = &haul->sql;
	size_t i;

	sql_clear(sql);
	sql_add(sql, "SELECT id, status FROM orders WHERE id IN (");
	for (i = 0; i < haul->orders_n; i++) {
		sql_add(sql, "%s", i == 0 ? "" : ",");
		sql_add_uuid(sql, entry_order_id(haul->orders[i]));
	}
	sql_add(sql, ")");
	return db_query(haul->db, sql, read_order, haul);
}

static void
decide(struct haul *haul, struct ledger_entry *entry)
{
	const struct order *order = &entry->message->order;
	struct ledger_sale *sale = find_sale(haul, order->sale_id);

	if (sale->sold + sale->selling + order->quantity > sale->total) {
		entry->verdict = LEDGER_REJECTED;
		return;
	}
	sale->selling += order->quantity;
	entry->verdict = LEDGER_CONFIRMED;
}

static void
add_order_row(struct sql *sql, const struct ledger_entry *entry)
{
	const struct order *order = &entry->message->order;

	sql_add(sql, "(");
	sql_add_uuid(sql, order->id);
	sql_add(sql, ",");
	sql_add_text(sql, order->sale_id);
	sql_add(sql, ",");
	sql_add_text(sql, order->sku);
	sql_add(sql, ",");
	sql_add_text(sql, order->user_id);
	sql_add(sql, ",%lld,%s,%lld,", (long long)order->quantity,
	    entry->verdict == LEDGER_CONFIRMED ? "'confirmed',NULL"
					       : "'rejected','no units left'",
	    (long long)order->price_minor);
	sql_add_text(sql, order->currency);
	sql_add(sql, ",");
	if (order->request_key[0] == '\0')
		sql_add(sql, "NULL");
	else
		sql_add_text(sql, order->request_key);
	sql_add(sql, ",");
	sql_add_time(sql, order->reserved_at);
	sql_add(sql, ")");
}

static enum err
write_orders(struct haul *haul)
{
	struct sql *sql = &haul->sql;
	const char *comma = "";
	size_t i;

	sql_clear(sql);
	sql_add(sql, "INSERT INTO orders (id, sale_id, sku, user_id, quantity, "
		     "status, status_reason, price_minor, currency, "
		     "request_key, reserved_at) VALUES ");
	for (i = 0; i < haul->orders_n; i++) {
		if (haul->orders[i]->duplicate)
			continue;
		decide(haul, haul->orders[i]);
		sql_add(sql, "%s", comma);
		add_order_row(sql, haul->orders[i]);
		comma = ",";
	}
	if (comma[0] == '\0')
		return ERR_OK;
	return db_run(haul->db, sql, NULL);
}

/* --- Parking --- */

/* Text from outside, cut to what its column takes and made printable. */
static void
add_printable(struct sql *sql, const char *text, size_t max)
{
	char copy[PARKED_REASON_MAX + 1];
	size_t i;

	for (i = 0; i < max && text[i] != '\0'; i++)
		copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	copy[i] = '\0';
	sql_add_text(sql, copy);
}

static enum err
park(struct haul *haul, const struct ledger_entry *entry)
{
	size_t kept = entry->body_len > PARKED_BODY_MAX ? PARKED_BODY_MAX
							: entry->body_len;
	struct sql *sql = &haul->sql;

	sql_clear(sql);
	sql_add(sql, "INSERT IGNORE INTO parked (message_id, reason, body, "
		     "body_bytes) VALUES (");
	add_printable(sql, entry->message_id, PARKED_ID_MAX);
	sql_add(sql, ",");
	add_printable(sql, entry->reason, PARKED_REASON_MAX);
	sql_add(sql, ",");
	sql_add_bytes(sql, entry->body, kept);
	sql_add(sql, ",%zu)", entry->body_len);
	return db_run(haul->db, sql, NULL);
}

static enum err
park_all(struct haul *haul)
{
	enum err err = ERR_OK;
	size_t i;

	for (i = 0; i < haul->n && err == ERR_OK; i++)
		if (haul->entries[i].message == NULL)
			err = park(haul, &haul->entries[i]);
	return err;
}

/* --- The transaction --- */

static enum err
write_haul(struct haul *haul)
{
	enum err err = db_run_text(haul->db, "START TRANSACTION");

	if (err == ERR_OK && haul->sales_n > 0)
		err = lock_sales(haul);
	if (err == ERR_OK && haul->sales_n > 0)
		err = write_sales(haul);
	if (err == ERR_OK && haul->orders_n > 0)
		err = find_existing_orders(haul);
	if (err == ERR_OK && haul->orders_n > 0)
		err = write_orders(haul);
	if (err == ERR_OK)
		err = count_sold(haul);
	if (err == ERR_OK)
		err = park_all(haul);
	FAILPOINT("worker_written");
	if (err == ERR_OK)
		err = db_run_text(haul->db, "COMMIT");
	if (err != ERR_OK)
		db_rollback(haul->db);
	return err;
}

/* After the commit: entries that are no order of their own. */
static void
set_other_verdicts(struct haul *haul)
{
	struct ledger_entry *entry, *first;

	for (entry = haul->entries; entry < haul->entries + haul->n; entry++) {
		if (entry->message == NULL) {
			entry->verdict = LEDGER_PARKED;
		} else if (entry->message->type == MESSAGE_SALE) {
			entry->verdict = LEDGER_NOTED;
		} else if (entry->verdict == LEDGER_NONE) {
			first = find_order(haul, entry_order_id(entry));
			entry->verdict = first->verdict;
			entry->duplicate = true;
		}
	}
}

static void
clear_verdicts(struct ledger_entry *entries, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		entries[i].verdict = LEDGER_NONE;
		entries[i].duplicate = false;
	}
}

/* All of it or, unless ERR_OK, nothing of it (ERR_TIMEOUT: nobody knows). */
static enum err
try_once(struct db *db, struct ledger_entry *entries, size_t n)
{
	struct haul haul = {.db = db, .entries = entries, .n = n};
	enum err err = ERR_NOMEM;

	clear_verdicts(entries, n);
	haul.orders = calloc(n, sizeof(haul.orders[0]));
	haul.sales = calloc(n, sizeof(haul.sales[0]));
	if (haul.orders != NULL && haul.sales != NULL) {
		gather_orders(&haul);
		gather_sales(&haul);
		err = write_haul(&haul);
	}
	if (err == ERR_OK)
		set_other_verdicts(&haul);
	else
		clear_verdicts(entries, n);
	free(haul.orders);
	free(haul.sales);
	sql_free(&haul.sql);
	return err;
}

/* Let the other one finish: 1, 2, 4... ms. */
static void
wait_after(unsigned attempt)
{
	struct timespec pause = {.tv_nsec = 1000000L << attempt};

	nanosleep(&pause, NULL);
}

static enum err
try_some_times(struct db *db, struct ledger_entry *entries, size_t n)
{
	enum err err = ERR_RETRY;
	unsigned i;

	for (i = 0; i < TRIES && err == ERR_RETRY; i++) {
		if (i > 0)
			wait_after(i - 1);
		err = try_once(db, entries, n);
	}
	return err;
}

/*
 * Halve until the message that the server will not have stands alone; then
 * park it.  Refusing even to park would be the server's fault.
 */
enum err
ledger_persist(struct db *db, struct ledger_entry *entries, size_t n)
{
	enum err err;

	if (n == 0)
		return ERR_OK;
	err = try_some_times(db, entries, n);
	if (err != ERR_BAD_INPUT)
		return err;
	if (n == 1 && entries[0].message == NULL)
		return ERR_UNAVAILABLE;
	if (n == 1) {
		entries[0].dead = entries[0].message;
		entries[0].message = NULL;
		snprintf(entries[0].reason, sizeof(entries[0].reason),
		    "MySQL: %s", db_error(db));
		return ledger_persist(db, entries, n);
	}
	err = ledger_persist(db, entries, n / 2);
	if (err == ERR_OK)
		err = ledger_persist(db, entries + n / 2, n - n / 2);
	return err;
}

static void
read_sum(const struct db_row *row, void *arg)
{
	*(int64_t *)arg = db_int(row, 0);
}

/* Who holds the sale's row keeps hauls away: nothing arrives in between. */
static enum err
recount(struct db *db, struct sql *sql, const char *sale_id, bool *changed)
{
	int64_t units = 0;
	uint64_t affected = 0;
	enum err err;

	sql_add(sql, "SELECT sold FROM sales WHERE sale_id = ");
	sql_add_text(sql, sale_id);
	sql_add(sql, " FOR UPDATE");
	err = db_query(db, sql, read_sum, &units);
	sql_clear(sql);
	sql_add(sql, "SELECT SUM(quantity) FROM orders WHERE "
		     "status = 'confirmed' AND sale_id = ");
	sql_add_text(sql, sale_id);
	sql_add(sql, " LOCK IN SHARE MODE"); /* as it is, not as it was */
	units = 0;
	if (err == ERR_OK)
		err = db_query(db, sql, read_sum, &units);
	sql_clear(sql);
	sql_add(sql,
	    "UPDATE sales SET sold = %lld WHERE sale_id = ", (long long)units);
	sql_add_text(sql, sale_id);
	if (err == ERR_OK)
		err = db_run(db, sql, &affected);
	*changed = affected > 0;
	return err;
}

enum err
ledger_recount(struct db *db, const char *sale_id, bool *changed)
{
	struct sql sql = {0};
	enum err err = db_run_text(db, "START TRANSACTION");

	*changed = false;
	if (err == ERR_OK)
		err = recount(db, &sql, sale_id, changed);
	if (err == ERR_OK)
		err = db_run_text(db, "COMMIT");
	if (err != ERR_OK)
		db_rollback(db);
	sql_free(&sql);
	return err;
}

/*
 * The statements of a haul, with ids that no UUID has, so that nothing real
 * is in their way, and in a transaction that is never committed.
 */
enum err
ledger_probe(struct db *db)
{
	static const char *const statements[] = {
	    "START TRANSACTION",
	    "SELECT sold FROM sales WHERE sale_id = '' FOR UPDATE",
	    ("INSERT IGNORE INTO sales (sale_id, sku, name, total, revision, "
	     "defined, price_minor, currency) "
	     "VALUES (CONNECTION_ID(), '', '', 0, 0, 0, 0, '')"),
	    ("INSERT IGNORE INTO orders (id, sale_id, sku, user_id, quantity, "
	     "status, price_minor, currency) "
	     "VALUES (CONNECTION_ID(), '', '', '', 0, 'rejected', 0, '')"),
	    ("INSERT IGNORE INTO parked (message_id, reason, body, body_bytes) "
	     "VALUES (CONNECTION_ID(), '', '', 0)"),
	    "UPDATE sales SET sold = 0 WHERE sale_id = ''",
	};
	enum err err = db_connect(db);
	size_t i;

	for (i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (err == ERR_OK)
			err = db_run_script(db, statements[i]);
	db_rollback(db);
	return err;
}
