/*
 * The Redis client against a real redis-server of its own: scripts that the
 * server has forgotten, a server that hangs, goes away and comes back.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "eventually.h"
#include "log.h"
#include "redis.h"
#include "redis_server.h"
#include "sale.h"

#define TIMEOUT_MS 300

static struct {
	struct redis_server server;
	struct ev_loop *loop;
	struct redis *redis;
	/* the last answer */
	unsigned answers;
	enum err err;
	char text[256];
	int64_t number;
} t;

static void
on_answer(enum err err, const struct redis_value *v, void *arg)
{
	(void)arg;
	t.answers++;
	t.err = err;
	t.number = redis_int(v);
	snprintf(t.text, sizeof(t.text), "%s", redis_text(v));
}

#define ASK(...)                                                         \
	do {                                                             \
		unsigned before = t.answers;                             \
		redis_call(t.redis, on_answer, NULL, __VA_ARGS__, NULL); \
		assert_int_equal(t.answers, before); /* never at once */ \
		EVENTUALLY(t.loop, t.answers == before + 1);             \
	} while (0)

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.redis = redis_server_connect(&t.server, t.loop, TIMEOUT_MS);
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
test_commands_and_errors(void **state)
{
	(void)state;
	ASK("SET", "k", "v 1");
	assert_int_equal(t.err, ERR_OK);
	ASK("GET", "k");
	assert_string_equal(t.text, "v 1");
	ASK("INCR", "k");
	assert_int_equal(t.err, ERR_REFUSED);
	assert_non_null(strstr(t.text, "not an integer"));
}

static void
eval_twice(void)
{
	static const char source[] =
	    "return redis.call('INCRBY', KEYS[1], ARGV[1])";
	static struct redis_script script = {.name = "test",
	    .source = source,
	    .source_end = source + sizeof(source) - 1};
	static const struct redis_argument args[] = {{"n", 1}, {"2", 1}};
	unsigned before = t.answers;

	redis_eval(t.redis, &script, 1, args, 2, on_answer, NULL);
	redis_eval(t.redis, &script, 1, args, 2, on_answer, NULL);
	EVENTUALLY(t.loop, t.answers == before + 2);
	assert_int_equal(t.err, ERR_OK);
}

/* Two calls, each counted once, whether or not the server knows the text. */
static void
test_forgotten_script(void **state)
{
	(void)state;
	eval_twice();
	assert_int_equal(t.number, 4);
	ASK("SCRIPT", "FLUSH");
	eval_twice();
	assert_int_equal(t.number, 8);
}

static void
test_hanging_server_is_a_timeout(void **state)
{
	(void)state;
	kill(t.server.pid, SIGSTOP);
	ASK("SET", "k", "1");
	assert_int_equal(t.err, ERR_TIMEOUT);
	assert_false(redis_is_ready(t.redis));
	ASK("SET", "k", "2"); /* not sent: nobody is kept waiting */
	assert_int_equal(t.err, ERR_UNAVAILABLE);
	kill(t.server.pid, SIGCONT);
	EVENTUALLY(t.loop, redis_is_ready(t.redis));
	ASK("PING");
	assert_int_equal(t.err, ERR_OK);
}

static void
on_heard(const char *message, void *arg)
{
	unsigned *begun = arg;

	if (message == NULL)
		(*begun)++;
}

/* A subscription that nobody confirms would be deaf for good. */
static void
test_a_hanging_server_is_subscribed_to_again(void **state)
{
	unsigned begun = 0;

	(void)state;
	kill(t.server.pid, SIGSTOP);
	redis_subscribe(t.redis, "channel", on_heard, &begun);
	EVENTUALLY(t.loop, !redis_is_ready(t.redis));
	assert_int_equal(begun, 0);
	kill(t.server.pid, SIGCONT);
	EVENTUALLY(t.loop, begun == 1);
	assert_true(redis_is_ready(t.redis));
}

static void
test_server_that_dies_and_returns(void **state)
{
	(void)state;
	kill(t.server.pid, SIGSTOP);
	redis_call(t.redis, on_answer, NULL, "SET", "k", "1", NULL);
	ev_run(t.loop, EVRUN_ONCE);
	redis_server_kill(&t.server);
	EVENTUALLY(t.loop, t.answers == 1);
	assert_int_equal(t.err, ERR_TIMEOUT); /* it may have happened */
	ASK("PING");
	assert_int_equal(t.err, ERR_UNAVAILABLE);
	redis_server_start(&t.server);
	EVENTUALLY(t.loop, redis_is_ready(t.redis));
	ASK("PING");
	assert_string_equal(t.text, "PONG");
}

