/*
 * Applies the files of sql/, which the assembler includes in the program as
 * they are.  A new migration is a file there and a line in MIGRATIONS.
 */
#include <stddef.h>

#include "migrations.h"

/* MIGRATION(version, digits of the file's name, rest of it) */
#define MIGRATIONS MIGRATION(1, "0001", initial)

#define MIGRATION(version, digits, name)                     \
	__asm__(".pushsection .rodata\n"                     \
		"migration_" #name ":\n"                     \
		".incbin \"sql/" digits "_" #name ".sql\"\n" \
		".byte 0\n"                                  \
		".popsection\n");                            \
	extern const char migration_##name[];
MIGRATIONS
#undef MIGRATION

static const struct migration {
	unsigned version;
	const char *name;
	const char *text;
} migrations[] = {
#define MIGRATION(version, digits, name) {version, #name, migration_##name},
    MIGRATIONS
#undef MIGRATION
};

#define MIGRATIONS_COUNT (sizeof(migrations) / sizeof(migrations[0]))

/* Seconds to wait for another one who is migrating. */
#define LOCK_TRIES 60

static void
read_number(const struct db_row *row, void *arg)
{
	*(int64_t *)arg = db_int(row, 0);
}

static enum err
query_number(struct db *db, const char *statement, int64_t *number)
{
	struct sql sql = {0};
	enum err err;

	*number = 0;
	sql_add(&sql, "%s", statement);
	err = db_query(db, &sql, read_number, number);
	sql_free(&sql);
	return err;
}

/* One at a time. The lock goes away with the connection, if need be. */
static enum err
take_lock(struct db *db)
{
	int64_t taken = 0;
	enum err err = ERR_OK;
	unsigned i;

	for (i = 0; i < LOCK_TRIES && taken == 0 && err == ERR_OK; i++)
		err = query_number(db,
		    "SELECT GET_LOCK(CONCAT('flashsale ', DATABASE()), 1)",
		    &taken);
	return err == ERR_OK && taken == 0 ? ERR_RETRY : err;
}

static void
release_lock(struct db *db)
{
	int64_t released;

	if (query_number(db,
		"SELECT RELEASE_LOCK(CONCAT('flashsale ', DATABASE()))",
		&released) != ERR_OK)
		db_disconnect(db);
}

/* Nothing of any row: are all tables and columns there? */
static enum err
check(struct db *db)
{
	static const char *const looks[] = {
	    ("SELECT sale_id, sku, name, total, sold, revision, defined, "
	     "limit_per_user, opens_at, closes_at, price_minor, currency, "
	     "created_at, state FROM sales LIMIT 0"),
	    ("SELECT id, sale_id, sku, user_id, quantity, status, "
	     "status_reason, price_minor, currency, request_key, reserved_at, "
	     "created_at FROM orders LIMIT 0"),
	    ("SELECT message_id, reason, body, body_bytes, parked_at "
	     "FROM parked LIMIT 0"),
	};
	enum err err = ERR_OK;
	int64_t nothing;
	size_t i;

	for (i = 0; i < sizeof(looks) / sizeof(looks[0]) && err == ERR_OK; i++)
		err = query_number(db, looks[i], &nothing);
	return err == ERR_UNAVAILABLE && db_is_connected(db) ? ERR_NOT_FOUND
							     : err;
}

static enum err
apply(struct db *db, const struct migration *migration)
{
	struct sql sql = {0};
	enum err err = db_run_script(db, migration->text);

	sql_add(&sql,
	    "INSERT IGNORE INTO schema_migrations (version, name) VALUES "
	    "(%u, '%s')",
	    migration->version, migration->name);
	if (err == ERR_OK)
		err = db_run(db, &sql, NULL);
	sql_free(&sql);
	return err;
}

/* All of it once more when something has gone: that does no harm. */
static enum err
find_version(struct db *db, int64_t *version)
{
	enum err err = query_number(
	    db, "SELECT MAX(version) FROM schema_migrations", version);

	if (err == ERR_OK)
		err = check(db);
	if (err != ERR_NOT_FOUND)
		return err;
	*version = 0;
	return ERR_OK;
}

static enum err
apply_missing(struct db *db, migrations_fn *fn, void *arg, unsigned *applied)
{
	int64_t version;
	enum err err;
	size_t i;

	err = db_run_text(db,
	    "CREATE TABLE IF NOT EXISTS schema_migrations ("
	    "version INT NOT NULL PRIMARY KEY,"
	    "name VARCHAR(64) NOT NULL,"
	    "applied_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)"
	    ") ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
	if (err == ERR_OK)
		err = find_version(db, &version);
	for (i = 0; i < MIGRATIONS_COUNT && err == ERR_OK; i++) {
		if (migrations[i].version <= version)
			continue;
		err = apply(db, &migrations[i]);
		if (err != ERR_OK)
			break;
		(*applied)++;
		if (fn != NULL)
			fn(migrations[i].version, migrations[i].name, arg);
	}
	return err == ERR_OK && *applied > 0 ? check(db) : err;
}

enum err
migrations_apply(struct db *db, migrations_fn *fn, void *arg, unsigned *applied)
{
	enum err err = db_connect(db);

	*applied = 0;
	if (err == ERR_NOT_FOUND)
		err = db_create_database(db);
	if (err == ERR_OK)
		err = take_lock(db);
	if (err != ERR_OK)
		return err;
	err = apply_missing(db, fn, arg, applied);
	release_lock(db);
	return err;
}
