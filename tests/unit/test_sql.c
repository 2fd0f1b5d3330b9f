/* SQL text: what comes from outside never gets out of its literal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sql.h"

static void
test_pieces(void **state)
{
	struct sql sql = {0};

	(void)state;
	sql_add(&sql, "SELECT %d, ", 42);
	sql_add_text(&sql, "a'b\\");
	sql_add(&sql, ", ");
	sql_add_text(&sql, "");
	sql_add(&sql, ", ");
	sql_add_bytes(&sql, "\0\xff", 2);
	sql_add(&sql, ", ");
	sql_add_uuid(&sql, "01992e5c-0000-7000-8000-0123456789ab");
	assert_string_equal(sql.text,
	    "SELECT 42, _utf8mb4 x'6127625c', _utf8mb4 x'', x'00ff', "
	    "x'01992e5c0000700080000123456789ab'");
	assert_int_equal(sql.len, strlen(sql.text));
	assert_false(sql.overflow);
	sql_clear(&sql);
	sql_add(&sql, "COMMIT");
	assert_string_equal(sql.text, "COMMIT");
	sql_free(&sql);
}

static void
expect_time(int64_t ms, const char *expected)
{
	struct sql sql = {0};

	sql_add_time(&sql, ms);
	assert_string_equal(sql.text, expected);
	sql_free(&sql);
}

static void
test_time(void **state)
{
	(void)state;
	expect_time(0, "NULL");
	expect_time(-1, "NULL");
	expect_time(1, "'1970-01-01 00:00:00.001'");
	expect_time(1795353362988, "'2026-11-22 13:16:02.988'");
	expect_time(INT64_MAX, "'292278994-08-17 07:12:55.807'");
}

/* It grows as long as it may, and then refuses the whole statement. */
static void
test_overflow(void **state)
{
	static char megabyte[1 << 20];
	struct sql sql = {0};
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		sql_add_bytes(&sql, megabyte, sizeof(megabyte));
	assert_false(sql.overflow);
	assert_int_equal(sql.len, 3 * (2 * sizeof(megabyte) + 3));
	sql_add_bytes(&sql, megabyte, sizeof(megabyte));
	assert_true(sql.overflow);
	sql_add(&sql, "short");
	assert_true(sql.overflow);
	assert_true(sql.len < SQL_TEXT_MAX);
	sql_clear(&sql);
	assert_false(sql.overflow);
	sql_free(&sql);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
