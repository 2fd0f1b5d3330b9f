"""Redis has lost data: nothing is sold until it is rebuilt from MySQL, the
queue and what survived; then everything is as the buyers were told."""

import shutil

import pytest

from harness.crowd import Load, accepted, count, rush
from harness.rebuild import assert_books, recovering, wait_rebuilt
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("recovery")


@pytest.fixture(autouse=True)
def everything_runs(stack):
    stack.wait_healed()


@pytest.fixture(autouse=True)
def errors_are_expected(expect_errors):
    expect_errors("(?i)redis|sqs|mysql|unavailable|timeout|queue|send")


def redis_files(stack):
    return stack.directory / "data" / "redis"


def wipe(stack):
    """Redis starts again with nothing."""
    with stack.without("redis"):
        shutil.rmtree(redis_files(stack) / "appendonlydir")


def restore(stack, copy):
    """Redis starts again with older data."""
    with stack.without("redis"):
        shutil.rmtree(redis_files(stack))
        shutil.copytree(copy, redis_files(stack))


def worker_log(stack):
    return (stack.directory / "log/worker.log").read_text()


class Backup:
    """Redis' data of a moment, to go back to."""

    def __init__(self, stack, directory):
        self.stack, self.copy = stack, directory / "copy"
        with stack.without("redis"):
            shutil.copytree(redis_files(stack), self.copy)
        stack.wait_healed()

    def restore(self):
        restore(self.stack, self.copy)


def test_restart_with_nothing(stack, new_sale):
    sku = new_sale(stock=10, limit=2, name="Café")
    before = stack.web.stock(sku)
    order = stack.web.buy(sku, "alice", quantity=2, key="k1").json
    stack.wait_settled(sku, [order["orderId"]])
    with stack.without("worker"):
        wipe(stack)
        reply = eventually(lambda: recovering(stack.web.buy(sku, "bob")), 20)
    assert_problem(reply, 503, "recovering")
    assert int(reply.headers["retry-after"]) >= 1
    wait_rebuilt(stack, sku)
    after = stack.web.stock(sku)
    assert after["saleId"] == before["saleId"]
    assert (after["name"], after["limit"]) == ("Café", 2)
    # The request is remembered, the limit too, and the order's status.
    again = stack.web.buy(sku, "alice", quantity=2, key="k1")
    assert again.status == 202 and again.json["orderId"] == order["orderId"]
    assert_problem(stack.web.buy(sku, "alice"), 409, "limit_reached")
    assert stack.web.order(sku, order["orderId"])["status"] == "confirmed"
    bob = stack.web.buy(sku, "bob").json["orderId"]
    assert_books(stack, sku, [order["orderId"], bob], 10)


def test_unknown_sku_is_not_denied_too_soon(stack, new_sale):
    """While Redis is empty nobody can say that there is no such sale."""
    sku = new_sale()
    stack.wait_settled(sku, [])
    eventually(lambda: stack.books.sales(sku))
    order = f"/orders/{sku}/01a20417-87b3-7d6b-b48c-1ac814cd32da"
    with stack.without("worker"):
        wipe(stack)
        eventually(
            lambda: recovering(stack.web.get("/stock/never-was"))
            and recovering(stack.web.get("/readyz"))
            and recovering(stack.web.get(order))
            and recovering(stack.web.reset(sku, 5))
            and stack.cli("open", "other", "--stock", 1).returncode == 69,
            20)
    wait_rebuilt(stack, sku)
    eventually(lambda: stack.web.get("/stock/never-was").code
               == "no_such_sale", 20)
    eventually(lambda: stack.web.get("/readyz").status == 200, 20)


def test_the_commands_say_that_it_is_being_rebuilt(stack, new_sale):
    """Nothing is missed, denied or begun anew."""
    sku = new_sale(stock=10)
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    eventually(lambda: stack.books.sales(sku))
    with stack.without("worker"):
        wipe(stack)
        eventually(lambda: stack.redis.ping())
        for command in (["books", sku], ["status", sku], ["drain", sku],
                        ["drain"], ["verify", sku], ["verify"],
                        ["repair", sku, "--wait", "0"], ["pause", sku],
                        ["resume", sku], ["close", sku],
                        ["reset", sku, "--stock", "5"],
                        ["open", sku, "--stock", "5"]):
            done = stack.cli(*command)
            assert done.returncode == 69, done
            assert "rebuilt" in done.stderr, done
            assert "throttled" not in done.stderr, done
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["total"] == 10
    assert_books(stack, sku, [order], 10)


def test_older_data(stack, new_sale, tmp_path):
    """Redis comes back without its last orders."""
    sku = new_sale(stock=100, limit=0)
    first = [o.body["orderId"] for o in accepted(
        rush(stack.web, sku, [f"a{n}" for n in range(20)], 10))]
    stack.wait_settled(sku, first)
    backup = Backup(stack, tmp_path)
    wait_rebuilt(stack, sku)
    second = [o.body["orderId"] for o in accepted(
        rush(stack.web, sku, [f"b{n}" for n in range(30)], 10))]
    assert len(second) == 30
    backup.restore()
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 50
    outcomes = rush(stack.web, sku, [f"c{n}" for n in range(80)], 20)
    assert count(outcomes) == {"accepted": 50, "sold_out": 30}
    third = [o.body["orderId"] for o in accepted(outcomes)]
    assert_books(stack, sku, first + second + third, 100)


