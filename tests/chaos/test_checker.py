"""The judge is judged: good books pass, and each kind of bad ones is named."""

import copy
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from checker import judge       # noqa: E402


def attempt(user, status=202, order=None, code=None, **fields):
    return {"sku": "x", "user": user, "key": f"{user}-0", "quantity": 1,
            "attempt": 1, "connection": 1, "sent": 1.0, "answered": 2.0,
            "status": status, "code": code, "order": order,
            "state": "queued" if order else None, "remaining": None, **fields}


def row(order, user, **fields):
    return {"id": order, "sale_id": "s1", "sku": "x", "user_id": user,
            "quantity": 1, "status": "confirmed", "status_reason": None,
            "request_key": f"{user}-0", **fields}


HISTORY = [attempt("ann", order="o1"), attempt("bob", order="o2"),
           attempt("ann", order="o1", attempt=2), attempt("cy", None),
           attempt("cy", 409, code="sold_out", sent=3.0, answered=4.0)]
BOOKS = {
    "sku": "x", "drained": "", "last": None,
    "sales": [{"sale_id": "s1", "total": 2, "sold": 2, "limit_per_user": 1}],
    "orders": [row("o1", "ann"), row("o2", "bob")],
    "parked": [], "queues": {"orders": 0, "dead letters": 0},
    "acknowledged": ["o1", "o2"], "bad_signatures": 0, "processes": [],
    "redis": {"sale": {"sale_id": "s1", "total": "2", "remaining": "0",
                       "state": "open"},
              "buyers": {"ann": "1", "bob": "1"}, "requests": {},
              "orders": {"o1": "confirmed 1 ann", "o2": "confirmed 1 bob"},
              "outbox": []},
    "seen": {"o1": "confirmed", "o2": "confirmed"},
}


def test_good_books():
    assert judge(HISTORY, BOOKS, {"failures": True}) == []


def oversell(history, books):
    books["sales"][0].update(total=1)
    books["redis"]["sale"].update(total="1")


def miscount(history, books):
    books["sales"][0]["sold"] = 1


def lose(history, books):
    books["orders"].pop()
    books["redis"]["orders"].pop("o2")


def reject(history, books):
    books["orders"][1].update(status="rejected", status_reason="no units")


def duplicate(history, books):
    books["orders"].append(row("o3", "ann"))


def same_id_twice(history, books):
    books["orders"].append(row("o1", "ann"))


def invent(history, books):
    books["orders"][1]["user_id"] = "eve"


def other_quantity(history, books):
    books["orders"][1]["quantity"] = 2


def two_buyers_one_order(history, books):
    history[1]["order"] = "o1"


def exceed(history, books):
    books["orders"].append(row("o3", "ann", request_key="ann-1"))
    history.append(attempt("ann", order="o3", key="ann-1"))


def strand(history, books):
    books["redis"]["sale"]["total"] = "3"


def return_twice(history, books):
    books["redis"]["sale"]["remaining"] = "1"


def forget_a_buyer(history, books):
    books["redis"]["buyers"].pop("bob")


def refuse_too_soon(history, books):
    history[4].update(sent=0.1, answered=0.2)


def refuse_the_last(history, books):
    books["last"] = {**attempt("zoe", 409, code="sold_out"),
                     "left_before": 1}


def tell_lies(history, books):
    books["seen"]["o1"] = "queued"


def never_settle(history, books):
    books["redis"]["orders"]["o1"] = "queued 1 ann"


def acknowledge_more(history, books):
    books["acknowledged"].append("o9")


def leave_messages(history, books):
    books["queues"]["dead letters"] = 1


def leave_entries(history, books):
    books["redis"]["outbox"].append(["1-1", {}])


def park(history, books):
    books["parked"].append({"message_id": "m", "reason": "spoilt",
                            "order": "o1"})


def sign_badly(history, books):
    books["bad_signatures"] = 1


def die(history, books):
    books["processes"].append("responder 1 was killed by signal 11")


def answer_nonsense(history, books):
    history[4].update(status=418)


def not_drained(history, books):
    books["drained"] = "3 messages"


@pytest.mark.parametrize("spoil, named", [
    (oversell, "oversold"), (miscount, "counts 1 sold"), (lose, "lost"),
    (reject, "lost"), (duplicate, "duplicated"),
    (same_id_twice, "duplicated"), (invent, "invented"),
    (other_quantity, "invented"), (two_buyers_one_order, "several"),
    (exceed, "over the limit"), (strand, "units stranded"),
    (return_twice, "units invented"), (forget_a_buyer, "bob holds 0"),
    (refuse_too_soon, "told sold_out when"),
    (refuse_the_last, "a fresh buyer hears"), (tell_lies, "GET /orders"),
    (never_settle, "Redis says queued"),
    (acknowledge_more, "SQS acknowledged"),
    (leave_messages, "left in the queue"), (leave_entries, "in the outbox"),
    (park, "parked"), (sign_badly, "signatures"), (die, "died by itself"),
    (answer_nonsense, "does not exist"), (not_drained, "not drained"),
], ids=lambda value: getattr(value, "__name__", None))
def test_bad_books(spoil, named):
    history, books = copy.deepcopy((HISTORY, BOOKS))
    spoil(history, books)
    wrong = judge(history, books, {"failures": True})
    assert any(named in sentence for sentence in wrong), wrong


def test_a_failed_request_counts_unless_a_fault_explains_it():
    assert judge(HISTORY, BOOKS) == ["failed: cy at 1.00 s got None "]
    impatient = copy.deepcopy(HISTORY)
    impatient[3]["left"] = True
    assert judge(impatient, BOOKS) == []


def test_a_forgetful_redis_may_lose_what_it_alone_knew():
    history, books = copy.deepcopy((HISTORY, BOOKS))
    lose(history, books)
    books["sales"][0]["sold"] = 1
    books["acknowledged"].remove("o2")
    books["redis"]["sale"]["remaining"] = "1"
    books["redis"]["buyers"].pop("bob")
    allowed = {"failures": True, "lost": True}
    assert any("lost" in s for s in judge(history, books, allowed))
    history[1]["state"] = "reserved"
    assert judge(history, books, allowed) == []
    assert any("lost" in s for s in judge(history, books,
                                          {"failures": True}))


def test_a_dead_order_is_rejected_and_gives_its_units_back():
    history, books = copy.deepcopy((HISTORY, BOOKS))
    books["orders"].pop()
    books["sales"][0]["sold"] = 1
    books["redis"]["sale"]["remaining"] = "1"
    books["redis"]["buyers"].pop("bob")
    books["redis"]["orders"]["o2"] = "rejected 1 bob"
    books["seen"]["o2"] = "rejected"
    books["parked"].append({"message_id": "m", "reason": "refused",
                            "order": "o2"})
    allowed = {"failures": True, "dead": True}
    assert judge(history, books, allowed) == []
    assert judge(history, books, {"failures": True})
    books["redis"]["sale"]["remaining"] = "2"
    assert any("invented" in s for s in judge(history, books, allowed))
