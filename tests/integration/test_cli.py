"""flashsale(1): the operator's commands."""

import http.server
import json
import re
import socket
import threading
import time

import pytest

from harness.processes import ok
from harness.wait import eventually
from harness.web import assert_problem

pytestmark = pytest.mark.stacks("lighttpd")


# --- open, reset, pause, resume, close ---

def test_open(stack, new_sku):
    sku = new_sku()
    ok(stack.cli("open", sku, "--stock", 5, "--limit", 2, "--name", "A thing",
                 "--price", "799.00", "--currency", "EUR"))
    stock = stack.web.stock(sku)
    assert (stock["total"], stock["remaining"]) == (5, 5)
    assert (stock["name"], stock["status"]) == ("A thing", "on_sale")
    order = stack.web.buy(sku, "alice", 2).json["orderId"]
    assert_problem(stack.web.buy(sku, "alice"), 409, "limit_reached")
    stack.wait_settled(sku, [order])
    sale, = stack.books.sales(sku)
    assert (sale["name"], sale["total"], sale["sold"]) == ("A thing", 5, 2)


def test_open_refuses_a_second_time(stack, new_sku):
    sku = new_sku()
    ok(stack.cli("open", sku, "--stock", 5))
    stack.web.buy(sku, "alice")
    done = stack.cli("open", sku, "--stock", 50)
    assert done.returncode == 1 and "reset" in done.stderr, done
    stock = stack.web.stock(sku)
    assert (stock["total"], stock["remaining"]) == (5, 4)


def test_a_sale_without_orders_reaches_mysql_too(stack, new_sku):
    sku = new_sku()
    ok(stack.cli("open", sku, "--stock", 5, "--name", "Nobody came"))
    sale, = eventually(lambda: stack.books.sales(sku))
    assert (sale["name"], sale["total"], sale["sold"]) == ("Nobody came", 5, 0)


def test_reset(stack, new_sku):
    sku = new_sku()
    ok(stack.cli("open", sku, "--stock", 2, "--name", "A thing"))
    first = [stack.web.buy(sku, u).json["orderId"] for u in ("a", "b")]
    ok(stack.cli("reset", sku, "--stock", 3))
    stock = stack.web.stock(sku)
    assert (stock["total"], stock["remaining"]) == (3, 3)
    assert stock["name"] == "A thing"
    second = [stack.web.buy(sku, u).json["orderId"] for u in ("a", "b")]
    stack.wait_settled(sku, first + second)


def test_opens_and_closes(stack, new_sku):
    sku = new_sku()
    ok(stack.cli("open", sku, "--stock", 5, "--opens", "+1h"))
    assert_problem(stack.web.buy(sku, "alice"), 409, "not_open")
    opens = stack.web.stock(sku)["opensAt"] / 1000
    assert abs(opens - time.time() - 3600) < 60
    ok(stack.cli("reset", sku, "--stock", 5, "--opens",
                 "2026-01-01T00:00:00Z", "--closes", "2026-01-02T00:00:00Z"))
    assert_problem(stack.web.buy(sku, "alice"), 409, "closed")
    ok(stack.cli("reset", sku, "--stock", 5, "--opens", "now", "--closes",
                 "+1h"))
    assert stack.web.buy(sku, "alice").status == 202


@pytest.mark.parametrize("arguments", [
    ["open"], ["open", "a b", "--stock", "5"], ["open", "x" * 65, "--stock",
    "5"], ["open", "x"], ["open", "x", "--stock", "-1"],
    ["open", "x", "--stock", "1000000001"], ["open", "x", "--stock", "many"],
    ["open", "x", "--stock", "5", "--limit", "-1"],
    ["open", "x", "--stock", "5", "--opens", "tomorrow"],
    ["open", "x", "--stock", "5", "--opens", "2026-13-01T00:00:00Z"],
    ["open", "x", "--stock", "5", "--price", "a lot"],
    ["open", "x", "--stock", "5", "--currency", "EURO"],
    ["open", "x", "y", "--stock", "5"],
    ["pause"], ["status", "a b"], ["status", "--no-such"], ["attack", "-n"],
    ["attack", "-n", "0"], ["attack", "-n", "x"], ["attack", "-c", "0"],
    ["attack", "--rate", "0"],
    ["attack", "extra"], ["attack", "--url", "ftp://x"], ["nonsense"], [],
    ["drain", "--timeout", "x"], ["migrate", "x"], ["verify", "x", "y"],
    ["verify", "--no-such"], ["repair", "--wait", "x"]])
def test_wrong_usage(stack, arguments):
    done = stack.cli(*arguments)
    assert done.returncode == 64, done
    assert done.stderr and not done.stdout, done


