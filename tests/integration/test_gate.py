"""The edge gate: nginx refuses by itself while all would be refused, says
what a responder would say, and never refuses what could be sold."""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal

import pytest

from harness.gate import Gate
from harness.responder import Responder
from harness.wait import eventually, stays
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("nginx")

KEY = {"Idempotency-Key": "not-asked-before"}


@pytest.fixture
def gate(stack):
    return Gate(stack)


def refusals(stack):
    """How many requests the responders have refused."""
    text = stack.web.get("/metrics").body.decode()
    return sum(float(line.split()[1]) for line in text.splitlines()
               if line.startswith("flashsale_") and 'code="' in line)


def buy(stack, sku, headers=None):
    return stack.web.post(f"/buy/{sku}", {"userId": "u"}, headers)


def at_the_edge(stack, gate, sku, ask):
    """What ask() returns when no responder has refused meanwhile.  Tried
    again, for a gatekeeper that gets no time opens the gates."""
    def asked():
        gate.await_shut(sku)
        before = refusals(stack)
        answer = ask()
        assert refusals(stack) == before
        return answer
    return eventually(asked)


def without_date(reply):
    return {k: v for k, v in reply.headers.items() if k != "date"}


@pytest.mark.parametrize("code, terms, command", [
    ("sold_out", {"stock": 0}, None),
    ("paused", {}, "pause"),
    ("closed", {}, "close"),
    ("not_open", {"opensAt": 4_000_000_000_000}, None),
])
def test_it_says_what_a_responder_says(stack, gate, new_sale, code, terms,
                                       command):
    sku = new_sale(**terms)
    if command is not None:
        stack.cli(command, sku)
    answers = at_the_edge(stack, gate, sku,
                          lambda: [buy(stack, sku) for _ in range(5)])
    # Who has a key is answered by a responder.
    before = refusals(stack)
    expected = buy(stack, sku, KEY)
    assert refusals(stack) == before + 1
    assert_problem(expected, 409, code)
    for answer in answers:
        assert (answer.status, answer.body) == (409, expected.body)
        assert without_date(answer) == without_date(expected)


def test_the_default_sku(stack, gate):
    stack.web.reset("the-default", 0)
    answer = at_the_edge(stack, gate, "the-default",
                         lambda: stack.web.buy(None, "u"))
    assert_problem(answer, 409, "sold_out")
    assert answer.json["sku"] == "the-default"


def test_shut_gates_are_counted(stack, gate, new_sale):
    skus = [new_sale(stock=0) for _ in range(3)]
    for sku in skus:
        gate.await_shut(sku)

    def is_right():
        shut = gate.count()
        text = stack.web.get("/metrics").body.decode()
        counted = re.findall(r"^flashsale_gates_shut (\d+)$", text, re.M)
        return counted == [str(shut)]
    # Not "stays": a gate may open or shut between the two looks.
    eventually(is_right)
    stack.web.reset(skus[0], 1)
    eventually(lambda: not gate.is_shut(skus[0]))
    eventually(is_right)


def test_only_buying_is_refused(stack, gate, new_sale):
    sku = new_sale(stock=0)
    gate.await_shut(sku)
    assert_problem(stack.web.get(f"/buy/{sku}"), 405, "method_not_allowed")
    assert stack.web.stock(sku)["status"] == "sold_out"
    assert_problem(stack.web.buy(f"{sku}x", "u"), 404, "no_such_sale")


@pytest.mark.parametrize("key", ["mine", "/", "/../POST"])
def test_an_earlier_order_is_found_by_its_key(stack, gate, new_sale, key):
    sku = new_sale(stock=1)
    order = stack.web.buy(sku, "u", key=key).json["orderId"]
    gate.await_shut(sku)
    again = stack.web.buy(sku, "u", key=key)
    assert (again.status, again.json["orderId"]) == (202, order)


def sell_out_and_reset(stack, gate, sku, times):
    for n in range(times):
        sold = stack.web.buy(sku, f"u{n}")
        assert sold.status == 202, (sku, n, sold)
        if n % 2 == 0: # else the stock is back while the gate is shutting
            gate.await_shut(sku)
            # Let nginx see the marker, and remember it.
            assert stack.web.buy(sku, "late").status == 409
        assert stack.web.reset(sku, 1).status == 200


