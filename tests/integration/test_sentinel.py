"""Redis fails over to its replica, or falls apart into two: the responders
and the worker follow the Sentinels, and the books add up."""

import json

import pytest

from harness.crowd import Load, accepted, count, rush
from harness.rebuild import assert_books, recovering, wait_rebuilt
from harness.responder import Responder
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("sentinel")


@pytest.fixture
def redis(stack):
    """The two Redis and their Sentinels, whole, and the engine with them."""
    stack.redis_group.wait_whole()
    stack.wait_healed()
    return stack.redis_group


@pytest.fixture(autouse=True)
def errors_are_expected(expect_errors):
    expect_errors("(?i)redis|sentinel|sqs|unavailable|timeout|send|rejected")


def bought(outcomes):
    return [o.body["orderId"] for o in accepted(outcomes)]


def test_failover_in_mid_sale(stack, redis, new_sale):
    """The master dies under load; buyers are told to come back, and come."""
    sku = new_sale(stock=4000, limit=0)
    old, new = redis.wait_whole(), redis.replica
    first = stack.web.buy(sku, "alice", key="k1").json["orderId"]
    stack.wait_settled(sku, [first])
    with Load(stack.web, sku) as load:
        eventually(lambda: len(accepted(load.outcomes)) > 50)
        old.kill()
        eventually(lambda: recovering(load.last), 60, "a buyer hears of it")
        answered = len(load.outcomes)
        wait_rebuilt(stack, sku)
        eventually(lambda: len(accepted(load.outcomes[answered:])) > 50)
    assert not load.failures
    assert {o.status for o in load.outcomes} <= {202, 503}
    assert new.role == "master"
    # Who was told that his order is in the queue has it, once.
    queued = [o.body["orderId"] for o in accepted(load.outcomes)
              if o.body["status"] == "queued"]
    eventually(lambda: stack.outbox(sku) == 0 and stack.queue.depth() == 0)
    eventually(lambda: {first, *queued} <= set(stack.books.ids(sku)))
    assert stack.web.buy(sku, "alice", key="k1").json["orderId"] == first
    # The old one comes back, as a replica, and nobody buys from it.
    old.start()
    redis.wait_whole(new)
    rest = rush(stack.web, sku, [f"late{n}" for n in range(100)], 20)
    assert count(rest) == {"accepted": 100}
    eventually(lambda: stack.outbox(sku) == 0 and stack.queue.depth() == 0)
    eventually(lambda: set(bought(rest)) <= set(stack.books.ids(sku)))
    assert not stack.books.ids(sku, "rejected")
    assert stack.web.stock(sku)["remaining"] == 4000 - stack.books.units(sku)


def test_failover_to_a_replica_that_lags(stack, redis, new_sale):
    """It has not heard of the last orders: it has their units still, and
    must not sell them."""
    sku = new_sale(stock=100, limit=0)
    early = bought(rush(stack.web, sku, [f"a{n}" for n in range(20)], 10))
    stack.wait_settled(sku, early)
    old = redis.wait_whole()
    new = redis.replica
    new.stop()
    missed = bought(rush(stack.web, sku, [f"b{n}" for n in range(30)], 10))
    assert len(missed) == 30
    stack.wait_settled(sku, early + missed)
    old.kill()
    new.start()
    eventually(lambda: new.role == "master", 90, "promoted")
    assert int(new.client.hget(f"fs:{{{sku}}}:sale", "remaining")) == 80
    eventually(lambda: recovering(stack.web.buy(sku, "early-bird")), 60)
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 50
    late = rush(stack.web, sku, [f"c{n}" for n in range(80)], 20)
    assert count(late) == {"accepted": 50, "sold_out": 30}
    assert_books(stack, sku, early + missed + bought(late), 100)
    assert not stack.books.ids(sku, "rejected")
    old.start()


def test_a_master_that_was_a_replica_meanwhile(stack, redis, new_sale):
    """To the lagging one and back, before anybody has rebuilt anything: the
    same process as before, with data that says it belongs to it."""
    sku = new_sale(stock=100, limit=0)
    stack.wait_settled(sku, [])
    master, lagging = redis.wait_whole(), redis.replica
    for sentinel in redis.sentinels:
        sentinel.stop()
    lagging.client.replicaof("NO", "ONE")
    missed = bought(rush(stack.web, sku, [f"a{n}" for n in range(30)], 10))
    assert len(missed) == 30
    stack.wait_settled(sku, missed)
    with stack.without("worker"):
        master.client.replicaof("127.0.0.1", lagging.port)
        eventually(lambda: master.client.info("replication")
                   ["master_link_status"] == "up")
        eventually(lambda: stack.web.get("/readyz").code == "unavailable")
        master.client.replicaof("NO", "ONE")
        assert master.client.hget(f"fs:{{{sku}}}:sale", "remaining") == "100"
        eventually(lambda: recovering(stack.web.buy(sku, "early-bird")), 60)
        stays(lambda: stack.web.buy(sku, "early-bird").status == 503, 2)
        # Without Sentinels a new worker would not find it.
        lagging.client.replicaof("127.0.0.1", master.port)
        for sentinel in redis.sentinels:
            sentinel.start()
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 70


