/* Text put together piece by piece. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

static void
test_pieces(void **state)
{
	char buf[32];
	struct text t;

	(void)state;
	text_begin(&t, buf, sizeof(buf));
	assert_string_equal(buf, "");
	text_add(&t, "n=");
	text_add_number(&t, -17);
	text_add(&t, "");
	text_add(&t, ";");
	assert_string_equal(buf, "n=-17;");
	assert_int_equal(text_len(&t), 6);
}

static void
test_members(void **state)
{
	char buf[64];
	struct text t;

	(void)state;
	text_begin(&t, buf, sizeof(buf));
	text_add_member(&t, "sku", "bike");
	text_add_number_member(&t, "remaining", 0);
	assert_string_equal(buf, ",\"sku\":\"bike\",\"remaining\":0");
}

static void
test_what_does_not_fit_is_left_out(void **state)
{
	char buf[8];
	struct text t;

	(void)state;
	memset(buf, 'x', sizeof(buf));
	text_begin(&t, buf, 5);
	text_add(&t, "abc");
	text_add_number(&t, 12345);
	text_add(&t, "d");
	assert_string_equal(buf, "abc1");
	assert_int_equal(text_len(&t), 4);
	assert_memory_equal(buf + 5, "xxx", 3);
}

static void
test_numbers(void **state)
{
	static const int64_t numbers[] = {
	    0, 9, 10, -1, 1234567890123, INT64_MAX, INT64_MIN};
	char buf[32], expected[32];
	struct text t;

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		text_begin(&t, buf, sizeof(buf));
		text_add_number(&t, numbers[i]);
		snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
		assert_string_equal(buf, expected);
	}
	*text_put_digits(buf, UINT64_MAX) = '\0';
	assert_string_equal(buf, "18446744073709551615");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_what_does_not_fit_is_left_out),
	    cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
