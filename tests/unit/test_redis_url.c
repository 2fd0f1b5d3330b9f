/* Redis URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "redis_url.h"

static struct redis_address address;
static char why[256];

static enum err
parse(const char *url)
{
	return redis_url_parse(url, &address, why, sizeof(why));
}

static void
test_tcp(void **state)
{
	(void)state;
	assert_int_equal(parse("redis://example.org"), ERR_OK);
	assert_string_equal(address.host, "example.org");
	assert_int_equal(address.port, 6379);
	assert_int_equal(parse("redis://:p%40ss@10.0.0.1:7000/3"), ERR_OK);
	assert_string_equal(address.password, "p@ss");
	assert_string_equal(address.user, "");
	assert_int_equal(address.port, 7000);
	assert_int_equal(address.db, 3);
	assert_int_equal(parse("redis://me:secret@h/"), ERR_OK);
	assert_string_equal(address.user, "me");
	assert_int_equal(parse("redis://[::1]:6380/1"), ERR_OK);
	assert_string_equal(address.host, "::1");
	assert_int_equal(address.port, 6380);
	assert_int_equal(address.db, 1);
	assert_int_equal(parse("redis://[::1]"), ERR_OK);
	assert_string_equal(address.host, "::1");
}

static void
test_unix(void **state)
{
	(void)state;
	assert_int_equal(parse("/run/redis.sock"), ERR_OK);
	assert_string_equal(address.path, "/run/redis.sock");
	assert_int_equal(parse("unix:///run/redis.sock?db=2"), ERR_OK);
	assert_string_equal(address.path, "/run/redis.sock");
	assert_int_equal(address.db, 2);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"", "http://x", "redis://",
	    "redis://h:port", "redis://h:99999", "redis://h:0", "redis://h/x",
	    "redis://h?x=1", "redis://%zz@h", "redis://a:%4@h", "redis://[::1",
	    "unix://", "unix://relative", "unix:///s?db=x", "rediss://h",
	    "redis://u:p%00q@h", "redis://:pa@ss@h"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]) != ERR_BAD_INPUT)
			fail_msg("%s was accepted", bad[i]);
}

/* A refusal never repeats the password, however the URL is written. */
static void
test_password_is_not_told(void **state)
{
	static const char *const bad[] = {"redis://u:hunter2@h:x",
	    "redis://:hunter2@", "redis://:hunter2/@h", "redis://:a@hunter2@h",
	    "redis://:hunter2%@h", "http://:hunter2@h", "rediss://:hunter2@h"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i]), ERR_BAD_INPUT);
		assert_null(strstr(why, "hunter2"));
	}
}

/* Each part has its maximum; nothing is cut silently. */
static void
test_too_long(void **state)
{
	char url[2048];

	(void)state;
	memset(url, 'a', sizeof(url));
	url[0] = '/';
	url[108] = '\0';
	assert_int_equal(parse(url), ERR_BAD_INPUT);
	url[107] = '\0';
	assert_int_equal(parse(url), ERR_OK);
	memset(url, 'a', sizeof(url) - 1);
	memcpy(url, "redis://", 8);
	url[8 + 256] = '\0';
	assert_int_equal(parse(url), ERR_BAD_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tcp),
	    cmocka_unit_test(test_unix),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_password_is_not_told),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
