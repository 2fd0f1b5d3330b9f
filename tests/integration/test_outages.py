"""Redis, SQS or MySQL is gone for a while: refuse or keep, then heal."""

import contextlib
import json
import signal
import threading

import pytest

from harness import processes
from harness.crowd import accepted, count, count_states, rush
from harness.responder import Responder
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("outages")


@pytest.fixture(autouse=True)
def everything_runs(stack):
    """Each test begins with all parts up."""
    stack.wait_healed()


@pytest.fixture(autouse=True)
def errors_are_expected(expect_errors):
    """That a part cannot be reached may be an error or a warning."""
    expect_errors("(?i)redis|sqs|mysql|unavailable|timeout|queue|send")


def code(reply):
    return reply.status, reply.code


# --- Redis ---

def test_without_redis_everybody_is_told_to_come_back(stack, new_sale):
    sku = new_sale()
    order = stack.web.buy(sku, "alice")
    with stack.without("redis"):
        for ask in (lambda: stack.web.buy(sku, "bob"),
                    lambda: stack.web.get(order.headers["location"]),
                    lambda: stack.web.reset(sku, 5)):
            eventually(lambda: code(ask()) == (503, "unavailable"), 10)
            reply = ask()
            assert_problem(reply, 503, "unavailable")
            assert int(reply.headers["retry-after"]) >= 1
        assert stack.web.get("/healthz").status == 200
        assert_problem(stack.web.get("/readyz"), 503, "unavailable")
        # What is wrong with the request itself is still said.
        assert stack.web.post(f"/buy/{sku}", "{").status == 400
        assert stack.web.get("/metrics").status == 200
    stack.wait_healed()
    assert stack.web.stock(sku)["remaining"] == 9
    assert stack.web.buy(sku, "bob").json["remaining"] == 8
    eventually(lambda: stack.books.units(sku) == 2)


def test_redis_killed_under_load(stack, new_sale):
    sku = new_sale(stock=5000, limit=0)
    users = [f"u{n}" for n in range(300)]
    bought = []
    for turn in range(3):
        stack.kill("redis")
        outcomes = rush(stack.web, sku, users, 100)
        assert {o.status for o in outcomes} <= {202, 503}, count(outcomes)
        bought += [o.body["orderId"] for o in accepted(outcomes)]
        stack.wait_healed()
        outcomes = rush(stack.web, sku, users, 100)
        assert count(outcomes) == {"accepted": 300}
        bought += [o.body["orderId"] for o in accepted(outcomes)]
    # No buyer who was told 202 is missing; an order whose answer was lost
    # with Redis may be there besides.
    eventually(lambda: set(bought) <= set(stack.books.ids(sku)))


def test_redis_that_does_not_answer(stack, new_sale):
    """The outcome is unknown: 503, and the same key tells the truth."""
    sku = new_sale(limit=1)
    with stack.frozen("redis"):
        reply = stack.web.buy(sku, "alice", key="k1")
        assert_problem(reply, 503, "unavailable")
        assert int(reply.headers["retry-after"]) >= 1
    stack.wait_healed()
    again = stack.web.buy(sku, "alice", key="k1")
    assert again.status == 202
    assert stack.web.stock(sku)["remaining"] == 9
    stack.wait_settled(sku, [again.json["orderId"]])


# --- SQS ---

def test_without_sqs_orders_wait_in_the_outbox(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    eventually(lambda: stack.outbox(sku) == 0)
    eventually(lambda: stack.queue.depth() == 0)
    with stack.without("sqs"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
        assert count_states(outcomes) == {"reserved": 50}
        assert stack.outbox(sku) == 50
        order = outcomes[0].body["orderId"]
        assert stack.web.order(sku, order)["status"] == "reserved"
        again = stack.web.buy(sku, "late", key="k").json
        assert stack.web.buy(sku, "late", key="k").json["orderId"] \
            == again["orderId"]
        # It looks every two seconds at most.
        eventually(lambda: stack.web.get("/readyz").status == 503, 10)
        assert stack.web.get("/healthz").status == 200
    stack.wait_settled(sku, [again["orderId"],
                             *(o.body["orderId"] for o in outcomes)])


def test_sqs_that_does_not_answer(stack, new_sale):
    """Sent but not acknowledged: perhaps delivered, yet only one row."""
    sku = new_sale(stock=100, limit=0)
    eventually(lambda: stack.outbox(sku) == 0)
    with stack.frozen("sqs"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(40)], 40)
        assert count_states(outcomes) == {"reserved": 40}
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes])


def test_what_is_stuck_in_the_outbox_hides_nothing(stack, new_sku,
                                                   expect_errors):
    """Neither entries that cannot be read nor an outbox that is none."""
    expect_errors("stuck in the outbox: 151")
    sku = new_sku()
    broken, outbox = f"0.{sku}", f"fs:{{{sku}}}:outbox"
    stack.redis.set(f"fs:{{{broken}}}:outbox", "no stream")
    stack.redis.sadd("fs:sales", broken)
    for _ in range(150):
        stack.redis.xadd(outbox, {"type": "order", "order_id": "none"})
    with stack.without("sqs"):
        assert stack.web.reset(sku, 200, limit=0).status == 200
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(120)], 50)
        assert count_states(outcomes) == {"reserved": 120}
        status = stack.cli("status", sku, "--json").stdout
        assert json.loads(status)["sales"][0]["reserved"] == 120
    try:
        eventually(lambda: stack.books.units(sku) == 120, 90)
        eventually(lambda: stack.outbox(sku) == 150, 90)
    finally:
        stack.redis.srem("fs:sales", broken)
        stack.redis.delete(outbox, f"fs:{{{broken}}}:outbox")


