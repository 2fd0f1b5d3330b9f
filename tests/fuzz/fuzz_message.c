/*
 * Messages: whatever is decoded keeps the rules of its fields and survives
 * being encoded; every message that keeps the rules survives the way through
 * the queue.
 */
#include "fuzz.h"

#include <inttypes.h>

#include "message.h"

static void
must_be_same_order(const struct order *a, const struct order *b)
{
	MUST(strcmp(a->id, b->id) == 0);
	MUST(strcmp(a->sale_id, b->sale_id) == 0);
	MUST(a->revision == b->revision);
	MUST(strcmp(a->sku, b->sku) == 0);
	MUST(a->total == b->total);
	MUST(strcmp(a->user_id, b->user_id) == 0);
	MUST(a->quantity == b->quantity);
	MUST(a->price_minor == b->price_minor);
	MUST(strcmp(a->currency, b->currency) == 0);
	MUST(strcmp(a->request_key, b->request_key) == 0);
	MUST(a->reserved_at == b->reserved_at);
}

static void
must_be_same_sale(const struct sale *a, const struct sale *b)
{
	MUST(strcmp(a->id, b->id) == 0);
	MUST(strcmp(a->sku, b->sku) == 0);
	MUST(strcmp(a->name, b->name) == 0);
	MUST(a->revision == b->revision);
	MUST(a->total == b->total);
	MUST(a->limit == b->limit);
	MUST(a->opens_at == b->opens_at);
	MUST(a->closes_at == b->closes_at);
	MUST(a->price_minor == b->price_minor);
	MUST(strcmp(a->currency, b->currency) == 0);
	MUST(a->created_at == b->created_at);
	MUST(a->state == b->state);
}

/* Encoded and decoded it is the same; encoded again, byte for byte. */
static void
must_survive(const struct message *m)
{
	char first[MESSAGE_MAX + 1], second[MESSAGE_MAX + 1], why[256];
	struct message back;
	size_t len, again;
	char *copy;

	MUST(message_encode(m, first, sizeof(first), &len) == ERR_OK);
	MUST(len <= MESSAGE_MAX && strlen(first) == len);
	copy = fuzz_bytes(first, len);
	MUST(message_decode(copy, len, &back, why, sizeof(why)) == ERR_OK);
	free(copy);
	MUST(back.type == m->type);
	if (m->type == MESSAGE_ORDER)
		must_be_same_order(&m->order, &back.order);
	else
		must_be_same_sale(&m->sale, &back.sale);
	MUST(message_encode(&back, second, sizeof(second), &again) == ERR_OK);
	MUST(again == len && memcmp(first, second, len) == 0);
}

static bool
is_within(int64_t number, int64_t min, int64_t max)
{
	return number >= min && number <= max;
}

static void
must_keep_order_rules(const struct order *o)
{
	MUST(uuid_is_valid(o->id, strlen(o->id)));
	MUST(uuid_is_valid(o->sale_id, strlen(o->sale_id)));
	MUST(o->revision >= 1);
	MUST(sku_is_valid(o->sku, strlen(o->sku)));
	MUST(is_within(o->total, 0, UNITS_MAX));
	MUST(user_id_is_valid(o->user_id, strlen(o->user_id)));
	MUST(is_within(o->quantity, 1, QUANTITY_MAX));
	MUST(is_within(o->price_minor, 0, PRICE_MAX));
	MUST(currency_is_valid(o->currency, strlen(o->currency)));
	MUST(o->request_key[0] == '\0' ||
	     request_key_is_valid(o->request_key, strlen(o->request_key)));
	MUST(is_within(o->reserved_at, 0, TIME_MAX));
}

static void
must_keep_sale_rules(const struct sale *s)
{
	MUST(uuid_is_valid(s->id, strlen(s->id)));
	MUST(s->revision >= 1);
	MUST(sku_is_valid(s->sku, strlen(s->sku)));
	MUST(sale_name_is_valid(s->name, strlen(s->name)));
	MUST(fuzz_is_line(s->name, sizeof(s->name)));
	MUST(is_within(s->total, 0, UNITS_MAX));
	MUST(is_within(s->limit, 0, UNITS_MAX));
	MUST(is_within(s->opens_at, 0, TIME_MAX));
	MUST(is_within(s->closes_at, 0, TIME_MAX));
	MUST(is_within(s->price_minor, 0, PRICE_MAX));
	MUST(currency_is_valid(s->currency, strlen(s->currency)));
	MUST(is_within(s->created_at, 0, TIME_MAX));
	MUST(s->state == SALE_OPEN || s->state == SALE_PAUSED ||
	     s->state == SALE_CLOSED);
}

