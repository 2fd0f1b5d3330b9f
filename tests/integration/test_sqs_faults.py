"""An SQS that misbehaves, one fault after the other, and the real programs.

The stand-in (tests/chaos/sqs_standin) also checks every signature, with code
that shares nothing with lib/sigv4.c: none may be refused in any test."""

import collections
import time

import pytest

from harness.crowd import accepted, count, count_states, rush
from harness.rebuild import wait_rebuilt
from harness.wait import eventually

pytestmark = pytest.mark.stacks("sqs-faults")

SEND = ["SendMessageBatch"]
DELETE = ["DeleteMessageBatch"]
BUYERS = 60


@pytest.fixture(autouse=True)
def every_signature_is_right(stack):
    yield
    refused = stack.standin.control()["refused"]
    refused.pop("date", None)  # of a clock that a test has moved
    assert refused == {}


@pytest.fixture(autouse=True)
def everything_runs(stack, expect_errors):
    expect_errors("(?i)sqs|send|stuck in the outbox")
    stack.wait_healed()
    eventually(lambda: stack.queue.depth() == 0)


def sell(stack, sku, buyers=BUYERS):
    """All of them buy, and all are accepted."""
    outcomes = rush(stack.web, sku, [f"u{n}" for n in range(buyers)], 30)
    assert count(outcomes) == {"accepted": buyers}
    return outcomes


def ids(outcomes):
    return [o.body["orderId"] for o in accepted(outcomes)]


def times_sent(stack, sku):
    """Order id -> how many messages SQS has taken of it."""
    return collections.Counter(
        body["orderId"] for body in stack.standin.bodies().values()
        if body["type"] == "order" and body["sku"] == sku)


def fault(kind, **parameters):
    return pytest.param({"fault": kind, **parameters},
                        id="-".join([kind, *map(str, parameters.values())]))


# --- Whatever happens, an accepted order becomes one row ---

@pytest.mark.parametrize("misfortune", [
    fault("down", actions=SEND),
    fault("down", probability=0.3),
    fault("error", status=500, probability=0.3),
    fault("error", status=503),
    fault("throttled", probability=0.5),
    fault("throttled", code="RequestThrottled"),
    fault("slow", ms=300, jitter_ms=500, probability=0.5),
    fault("denied", actions=SEND),
    fault("expired_token"),
    fault("hang", ms=20000, taken=True, actions=SEND, times=2),
    fault("broken_answer", probability=0.3),
    fault("broken_answer", actions=DELETE),
    fault("entries_failed", probability=0.3),
    fault("entries_failed", sender_fault=True, probability=0.3),
    fault("entries_forgotten", probability=0.3),
    fault("entries_forgotten", taken=False, actions=SEND, probability=0.3),
    fault("wrong_md5", probability=0.3),
    fault("duplicate", ms=700, probability=0.5),
    fault("delay", ms=500, jitter_ms=1500, probability=0.5),
    fault("undelete", ms=300),
])
def test_accepted_is_one_row(stack, new_sale, misfortune):
    sku = new_sale(stock=BUYERS, limit=1)
    with stack.standin.faults(misfortune) as happened:
        outcomes = sell(stack, sku)
        # Those of the worker's side take until it has come to them.
        eventually(lambda: sum(happened()) > 0)
    stack.wait_settled(sku, ids(outcomes), 90)
    assert stack.web.stock(sku)["remaining"] == 0


def test_all_at_once(stack, new_sale):
    sku = new_sale(stock=3 * BUYERS, limit=1)
    kinds = ["error", "throttled", "broken_answer", "entries_failed",
             "entries_forgotten", "wrong_md5", "duplicate", "reorder",
             "delay", "undelete"]
    with stack.standin.faults(
            {"fault": "slow", "ms": 50, "jitter_ms": 300},
            *({"fault": kind, "probability": 0.1} for kind in kinds),
            seed=7):
        outcomes = sell(stack, sku, 3 * BUYERS)
        eventually(lambda: len(stack.books.ids(sku)) > BUYERS, 60)
    stack.wait_settled(sku, ids(outcomes), 90)


# --- What else is to be seen ---

def test_wrong_md5_is_not_sent(stack, new_sale):
    """Such an answer proves nothing: the order stays in the outbox."""
    sku = new_sale(stock=20)
    with stack.standin.faults({"fault": "wrong_md5", "actions": SEND}):
        outcomes = sell(stack, sku, 20)
        assert count_states(outcomes) == {"reserved": 20}
        assert stack.outbox(sku) == 20
        # The keeper believes it no more than the responders.
        calls = stack.standin.control()["calls"]["SendMessageBatch"]
        eventually(lambda: stack.standin.control()["calls"]
                   ["SendMessageBatch"] > calls)
        assert stack.outbox(sku) == 20
    stack.wait_settled(sku, ids(outcomes))
    assert max(times_sent(stack, sku).values()) >= 2


