/* Percent-encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "percent.h"

static char out[8];

static bool
decode(const char *text)
{
	return percent_decode(text, text + strlen(text), out, sizeof(out));
}

static void
test_decoded(void **state)
{
	(void)state;
	assert_true(decode(""));
	assert_string_equal(out, "");
	assert_true(decode("a%40B%3a%3A"));
	assert_string_equal(out, "a@B::");
	assert_true(decode("caf%C3%A9"));
	assert_string_equal(out, "caf\xc3\xa9");
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
	    "%", "a%4", "%zz", "%4g", "%00", "%0a", "\n", "%7F", "12345678"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (decode(bad[i]))
			fail_msg("\"%s\" was accepted", bad[i]);
	assert_true(decode("1234567"));
}

/* An escape ends where the text does, though the memory goes on. */
static void
test_end_is_the_end(void **state)
{
	static const char text[] = "a%41";

	(void)state;
	assert_false(percent_decode(text, text + 3, out, sizeof(out)));
	assert_true(percent_decode(text, text + 1, out, sizeof(out)));
	assert_string_equal(out, "a");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decoded),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_end_is_the_end),
	};

	return cmocka_run_group_tests_name("percent", tests, NULL, NULL);
}
