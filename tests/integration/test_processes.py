"""flashsale-fcgi as a process: signals, children, limits, exit statuses."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import processes
from harness.crowd import Load, accepted, count
from harness.responder import Responder, encode_request, read_answer
from harness.stack import PROGRAMS, SANITIZERS
from harness.wait import eventually

pytestmark = pytest.mark.stacks("processes")

FCGI = PROGRAMS / "flashsale-fcgi"


def buy(sku, user="alice", **parameters):
    return encode_request("POST", f"/buy/{sku}",
                          b'{"userId":"%s"}' % user.encode(), **parameters)


# --- Reload ---

@pytest.mark.stacks("processes", "nginx-spawn-fcgi", "lighttpd-spawn-fcgi",
                    "lighttpd")
def test_reload_under_load_fails_no_request(stack, new_sale):
    sku = new_sale(stock=1_000_000, limit=0)
    master = stack.pid("fcgi")
    with Load(stack.web, sku) as load:
        for _ in range(5):
            before = set(processes.children(master))
            seen = len(load.outcomes)
            stack.kill("fcgi", signal.SIGHUP)
            eventually(lambda: not before & set(processes.children(master)),
                       what="every child replaced")
            eventually(lambda: len(load.outcomes) > seen + 20)
    assert load.failures == []
    assert set(count(load.outcomes)) == {"accepted"}
    assert stack.pid("fcgi") == master
    eventually(lambda: stack.books.units(sku) == len(load.outcomes), 90,
               "every order in MySQL")


def test_a_reload_takes_new_settings(stack, tmp_path):
    config = tmp_path / "config"
    old = (stack.directory / "flashsale.env").read_text()
    config.write_text(old)
    with Responder(stack, FLASHSALE_CONFIG=str(config)) as responder:
        def ask(token):
            return responder.ask("POST", "/reset-stock/1", b"",
                                 HTTP_AUTHORIZATION=f"Bearer {token}")[0]
        assert ask(stack.web.token) == 200
        token = "another-token-of-32-characters"
        config.write_text(f"{old}\nADMIN_TOKEN={token}\n")
        responder.signal(signal.SIGHUP)
        eventually(lambda: ask(token) == 200)
        eventually(lambda: ask(stack.web.token) == 401)


def test_a_bad_reload_keeps_the_old_settings(stack, tmp_path):
    config = tmp_path / "config"
    old = (stack.directory / "flashsale.env").read_text()
    config.write_text(old)
    with Responder(stack, FLASHSALE_CONFIG=str(config)) as responder:
        config.write_text(f"{old}\nREDIS_TIMEOUT_MS=soon\n")
        responder.signal(signal.SIGHUP)
        eventually(lambda: "REDIS_TIMEOUT_MS" in responder.log.read_text())
        eventually(lambda: responder.ask("GET", "/readyz")[0] == 200)


def test_a_reload_cannot_take_the_gate_away(stack, tmp_path):
    """The gatekeeper is there for good; so is what it needs."""
    config, gate = tmp_path / "config", tmp_path / "gate"
    old = (stack.directory / "flashsale.env").read_text()
    config.write_text(f"{old}\nGATE_DIR={gate}\n")
    gate.mkdir()
    with Responder(stack, FLASHSALE_CONFIG=str(config)) as responder:
        before = responder.children
        config.write_text(f"{old}\nGATE_DIR=\n")
        responder.signal(signal.SIGHUP)
        eventually(lambda: not set(before) & set(responder.children)
                   and len(responder.children) == len(before))
        log = responder.log.read_text()
        assert "needs a restart: GATE_DIR" in log
        assert re.search(rf"reloads:.* GATE_DIR={gate}", log)
        assert "died young" not in log
        eventually(lambda: list(gate.iterdir()))


# --- Stop ---

def test_sigterm_and_sigint_end_it_in_order(stack):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Responder(stack) as responder:
            family = responder.children
            assert family
            responder.signal(number)
            assert responder.wait() == 0
            processes.wait_gone(family)
            assert not os.path.exists(responder.socket)


def test_idle_kept_connections_do_not_hold_the_end_up(stack):
    """Long before DRAIN_SECONDS."""
    with Responder(stack) as responder, responder.connect() as sock:
        sock.sendall(encode_request("GET", "/healthz"))
        assert read_answer(sock.makefile("rb"))[0] == 200
        responder.signal(signal.SIGTERM)
        assert responder.wait(25) == 0


def test_a_second_master_does_not_take_the_socket_away(stack):
    with Responder(stack) as responder:
        second = subprocess.run(
            [FCGI, "-s", responder.socket], env=stack.program_env(),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        assert second.returncode != 0 and responder.socket.encode() \
            in second.stderr
        eventually(lambda: responder.ask("GET", "/readyz")[0] == 200)


# --- Death ---

def test_a_killed_child_is_replaced(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    with Responder(stack, RESPONDERS="2") as responder:
        before = responder.children
        assert len(before) == 2
        processes.kill(before[0])
        eventually(lambda: len(responder.children) == 2
                   and before[0] not in responder.children)
        for _ in range(10):
            assert responder.ask("POST", f"/buy/{sku}",
                                 b'{"userId":"a"}')[0] == 202
        assert re.search(rf"responder {before[0]} was killed by signal 9",
                         responder.log.read_text())


def test_a_child_is_called_what_it_is(stack, expect_errors):
    """The keeper is the worker's first, the recoverer its second, then comes
    who takes dead letters."""
    expect_errors("was killed by signal 9")
    log = stack.directory / "log/worker.log"
    assert "processes: 1 keeper, 1 recoverer, 1 dead-letter consumer, 2 " \
        "consumers" in log.read_text()
    names = ["keeper", "recoverer", "dead-letter consumer", "consumer"]
    for name, pid in zip(names, processes.children(stack.pid("worker"))):
        processes.kill(pid)
        eventually(lambda: f" {name} {pid} was killed by signal 9"
                   in log.read_text())


def test_children_leave_when_their_master_dies(stack):
    with Responder(stack, RESPONDERS="2") as responder:
        family = responder.children
        responder.signal(signal.SIGKILL)
        assert responder.wait() == -signal.SIGKILL
        processes.wait_gone(family)


def master_and_responder(stack):
    """None while there are not both: a successor that finds its predecessor's
    responders still at the socket ends, and then comes the next."""
    master = stack.pid("fcgi")
    responders = processes.children(master)
    return (master, responders[0]) if responders else None


def test_killed_under_load_it_is_back_at_once(stack, new_sale, expect_errors):
    """Requests under way may fail; no order that was promised is lost."""
    # The successor may come before the orphans have left the socket.
    expect_errors("signal 9|killed", "another process serves it")
    sku = new_sale(stock=1_000_000, limit=0)
    with Load(stack.web, sku) as load:
        for turn in range(4):
            seen = len(load.outcomes)
            both = eventually(lambda: master_and_responder(stack))
            victim = both[turn % 2]
            processes.kill(victim)
            processes.wait_gone([victim])
            eventually(lambda: len(accepted(load.outcomes[seen:])) > 20,
                       what="buying goes on")
    assert {o.status for o in load.outcomes} <= {202, 502, 503, 504}
    promised = {o.body["orderId"] for o in accepted(load.outcomes)}
    eventually(lambda: promised <= set(stack.books.ids(sku)), 90,
               "every promised order in MySQL")
    taken = 1_000_000 - stack.web.stock(sku)["remaining"]
    eventually(lambda: stack.books.units(sku) == taken, 60,
               "every unit taken is in MySQL")


# --- FastCGI ---

def test_one_connection_serves_request_after_request(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    with Responder(stack) as responder, responder.connect() as sock:
        file = sock.makefile("rb")
        for turn in range(50):
            sock.sendall(buy(sku))
            assert read_answer(file)[0] == 202
            sock.sendall(encode_request("GET", "/healthz"))
            assert read_answer(file)[0] == 200


def test_a_web_server_that_leaves_mid_request(stack, new_sale):
    """Whole and half requests, then gone: the next one is served."""
    sku = new_sale(stock=1000, limit=0)
    with Responder(stack, RESPONDERS="1") as responder:
        whole = buy(sku, "gone")
        for cut in [len(whole)] * 30 + list(range(1, len(whole), 7)):
            with responder.connect() as sock:
                sock.sendall(whole[:cut])
        assert responder.ask("POST", f"/buy/{sku}",
                             b'{"userId":"stays"}')[0] == 202
        eventually(lambda: stack.books.units(sku)
                   == 1000 - stack.web.stock(sku)["remaining"] > 0)


def test_a_thousand_connections(stack, new_sale):
    sku = new_sale(stock=10, limit=0)
    with Responder(stack, RESPONDERS="1") as responder:
        socks = [responder.connect() for _ in range(1000)]
        for sock in socks:
            sock.sendall(encode_request("GET", f"/stock/{sku}"))
        for sock in socks:
            assert read_answer(sock.makefile("rb"))[0] == 200
            sock.close()
        assert responder.ask("GET", "/healthz")[0] == 200


def test_noise_instead_of_fastcgi(stack):
    with Responder(stack, RESPONDERS="1") as responder:
        child, = responder.children
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\xff" * 5000,
                      encode_request("GET", "/")[:20] + b"\xff" * 500,
                      os.urandom(3000)):
            with responder.connect() as sock:
                sock.sendall(noise)
        assert responder.ask("GET", "/healthz")[0] == 200
        assert responder.children == [child]


# --- Settings ---

def test_without_a_token_there_is_no_admin(stack, tmp_path):
    config = tmp_path / "config"
    config.write_text((stack.directory / "flashsale.env").read_text()
                      .replace("ADMIN_TOKEN=", "# "))
    with Responder(stack, FLASHSALE_CONFIG=str(config)) as responder:
        for token in ("", "Bearer ", "Bearer", f"Bearer {stack.web.token}"):
            for path in ("/reset", "/reset-stock/5"):
                status, body = responder.ask("POST", path, b"{}",
                                             HTTP_AUTHORIZATION=token)
                assert status == 401 and b'"unauthorized"' in body


def run(*arguments, **env):
    return subprocess.run(
        list(map(str, arguments)), text=True, capture_output=True, timeout=30,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], **SANITIZERS, **env})


@pytest.mark.parametrize("name, value", [
    ("RESPONDERS", "257"), ("RESPONDERS", "-1"), ("RESPONDERS", "two"),
    ("REDIS_URL", "http://localhost"), ("LOG_LEVEL", "loud"),
    ("ADMIN_TOKEN", "short"), ("SEND_DEADLINE_MS", "99"),
    ("MAX_CONNECTIONS", "65537"), ("DRAIN_SECONDS", "0"),
    ("SQS_QUEUE_URL", "not a url"), ("AWS_ENDPOINT_URL_SQS", "localhost"),
    ("DEFAULT_SKU", "a b")])
def test_a_bad_setting_is_named(stack, name, value, tmp_path):
    env = stack.program_env(**{name: value})
    for more in ([], ["--check"]):
        done = run(FCGI, "-s", tmp_path / "socket", *more, **env)
        assert done.returncode == 78, done
        assert name in done.stderr, done
        assert "AddressSanitizer" not in done.stderr


def test_check_says_all_is_well(stack):
    env = stack.program_env()
    for program in ("flashsale-fcgi", "flashsale-worker", "flashsale"):
        done = run(PROGRAMS / program, "--check", **env)
        assert done.returncode == 0, done


@pytest.mark.parametrize("where", [
    "127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:0", "127.0.0.1:",
    "127.0.0.1:http", "127.0.0.1:-1", "localhost", "/" + 108 * "x"])
def test_what_cannot_be_listened_on(stack, where):
    for more in ([], ["--check"]):
        done = run(FCGI, "-s", where, *more, **stack.program_env())
        assert done.returncode == 78, done
        assert f"LISTEN={where}: must be" in done.stderr, done


def test_too_few_descriptors_are_refused_at_the_start(stack, tmp_path):
    """What it would serve otherwise is one connection at a time."""
    arguments = [FCGI, "-s", tmp_path / "socket"]
    for more in ([], ["--check"]):
        done = run("sh", "-c", 'ulimit -n 60 && exec "$@"', "sh", *arguments,
                   *more, **stack.program_env(RESPONDERS="1"))
        assert done.returncode == 78, done
        assert "leaves 4; raise it to 4152" in done.stderr, done
    assert run("sh", "-c", 'ulimit -n 72 && exec "$@"', "sh", *arguments,
               "--check", **stack.program_env()).returncode == 0


def test_without_an_event_loop_it_says_so(stack):
    """libev has none when it may use only what this system has not."""
    done = run(FCGI, "--check", **stack.program_env(), LIBEV_FLAGS="8")
    assert done.returncode == 78 and "event loop" in done.stderr, done
    assert "AddressSanitizer" not in done.stderr


def test_a_socket_that_cannot_be_made(stack):
    done = run(FCGI, "-s", "/nonexistent/socket", **stack.program_env())
    assert done.returncode in (69, 71, 78) and "/nonexistent" in done.stderr


@pytest.mark.parametrize("program", ["flashsale-fcgi", "flashsale-worker",
                                     "flashsale"])
def test_usage(stack, program):
    path = PROGRAMS / program
    shown = run(path, "--help")
    assert shown.returncode == 0 and "REDIS_URL" in shown.stdout
    assert not shown.stderr
    version = run(path, "--version")
    assert version.returncode == 0 and re.search(r"\d\.\d", version.stdout)
    for wrong in ("--no-such-option", "-Z"):
        done = run(path, wrong)
        assert done.returncode == 64 and wrong.strip("-") in done.stderr, done
        assert not done.stdout


# --- Secrets ---

def test_no_secret_in_command_lines_or_logs(stack, new_sale):
    stack.web.post("/reset", {}, {"Authorization": "Bearer hunter2-hunter2"})
    stack.web.buy(new_sale(), "alice")
    secrets = [stack.web.token, "hunter2-hunter2"]
    if len(stack.env["AWS_SECRET_ACCESS_KEY"]) >= 8:   # not just "test"
        secrets.append(stack.env["AWS_SECRET_ACCESS_KEY"])
    places = {f"log {path.name}": path.read_text(errors="replace")
              for path in (stack.directory / "log").glob("*")
              if path.is_file()}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                places[f"ps {entry.name}"] = \
                    processes.command_line(entry.name)
            except OSError:
                pass    # it has just ended
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, place


def test_a_request_cannot_forge_a_log_line(stack, new_sku):
    for text in ("\n2026-01-01T00:00:00.000Z flashsale-fcgi[1] error forged",
                 "\x1b[31mforged"):
        stack.queue.send(json.dumps({"v": 1, "type": "order", "sku": text}))
        stack.web.post("/buy/x", {"userId": text})
        stack.web.buy(new_sku(), "alice", key=text.encode(
            "unicode_escape").decode())
    eventually(lambda: stack.queue.depth() == 0)
    for name in ("fcgi", "worker"):
        log = (stack.directory / "log" / f"{name}.log").read_bytes()
        assert b"\x1b" not in log
        assert not re.search(rb"^2026-01-01T00:00:00.000Z", log, re.M)
