"""What arrives at the worker: twice, late, damaged, or too much."""

import json
import signal
import time
import uuid

import pytest

from harness import processes
from harness.wait import eventually

pytestmark = pytest.mark.stacks("processes")


def order_message(**fields):
    """As docs/messages.md has it, of a sale that only exists here."""
    return {"v": 1, "type": "order", "orderId": str(uuid.uuid4()),
            "saleId": str(uuid.uuid4()), "revision": 1, "sku": "by-hand",
            "total": 10, "userId": "alice", "quantity": 1, "priceMinor": 0,
            "currency": "USD", "requestKey": "",
            "reservedAt": int(time.time() * 1000), **fields}


def wait_status(stack, sku, **expected):
    """Wait for so many orders in each status; nothing is left over."""
    eventually(lambda: {
        status: len(stack.books.orders(sku, status)) for status in expected}
        == expected, what=f"{expected} of {sku}")
    eventually(lambda: stack.queue.depth() == 0, what="empty queue")
    eventually(lambda: stack.dlq.depth() == 0, what="no dead letters")


def test_a_definition_is_sent_at_once(stack, new_sku):
    """No responder sends what the CLI has written; the keeper does not wait
    for OUTBOX_AGE_MS, 5 s here, while Redis alone would know it."""
    def at_once():
        sku, began = new_sku(), time.monotonic()
        assert stack.cli("open", sku, "--stock", 1).returncode == 0
        eventually(lambda: stack.books.sales(sku))
        return time.monotonic() - began < 5
    # Who waits for it takes longer than that each time.
    eventually(at_once, 60)


def test_delivered_again(stack, new_sale):
    """A copy of a message, byte for byte, before and after the first one."""
    sku = new_sale()
    with stack.without("worker"):
        order = stack.web.buy(sku, "alice").json["orderId"]
        found = []

        def own_message():
            for message in stack.queue.receive(wait=1):
                stack.queue.hand_back(message)
                if order in message["Body"]:
                    found.append(message["Body"])
            return found
        body = eventually(own_message, what="the order's message")[0]
        for _ in range(3):
            stack.queue.send(body)
    stack.wait_settled(sku, [order])
    stack.queue.send(body)
    eventually(lambda: stack.queue.depth() == 0)
    stack.wait_settled(sku, [order])
    assert stack.books.sales(sku)[0]["sold"] == 1


def test_an_order_before_its_sale(stack, new_sku):
    """A message is a complete fact: the sale's own may come later."""
    sku, sale = new_sku(), str(uuid.uuid4())
    for n in range(3):
        stack.queue.send(json.dumps(order_message(
            sku=sku, saleId=sale, userId=f"u{n}")))
    wait_status(stack, sku, confirmed=3)
    row, = stack.books.sales(sku)
    assert (row["sale_id"], row["total"], row["sold"]) == (sale, 10, 3)


def test_never_more_than_the_total(stack, new_sku, expect_errors):
    expect_errors("no units left")
    sku, sale = new_sku(), str(uuid.uuid4())
    for n in range(12):
        stack.queue.send(json.dumps(order_message(
            sku=sku, saleId=sale, total=5, quantity=2, userId=f"u{n}")))
    wait_status(stack, sku, confirmed=2, rejected=10)
    assert stack.books.sales(sku)[0]["sold"] == 4
    rejected = stack.books.orders(sku, "rejected")[0]
    assert any("reason" in column and value
               for column, value in rejected.items())


def test_the_same_order_id_with_other_content(stack, new_sku):
    """Whatever it says, an order id is one row."""
    sku, first = new_sku(), None
    for quantity in (1, 3):
        message = order_message(sku=sku, quantity=quantity,
                                **(first or {}))
        first = {k: message[k] for k in ("orderId", "saleId")}
        stack.queue.send(json.dumps(message))
    eventually(lambda: stack.queue.depth() == 0)
    eventually(lambda: len(stack.books.orders(sku)) == 1)
    assert stack.books.sales(sku)[0]["sold"] \
        == stack.books.orders(sku)[0]["quantity"]


def without(field):
    message = order_message()
    del message[field]
    return json.dumps(message)


POISON = {
    "no JSON": "hello",
    "half": json.dumps(order_message())[:-1],
    "an array": "[]",
    "no object": "null",
    "empty object": "{}",
    "another version": json.dumps(order_message(v=2)),
    "another type": json.dumps(order_message(type="banana")),
    "type is a number": json.dumps(order_message(type=1)),
    **{f"no {field}": without(field)
       for field in ("v", "type", "orderId", "saleId", "sku", "total",
                     "userId", "quantity", "reservedAt")},
    "quantity 0": json.dumps(order_message(quantity=0)),
    "quantity -1": json.dumps(order_message(quantity=-1)),
    "quantity 1001": json.dumps(order_message(quantity=1001)),
    "quantity as text": json.dumps(order_message(quantity="1")),
    "quantity 1.5": json.dumps(order_message(quantity=1.5)),
    "total too large": json.dumps(order_message(total=1_000_000_001)),
    "bad order id": json.dumps(order_message(orderId="1")),
    "bad sale id": json.dumps(order_message(saleId="' OR 1=1 --")),
    "bad sku": json.dumps(order_message(sku="a b")),
    "bad user": json.dumps(order_message(userId="ü")),
    "bad currency": json.dumps(order_message(currency="EURO")),
    "too large": json.dumps(order_message()).ljust(4097),
    "very large": json.dumps(order_message()).ljust(200_000),
    "beyond ASCII": "\ufffd \u20ac \u00e9",
}


