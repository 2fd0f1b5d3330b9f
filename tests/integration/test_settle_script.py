"""lua/settle.lua by itself: many verdicts in one call, some of one order."""

import pathlib

import pytest

SCRIPT = pathlib.Path(__file__, "../../../lua/settle.lua").resolve()
NAMES = ("sale", "buyers", "orders", "orders:previous", "outbox")

# A stack whose worker leaves outboxes alone.
pytestmark = pytest.mark.stacks("nginx")


class Sale:
    """Of a SKU that no worker knows: 5 units left, bob holds 2, 0 are
    confirmed."""

    def __init__(self, stack, sku):
        self.redis = stack.redis
        self.keys = {name: f"fs:{{{sku}}}:{name}" for name in NAMES}
        self.redis.hset(self.keys["sale"],
                        mapping={"remaining": 5, "confirmed": 0})
        self.redis.hset(self.keys["buyers"], "bob", 2)

    def add(self, order, to="orders"):
        self.redis.hset(self.keys[to], "id", order)

    def settle(self, *verdicts):
        """All in one call, of the order that was added."""
        words = [word for verdict in verdicts
                 for word in ("id", verdict, "")]
        return self.redis.eval(SCRIPT.read_text(), len(NAMES),
                               *self.keys.values(), *words)

    def order(self, of="orders"):
        return self.redis.hget(self.keys[of], "id")

    @property
    def sums(self):
        """On sale, held by bob, confirmed."""
        left, confirmed = self.redis.hmget(self.keys["sale"],
                                           "remaining", "confirmed")
        return (int(left), int(self.redis.hget(self.keys["buyers"], "bob")
                               or 0), int(confirmed))


@pytest.fixture
def sale(stack, new_sku):
    this = Sale(stack, new_sku())
    yield this
    stack.redis.delete(*this.keys.values())


@pytest.mark.parametrize("verdicts, state, sums", [
    (["confirmed"], "confirmed", (5, 2, 2)),
    (["rejected"], "rejected", (5, 0, 0)),
    (["dead"], "rejected", (7, 0, 0)),
    (["confirmed", "confirmed"], "confirmed", (5, 2, 2)),
    (["dead", "dead"], "rejected", (7, 0, 0)),
    (["confirmed", "dead"], "confirmed", (5, 2, 2)),
    (["dead", "confirmed"], "confirmed", (5, 2, 2)),
    (["rejected", "dead"], "rejected", (5, 0, 0)),
    (["confirmed", "rejected"], "rejected", (5, 0, 0)),
])
def test_each_verdict_counts_after_those_before(sale, verdicts, state, sums):
    sale.add("queued 2 bob")
    assert sale.settle(*verdicts) == len(verdicts)
    assert sale.order() == f"{state} 2 bob"
    assert sale.sums == sums


def test_it_is_the_same_in_as_many_calls(sale):
    sale.add("queued 2 bob")
    for verdict in "dead", "confirmed", "dead", "confirmed":
        sale.settle(verdict)
    assert (sale.order(), sale.sums) == ("confirmed 2 bob", (5, 2, 2))


@pytest.mark.parametrize("verdicts, state", [
    (["dead"], "rejected"),
    (["confirmed", "dead"], "confirmed"),
    (["dead", "confirmed"], "confirmed"),
])
def test_an_order_of_the_sale_before_moves_no_units(sale, verdicts, state):
    sale.add("queued 2 bob", to="orders:previous")
    assert sale.settle(*verdicts) == len(verdicts)
    assert sale.order(of="orders:previous") == f"{state} 2 bob"
    assert sale.sums == (5, 2, 0)
