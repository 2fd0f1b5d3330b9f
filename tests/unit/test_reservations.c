/*
 * Who waits for whom when reservations share calls, against a real
 * redis-server.  What the script decides is tested with the whole engine.
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
#include "reservations.h"

#define RUSH 250 /* buyers who ask again as soon as they are answered */

static struct {
	struct redis_server server;
	struct ev_loop *loop;
	struct redis *redis;
	struct reservations *reservations;
	bool rushing;
	unsigned waiting; /* of the rush */
	unsigned answers; /* to others */
	enum reserve_outcome outcome;
	unsigned done; /* commands of a test's own */
} t;

static void
on_done(enum err err, const struct redis_value *v, void *arg)
{
	(void)v;
	(void)arg;
	assert_int_equal(err, ERR_OK);
	t.done++;
}

/* As flashsale open writes it; in two commands, for one has 16 words. */
static void
add_sale(const char *sku, const char *state)
{
	char key[64];

	snprintf(key, sizeof(key), "fs:{%s}:sale", sku);
	t.done = 0;
	redis_call(t.redis, on_done, NULL, "HSET", key, "sale_id", "s",
	    "remaining", "1000000", "total", "1000000", "limit", "0",
	    "opens_at", "0", "closes_at", "0", NULL);
	redis_call(t.redis, on_done, NULL, "HSET", key, "revision", "1",
	    "price", "0", "currency", "USD", "state", state, "epoch",
	    redis_run_id(t.redis), NULL);
	EVENTUALLY(t.loop, t.done == 2);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.redis = redis_server_connect(&t.server, t.loop, 10000);
	t.reservations = reservations_new(t.loop, t.redis);
	assert_non_null(t.reservations);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	t.rushing = false;
	EVENTUALLY(t.loop, t.waiting == 0);
	reservations_free(t.reservations);
	redis_free(t.redis);
	ev_loop_destroy(t.loop);
	redis_server_free(&t.server);
	return 0;
}

static void
ask(const char *sku, reserve_fn *fn)
{
	struct order order = {.quantity = 1};

	snprintf(order.sku, sizeof(order.sku), "%s", sku);
	snprintf(order.id, sizeof(order.id), "order");
	snprintf(order.user_id, sizeof(order.user_id), "user");
	reservations_ask(t.reservations, &order, fn, NULL);
}

static void
on_answer(const struct reservation *r, void *arg)
{
	(void)arg;
	t.answers++;
	t.outcome = r->outcome;
}

static void
on_rush(const struct reservation *r, void *arg)
{
	(void)arg;
	assert_int_not_equal(r->outcome, RESERVE_UNAVAILABLE);
	t.waiting--;
	if (t.rushing) {
		t.waiting++;
		ask(r->order.sku, on_rush);
	}
}

static void
begin_rush(const char *sku)
{
	t.rushing = true;
	for (t.waiting = 0; t.waiting < RUSH; t.waiting++)
		ask(sku, on_rush);
}

/* A rush keeps full calls under way all the time. */
static void
test_a_lone_buyer_does_not_wait_for_the_end_of_a_rush(void **state)
{
	static const char *const states[] = {"closed", "open"};

	(void)state;
	add_sale("calm", "open");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		add_sale(states[i], states[i]);
		begin_rush(states[i]);
		t.answers = 0;
		ask("calm", on_answer);
		EVENTUALLY(t.loop, t.answers == 1);
		assert_int_equal(t.outcome, RESERVE_OK);
		t.rushing = false;
		EVENTUALLY(t.loop, t.waiting == 0);
	}
}

/* Asked in vain without names, then with names. */
static void
test_a_sale_that_sells_again(void **state)
{
	(void)state;
	add_sale("a", "paused");
	ask("a", on_answer);
	EVENTUALLY(t.loop, t.answers == 1);
	assert_int_equal(t.outcome, RESERVE_PAUSED);
	add_sale("a", "open");
	ask("a", on_answer);
	EVENTUALLY(t.loop, t.answers == 2);
	assert_int_equal(t.outcome, RESERVE_OK);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_a_lone_buyer_does_not_wait_for_the_end_of_a_rush),
	    TEST(test_a_sale_that_sells_again),
	};

	log_init("test_reservations", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests_name("reservations", tests, NULL, NULL);
}
