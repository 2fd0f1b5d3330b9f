/* flashsale migrate: bring the database up to date. */
#include <getopt.h>
#include <stdio.h>

#include "db.h"
#include "exit_codes.h"
#include "log.h"
#include "migrations.h"

#include "command.h"

#define PATIENCE_MS 600000 /* for a migration of a large table */

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void
print_applied(unsigned version, const char *name, void *arg)
{
	(void)arg;
	printf("applied %04u %s\n", version, name);
}

static struct db *
new_db(const struct config *config, unsigned timeout_ms)
{
	struct db *db;
	char why[512];

	if (config->mysql_url[0] == '\0')
		fatal(EXIT_CONFIG,
		    "MYSQL_URL is not set: the database's address, like "
		    "mysql://user:password@host/database");
	if (db_new(&db, config->mysql_url, timeout_ms, why, sizeof(why)) !=
	    ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	return db;
}

/* Is anybody there?  Asked first, with little patience. */
static void
probe(const struct config *config)
{
	struct db *db = new_db(config, config->mysql_timeout_ms);
	enum err err = db_connect(db);

	if (err != ERR_OK && err != ERR_NOT_FOUND)
		fatal(
		    EXIT_UNAVAIL, "cannot connect to MySQL: %s", db_error(db));
	db_free(db);
}

static int
run_migrate(const struct config *config, int argc, char **argv)
{
	unsigned applied = 0;
	struct db *db;
	enum err err;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(&command_migrate);
		command_hint(&command_migrate);
	}
	if (optind < argc)
		command_misused(
		    &command_migrate, "what is \"%s\"?", argv[optind]);
	probe(config);
	db = new_db(config, PATIENCE_MS);
	err = migrations_apply(db, print_applied, NULL, &applied);
	if (err == ERR_NOT_FOUND)
		fatal(EXIT_FAILED,
		    "a table has been changed since: %s; no migration undoes "
		    "that: restore the table, or add the column as sql/ has it",
		    db_error(db));
	if (err == ERR_RETRY)
		fatal(EXIT_UNAVAIL, "somebody else is migrating: try again");
	if (err != ERR_OK)
		fatal(EXIT_UNAVAIL, "the migration failed: %s", db_error(db));
	if (applied == 0)
		printf("the database is up to date\n");
	db_free(db);
	return EXIT_FINE;
}

const struct command command_migrate = {
    "migrate",
    "",
    "Create the tables in MySQL, or bring them up to date",
    "",
    NULL,
    run_migrate,
};
