"""lua/reserve.lua by itself: many requests in one call.

Through HTTP it is up to chance which requests share a call; here it is not.
"""

import pathlib
import uuid

import pytest
import redis

SCRIPT = pathlib.Path(__file__, "../../../lua/reserve.lua").resolve()
BEFORE_ANSWERS = 10

pytestmark = pytest.mark.stacks("nginx")


class Reserve:
    """The script, for one SKU."""

    def __init__(self, stack, sku):
        self.redis, self.sku = stack.redis, sku
        self.keys = [f"fs:{{{sku}}}:{name}" for name in (
            "sale", "buyers", "requests", "orders", "outbox", "gates")]

    def __call__(self, *requests, epoch=""):
        """requests: (user, quantity, key).  Returns the status, the order
        ids and the answers."""
        ids = [str(uuid.uuid4()) for _ in requests]
        arguments = [str(word) for order_id, (user, quantity, key)
                     in zip(ids, requests)
                     for word in (order_id, user, quantity, key)]
        answer = self.redis.eval(SCRIPT.read_text(), 6, *self.keys, epoch,
                                 *arguments)
        return answer[0], ids, answer[BEFORE_ANSWERS:]

    def remaining(self):
        return int(self.redis.hget(self.keys[0], "remaining"))

    def held(self, user):
        return int(self.redis.hget(self.keys[1], user) or 0)

    def outbox(self):
        return {fields["order_id"]: (fields["user"], int(fields["quantity"]))
                for _, fields in self.redis.xrange(self.keys[4])
                if fields["type"] == "order"}


@pytest.fixture
def reserve(stack, new_sale):
    def on_a_sale(**terms):
        return Reserve(stack, new_sale(**terms))
    return on_a_sale


def test_what_was_taken_a_line_before_counts(reserve):
    take = reserve(stock=3, limit=0)
    status, ids, answers = take(("a", 2, ""), ("b", 2, ""), ("c", 1, ""),
                                ("d", 1, ""))
    assert status == "ok"
    assert [a if isinstance(a, str) else a[:2] for a in answers] \
        == [["ok", 1], "sold_out", ["ok", 0], "sold_out"]
    assert take.remaining() == 0
    assert take.outbox().items() >= {ids[0]: ("a", 2),
                                     ids[2]: ("c", 1)}.items()


def test_the_limit_counts_within_a_call(reserve):
    take = reserve(stock=10, limit=2)
    _, _, answers = take(("a", 1, ""), ("a", 2, ""), ("a", 1, ""),
                         ("a", 1, ""))
    assert [a if isinstance(a, str) else a[0] for a in answers] \
        == ["ok", "limit_reached", "ok", "limit_reached"]
    assert (take.remaining(), take.held("a")) == (8, 2)


def test_a_key_twice_in_a_call_is_one_order(reserve):
    take = reserve(stock=10, limit=0)
    _, ids, answers = take(("a", 1, "k"), ("a", 1, "k"), ("b", 1, "k"))
    assert answers[0][0] == "ok"
    assert answers[1] == ["replayed", ids[0], "reserved 1 a"]
    assert answers[2][0] == "ok"
    assert take.remaining() == 8
    _, _, (again,) = take(("a", 1, "k"))
    assert again[:2] == ["replayed", ids[0]]
    assert (take.remaining(), take.held("a")) == (8, 1)


def test_a_hundred_in_a_call(reserve):
    take = reserve(stock=60, limit=1)
    _, ids, answers = take(*((f"u{n}", 1, f"k{n}") for n in range(100)))
    assert [a for a in answers if a == "sold_out"] == ["sold_out"] * 40
    assert [a[1] for a in answers[:60]] == list(reversed(range(60)))
    assert take.outbox().keys() >= set(ids[:60])
    assert take.remaining() == 0


@pytest.mark.parametrize("terms, status", [
    ({"stock": 1}, "ok"), ({"stock": 0}, "sold_out"),
    ({"stock": 1, "opensAt": 4102444800000}, "not_open"),
    ({"stock": 1, "closesAt": 1}, "closed")])
def test_nobody_named_is_nobody_served(reserve, terms, status):
    take = reserve(**terms)
    assert take()[0] == status
    assert (take.remaining(), take.outbox()) == (terms["stock"], {})
    assert take(epoch="another")[0] == "recovering"


def test_another_epoch_takes_nothing(reserve):
    take = reserve(stock=5)
    status, _, _ = take(("a", 1, ""), epoch="another")
    assert (status, take.remaining()) == ("recovering", 5)


@pytest.mark.parametrize("damage", [
    ("hdel", 0, "currency"), ("wrong type", 2, ""), ("wrong type", 3, "")])
def test_damaged_data_takes_nothing(reserve, damage, expect_errors):
    expect_errors("is damaged")  # says the worker, should it look just now
    take = reserve(stock=5)
    what, key, field = damage
    if what == "hdel":
        take.redis.hdel(take.keys[key], field)
    else:
        take.redis.set(take.keys[key], "not a hash")
    with pytest.raises(redis.ResponseError):
        take(("a", 1, "k"), ("b", 1, ""))
    assert (take.remaining(), take.held("a"), take.outbox()) == (5, 0, {})
    take.redis.delete(*take.keys)
