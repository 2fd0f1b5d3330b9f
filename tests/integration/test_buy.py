"""POST /buy and POST /buy/{sku}: what is accepted, and every refusal."""

import json
import re
import time

import pytest

from harness.crowd import count, rush
from harness.wait import eventually
from harness.web import JSON, assert_problem

pytestmark = pytest.mark.stacks("nginx", "lighttpd", "queue-redis")

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}"
                   r"-[0-9a-f]{12}")


def now_ms():
    return int(time.time() * 1000)


# --- Accepted ---

def test_an_order_is_accepted_and_reaches_mysql(stack, new_sale):
    sku = new_sale(stock=5, priceMinor=79900, currency="EUR")
    reply = stack.web.buy(sku, "alice")
    assert reply.status == 202 and reply.type == JSON, reply
    answer = reply.json
    assert answer["status"] == "queued"
    assert (answer["sku"], answer["quantity"]) == (sku, 1)
    assert answer["remaining"] == 4
    assert UUID7.fullmatch(answer["orderId"])
    assert reply.headers["location"] == f"/orders/{sku}/{answer['orderId']}"

    stack.wait_settled(sku, [answer["orderId"]])
    row, = stack.books.orders(sku)
    assert (row["user_id"], row["quantity"]) == ("alice", 1)
    sale, = stack.books.sales(sku)
    assert (sale["total"], sale["sold"]) == (5, 1)
    assert row["sale_id"] == sale["sale_id"]
    seen = stack.web.order(sku, answer["orderId"])
    assert seen["orderId"] == answer["orderId"]
    eventually(lambda: stack.web.order(sku, answer["orderId"])["status"]
               == "confirmed", what="the buyer sees it confirmed")


def test_without_a_sku_the_default_one_is_bought(stack):
    stack.web.reset("the-default", 3, limit=0)
    reply = stack.web.buy(None, "alice")
    assert reply.status == 202 and reply.json["sku"] == "the-default"
    assert stack.web.stock()["remaining"] == 2
    assert stack.web.stock("the-default")["remaining"] == 2


def test_the_answer_must_not_be_cached(stack, new_sale):
    reply = stack.web.buy(new_sale(), "alice")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("user", ["u", "u" * 128, "!#$%&'()*+,-./:;<=>?@~"])
def test_user_ids_up_to_their_limits(stack, new_sale, user):
    assert stack.web.buy(new_sale(), user).status == 202


def test_quotes_and_backslashes_in_user_ids_arrive_unchanged(stack, new_sale):
    sku, user = new_sale(), """a"b\\c'd`e{}[]"""
    reply = stack.web.buy(sku, user)
    assert reply.status == 202, reply
    stack.wait_settled(sku, [reply.json["orderId"]])
    assert stack.books.orders(sku)[0]["user_id"] == user


@pytest.mark.parametrize("quantity", [1, 1000])
def test_quantities_up_to_their_limits(stack, new_sale, quantity):
    sku = new_sale(stock=1000, limit=0)
    reply = stack.web.buy(sku, "alice", quantity)
    assert reply.status == 202 and reply.json["quantity"] == quantity
    assert reply.json["remaining"] == 1000 - quantity


def test_user_ids_differ_by_case(stack, new_sale):
    sku = new_sale(limit=1)
    ids = [stack.web.buy(sku, user).json["orderId"]
           for user in ("alice", "Alice", "ALICE")]
    stack.wait_settled(sku, ids)


@pytest.mark.parametrize("content_type", [
    "application/json; charset=utf-8", "Application/JSON",
    "application/json;charset=UTF-8"])
def test_json_content_types(stack, new_sale, content_type):
    reply = stack.web.post(f"/buy/{new_sale()}", {"userId": "alice"},
                           {"Content-Type": content_type})
    assert reply.status == 202, reply


def test_a_body_of_the_largest_size(stack, new_sale):
    body = json.dumps({"userId": "alice"}).ljust(4096)
    assert stack.web.post(f"/buy/{new_sale()}", body).status == 202


def test_escapes_in_json_are_decoded(stack, new_sale):
    sku = new_sale()
    first = stack.web.post(f"/buy/{sku}", r'{"\u0075serId":"\u0061lice"}')
    assert first.status == 202, first
    assert_problem(stack.web.buy(sku, "alice"), 409, "limit_reached")


# --- Refused: the request ---

