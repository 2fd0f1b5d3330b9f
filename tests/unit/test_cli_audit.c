/* What the books of a sale say, judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/audit.h"

#define ONE "01a203e4-6d69-7522-8ce2-ca40fe6d7921"
#define TWO "01a203e4-6d69-7522-8ce2-ca40fe6d7922"

/* A sale of 10 units, limit 2, nothing on its way. */
static struct audit
sale_of_ten(int64_t remaining, int64_t sold)
{
	struct audit a;

	audit_init(&a);
	a.sale.revision = 1;
	a.sale.total = 10;
	a.sale.limit = 2;
	a.remaining = remaining;
	a.has_book = a.mysql_defines = true;
	a.mysql_sale = a.sale;
	a.sold = sold;
	a.queue_is_empty = true;
	return a;
}

static struct order
order_of(const char *id, const char *user, int64_t quantity, const char *key)
{
	struct order order = {.quantity = quantity};

	snprintf(order.id, sizeof(order.id), "%s", id);
	snprintf(order.user_id, sizeof(order.user_id), "%s", user);
	snprintf(order.request_key, sizeof(order.request_key), "%s", key);
	return order;
}

static void
book(struct audit *a, const char *id, const char *user, int64_t quantity,
    const char *status)
{
	struct order order = order_of(id, user, quantity, "");

	audit_add_mysql(a, &order, status);
}

/* Judge, compare the kinds that were named with these, and free. */
static void
assert_named(struct audit *a, const char *expected)
{
	char named[256] = "";
	size_t i, len = 0;

	audit_close(a);
	audit_judge(a);
	for (i = 0; i < a->differences_n; i++)
		len += (size_t)snprintf(named + len, sizeof(named) - len,
		    "%s%s", i == 0 ? "" : " ",
		    difference_kind_name(a->differences[i].kind));
	assert_string_equal(named, expected);
	audit_free(a);
}

static void
test_an_empty_sale(void **state)
{
	struct audit a = sale_of_ten(10, 0);

	(void)state;
	assert_named(&a, "");
}

static void
test_one_order_everywhere(void **state)
{
	struct audit a = sale_of_ten(8, 2);
	struct order order = order_of(ONE, "ann", 2, "k");

	(void)state;
	audit_add_redis(&a, ONE, "confirmed", 2, "ann");
	audit_add_buyer(&a, "ann", 2);
	audit_add_request(&a, "ann k", ONE);
	audit_add_outbox(&a, &order);
	audit_add_mysql(&a, &order, "confirmed");
	assert_named(&a, "");
}

static void
test_moving_or_lost(void **state)
{
	(void)state;
	for (int empty = 0; empty < 2; empty++) {
		struct audit a = sale_of_ten(9, 0);

		a.queue_is_empty = empty;
		audit_add_redis(&a, ONE, "queued", 1, "ann");
		audit_add_buyer(&a, "ann", 1);
		assert_named(&a, empty ? "lost" : "");
	}
}

/* It is needed to send the order once more. */
static void
test_the_key_of_a_lost_order(void **state)
{
	struct audit a = sale_of_ten(9, 0);

	(void)state;
	audit_add_redis(&a, ONE, "queued", 1, "ann");
	audit_add_buyer(&a, "ann", 1);
	audit_add_request(&a, "ann k", ONE);
	audit_close(&a);
	audit_judge(&a);
	assert_int_equal(a.differences_n, 1);
	assert_string_equal(a.differences[0].request_key, "k");
	audit_free(&a);
}

static void
test_moving_is_counted(void **state)
{
	struct audit a = sale_of_ten(8, 0);
	struct order order = order_of(TWO, "bob", 1, "");

	(void)state;
	a.queue_is_empty = false;
	audit_add_redis(&a, ONE, "queued", 1, "ann");
	audit_add_redis(&a, TWO, "reserved", 1, "bob");
	audit_add_outbox(&a, &order);
	audit_add_buyer(&a, "ann", 1);
	audit_add_buyer(&a, "bob", 1);
	audit_close(&a);
	audit_judge(&a);
	assert_int_equal(a.in_queue, 1);
	assert_int_equal(a.in_outbox, 1);
	assert_int_equal(a.live_units, 2);
	assert_int_equal(a.oldest_moving, 1795361631593);
	assert_int_equal(a.differences_n, 0);
	audit_free(&a);
}

static void
test_unknown_to_redis(void **state)
{
	struct audit a = sale_of_ten(9, 1);

	(void)state;
	book(&a, ONE, "ann", 1, "confirmed");
	audit_add_buyer(&a, "ann", 1);
	assert_named(&a, "unknown");
}

/* Rejected and unknown: nobody holds anything by it. */
static void
test_rejected_and_unknown(void **state)
{
	struct audit a = sale_of_ten(10, 0);

	(void)state;
	book(&a, ONE, "ann", 1, "rejected");
	assert_named(&a, "");
}

