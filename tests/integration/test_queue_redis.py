"""QUEUE=redis: the outbox is the queue, and the worker reads it as a consumer
group.  Whatever dies or goes away, an order is in MySQL once."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from harness import processes
from harness.crowd import Load, accepted, count_states, rush
from harness.stack import PROGRAMS
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("queue-redis-outages")

GROUP = "flashsale"


@pytest.fixture(autouse=True)
def everything_runs(stack):
    stack.wait_healed()


@pytest.fixture(autouse=True)
def errors_are_expected(expect_errors):
    expect_errors("(?i)redis|mysql|unavailable|timeout|signal 9|killed")


def key(sku, name="outbox"):
    return f"fs:{{{sku}}}:{name}"


def held(stack, sku):
    """How many entries workers have taken and not finished."""
    return stack.redis.xpending(key(sku), GROUP)["pending"]


def deliveries(stack, sku):
    """How often each of those was delivered."""
    return [entry["times_delivered"] for entry in stack.redis.xpending_range(
        key(sku), GROUP, "-", "+", 1000)]


def buy_some(stack, sku, units, prefix="u"):
    outcomes = rush(stack.web, sku, [f"{prefix}{n}" for n in range(units)], 20)
    assert count_states(outcomes) == {"queued": units}
    return [o.body["orderId"] for o in outcomes]


def kill_worker(stack):
    """kill -9 of all its processes."""
    master = stack.pid("worker")
    family = [master, *processes.children(master)]
    for pid in family:
        processes.kill(pid)
    processes.wait_gone(family)


# --- The buyer, and the operator ---

def test_reserved_is_queued(stack, new_sale):
    """Whatever becomes of the worker, and whoever asks."""
    sku = new_sale(stock=10, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        order = stack.web.buy(sku, "alice", key="k").json
        assert order["status"] == "queued"
        assert stack.web.buy(sku, "alice", key="k").json["status"] == "queued"
        assert stack.web.order(sku, order["orderId"])["status"] == "queued"
        status = json.loads(stack.cli("status", sku, "--json").stdout)
        sale, = status["sales"]
        assert (sale["reserved"], sale["queued"], sale["outbox"]) == (0, 1, 1)
        assert status["queue"]["visible"] == 1
        assert status["queue"]["inFlight"] == 0
        books = stack.cli("books", sku, "--json")
        assert json.loads(books.stdout)["underWay"] == 1, books.stderr
        assert stack.cli("drain", sku, "--timeout", 0).returncode == 1
        verified = stack.cli("verify", sku)
        assert verified.returncode == 0, verified.stdout
    stack.wait_settled(sku, [order["orderId"]])
    assert stack.cli("drain", sku).returncode == 0
    assert stack.cli("books", sku).returncode == 0
    assert stack.cli("verify", sku).returncode == 0


def test_ready_means_redis_alone(stack):
    assert stack.web.get("/readyz").json == {"status": "ready", "redis": "ok"}
    with stack.without("redis"):
        def unavailable():
            reply = stack.web.get("/readyz")
            assert_problem(reply, 503, "unavailable", redis="unavailable")
            return "sqs" not in reply.json
        eventually(unavailable)


def test_no_sqs_setting_is_asked_for(stack):
    for program in ("flashsale-fcgi", "flashsale-worker"):
        env = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1",
               "MYSQL_URL": "mysql://u@localhost/d"}
        check = [PROGRAMS / program, "--check"]
        done = subprocess.run(check, env={**env, "QUEUE": "redis"})
        assert done.returncode == 0
        done = subprocess.run(check, env=env, capture_output=True, text=True)
        assert done.returncode == 78 and "QUEUE=redis" in done.stderr
        done = subprocess.run(check, env={**env, "QUEUE": "kafka"},
                              capture_output=True, text=True)
        assert done.returncode == 78 and "sqs or redis" in done.stderr


def test_what_the_operator_does_travels_the_same_way(stack, new_sale):
    sku = new_sale(stock=5)
    assert stack.cli("pause", sku).returncode == 0
    eventually(lambda: [sale["state"] for sale in stack.books.sales(sku)]
               == ["paused"])
    eventually(lambda: stack.outbox(sku) == 0)


# --- The worker comes and goes ---

def test_killed_in_the_middle_of_a_haul(stack, new_sale):
    """Another worker claims what it held when its lease is over."""
    sku = new_sale(stock=100, limit=0)
    stack.wait_settled(sku, [])
    with stack.frozen("mariadb"):
        orders = buy_some(stack, sku, 40)
        eventually(lambda: held(stack, sku) > 0)
        kill_worker(stack)
        assert stack.outbox(sku) == 40
    stack.wait_settled(sku, orders)
    assert stack.books.sales(sku)[0]["sold"] == 40


def test_killed_between_commit_and_answer(stack, new_sale):
    """What is in MySQL already is delivered again, and changes nothing."""
    sku = new_sale(stock=100, limit=0)
    with stack.without("worker"):
        orders = buy_some(stack, sku, 20)
        entries = stack.redis.xrange(key(sku))
    stack.wait_settled(sku, orders)
    for _, fields in entries:
        stack.redis.xadd(key(sku), fields)
    stack.wait_settled(sku, orders)
    assert stack.books.sales(sku)[0]["sold"] == 20
    assert stack.web.stock(sku)["remaining"] == 80
    assert stack.web.order(sku, orders[0])["status"] == "confirmed"


def test_stopped_it_has_nothing_in_hand(stack, new_sale):
    """SIGTERM lets the haul end: nobody waits for a lease."""
    sku = new_sale(stock=1_000_000, limit=0)
    with Load(stack.web, sku) as load:
        for turn in range(3):
            seen = len(stack.books.ids(sku))
            eventually(lambda: len(stack.books.ids(sku)) > seen)
            with stack.without("worker"):
                assert held(stack, sku) == 0
    assert not load.failures
    stack.wait_settled(sku, [o.body["orderId"]
                             for o in accepted(load.outcomes)])


def test_reload_of_the_worker(stack, new_sale):
    sku = new_sale(stock=300, limit=0)
    before = set(processes.children(stack.pid("worker")))
    stack.kill("worker", signal.SIGHUP)
    orders = buy_some(stack, sku, 50)
    eventually(lambda: not before & set(
        processes.children(stack.pid("worker"))), 60, "children replaced")
    stack.wait_settled(sku, orders)


# --- MySQL ---

def test_mysql_away_and_back(stack, new_sale):
    """Nothing is parked however long it takes, and what was in hand when it
    went does not wait for its lease."""
    sku = new_sale(stock=200, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("mariadb"):
        orders = buy_some(stack, sku, 60)
        stays(lambda: stack.outbox(sku) == 60, 3)
        # Handed back, and that delivery does not count.
        eventually(lambda: [] != deliveries(stack, sku)
                   and set(deliveries(stack, sku)) == {0})
        assert stack.web.get("/readyz").status == 200
    stack.wait_settled(sku, orders)


def test_mysql_killed_under_load(stack, new_sale):
    sku = new_sale(stock=1000, limit=0)
    orders = []
    for turn in range(3):
        orders += buy_some(stack, sku, 100, f"{turn}-")
        stack.kill("mariadb")
    stack.wait_settled(sku, orders, 90)


# --- What makes no sense ---

def parked(stack, sku):
    return stack.books.ask(
        "SELECT * FROM parked WHERE message_id LIKE %s", f"{sku}/%")


def test_poison_is_parked_and_the_others_pass(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        orders = buy_some(stack, sku, 5)
        good = dict(stack.redis.xrange(key(sku))[0][1])
        poison = [{"hello": "world"},
                  {"type": "order", "order_id": "none"},
                  {**good, "order_id": good["sale_id"], "quantity": "0"},
                  {**good, "order_id": good["sale_id"], "user": "a b"},
                  {**good, "order_id": good["sale_id"], "user": "x" * 300},
                  {"x": "y" * 200000}]
        for fields in poison:
            stack.redis.xadd(key(sku), fields)
        orders += buy_some(stack, sku, 5, "v")
    stack.wait_settled(sku, orders)
    rows = parked(stack, sku)
    assert len(rows) == len(poison) and all(row["reason"] for row in rows)
    bodies = [row["body"] for row in rows]
    assert "hello=world\n" in bodies
    assert any("quantity" in row["reason"] for row in rows)
    assert any(row["body_bytes"] > 200000 for row in rows)


def test_an_outbox_that_is_none_hides_nothing(stack, new_sale, new_sku,
                                              expect_errors):
    expect_errors("stuck in the outbox: ")
    broken = new_sku()
    stack.redis.set(key(broken), "no stream")
    stack.redis.sadd("fs:sales", broken)
    try:
        sku = new_sale(stock=10, limit=0)
        orders = buy_some(stack, sku, 10)
        eventually(lambda: stack.books.ids(sku) == sorted(orders))
        assert stack.cli("status", sku).returncode == 0
    finally:
        stack.redis.srem("fs:sales", broken)
        stack.redis.delete(key(broken))


def test_a_dead_order_gives_its_units_back_once(stack, new_sale):
    """MySQL will never have it: parked, and its units are on sale again."""
    sku = new_sale(stock=5, limit=2)
    user = f"cursed-{sku}"
    stack.books.ask("ALTER TABLE orders ADD CONSTRAINT no_such_user "
                    f"CHECK (user_id <> '{user}')")
    try:
        order = stack.web.buy(sku, user, 2).json["orderId"]
        eventually(lambda: stack.web.order(sku, order)["status"] == "rejected")
    finally:
        stack.books.ask("ALTER TABLE orders DROP CONSTRAINT no_such_user")
    assert stack.web.stock(sku)["remaining"] == 5
    assert len(parked(stack, sku)) == 1
    other = stack.web.buy(sku, "bob").json["orderId"]
    stack.wait_settled(sku, [other])


def test_reset_while_orders_wait(stack, new_sale):
    """The orders of the sale before drain into their own sale."""
    sku = new_sale(stock=20, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        before = buy_some(stack, sku, 15)
        assert stack.web.reset(sku, 10).status == 200
        after = buy_some(stack, sku, 10, "v")
    stack.wait_settled(sku, before + after)
    assert [(s["total"], s["sold"]) for s in stack.books.sales(sku)] \
        == [(20, 15), (10, 10)]
    assert stack.web.stock(sku)["remaining"] == 0
    assert stack.web.order(sku, before[0])["status"] == "confirmed"


# --- Redis ---

def wait_open(stack, sku):
    eventually(lambda: stack.web.get(f"/stock/{sku}").status == 200
               and stack.web.stock(sku)["status"] != "recovering", 60,
               f"{sku} rebuilt")


def test_redis_restarts_with_its_data(stack, new_sale):
    """What it had on disk counts, taken or not, and comes to MySQL."""
    stack.redis.config_set("appendfsync", "always")
    sku = new_sale(stock=100, limit=0)
    stack.wait_settled(sku, [])
    with stack.frozen("mariadb"):
        orders = buy_some(stack, sku, 20)
        eventually(lambda: held(stack, sku) > 0)
        kill_worker(stack)
    with stack.without("worker"):
        orders += buy_some(stack, sku, 10, "v")
        stack.kill("redis")
    wait_open(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 70
    stack.wait_settled(sku, orders)
    assert stack.web.stock(sku)["remaining"] == 70


def test_redis_that_has_lost_the_group(stack, new_sale):
    """All that is there comes again."""
    sku = new_sale(stock=100, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        orders = buy_some(stack, sku, 20)
        stack.redis.xreadgroup(GROUP, "worker", {key(sku): ">"}, count=5)
        stack.redis.xgroup_destroy(key(sku), GROUP)
    stack.wait_settled(sku, orders)


def test_redis_restarts_with_nothing(stack, new_sale):
    """What MySQL has comes back; there is no queue that has more."""
    sku = new_sale(stock=10, limit=2)
    order = stack.web.buy(sku, "alice", quantity=2, key="k").json["orderId"]
    stack.wait_settled(sku, [order])
    with stack.without("redis"):
        shutil.rmtree(stack.directory / "data/redis/appendonlydir")
    wait_open(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 8
    again = stack.web.buy(sku, "alice", quantity=2, key="k").json
    assert again["orderId"] == order
    bob = stack.web.buy(sku, "bob").json["orderId"]
    stack.wait_settled(sku, [order, bob])
