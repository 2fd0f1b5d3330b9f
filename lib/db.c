/*
 * A connection to MySQL or MariaDB, through whichever client library the
 * system has: MariaDB Connector/C or libmysqlclient.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

#include "db.h"
#include "uuid.h"

/* Names that only one of the two libraries has. */
#ifndef ER_CONSTRAINT_FAILED
#define ER_CONSTRAINT_FAILED 4025 /* MariaDB: a CHECK said no */
#endif
#ifndef ER_CHECK_CONSTRAINT_VIOLATED
#define ER_CHECK_CONSTRAINT_VIOLATED 3819 /* the same in MySQL */
#endif

struct db {
	struct db_address address;
	unsigned timeout; /* seconds */
	MYSQL *mysql;	  /* NULL while not connected */
	char error[320];
	char server[128];
};

enum err
db_new(struct db **out, const char *url, unsigned timeout_ms, char *why,
    size_t why_size)
{
	struct db *db = calloc(1, sizeof(*db));
	enum err err;

	if (db == NULL) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	err = db_parse_url(url, &db->address, why, why_size);
	if (err != ERR_OK) {
		free(db);
		return err;
	}
	db->timeout = (timeout_ms + 999) / 1000;
	if (db->timeout == 0)
		db->timeout = 1;
	*out = db;
	return ERR_OK;
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	db_disconnect(db);
	free(db);
}

void
db_disconnect(struct db *db)
{
	if (db->mysql != NULL)
		mysql_close(db->mysql);
	db->mysql = NULL;
}

bool
db_is_connected(const struct db *db)
{
	return db->mysql != NULL;
}

const char *
db_error(const struct db *db)
{
	return db->error;
}

const char *
db_server(const struct db *db)
{
	return db->server;
}

const char *
db_library(void)
{
	static char text[64];

#ifdef LIBMARIADB
	snprintf(text, sizeof(text), "libmariadb %s", mysql_get_client_info());
#else
	snprintf(
	    text, sizeof(text), "libmysqlclient %s", mysql_get_client_info());
#endif
	return text;
}

/*
 * Whose fault is it?  Only what is certain to be the data's is ERR_BAD_INPUT:
 * such messages are set aside, and an outage must never look like one.
 */
static enum err
classify(unsigned code)
{
	switch (code) {
	case ER_BAD_NULL_ERROR:
	case ER_DATA_TOO_LONG:
	case ER_WARN_DATA_OUT_OF_RANGE:
	case ER_DATA_OUT_OF_RANGE:
	case ER_TRUNCATED_WRONG_VALUE:
	case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
	case ER_WRONG_VALUE:
	case ER_INVALID_CHARACTER_STRING:
	case ER_CONSTRAINT_FAILED:
	case ER_CHECK_CONSTRAINT_VIOLATED:
	case WARN_DATA_TRUNCATED:
		return ERR_BAD_INPUT;
	/* A row that another transaction has written since we looked: look
	 * again. */
	case ER_DUP_ENTRY:
	case ER_LOCK_DEADLOCK:
	case ER_LOCK_WAIT_TIMEOUT:
		return ERR_RETRY;
	case ER_ACCESS_DENIED_ERROR:
	case ER_DBACCESS_DENIED_ERROR:
	case ER_TABLEACCESS_DENIED_ERROR:
	case ER_COLUMNACCESS_DENIED_ERROR:
		return ERR_DENIED;
	case ER_BAD_DB_ERROR:
		return ERR_NOT_FOUND;
	case CR_SERVER_LOST:
		return ERR_TIMEOUT;
	case CR_OUT_OF_MEMORY:
		return ERR_NOMEM;
	default:
		return ERR_UNAVAILABLE;
	}
}

/* The client library's own errors: the connection is of no use any more. */
static bool
is_connection_error(unsigned code)
{
	return code >= CR_MIN_ERROR && code < 3000;
}

