"""Many at once: never oversell, never lose, one order a key."""

import pytest

from harness.crowd import accepted, count, rush

pytestmark = pytest.mark.stacks("nginx", "lighttpd", "queue-redis")

# The whole path, on every way of starting it, and with each signature checked.
EVERYWHERE = pytest.mark.stacks("nginx", "lighttpd", "nginx-spawn-fcgi",
                                "lighttpd-spawn-fcgi", "queue-redis",
                                "lighttpd-queue-redis", "sqs-faults")


@EVERYWHERE
def test_two_thousand_buyers_for_a_hundred_units(stack, new_sale):
    sku = new_sale(stock=100)
    outcomes = rush(stack.web, sku, [f"buyer-{n}" for n in range(2000)], 500)
    assert count(outcomes) == {"accepted": 100, "sold_out": 1900}
    orders = {o.body["orderId"]: o.user for o in accepted(outcomes)}
    assert len(orders) == 100
    stack.wait_settled(sku, orders)
    assert {row["id"]: row["user_id"] for row in stack.books.orders(sku)} \
        == orders
    assert stack.books.sales(sku)[0]["sold"] == 100
    assert sorted(o.body["remaining"] for o in accepted(outcomes)) \
        == list(range(100))


def test_the_limit_of_one_user(stack, new_sale):
    sku = new_sale(stock=1000, limit=2)
    outcomes = rush(stack.web, sku, ["alice"] * 200, 200)
    assert count(outcomes) == {"accepted": 2, "limit_reached": 198}
    stack.wait_settled(sku, [o.body["orderId"] for o in accepted(outcomes)])
    assert stack.web.stock(sku)["remaining"] == 998


def test_the_limit_counts_units(stack, new_sale):
    sku = new_sale(stock=1000, limit=5)
    outcomes = rush(stack.web, sku, ["alice"] * 100, 100, quantity=2)
    assert count(outcomes)["accepted"] == 2
    assert stack.web.buy(sku, "alice", 1).status == 202
    assert stack.web.stock(sku)["remaining"] == 995


def test_the_last_units_go_whatever_the_quantities(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    outcomes = rush(stack.web, sku, [f"u{n}" for n in range(100)], 100,
                    quantity=7)
    assert len(accepted(outcomes)) == 14
    assert stack.web.stock(sku)["remaining"] == 2
    last = stack.web.buy(sku, "last", 2)
    assert last.status == 202
    stack.wait_settled(sku, [last.json["orderId"], *(
        o.body["orderId"] for o in accepted(outcomes))])


def test_one_key_fifty_times_at_once_is_one_order(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    outcomes = rush(stack.web, sku, ["alice"] * 50, 50, key="again")
    assert {o.status for o in outcomes} == {202}
    order, = {o.body["orderId"] for o in outcomes}
    assert stack.web.stock(sku)["remaining"] == 99
    stack.wait_settled(sku, [order])


def test_everybody_presses_the_button_three_times(stack, new_sale):
    sku = new_sale(stock=50)
    users = [f"u{n % 100}" for n in range(300)]
    outcomes = rush(stack.web, sku, users, 150, key="press")
    orders = {o.user: o.body["orderId"] for o in accepted(outcomes)}
    assert len(orders) == len(set(orders.values())) == 50
    assert all(orders[o.user] == o.body["orderId"] for o in accepted(outcomes))
    stack.wait_settled(sku, orders.values())


def test_several_sales_at_once_do_not_mix(stack, new_sale):
    skus = [new_sale(stock=20) for _ in range(3)]
    results = [rush(stack.web, sku, [f"u{n}" for n in range(60)], 60)
               for sku in skus]
    for sku, outcomes in zip(skus, results):
        assert len(accepted(outcomes)) == 20
        stack.wait_settled(sku, [o.body["orderId"]
                                 for o in accepted(outcomes)])
