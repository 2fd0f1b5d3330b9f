/*
 * A connection to MySQL or MariaDB: blocking calls, each bounded by a
 * timeout.  Knows how to connect, run statements and tell whose fault a
 * failure was; knows no table (see ledger.h and migrations.h).  The only
 * module that includes mysql.h.
 */
#ifndef FLASHSALE_DB_H
#define FLASHSALE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "sql.h"

/* What MYSQL_URL says. Limits in bytes, with the final NUL. */
struct db_address {
	char host[256];	  /* without the brackets of an IPv6 address */
	unsigned port;	  /* 3306 unless given */
	char socket[108]; /* path of a unix socket, or "" for TCP */
	char user[129];	  /* "" = the name of the user running the program */
	char password[257];
	char database[65]; /* [A-Za-z0-9_$-] */
	bool tls;	   /* encrypted, and the server proved who it is */
	char tls_ca[1024]; /* PEM file to prove it by, or "": the system's */
};

/*
 * mysql://[user[:password]@]host[:port]/database[?option[&option]...], where
 * options are socket=/path, ssl=required|off and ssl-ca=/path; %XX escapes
 * everywhere but in the port.  ERR_BAD_INPUT with the reason in why, which
 * never quotes the password.
 */
enum err db_parse_url(const char *url, struct db_address *, char *why,
    size_t why_size) MUST_CHECK;

struct db;

/*
 * Does not connect yet.  timeout_ms bounds connecting and every read and
 * write; it is rounded up to whole seconds, which is all the client library
 * can do.  Errors as of db_parse_url.
 */
enum err db_new(struct db **, const char *url, unsigned timeout_ms, char *why,
    size_t why_size) MUST_CHECK;
/* NULL is fine. */
void db_free(struct db *);

/*
 * Every function below returns one of these, and db_error() tells the rest:
 *   ERR_UNAVAILABLE  not connected, gone, read-only, out of disk, without
 *                    its tables...: whatever is not the data's fault
 *   ERR_TIMEOUT      lost while a statement was under way: outcome unknown
 *   ERR_RETRY        deadlock or lock timeout: roll back, try again at once
 *   ERR_BAD_INPUT    the server will not have this data, ever
 *   ERR_DENIED       wrong user or password, or not enough rights
 *   ERR_NOT_FOUND    the database does not exist (db_connect only)
 *   ERR_NOMEM        the statement is too large
 * A lost connection is closed: connect again.
 */

/* Nothing to do when it is connected already. */
enum err db_connect(struct db *) MUST_CHECK;
/* After db_connect said ERR_NOT_FOUND: create the database and use it. */
enum err db_create_database(struct db *) MUST_CHECK;
void db_disconnect(struct db *);
bool db_is_connected(const struct db *);

/* What went wrong last, for the log: "2006 MySQL server has gone away". */
const char *db_error(const struct db *);
/* "10.11.6-MariaDB on host", for the log; "" before the first connect. */
const char *db_server(const struct db *);
/* The name and version of the client library. */
const char *db_library(void);

/* Run one statement; *affected, which may be NULL, gets the row count. */
enum err db_run(struct db *, const struct sql *, uint64_t *affected) MUST_CHECK;
enum err db_run_text(struct db *, const char *statement) MUST_CHECK;
/* Run statements separated by ";", stop at the first that fails. */
enum err db_run_script(struct db *, const char *statements) MUST_CHECK;

/* One row; columns that are NULL are NULL. Borrowed until fn returns. */
struct db_row {
	char *const *columns; /* each NUL-terminated after its bytes */
	const unsigned long *lengths;
	unsigned n;
};
typedef void db_row_fn(const struct db_row *, void *arg);

/* Run a SELECT and hand its rows to fn, one by one. */
enum err db_query(
    struct db *, const struct sql *, db_row_fn *, void *arg) MUST_CHECK;

/* A column as a number; 0 when it is NULL. */
int64_t db_int(const struct db_row *, unsigned column);
/* A BINARY(16) column as the text of a UUID; "" when it is something else. */
void db_uuid(const struct db_row *, unsigned column, char *uuid);
/* Copy a column into buf, cut at size - 1 bytes; "" when it is NULL. */
void db_copy(const struct db_row *, unsigned column, char *buf, size_t size);

/* Undo the transaction under way, if there is one and a connection. */
void db_rollback(struct db *);

#endif
