"""lua/take.lua by itself: who gets which entry of the outbox, and when."""

import pathlib

import pytest

SCRIPT = pathlib.Path(__file__, "../../../lua/take.lua").resolve()
GROUP = "flashsale"
LEASE = 3_600_000  # ms: no lease ends while a test runs

# A stack whose worker leaves outboxes alone.
pytestmark = pytest.mark.stacks("nginx")


class Outbox:
    """Of a SKU that no worker knows."""

    def __init__(self, stack, sku):
        self.redis, self.key = stack.redis, f"fs:{{{sku}}}:outbox"

    def add(self, n):
        return [self.redis.xadd(self.key, {"n": i}) for i in range(n)]

    def take(self, most=100, lease=LEASE):
        """[(id, deliveries), ...]"""
        return [(entry, deliveries) for entry, _, deliveries in
                self.redis.eval(SCRIPT.read_text(), 1, self.key, most, lease)]

    def age(self, entry, leases, deliveries):
        """As if it had been taken so long ago, and so often."""
        self.redis.xclaim(self.key, GROUP, "worker", 0, [entry],
                          idle=int(leases * LEASE), retrycount=deliveries,
                          justid=True)

    def held(self):
        return self.redis.xpending(self.key, GROUP)["pending"]


@pytest.fixture
def outbox(stack, new_sku):
    this = Outbox(stack, new_sku())
    yield this
    stack.redis.delete(this.key)


def test_nothing_there(outbox):
    assert outbox.take() == []
    assert outbox.take() == []


def test_each_entry_goes_to_one(outbox):
    ids = outbox.add(5)
    assert outbox.take(2) == [(ids[0], 1), (ids[1], 1)]
    assert outbox.take(100) == [(each, 1) for each in ids[2:]]
    assert outbox.take() == []


def test_what_is_held_comes_again_when_its_lease_is_over(outbox):
    first, second = outbox.add(2)
    outbox.take()
    outbox.age(first, 0.9, 1)
    outbox.age(second, 1.1, 1)
    assert outbox.take() == [(second, 2)]
    assert outbox.take() == []


def test_abandoned_and_new_ones_together(outbox):
    old = outbox.add(2)
    outbox.take()
    for each in old:
        outbox.age(each, 1.1, 1)
    new = outbox.add(2)
    assert outbox.take(3) == [(old[0], 2), (old[1], 2), (new[0], 1)]
    assert outbox.take() == [(new[1], 1)]


def test_what_may_kill_travels_alone_and_rarely(outbox):
    suspects = outbox.add(2)
    outbox.take()
    new = outbox.add(1)
    for each in suspects:
        outbox.age(each, 2.1, 2)
    assert outbox.take() == [(suspects[0], 3)]
    assert outbox.take() == [(suspects[1], 3)]
    outbox.age(suspects[0], 8.9, 9)
    outbox.age(suspects[1], 9.1, 9)
    assert outbox.take() == [(suspects[1], 10)]
    assert outbox.take() == [(new[0], 1)]


def test_what_was_given_back_comes_at_once(outbox):
    entry, = outbox.add(1)
    outbox.take()
    outbox.age(entry, 1, 0)
    assert outbox.take() == [(entry, 1)]


def test_what_somebody_has_deleted_is_forgotten(outbox):
    entry, = outbox.add(1)
    outbox.take()
    outbox.redis.xdel(outbox.key, entry)
    outbox.age(entry, 1.1, 1)
    assert outbox.take() == []
    assert outbox.held() == 0
