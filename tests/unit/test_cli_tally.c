/* Counting outcomes and exact percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "../../cli/tally.h"

static void
add(struct tally *t, int status, const char *body, uint32_t microseconds)
{
	tally_answer(t, status, body, strlen(body), microseconds);
}

static void
test_kinds(void **state)
{
	struct tally t;

	(void)state;
	assert_int_equal(tally_init(&t, 100), ERR_OK);
	add(&t, 202, "{\"status\":\"queued\"}", 1);
	add(&t, 202, "{\"status\":\"reserved\"}", 1);
	add(&t, 409, "{\"code\":\"sold_out\"}", 1);
	add(&t, 409, "{\"code\":\"limit_reached\"}", 1);
	add(&t, 409, "{\"code\":\"not_open\"}", 1);
	add(&t, 409, "{\"code\":\"closed\"}", 1);
	add(&t, 409, "{\"code\":\"paused\"}", 1);
	add(&t, 409, "{\"code\":\"invented\"}", 1);
	add(&t, 409, "<html>", 1);
	add(&t, 200, "{\"code\":\"sold_out\"}", 1);
	add(&t, 404, "{\"code\":\"no_such_sale\"}", 1);
	add(&t, 503, "{\"code\":\"unavailable\"}", 1);
	tally_failure(&t, "connect: refused");
	assert_int_equal(tally_count(&t, OUTCOME_ACCEPTED), 2);
	assert_int_equal(tally_count(&t, OUTCOME_REFUSED), 5);
	assert_int_equal(tally_count(&t, OUTCOME_FAILED), 6);
	assert_int_equal(t.answers, 12);
	tally_free(&t);
}

/* The shortcut for equal bodies must not mix up statuses. */
static void
test_repeated(void **state)
{
	const char *body = "{\"code\":\"sold_out\",\"status\":\"queued\"}";
	struct tally t;

	(void)state;
	assert_int_equal(tally_init(&t, 100), ERR_OK);
	for (int i = 0; i < 10; i++) {
		add(&t, 409, body, 1);
		add(&t, 409, body, 1);
		add(&t, 202, body, 1);
		add(&t, 409, "{\"code\":\"paused\"}", 1);
	}
	tally_sort(&t);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.outcomes[0].code, "queued");
	assert_int_equal(t.outcomes[0].count, 10);
	assert_string_equal(t.outcomes[1].code, "sold_out");
	assert_int_equal(t.outcomes[1].count, 20);
	assert_int_equal(t.outcomes[2].count, 10);
	tally_free(&t);
}

/* What a server says is not printed as it is. */
static void
test_hostile_code(void **state)
{
	struct tally t;

	(void)state;
	assert_int_equal(tally_init(&t, 10), ERR_OK);
	add(&t, 409, "{\"code\":\"\\u001b[2J\"}", 1);
	add(&t, 409, "{\"code\":7}", 1);
	add(&t, 409, "[1]", 1);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.outcomes[0].code, "-");
	tally_free(&t);
}

static void
test_many_outcomes(void **state)
{
	struct tally t;
	char why[32];

	(void)state;
	assert_int_equal(tally_init(&t, 10), ERR_OK);
	for (int i = 0; i < TALLY_OUTCOMES_MAX * 2; i++) {
		snprintf(why, sizeof(why), "reason %d", i);
		tally_failure(&t, why);
	}
	assert_int_equal(t.n, TALLY_OUTCOMES_MAX);
	assert_int_equal(
	    tally_count(&t, OUTCOME_FAILED), TALLY_OUTCOMES_MAX * 2);
	tally_sort(&t);
	assert_string_equal(t.outcomes[0].code, "other");
	tally_free(&t);
}

static void
test_percentiles(void **state)
{
	struct tally t;

	(void)state;
	assert_int_equal(tally_init(&t, 1000), ERR_OK);
	assert_int_equal(tally_percentile(&t, 0.5), 0);
	for (uint32_t i = 0; i < 1000; i++) /* 1..1000, shuffled */
		add(&t, 409, "{}", i * 7 % 1000 + 1);
	tally_sort(&t);
	assert_int_equal(tally_percentile(&t, 0), 1);
	assert_int_equal(tally_percentile(&t, 0.5), 500);
	assert_int_equal(tally_percentile(&t, 0.9), 900);
	assert_int_equal(tally_percentile(&t, 0.99), 990);
	assert_int_equal(tally_percentile(&t, 0.999), 999);
	assert_int_equal(tally_percentile(&t, 1), 1000);
	tally_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_repeated),
	    cmocka_unit_test(test_hostile_code),
	    cmocka_unit_test(test_many_outcomes),
	    cmocka_unit_test(test_percentiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
