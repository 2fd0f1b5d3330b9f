/*
 * SQL text, put together piece by piece.  Whoever calls need not check each
 * piece: what does not fit marks the whole statement, and db.c refuses it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "digest.h"
#include "sql.h"
#include "uuid.h"

void
sql_free(struct sql *sql)
{
	free(sql->text);
	*sql = (struct sql){0};
}

void
sql_clear(struct sql *sql)
{
	sql->len = 0;
	sql->overflow = false;
}

/* Room for more bytes and the final NUL. */
static bool
sql_reserve(struct sql *sql, size_t more)
{
	size_t size = sql->size == 0 ? 4096 : sql->size;
	char *text;

	if (sql->overflow || more >= SQL_TEXT_MAX - sql->len) {
		sql->overflow = true;
		return false;
	}
	while (size - sql->len <= more)
		size *= 2;
	if (size == sql->size)
		return true;
	text = realloc(sql->text, size);
	if (text == NULL) {
		sql->overflow = true;
		return false;
	}
	sql->text = text;
	sql->size = size;
	return true;
}

void
sql_add(struct sql *sql, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !sql_reserve(sql, (size_t)len))
		return;
	va_start(args, fmt);
	vsnprintf(sql->text + sql->len, (size_t)len + 1, fmt, args);
	va_end(args);
	sql->len += (size_t)len;
}

void
sql_add_bytes(struct sql *sql, const void *bytes, size_t len)
{
	if (len > SQL_TEXT_MAX / 2) {
		sql->overflow = true;
		return;
	}
	sql_add(sql, "x'");
	if (!sql_reserve(sql, 2 * len))
		return;
	hex_encode(bytes, len, sql->text + sql->len);
	sql->len += 2 * len;
	sql_add(sql, "'");
}

void
sql_add_text(struct sql *sql, const char *text)
{
	sql_add(sql, "_utf8mb4 ");
	sql_add_bytes(sql, text, strlen(text));
}

void
sql_add_uuid(struct sql *sql, const char *uuid)
{
	uint8_t bytes[16];

	uuid_to_bytes(uuid, bytes);
	sql_add_bytes(sql, bytes, sizeof(bytes));
}

void
sql_add_time(struct sql *sql, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (ms <= 0 || gmtime_r(&seconds, &tm) == NULL) {
		sql_add(sql, "NULL");
		return;
	}
	sql_add(sql, "'%04d-%02d-%02d %02d:%02d:%02d.%03d'", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    (int)(ms % 1000));
}
