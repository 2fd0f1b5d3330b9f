/*
 * What lib/sale.c makes of data that somebody has damaged, against a real
 * redis-server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "eventually.h"
#include "log.h"
#include "redis.h"
#include "redis_server.h"
#include "sale.h"

static struct {
	struct redis_server server;
	struct ev_loop *loop;
	struct redis *redis;
	bool done;
	char listed[256]; /* "one two " */
} t;

static int
set_up(void **state)
{
	static ev_timer tick;
	char why[128];

	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	eventually_start_tick(t.loop, &tick);
	redis_server_new(&t.server);
	assert_int_equal(
	    redis_new(&t.redis, t.loop, t.server.url, 10000, why, sizeof(why)),
	    ERR_OK);
	EVENTUALLY(t.loop, redis_is_ready(t.redis));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	redis_free(t.redis);
	ev_loop_destroy(t.loop);
	redis_server_free(&t.server);
	return 0;
}

static void
on_done(enum err err, const struct redis_value *v, void *arg)
{
	(void)v;
	(void)arg;
	assert_int_equal(err, ERR_OK);
	t.done = true;
}

/* Until the command before has its answer. */
#define AWAIT()                             \
	do {                                \
		EVENTUALLY(t.loop, t.done); \
		t.done = false;             \
	} while (0)

/* --- The list --- */

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	(void)arg;
	assert_int_equal(err, ERR_OK);
	for (size_t i = 0; i < n; i++) {
		assert_true(sku_is_valid(skus[i], strlen(skus[i])));
		snprintf(t.listed + strlen(t.listed),
		    sizeof(t.listed) - strlen(t.listed), "%s ", skus[i]);
	}
	t.done = true;
}

static void
test_a_listed_name_that_is_no_sku_is_passed_over(void **state)
{
	char longer[SKU_MAX + 2] = "", longest[4001] = "";

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	memset(longest, 'b', sizeof(longest) - 1);
	redis_call(t.redis, on_done, NULL, "SADD", "fs:sales", "bike", longer,
	    longest, "../../../../pwned", "a b", "", "anvil", NULL);
	AWAIT();
	sale_list(t.redis, on_list, NULL);
	AWAIT();
	assert_string_equal(t.listed, "anvil bike ");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_a_listed_name_that_is_no_sku_is_passed_over),
	};

	log_init("test_sale", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests_name("sale", tests, NULL, NULL);
}