def test_some_of_a_batch(stack, new_sale):
    """Only who was taken is "queued", and nobody is sent twice."""
    sku = new_sale(stock=40)
    with stack.standin.faults({"fault": "entries_failed", "actions": SEND,
                               "probability": 0.5}):
        outcomes = sell(stack, sku, 40)
        sent = times_sent(stack, sku)
        assert count_states(outcomes)["reserved"] > 0
        assert all(o.body["orderId"] in sent for o in outcomes
                   if o.body["status"] == "queued")
    stack.wait_settled(sku, ids(outcomes))
    assert times_sent(stack, sku) == {order: 1 for order in ids(outcomes)}


def test_throttled_is_left_alone(stack, new_sale):
    """Hundreds of orders, a handful of calls: the load does not add to it.
    Each responder tries again now and then, and the keeper when they age."""
    sku = new_sale(stock=600)
    began = time.monotonic()
    with stack.standin.faults({"fault": "throttled", "actions": SEND}) \
            as happened:
        outcomes = sell(stack, sku, 600)
        assert count_states(outcomes) == {"reserved": 600}
        assert 0 < happened()[0] < 50 + 20 * (time.monotonic() - began)
    stack.wait_settled(sku, ids(outcomes))


def test_taken_but_not_said(stack, new_sale):
    """The buyer hears "reserved", SQS gets it twice, MySQL has it once."""
    sku = new_sale(stock=20)
    with stack.standin.faults({"fault": "broken_answer", "actions": SEND}):
        outcomes = sell(stack, sku, 20)
        assert count_states(outcomes) == {"reserved": 20}
    stack.wait_settled(sku, ids(outcomes))
    # The first call showed that SQS is unwell; who came later was not sent.
    assert max(times_sent(stack, sku).values()) >= 2


def test_delivered_many_times_out_of_order(stack, new_sale):
    sku = new_sale(stock=50)
    with stack.standin.faults({"fault": "duplicate"}, {"fault": "reorder"},
                              {"fault": "delay", "ms": 200, "jitter_ms": 800,
                               "probability": 0.5}):
        outcomes = sell(stack, sku, 50)
        stack.wait_settled(sku, ids(outcomes))
    received = collections.Counter(
        line["id"] for line in stack.standin.journal("received"))
    bodies = stack.standin.bodies()
    twice = [message for message, body in bodies.items()
             if body["sku"] == sku and received[message] >= 2]
    assert len(twice) > 25
    orders = [bodies[line["id"]] for line in stack.standin.journal("received")
              if bodies[line["id"]]["sku"] == sku
              and bodies[line["id"]]["type"] == "order"]
    moments = [order["reservedAt"] for order in orders]
    assert moments != sorted(moments)


def test_expired_keys_are_tried_once_more(stack, new_sale):
    sku = new_sale()
    with stack.standin.faults({"fault": "expired_token", "actions": SEND,
                               "times": 1}) as happened:
        assert stack.web.buy(sku, "alice").json["status"] == "queued"
        assert happened() == [1]


def test_a_clock_that_is_wrong_and_then_right(stack, new_sale):
    """The service's Date decides, each time it differs: no order waits."""
    sku = new_sale(stock=10, limit=0)
    orders = []
    for seconds in (1200, -1200):
        with stack.standin.faults({"fault": "skew", "seconds": seconds}):
            orders.append(stack.web.buy(sku, "alice").json)
        orders.append(stack.web.buy(sku, "alice").json)
    assert [order["status"] for order in orders] == ["queued"] * 4
    stack.wait_settled(sku, [order["orderId"] for order in orders])


def test_killed_it_has_all_it_took(stack, new_sale):
    sku = new_sale(stock=BUYERS)
    with stack.without("worker"):
        outcomes = sell(stack, sku)
        assert count_states(outcomes) == {"queued": BUYERS}
        stack.kill("sqs")
        eventually(lambda: stack.queue.depth() >= BUYERS)
    stack.wait_settled(sku, ids(outcomes))


# --- Recovery ---

def test_dead_letters_whose_depth_is_not_told(stack, new_sale, expect_errors):
    """Recovery waits, for they may hold orders, and says so."""
    expect_errors("(?i)redis|unavailable|recovering")
    sku = new_sale(stock=10)
    log = stack.directory / "log/worker.log"
    with stack.standin.faults({"fault": "denied",
                               "actions": ["GetQueueAttributes"],
                               "queue": "flashsale-orders-dlq"}):
        stack.kill("redis")
        eventually(lambda: "the dead letters: its depth is not told: denied"
                   in log.read_text())
        eventually(lambda: "sales wait for the dead letters, whose depth is "
                   "not told: denied" in log.read_text())
        assert stack.web.buy(sku, "alice").code == "recovering"
    wait_rebuilt(stack, sku)
    assert stack.web.buy(sku, "alice").status == 202
