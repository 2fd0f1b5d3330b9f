/* UUIDv7: form, order, uniqueness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "uuid.h"

static void
test_form(void **state)
{
	char id[UUID_TEXT_SIZE];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uuid_v7(id);
		assert_true(uuid_is_valid(id, strlen(id)));
		assert_int_equal(id[14], '7');
		assert_non_null(strchr("89ab", id[19]));
	}
}

static void
test_carries_the_time(void **state)
{
	int64_t before = clock_wall_ms(), ms = 0;
	char id[UUID_TEXT_SIZE];
	uint8_t bytes[16];

	(void)state;
	uuid_v7(id);
	uuid_to_bytes(id, bytes);
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | bytes[i];
	assert_in_range(ms, before, clock_wall_ms());
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
test_distinct(void **state)
{
	static char ids[20000][UUID_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < 20000; i++)
		uuid_v7(ids[i]);
	qsort(ids, 20000, UUID_TEXT_SIZE, compare);
	for (size_t i = 1; i < 20000; i++)
		assert_string_not_equal(ids[i - 1], ids[i]);
}

static void
test_bytes_and_back(void **state)
{
	const char *id = "0192f0c0-1111-7222-8333-44445555abcd";
	char back[UUID_TEXT_SIZE];
	uint8_t bytes[16];

	(void)state;
	uuid_to_bytes(id, bytes);
	assert_int_equal(bytes[15], 0xcd);
	uuid_from_bytes(bytes, back);
	assert_string_equal(back, id);
}

static void
test_invalid(void **state)
{
	(void)state;
	assert_false(uuid_is_valid("", 0));
	assert_false(uuid_is_valid("0192f0c0-1111-7222-8333-44445555abc", 35));
	assert_false(uuid_is_valid("0192F0C0-1111-7222-8333-44445555ABCD", 36));
	assert_false(uuid_is_valid("0192f0c0x1111-7222-8333-44445555abcd", 36));
	assert_false(uuid_is_valid("0192f0c0-1111-7222-8333-44445555abcg", 36));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_carries_the_time),
	    cmocka_unit_test(test_distinct),
	    cmocka_unit_test(test_bytes_and_back),
	    cmocka_unit_test(test_invalid),
	};

	return cmocka_run_group_tests_name("uuid", tests, NULL, NULL);
}
