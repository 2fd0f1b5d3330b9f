/* Redis URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "redis_url.h"

static struct redis_url parsed;
static char why[256];

static enum err
parse(const char *url)
{
	return redis_url_parse(url, &parsed, why, sizeof(why));
}

static void
test_tcp(void **state)
{
	(void)state;
	assert_int_equal(parse("redis://example.org"), ERR_OK);
	assert_string_equal(parsed.server.host, "example.org");
	assert_int_equal(parsed.server.port, 6379);
	assert_int_equal(parse("redis://:p%40ss@10.0.0.1:7000/3"), ERR_OK);
	assert_string_equal(parsed.server.password, "p@ss");
	assert_string_equal(parsed.server.user, "");
	assert_int_equal(parsed.server.port, 7000);
	assert_int_equal(parsed.server.db, 3);
	assert_int_equal(parse("redis://me:secret@h/"), ERR_OK);
	assert_string_equal(parsed.server.user, "me");
	assert_int_equal(parse("redis://[::1]:6380/1"), ERR_OK);
	assert_string_equal(parsed.server.host, "::1");
	assert_int_equal(parsed.server.port, 6380);
	assert_int_equal(parsed.server.db, 1);
	assert_int_equal(parse("redis://[::1]"), ERR_OK);
	assert_string_equal(parsed.server.host, "::1");
}

static void
test_unix(void **state)
{
	(void)state;
	assert_int_equal(parse("/run/redis.sock"), ERR_OK);
	assert_string_equal(parsed.server.path, "/run/redis.sock");
	assert_int_equal(parse("unix:///run/redis.sock?db=2"), ERR_OK);
	assert_string_equal(parsed.server.path, "/run/redis.sock");
	assert_int_equal(parsed.server.db, 2);
}

static void
test_sentinel(void **state)
{
	(void)state;
	assert_int_equal(
	    parse("redis+sentinel://a,b:7000,[::1]:7001/mymaster/3"), ERR_OK);
	assert_int_equal(parsed.sentinels_n, 3);
	assert_string_equal(parsed.sentinels[0].host, "a");
	assert_int_equal(parsed.sentinels[0].port, 26379);
	assert_string_equal(parsed.sentinels[1].host, "b");
	assert_int_equal(parsed.sentinels[1].port, 7000);
	assert_string_equal(parsed.sentinels[2].host, "::1");
	assert_int_equal(parsed.sentinels[2].port, 7001);
	assert_string_equal(parsed.master, "mymaster");
	assert_string_equal(parsed.server.host, "");
	assert_int_equal(parsed.server.db, 3);
	assert_int_equal(parse("redis+sentinel://a/x/"), ERR_OK);
	assert_int_equal(parsed.server.db, 0);
	assert_int_equal(parse("redis://a"), ERR_OK);
	assert_string_equal(parsed.master, "");
}

/* The master's password and the Sentinels' are two things. */
static void
test_sentinel_logins(void **state)
{
	(void)state;
	assert_int_equal(parse("redis+sentinel://me:p%2Fw@a,b/x"
			       "?sentinel_user=you&sentinel_password=q%26%40"),
	    ERR_OK);
	assert_string_equal(parsed.server.user, "me");
	assert_string_equal(parsed.server.password, "p/w");
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(parsed.sentinels[i].user, "you");
		assert_string_equal(parsed.sentinels[i].password, "q&@");
	}
	assert_int_equal(
	    parse("redis+sentinel://a/x?sentinel_password=q"), ERR_OK);
	assert_string_equal(parsed.server.password, "");
	assert_string_equal(parsed.sentinels[0].user, "");
	assert_string_equal(parsed.sentinels[0].password, "q");
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"redis+sentinel://a",
	    "redis+sentinel://a/", "redis+sentinel:///x",
	    "redis+sentinel://a,/x", "redis+sentinel://,a/x",
	    "redis+sentinel://a:0/x", "redis+sentinel://a:x/x",
	    "redis+sentinel://a/x/y", "redis+sentinel://a/x?db=1",
	    "redis+sentinel://a/x?sentinel_user",
	    "redis+sentinel://a?sentinel_user=x",
	    "redis+sentinel://a/x?sentinel_password=%0",
	    "redis+sentinel://1,2,3,4,5,6,7,8,9,10/x", "", "http://x",
	    "redis://", "redis://h:port", "redis://h:99999", "redis://h:0",
	    "redis://h/x", "redis://h?x=1", "redis://%zz@h", "redis://a:%4@h",
	    "redis://[::1", "unix://", "unix://relative", "unix:///s?db=x",
	    "rediss://h", "redis://u:p%00q@h", "redis://:pa@ss@h"};

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
	    "redis://:hunter2%@h", "http://:hunter2@h", "rediss://:hunter2@h",
	    "redis+sentinel://:hunter2@a@b/x", "redis+sentinel://:hunter2@a",
	    "redis+sentinel://a/x?sentinel_password=hunter2%",
	    "redis+sentinel://a/x?sentinel_passwort=hunter2"};

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
	    cmocka_unit_test(test_sentinel),
	    cmocka_unit_test(test_sentinel_logins),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_password_is_not_told),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
