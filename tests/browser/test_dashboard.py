"""The dashboard as operators meet it."""

import pytest

from harness.wait import eventually

TILES = "#tiles"


@pytest.fixture
def dashboard(stack, open_page):
    """Signed in."""
    page = open_page("/admin/", size=(1380, 1100))
    page.fill("#token", stack.web.token).click("#gate-form button")
    return page.shows("#connection", "Live")


def test_the_token(stack, open_page):
    page = open_page("/admin/").picture("dashboard-gate")
    page.fill("#token", "wrong").click("#gate-form button")
    page.shows("#gate-word", "This token is wrong")
    assert page.text(TILES) == ""
    page.fill("#token", stack.web.token).click("#gate-form button")
    page.shows("#connection", "Live").shows(TILES, "Requests / s")
    # For this tab, and no longer.
    page.open("/admin/").shows("#connection", "Live")
    assert page.run("return localStorage.length") == 0
    page.click("#leave")
    eventually(lambda: page.find("#token").is_displayed(), 5)
    assert page.run("return sessionStorage.length") == 0


def test_the_keyboard_is_in_the_dashboard_after_signing_in(dashboard):
    assert dashboard.run("return document.activeElement.id") == "dashboard"


HISTORY = """
const [samples] = arguments;
return import("/admin/history.js").then(({ History }) => {
  const history = new History();
  samples.forEach((sample) => history.add(sample));
  return history.points;
});
"""


def sample(now, sales, queue=0):
    """What /admin/stats answers; sales: name -> (taken, confirmed) of 100."""
    return {
        "now": now, "requests": {"queued": now},
        "latency": {"bounds": [1], "counts": [now]},
        "queue": {"visible": queue, "inFlight": 0, "delayed": 0},
        "sales": [{"saleId": name, "total": 100, "remaining": 100 - taken,
                   "confirmed": confirmed, "outbox": 0}
                  for name, (taken, confirmed) in sales.items()]}


def test_a_time_that_nobody_watched_is_a_gap(dashboard):
    points = dashboard.run(HISTORY, [
        sample(1000, {}), sample(2000, {}), sample(60000, {}),
        sample(61000, {})])
    assert [(p["time"], "all" in p) for p in points] \
        == [(2, True), (3, False), (60, True), (61, True)]


def test_orders_of_a_sale_that_was_reset_are_not_waited_for(dashboard):
    """One order of it was on its way; then ten of the next, of which the
    last was taken at 4 s and is on its way at 9."""
    points = dashboard.run(HISTORY, [
        sample(1000, {"a": (0, 0)}), sample(2000, {"a": (1, 0)}, queue=1),
        sample(3000, {"b": (9, 0)}, queue=10),
        sample(4000, {"b": (10, 8)}, queue=2),
        sample(9000, {"b": (10, 9)}, queue=1)])
    assert points[-1]["age"] == 5


def test_a_rush_ends_with_exactly_n_orders(stack, dashboard):
    page = dashboard
    page.fill("#simulation-buyers", 300).fill("#simulation-stock", 40)
    page.click("#simulation-run").shows(
        "#verdict", "Exactly 40 orders in MySQL for 40 units and 300 buyers",
        60)
    assert page.text("#crowd-accepted") == "40"
    assert page.text("#crowd-refused") == "260"
    assert page.text("#crowd-failed") == "0"
    assert len(stack.books.ids("simulation")) == 40
    eventually(lambda: page.text("#sales [data-sku=simulation] .number:nth-of-type(4)")
               == "40", 10)
    # Again, on the same SKU.
    page.fill("#simulation-stock", 5).click("#simulation-run").shows(
        "#verdict", "Exactly 5 orders", 60)
    assert len(stack.books.ids("simulation")) == 45
    page.picture("dashboard")


def test_a_rush_that_the_books_contradict(stack, dashboard):
    """The verdict can be a bad one: somebody else buys in between."""
    page = dashboard
    page.fill("#simulation-buyers", 3000).fill("#simulation-stock", 3000)
    page.click("#simulation-run").shows("#verdict", "The buyers are coming")
    eventually(lambda: stack.web.buy("simulation", "stranger").status == 202,
               5)
    page.shows("#verdict", "do not add up", 90)