@pytest.mark.parametrize("command", ["pause", "resume", "close"])
def test_commands_about_an_unknown_sale(stack, new_sku, command):
    done = stack.cli(command, sku := new_sku())
    assert done.returncode == 1 and sku in done.stderr, done


@pytest.mark.parametrize("command", [
    "open", "reset", "pause", "resume", "close", "status", "books", "verify",
    "repair", "drain", "attack", "migrate"])
def test_every_command_has_help(stack, command):
    assert command in ok(stack.cli("--help"))
    assert command in ok(stack.cli(command, "--help"))


# --- status, books, drain ---

def test_status(stack, new_sale):
    sku = new_sale(stock=10, limit=0)
    order = stack.web.buy(sku, "alice", 3).json["orderId"]
    stack.wait_settled(sku, [order])
    table = ok(stack.cli("status"))
    line, = [line for line in table.splitlines() if sku in line]
    assert {"10", "7", "3"} <= set(line.split()), table
    assert "\x1b" not in table, "no colours into a pipe"
    assert sku in ok(stack.cli("status", sku))
    sale = find(json.loads(ok(stack.cli("status", sku, "--json"))), sku)
    assert (sale["total"], sale["remaining"]) == (10, 7)
    assert (sale["reserved"], sale["queued"], sale["confirmed"]) == (0, 0, 3)


def find(document, sku):
    """The object that speaks of the SKU, wherever it stands."""
    if isinstance(document, dict):
        if document.get("sku") == sku:
            return document
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            if isinstance(each, (dict, list)) and (hit := find(each, sku)):
                return hit
    return None


def test_books_and_drain(stack, new_sale):
    sku = new_sale(stock=10, limit=0)
    orders = [stack.web.buy(sku, "alice", 2).json["orderId"]
              for _ in range(3)]
    ok(stack.cli("drain", sku, "--timeout", 60))
    assert stack.books.ids(sku) == sorted(orders)
    assert "10" in ok(stack.cli("books", sku))
    document = json.loads(ok(stack.cli("books", sku, "--json")))
    text = json.dumps(document)
    assert '"oversold": 0' in text and '"lost": 0' in text, text


def test_books_that_do_not_add_up(stack, new_sale):
    """Redis says three were sold, MySQL knows of one."""
    sku = new_sale(stock=10, limit=0)
    stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]])
    stack.redis.hincrby(f"fs:{{{sku}}}:sale", "remaining", -2)
    done = stack.cli("books", sku)
    assert done.returncode == 1, done
    done = stack.cli("drain", sku, "--timeout", 1)
    assert done.returncode == 1, done


def test_migrate_again_changes_nothing(stack, new_sale):
    sku = new_sale()
    order = stack.web.buy(sku, "alice").json["orderId"]
    stack.wait_settled(sku, [order])
    ok(stack.cli("migrate"))
    assert stack.books.ids(sku) == [order]


# --- attack ---

def test_attack(stack, new_sale):
    sku = new_sale(stock=100)
    done = stack.cli("attack", "-n", 1000, "-c", 100, "--sku", sku, "--json")
    document = json.loads(ok(done))
    assert document["accepted"] == 100 and document["refused"] == 900
    ok(stack.cli("drain", sku))
    assert len(stack.books.ids(sku)) == 100
    table = ok(stack.cli("attack", "-n", 50, "-c", 5, "--sku", sku))
    assert re.search(r"409.*sold_out.*\b50\b", table), table
    assert all(f"p{p}" in table for p in ("50", "90", "99", "99.9"))


def test_attack_by_few_users_with_keys(stack, new_sale):
    sku = new_sale(stock=100, limit=2)
    ok(stack.cli("attack", "-n", 300, "-c", 50, "--sku", sku, "--users", 10,
                 "--keys"))
    ok(stack.cli("drain", sku))
    assert stack.books.units(sku) == 20


def test_attack_fails_when_answers_are_neither_yes_nor_no(stack, new_sku):
    done = stack.cli("attack", "-n", 20, "-c", 2, "--sku", new_sku())
    assert done.returncode == 1 and "no_such_sale" in done.stdout, done


def test_attack_at_a_rate(stack, new_sale):
    sku = new_sale(stock=20)
    document = json.loads(ok(stack.cli(
        "attack", "-n", 100, "-c", 20, "--sku", sku, "--rate", 200,
        "--json")))
    assert document["accepted"] == 20 and document["refused"] == 80
    assert document["seconds"] >= 99 / 200, "the last one was due then"
    ok(stack.cli("drain", sku))
    assert stack.books.units(sku) == 20