/* Note and classify the failure of the last call. */
static enum err
db_fail(struct db *db, MYSQL *mysql)
{
	unsigned code = mysql_errno(mysql);
	bool unmigrated = code == ER_BAD_DB_ERROR || code == ER_NO_SUCH_TABLE;

	snprintf(db->error, sizeof(db->error), "%u %s%s", code,
	    mysql_error(mysql),
	    unmigrated ? " (\"flashsale migrate\" creates it)" : "");
	if (mysql == db->mysql && is_connection_error(code))
		db_disconnect(db);
	return classify(code);
}

static enum err
db_fail_unconnected(struct db *db)
{
	if (db->error[0] == '\0')
		snprintf(db->error, sizeof(db->error), "not connected");
	return ERR_UNAVAILABLE;
}

/* --- Connecting --- */

static void
set_tls(MYSQL *mysql, const struct db_address *address)
{
	if (!address->tls)
		return;
	if (address->tls_ca[0] != '\0')
		mysql_options(mysql, MYSQL_OPT_SSL_CA, address->tls_ca);
#ifdef LIBMARIADB
	my_bool yes = 1;

	mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
	mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
#else
	unsigned mode = SSL_MODE_VERIFY_IDENTITY;

	mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
#endif
}

static void
set_options(MYSQL *mysql, const struct db *db)
{
	unsigned no = 0;
	unsigned protocol = db->address.socket[0] != '\0'
				? MYSQL_PROTOCOL_SOCKET
				: MYSQL_PROTOCOL_TCP;

	mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &db->timeout);
	mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &db->timeout);
	mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &db->timeout);
	/* The server has no business reading our files. */
	mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
	/* Or the library would take "localhost" for a socket of its own
	 * choice, whatever the port. */
	mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	set_tls(mysql, &db->address);
}