def test_a_planned_failover(stack, redis, new_sale):
    """The master does not die but becomes a replica: it is left at once."""
    sku = new_sale(stock=100, limit=0)
    early = bought(rush(stack.web, sku, [f"a{n}" for n in range(20)], 10))
    new = redis.replica
    assert redis.sentinels[0].client.execute_command(
        "SENTINEL", "FAILOVER", "mymaster")
    redis.wait_whole(new)
    eventually(lambda: stack.web.buy(sku, "bob", key="k").status == 202, 60)
    bob = stack.web.buy(sku, "bob", key="k").json["orderId"]
    assert_books(stack, sku, [*early, bob], 100)


def test_the_cli_follows_too(stack, redis, new_sku):
    sku = new_sku()
    assert stack.cli("open", sku, "--stock", 5).returncode == 0
    assert sku in stack.cli("status", sku).stdout
    assert redis.wait_whole().client.hget(f"fs:{{{sku}}}:sale", "total") == "5"


def test_a_replica_is_nobody_to_buy_from(stack, redis, new_sale):
    """Whoever was given its address: told to come back."""
    sku = new_sale()
    stack.wait_settled(sku, [])
    port = redis.replica.port
    done = stack.cli("status", REDIS_URL=f"redis://127.0.0.1:{port}")
    assert done.returncode == 69
    assert "is a replica" in done.stderr, done.stderr


def test_a_cut_off_master_stops_selling(stack, redis, new_sale):
    """With min-replicas-to-write: nobody copies what it sells, so it sells
    nothing, though its responders reach it and no Sentinel says a word."""
    sku = new_sale(stock=10)
    stack.wait_settled(sku, [])
    cut, other = redis.wait_whole(), redis.replica
    cut.client.config_set("min-replicas-to-write", 1)
    try:
        assert stack.web.buy(sku, "alice").status == 202
        for sentinel in redis.sentinels:
            sentinel.stop()
        other.stop()
        eventually(lambda: stack.web.buy(sku, "bob", key="k").status == 503)
        reply = stack.web.buy(sku, "bob", key="k")
        assert_problem(reply, 503, "unavailable")
        assert stack.web.stock(sku)["remaining"] == 9
    finally:
        other.start()
        for sentinel in redis.sentinels:
            sentinel.start()
    redis.wait_whole(cut)
    assert stack.web.buy(sku, "bob", key="k").json["remaining"] == 8
    cut.client.config_set("min-replicas-to-write", 0)


def test_two_masters_oversell_nothing(stack, redis, new_sale):
    """Without it, the old master sells on to those who only reach that: what
    is too much is rejected by MySQL, whoever sold it."""
    sku = new_sale(stock=60, limit=0)
    stack.wait_settled(sku, [])
    eventually(lambda: stack.books.sales(sku))
    old, new = redis.wait_whole(), redis.replica
    with Responder(stack, REDIS_URL=f"redis://127.0.0.1:{old.port}") as cut:
        for sentinel in redis.sentinels:
            sentinel.stop()
        new.client.replicaof("NO", "ONE")
        redis.point_sentinels_at(new)
        eventually(lambda: stack.web.stock(sku)["status"] == "recovering")
        wait_rebuilt(stack, sku)
        there = [cut.ask("POST", f"/buy/{sku}", b'{"userId":"a%d"}' % n)
                 for n in range(40)]
        assert [status for status, _ in there] == [202] * 40
    told = {json.loads(body)["orderId"] for _, body in there}
    left, heard = [f"b{n}" for n in range(60)], set()

    def everybody_is_answered():
        # The first replica of a master begins a new epoch there.  If MySQL
        # has the orders of the other one by then, so has the new epoch.
        here = rush(stack.web, sku, left, 20)
        heard.update(count(here))
        told.update(bought(here))
        left[:] = [o.user for o in here
                   if o.status != 202 and o.code != "sold_out"]
        return not left
    eventually(everybody_is_answered, 60)
    assert heard <= {"accepted", "recovering", "sold_out"}
    assert len(told) == 100 or "sold_out" in heard and len(told) >= 60
    eventually(lambda: told == {*stack.books.ids(sku),
                                *stack.books.ids(sku, "rejected")}, 60)
    assert stack.books.units(sku) == 60
    old.client.replicaof("127.0.0.1", new.port)