def test_poison_is_parked_and_the_others_pass(stack, new_sale):
    sku = new_sale(stock=1000, limit=0)
    orders, poison = [], {}
    for name, body in POISON.items():
        poison[name] = stack.queue.send(body)
        orders.append(stack.web.buy(sku, "alice").json["orderId"])
    stack.wait_settled(sku, orders)
    for name, message_id in poison.items():
        row, = eventually(lambda: stack.books.parked(message_id),
                          what=f"parked: {name}")
        assert row["reason"], name
        sent = POISON[name]
        assert sent.startswith(row["body"][:1000]) and row["body"], name
        assert len(sent) > 4096 or row["body"] == sent, name
    # Parked means dealt with: not one of them comes back.
    eventually(lambda: stack.queue.depth() == 0)
    assert stack.dlq.depth() == 0


def test_dead_letters_are_written_or_parked(stack, new_sku):
    """Whatever brought an order there, its buyer was told 202."""
    sku = new_sku()
    order = order_message(sku=sku)
    stack.dlq.send(json.dumps(order))
    poison = stack.dlq.send("not an order")
    wait_status(stack, sku, confirmed=1)
    assert stack.books.ids(sku) == [order["orderId"]]
    eventually(lambda: stack.books.parked(poison), what="parked")
    eventually(lambda: stack.dlq.depth() == 0, what="no dead letters")


def test_sql_in_every_text_field_is_only_text(stack, new_sku):
    sku = new_sku()
    users = ["'OR'1'='1", "\\';DROP--TABLE", '"`%s%d{}', "\\", "'"]
    for user in users:
        stack.queue.send(json.dumps(order_message(
            sku=sku, userId=user, requestKey=user)))
    wait_status(stack, sku, confirmed=len(users))
    assert sorted(o["user_id"] for o in stack.books.orders(sku)) \
        == sorted(users)


def test_users_that_differ_only_in_case(stack, new_sku):
    sku, sale = new_sku(), str(uuid.uuid4())
    for user in ("alice", "ALICE"):
        stack.queue.send(json.dumps(order_message(
            sku=sku, saleId=sale, userId=user)))
    wait_status(stack, sku, confirmed=2)


# --- The worker comes and goes ---

def test_stopped_and_started_in_the_middle(stack, new_sale):
    sku = new_sale(stock=300, limit=0)
    orders = []
    for turn in range(3):
        orders += [stack.web.buy(sku, "alice").json["orderId"]
                   for _ in range(25)]
        with stack.without("worker"):
            orders += [stack.web.buy(sku, "alice").json["orderId"]
                       for _ in range(25)]
    stack.wait_settled(sku, orders)
    assert stack.books.sales(sku)[0]["sold"] == 150


def test_killed_in_the_middle(stack, new_sale, expect_errors):
    """kill -9 of every process of the worker, again and again."""
    expect_errors("signal 9|killed")
    sku = new_sale(stock=300, limit=0)
    orders = []
    for turn in range(4):
        orders += [stack.web.buy(sku, "alice").json["orderId"]
                   for _ in range(40)]
        master = stack.pid("worker")
        family = [*processes.children(master), master]
        for pid in family:
            processes.kill(pid)
        processes.wait_gone(family)
        eventually(lambda: stack.pid("worker") not in family,
                   what="the supervisor starts it again")
    stack.wait_settled(sku, orders)
    assert stack.books.sales(sku)[0]["sold"] == 160


def test_a_killed_consumer_is_replaced(stack, new_sale, expect_errors):
    # keeper, recoverer, one for dead letters, two consumers
    master, all_of_them = stack.pid("worker"), 5

    def whole_family():
        children = processes.children(master)
        return len(children) == all_of_them and children

    before = eventually(whole_family)
    expect_errors("signal 9|killed")
    for pid in before:
        processes.kill(pid)
    processes.wait_gone(before)
    eventually(whole_family)
    assert stack.pid("worker") == master
    sku = new_sale()
    stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]])


def test_the_consumers_leave_when_their_master_dies(stack, new_sale):
    master = stack.pid("worker")
    family = processes.children(master)
    processes.kill(master)
    processes.wait_gone([master, *family])
    sku = new_sale()
    stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]])


def test_reload_of_the_worker(stack, new_sale):
    sku = new_sale(stock=300, limit=0)
    master = stack.pid("worker")
    before = set(processes.children(master))
    stack.kill("worker", signal.SIGHUP)
    orders = [stack.web.buy(sku, "alice").json["orderId"] for _ in range(50)]
    eventually(lambda: not before & set(processes.children(master)), 60,
               "every child replaced")
    stack.wait_settled(sku, orders)
    assert stack.pid("worker") == master
