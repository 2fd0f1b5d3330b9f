/*
 * Request bodies: JSON from strangers to checked values.  Whatever is wrong
 * is answered here, so a handler goes on only with what is right.
 */
#ifndef FLASHSALE_BODY_H
#define FLASHSALE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "fastcgi.h"

/* The body as a JSON object, or NULL after a problem has been replied.  The
 * caller releases it with json_decref(). */
json_t *body_parse(struct exchange *);

/*
 * The fields of a body, one after the other.  The first that is wrong is
 * kept, and the rest are then passed over: ask body_is_good() once.
 */
struct body_reader {
	const json_t *json;
	const char *bad_field; /* NULL = all good so far */
	char expected[160];
};

/* Absent (or null) leaves *out as it is, unless it is required. */
void body_text(struct body_reader *, const char *name, bool required,
    bool (*is_valid)(const char *, size_t), const char *rule, char *out,
    size_t size);
void body_integer(struct body_reader *, const char *name, bool required,
    int64_t min, int64_t max, int64_t *out);

/* For rules that concern several fields. name and expected must live on. */
void body_mark_bad(
    struct body_reader *, const char *name, const char *expected);

/* False after replying 422 about the first bad field. */
bool body_is_good(struct body_reader *, struct exchange *);

/* Reply 422 about a field that is not in the body (a header, the path). */
void body_refuse(struct exchange *, const char *field, const char *expected);

#endif
