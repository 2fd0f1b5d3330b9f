/* What a message may contain, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "message.h"

static const struct message order = {
    .type = MESSAGE_ORDER,
    .order = {.id = "0192f0c0-1111-7222-8333-444455556666",
	.sale_id = "0192f0c0-aaaa-7bbb-8ccc-ddddeeeeffff",
	.revision = 3,
	.sku = "iphone_16",
	.total = 100,
	.user_id = "u1\"\\<>",
	.quantity = 2,
	.price_minor = 79900,
	.currency = "USD",
	.request_key = "key-1",
	.reserved_at = 1795353362988},
};

static const struct message sale = {
    .type = MESSAGE_SALE,
    .sale = {.id = "0192f0c0-aaaa-7bbb-8ccc-ddddeeeeffff",
	.sku = "iphone_16",
	.name = "Téléphone \"16\" 電話",
	.revision = 1,
	.total = 100,
	.limit = 1,
	.price_minor = 79900,
	.currency = "USD",
	.created_at = 1795353362000},
};

static void
assert_round_trip(const struct message *m)
{
	char text[MESSAGE_MAX + 1], why[200];
	struct message back;
	size_t len;

	assert_int_equal(message_encode(m, text, sizeof(text), &len), ERR_OK);
	assert_int_equal(strlen(text), len);
	assert_int_equal(
	    message_decode(text, len, &back, why, sizeof(why)), ERR_OK);
	assert_int_equal(back.type, m->type);
	if (m->type == MESSAGE_ORDER)
		assert_memory_equal(&back.order, &m->order, sizeof(m->order));
	else
		assert_memory_equal(&back.sale, &m->sale, sizeof(m->sale));
}

static void
test_round_trip(void **state)
{
	(void)state;
	assert_round_trip(&order);
	assert_round_trip(&sale);
}

/* The longest of everything, with every character escaped, still fits. */
static void
test_largest_fits(void **state)
{
	struct message m = order;

	(void)state;
	memset(m.order.user_id, '"', USER_MAX);
	memset(m.order.request_key, '\\', REQUEST_KEY_MAX);
	memset(m.order.sku, 'x', SKU_MAX);
	m.order.total = UNITS_MAX;
	m.order.quantity = QUANTITY_MAX;
	assert_round_trip(&m);
	m = sale;
	memset(m.sale.name, '"', NAME_MAX_BYTES);
	assert_round_trip(&m);
}

static void
test_small_buffer_is_an_error(void **state)
{
	char text[64];
	size_t len;

	(void)state;
	assert_int_equal(
	    message_encode(&order, text, sizeof(text), &len), ERR_NOMEM);
}

/* Replace a part of a good message and say which field must be blamed. */
static void
assert_blames(const char *from, const char *to, const char *field)
{
	char text[MESSAGE_MAX + 1], bad[MESSAGE_MAX + 200], why[200];
	struct message m;
	size_t len;
	const char *at;

	assert_int_equal(
	    message_encode(&order, text, sizeof(text), &len), ERR_OK);
	at = strstr(text, from);
	assert_non_null(at);
	snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at - text), text, to,
	    at + strlen(from));
	assert_int_equal(message_decode(bad, strlen(bad), &m, why, sizeof(why)),
	    ERR_BAD_INPUT);
	if (strncmp(why, field, strlen(field)) != 0)
		fail_msg("\"%s\" does not blame %s", why, field);
}

static void
test_bad_fields_are_named(void **state)
{
	(void)state;
	assert_blames("\"v\":1", "\"v\":2", "v:");
	assert_blames("\"v\":1,", "", "v:");
	assert_blames("\"type\":\"order\"", "\"type\":\"gift\"", "type:");
	assert_blames("0192f0c0-1111", "0192F0C0-1111", "orderId:");
	assert_blames("0192f0c0-1111", "0192f0c0-11", "orderId:");
	assert_blames("iphone_16", "iphone{16}", "sku:");
	assert_blames("iphone_16", "", "sku:");
	assert_blames("iphone_16", "..", "sku:");
	assert_blames("\"quantity\":2", "\"quantity\":0", "quantity:");
	assert_blames("\"quantity\":2", "\"quantity\":1001", "quantity:");
	assert_blames("\"quantity\":2", "\"quantity\":2.0", "quantity:");
	assert_blames("\"quantity\":2", "\"quantity\":\"2\"", "quantity:");
	assert_blames("\"total\":100", "\"total\":-1", "total:");
	assert_blames("\"revision\":3", "\"revision\":0", "revision:");
	assert_blames("USD", "usd", "currency:");
	assert_blames("key-1", "key 1", "requestKey:");
	assert_blames("u1", "u\\n1", "userId:");
	assert_blames("u1", "u\\u00e9", "userId:");
	assert_blames("\"reservedAt\":1795353362988", "\"x\":1", "reservedAt:");
}

static void
test_not_an_object(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "null", "\"order\"",
	    "{}x", "{\"v\":1,\"v\":1}", "{\"v\":99999999999999999999}",
	    "\xff\xfe"};
	struct message m;
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(message_decode(bad[i], strlen(bad[i]), &m, why,
				     sizeof(why)),
		    ERR_BAD_INPUT);
}

static void
test_too_large(void **state)
{
	static char text[MESSAGE_MAX + 2];
	struct message m;
	char why[200];

	(void)state;
	memset(text, ' ', sizeof(text));
	assert_int_equal(
	    message_decode(text, MESSAGE_MAX + 1, &m, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "larger"));
}

static void
test_names(void **state)
{
	(void)state;
	assert_true(sale_name_is_valid("é", 2));
	assert_true(sale_name_is_valid("\xc2\xa0", 2)); /* U+00A0 */
	assert_false(sale_name_is_valid("\xc2\x9b"
					"31m",
	    5)); /* U+009B: a terminal's escape */
	assert_false(sale_name_is_valid("", 0));
	assert_false(sale_name_is_valid("a\tb", 3));
	assert_false(sale_name_is_valid("a\xff"
					"b",
	    3));					      /* Latin-1 */
	assert_false(sale_name_is_valid("a\xef\xbf\xbe", 4)); /* U+FFFE */
	assert_true(sale_name_is_valid("a\xef\xbf\xbd", 4));  /* U+FFFD */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_largest_fits),
	    cmocka_unit_test(test_small_buffer_is_an_error),
	    cmocka_unit_test(test_bad_fields_are_named),
	    cmocka_unit_test(test_not_an_object),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