/* Its unit is that of the order which Redis forgot. */
static void
test_rejected_for_a_forgotten_one(void **state)
{
	struct audit a = sale_of_ten(9, 1);

	(void)state;
	audit_add_redis(&a, ONE, "rejected", 1, "ann");
	book(&a, ONE, "ann", 1, "rejected");
	book(&a, TWO, "bob", 1, "confirmed");
	audit_add_buyer(&a, "bob", 1);
	assert_named(&a, "unknown");
}

static void
test_rejected_and_its_unit_is_nowhere(void **state)
{
	struct audit a = sale_of_ten(9, 0);

	(void)state;
	audit_add_redis(&a, ONE, "rejected", 1, "ann");
	book(&a, ONE, "ann", 1, "rejected");
	assert_named(&a, "units");
}

/* The queue may still hold an order that Redis forgot. */
static void
test_missing_units_while_things_move(void **state)
{
	struct audit a = sale_of_ten(7, 0);

	(void)state;
	a.queue_is_empty = false;
	audit_close(&a);
	audit_judge(&a);
	assert_int_equal(a.differences_n, 0);
	assert_int_equal(a.unexplained_units, 3);
	audit_free(&a);
}

static void
test_too_many_units_are_never_right(void **state)
{
	struct audit a = sale_of_ten(11, 0);

	(void)state;
	a.queue_is_empty = false;
	assert_named(&a, "units");
}

static void
test_newer_than_what_was_read(void **state)
{
	struct audit a = sale_of_ten(10, 1);

	(void)state;
	book(&a, ONE, "ann", 1, "confirmed");
	audit_close(&a);
	assert_int_equal(audit_suspect(&a, &a.orders[0]), SUSPECT_REDIS);
	a.orders[0].is_newer = true;
	assert_named(&a, "");
}

static void
test_told_meanwhile(void **state)
{
	(void)state;
	for (int told = 0; told < 2; told++) {
		struct audit a = sale_of_ten(9, 1);

		audit_add_redis(&a, ONE, "queued", 1, "ann");
		audit_add_buyer(&a, "ann", 1);
		book(&a, ONE, "ann", 1, "confirmed");
		audit_close(&a);
		assert_true(audit_may_clear(&a, &a.orders[0]));
		if (told)
			a.orders[0].redis_now = ORDER_CONFIRMED;
		assert_named(&a, told ? "" : "status");
	}
}

static void
test_arrived_meanwhile(void **state)
{
	struct audit a = sale_of_ten(9, 0);

	(void)state;
	audit_add_redis(&a, ONE, "confirmed", 1, "ann");
	audit_add_buyer(&a, "ann", 1);
	audit_close(&a);
	assert_int_equal(audit_suspect(&a, &a.orders[0]), SUSPECT_MYSQL);
	book(&a, ONE, "ann", 1, "confirmed");
	a.sold = 1;
	assert_named(&a, "");
}

static void
test_parked(void **state)
{
	(void)state;
	for (int given_back = 0; given_back < 2; given_back++) {
		struct audit a = sale_of_ten(given_back ? 10 : 9, 0);
		struct order order = order_of(ONE, "ann", 1, "");

		audit_add_redis(
		    &a, ONE, given_back ? "rejected" : "queued", 1, "ann");
		if (!given_back)
			audit_add_buyer(&a, "ann", 1);
		audit_add_parked(&a, &order);
		assert_named(&a, given_back ? "" : "dead");
	}
}

/* Its units were given back after Redis was read. */
static void
test_parked_meanwhile(void **state)
{
	struct audit a = sale_of_ten(9, 0);
	struct order order = order_of(ONE, "ann", 1, "");

	(void)state;
	audit_add_redis(&a, ONE, "queued", 1, "ann");
	audit_add_buyer(&a, "ann", 1);
	audit_add_parked(&a, &order);
	audit_close(&a);
	assert_int_equal(audit_suspect(&a, &a.orders[0]), SUSPECT_REDIS);
	a.orders[0].redis_now = ORDER_REJECTED;
	assert_named(&a, "");
}

static void
test_buyers(void **state)
{
	struct audit a = sale_of_ten(7, 3);

	(void)state;
	audit_add_redis(&a, ONE, "confirmed", 2, "ann");
	audit_add_redis(&a, TWO, "confirmed", 1, "ann");
	audit_add_buyer(&a, "ann", 2);
	audit_add_buyer(&a, "eve", 1);
	book(&a, ONE, "ann", 2, "confirmed");
	book(&a, TWO, "ann", 1, "confirmed");
	assert_named(&a, "buyer limit buyer");
}

static void
test_requests(void **state)
{
	struct audit a = sale_of_ten(8, 2);
	struct order one = order_of(ONE, "ann", 1, "k");
	struct order two = order_of(TWO, "ann", 1, "k");

	(void)state;
	audit_add_redis(&a, ONE, "confirmed", 1, "ann");
	audit_add_redis(&a, TWO, "confirmed", 1, "ann");
	audit_add_buyer(&a, "ann", 2);
	audit_add_mysql(&a, &one, "confirmed");
	audit_add_mysql(&a, &two, "confirmed");
	audit_add_request(&a, "eve k", "01a203e4-6d69-7522-8ce2-ca40fe6d7923");
	assert_named(&a, "request key_twice dangling");
}

