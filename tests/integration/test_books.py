"""The books of a sale: every unit is on sale or in one live order, and what
is not so is named and mended."""

import concurrent.futures
import contextlib
import json
import re
import subprocess

import pytest

from harness import processes
from harness.crowd import Load, accepted, rush
from harness.stack import PROGRAMS, ROOT
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("books")


def key(sku, what):
    return f"fs:{{{sku}}}:{what}"


def verify(stack, sku):
    """What flashsale verify says of a sale, and its exit code."""
    done = stack.cli("verify", sku, "--json")
    assert done.returncode in (0, 1), done
    sale, = json.loads(done.stdout)["sales"]
    assert sale["balances"] == (done.returncode == 0), done
    assert len(sale["differences"]) == min(sale["differencesInAll"], 100)
    return sale


def kinds(stack, sku):
    return sorted(d["kind"] for d in verify(stack, sku)["differences"])


def repair(stack, sku):
    """Run it dry, then really, then once more: the second time there is
    nothing left to do."""
    before = kinds(stack, sku)
    dry = stack.cli("repair", sku, "--dry-run")
    assert dry.returncode == 1 and "would" in dry.stdout, dry
    assert kinds(stack, sku) == before
    done = stack.cli("repair", sku)
    assert done.returncode == 0, done
    eventually(lambda: stack.outbox(sku) == 0
               and stack.queue.depth() == 0)
    again = stack.cli("repair", sku)
    assert again.returncode == 0, again
    assert again.stdout == f"{sku}  balances\n", again
    sale = verify(stack, sku)
    assert sale["balances"] and sale["drained"], sale
    return done.stdout


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


def test_the_unit_of_a_dead_order_is_sold_to_another(stack, new_sale):
    """Though everybody has heard that the sale is sold out."""
    sku = new_sale(stock=1)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        with stack.without("worker"):
            assert stack.web.buy(sku, user).status == 202
            for n in range(3):
                assert_problem(stack.web.buy(sku, f"u{n}"), 409, "sold_out")
        bought = eventually(lambda: accepted(
            rush(stack.web, sku, ["late"] * 5, 1)))
    stack.wait_settled(sku, [bought[0].body["orderId"]])
    assert_problem(stack.web.buy(sku, "too-late"), 409, "sold_out")
    assert verify(stack, sku)["balances"]


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


def test_a_dead_order_that_is_booked_when_its_unit_is_sold(stack, new_sale,
                                                           expect_errors):
    """MySQL has one unit for two: both hear what it decides."""
    expect_errors("orders rejected: 1")
    sku = new_sale(stock=1)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        order = stack.web.buy(sku, user).json["orderId"]
        eventually(lambda: status(stack, sku, order) == "rejected")
    parked, = stack.books.ask(
        "SELECT body FROM parked WHERE body LIKE %s", f"%{order}%")
    with stack.without("worker"):
        stack.queue.send(parked["body"])
        # The unit is on sale when the gatekeeper has given its lease back.
        eventually(lambda: not stack.redis.exists(key(sku, "gates")))
        other = stack.web.buy(sku, "bob").json["orderId"]
    eventually(lambda: len(stack.books.ids(sku)) == 1
               and len(stack.books.ids(sku, "rejected")) == 1)
    confirmed, = stack.books.ids(sku)
    eventually(lambda: status(stack, sku, confirmed) == "confirmed")
    rejected, = {order, other} - {confirmed}
    eventually(lambda: status(stack, sku, rejected) == "rejected")


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



# --- Nothing is wrong ---

def test_after_a_race(stack, new_sale):
    sku = new_sale(stock=100)
    orders = [o.body["orderId"] for o in accepted(
        rush(stack.web, sku, [f"u{n}" for n in range(400)], 50))]
    stack.wait_settled(sku, orders)
    sale = verify(stack, sku)
    assert sale["balances"] and sale["drained"], sale
    assert (sale["total"], sale["remaining"], sale["live"]) == (100, 0, 100)
    text = stack.cli("verify", sku)
    assert "balances" in text.stdout and sku in text.stdout, text
    done = stack.cli("repair", sku)
    assert done.returncode == 0 and done.stdout == f"{sku}  balances\n", done