@pytest.mark.parametrize("body", [
    "", " ", "{", "}", "null", "1", '"text"', "[]", '[{"userId":"u"}]',
    '{"userId":"u"} x', '{"userId":"u"}{}', "{'userId':'u'}",
    '{"userId":"u",}', '{"userId":"u" "quantity":1}', '{"userId":u}',
    '{"userId":"u","quantity":01}', '{"userId":"u","quantity":NaN}',
    '{"userId":"u","userId":"v"}', '{"quantity":1,"userId":"u","quantity":1}',
    '{"userId":"u\\ud800"}', '{"userId":"u\\u0000v"}', '{"userId":"u\\x41"}', '{"userId":"u\n"}',
    b'{"userId":"\xff\xfe"}', b'{"userId":"u"}\0', b"\0\1\2\3",
    b'\xef\xbb\xbf{"userId":"u"}', "[" * 4000, '{"a":' * 800,
])
def test_bad_json(stack, new_sale, body):
    sku = new_sale()
    assert_problem(stack.web.post(f"/buy/{sku}", body), 400, "bad_json")
    assert stack.web.stock(sku)["remaining"] == 10


@pytest.mark.parametrize("user", [
    None, "", "u" * 129, "u u", " u", "u ", "u\tv", "u\nv", "\x7f",
    "ü", "\U0001f600", 1, 1.5, True, [], ["u"], {}, {"userId": "u"}])
def test_bad_user_id(stack, new_sale, user):
    sku = new_sale()
    reply = stack.web.post(f"/buy/{sku}", {"userId": user})
    assert_problem(reply, 422, "bad_field", field="userId")
    assert stack.web.stock(sku)["remaining"] == 10


def test_missing_user_id(stack, new_sale):
    for order in ({}, {"quantity": 1}, {"userid": "u"}, {"user_id": "u"}):
        reply = stack.web.post(f"/buy/{new_sale()}", order)
        assert_problem(reply, 422, "bad_field", field="userId")


@pytest.mark.parametrize("quantity", [
    "0", "-1", "1001", "1.5", "1.0", "1e0", '"1"', "true", "[]", "{}",
    "2147483649", "4294967297", "9223372036854775807"])
def test_bad_quantity(stack, new_sale, quantity):
    sku = new_sale(stock=5000, limit=0)
    reply = stack.web.post(
        f"/buy/{sku}", f'{{"userId":"u","quantity":{quantity}}}')
    assert_problem(reply, 422, "bad_field", field="quantity")
    assert stack.web.stock(sku)["remaining"] == 5000


def test_null_is_as_good_as_not_given(stack, new_sale):
    reply = stack.web.post(f"/buy/{new_sale()}",
                           {"userId": "alice", "quantity": None})
    assert reply.status == 202 and reply.json["quantity"] == 1


def test_a_quantity_that_no_integer_holds(stack, new_sale):
    reply = stack.web.post(f"/buy/{new_sale()}",
                           '{"userId":"u","quantity":18446744073709551617}')
    assert (reply.status, reply.code) in ((422, "bad_field"),
                                          (400, "bad_json")), reply


@pytest.mark.parametrize("size", [4097, 8192, 16384])
def test_a_body_that_is_too_large(stack, new_sale, size):
    sku = new_sale()
    body = json.dumps({"userId": "alice"}).ljust(size)
    assert_problem(stack.web.post(f"/buy/{sku}", body), 413, "body_too_large")
    assert stack.web.stock(sku)["remaining"] == 10


@pytest.mark.parametrize("size", [16385, 1_000_000])
def test_a_body_that_is_too_large_for_the_web_server(stack, new_sale, size):
    body = json.dumps({"userId": "alice"}).ljust(size)
    reply = stack.web.post(f"/buy/{new_sale()}", body)
    stack.assert_refused(reply, 413, "body_too_large")


@pytest.mark.parametrize("content_type", [
    "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
    "application/json5", "application/problem+json", "text/json", "*/*"])
def test_other_content_types(stack, new_sale, content_type):
    reply = stack.web.post(f"/buy/{new_sale()}", {"userId": "alice"},
                           {"Content-Type": content_type})
    assert_problem(reply, 415, "bad_content_type")


def test_no_content_type(stack, new_sale):
    reply = stack.web.request("POST", f"/buy/{new_sale()}",
                              '{"userId":"alice"}')
    assert_problem(reply, 415, "bad_content_type")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH",
                                    "OPTIONS"])
def test_wrong_method(stack, new_sale, method):
    sku = new_sale()
    for path in ("/buy", f"/buy/{sku}"):
        reply = stack.web.request(method, path)
        assert reply.status == 405, reply
        assert reply.headers["allow"] == "POST"
        if method != "HEAD":
            assert_problem(reply, 405, "method_not_allowed")