/* What is booked counts: the sums are held against MySQL's quantity. */
static void
test_content(void **state)
{
	struct audit a = sale_of_ten(8, 2);

	(void)state;
	audit_add_redis(&a, ONE, "confirmed", 1, "ann");
	audit_add_buyer(&a, "ann", 2);
	book(&a, ONE, "ann", 2, "confirmed");
	assert_named(&a, "content");

	a = sale_of_ten(9, 2);
	audit_add_redis(&a, ONE, "confirmed", 1, "ann");
	audit_add_buyer(&a, "ann", 1);
	book(&a, ONE, "ann", 2, "confirmed");
	assert_named(&a, "content buyer units");
}

static void
test_sold_and_oversold(void **state)
{
	struct audit a = sale_of_ten(0, 10);

	(void)state;
	a.sale.limit = a.mysql_sale.limit = 0;
	audit_add_redis(&a, ONE, "confirmed", 11, "ann");
	audit_add_buyer(&a, "ann", 11);
	book(&a, ONE, "ann", 11, "confirmed");
	assert_named(&a, "units sold oversold");
}

/* Known from orders only, of an older revision, or not at all: unless it is
 * on its way. */
static void
test_the_definition_is_not_in_mysql(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++)
		for (int where = 0; where < 3; where++) {
			struct audit a = sale_of_ten(10, 0);

			a.has_book = how != 0;
			a.mysql_defines = how == 1;
			a.mysql_sale.revision = how == 1 ? 0 : 1;
			a.outbox_defines = where == 1;
			a.queue_is_empty = where != 2;
			assert_named(&a, where == 0 ? "undefined" : "");
		}
}

static void
test_other_terms(void **state)
{
	struct audit a = sale_of_ten(10, 0);

	(void)state;
	a.sale.limit = 3;
	a.sale.state = SALE_PAUSED;
	assert_named(&a, "terms terms");

	/* Of orders only their total is known. */
	a = sale_of_ten(10, 0);
	a.sale.limit = 3;
	a.mysql_defines = false;
	a.outbox_defines = true;
	assert_named(&a, "");

	a = sale_of_ten(10, 0);
	a.mysql_sale.revision = 2;
	a.mysql_sale.state = SALE_CLOSED;
	assert_named(&a, "terms");
}

/* Nothing above the lower of two totals is put on sale, or left there. */
static void
test_another_total(void **state)
{
	(void)state;
	for (int more = -2; more <= 2; more += 4)
		for (int remaining = 8; remaining <= 10; remaining += 2) {
			struct audit a = sale_of_ten(remaining, 0);
			int lower = more < 0 ? 8 : 10;

			a.sale.total = 10 + more;
			assert_named(
			    &a, remaining == lower ? "terms" : "units terms");
		}
}

static void
test_many(void **state)
{
	struct audit a = sale_of_ten(0, 0);
	char id[UUID_TEXT_SIZE], user[32];

	(void)state;
	a.sale.total = a.mysql_sale.total = 50000;
	for (int i = 50000; i > 0; i--) {
		snprintf(id, sizeof(id), "01a203e4-6d69-7522-8ce2-%012x",
		    (unsigned)i);
		snprintf(user, sizeof(user), "buyer-%d", i);
		audit_add_redis(&a, id, "confirmed", 1, user);
		audit_add_buyer(&a, user, 1);
		book(&a, id, user, 1, "confirmed");
	}
	a.sold = 50000;
	assert_named(&a, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_empty_sale),
	    cmocka_unit_test(test_one_order_everywhere),
	    cmocka_unit_test(test_moving_or_lost),
	    cmocka_unit_test(test_the_key_of_a_lost_order),
	    cmocka_unit_test(test_moving_is_counted),
	    cmocka_unit_test(test_unknown_to_redis),
	    cmocka_unit_test(test_rejected_and_unknown),
	    cmocka_unit_test(test_rejected_for_a_forgotten_one),
	    cmocka_unit_test(test_rejected_and_its_unit_is_nowhere),
	    cmocka_unit_test(test_missing_units_while_things_move),
	    cmocka_unit_test(test_too_many_units_are_never_right),
	    cmocka_unit_test(test_newer_than_what_was_read),
	    cmocka_unit_test(test_told_meanwhile),
	    cmocka_unit_test(test_arrived_meanwhile),
	    cmocka_unit_test(test_parked),
	    cmocka_unit_test(test_parked_meanwhile),
	    cmocka_unit_test(test_buyers),
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_sold_and_oversold),
	    cmocka_unit_test(test_the_definition_is_not_in_mysql),
	    cmocka_unit_test(test_other_terms),
	    cmocka_unit_test(test_another_total),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