def test_orders_that_only_the_queue_has(stack, new_sale):
    """Told 202, not in MySQL yet: the rebuild waits for them."""
    sku = new_sale(stock=50, limit=0)
    stack.wait_settled(sku, [])
    eventually(lambda: stack.books.sales(sku))
    with stack.without("worker"):
        bought = [o.body["orderId"] for o in accepted(
            rush(stack.web, sku, [f"u{n}" for n in range(30)], 10))]
        assert len(bought) == 30
        wipe(stack)
        stays(lambda: stack.web.buy(sku, "x").status == 503, 2.0)
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 20
    assert_books(stack, sku, bought, 50)


def test_orders_that_only_the_dead_letters_have(stack, new_sale):
    """They are booked yet, when their time comes."""
    sku = new_sale(stock=10)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        order = stack.web.buy(sku, "alice").json["orderId"]
        eventually(lambda: stack.outbox(sku) == 0)
        message, = eventually(lambda: stack.queue.receive(wait=1))
        stack.queue.delete(message)
        stack.dlq.send(message["Body"])
        # Nobody else gets it for a while.
        held, = eventually(lambda: stack.dlq.receive(visibility=300))
        wipe(stack)
    eventually(lambda: "sales wait for the dead letters: 0 visible, 1 in "
               "flight, 0 delayed" in worker_log(stack), 60)
    stack.dlq.hand_back(held)
    wait_rebuilt(stack, sku)
    assert_books(stack, sku, [order], 10)


def test_orders_that_only_the_outbox_has(stack, new_sale, tmp_path):
    """Reserved while SQS was away, and Redis restarts with its data.  (With
    appendfsync everysec a killed Redis may lose what it held back while the
    disk was busy; then such orders are gone.)"""
    stack.redis.config_set("appendfsync", "always")
    sku = new_sale(stock=50, limit=0)
    stack.wait_settled(sku, [])
    with stack.without("worker"):
        with stack.without("sqs"):
            bought = [o.body["orderId"] for o in accepted(
                rush(stack.web, sku, [f"u{n}" for n in range(30)], 10))]
            assert len(bought) == 30
            stack.kill("redis")
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 20
    assert_books(stack, sku, bought, 50)


def test_a_reset_that_mysql_does_not_know_yet(stack, new_sale):
    """The orders of the sale before are not those of the new one."""
    stack.redis.config_set("appendfsync", "always")
    sku = new_sale(stock=10)
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    with stack.without("worker"):
        with stack.without("sqs"):
            assert stack.web.reset(sku, 10).status == 200
            stack.kill("redis")
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 10
    assert stack.web.buy(sku, "alice").status == 202


def test_dead_orders_stay_dead(stack, new_sale, tmp_path):
    """Parked, and Redis comes back as it was before: their units are on sale,
    and whoever has an empty Redis tells their buyers so too."""
    sku = new_sale(stock=10, limit=2)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            order = stack.web.buy(sku, user, 2, key="k").json["orderId"]
            with stack.without("redis"):
                shutil.copytree(redis_files(stack), tmp_path / "copy")
        wait_rebuilt(stack, sku)
        eventually(lambda: stack.web.order(sku, order)["status"]
                   == "rejected")
        eventually(lambda: stack.outbox(sku) == 0)
    for lose in (lambda: restore(stack, tmp_path / "copy"),
                 lambda: wipe(stack)):
        lose()
        wait_rebuilt(stack, sku)
        assert stack.web.stock(sku)["remaining"] == 10
        assert stack.web.order(sku, order)["status"] == "rejected"
        assert stack.web.buy(sku, user, 2, key="k").json["orderId"] == order
    done = stack.cli("verify", sku)
    assert done.returncode == 0, done


def test_closed_stays_closed(stack, new_sale):
    """What the operator has set is not undone by an accident."""
    paused, closed = new_sale(), new_sale()
    assert stack.cli("pause", paused).returncode == 0
    assert stack.cli("close", closed).returncode == 0
    eventually(lambda: [s["state"] for s in stack.books.sales(paused)
                        + stack.books.sales(closed)] == ["paused", "closed"])
    wipe(stack)
    wait_rebuilt(stack, closed)
    wait_rebuilt(stack, paused)
    assert_problem(stack.web.buy(closed, "alice"), 409, "closed")
    assert_problem(stack.web.buy(paused, "alice"), 409, "paused")


