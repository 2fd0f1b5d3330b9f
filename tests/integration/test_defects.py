"""What published flash-sale engines get wrong, by the numbers of
docs/defects.md, and answers that leave a buyer in doubt.  Where a defect has
its test elsewhere, that page names it."""

import contextlib
import json
import signal
import time

import pytest

from harness.crowd import accepted, count, rush
from harness.rebuild import wait_rebuilt
from harness.responder import Responder, encode_request, read_answer
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("outages")


@pytest.fixture(autouse=True)
def everything_runs(stack):
    stack.wait_healed()


@pytest.fixture(autouse=True)
def errors_are_expected(expect_errors):
    expect_errors("(?i)redis|sqs|unavailable|timeout|queue|send")


def sold_nothing(stack, sku, total):
    sale = f"fs:{{{sku}}}:"
    assert int(stack.redis.hget(sale + "sale", "remaining")) == total
    for key in ("buyers", "requests", "orders"):
        assert not stack.redis.exists(sale + key)
    assert stack.redis.xlen(sale + "outbox") == 0
    return True


# --- 1: the send fails, or the process dies, after the decrement ---

def test_defect_01_sent_nowhere_and_then_killed(stack, new_sale,
                                                expect_errors):
    # The successor comes before the last child has gone.
    expect_errors("another process serves it")
    sku = new_sale(stock=30)
    stack.wait_settled(sku, [])
    with stack.without("sqs"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(40)], 40)
        assert count(outcomes) == {"accepted": 30, "sold_out": 10}
        stack.kill("fcgi")
    stack.wait_settled(sku, [o.body["orderId"] for o in accepted(outcomes)])
    stack.wait_healed()
    assert stack.web.stock(sku)["remaining"] == 0


# --- 2: the answer of Redis is lost ---

def buy_without_an_answer(stack, new_sale):
    """The last unit of a sale, and the order that took it.  On a slow machine
    a responder may have given Redis up before it asks: then once more."""
    for _ in range(3):
        sku = new_sale(stock=1, limit=1)
        stack.wait_settled(sku, [])
        with stack.frozen("redis"):
            assert_problem(stack.web.buy(sku, "alice", key="k"),
                           503, "unavailable")
        stack.wait_healed()
        order = stack.redis.hget(f"fs:{{{sku}}}:requests", "alice k")
        if order:
            return sku, order
    raise AssertionError("Redis was never asked")


def test_defect_02_ambiguous_reply_it_has_happened(stack, new_sale):
    """The buyer of the last unit hears 503.  Asking again he has it, and is
    not told that he has bought already, or that it is sold out."""
    sku, order = buy_without_an_answer(stack, new_sale)
    again = stack.web.buy(sku, "alice", key="k")
    assert (again.status, again.json["orderId"]) == (202, order)
    assert_problem(stack.web.buy(sku, "bob", key="k"), 409, "sold_out")
    stack.wait_settled(sku, [order])


def test_defect_02_ambiguous_reply_it_has_not(stack, new_sale):
    """The same doubt, but Redis died with the question unread."""
    sku = new_sale(stock=1, limit=1)
    stack.wait_settled(sku, [])
    stack.kill("redis", signal.SIGSTOP)
    assert_problem(stack.web.buy(sku, "alice", key="k"), 503, "unavailable")
    stack.kill("redis")
    wait_rebuilt(stack, sku)
    stack.wait_healed()
    assert sold_nothing(stack, sku, 1)
    again = stack.web.buy(sku, "alice", key="k")
    assert again.status == 202
    stack.wait_settled(sku, [again.json["orderId"]])


@pytest.mark.parametrize("how", ["NOREPLICAS", "OOM", "MISCONF"])
def test_redis_that_refuses_writes_takes_nothing(stack, new_sale, how):
    """Nor does it do the half of it."""
    sku = new_sale(stock=10, limit=1)
    stack.wait_settled(sku, [])
    with REFUSALS[how](stack):
        assert_problem(stack.web.buy(sku, "alice", key="k"),
                       503, "unavailable")
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
        assert count(outcomes) == {"unavailable": 50}
        log = stack.directory / "log/fcgi.log"
        eventually(lambda: stack.web.buy(sku, "alice", key="k").status == 503
                   and f"reserve: Redis says: {how}" in log.read_text())
        assert sold_nothing(stack, sku, 10)
        assert stack.web.stock(sku)["remaining"] == 10
    reply = stack.web.buy(sku, "alice", key="k")
    assert (reply.status, reply.json["remaining"]) == (202, 9)
    stack.wait_settled(sku, [reply.json["orderId"]])


@pytest.mark.parametrize("how", ["NOREPLICAS", "OOM"])
def test_redis_that_refuses_writes_is_told_later(stack, new_sale, how):
    """What MySQL has booked meanwhile."""
    sku = new_sale(stock=10)
    log = stack.directory / "log/worker.log"
    with contextlib.ExitStack() as refusal:
        with stack.without("worker"):
            order = stack.web.buy(sku, "alice").json["orderId"]
            eventually(lambda: stack.outbox(sku) == 0)
            refusal.enter_context(REFUSALS[how](stack))
        eventually(lambda: f"sale {sku}: Redis says: {how}" in log.read_text())
    assert stack.books.ids(sku) == [order]
    eventually(lambda: stack.web.order(sku, order)["status"] == "confirmed")


@contextlib.contextmanager
def configured(stack, name, value, usual):
    stack.redis.config_set(name, value)
    try:
        yield
    finally:
        stack.redis.config_set(name, usual)


