/*
 * The text of an SQL statement, put together piece by piece.  Values enter
 * only as hexadecimal or decimal literals, so nothing that came from outside
 * can ever end a literal, whatever the server's sql_mode.  Pure: knows no
 * server.
 */
#ifndef FLASHSALE_SQL_H
#define FLASHSALE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Under max_allowed_packet of every server that kept its default. */
#define SQL_TEXT_MAX ((size_t)8 << 20)

/* Zero it to start. Reused from statement to statement. */
struct sql {
	char *text; /* NUL-terminated; NULL while empty */
	size_t len;
	size_t size;
	bool overflow; /* out of memory or over SQL_TEXT_MAX: do not send */
};

void sql_free(struct sql *);
void sql_clear(struct sql *);

/* Statement text of our own. Strings from outside go in by the others. */
void sql_add(struct sql *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A character string: _utf8mb4 x'...'. */
void sql_add_text(struct sql *, const char *text);
/* Bytes as they are: x'...'. */
void sql_add_bytes(struct sql *, const void *bytes, size_t len);
/* The 16 bytes of a valid UUID. */
void sql_add_uuid(struct sql *, const char *uuid);
/* A DATETIME(3) in UTC; 0 becomes NULL. */
void sql_add_time(struct sql *, int64_t ms_since_1970);

#endif
