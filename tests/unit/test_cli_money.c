/* Amounts of money as the operator writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/money.h"

static void
assert_minor(const char *text, const char *currency, int64_t expected)
{
	int64_t minor = -1;

	assert_int_equal(money_parse(text, currency, &minor), ERR_OK);
	assert_int_equal(minor, expected);
}

static void
test_parse(void **state)
{
	(void)state;
	assert_minor("0", "USD", 0);
	assert_minor("799", "USD", 79900);
	assert_minor("799.5", "USD", 79950);
	assert_minor("799.00", "EUR", 79900);
	assert_minor("0.01", "USD", 1);
	assert_minor("119800", "JPY", 119800);
	assert_minor("1.234", "KWD", 1234);
	assert_minor("1.2345", "CLF", 12345);
	assert_minor("999999999999.99", "USD", 99999999999999);
}

static void
test_nonsense(void **state)
{
	static const char *const texts[] = {"", "-1", "+1", " 1", "1 ", "1,00",
	    "1.", ".5", "1.234", "1e3", "0x1", "1000000000000.00",
	    "99999999999999999999999999", "1.00 USD"};
	int64_t minor;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (money_parse(texts[i], "USD", &minor) != ERR_BAD_INPUT)
			fail_msg("taken for dollars: \"%s\"", texts[i]);
	assert_int_equal(money_parse("1.5", "JPY", &minor), ERR_BAD_INPUT);
}

static void
test_format(void **state)
{
	char text[64];

	(void)state;
	money_format(79900, "USD", text, sizeof(text));
	assert_string_equal(text, "799.00 USD");
	money_format(5, "USD", text, sizeof(text));
	assert_string_equal(text, "0.05 USD");
	money_format(119800, "JPY", text, sizeof(text));
	assert_string_equal(text, "119800 JPY");
	money_format(1234, "KWD", text, sizeof(text));
	assert_string_equal(text, "1.234 KWD");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
