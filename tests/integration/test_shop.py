"""What the pages need of the engine and of the web server: the list of
sales, the dashboard's numbers and switches, the cache before the stock, and
the headers that static files come with."""

import asyncio
import re
import time

import aiohttp
import pytest

from harness.stack import ROOT
from harness.wait import eventually
from harness.web import JSON, assert_problem

CSP = {"default-src 'none'", "script-src 'self'", "style-src 'self'",
       "img-src 'self'", "connect-src 'self'", "base-uri 'none'",
       "form-action 'none'", "frame-ancestors 'none'"}


@pytest.fixture
def empty_list(stack):
    """Only the sales of this test are listed.  Those of the others have
    nothing left that the keeper would have to find by the list."""
    for sku in stack.redis.smembers("fs:sales"):
        eventually(lambda: stack.outbox(sku) == 0, 30, f"{sku} sent")
        stack.redis.srem("fs:sales", sku)


def sales_by_sku(reply):
    assert reply.status == 200 and reply.type == JSON, reply
    return {sale["sku"]: sale for sale in reply.json["sales"]}


# --- GET /sales ---

def test_the_list_of_sales(stack, empty_list, new_sale):
    assert sales_by_sku(stack.web.get("/sales")) == {}
    skus = [new_sale(stock=n, name=f"Thing {n}") for n in (3, 4)]
    reply = stack.web.get("/sales")
    assert reply.headers["cache-control"] == "public, max-age=1"
    sales = sales_by_sku(reply)
    for sku in skus:
        assert sales[sku] == stack.web.stock(sku)
    assert list(sales) == sorted(sales)


def test_more_sales_than_one_answer_holds(stack, empty_list, new_sale):
    skus = sorted(new_sale(name='"' * 200) for _ in range(65))
    assert list(sales_by_sku(stack.web.get("/sales"))) == skus[:64]


# --- GET /admin/stats ---

def stats(stack):
    reply = stack.web.get("/admin/stats")
    assert reply.status == 200 and reply.type == JSON, reply
    assert reply.headers["cache-control"] == "no-store"
    return reply.json


def test_stats_are_for_the_admin(stack):
    for path, method in (("/admin/stats", "GET"),
                         ("/admin/state/x", "POST")):
        reply = stack.web.request(method, path, headers={
            "Authorization": "Bearer wrong"})
        assert_problem(reply, 401, "unauthorized")


def test_stats_follow_an_order_to_the_books(stack, empty_list, new_sale):
    sku = new_sale(stock=3, limit=0)
    before = stats(stack)
    order = stack.web.buy(sku, "alice", 2).json["orderId"]
    assert_problem(stack.web.buy(sku, "bob", 2), 409, "sold_out")
    stack.wait_settled(sku, [order])

    def confirmed():
        sale = {s["sku"]: s for s in stats(stack)["sales"]}[sku]
        return (sale["remaining"], sale["confirmed"], sale["outbox"]) \
            == (1, 2, 0)
    eventually(confirmed, 10)
    after = stats(stack)
    for outcome in ("queued", "sold_out"):
        assert after["requests"][outcome] \
            == before["requests"][outcome] + 1
    assert after["redis"] == "ok" and after["queue"]["visible"] >= 0
    assert sum(after["latency"]["counts"]) \
        >= sum(before["latency"]["counts"]) + 2
    assert len(after["latency"]["counts"]) \
        == len(after["latency"]["bounds"]) + 1


def test_a_duplicate_confirmation_counts_once(stack, new_sale):
    sku = new_sale()
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    key = f"fs:{{{sku}}}:sale"
    eventually(lambda: stack.redis.hget(key, "confirmed") == "1", 10)
    script = (ROOT / "lua/settle.lua").read_text()
    keys = [f"fs:{{{sku}}}:{name}" for name in (
        "sale", "buyers", "orders", "orders:previous", "outbox")]
    for verdict, confirmed in (("confirmed", "1"), ("rejected", "0"),
                               ("confirmed", "1"), ("dead", "1")):
        stack.redis.eval(script, 5, *keys, order, verdict, "")
        assert stack.redis.hget(key, "confirmed") == confirmed


# --- POST /admin/state ---

@pytest.mark.parametrize("state, status", [
    ("paused", "paused"), ("closed", "closed"), ("open", "on_sale")])
def test_states(stack, new_sale, state, status):
    sku = new_sale()
    reply = stack.web.admin(f"/admin/state/{sku}", {"state": state})
    assert reply.status == 200, reply
    assert reply.json["status"] == status
    assert stack.web.stock(sku)["status"] == status


@pytest.mark.parametrize("state", [None, "", "shut", 5, "paused "])
def test_bad_states(stack, new_sale, state):
    reply = stack.web.admin(f"/admin/state/{new_sale()}", {"state": state})
    assert_problem(reply, 422, "bad_field", field="state")


@pytest.mark.parametrize("sku", ["nowhere", "x" * 65, "a%20b"])
def test_states_of_what_is_not_there(stack, sku):
    assert_problem(stack.web.admin(f"/admin/state/{sku}",
                                   {"state": "open"}), 404, "no_such_sale")