def test_redis_that_reads_but_takes_no_writes(stack, new_sale):
    """What is sent cannot be taken out: it is not sent every second."""
    sku = new_sale(stock=100, limit=0)
    eventually(lambda: stack.outbox(sku) == 0)
    log = stack.directory / "log/worker.log"
    with stack.without("sqs"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(20)], 20)
        assert count_states(outcomes) == {"reserved": 20}
        # Not before: the keeper may have brought the definition.
        began = log.stat().st_size
        stack.redis.config_set("min-replicas-to-write", 1)
    try:
        eventually(lambda: stack.books.units(sku) == 20, 90)
        stays(lambda: stack.outbox(sku) == 20, 5)
    finally:
        stack.redis.config_set("min-replicas-to-write", 0)
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes])
    # It says so at the end of its round.
    eventually(lambda: "messages from the outbox to SQS"
               in log.read_text()[began:])
    text = log.read_text()[began:]
    assert text.count("cannot take out what is sent") == 1, text
    assert text.count("messages from the outbox to SQS") == 1, text


def test_refusing_needs_no_sqs(stack, new_sale):
    sku = new_sale(stock=0)
    with stack.without("sqs"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(200)], 50)
        assert count(outcomes) == {"sold_out": 200}


# --- MySQL ---

def test_without_mysql_the_sale_goes_on(stack, new_sale):
    """Nothing is lost, and nothing reaches the dead-letter queue however
    long it takes (five receives would do)."""
    sku = new_sale(stock=200, limit=0)
    with stack.without("mariadb"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(100)], 50)
        assert count(outcomes) == {"accepted": 100}
        eventually(lambda: stack.web.get("/readyz").status == 200)
        stays(lambda: stack.dlq.depth() == 0, 12)
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes])


def test_mysql_killed_under_load(stack, new_sale):
    sku = new_sale(stock=1000, limit=0)
    orders = []
    for turn in range(3):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(100)], 50)
        orders += [o.body["orderId"] for o in outcomes]
        stack.kill("mariadb")
    stack.wait_settled(sku, orders, 90)


def test_mysql_that_does_not_answer(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    with stack.frozen("mariadb"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
        assert count(outcomes) == {"accepted": 50}
        stays(lambda: stack.dlq.depth() == 0, 8)
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes], 90)


# --- The worker's other parts ---

def test_the_worker_persists_without_redis(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    with stack.without("worker"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(30)], 30)
        stack.sv("down", "redis")
    try:
        eventually(lambda: len(stack.books.ids(sku)) == 30)
    finally:
        stack.sv("up", "redis")
    stack.wait_healed()
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes])


def kill_family(stack, name):
    master = stack.pid(name)
    for pid in [master, *processes.children(master)]:
        with contextlib.suppress(ProcessLookupError):
            processes.kill(pid)


def test_a_dead_order_that_redis_cannot_be_told_of(stack, new_sale):
    """Its units are on sale again, though who knew it is dead as well."""
    sku = new_sale(stock=5)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            order = stack.web.buy(sku, user).json["orderId"]
            eventually(lambda: stack.outbox(sku) == 0)
            frozen = contextlib.ExitStack()
            frozen.enter_context(stack.frozen("redis"))
        with frozen:
            eventually(lambda: stack.books.ask(
                "SELECT 1 FROM parked WHERE body LIKE %s", f"%{order}%"))
            # Time to delete what should not be deleted yet.
            eventually(lambda: stack.queue.depth() == 1)
            stays(lambda: stack.queue.depth() == 1, 2)
            kill_family(stack, "worker")
        eventually(lambda: stack.web.stock(sku)["remaining"] == 5, 60)
    assert stack.web.order(sku, order)["status"] == "rejected"


def test_parts_that_are_missing_at_the_start(stack, new_sale):
    """No program dies because a part is not there yet."""
    sku = new_sale(stock=100, limit=0)
    for part in ("redis", "sqs", "mariadb"):
        stack.wait_settled(sku, stack.books.ids(sku))
        with stack.without(part):
            stack.sv("restart", "fcgi")
            stack.sv("restart", "worker")
            before = stack.pid("fcgi"), stack.pid("worker")
            eventually(lambda: stack.web.get("/healthz").status == 200)
            stays(lambda: before == (stack.pid("fcgi"), stack.pid("worker"))
                  and stack.web.get("/healthz").status == 200, 2)
        stack.wait_healed()
        assert before == (stack.pid("fcgi"), stack.pid("worker"))
        reply = eventually(lambda: (lambda r: r.status == 202 and r)(
            stack.web.buy(sku, "alice")), 30)
        eventually(lambda: reply.json["orderId"] in stack.books.ids(sku))


# --- Draining while SQS is slow ---

def test_sigterm_waits_for_the_answers_under_way(stack, new_sale):
    sku = new_sale(stock=10, limit=0)
    with Responder(stack) as responder:
        answers = []

        def buy(user):
            answers.append(responder.ask(
                "POST", f"/buy/{sku}", b'{"userId":"%s"}' % user))
        with stack.frozen("sqs"):
            buyers = [threading.Thread(target=buy, args=(b"u%d" % n,))
                      for n in range(5)]
            for buyer in buyers:
                buyer.start()
            eventually(lambda: stack.outbox(sku) >= 5)
            responder.signal(signal.SIGTERM)
            for buyer in buyers:
                buyer.join()
        assert responder.wait() == 0
        assert [status for status, _ in answers] == [202] * 5
    eventually(lambda: stack.books.units(sku) == 5)
