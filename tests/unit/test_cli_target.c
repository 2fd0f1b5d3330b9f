/* URLs that an attack may go to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/target.h"

static void
assert_target(
    const char *url, const char *host, const char *port, const char *prefix)
{
	struct target t;
	char why[400];

	assert_int_equal(target_parse(url, &t, why, sizeof(why)), ERR_OK);
	assert_string_equal(t.host, host);
	assert_string_equal(t.port, port);
	assert_string_equal(t.prefix, prefix);
}

static void
test_good(void **state)
{
	(void)state;
	assert_target("http://shop.example", "shop.example", "80", "");
	assert_target("HTTP://shop.example/", "shop.example", "80", "");
	assert_target("http://127.0.0.1:8080", "127.0.0.1", "8080", "");
	assert_target("http://[::1]:8080/", "::1", "8080", "");
	assert_target("http://[::1]", "::1", "80", "");
	assert_target(
	    "http://shop.example/api/v1//", "shop.example", "80", "/api/v1");
}

static void
test_bad(void **state)
{
	static const char *const urls[] = {"", "http", "http://",
	    "https://shop.example", "ftp://shop.example", "http:///path",
	    "http://:80", "http://host:", "http://host:70000", "http://host:8o",
	    "http://host:80:80", "http://[::1", "http://[::1]x",
	    "http://user@host", "http://host/?q", "http://host/\r\nX: y",
	    "http://ho st"};
	struct target t;
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		if (target_parse(urls[i], &t, why, sizeof(why)) == ERR_OK)
			fail_msg("taken for a target: \"%s\"", urls[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