static void
test_free_answers_what_waits(void **state)
{
	char why[128];

	(void)state;
	kill(t.server.pid, SIGSTOP);
	redis_call(t.redis, on_answer, NULL, "PING", NULL);
	redis_free(t.redis);
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.err, ERR_TIMEOUT);
	kill(t.server.pid, SIGCONT);
	assert_int_equal(redis_new(&t.redis, t.loop, t.server.url, TIMEOUT_MS,
			     why, sizeof(why)),
	    ERR_OK);
}

/* By another connection, as an operator would. */
static void
tell_server(const char *host, const char *port)
{
	struct redis_address address = {.host = "here"};
	struct redis *redis;
	unsigned before = t.answers;

	snprintf(address.path, sizeof(address.path), "%s", t.server.path);
	assert_int_equal(
	    redis_new_bare(&redis, t.loop, "test", &address, TIMEOUT_MS),
	    ERR_OK);
	EVENTUALLY(
	    t.loop, redis_is_ready(redis)); /* a replica too: it is bare */
	redis_call(redis, on_answer, NULL, "REPLICAOF", host, port, NULL);
	EVENTUALLY(t.loop, t.answers == before + 1);
	assert_int_equal(t.err, ERR_OK);
	redis_free(redis);
}

static void
test_a_replica_is_left_at_its_first_word(void **state)
{
	(void)state;
	tell_server("127.0.0.1", "1");
	ASK("SET", "k", "1");
	assert_int_equal(t.err, ERR_REFUSED);
	assert_ptr_equal(strstr(t.text, "READONLY"), t.text);
	assert_false(redis_is_ready(t.redis));
	ASK("GET", "k"); /* nor is it read from */
	assert_int_equal(t.err, ERR_UNAVAILABLE);
	tell_server("NO", "ONE");
	EVENTUALLY(t.loop, redis_is_ready(t.redis));
	ASK("SET", "k", "1");
	assert_int_equal(t.err, ERR_OK);
}

static void
test_a_replica_is_found_without_a_word(void **state)
{
	char before[64];

	(void)state;
	snprintf(before, sizeof(before), "%s", redis_run_id(t.redis));
	assert_int_equal(strlen(before), 40);
	tell_server("127.0.0.1", "1");
	EVENTUALLY(t.loop, !redis_is_ready(t.redis));
	tell_server("NO", "ONE");
	EVENTUALLY(t.loop, redis_is_ready(t.redis));
	/* It may have taken over somebody else's data meanwhile. */
	assert_int_equal(strlen(redis_run_id(t.redis)), 40);
	assert_string_not_equal(redis_run_id(t.redis), before);
}

static void
on_absence(enum err err, bool complete, void *arg)
{
	(void)arg;
	t.answers++;
	t.err = err;
	t.number = complete;
}

static bool
is_absent(const char *sku, const char *order_id)
{
	unsigned before = t.answers;

	sale_check_absence(t.redis, sku, order_id, on_absence, NULL);
	EVENTUALLY(t.loop, t.answers == before + 1);
	assert_int_equal(t.err, ERR_OK);
	return t.number != 0;
}

/* What was looked for in vain may have been rebuilt since: it is absent only
 * when it is so after everything was here. */
static void
test_absence(void **state)
{
	(void)state;
	ASK("SET", "fs:epoch", "of another Redis");
	assert_false(is_absent("x", NULL));
	ASK("SET", "fs:epoch", redis_run_id(t.redis));
	assert_true(is_absent("x", NULL));
	assert_true(is_absent("x", "o1"));
	ASK("HSET", "fs:{x}:sale", "sale_id", "s");
	ASK("HSET", "fs:{x}:orders", "o1", "queued 1 u");
	assert_false(is_absent("x", NULL));
	assert_false(is_absent("x", "o1"));
	assert_true(is_absent("x", "o2"));
	redis_server_kill(&t.server);
	unlink(t.server.path);
	EVENTUALLY(t.loop, !redis_is_ready(t.redis));
	sale_check_absence(t.redis, "x", NULL, on_absence, NULL);
	EVENTUALLY(t.loop, t.err != ERR_OK);
	redis_server_start(&t.server);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_commands_and_errors),
	    TEST(test_forgotten_script),
	    TEST(test_hanging_server_is_a_timeout),
	    TEST(test_a_hanging_server_is_subscribed_to_again),
	    TEST(test_server_that_dies_and_returns),
	    TEST(test_free_answers_what_waits),
	    TEST(test_a_replica_is_left_at_its_first_word),
	    TEST(test_a_replica_is_found_without_a_word),
	    TEST(test_absence),
	};

	log_init("test_redis", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
