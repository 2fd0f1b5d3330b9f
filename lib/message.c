/*
 * Messages of the queue: the JSON of docs/messages.md and the rules of every
 * field.  Pure; knows neither Redis nor SQS.
 */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "text.h"

#define VERSION 1

/* --- Field rules --- */

static bool
is_sku_character(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool
is_printable(const char *s, size_t len, size_t max)
{
	if (len == 0 || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f)
			return false;
	return true;
}

bool
sku_is_valid(const char *s, size_t len)
{
	bool only_dots = true; /* a web server takes those for directories */

	if (len == 0 || len > SKU_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_sku_character((unsigned char)s[i]))
			return false;
		only_dots = only_dots && s[i] == '.';
	}
	return !only_dots;
}

bool
user_id_is_valid(const char *s, size_t len)
{
	return is_printable(s, len, USER_MAX);
}

bool
request_key_is_valid(const char *s, size_t len)
{
	return is_printable(s, len, REQUEST_KEY_MAX);
}

static bool
is_utf8(const char *s, size_t len)
{
	json_t *json = json_stringn(s, len);
	bool valid = json != NULL;

	json_decref(json);
	return valid;
}

/* UTF-8 without control characters and without U+FFFE and U+FFFF, which SQS
 * refuses in a message body. */
bool
sale_name_is_valid(const char *s, size_t len)
{
	if (len == 0 || len > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && i + 1 < len && (unsigned char)s[i + 1] < 0xa0)
			return false; /* U+0080 to U+009F: terminals obey */
		if (c == 0xef && i + 2 < len &&
		    (unsigned char)s[i + 1] == 0xbf &&
		    (unsigned char)s[i + 2] >= 0xbe)
			return false;
	}
	return is_utf8(s, len);
}

bool
currency_is_valid(const char *s, size_t len)
{
	if (len != 3)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (s[i] < 'A' || s[i] > 'Z')
			return false;
	return true;
}

static const char *const state_names[] = {"open", "paused", "closed"};

const char *
sale_state_name(enum sale_state state)
{
	return state_names[state];
}

bool
sale_state_parse(const char *text, enum sale_state *state)
{
	for (size_t i = 0; i < 3; i++)
		if (strcmp(text, state_names[i]) == 0) {
			*state = (enum sale_state)i;
			return true;
		}
	return false;
}

static bool
request_key_or_none(const char *s, size_t len)
{
	return len == 0 || request_key_is_valid(s, len);
}

/* --- Encoding --- */

static json_t *
sale_to_json(const struct sale *s)
{
	return json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, "
			 "s:I, s:s, s:I, s:s}",
	    "v", VERSION, "type", "sale", "saleId", s->id, "revision",
	    (json_int_t)s->revision, "sku", s->sku, "name", s->name, "total",
	    (json_int_t)s->total, "limit", (json_int_t)s->limit, "opensAt",
	    (json_int_t)s->opens_at, "closesAt", (json_int_t)s->closes_at,
	    "priceMinor", (json_int_t)s->price_minor, "currency", s->currency,
	    "createdAt", (json_int_t)s->created_at, "state",
	    sale_state_name(s->state));
}

/*
 * An order is written by hand: it happens for every order that is sold.  All
 * its texts are printable ASCII, so only quotes and backslashes are special.
 */
static char *
put_text(char *out, const char *name, const char *text)
{
	out = stpcpy(stpcpy(stpcpy(out, ",\""), name), "\":\"");
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	return stpcpy(out, "\"");
}