def test_no_false_alarm_while_people_buy(stack, new_sale):
    sku = new_sale(stock=100_000, limit=0)
    with Load(stack.web, sku, connections=16) as load:
        eventually(lambda: len(load.outcomes) > 100)
        for _ in range(5):
            sale = verify(stack, sku)
            assert sale["balances"], sale
            assert sale["live"] + sale["remaining"] == sale["total"]
        # Nor does repair find anything to do.
        done = stack.cli("repair", sku, "--wait", 0)
        assert done.returncode == 0 and "left for you" not in done.stdout
    assert not load.failures
    stack.wait_settled(sku, [
        o.body["orderId"] for o in accepted(load.outcomes)])
    assert verify(stack, sku)["drained"]


def test_what_moves_is_not_lost(stack, new_sale):
    sku = new_sale(stock=10)
    with stack.without("worker"):
        orders = [stack.web.buy(sku, f"u{n}").json["orderId"]
                  for n in range(3)]
        eventually(lambda: stack.outbox(sku) == 0)
        sale = verify(stack, sku)
        assert sale["balances"] and not sale["drained"], sale
        assert sale["movingInQueue"] == 3, sale
    stack.wait_settled(sku, orders)
    assert verify(stack, sku)["movingInQueue"] == 0


def test_a_sale_that_is_not_there(stack, new_sku):
    for command in ("verify", "repair"):
        done = stack.cli(command, sku := new_sku())
        assert done.returncode == 1 and sku in done.stderr, done


# --- Damage, made by hand ---

@pytest.fixture
def sold(stack, new_sale):
    """A sale of 10 units, of which 4 buyers have 7, drained: its SKU and the
    orders by buyer."""
    sku = new_sale(stock=10, limit=3)
    orders = {user: stack.web.buy(sku, user, units, key=f"key-{user}")
              .json["orderId"]
              for user, units in (("ann", 1), ("bob", 2), ("cat", 3),
                                  ("dan", 1))}
    stack.wait_settled(sku, orders.values())
    eventually(lambda: verify(stack, sku)["drained"])
    return sku, orders


def assert_as_sold(stack, sku, orders):
    assert stack.web.stock(sku)["remaining"] == 3
    assert stack.books.ids(sku) == sorted(orders.values())
    assert stack.redis.hgetall(key(sku, "buyers")) == {
        "ann": "1", "bob": "2", "cat": "3", "dan": "1"}
    for user, order in orders.items():
        eventually(lambda: status(stack, sku, order) == "confirmed")
        units = {"bob": 2, "cat": 3}.get(user, 1)
        again = stack.web.buy(sku, user, units, key=f"key-{user}")
        assert again.json["orderId"] == order, again


def forget_order(stack, sku, orders):
    stack.redis.hdel(key(sku, "orders"), orders["bob"])


def forget_everything_of_an_order(stack, sku, orders):
    forget_order(stack, sku, orders)
    stack.redis.hdel(key(sku, "buyers"), "bob")
    stack.redis.hdel(key(sku, "requests"), "bob key-bob")
    stack.redis.hincrby(key(sku, "sale"), "remaining", 2)


def unit_too_few(stack, sku, orders):
    stack.redis.hincrby(key(sku, "sale"), "remaining", -2)


def unit_too_many(stack, sku, orders):
    stack.redis.hincrby(key(sku, "sale"), "remaining", 1)


def delete_row(stack, sku, orders):
    stack.books.ask("DELETE FROM orders WHERE id = UNHEX(REPLACE(%s, '-', ''))",
                    orders["cat"])


def wrong_counter(stack, sku, orders):
    stack.books.ask("UPDATE sales SET sold = sold + 1 WHERE sku = %s", sku)


def wrong_status(stack, sku, orders):
    stack.redis.hset(key(sku, "orders"), orders["dan"], "queued 1 dan")


