"""What one may read: /stock, /orders, /healthz, /readyz, /metrics."""

import re
import time
import uuid

import pytest

from harness.wait import eventually
from harness.web import JSON, assert_problem


def test_stock(stack, new_sale):
    opens = int(time.time() * 1000) - 5000
    sku = new_sale(stock=7, name="Nice — thing", opensAt=opens,
                   priceMinor=1999, currency="EUR")
    reply = stack.web.get(f"/stock/{sku}")
    assert reply.status == 200 and reply.type == JSON, reply
    assert reply.headers["cache-control"] == "public, max-age=1"
    stock = reply.json
    assert (stock["sku"], stock["name"]) == (sku, "Nice — thing")
    assert (stock["remaining"], stock["total"]) == (7, 7)
    assert (stock["status"], stock["opensAt"]) == ("on_sale", opens)


def test_stock_follows_the_sale(stack, new_sale):
    sku = new_sale(stock=2, limit=0)
    for left in (1, 0):
        assert stack.web.buy(sku, "alice").status == 202
        eventually(lambda: stack.web.stock(sku)["remaining"] == left, 5)
    assert stack.web.stock(sku)["status"] == "sold_out"
    assert stack.web.stock(sku)["total"] == 2


@pytest.mark.stacks("nginx")
def test_what_nginx_refuses_looks_like_the_engines(stack, new_sale):
    sku = new_sale()
    for headers in ({"If-Match": '"x"'}, {"Transfer-Encoding": "gzip"}):
        reply = stack.web.request("GET", f"/stock/{sku}", headers=headers)
        assert_problem(reply, 400, "bad_request")


def test_status_when_paused(stack, new_sale):
    sku = new_sale()
    assert stack.cli("pause", sku).returncode == 0
    eventually(lambda: stack.web.stock(sku)["status"] == "paused", 5)


def test_stock_of_an_unknown_sku(stack, new_sku):
    assert_problem(stack.web.get(f"/stock/{new_sku()}"), 404, "no_such_sale")


def test_order_unknown(stack, new_sale):
    sku = new_sale()
    other = new_sale()
    order = stack.web.buy(sku, "alice").json["orderId"]
    for path in (f"/orders/{sku}/{uuid.uuid4()}", f"/orders/{other}/{order}",
                 f"/orders/{sku}/x", f"/orders/{sku}/{order}0"):
        assert_problem(stack.web.get(path), 404, "no_such_order")


def test_an_order_is_found_at_its_location(stack, new_sale):
    reply = stack.web.buy(new_sale(limit=0), "alice", 3)
    seen = stack.web.get(reply.headers["location"])
    assert seen.status == 200 and seen.type == JSON
    assert seen.json["orderId"] == reply.json["orderId"]
    assert seen.json["quantity"] == 3
    # That SQS has it is written after the reply.
    eventually(lambda: stack.web.get(reply.headers["location"]).json["status"]
               in ("queued", "confirmed"))


def test_the_orders_of_the_sale_before_are_still_found(stack, new_sale):
    sku = new_sale()
    location = stack.web.buy(sku, "alice").headers["location"]
    assert stack.web.reset(sku, 5).status == 200
    assert stack.web.get(location).status == 200


def test_health(stack):
    assert stack.web.get("/healthz").status == 200
    assert stack.web.get("/readyz").status == 200


@pytest.mark.parametrize("path", [
    "/orders", "/orders/a", "/reset-stock", "/reset/x"])
def test_paths_that_the_engine_does_not_know(stack, path):
    assert_problem(stack.web.get(path), 404, "not_found")


@pytest.mark.parametrize("path", [
    "/nothing", "/healthz/x", "/readyzz", "/metrics/x", "/index.php",
    "/.git/config", "/buyx"])
def test_paths_that_the_web_server_does_not_know(stack, path):
    stack.assert_refused(stack.web.get(path), 404, "not_found")


def test_the_root_is_the_storefront(stack):
    reply = stack.web.get("/")
    assert reply.status == 200 and reply.type == "text/html"


def test_no_sku_and_no_order_has_a_slash(stack):
    for path in ("/stock/a/b", "/orders/a/b/c", "/stock/a%2Fb"):
        assert stack.web.get(path).status == 404


def test_paths_do_not_leave_the_web_directory(stack):
    for path in ("/../Makefile", "/%2e%2e/Makefile", "/..%2fMakefile",
                 "//../../etc/passwd"):
        assert stack.web.get(path).status in (400, 404)


def readable(stack, new_sale):
    sku = new_sale()
    order = stack.web.buy(sku, "alice").headers["location"]
    stack.web.reset("the-default", 3)
    return ["/stock", f"/stock/{sku}", order, "/healthz", "/readyz",
            "/metrics"]


def test_head_is_get_without_a_body(stack, new_sale):
    for path in readable(stack, new_sale):
        with stack.web.connect() as connection:
            head = connection.request("HEAD", path)
            get = connection.request("GET", path)
        assert (head.status, head.body) == (200, b""), (path, head)
        assert (get.status, head.type) == (200, get.type)
        assert get.body


def test_wrong_methods(stack, new_sale):
    for path in readable(stack, new_sale):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            reply = stack.web.request(method, path)
            assert_problem(reply, 405, "method_not_allowed")
            assert sorted(re.split(", *", reply.headers["allow"])) \
                == ["GET", "HEAD"]


def test_a_query_string_changes_nothing(stack, new_sale):
    sku = new_sale()
    assert stack.web.get(f"/stock/{sku}?a=1&b").json["sku"] == sku
    assert stack.web.post(f"/buy/{sku}?x", {"userId": "a"}).status == 202


# --- /metrics ---

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)')


def metrics(stack):
    reply = stack.web.get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith(
        "text/plain; version=0.0.4")
    samples = {}
    for line in reply.body.decode().splitlines():
        if line and not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert (name, labels) not in samples, line
            samples[name, labels] = float(value)
    return samples


def test_metrics_are_well_formed(stack):
    text = stack.web.get("/metrics").body.decode()
    assert text.endswith("\n")
    names = re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", text,
                       re.M)
    assert names and len(names) == len(set(names))
    assert all(name.startswith("flashsale_") for name, _ in names)
    assert sorted(name for name, _ in names) \
        == sorted(re.findall(r"^# HELP (\S+) \S.*$", text, re.M))
    for name, kind in names:
        if kind == "histogram":
            values = metrics(stack)
            buckets = [v for (n, _), v in values.items()
                       if n == f"{name}_bucket"]
            assert buckets and (f"{name}_sum", None) in values \
                or any(n == f"{name}_sum" for n, _ in values)


def test_metrics_count(stack, new_sale):
    def grown(label):
        return sum(v - before.get(k, 0) for k, v in metrics(stack).items()
                   if label in (k[1] or "") and k[0].endswith("_total"))
    sku = new_sale(stock=3, limit=0)
    before = metrics(stack)
    for n in range(5):
        # With a key: those that nginx refuses are not counted here.
        stack.web.buy(sku, "alice", key=f"k{n}")
    eventually(lambda: grown('"sold_out"') == 2, 5, "two refusals counted")
    assert grown('"queued"') == 3