def test_lost_before_mysql_had_its_definition(stack, new_sale):
    """An order was faster.  Nobody is to buy without the limit and the times
    that there were, nor is MySQL to be told that there were none."""
    sku = new_sale(stock=10, limit=1)
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    eventually(lambda: stack.books.sales(sku)[0]["defined"])
    stack.books.ask("UPDATE sales SET defined = 0, limit_per_user = NULL "
                    "WHERE sku = %s", sku)
    wipe(stack)
    wait_rebuilt(stack, sku)
    assert f"MySQL has no definition of {sku}: paused" in worker_log(stack)
    assert_problem(stack.web.buy(sku, "alice"), 409, "paused")
    done = stack.cli("resume", sku)
    assert done.returncode == 1 and "reset it" in done.stderr, done
    assert_problem(stack.web.admin(f"/admin/state/{sku}",
                                   {"state": "open"}), 422, "bad_field")
    assert_problem(stack.web.reset(sku, 10), 422, "bad_field")
    done = stack.cli("reset", sku, "--stock", 5)
    assert done.returncode == 1 and "--limit" in done.stderr, done
    assert not stack.books.sales(sku)[0]["defined"]
    reply = stack.web.reset(sku, 10, name="Bike", limit=1, opensAt=0,
                            closesAt=0)
    assert reply.status == 200, reply
    assert stack.web.buy(sku, "alice").status == 202


def test_a_sale_that_cannot_be_rebuilt_holds_up_no_other(stack, new_sale,
                                                         expect_errors):
    expect_errors("rebuild of", "is damaged")
    stack.redis.config_set("appendfsync", "always")
    damaged, other = sorted((new_sale(stock=10), new_sale(stock=10)))
    stack.wait_settled(other, [])
    stack.redis.set(f"fs:{{{damaged}}}:orders", "no hash")
    stack.kill("redis")
    wait_rebuilt(stack, other)
    assert stack.web.buy(other, "alice").status == 202
    eventually(lambda: f"rebuild of {damaged}: Redis says: WRONGTYPE"
               in worker_log(stack))
    assert_problem(stack.web.get("/readyz"), 503, "recovering")
    stack.redis.delete(f"fs:{{{damaged}}}:orders")
    wait_rebuilt(stack, damaged)
    eventually(lambda: stack.web.get("/readyz").status == 200, 20)


@pytest.mark.parametrize("field", ["sale_id", "total"])
def test_a_damaged_sale_hides_no_other_and_is_rebuilt(stack, new_sale,
                                                      expect_errors, field):
    expect_errors("is damaged", "reserve: Redis says")
    damaged, other = new_sale(stock=10), new_sale(stock=10)
    order = stack.web.buy(damaged, "alice", key="k").json["orderId"]
    stack.wait_settled(damaged, [order])
    stack.redis.hdel(f"fs:{{{damaged}}}:sale", field)

    def listed():
        reply = stack.web.get("/sales")
        assert reply.status == 200, reply
        return [sale["sku"] for sale in reply.json["sales"]]
    eventually(lambda: damaged not in listed())
    assert other in listed()
    eventually(lambda: stack.web.get(f"/stock/{damaged}").code
               == "unavailable")
    assert_problem(stack.web.buy(damaged, "bob"), 503, "unavailable")
    stack.redis.delete("fs:epoch")
    wait_rebuilt(stack, damaged)
    assert stack.web.stock(damaged)["remaining"] == 9
    again = stack.web.buy(damaged, "alice", key="k")
    assert again.json["orderId"] == order


def test_mysql_away_meanwhile(stack, new_sale):
    """No rebuild without MySQL; it goes on when MySQL is back."""
    sku = new_sale(stock=10)
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    with stack.without("mariadb"):
        wipe(stack)
        stays(lambda: stack.web.buy(sku, "bob").status == 503, 8.0)
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 9
    assert_books(stack, sku, [order], 10)


def test_lost_in_mid_sale_three_times(stack, new_sale):
    """Under load, with whatever Redis has on its disk, or nothing."""
    sku = new_sale(stock=3000, limit=0)
    bought = []
    for lose in (lambda: stack.kill("redis"), lambda: wipe(stack),
                 lambda: stack.kill("redis")):
        with Load(stack.web, sku) as load:
            eventually(lambda: len(accepted(load.outcomes)) > 50)
            lose()
            stays(lambda: True, 0.5)
        assert not load.failures
        assert {o.status for o in load.outcomes} <= {202, 409, 503}
        bought += [o.body["orderId"] for o in accepted(load.outcomes)
                   if o.body["status"] == "queued"]
        wait_rebuilt(stack, sku)
    rush(stack.web, sku, [f"last{n}" for n in range(3000)], 100)
    assert stack.web.stock(sku)["remaining"] == 0
    eventually(lambda: stack.outbox(sku) == 0
               and stack.queue.depth() == 0, 120)
    ids = set(stack.books.ids(sku))
    assert set(bought) <= ids
    # An order that only the lost Redis knew leaves a unit unsold at most;
    # none is sold twice.
    assert stack.books.units(sku) <= 3000
    assert not stack.books.ids(sku, "rejected")
