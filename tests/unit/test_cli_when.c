/* Times as the operator writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/when.h"

#define NOW INT64_C(1795353362988)

static int64_t
parsed(const char *text)
{
	int64_t ms = -1;

	assert_int_equal(when_parse(text, NOW, &ms), ERR_OK);
	return ms;
}

static void
test_relative(void **state)
{
	(void)state;
	assert_int_equal(parsed("now"), NOW);
	assert_int_equal(parsed("+0s"), NOW);
	assert_int_equal(parsed("+90s"), NOW + 90000);
	assert_int_equal(parsed("+5m"), NOW + 300000);
	assert_int_equal(parsed("+2h"), NOW + 7200000);
	assert_int_equal(parsed("+1d"), NOW + 86400000);
}

static void
test_rfc3339(void **state)
{
	(void)state;
	assert_int_equal(parsed("1970-01-01T00:00:00Z"), 0);
	assert_int_equal(parsed("2026-11-27T08:00:00Z"), 1795766400000);
	assert_int_equal(parsed("2026-11-27t08:00:00z"), 1795766400000);
	assert_int_equal(parsed("2026-11-27 08:00:00Z"), 1795766400000);
	assert_int_equal(parsed("2026-11-27T09:30:00+01:30"), 1795766400000);
	assert_int_equal(parsed("2026-11-27T00:00:00-08:00"), 1795766400000);
	assert_int_equal(parsed("2026-11-27T08:00:00.5Z"), 1795766400500);
	assert_int_equal(parsed("2026-11-27T08:00:00.1239Z"), 1795766400123);
	assert_int_equal(parsed("2028-02-29T00:00:00Z"), 1835395200000);
}

static void
test_nonsense(void **state)
{
	static const char *const texts[] = {"", "soon", "+", "+s", "+5", "+5w",
	    "+5mm", "+-5m", "+99999999999s", "+9999999999d", "1795353362988",
	    "2026-11-27", "2026-11-27T08:00:00", "2026-11-27T08:00Z",
	    "2026-02-30T08:00:00Z", "2027-02-29T08:00:00Z",
	    "2026-13-01T08:00:00Z", "2026-00-01T08:00:00Z",
	    "2026-11-27T24:00:00Z", "2026-11-27T08:60:00Z",
	    "2026-11-27T08:00:00+1:00", "2026-11-27T08:00:00+24:00",
	    "2026-11-27T08:00:00Zulu", "1969-12-31T23:59:59Z",
	    "1970-01-01T00:00:00+01:00", "2026-11-27T08:00:00+01:00 "};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (when_parse(texts[i], NOW, &ms) != ERR_BAD_INPUT)
			fail_msg("taken for a time: \"%s\"", texts[i]);
}

static void
test_format(void **state)
{
	char text[WHEN_SIZE];

	(void)state;
	when_format(1795766400999, text);
	assert_string_equal(text, "2026-11-27T08:00:00Z");
	when_format(0, text);
	assert_string_equal(text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_relative),
	    cmocka_unit_test(test_rfc3339),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