def test_open_pause_resume_close(stack, dashboard):
    page = dashboard
    page.fill("#open-sku", "d.chair").fill("#open-stock", 12)
    page.fill("#open-name", "Fold Chair").fill("#open-price", "19.99")
    page.click("#open-form button").shows("#open-word", "Fold Chair: 12 units")
    sale = stack.web.stock("d.chair")
    assert (sale["total"], sale["priceMinor"], sale["status"]) \
        == (12, 1999, "on_sale")
    row = "#sales [data-sku='d.chair']"
    for label, status in (("Pause", "paused"), ("Resume", "on_sale"),
                          ("Close", "closed"), ("Reopen", "on_sale")):
        button = f"button[aria-label='{label} d.chair']"
        page.shows(button, label).click(button)
        page.shows(row, status.replace("_", " "))
        assert stack.web.stock("d.chair")["status"] == status
    # What is left empty stays as it was.
    page.fill("#open-name", "").fill("#open-price", "")
    page.fill("#open-stock", 3).click("#open-form button")
    page.shows("#open-word", "Fold Chair: 3 units")
    assert stack.web.stock("d.chair")["priceMinor"] == 1999


@pytest.mark.parametrize("currency, price, minor", [
    ("JPY", "1200", 1200), ("KWD", "1.234", 1234)])
def test_a_price_in_the_currency_of_the_sale(
        stack, dashboard, new_sale, currency, price, minor):
    sku = new_sale(currency=currency)
    dashboard.shows(f"#sales [data-sku='{sku}']", "on sale")
    dashboard.fill("#open-sku", sku).fill("#open-stock", 7)
    dashboard.fill("#open-price", price).click("#open-form button")
    dashboard.shows("#open-word", "7 units")
    sale = stack.web.stock(sku)
    assert (sale["priceMinor"], sale["currency"]) == (minor, currency)


def test_a_price_of_a_sale_that_the_table_does_not_show(
        stack, dashboard, new_sale):
    """It shows 64."""
    sku = new_sale(currency="JPY")
    stack.redis.srem("fs:sales", sku)
    dashboard.fill("#open-sku", sku).fill("#open-stock", 8)
    dashboard.fill("#open-price", 1200).click("#open-form button")
    dashboard.shows("#open-word", "8 units")
    assert stack.web.stock(sku)["priceMinor"] == 1200


def test_numbers_follow_what_happens(stack, dashboard, new_sale):
    sku = new_sale(stock=100, limit=0)
    for n in range(30):
        assert stack.web.buy(sku, "alice").status == 202
    row = f"#sales [data-sku='{sku}'] .number:nth-of-type"
    dashboard.shows(f"{row}(2)", "70").shows(f"{row}(4)", "30")
    dashboard.shows(TILES, "Units left")
    if dashboard.run("return globalThis.uPlot !== undefined"):
        assert dashboard.run(
            "return document.querySelectorAll('.uplot canvas').length") == 6


def test_on_a_phone(stack, open_page, new_sale):
    new_sale()
    page = open_page("/admin/", phone=True)
    page.fill("#token", stack.web.token).click("#gate-form button")
    page.shows("#sales", "Aurora Phone 16")
    assert page.run("return document.documentElement.scrollWidth") <= 390


def test_without_the_chart_library(stack, open_page):
    page = open_page("/nowhere").block("*/vendor/*")
    page.open("/admin/").fill("#token", stack.web.token)
    page.click("#gate-form button").shows("#connection", "Live")
    page.shows("#no-charts", "numbers only").shows(".chart .key", "accepted")
    page.shows(TILES, "Queue").picture("dashboard-without-charts")


def test_a_redis_that_is_away(stack, dashboard):
    with stack.without("redis"):
        dashboard.shows("#connection", "Redis: unavailable")
    dashboard.shows("#connection", "Live", 60)
    stack.wait_healed()


def test_no_serious_violation(stack, axe, open_page, new_sale):
    new_sale()
    for dark in (False, True):
        page = open_page("/admin/", dark=dark, size=(1380, 1100))
        assert page.serious(axe) == []
        page.fill("#token", stack.web.token).click("#gate-form button")
        page.shows("#sales", "Aurora Phone 16")
        page.fill("#simulation-buyers", 50).fill("#simulation-stock", 10)
        page.click("#simulation-run").shows("#verdict", "Exactly 10", 60)
        assert page.serious(axe) == []
    page.picture("dashboard-dark")