static void
check_text(const uint8_t *data, size_t size)
{
	char *text = fuzz_bytes(data, size), why[256] = "";
	struct message m;
	enum err err = message_decode(text, size, &m, why, sizeof(why));

	free(text);
	MUST(err == ERR_OK || err == ERR_BAD_INPUT);
	if (err == ERR_BAD_INPUT) {
		MUST(why[0] != '\0' && strnlen(why, sizeof(why)) < sizeof(why));
		return;
	}
	if (m.type == MESSAGE_ORDER)
		must_keep_order_rules(&m.order);
	else
		must_keep_sale_rules(&m.sale);
	must_survive(&m);
}

/* --- Any message that keeps the rules --- */

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t
take_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static int64_t
take_number(struct input *in, int64_t min, int64_t max)
{
	uint64_t n = 0, span = (uint64_t)max - (uint64_t)min;
	unsigned digits = take_byte(in) % 9;

	while (digits-- > 0)
		n = n << 8 | take_byte(in);
	return (
	    int64_t)((uint64_t)min + (span == UINT64_MAX ? n : n % (span + 1)));
}

/* Printable ASCII without space, min to max bytes of it. */
static void
take_word(struct input *in, size_t min, size_t max, char *out)
{
	size_t len = min + take_byte(in) % (max - min + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = (char)('!' + take_byte(in) % ('~' - '!' + 1));
	out[len] = '\0';
}

static void
take_sku(struct input *in, char *out)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._-";
	size_t len = 1 + take_byte(in) % SKU_MAX;

	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[take_byte(in) % (sizeof(alphabet) - 1)];
	out[len] = '\0';
	if (strspn(out, ".") == len)
		out[0] = 'a';
}

/* Whatever bytes there are, if they make a name. */
static void
take_name(struct input *in, char *out)
{
	size_t len = 1 + take_byte(in) % NAME_MAX_BYTES;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)take_byte(in);
	out[len] = '\0';
	if (!sale_name_is_valid(out, len))
		memcpy(out, "\"\\/ \xc3\xa9", 7);
}

static void
take_uuid(struct input *in, char *out)
{
	uint8_t bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = take_byte(in);
	uuid_from_bytes(bytes, out);
}

static void
take_order(struct input *in, struct order *o)
{
	take_uuid(in, o->id);
	take_uuid(in, o->sale_id);
	take_sku(in, o->sku);
	take_word(in, 1, USER_MAX, o->user_id);
	take_word(in, 0, REQUEST_KEY_MAX, o->request_key);
	memcpy(o->currency, "JPY", 4);
	o->revision = take_number(in, 1, INT64_MAX);
	o->total = take_number(in, 0, UNITS_MAX);
	o->quantity = take_number(in, 1, QUANTITY_MAX);
	o->price_minor = take_number(in, 0, PRICE_MAX);
	o->reserved_at = take_number(in, 0, TIME_MAX);
}

static void
take_sale(struct input *in, struct sale *s)
{
	take_uuid(in, s->id);
	take_sku(in, s->sku);
	take_name(in, s->name);
	memcpy(s->currency, "USD", 4);
	s->revision = take_number(in, 1, INT64_MAX);
	s->total = take_number(in, 0, UNITS_MAX);
	s->limit = take_number(in, 0, UNITS_MAX);
	s->opens_at = take_number(in, 0, TIME_MAX);
	s->closes_at = take_number(in, 0, TIME_MAX);
	s->price_minor = take_number(in, 0, PRICE_MAX);
	s->created_at = take_number(in, 0, TIME_MAX);
	s->state = (enum sale_state)(take_byte(in) % 3);
}

static void
check_message(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct message m;

	memset(&m, 0, sizeof(m));
	m.type = take_byte(&in) % 2 == 0 ? MESSAGE_ORDER : MESSAGE_SALE;
	if (m.type == MESSAGE_ORDER)
		take_order(&in, &m.order);
	else
		take_sale(&in, &m.sale);
	must_survive(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_text(data, size);
	check_message(data, size);
	return 0;
}