# --- Refused: the sale ---

def test_unknown_sku(stack, new_sku):
    assert_problem(stack.web.buy(new_sku(), "alice"), 404, "no_such_sale")
    assert_problem(stack.web.buy("x" * 64, "alice"), 404, "no_such_sale")


@pytest.mark.parametrize("sku", [
    "x" * 65, "x" * 2000, "a%20b", "a%2Fb", "%C3%BC", "a*b", "a:b", "{x}",
    "a/b", "a/"])
def test_a_sku_that_cannot_be(stack, sku):
    reply = stack.web.buy(sku, "alice")
    assert (reply.status, reply.code) in (
        (404, "not_found"), (404, "no_such_sale")), reply


def test_a_nul_in_the_path(stack):
    stack.assert_refused(stack.web.buy("a%00b", "u"), 400, "bad_request")


def test_sold_out(stack, new_sale):
    sku = new_sale(stock=1)
    order = stack.web.buy(sku, "alice").json
    for user in ("bob", "carol"):
        assert_problem(stack.web.buy(sku, user), 409, "sold_out", sku=sku)
    assert stack.web.stock(sku)["status"] == "sold_out"
    stack.wait_settled(sku, [order["orderId"]])


def test_who_was_refused_buys_as_soon_as_there_is_something(stack, new_sale):
    """A responder remembers who refuses everybody, but takes no refusal from
    memory: several of them at once, for each has its own."""
    sku = new_sale(stock=0, limit=0)
    users = [f"u{n}" for n in range(40)]
    for _ in range(5):
        assert count(rush(stack.web, sku, users, 20)) == {"sold_out": 40}
        assert stack.web.reset(sku, 30, limit=0).status == 200
        assert count(rush(stack.web, sku, users, 20)) \
            == {"accepted": 30, "sold_out": 10}


def test_a_key_is_found_where_everybody_is_refused(stack, new_sale):
    sku = new_sale(stock=1)
    order = stack.web.buy(sku, "alice", key="k").json["orderId"]
    for _ in range(3):
        assert count(rush(stack.web, sku, ["bob"] * 20, 20)) \
            == {"sold_out": 20}
        again, *others = rush(stack.web, sku, ["alice"] + ["bob"] * 20, 21,
                              key="k")
        assert again.body["orderId"] == order
        assert count(others) == {"sold_out": 20}


def test_a_sale_of_nothing_is_sold_out(stack, new_sale):
    sku = new_sale(stock=0)
    assert_problem(stack.web.buy(sku, "alice"), 409, "sold_out")


def test_more_than_is_left_is_refused_and_strands_nothing(stack, new_sale):
    sku = new_sale(stock=3, limit=0)
    assert stack.web.buy(sku, "alice", 2).json["remaining"] == 1
    assert_problem(stack.web.buy(sku, "bob", 2), 409, "sold_out")
    assert stack.web.stock(sku)["remaining"] == 1
    assert stack.web.buy(sku, "bob", 1).json["remaining"] == 0


def test_limit_reached(stack, new_sale):
    sku = new_sale(stock=10, limit=3)
    assert stack.web.buy(sku, "alice", 2).status == 202
    assert_problem(stack.web.buy(sku, "alice", 2), 409, "limit_reached")
    assert stack.web.buy(sku, "alice", 1).status == 202
    assert_problem(stack.web.buy(sku, "alice", 1), 409, "limit_reached")
    assert_problem(stack.web.buy(sku, "bob", 4), 409, "limit_reached")
    assert stack.web.stock(sku)["remaining"] == 7


def test_no_limit(stack, new_sale):
    sku = new_sale(stock=10, limit=0)
    assert [stack.web.buy(sku, "alice", 2).status for _ in range(5)] \
        == [202] * 5


def test_not_open_yet_and_then_open(stack, new_sale):
    later = new_sale(opensAt=now_ms() + 3_600_000)
    assert stack.web.stock(later)["status"] == "not_open"
    assert_problem(stack.web.buy(later, "alice"), 409, "not_open")
    opens_at = now_ms() + 4000
    sku = new_sale(opensAt=opens_at)
    reply = eventually(
        lambda: (lambda r: r.status == 202 and r)(stack.web.buy(sku, "bob")),
        30, "the sale opens by itself")
    assert now_ms() >= opens_at
    assert reply.json["remaining"] == 9


