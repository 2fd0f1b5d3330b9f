#include "body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "problem.h"

/* "application/json", whatever parameters follow. */
static bool
is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	if (strncasecmp(content_type, json, len) != 0)
		return false;
	content_type += len + strspn(content_type + len, " \t");
	return *content_type == '\0' || *content_type == ';';
}

json_t *
body_parse(struct exchange *x)
{
	json_error_t error;
	json_t *json;

	if (!is_json(x->content_type)) {
		problem_reply(x, PROBLEM_BAD_CONTENT_TYPE, NULL);
		return NULL;
	}
	if (x->body_too_large) {
		problem_reply(x, PROBLEM_BODY_TOO_LARGE, NULL);
		return NULL;
	}
	json = json_loadb(x->body, x->body_len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(json)) {
		json_decref(json);
		problem_reply(x, PROBLEM_BAD_JSON, NULL);
		return NULL;
	}
	return json;
}

void
body_mark_bad(struct body_reader *r, const char *name, const char *expected)
{
	if (r->bad_field != NULL)
		return;
	r->bad_field = name;
	snprintf(r->expected, sizeof(r->expected), "%s: %s", name, expected);
}

/* The value to look at, or NULL when there is nothing to do. */
static const json_t *
present(struct body_reader *r, const char *name, bool required)
{
	const json_t *value;

	if (r->bad_field != NULL)
		return NULL;
	value = json_object_get(r->json, name);
	if (value != NULL && !json_is_null(value))
		return value;
	if (required)
		body_mark_bad(r, name, "is required");
	return NULL;
}

void
body_text(struct body_reader *r, const char *name, bool required,
    bool (*is_valid)(const char *, size_t), const char *rule, char *out,
    size_t size)
{
	const json_t *value = present(r, name, required);
	size_t len;

	if (value == NULL)
		return;
	len = json_string_length(value);
	if (!json_is_string(value) || len >= size ||
	    !is_valid(json_string_value(value), len)) {
		body_mark_bad(r, name, rule);
		return;
	}
	memcpy(out, json_string_value(value), len + 1);
}

void
body_integer(struct body_reader *r, const char *name, bool required,
    int64_t min, int64_t max, int64_t *out)
{
	const json_t *value = present(r, name, required);
	char rule[80];

	if (value == NULL)
		return;
	if (json_is_integer(value) && json_integer_value(value) >= min &&
	    json_integer_value(value) <= max) {
		*out = json_integer_value(value);
		return;
	}
	snprintf(rule, sizeof(rule),
	    "must be an integer from %" PRId64 " to %" PRId64, min, max);
	body_mark_bad(r, name, rule);
}

void
body_refuse(struct exchange *x, const char *field, const char *expected)
{
	char detail[200];
	struct problem_detail d = {.field = field, .detail = detail};

	snprintf(detail, sizeof(detail), "%s: %s", field, expected);
	problem_reply(x, PROBLEM_BAD_FIELD, &d);
}

bool
body_is_good(struct body_reader *r, struct exchange *x)
{
	struct problem_detail d = {
	    .field = r->bad_field, .detail = r->expected};

	if (r->bad_field == NULL)
		return true;
	problem_reply(x, PROBLEM_BAD_FIELD, &d);
	return false;
}