def rejected_but_booked(stack, sku, orders):
    """Redis gave it up, with its units."""
    stack.redis.hset(key(sku, "orders"), orders["dan"], "rejected 1 dan")
    stack.redis.hdel(key(sku, "buyers"), "dan")
    stack.redis.hincrby(key(sku, "sale"), "remaining", 1)


def wrong_buyer(stack, sku, orders):
    stack.redis.hincrby(key(sku, "buyers"), "ann", 1)


def invented_buyer(stack, sku, orders):
    stack.redis.hset(key(sku, "buyers"), "eve", 2)


def forget_key(stack, sku, orders):
    stack.redis.hdel(key(sku, "requests"), "ann key-ann")


def dangling_key(stack, sku, orders):
    stack.redis.hset(key(sku, "requests"), "eve k",
                     "01a20417-87b3-7d6b-b48c-1ac814cd32da")


def forget_sale(stack, sku, orders):
    stack.books.ask("DELETE FROM sales WHERE sku = %s", sku)


def forget_definition(stack, sku, orders):
    stack.books.ask("UPDATE sales SET defined = 0, limit_per_user = NULL "
                    "WHERE sku = %s", sku)


def damaged_order(stack, sku, orders):
    stack.redis.hset(key(sku, "orders"), orders["bob"], "rubbish")
    stack.redis.hset(key(sku, "orders"), orders["cat"], "confirmed 9" + 18 * "0")


def damaged_sums(stack, sku, orders):
    stack.redis.hset(key(sku, "sale"), "remaining", "many")
    stack.redis.hset(key(sku, "buyers"), "ann", "some")


def huge_sums(stack, sku, orders):
    stack.redis.hset(key(sku, "sale"), "remaining", 2**63 - 1)
    stack.redis.hset(key(sku, "buyers"), "ann", 2**63 - 1)


@pytest.mark.parametrize("damage, named", [
    (damaged_order, ["unknown", "unknown"]),
    (damaged_sums, ["buyer", "units"]),
    (huge_sums, ["buyer", "units"]),
    (forget_order, ["unknown"]),
    (forget_everything_of_an_order,
     ["buyer", "request", "units", "unknown"]),
    (unit_too_few, ["units"]),
    (unit_too_many, ["units"]),
    (delete_row, ["lost", "sold"]),
    (wrong_counter, ["sold"]),
    (wrong_status, ["status"]),
    (rejected_but_booked, ["status"]),
    (wrong_buyer, ["buyer"]),
    (invented_buyer, ["buyer"]),
    (forget_key, ["request"]),
    (dangling_key, ["dangling"]),
    (forget_sale, ["undefined"]),
    (forget_definition, ["undefined"]),
], ids=lambda value: getattr(value, "__name__", ""))
def test_damage_is_named_and_mended(stack, sold, damage, named):
    sku, orders = sold
    damage(stack, sku, orders)
    assert kinds(stack, sku) == named
    repair(stack, sku)
    assert_as_sold(stack, sku, orders)


def make_it_be_rebuilt(stack, *keys):
    """As every command says.  Until all sales are, no other can be opened."""
    stack.redis.delete("fs:epoch", *keys)
    eventually(lambda: stack.redis.exists("fs:epoch"), 60, "all is rebuilt")


def test_a_sale_that_mysql_never_heard_of(stack, new_sku):
    """Nothing is sold of it yet; a rebuild would not bring it back."""
    sku = new_sku()
    with stack.without("worker"):  # whose keeper would send it
        assert stack.cli("open", sku, "--stock", 50).returncode == 0
        assert stack.redis.delete(key(sku, "outbox")) == 1
    eventually(stack.is_quiet, what="the queue may not have it")
    assert kinds(stack, sku) == ["undefined"]
    repair(stack, sku)
    sale, = stack.books.sales(sku)
    assert (sale["total"], sale["defined"]) == (50, 1)