def test_open_and_then_closed(stack, new_sale):
    def bought():
        # More units than she buys until then: it is not to be sold out.
        sku = new_sale(stock=100_000, limit=0, closesAt=now_ms() + 4000)
        return stack.web.buy(sku, "alice").status == 202 and sku
    sku = eventually(bought)
    eventually(lambda: stack.web.buy(sku, "alice").code == "closed", 30,
               "the sale closes by itself")
    assert_problem(stack.web.buy(sku, "bob"), 409, "closed")
    eventually(lambda: stack.web.stock(sku)["status"] == "closed")


def test_closed_and_paused_by_the_operator(stack, new_sale):
    sku = new_sale()
    assert stack.cli("pause", sku).returncode == 0
    assert_problem(stack.web.buy(sku, "alice"), 409, "paused")
    assert stack.cli("resume", sku).returncode == 0
    assert stack.web.buy(sku, "alice").status == 202
    assert stack.cli("close", sku).returncode == 0
    assert_problem(stack.web.buy(sku, "bob"), 409, "closed")
    eventually(lambda: stack.web.stock(sku)["status"] == "closed")


# --- Idempotency-Key ---

def test_the_same_key_is_the_same_order(stack, new_sale):
    sku = new_sale(limit=1)
    first = stack.web.buy(sku, "alice", key="k1")
    again = stack.web.buy(sku, "alice", key="k1")
    assert (first.status, again.status) == (202, 202)
    assert first.json["orderId"] == again.json["orderId"]
    assert again.headers["location"] == first.headers["location"]
    assert stack.web.stock(sku)["remaining"] == 9
    stack.wait_settled(sku, [first.json["orderId"]])
    late = stack.web.buy(sku, "alice", key="k1")
    assert (late.status, late.json["orderId"]) == (202, first.json["orderId"])


def test_the_same_key_when_sold_out_or_closed(stack, new_sale):
    sku = new_sale(stock=1)
    first = stack.web.buy(sku, "alice", key="k1").json["orderId"]
    assert stack.web.buy(sku, "alice", key="k1").json["orderId"] == first
    assert stack.cli("close", sku).returncode == 0
    assert stack.web.buy(sku, "alice", key="k1").json["orderId"] == first


def test_a_refusal_does_not_use_a_key_up(stack, new_sale):
    sku = new_sale(stock=5)
    assert stack.cli("pause", sku).returncode == 0
    assert_problem(stack.web.buy(sku, "alice", key="k1"), 409, "paused")
    assert stack.cli("resume", sku).returncode == 0
    assert stack.web.buy(sku, "alice", key="k1").status == 202


def test_a_key_belongs_to_its_user_and_sku(stack, new_sale):
    one, other = new_sale(), new_sale()
    ids = {stack.web.buy(sku, user, key="k1").json["orderId"]
           for sku in (one, other) for user in ("alice", "bob")}
    assert len(ids) == 4


def test_user_and_key_are_not_run_together(stack, new_sale):
    sku = new_sale(limit=1)
    pairs = [("a", "bc"), ("ab", "c"), ("a:b", "c"), ("a", "b:c"),
             ("a|b", "d"), ("a", "b|d")]
    answers = {}
    for user, key in pairs:
        answers.setdefault(user, []).append(stack.web.buy(sku, user, key=key))
    orders = [r.json["orderId"] for replies in answers.values()
              for r in replies if r.status == 202]
    assert len(orders) == len(set(orders)) == len(answers)


def test_a_key_again_with_another_quantity(stack, new_sale):
    sku = new_sale(limit=0)
    assert stack.web.buy(sku, "alice", 1, "k1").status == 202
    assert_problem(stack.web.buy(sku, "alice", 2, "k1"), 422, "bad_field",
                   field="Idempotency-Key")
    assert stack.web.stock(sku)["remaining"] == 9


@pytest.mark.parametrize("key", ["k", "k" * 128, "550e8400-e29b", '"quoted"'])
def test_keys_up_to_their_limits(stack, new_sale, key):
    sku = new_sale()
    first = stack.web.buy(sku, "alice", key=key)
    assert first.status == 202, first
    assert stack.web.buy(sku, "alice", key=key).json["orderId"] \
        == first.json["orderId"]


@pytest.mark.parametrize("key", ["k" * 129, "k" * 2000, "k\u00fc", "k\tk"])
def test_bad_keys(stack, new_sale, key):
    sku = new_sale()
    assert_problem(stack.web.buy(sku, "alice", key=key), 422, "bad_field",
                   field="Idempotency-Key")
    assert stack.web.stock(sku)["remaining"] == 10
