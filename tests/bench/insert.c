/*
 * How fast MySQL takes orders when nothing else is done: processes that call
 * the ledger again and again, each time with one full haul of a sale.
 *
 *   insert PROCESSES ORDERS SECONDS
 *
 * ORDERS a transaction.  Prints how many orders were committed in a second,
 * as a number.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "db.h"
#include "exit_codes.h"
#include "ledger.h"
#include "log.h"
#include "message.h"
#include "uuid.h"

#include "crew.h"

#define ORDERS_MAX 500 /* as of HAUL_MAX */

struct plan {
	const struct config *config;
	unsigned orders;	      /* a transaction */
	char sale_id[UUID_TEXT_SIZE]; /* all processes sell of it */
};

static void
make_order(struct message *message, const struct plan *plan, unsigned process,
    long number)
{
	*message = (struct message){.type = MESSAGE_ORDER,
	    .order = {.revision = 1,
		.sku = "bench-insert",
		.total = 1000000000,
		.quantity = 1,
		.price_minor = 79900,
		.currency = "USD",
		.reserved_at = clock_wall_ms()}};
	uuid_v7(message->order.id);
	memcpy(message->order.sale_id, plan->sale_id, UUID_TEXT_SIZE);
	snprintf(message->order.user_id, sizeof(message->order.user_id),
	    "insert-%u-%ld", process, number);
}

/* Two processes may meet in a deadlock: the worker tries again too. */
static void
persist(struct db *db, struct ledger_entry *entries, unsigned n)
{
	enum err err;

	while ((err = ledger_persist(db, entries, n)) == ERR_RETRY)
		;
	if (err != ERR_OK)
		fatal(EXIT_UNAVAIL, "MySQL: %s", db_error(db));
	for (unsigned i = 0; i < n; i++)
		if (entries[i].verdict != LEDGER_CONFIRMED)
			fatal(EXIT_FAILED, "an order was not confirmed");
}

static struct db *
open_books(const struct config *config)
{
	struct db *db;
	char why[256];

	if (db_new(&db, config->mysql_url, config->mysql_timeout_ms, why,
		sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	if (db_connect(db) != ERR_OK)
		fatal(EXIT_UNAVAIL, "MySQL: %s", db_error(db));
	return db;
}

static void
run_process(unsigned process, double ends, long *committed, void *arg)
{
	static struct message messages[ORDERS_MAX];
	static struct ledger_entry entries[ORDERS_MAX];
	const struct plan *plan = arg;
	struct db *db = open_books(plan->config);

	for (; clock_seconds() < ends; *committed += plan->orders) {
		for (unsigned i = 0; i < plan->orders; i++) {
			make_order(&messages[i], plan, process, *committed + i);
			entries[i] =
			    (struct ledger_entry){.message = &messages[i]};
		}
		persist(db, entries, plan->orders);
	}
	db_free(db);
}

int
main(int argc, char **argv)
{
	static const struct config_about about = {.program = "insert",
	    .which = FOR_CLI,
	    .synopsis = "PROCESSES ORDERS SECONDS",
	    .purpose = "Write orders into MySQL as fast as it takes them."};
	struct config config;
	struct plan plan = {.config = &config};
	int first = config_load(&config, &about, argc, argv);

	log_init("insert", config.log_level, false);
	if (argc - first != 3)
		config_usage("takes three numbers");
	plan.orders = crew_number(argv[first + 1], ORDERS_MAX);
	uuid_v7(plan.sale_id);
	printf("%.1f\n",
	    crew_rate(crew_number(argv[first], CREW_MAX),
		crew_number(argv[first + 2], 600), run_process, &plan));
	return EXIT_FINE;
}