def test_a_definition_that_nobody_has(stack, sold):
    """Redis has made it up from orders: it is not sent as if it were one."""
    sku, orders = sold
    forget_definition(stack, sku, orders)
    stack.redis.hset(key(sku, "sale"), "defined", 0)
    assert kinds(stack, sku) == ["undefined"]
    done = stack.cli("repair", sku)
    assert done.returncode == 1 and "left for you" in done.stdout, done
    assert stack.outbox(sku) == 0


@pytest.mark.parametrize("term, value, told", [
    ("total", 15, "total: 15 in Redis, 10 in MySQL"),
    ("limit", 0, "limit: 0 in Redis, 3 in MySQL"),
    ("state", "paused", "state: paused in Redis, open in MySQL"),
    ("revision", 0, "revision: 0 in Redis, 1 in MySQL")])
def test_other_terms_are_left_to_a_person(stack, sold, term, value, told):
    """And no unit is put on sale that MySQL would not sell."""
    sku, orders = sold
    before = stack.redis.hget(key(sku, "sale"), term)
    stack.redis.hset(key(sku, "sale"), term, value)
    assert kinds(stack, sku) == ["terms"]
    for _ in range(2):
        done = stack.cli("repair", sku)
        assert done.returncode == 1, done
        assert f"left for you (terms): {told}\n" in done.stdout, done
        assert stack.redis.hget(key(sku, "sale"), "remaining") == "3"
    stack.redis.hset(key(sku, "sale"), term, before)
    assert verify(stack, sku)["balances"]
    assert_as_sold(stack, sku, orders)


@pytest.mark.parametrize("field, value", [
    ("total", None), ("limit", None), ("state", "banana"), ("sale_id", None),
    ("sale_id", "rubbish"), ("opens_at", "soon"), ("total", "-1")])
def test_a_definition_that_cannot_be_read(stack, sold, expect_errors, field,
                                          value):
    """No sum is mended after it; what every command says helps."""
    expect_errors("is damaged")
    sku, orders = sold
    hash_key = key(sku, "sale")
    if value is None:
        stack.redis.hdel(hash_key, field)
    else:
        stack.redis.hset(hash_key, field, value)
    before = stack.redis.hgetall(hash_key)
    for command in ("verify", "repair", "books", "status", "drain"):
        done = stack.cli(command, sku)
        assert done.returncode == 1, done
        assert f"damaged in Redis: its {field} cannot be read" \
            in done.stderr, done
        assert "redis-cli DEL fs:epoch" in done.stderr, done
    assert stack.redis.hgetall(hash_key) == before
    make_it_be_rebuilt(stack)
    eventually(lambda: stack.cli("verify", sku).returncode == 0)
    assert_as_sold(stack, sku, orders)


def test_what_was_amiss_before_a_rebuild(stack, new_sale):
    """A repair that saw the sale before it does not mend the one after it."""
    sku = new_sale(stock=10)
    names = ("sale", "buyers", "requests", "orders", "outbox")
    keys = [key(sku, name) for name in names]
    sale_id, epoch = stack.redis.hmget(keys[0], "sale_id", "epoch")

    def run(script, *arguments):
        source = (ROOT / "lua" / script).read_text()
        return stack.redis.eval(source, 5, *keys, *arguments)
    # No worker takes part in this: the Redis is the same as before.
    stack.redis.hset(keys[0], "epoch", "before")
    assert run("rebuild.lua", "begin", "me", epoch, 9999)[0] == "ok"
    assert run("rebuild.lua", "finish", "me", epoch)[0] == "ok"
    assert run("mend.lua", sale_id, epoch, "sum", "0", "", 1, 11) == ["ok", 0]
    mended = stack.redis.hget(keys[0], "mended")
    assert run("mend.lua", sale_id, epoch, "sum", mended, "", 1, 11) \
        == ["ok", 1]
    stack.redis.hincrby(keys[0], "remaining", -1)


