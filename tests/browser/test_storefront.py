"""The storefront as buyers meet it."""

import json
import time

from selenium.webdriver.common.keys import Keys

from harness.crowd import rush
from harness.wait import eventually, stays
from harness.web import assert_problem

BUY, WORD, LEFT, BADGE = ".buy", ".word", ".stock b", ".badge"


def purchases(page):
    """What the browser keeps of them: key or order."""
    kept = page.run("return Object.fromEntries(Object.entries(localStorage))")
    return [json.loads(value) for name, value in kept.items()
            if name.startswith("flashsale.purchase.")]


def in_ms(seconds):
    return int(time.time() * 1000 + seconds * 1000)


def test_buy_and_sell_out(stack, open_page, new_sale):
    """A person buys, another one sees the number fall and gets the last
    unit, a third comes too late."""
    sku = new_sale(stock=2)
    alice, bob = open_page().on(sku), open_page().on(sku)
    alice.shows("h2", "Aurora Phone 16").shows(".price", "$799.00")
    alice.shows(LEFT, "2").shows(BUY, "Buy now").picture("shop")
    alice.click(BUY).shows(WORD, "Confirmed").shows(BUY, "It is yours")
    assert stack.books.ids(sku) == [alice.text(".order code")]
    alice.picture("shop-confirmed")

    bob.shows(LEFT, "1").click(BUY).shows(WORD, "Confirmed")
    assert len(stack.books.ids(sku)) == 2
    carol = open_page().on(sku).shows(BADGE, "Sold out").shows(BUY, "Sold out")
    carol.click(BUY)
    stays(lambda: carol.text(WORD) == "", 0.5)
    carol.picture("shop-sold-out")
    alice.shows(BADGE, "Sold out")
    # The order is still there tomorrow.
    alice.open().shows(WORD, "Confirmed")
    stack.wait_settled(sku, stack.books.ids(sku))


def test_too_late(stack, open_page, new_sale):
    """The page said "on sale", and then it was not."""
    sku = new_sale(stock=1)
    page = open_page().on(sku).shows(BUY, "Buy now")
    page.block("*/sales")
    assert stack.web.buy(sku, "faster").status == 202
    page.click(BUY).shows(WORD, "Sold out: others were faster")
    assert purchases(page) == []


def test_by_keyboard_only(stack, open_page, new_sale):
    sku = new_sale()
    page = open_page().on(sku).shows(BUY, "Buy now")
    page.tab_to(BUY).press(Keys.ENTER).shows(WORD, "Confirmed")
    assert len(stack.books.ids(sku)) == 1
    assert page.run("return document.activeElement.matches('.buy')"), \
        "the button keeps the focus"


def test_on_a_phone(open_page, new_sale):
    new_sale("lamp", name="Halo Lamp")
    sku = new_sale("watch", name="Meridian Watch")
    page = open_page(phone=True, dark=True).on(sku).shows(BUY, "Buy now")
    wide, high = page.run("return [document.documentElement.scrollWidth,"
                          " document.querySelector('.buy').offsetHeight]")
    assert wide <= 390 and high >= 44
    page.click(BUY).shows(WORD, "Confirmed").picture("shop-phone")


def test_a_double_click_is_one_order(stack, open_page, new_sale):
    sku = new_sale(limit=0)
    page = open_page().on(sku).shows(BUY, "Buy now").click_fast(BUY, 2)
    page.shows(WORD, "Confirmed").shows(BUY, "Buy another")
    stack.wait_settled(sku, stack.books.ids(sku))
    assert len(stack.books.ids(sku)) == 1
    page.shows(BUY + "[aria-disabled=false]", "Buy another").click(BUY)
    eventually(lambda: len(stack.books.ids(sku)) == 2, 20)


def test_a_refusal_leaves_the_order_that_is_there(
        stack, open_page, new_sale):
    sku = new_sale(limit=2)
    page = open_page().on(sku).shows(BUY, "Buy now").click(BUY)
    page.shows(WORD, "Confirmed")
    order = page.text(".order code")
    assert stack.web.buy(sku, page.text("#user")).status == 202
    page.shows(BUY + "[aria-disabled=false]", "Buy another").click(BUY)
    page.shows(WORD, "Limit reached")
    assert page.text(".order code") == order
    page.open().shows(WORD, "Confirmed")
    assert page.text(".order code") == order


def test_a_button_that_changes_its_word_is_not_pressed(
        stack, open_page, new_sale):
    """Three clicks on one spot, however fast the answer comes."""
    sku = new_sale(limit=0)
    page = open_page().on(sku).shows(BUY, "Buy now")
    page.click_fast(BUY, 3).shows(WORD, "Confirmed")
    assert len(stack.books.ids(sku)) == 1


def test_a_lost_answer_is_one_order(stack, open_page, new_sale):
    """The first question got through, its answer did not."""
    sku = new_sale(limit=0)
    page = open_page().on(sku).shows(BUY, "Buy now").offline().click(BUY)
    page.shows(WORD, "No answer yet").shows(BUY, "Try again")
    page.picture("shop-no-answer")
    [kept] = purchases(page)
    first = stack.web.buy(sku, page.text("#user"), 1, kept["key"])
    assert first.status == 202
    page.offline(False).shows(WORD, "Confirmed")
    assert page.text(".order code") == first.json["orderId"]
    assert stack.books.ids(sku) == [first.json["orderId"]]