# --- The cache before /stock and /sales ---

def look(stack, path):
    """As anybody."""
    return stack.web.request("GET", path)


def looks(stack):
    text = stack.web.get("/metrics").body.decode()
    return int(re.search(r'_total\{code="looked"\} (\d+)', text).group(1))


async def _poll(url, paths, pollers, seconds):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        async def page(number):
            await asyncio.sleep(number / pollers)
            seen = []
            for _ in range(seconds):
                async with session.get(
                        url + paths[number % len(paths)]) as reply:
                    await reply.read()
                    seen.append(reply.status)
                await asyncio.sleep(1)
            return seen
        seen = await asyncio.gather(*(page(n) for n in range(pollers)))
    return [status for each in seen for status in each]


@pytest.mark.stacks("nginx")
def test_a_thousand_open_pages_are_one_to_the_engine(stack, new_sale):
    """At most one request for each path and second.  (Nobody waits longer
    than 200 ms for another's, so the first answers must be there.)"""
    paths = [f"/stock/{new_sale()}", "/sales"]
    for path in paths:
        assert look(stack, path).status == 200
    before, started = looks(stack), time.monotonic()
    seen = asyncio.run(_poll(stack.web.url, paths, 1000, 3))
    # /metrics counts only what was answered before.
    grown = looks(stack) - before
    assert seen == [200] * 3000
    assert grown <= len(paths) * (time.monotonic() - started + 1)


@pytest.mark.stacks("nginx")
def test_the_cache_keeps_nothing_but_good_answers(stack, new_sku):
    sku = new_sku()
    assert look(stack, f"/stock/{sku}").status == 404
    stack.web.reset(sku, 5)
    assert look(stack, f"/stock/{sku}").status == 200


@pytest.mark.stacks("nginx")
def test_the_cache_forgets_within_two_seconds(stack, new_sale):
    sku = new_sale(stock=5)
    assert look(stack, f"/stock/{sku}").json["remaining"] == 5
    stack.web.buy(sku, "alice")
    eventually(lambda: look(stack, f"/stock/{sku}").json["remaining"] == 4,
               10)
    assert stack.web.stock(sku)["remaining"] == 4


@pytest.mark.stacks("nginx")
def test_a_query_does_not_get_past_the_cache(stack, new_sale):
    sku = new_sale()
    look(stack, f"/stock/{sku}")
    before, began = looks(stack), time.monotonic()
    for n in range(50):
        assert look(stack, f"/stock/{sku}?noise={n}").status == 200
    assert looks(stack) - before <= time.monotonic() - began + 5


@pytest.mark.stacks("nginx")
def test_head_and_get_are_not_mixed_up(stack, new_sale):
    sku = new_sale()
    for method, has_body in (("HEAD", False), ("GET", True), ("HEAD", False)):
        reply = stack.web.request(method, f"/stock/{sku}")
        assert reply.status == 200 and bool(reply.body) == has_body


def test_purchases_are_never_cached(stack, new_sale):
    sku = new_sale(stock=3, limit=0)
    orders = {stack.web.buy(sku, "alice").json["orderId"] for _ in range(3)}
    assert len(orders) == 3
    for _ in range(2):
        assert_problem(stack.web.buy(sku, "alice"), 409, "sold_out")


# --- Static files ---

def files_of(stack, page):
    """The page, and all that it names."""
    names, todo = {}, [page]
    while todo:
        path = todo.pop()
        if path in names:
            continue
        names[path] = reply = stack.web.get(path)
        assert reply.status == 200, (path, reply)
        if reply.type in ("text/html", "text/css"):
            text = reply.body.decode()
            todo += re.findall(r'(?:href|src)="(/[^"]+\.\w+)"', text)
    return names


@pytest.mark.parametrize("page", ["/", "/admin/"])
def test_pages_may_use_nothing_but_their_own_files(stack, page):
    for path, reply in files_of(stack, page).items():
        policy = reply.headers["content-security-policy"]
        assert set(re.split(r"; *", policy)) == CSP, path
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        if path.endswith(".js"):
            assert "javascript" in reply.type
        if reply.type == "text/html":
            text = reply.body.decode()
            assert not re.search(r"<style|\bstyle=|\bon\w+=|//\w", text)
            assert not re.search(r"<script(?![^>]*\bsrc=)", text)


def test_the_first_paint_is_under_50_kb(stack):
    """Uncompressed, as lighttpd sends it, with generous headers."""
    files = files_of(stack, "/")
    assert len(files) > 5
    assert sum(len(r.body) + 600 for r in files.values()) < 50_000


def test_answers_of_the_engine_carry_no_policy_for_pages(stack, new_sale):
    reply = stack.web.get(f"/stock/{new_sale()}")
    assert "content-security-policy" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_unknown_admin_pages(stack):
    stack.assert_refused(stack.web.get("/admin/nothing"), 404, "not_found")