def test_more_is_taken_than_there_is(stack, new_sale):
    """Nothing is left that could be taken from sale."""
    sku = new_sale(stock=2, limit=0)
    stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]
                             for _ in range(2)])
    stack.redis.hincrby(key(sku, "sale"), "total", -1)
    assert kinds(stack, sku) == ["oversold", "terms", "units"]
    done = stack.cli("repair", sku)
    assert done.returncode == 1
    assert "3 differences are left" in done.stdout
    assert "(oversold): 2 units confirmed, 1 in all\n" in done.stdout
    assert stack.web.stock(sku)["remaining"] == 0


def test_repairs_at_the_same_time(stack, sold):
    """Each finds the same missing, and one of them mends it."""
    sku, orders = sold
    unit_too_few(stack, sku, orders)
    wrong_buyer(stack, sku, orders)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: stack.cli("repair", sku), range(6)))
    assert_as_sold(stack, sku, orders)
    assert verify(stack, sku)["balances"]


def test_an_order_whose_outbox_entry_is_gone(stack, new_sale, expect_errors):
    """Nobody has it but the orders hash: it is sent once more."""
    expect_errors("(?i)sqs|queue")
    sku = new_sale(stock=5)
    stack.wait_settled(sku, [])  # MySQL has the definition
    with stack.without("sqs"):
        order = stack.web.buy(sku, "alice", key="k").json["orderId"]
        stack.redis.delete(key(sku, "outbox"))
    stack.wait_healed()
    # While other orders are in the queue, this one might be, too.
    eventually(stack.is_quiet, what="no other order is on its way")
    eventually(lambda: kinds(stack, sku) == ["lost"], what="named as lost")
    repair(stack, sku)
    stack.wait_settled(sku, [order])
    row, = stack.books.orders(sku)
    assert (row["request_key"], row["user_id"]) == ("k", "alice")
    assert stack.web.stock(sku)["remaining"] == 4


