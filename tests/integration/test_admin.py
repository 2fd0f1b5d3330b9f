"""POST /reset and POST /reset-stock/{n}."""

import uuid

import pytest

from harness.wait import eventually
from harness.web import JSON, assert_problem


def test_reset_opens_a_sale(stack, new_sku):
    sku = new_sku()
    reply = stack.web.reset(sku, 5)
    assert reply.status == 200 and reply.type == JSON, reply
    stock = stack.web.stock(sku)
    assert (stock["name"], stock["total"], stock["remaining"]) == (sku, 5, 5)
    assert stock["status"] == "on_sale"
    assert [stack.web.buy(sku, "alice").status for _ in range(2)] \
        == [202, 409], "one unit a buyer by default"


def test_reset_is_a_new_sale_and_keeps_the_old_orders(stack, new_sku):
    sku = new_sku()
    orders = []
    for _ in range(3):
        assert stack.web.reset(sku, 2).status == 200
        orders += [stack.web.buy(sku, user, key="k").json["orderId"]
                   for user in ("alice", "bob")]
        assert stack.web.buy(sku, "carol").code == "sold_out"
    stack.wait_settled(sku, orders)
    sales = stack.books.sales(sku)
    assert [(s["total"], s["sold"]) for s in sales] == [(2, 2)] * 3
    assert len({s["sale_id"] for s in sales}) == 3


def test_reset_keeps_what_is_not_given(stack, new_sku):
    sku = new_sku()
    stack.web.reset(sku, 5, name="A name", limit=2)
    stack.web.reset(sku, 7)
    stock = stack.web.stock(sku)
    assert (stock["name"], stock["total"]) == ("A name", 7)
    assert stack.web.buy(sku, "alice", 2).status == 202
    assert_problem(stack.web.buy(sku, "alice"), 409, "limit_reached")


def test_reset_of_a_closed_or_paused_sale_opens_it(stack, new_sale):
    for command in ("close", "pause"):
        sku = new_sale()
        assert stack.cli(command, sku).returncode == 0
        assert stack.web.reset(sku, 5).status == 200
        assert stack.web.buy(sku, "alice").status == 202


def test_reset_stock_is_for_the_default_sku(stack):
    assert stack.web.admin("/reset-stock/12").status == 200
    assert stack.web.stock()["remaining"] == 12
    assert stack.web.admin("/reset-stock/0").status == 200
    assert_problem(stack.web.buy(None, "alice"), 409, "sold_out")


@pytest.mark.parametrize("stock", [0, 1, 1_000_000_000])
def test_stock_up_to_its_limits(stack, new_sku, stock):
    sku = new_sku()
    assert stack.web.reset(sku, stock).status == 200
    assert stack.web.stock(sku)["remaining"] == stock


@pytest.mark.parametrize("field, value", [
    ("stock", -1), ("stock", 1_000_000_001), ("stock", "5"), ("stock", 1.5),
    ("stock", None), ("stock", True), ("stock", 2 ** 32 + 5),
    ("limit", -1), ("limit", "1"), ("limit", 1.5), ("limit", 10 ** 10),
    ("sku", ""), ("sku", "x" * 65), ("sku", "a b"), ("sku", "a/b"),
    ("sku", "ü"), ("sku", 5), ("sku", "a{b}"), ("sku", ".."),
    ("name", ""), ("name", "x" * 201), ("name", "é" * 101), ("name", 5),
    ("name", "a\nb"), ("name", "\x7f"),
    ("opensAt", -1), ("opensAt", "now"), ("opensAt", 1.5),
    ("closesAt", -1), ("closesAt", "never"), ("closesAt", True),
    ("priceMinor", -1), ("priceMinor", "5"), ("priceMinor", 1.5),
    ("currency", ""), ("currency", "EURO"), ("currency", "eu"),
    ("currency", "E1R"), ("currency", 978)])
def test_bad_fields(stack, new_sku, field, value):
    sale = {"sku": new_sku(), "stock": 5, field: value}
    assert_problem(stack.web.admin("/reset", sale), 422, "bad_field",
                   field=field)


def test_without_stock(stack, new_sku):
    assert_problem(stack.web.admin("/reset", {"sku": new_sku()}), 422,
                   "bad_field", field="stock")


def test_without_a_sku_the_default_one_is_reset(stack):
    assert stack.web.admin("/reset", {"stock": 17}).status == 200
    assert stack.web.stock()["remaining"] == 17


@pytest.mark.parametrize("sku", ["x", "x" * 56, "A.b_c-9"])
def test_skus_up_to_their_limits(stack, new_sku, sku):
    sku = new_sku()[-9:-2] + "." + sku
    assert stack.web.reset(sku, 1).status == 200
    assert stack.web.buy(sku, "alice").status == 202


def test_a_name_of_the_largest_size_travels_unchanged(stack, new_sku):
    sku = new_sku()
    name = 'é"\\/<&>' + "x" * 192
    assert len(name.encode()) == 200
    assert stack.web.reset(sku, 1, name=name).status == 200
    assert stack.web.stock(sku)["name"] == name
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    assert stack.books.sales(sku)[0]["name"] == name


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"sku":"a"'])
def test_bad_json(stack, body):
    assert_problem(stack.web.admin("/reset", body), 400, "bad_json")


def test_too_large(stack, new_sku):
    sale = {"sku": new_sku(), "stock": 1, "x": "x" * 4096}
    assert_problem(stack.web.admin("/reset", sale), 413, "body_too_large")


@pytest.mark.parametrize("stock", ["x", "-1", "1.5", "1000000001", "1x",
                                   "99999999999999999999", "%31x", "+1"])
def test_reset_stock_with_a_bad_number(stack, stock):
    reply = stack.web.admin(f"/reset-stock/{stock}")
    assert (reply.status, reply.code) in ((422, "bad_field"),
                                          (404, "not_found")), reply


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer {token}x",
    "Bearer x{token}", "Bearer {half}", "Basic {token}", "{token}",
    "Bearer {token} {token}", "Bearer " + "x" * 2000])
def test_wrong_tokens(stack, new_sku, authorization):
    sku = new_sku()
    token = stack.web.token
    headers = {"Content-Type": JSON}
    if authorization is not None:
        headers["Authorization"] = authorization.format(
            token=token, half=token[:len(token) // 2])
    for path, body in (("/reset", {"sku": sku, "stock": 5}),
                       ("/reset", "{not json"),
                       ("/reset-stock/7", "")):
        reply = stack.web.post(path, body, headers)
        assert_problem(reply, 401, "unauthorized")
        assert reply.headers["www-authenticate"].split()[0] == "Bearer"
    assert_problem(stack.web.get(f"/stock/{sku}"), 404, "no_such_sale")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_wrong_methods(stack, method):
    for path in ("/reset", "/reset-stock/5"):
        reply = stack.web.request(method, path)
        assert reply.status == 405 and reply.headers["allow"] == "POST", reply


def test_a_sale_is_newer_than_the_one_before(stack, new_sale):
    """Also when that was opened by a host whose clock is ahead."""
    sku = new_sale(stock=3)
    earlier = "0fffffff-ffff-7abc-8def-0123456789ab"
    stack.redis.hset(f"fs:{{{sku}}}:sale", "sale_id", earlier)
    later = stack.web.reset(sku, 4).json["saleId"]
    assert later > earlier
    assert str(uuid.UUID(later)) == later
    assert uuid.UUID(later).version == 7
    eventually(lambda: [s["sale_id"] for s in stack.books.sales(sku)
                        if s["total"] == 4] == [later])