static char *
put_number(char *out, const char *name, int64_t number)
{
	out = stpcpy(stpcpy(stpcpy(out, ",\""), name), "\":");
	if (number < 0)
		*out++ = '-';
	return text_put_digits(
	    out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* Each text escaped, names and numbers included. */
#define ORDER_MAX 1024

static size_t
encode_order(const struct order *o, char *buf)
{
	char *out = stpcpy(buf, "{\"v\":1,\"type\":\"order\"");

	out = put_text(out, "orderId", o->id);
	out = put_text(out, "saleId", o->sale_id);
	out = put_number(out, "revision", o->revision);
	out = put_text(out, "sku", o->sku);
	out = put_number(out, "total", o->total);
	out = put_text(out, "userId", o->user_id);
	out = put_number(out, "quantity", o->quantity);
	out = put_number(out, "priceMinor", o->price_minor);
	out = put_text(out, "currency", o->currency);
	out = put_text(out, "requestKey", o->request_key);
	out = put_number(out, "reservedAt", o->reserved_at);
	return (size_t)(stpcpy(out, "}") - buf);
}

enum err
message_encode(const struct message *m, char *buf, size_t size, size_t *len)
{
	json_t *json;
	size_t n;

	if (m->type == MESSAGE_ORDER) {
		if (size <= ORDER_MAX)
			return ERR_NOMEM;
		*len = encode_order(&m->order, buf);
		return ERR_OK;
	}
	json = sale_to_json(&m->sale);
	if (json == NULL)
		return ERR_NOMEM;
	n = json_dumpb(json, buf, size, JSON_COMPACT);
	json_decref(json);
	if (n == 0 || n >= size || n > MESSAGE_MAX)
		return ERR_NOMEM;
	buf[n] = '\0';
	*len = n;
	return ERR_OK;
}

/* --- Decoding --- */

/* Reads the fields of one object; after the first failure it does nothing,
 * so that callers need to look only once. */
struct reader {
	const json_t *json;
	bool failed;
	char *why;
	size_t why_size;
};

static void PRINTF_LIKE(3, 4)
    fail(struct reader *r, const char *name, const char *fmt, ...)
{
	int n = snprintf(r->why, r->why_size, "%s: ", name);
	va_list args;

	va_start(args, fmt);
	if (n > 0 && (size_t)n < r->why_size)
		vsnprintf(r->why + n, r->why_size - (size_t)n, fmt, args);
	va_end(args);
	r->failed = true;
}

static void
read_text(struct reader *r, const char *name, char *out, size_t size,
    bool (*is_valid)(const char *, size_t))
{
	const json_t *value = json_object_get(r->json, name);
	size_t len;

	if (r->failed)
		return;
	len = json_string_length(value);
	if (!json_is_string(value) || len >= size ||
	    !is_valid(json_string_value(value), len)) {
		fail(r, name, "missing, or not of the form it must have");
		return;
	}
	memcpy(out, json_string_value(value), len + 1);
}

static void
read_integer(
    struct reader *r, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const json_t *value = json_object_get(r->json, name);

	if (r->failed)
		return;
	*out = json_integer_value(value);
	if (!json_is_integer(value) || *out < min || *out > max)
		fail(r, name, "must be an integer from %lld to %lld",
		    (long long)min, (long long)max);
}

static void
read_order(struct reader *r, struct order *o)
{
	read_text(r, "orderId", o->id, sizeof(o->id), uuid_is_valid);
	read_text(r, "saleId", o->sale_id, sizeof(o->sale_id), uuid_is_valid);
	read_integer(r, "revision", 1, INT64_MAX, &o->revision);
	read_text(r, "sku", o->sku, sizeof(o->sku), sku_is_valid);
	read_integer(r, "total", 0, UNITS_MAX, &o->total);
	read_text(
	    r, "userId", o->user_id, sizeof(o->user_id), user_id_is_valid);
	read_integer(r, "quantity", 1, QUANTITY_MAX, &o->quantity);
	read_integer(r, "priceMinor", 0, PRICE_MAX, &o->price_minor);
	read_text(
	    r, "currency", o->currency, sizeof(o->currency), currency_is_valid);
	read_text(r, "requestKey", o->request_key, sizeof(o->request_key),
	    request_key_or_none);
	read_integer(r, "reservedAt", 0, TIME_MAX, &o->reserved_at);
}

/* Absent means open. */
static void
read_state(struct reader *r, enum sale_state *state)
{
	const json_t *value = json_object_get(r->json, "state");

	if (r->failed || value == NULL)
		return;
	if (!json_is_string(value) ||
	    !sale_state_parse(json_string_value(value), state))
		fail(r, "state", "must be \"open\", \"paused\" or \"closed\"");
}

static void
read_sale(struct reader *r, struct sale *s)
{
	read_text(r, "saleId", s->id, sizeof(s->id), uuid_is_valid);
	read_integer(r, "revision", 1, INT64_MAX, &s->revision);
	read_text(r, "sku", s->sku, sizeof(s->sku), sku_is_valid);
	read_text(r, "name", s->name, sizeof(s->name), sale_name_is_valid);
	read_integer(r, "total", 0, UNITS_MAX, &s->total);
	read_integer(r, "limit", 0, UNITS_MAX, &s->limit);
	read_integer(r, "opensAt", 0, TIME_MAX, &s->opens_at);
	read_integer(r, "closesAt", 0, TIME_MAX, &s->closes_at);
	read_integer(r, "priceMinor", 0, PRICE_MAX, &s->price_minor);
	read_text(
	    r, "currency", s->currency, sizeof(s->currency), currency_is_valid);
	read_integer(r, "createdAt", 0, TIME_MAX, &s->created_at);
	read_state(r, &s->state);
}

static void
read_message(struct reader *r, struct message *m)
{
	const char *type = json_string_value(json_object_get(r->json, "type"));
	int64_t version;

	read_integer(r, "v", VERSION, VERSION, &version);
	if (r->failed)
		return;
	if (type != NULL && strcmp(type, "order") == 0) {
		m->type = MESSAGE_ORDER;
		read_order(r, &m->order);
	} else if (type != NULL && strcmp(type, "sale") == 0) {
		m->type = MESSAGE_SALE;
		read_sale(r, &m->sale);
	} else
		fail(r, "type", "must be \"order\" or \"sale\"");
}

enum err
message_decode(
    const char *text, size_t len, struct message *m, char *why, size_t why_size)
{
	struct reader r = {.why = why, .why_size = why_size};
	json_error_t error;
	json_t *json;

	if (len > MESSAGE_MAX) {
		snprintf(why, why_size, "larger than %d bytes", MESSAGE_MAX);
		return ERR_BAD_INPUT;
	}
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(json)) {
		snprintf(why, why_size, "not a JSON object: %s",
		    json == NULL ? error.text : "another type");
		json_decref(json);
		return ERR_BAD_INPUT;
	}
	memset(m, 0, sizeof(*m));
	r.json = json;
	read_message(&r, m);
	json_decref(json);
	return r.failed ? ERR_BAD_INPUT : ERR_OK;
}