def test_a_parked_order_that_redis_was_not_told_of(stack, new_sale):
    sku = new_sale(stock=5)
    user = f"cursed-{sku}"
    with stack.books.refusing(user):
        order = stack.web.buy(sku, user).json["orderId"]
        eventually(lambda: status(stack, sku, order) == "rejected")
    stack.redis.hset(key(sku, "orders"), order, f"queued 1 {user}")
    stack.redis.hset(key(sku, "buyers"), user, 1)
    stack.redis.hincrby(key(sku, "sale"), "remaining", -1)
    assert kinds(stack, sku) == ["dead"]
    repair(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 5
    assert status(stack, sku, order) == "rejected"


@pytest.mark.parametrize("quantity", [1, 3])
def test_no_unit_is_invented_where_quantities_differ(stack, sold, quantity):
    """MySQL has sold two: what Redis says is left to a person, and neither
    put on sale nor taken from it."""
    sku, orders = sold
    stack.redis.hset(key(sku, "orders"), orders["bob"],
                     f"confirmed {quantity} bob")
    assert kinds(stack, sku) == ["content"]
    done = stack.cli("repair", sku)
    assert done.returncode == 1 and "left for you" in done.stdout, done
    assert stack.web.stock(sku)["remaining"] == 3
    assert stack.redis.hget(key(sku, "buyers"), "bob") == "2"


def test_an_order_of_another_sale(stack, sold, new_sale):
    """Its row is in MySQL, but not in this sale."""
    sku, orders = sold
    other = new_sale(stock=1)
    order = stack.web.buy(other, "eve").json["orderId"]
    stack.wait_settled(other, [order])
    stack.redis.hset(key(sku, "orders"), order, "confirmed 1 eve")
    stack.redis.hset(key(sku, "buyers"), "eve", 1)
    stack.redis.hincrby(key(sku, "sale"), "remaining", -1)
    assert kinds(stack, sku) == ["content"]
    text = stack.cli("verify", sku)
    assert "of another sale in MySQL" in text.stdout, text
    done = stack.cli("repair", sku)
    assert done.returncode == 1 and "left for you" in done.stdout, done


def test_a_sale_that_redis_has_lost(stack, sold):
    """MySQL knows of it, so it is missed, also if it is not listed."""
    sku, orders = sold
    stack.redis.delete(key(sku, "sale"))
    stack.redis.srem("fs:sales", sku)
    for command in (["verify", sku], ["verify"], ["repair", sku]):
        done = stack.cli(*command)
        assert done.returncode == 1, done
        assert re.search(f"{sku}: .*Redis has lost it", done.stderr), done
    assert "redis-cli DEL fs:epoch" in done.stderr
    make_it_be_rebuilt(stack)
    eventually(lambda: stack.cli("verify", sku).returncode == 0)
    assert_as_sold(stack, sku, orders)


def test_a_newer_sale_that_redis_has_lost(stack, sold):
    """It has the one before, whose books balance."""
    sku, _ = sold
    before = stack.redis.hgetall(key(sku, "sale"))
    assert stack.web.reset(sku, 7).status == 200
    eventually(lambda: len(stack.books.sales(sku)) == 2)
    stack.redis.delete(key(sku, "sale"))
    stack.redis.hset(key(sku, "sale"), mapping=before)
    stack.redis.rename(key(sku, "orders:previous"), key(sku, "orders"))
    for command in (["verify", sku], ["verify"], ["repair", sku]):
        done = stack.cli(*command)
        assert done.returncode == 1, done
        assert f"{sku}: MySQL has a newer sale" in done.stderr, done
    # As it says there.
    make_it_be_rebuilt(stack, key(sku, "sale"))
    eventually(lambda: stack.cli("verify", sku).returncode == 0)
    assert stack.web.stock(sku)["total"] == 7


def test_a_damaged_sale_does_not_hide_the_others(stack, sold, new_sale,
                                                 expect_errors):
    expect_errors("Redis says: WRONGTYPE")
    sku, _ = sold
    damaged = new_sale(stock=1)
    stack.redis.delete(key(damaged, "sale"))
    stack.redis.set(key(damaged, "sale"), "rubbish")
    try:
        done = stack.cli("status")
        assert done.returncode == 69 and damaged in done.stderr, done
        assert sku in done.stdout, done
        offered = [s["sku"] for s in stack.web.get("/sales").json["sales"]]
        assert sku in offered and damaged not in offered
    finally:
        stack.redis.delete(key(damaged, "sale"))


def test_what_only_a_person_can_decide(stack, sold):
    """Over the limit, a key used twice, another buyer: named, not touched."""
    sku, orders = sold
    stack.books.ask(
        "UPDATE orders SET user_id = 'cat', request_key = 'key-cat' "
        "WHERE id = UNHEX(REPLACE(%s, '-', ''))", orders["dan"])
    found = kinds(stack, sku)
    assert {"content", "limit", "key_twice"} <= set(found), found
    done = stack.cli("repair", sku)
    assert done.returncode == 1 and "left for you" in done.stdout, done


def test_an_order_that_mysql_rejected(stack, new_sale, expect_errors):
    """The last guard: its unit belongs to somebody whom Redis forgot, and is
    not sold again."""
    expect_errors("orders rejected")
    sku = new_sale(stock=2, limit=0)
    first = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [first])
    forget_order(stack, sku, {"bob": first})
    stack.redis.hincrby(key(sku, "sale"), "remaining", 1)
    second, third = (stack.web.buy(sku, user).json["orderId"]
                     for user in ("bob", "cat"))
    eventually(lambda: {status(stack, sku, second), status(stack, sku, third)}
               == {"confirmed", "rejected"})
    assert_problem(stack.web.buy(sku, "dan"), 409, "sold_out")
    sale = verify(stack, sku)
    assert sale["rejectedOrders"] == 1
    assert "unknown" in [d["kind"] for d in sale["differences"]]
    repair(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 0
    assert_problem(stack.web.buy(sku, "dan"), 409, "sold_out")


# --- Drift ---

@contextlib.contextmanager
def another_worker(stack, directory, **settings):
    """A second worker on the same Redis, queue and MySQL, as on another
    machine: its process and its log."""
    log = directory / "worker.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [PROGRAMS / "flashsale-worker"], stdin=subprocess.DEVNULL,
            stderr=file, env=stack.program_env(**settings))
    try:
        yield process, log
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def gauge(path, name, sku):
    found = re.search(rf'^{name}{{sku="{re.escape(sku)}"}} (-?\d+)$',
                      path.read_text(), re.M)
    return found and int(found[1])


