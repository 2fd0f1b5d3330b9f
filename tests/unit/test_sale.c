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
	bool done, is_damaged;
	enum err err;
	char listed[256]; /* "one two " */
} t;

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.redis = redis_server_connect(&t.server, t.loop, 10000);
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

/* --- The hash --- */

#define ID "01890000-0000-7000-8000-000000000001"

/* As lua/open.lua writes it; in two commands, for one has 16 words. */
static void
add_sale(void)
{
	redis_call(t.redis, on_done, NULL, "HSET", "fs:{bike}:sale", "sale_id",
	    ID, "revision", "1", "name", "A bike", "total", "10", "limit", "2",
	    "opens_at", "0", NULL);
	AWAIT();
	redis_call(t.redis, on_done, NULL, "HSET", "fs:{bike}:sale",
	    "closes_at", "0", "price", "100", "currency", "EUR", "created_at",
	    "1", "state", "open", "remaining", "7", NULL);
	AWAIT();
	redis_call(t.redis, on_done, NULL, "SET", "fs:epoch",
	    redis_run_id(t.redis), NULL);
	AWAIT();
}

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	(void)arg;
	t.err = err;
	if (err == ERR_OK)
		assert_int_equal(view->remaining, 7);
	t.done = true;
}

static enum err
look(void)
{
	sale_look(t.redis, "bike", on_view, NULL);
	AWAIT();
	return t.err;
}

static void
test_a_sale_that_lacks_a_field_is_damaged_and_not_absent(void **state)
{
	static const char *const fields[] = {"sale_id", "revision", "name",
	    "total", "limit", "opens_at", "closes_at", "price", "currency",
	    "created_at", "state"};

	(void)state;
	add_sale();
	assert_int_equal(look(), ERR_OK);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		redis_call(t.redis, on_done, NULL, "HDEL", "fs:{bike}:sale",
		    fields[i], NULL);
		AWAIT();
		assert_int_equal(look(), ERR_REFUSED);
		add_sale();
	}
	redis_call(t.redis, on_done, NULL, "DEL", "fs:{bike}:sale", NULL);
	AWAIT();
	assert_int_equal(look(), ERR_NOT_FOUND);
}

static void
test_a_sale_that_cannot_be_read_is_damaged(void **state)
{
	static const char *const fields[] = {"sale_id", "revision", "total",
	    "limit", "opens_at", "closes_at", "price", "created_at", "state"};
	static const char *const values[] = {"rubbish", "-1", "1x", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		add_sale();
		redis_call(t.redis, on_done, NULL, "HSET", "fs:{bike}:sale",
		    fields[i], values[i % 4], NULL);
		AWAIT();
		assert_int_equal(look(), ERR_REFUSED);
	}
}

/* --- The outbox --- */

static void
on_outbox(enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	(void)arg;
	assert_int_equal(err, ERR_OK);
	assert_int_equal(n, 1);
	t.is_damaged = entries[0].is_damaged;
	t.done = true;
}

/* A definition of that state and limit. */
static bool
entry_is_damaged(const char *state, const char *units)
{
	static const char add[] =
	    "redis.call('DEL', KEYS[1]) "
	    "return redis.call('XADD', KEYS[1], '*', 'type', 'sale', "
	    "'sale_id', '" ID "', 'revision', 1, 'total', 10, 'name', 'x', "
	    "'limit', ARGV[2], 'opens_at', 0, 'closes_at', 0, 'price', 1, "
	    "'currency', 'EUR', 'created_at', 1, 'state', ARGV[1])";

	redis_call(t.redis, on_done, NULL, "EVAL", add, "1", "fs:{bike}:outbox",
	    state, units, NULL);
	AWAIT();
	sale_read_outbox(t.redis, "bike", "", on_outbox, NULL);
	AWAIT();
	return t.is_damaged;
}

static void
test_a_damaged_definition_opens_nothing(void **state)
{
	(void)state;
	assert_false(entry_is_damaged("closed", "2"));
	assert_true(entry_is_damaged("clsed", "2"));
	assert_true(entry_is_damaged("", "2"));
	assert_true(entry_is_damaged("open", "two"));
	assert_true(entry_is_damaged("open", ""));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_a_listed_name_that_is_no_sku_is_passed_over),
	    TEST(test_a_sale_that_lacks_a_field_is_damaged_and_not_absent),
	    TEST(test_a_sale_that_cannot_be_read_is_damaged),
	    TEST(test_a_damaged_definition_opens_nothing),
	};

	log_init("test_sale", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests_name("sale", tests, NULL, NULL);
}