def test_a_thousand_times_sold_out_and_back(stack, gate, new_sale):
    """In twenty sales at a time, for a gate that opens takes its time."""
    skus = [new_sale(stock=1) for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(len(skus)) as pool:
        rounds = [pool.submit(sell_out_and_reset, stack, gate, sku, 50)
                  for sku in skus]
        for one in rounds:
            one.result()


def test_a_resumed_sale_sells(stack, gate, new_sale):
    sku = new_sale(stock=50, limit=0)
    for n in range(20):
        stack.cli("pause", sku)
        gate.await_shut(sku)
        stack.cli("resume", sku)
        assert stack.web.buy(sku, f"u{n}").status == 202


def shut_for_a_while(stack, gate, new_sale):
    """A sale that is not open yet, with a marker, and when it opens.  On a
    slow machine the time may be too short for a marker: then later."""
    for ahead in (5000, 15000, 40000):
        seconds, microseconds = stack.redis.time()
        opens_at = seconds * 1000 + microseconds // 1000 + ahead
        sku = new_sale(stock=1, opensAt=opens_at)
        with contextlib.suppress(AssertionError):
            eventually(lambda: gate.is_shut(sku), ahead / 1000 - 3)
            return sku, opens_at
    raise AssertionError("no gate was shut in time")


def test_a_sale_opens_on_time(stack, gate, new_sale):
    sku, opens_at = shut_for_a_while(stack, gate, new_sale)

    def sold():
        before = stack.redis.time()
        answer = buy(stack, sku)
        if answer.status == 202:
            return True
        assert before[0] * 1000 + before[1] // 1000 < opens_at, answer
        return False
    eventually(sold, 90)


@contextlib.contextmanager
def stuck(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_marker_that_vanishes_under_nginx(stack, gate, new_sale):
    """It remembers for a moment that it was there, but cannot read it."""
    sku = new_sale()
    stack.cli("pause", sku)
    gate.await_shut(sku)
    marker = gate.marker(f"{sku}.shut")
    hidden, before = marker.with_name("hidden"), refusals(stack)
    with stack.web.connect() as connection:
        for _ in range(50):
            with contextlib.suppress(FileNotFoundError):
                os.rename(hidden, marker)
            for _ in range(2):
                answer = connection.request(
                    "POST", f"/buy/{sku}", '{"userId":"u"}',
                    {"Content-Type": "application/json"})
                assert_problem(answer, 409, "paused")
                with contextlib.suppress(FileNotFoundError):
                    os.rename(marker, hidden)
    assert refusals(stack) > before


def test_a_stuck_gatekeeper_refuses_nobody(stack, gate, new_sale):
    sku = new_sale(stock=1)
    assert buy(stack, sku).status == 202
    gate.await_shut(sku)
    with stuck(gate.pid()):
        # The marker is there, but its time is over.
        before = refusals(stack)
        eventually(lambda: buy(stack, sku) and refusals(stack) > before)
        assert gate.is_shut(sku)
        assert stack.web.reset(sku, 1).status == 200
        assert buy(stack, sku).status == 202
    gate.await_shut(sku)


def test_a_killed_gatekeeper_is_replaced(stack, gate, new_sale,
                                         expect_errors):
    expect_errors("killed by signal 9")
    sku = new_sale(stock=0)
    gate.await_shut(sku)
    killed = gate.pid()
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: gate.keeper() and gate.pid() != killed)
    gate.await_shut(sku)
    # What the dead one left behind is gone.
    assert not list((stack.directory / "run/gate").glob(f"{killed}-*"))
    assert stack.web.reset(sku, 1).status == 200
    assert buy(stack, sku).status == 202


def test_a_directory_that_vanishes_and_comes_back(stack, new_sale, tmp_path):
    """It is told once, and heals by itself."""
    directory, sku = tmp_path / "gate", new_sale(stock=0)

    def remove():   # in vain while something is just being made in it
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    def shut():
        return list(directory.glob(f"*.?/POST/buy/{sku}.sold_out"))
    directory.mkdir()
    with Responder(stack, GATE_DIR=str(directory)) as responder:
        eventually(shut)
        for _ in range(2):
            eventually(remove)
            stays(lambda: not directory.exists(), 2)
            directory.mkdir()
            eventually(shut)
        eventually(lambda: "works again" in responder.log.read_text())
        lines = [line for line in responder.log.read_text().splitlines()
                 if " gate: " in line]
        assert len(lines) == 2 and "No such file" in lines[0], lines


def test_a_reload_keeps_the_gate(stack, gate, new_sale):
    sku = new_sale(stock=0)
    gate.await_shut(sku)
    old = gate.pid()
    stack.kill("fcgi", signal.SIGHUP)
    eventually(lambda: gate.keeper() and gate.pid() != old)
    gate.await_shut(sku)
    assert stack.web.reset(sku, 1).status == 200
    assert buy(stack, sku).status == 202
    stays(lambda: buy(stack, sku).status == 409, 0.3)