class SlowServer(http.server.BaseHTTPRequestHandler):
    """Needs 50 ms for whatever it is asked."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.05)
        body = b'{"code":"sold_out"}'
        self.send_response(409)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_attack_counts_the_time_in_line(stack):
    """A request that is due while the only connection is busy waits for it:
    the twentieth, due after 190 ms, is answered after 1,000 at the
    earliest."""
    with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), SlowServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document = json.loads(ok(stack.cli(
            "attack", "-n", 20, "-c", 1, "--sku", "x", "--rate", 100,
            "--url", f"http://127.0.0.1:{server.server_port}", "--json")))
        server.shutdown()
    assert document["refused"] == 20
    assert document["latencyMs"]["max"] >= 800, document
    assert document["latencyMs"]["p50"] >= 400, document


def test_attack_where_nobody_listens(stack):
    done = stack.cli("attack", "-n", 20, "-c", 2, "--sku", "x",
                     "--url", "http://127.0.0.1:1")
    assert done.returncode in (1, 69), done
    assert "127.0.0.1" in done.stderr + done.stdout or "refused" \
        in done.stderr + done.stdout


# --- What cannot be reached ---

@pytest.mark.parametrize("command", [
    ["status"], ["open", "x", "--stock", "1"], ["reset", "x", "--stock", "1"],
    ["pause", "x"], ["books", "x"], ["drain", "x", "--timeout", "5"],
    ["verify"], ["verify", "x"], ["repair", "x", "--wait", "0"]])
def test_without_redis(stack, command):
    done = stack.cli(*command, REDIS_URL="unix:///nonexistent/redis")
    assert done.returncode == 69 and done.stderr, done


def test_a_redis_that_is_too_old(stack, tmp_path):
    """It says so, instead of failing when the outbox is read."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                info = b"redis_version:6.0.16\r\n"
                connection.sendall(b"$%d\r\n%s\r\n" % (len(info), info))
                connection.recv(4096)
        server = threading.Thread(target=serve)
        server.start()
        done = stack.cli("status", REDIS_URL=path)
        server.join()
    assert done.returncode == 69
    assert 'is version "6.0.16", but 6.2 is needed' in done.stderr, done


def test_status_without_mysql_and_sqs(stack, new_sale):
    sku = new_sale()
    done = stack.cli("status", MYSQL_URL="mysql://x@127.0.0.1:1/x",
                     AWS_ENDPOINT_URL_SQS="http://127.0.0.1:1")
    assert done.returncode == 0 and sku in done.stdout, done
    assert "mysql" in done.stderr.lower() and "sqs" in done.stderr.lower()


def test_a_queue_that_is_not_there(stack, new_sale):
    """What SQS says, and of which queue."""
    sku = new_sale()
    url = stack.env["SQS_QUEUE_URL"] + "-not"
    for command, code in (("status", 0), ("verify", 69), ("drain", 69)):
        done = stack.cli(command, sku, *["--timeout=1"][:command == "drain"],
                         SQS_QUEUE_URL=url)
        assert done.returncode == code, done
        assert f"{url}: not found" in done.stderr, done


def test_drain_without_mysql(stack, new_sale):
    """It does not say that there is nothing where it could not look."""
    sku = new_sale()
    stack.wait_settled(sku, [stack.web.buy(sku, "alice").json["orderId"]])
    done = stack.cli("drain", sku, "--timeout", 1,
                     MYSQL_URL="mysql://x@127.0.0.1:1/x")
    assert done.returncode == 69, done
    assert "MySQL cannot be asked" in done.stderr, done
    assert "not drained: - of 1 units in MySQL" in done.stderr, done


def test_migrate_brings_back_a_table(stack):
    assert "up to date" in ok(stack.cli("migrate"))
    stack.books.ask("DROP TABLE parked")
    assert "applied" in ok(stack.cli("migrate"))
    assert not stack.books.ask("SELECT * FROM parked")
    assert "up to date" in ok(stack.cli("migrate"))


def test_migrate_names_a_column_that_has_gone(stack):
    stack.books.ask("ALTER TABLE parked DROP COLUMN parked_at")
    try:
        done = stack.cli("migrate")
        assert done.returncode == 1 and "'parked_at'" in done.stderr, done
    finally:
        stack.books.ask("DROP TABLE parked")
        ok(stack.cli("migrate"))


def test_migrate_without_mysql(stack):
    done = stack.cli("migrate", MYSQL_URL="mysql://x@127.0.0.1:1/x")
    assert done.returncode == 69 and done.stderr, done


@pytest.mark.parametrize("name, value", [
    ("MYSQL_URL", "postgres://x"), ("REDIS_URL", "x"),
    ("MYSQL_TIMEOUT_MS", "soon"), ("DEFAULT_SKU", "a b"),
    ("SQS_QUEUE_URL", "not a url"), ("SQS_DLQ_URL", "not a url")])
def test_a_bad_setting_is_named(stack, name, value):
    for command in ("status", "--check"):
        done = stack.cli(command, **{name: value})
        assert done.returncode == 78 and name in done.stderr, done