@contextlib.contextmanager
def failed_snapshot(stack):
    """Redis could not write its last snapshot: the disk may be full."""
    obstacle = stack.directory / "data/redis/dump.rdb"
    with configured(stack, "save", "1000000 1", ""):
        (obstacle / "in the way").mkdir(parents=True)
        try:
            stack.redis.bgsave()
            eventually(lambda: stack.redis.info("persistence")
                       ["rdb_last_bgsave_status"] == "err")
            yield
        finally:
            (obstacle / "in the way").rmdir()
            obstacle.rmdir()
            stack.redis.bgsave()
            eventually(lambda: stack.redis.info("persistence")
                       ["rdb_last_bgsave_status"] == "ok")
            obstacle.unlink()


REFUSALS = {
    "NOREPLICAS": lambda s: configured(s, "min-replicas-to-write", 1, 0),
    "OOM": lambda s: configured(s, "maxmemory", 1, 0),
    "MISCONF": failed_snapshot,
}


# --- The buyer, or the web server, asks again ---

def test_the_web_server_repeats_the_request(stack, new_sale):
    """On another connection, because it has given up the first one: at any
    moment between sending it whole and reading the answer."""
    sku = new_sale(stock=100, limit=0)
    ids = []
    with Responder(stack) as responder:
        for turn in range(20):
            request = encode_request(
                "POST", f"/buy/{sku}", b'{"userId":"u%d"}' % turn,
                HTTP_IDEMPOTENCY_KEY="k")
            with responder.connect() as first, \
                    responder.connect() as second:
                first.sendall(request)
                if turn % 2:
                    first.recv(1)
                first.close()
                second.sendall(request)
                status, body = read_answer(second.makefile("rb"))
            assert status == 202
            ids.append(json.loads(body)["orderId"])
    assert stack.web.stock(sku)["remaining"] == 80
    stack.wait_settled(sku, ids)


# --- 4: one side overwrites the other ---

def test_defect_04_mysql_never_overwrites_the_stock(stack, new_sale):
    """MySQL lags: it knows of no order for a while, and then of some."""
    sku = new_sale(stock=50, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
        assert count(outcomes) == {"accepted": 50}
    with stack.frozen("mariadb"):
        stack.sv("restart", "fcgi")
        eventually(lambda: stack.web.buy(sku, "late").code == "sold_out")
        stays(lambda: stack.web.buy(sku, "late").code == "sold_out", 2)
    stack.wait_settled(sku, [o.body["orderId"] for o in outcomes])
    assert_problem(stack.web.buy(sku, "late"), 409, "sold_out")


def test_defect_04_a_missing_sale_is_not_made_up(stack, new_sale):
    """Neither from MySQL, which may lag, nor as an empty one."""
    sku = new_sale(stock=10)
    stack.wait_settled(sku, [])
    stack.redis.delete(f"fs:{{{sku}}}:sale")
    for _ in range(20):
        assert_problem(stack.web.buy(sku, "alice"), 404, "no_such_sale")
    assert not stack.redis.exists(f"fs:{{{sku}}}:sale")
    stack.redis.srem("fs:sales", sku)


# --- 8, 10: sold out, but there is stock ---

def test_defect_10_sold_out_does_not_stick(stack, new_sale):
    """Everybody has heard "sold out" on every connection there is; the first
    one after a unit has come back, and the gate has opened, gets it."""
    sku = new_sale(stock=1, limit=1)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            dead = stack.web.buy(sku, user).json["orderId"]
            refused = rush(stack.web, sku, ["x"] * 200, 50)
            assert count(refused) == {"sold_out": 200}
        eventually(lambda: stack.web.order(sku, dead)["status"]
                   == "rejected")
        eventually(lambda: not stack.redis.exists(f"fs:{{{sku}}}:gates"))
        again = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
        assert count(again) == {"accepted": 1, "sold_out": 49}
    assert stack.web.reset(sku, 50).status == 200
    anew = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
    assert count(anew) == {"accepted": 50}


# --- 13: trust ---

def test_defect_13_the_window_is_enforced_where_the_stock_is(stack, new_sale):
    """Not by the page that shows it: a thousand impatient buyers get nothing,
    and leave no trace."""
    sku = new_sale(stock=10, opensAt=4070908800000)
    stack.wait_settled(sku, [])
    outcomes = rush(stack.web, sku, [f"u{n}" for n in range(1000)], 100)
    assert count(outcomes) == {"not_open": 1000}
    assert sold_nothing(stack, sku, 10)


# --- 14: one by one ---

def test_defect_14_nothing_goes_one_by_one(stack, new_sale):
    """Redis gets scripts by their digest, MySQL orders by the haul."""
    sku = new_sale(stock=400, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        stack.redis.config_resetstat()
        began = time.monotonic()
        outcomes = rush(stack.web, sku, [f"u{n}" for n in range(400)], 100)
        assert count(outcomes) == {"accepted": 400}
        commands = stack.redis.info("commandstats")
        assert "cmdstat_eval" not in commands
        # One to reserve, one to say "queued"; and the gatekeeper, who
        # looks at 16 sales in a tenth of a second.
        looks = 200 * (time.monotonic() - began + 1)
        assert 0 < commands["cmdstat_evalsha"]["calls"] <= 800 + looks
        before = inserts(stack)
    stack.wait_settled(sku, [o.body["orderId"] for o in accepted(outcomes)])
    assert 0 < inserts(stack) - before <= 100


def inserts(stack):
    row, = stack.books.ask("SHOW GLOBAL STATUS LIKE 'Com_insert'")
    return int(row["Value"])
