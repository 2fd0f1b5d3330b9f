/* MYSQL_URL in all its forms, and in some that it must not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "db.h"

static struct db_address
parse(const char *url)
{
	struct db_address address;
	char why[200] = "";

	assert_int_equal(db_parse_url(url, &address, why, sizeof(why)), ERR_OK);
	assert_string_equal(why, "");
	return address;
}

static void
refuse(const char *url, const char *because)
{
	struct db_address address;
	char why[200] = "";

	assert_int_equal(
	    db_parse_url(url, &address, why, sizeof(why)), ERR_BAD_INPUT);
	if (strstr(why, because) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", url, why, because);
	assert_null(strstr(why, "s3cret"));
}

static void
test_all_given(void **state)
{
	struct db_address a =
	    parse("mysql://shop:s3cret@db.example:3307/books");

	(void)state;
	assert_string_equal(a.user, "shop");
	assert_string_equal(a.password, "s3cret");
	assert_string_equal(a.host, "db.example");
	assert_int_equal(a.port, 3307);
	assert_string_equal(a.database, "books");
	assert_string_equal(a.socket, "");
	assert_false(a.tls);
}

static void
test_defaults(void **state)
{
	struct db_address a = parse("mysql://localhost/shop");

	(void)state;
	assert_string_equal(a.user, "");
	assert_string_equal(a.password, "");
	assert_int_equal(a.port, 3306);
}

static void
test_escapes(void **state)
{
	struct db_address a =
	    parse("mysql://us%40er:p%3a%2F%25@h/shop?socket=/run/my%20db");

	(void)state;
	assert_string_equal(a.user, "us@er");
	assert_string_equal(a.password, "p:/%");
	assert_string_equal(a.socket, "/run/my db");
}

static void
test_ipv6(void **state)
{
	struct db_address a = parse("mysql://u@[fd00::1]:3310/shop");

	(void)state;
	assert_string_equal(a.host, "fd00::1");
	assert_int_equal(a.port, 3310);
}

static void
test_options(void **state)
{
	struct db_address a =
	    parse("mysql://u:p@h/shop?ssl=required&ssl-ca=/etc/ca.pem");

	(void)state;
	assert_true(a.tls);
	assert_string_equal(a.tls_ca, "/etc/ca.pem");
	assert_false(parse("mysql://u:p@h/shop?ssl=off").tls);
}

static void
test_password_with_colon(void **state)
{
	(void)state;
	assert_string_equal(parse("mysql://u:a:b@h/shop").password, "a:b");
}

static void
test_refused(void **state)
{
	(void)state;
	refuse("", "must be mysql://");
	refuse("postgres://u:s3cret@h/shop", "must be mysql://");
	refuse("mysql://", "host");
	refuse("mysql:///shop", "host");
	refuse("mysql://u:s3cret@/shop", "host");
	refuse("mysql://u:s3cret@h", "database");
	refuse("mysql://u:s3cret@h/", "database");
	refuse("mysql://u:s3cret@h/sh`op", "database");
	refuse("mysql://u:s3cret@h:0/shop", "port");
	refuse("mysql://u:s3cret@h:65536/shop", "port");
	refuse("mysql://u:s3cret@h:99999999999999999999/shop", "port");
	refuse("mysql://u:s3cret@h:33x/shop", "port");
	refuse("mysql://u:s3cret@[fd00::1/shop", "host");
	refuse("mysql://u:s3cret@[::1]x/shop", "host");
	refuse("mysql://u:s3cret%@h/shop", "password");
	refuse("mysql://u:a@s3cret@h/shop", "password");
	refuse("mysql://u:a@/s3cret@h/shop", "host");
	refuse("mysql://u:s3cret%0g@h/shop", "password");
	refuse("mysql://u:s3cret%00@h/shop", "password");
	refuse("mysql://u%0a:s3cret@h/shop", "user");
	refuse("mysql://u:s3cret@h/shop?socket=my.sock", "socket");
	refuse("mysql://u:s3cret@h/shop?ssl=maybe", "ssl");
	refuse("mysql://u:s3cret@h/shop?ssl-ca=ca.pem", "ssl-ca");
	refuse("mysql://u:s3cret@h/shop?charset=latin1", "options");
	refuse("mysql://u:s3cret@h/shop?socket", "socket");
}

/* Fields that are one byte too long. */
static void
test_too_long(void **state)
{
	char url[1200];

	(void)state;
	snprintf(url, sizeof(url), "mysql://%0129d@h/shop", 0);
	refuse(url, "user");
	snprintf(url, sizeof(url), "mysql://u:%0257d@h/shop", 0);
	refuse(url, "password");
	snprintf(url, sizeof(url), "mysql://u@%0256d/shop", 0);
	refuse(url, "host");
	snprintf(url, sizeof(url), "mysql://u@h/%065d", 0);
	refuse(url, "database");
	snprintf(url, sizeof(url), "mysql://u@h/shop?socket=/%0107d", 0);
	refuse(url, "socket");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_given),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_password_with_colon),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
