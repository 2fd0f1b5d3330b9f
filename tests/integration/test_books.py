"""The books of a sale: every unit is on sale or in one live order, and what
is not so is named and mended."""

import json

import pytest

from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("books")


# --- Orders that MySQL will never take ---

def own_messages(stack, order):
    """The bodies that SQS holds of this order, which stay there."""
    bodies = []
    for message in stack.queue.receive(wait=1):
        stack.queue.hand_back(message)
        if order in message["Body"]:
            bodies.append(message["Body"])
    return bodies


def status(stack, sku, order):
    return stack.web.order(sku, order)["status"]


def test_a_dead_order_gives_its_units_back_once(stack, new_sale):
    sku = new_sale(stock=5, limit=2)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            order = stack.web.buy(sku, user, 2, key="k").json["orderId"]
            body, = eventually(lambda: own_messages(stack, order))
            assert stack.web.stock(sku)["remaining"] == 3
        eventually(lambda: status(stack, sku, order) == "rejected")
        assert stack.web.stock(sku)["remaining"] == 5
        # Again by the queue, and by the dead letters.
        stack.queue.send(body)
        stack.dlq.send(body)
        eventually(lambda: len(stack.books.ask(
            "SELECT * FROM parked WHERE body LIKE %s", f"%{order}%")) == 3)
        eventually(lambda: stack.queue.depth() + stack.dlq.depth() == 0)
        assert stack.web.stock(sku)["remaining"] == 5
    # One order for a key, for ever; with another the buyer may try again.
    again = stack.web.buy(sku, user, 2, key="k")
    assert again.json["orderId"] == order
    assert again.json["status"] == "rejected"
    second = stack.web.buy(sku, user, 2, key="other").json["orderId"]
    stack.wait_settled(sku, [second])
    assert stack.web.stock(sku)["remaining"] == 3


def test_a_dead_order_that_is_booked_after_all(stack, new_sale):
    """A person has mended MySQL and sends the parked message again."""
    sku = new_sale(stock=2)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        order = stack.web.buy(sku, user).json["orderId"]
        eventually(lambda: status(stack, sku, order) == "rejected")
        assert stack.web.stock(sku)["remaining"] == 2
    parked, = stack.books.ask(
        "SELECT body FROM parked WHERE body LIKE %s", f"%{order}%")
    stack.queue.send(parked["body"])
    stack.wait_settled(sku, [order])
    eventually(lambda: status(stack, sku, order) == "confirmed")
    assert stack.web.stock(sku)["remaining"] == 1
    assert_problem(stack.web.buy(sku, user), 409, "limit_reached")


def test_a_dead_order_of_the_sale_before(stack, new_sale):
    """Its units went with its sale."""
    sku = new_sale(stock=5)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            order = stack.web.buy(sku, user).json["orderId"]
            assert stack.web.reset(sku, 3).status == 200
        eventually(lambda: status(stack, sku, order) == "rejected")
        stays(lambda: stack.web.stock(sku)["remaining"] == 3, 0.5)