def test_503_and_a_reload_keep_the_key(stack, open_page, new_sale):
    sku = new_sale(limit=0)
    page = open_page().on(sku).shows(BUY, "Buy now")
    with stack.without("fcgi"):
        page.click(BUY).shows(WORD, "No answer yet")
        [kept] = purchases(page)
        page.open()
        eventually(lambda: purchases(page) == [kept], 10)
    page.shows(WORD, "Confirmed", 40)
    [order] = stack.books.orders(sku)
    assert order["request_key"] == kept["key"]


def test_a_later_order_of_another_tab_stays(stack, open_page, new_sale):
    """This one still waits for its own to be confirmed."""
    sku = new_sale(limit=0)
    page = open_page().on(sku).shows(BUY, "Buy now")
    with stack.without("worker"):
        page.click(BUY).shows(BUY, "Buy another")
        [kept] = purchases(page)
        later = {"orderId": "of-another-tab", "status": "queued"}
        page.run("for (const name in localStorage) {"
                 " if (name.startsWith('flashsale.purchase.')) {"
                 " localStorage.setItem(name, arguments[0]); } }",
                 json.dumps(later))
    page.shows(WORD, "Confirmed", 60)
    assert page.text(".order code") == kept["orderId"]
    assert purchases(page) == [later]


def test_the_countdown_is_the_servers(stack, open_page, new_sale):
    """A phone whose clock is an hour ahead."""
    page = open_page(clock_ahead_ms=3600_000)
    opens = in_ms(15)
    page.on(new_sale(opensAt=opens)).shows(BADGE, "Opens soon")
    page.shows(".countdown", "00:")
    page.picture("shop-countdown")
    page.shows(BUY, "Buy now", 40)
    assert -1500 < in_ms(0) - opens < 60_000
    page.click(BUY).shows(WORD, "Confirmed")


def test_paused_and_closed(stack, open_page, new_sale):
    sku = new_sale()
    page = open_page().on(sku).shows(BUY, "Buy now")
    for state, word in (("paused", "Paused"), ("open", "On sale"),
                        ("closed", "Closed")):
        assert stack.web.admin(f"/admin/state/{sku}",
                               {"state": state}).status == 200
        page.shows(BADGE, word)


def test_the_limit(stack, open_page, new_sale):
    sku = new_sale(limit=2)
    page = open_page().on(sku).shows(BUY, "Buy now")
    user = page.text("#user")
    assert stack.web.buy(sku, user, 2).status == 202
    page.click(BUY).shows(WORD, "Limit reached")
    assert_problem(stack.web.buy(sku, user), 409, "limit_reached")


def test_a_reset_is_a_new_sale(stack, open_page, new_sale):
    sku = new_sale(stock=1)
    page = open_page().on(sku).shows(BUY, "Buy now").click(BUY)
    page.shows(WORD, "Confirmed").shows(BADGE, "Sold out")
    new_sale(stock=7)
    page.shows(LEFT, "7").shows(BUY, "Buy now")
    assert page.text(WORD) == ""


def test_a_name_is_no_markup(open_page, new_sale):
    name = '<img src=x onerror="alert(1)"> & <b>bold</b>'
    sku = new_sale(name=name)
    open_page().on(sku).shows("h2", name)


def test_nothing_on_sale(open_page):
    open_page().shows("#notice", "Nothing is on sale").picture("shop-empty")


def test_nobody_asks_while_nobody_looks(open_page, new_sale):
    page = open_page().on(new_sale()).shows(BUY, "Buy now")
    asked = ("return performance.getEntriesByType('resource')"
             ".filter((e) => e.name.endsWith('/sales')).length")
    shop = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    other = page.driver.current_window_handle
    page.driver.switch_to.window(shop)
    if not page.run("return document.hidden"):
        page.run("Object.defineProperty(document, 'hidden',"
                 " {value: true, configurable: true})")
    before = page.run(asked)
    stays(lambda: page.run(asked) <= before + 1, 3)
    page.driver.switch_to.window(other)
    page.driver.close()
    page.driver.switch_to.window(shop)


def test_the_first_paint_is_small(open_page, new_sale):
    sku = new_sale()
    page = open_page().on(sku).shows(BUY, "Buy now")
    sizes = page.run(
        "return [...performance.getEntriesByType('navigation'),"
        " ...performance.getEntriesByType('resource')]"
        ".map((e) => [e.name, e.transferSize])")
    assert all(name.startswith(page.url) for name, _ in sizes), sizes
    assert 5_000 < sum(size for _, size in sizes) < 50_000, sizes


def test_no_serious_violation(stack, axe, open_page, new_sale):
    sold_out = new_sale("lamp", stock=1, name="Halo Lamp")
    new_sale("watch", name="Meridian Watch", opensAt=in_ms(3600))
    phone = new_sale("phone", limit=0)
    assert rush(stack.web, sold_out, ["x"], 1)[0].status == 202
    for dark in (False, True):
        page = open_page(dark=dark)
        eventually(lambda: "Sold out" in page.text("#products")
                   and "Opens soon" in page.text("#products"), 20)
        page.on(phone).shows(BUY, "Buy now").click(BUY)
        page.shows(WORD, "Confirmed")
        assert page.serious(axe) == []
        page.picture("shop-dark" if dark else "shop-several")
