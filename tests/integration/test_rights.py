"""The engine where it may do what it has to, and nothing else: what
docs/operations.md grants is enough."""

import pytest

from harness.crowd import accepted, rush
from harness.gate import Gate
from harness.rebuild import wait_rebuilt
from harness.wait import eventually

pytestmark = pytest.mark.stacks("restricted")


@pytest.fixture(autouse=True)
def nothing_is_denied(stack):
    yield
    assert stack.redis_group.denied() == []


def listens(stack):
    return dict(stack.redis.pubsub_numsub("fs:gate")) == {"fs:gate": 1}


def test_a_whole_sale(stack, new_sale):
    """Each script, each command, and the gatekeeper's ear."""
    eventually(lambda: listens(stack), what="the gatekeeper listens")
    sku = new_sale(stock=10)
    users = [f"user-{n}" for n in range(30)]
    orders = [outcome.body["orderId"] for outcome
              in accepted(rush(stack.web, sku, users, 10))]
    stack.wait_settled(sku, orders)
    assert len(orders) == 10
    for command in (["status", sku], ["books", sku], ["verify", sku],
                    ["repair", sku], ["pause", sku], ["resume", sku],
                    ["close", sku], ["drain", sku]):
        done = stack.cli(*command)
        assert done.returncode == 0, (command, done)
    assert stack.web.get("/sales").status == 200
    assert stack.web.reset(sku, 5).status == 200


def test_a_rebuild(stack, new_sale, expect_errors):
    expect_errors("(?i)redis|unavailable|recovering")
    sku = new_sale(stock=10)
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    stack.redis.flushall()
    wait_rebuilt(stack, sku)
    assert stack.web.stock(sku)["remaining"] == 9


def test_without_the_right_to_listen(stack, new_sale):
    """The gatekeeper looks every now and then instead, and says so, but not
    each time."""
    redis, log = stack.redis, stack.directory / "log/fcgi.log"
    said = log.read_text().count("NOPERM")

    def denied():
        return sum(int(entry["count"]) for entry
                   in stack.redis_group.denied()
                   if entry["context"] == "toplevel")
    redis.execute_command("ACL SETUSER", "flashsale", "resetchannels")
    try:
        eventually(lambda: denied() >= 6, what="it was told no six times")
        sku = new_sale(stock=1)
        assert stack.web.buy(sku, "alice").status == 202
        Gate(stack).await_shut(sku)
        assert 1 <= log.read_text().count("NOPERM") - said <= 3
    finally:
        redis.execute_command("ACL SETUSER", "flashsale", "&fs:gate")
    eventually(lambda: listens(stack), what="the gatekeeper listens")
    redis.acl_log_reset()