def test_drift_is_measured(stack, new_sale, tmp_path):
    sku = new_sale(stock=10)
    path = tmp_path / "flashsale.prom"
    with another_worker(stack, tmp_path, METRICS_FILE=str(path)) as (_, log):
        stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]])
        eventually(lambda: gauge(path, "flashsale_sale_drift_units", sku) == 0
                   and gauge(path, "flashsale_sale_moving_units", sku) == 0)
        unit_too_few(stack, sku, None)
        eventually(lambda: gauge(path, "flashsale_sale_drift_units", sku) == 2)
        eventually(lambda: f"books of {sku} do not balance" in log.read_text())
        assert stack.cli("repair", sku).returncode == 0
        eventually(lambda: f"books of {sku} balance again" in log.read_text())
        assert gauge(path, "flashsale_sale_drift_units", sku) == 0
        assert "flashsale_worker_received_total" in path.read_text()


# --- Several keepers ---

def resent(log):
    """How many messages a worker brought from the outbox, by its log."""
    return sum(int(n) for n in re.findall(
        r"brought (\d+) messages from the outbox", log.read_text()))


def fill_outbox(stack, new_sale, buyers, meanwhile=lambda: None):
    """Orders that wait for a keeper; meanwhile() is called before it can
    send any."""
    sku = new_sale(stock=1000, limit=0)
    eventually(lambda: stack.outbox(sku) == 0)
    with stack.without("sqs"):
        orders = [o.body["orderId"] for o in accepted(
            rush(stack.web, sku, [f"u{n}" for n in range(buyers)], 10))]
        assert stack.outbox(sku) == len(orders) == buyers
        meanwhile()
    return sku, orders


def test_two_keepers_send_each_message_once(stack, new_sale, tmp_path,
                                            expect_errors):
    expect_errors("(?i)sqs|queue")
    first_log = stack.directory / "log" / "worker.log"
    with another_worker(stack, tmp_path) as (_, log):
        def brought():
            return resent(first_log) + resent(log)
        # From when SQS is down: a keeper may have brought the definition.
        before = []
        sku, orders = fill_outbox(stack, new_sale, 250,
                                  lambda: before.append(brought()))
        stack.wait_settled(sku, orders)
        eventually(lambda: brought() - before[0] >= 250)
        assert brought() - before[0] == 250


def test_a_lease_keeps_others_off_and_runs_out(stack, new_sale,
                                               expect_errors):
    """As if a keeper had been killed while it had the sale."""
    expect_errors("(?i)sqs|queue")
    sku = new_sale(stock=10)
    stack.redis.set(key(sku, "keeper"), "another keeper", px=3_600_000)
    with stack.without("sqs"):
        order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_healed()
    stays(lambda: stack.outbox(sku) >= 1, 7)
    stack.redis.pexpire(key(sku, "keeper"), 1000)
    stack.wait_settled(sku, [order])
    # Nobody keeps a sale that there is nothing to do for.
    eventually(lambda: not stack.redis.exists(key(sku, "keeper")))


def test_a_keeper_takes_over(stack, new_sale, tmp_path, expect_errors):
    """The other machine is gone, with kill -9."""
    expect_errors("(?i)sqs|queue|killed|signal 9")
    with another_worker(stack, tmp_path) as (_, log):
        master = stack.pid("worker")
        family = [master, *processes.children(master)]

        def it_dies():
            for pid in family:
                processes.kill(pid)
            stack.sv("down", "worker")
        try:
            sku, orders = fill_outbox(stack, new_sale, 50, it_dies)
            stack.wait_settled(sku, orders)
        finally:
            stack.sv("up", "worker")
        eventually(lambda: resent(log) > 0)