static const char *
null_if_empty(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

/*
 * What our statements rely on: strict mode, so that nothing is cut silently;
 * UTC; READ COMMITTED, so that what is read after a lock is what is there;
 * and lock waits that end before the read timeout does.
 */
static enum err
set_session(struct db *db)
{
	char statement[256];
	enum err err;

	snprintf(statement, sizeof(statement),
	    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
	    " time_zone = '+00:00', innodb_lock_wait_timeout = %u",
	    db->timeout > 2 ? db->timeout - 1 : 1);
	err = db_run_text(db, statement);
	if (err == ERR_OK)
		err = db_run_text(db,
		    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
	return err;
}

/* database may be NULL. */
static enum err
connect_to(struct db *db, const char *database)
{
	const struct db_address *address = &db->address;
	MYSQL *mysql = mysql_init(NULL);
	enum err err;

	if (mysql == NULL) {
		snprintf(db->error, sizeof(db->error), "out of memory");
		return ERR_NOMEM;
	}
	set_options(mysql, db);
	if (mysql_real_connect(mysql, address->host,
		null_if_empty(address->user), null_if_empty(address->password),
		database, address->port, null_if_empty(address->socket),
		0) == NULL) {
		err = db_fail(db, mysql);
		mysql_close(mysql);
		/* Nothing of ours has been sent: nothing is unknown. */
		return err == ERR_TIMEOUT ? ERR_UNAVAILABLE : err;
	}
	db->mysql = mysql;
	snprintf(db->server, sizeof(db->server), "%s on %s",
	    mysql_get_server_info(mysql), mysql_get_host_info(mysql));
	err = set_session(db);
	if (err != ERR_OK)
		db_disconnect(db);
	return err;
}

enum err
db_connect(struct db *db)
{
	if (db->mysql != NULL)
		return ERR_OK;
	return connect_to(db, db->address.database);
}

enum err
db_create_database(struct db *db)
{
	struct sql sql = {0};
	enum err err = ERR_OK;

	if (db->mysql == NULL)
		err = connect_to(db, NULL);
	/* The name has been checked: no quotes in it. */
	sql_add(&sql,
	    "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4",
	    db->address.database);
	if (err == ERR_OK)
		err = db_run(db, &sql, NULL);
	sql_free(&sql);
	if (err == ERR_OK && mysql_select_db(db->mysql, db->address.database))
		err = db_fail(db, db->mysql);
	return err;
}

/* --- Statements --- */

static enum err
send_statement(struct db *db, const char *text, size_t len)
{
	if (db->mysql == NULL)
		return db_fail_unconnected(db);
	if (mysql_real_query(db->mysql, text, (unsigned long)len) != 0)
		return db_fail(db, db->mysql);
	return ERR_OK;
}

static enum err
send_sql(struct db *db, const struct sql *sql)
{
	if (sql->overflow || sql->text == NULL) {
		snprintf(db->error, sizeof(db->error), "statement too large");
		return ERR_NOMEM;
	}
	return send_statement(db, sql->text, sql->len);
}

enum err
db_run(struct db *db, const struct sql *sql, uint64_t *affected)
{
	enum err err = send_sql(db, sql);

	if (err == ERR_OK && affected != NULL)
		*affected = mysql_affected_rows(db->mysql);
	return err;
}

enum err
db_run_text(struct db *db, const char *statement)
{
	return send_statement(db, statement, strlen(statement));
}

/* Pass over the results of a script until its end or its first error. */
static enum err
skip_results(struct db *db)
{
	int more;

	do {
		mysql_free_result(mysql_store_result(db->mysql));
		more = mysql_next_result(db->mysql);
	} while (more == 0);
	return more < 0 ? ERR_OK : db_fail(db, db->mysql);
}

enum err
db_run_script(struct db *db, const char *statements)
{
	enum err err;

	if (db->mysql == NULL)
		return db_fail_unconnected(db);
	if (mysql_set_server_option(
		db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON) != 0)
		return db_fail(db, db->mysql);
	err = db_run_text(db, statements);
	if (err == ERR_OK)
		err = skip_results(db);
	if (db->mysql != NULL &&
	    mysql_set_server_option(
		db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF) != 0 &&
	    err == ERR_OK)
		err = db_fail(db, db->mysql);
	return err;
}

enum err
db_query(struct db *db, const struct sql *sql, db_row_fn *fn, void *arg)
{
	enum err err = send_sql(db, sql);
	struct db_row row;
	MYSQL_RES *result;
	MYSQL_ROW columns;

	if (err != ERR_OK)
		return err;
	result = mysql_store_result(db->mysql);
	if (result == NULL)
		return db_fail(db, db->mysql);
	row.n = mysql_num_fields(result);
	while ((columns = mysql_fetch_row(result)) != NULL) {
		row.columns = columns;
		row.lengths = mysql_fetch_lengths(result);
		fn(&row, arg);
	}
	mysql_free_result(result);
	return ERR_OK;
}

void
db_rollback(struct db *db)
{
	if (db->mysql != NULL && mysql_rollback(db->mysql) != 0)
		db_disconnect(db);
}

/* --- Columns --- */

int64_t
db_int(const struct db_row *row, unsigned column)
{
	if (column >= row->n || row->columns[column] == NULL)
		return 0;
	return strtoll(row->columns[column], NULL, 10);
}

void
db_uuid(const struct db_row *row, unsigned column, char *uuid)
{
	uint8_t bytes[16];

	uuid[0] = '\0';
	if (column >= row->n || row->columns[column] == NULL ||
	    row->lengths[column] != sizeof(bytes))
		return;
	memcpy(bytes, row->columns[column], sizeof(bytes));
	uuid_from_bytes(bytes, uuid);
}

void
db_copy(const struct db_row *row, unsigned column, char *buf, size_t size)
{
	if (column >= row->n || row->columns[column] == NULL)
		buf[0] = '\0';
	else
		snprintf(buf, size, "%s", row->columns[column]);
}
