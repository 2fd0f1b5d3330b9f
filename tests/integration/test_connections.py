"""Keep-alive, pipelining, clients that leave, and noise."""

import http.client
import json
import random
import struct

import pytest

from harness.crowd import accepted, rush
from harness.wait import eventually
from harness.web import JSON


def test_mixed_requests_on_one_connection(stack, new_sale):
    sku = new_sale(stock=1000, limit=0)
    headers = {"Content-Type": JSON}
    large = json.dumps({"userId": "alice"}).ljust(4096)
    orders = []
    with stack.web.connect() as connection:
        for turn in range(20):
            ask = connection.request
            user = f"u{turn}"
            bought = ask("POST", f"/buy/{sku}",
                         json.dumps({"userId": user, "quantity": 1}), headers)
            assert bought.status == 202
            assert bought.json["remaining"] == 999 - 2 * turn
            orders.append(bought.json["orderId"])
            assert ask("GET", f"/stock/{sku}").json["sku"] == sku
            assert ask("POST", f"/buy/{sku}", "{", headers).status == 400
            assert ask("HEAD", f"/stock/{sku}").body == b""
            assert ask("GET", "/buy").status == 405
            assert ask("GET", "/nothing").status == 404
            assert ask("POST", "/buy/none", '{"userId":"u"}',
                       headers).code == "no_such_sale"
            assert ask("POST", f"/buy/{sku}", large, headers).status == 202
            seen = ask("GET", bought.headers["location"]).json
            assert seen["orderId"] == bought.json["orderId"]
            assert ask("GET", "/healthz").status == 200
        assert connection.is_open
    assert len(set(orders)) == 20


def read_replies(sock, n):
    """The answers to n pipelined requests (all with Content-Length)."""
    file = sock.makefile("rb")

    class Shared:
        """Several responses read one after the other from one file."""
        def makefile(self, *_):
            return file
    for _ in range(n):
        # HTTPResponse closes its file at the end of a body; this one stays.
        response = http.client.HTTPResponse(Shared())
        response._close_conn = lambda: None
        response.begin()
        yield response, response.read()


def request_text(method, path, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
    if body:
        lines += [f"Content-Type: {JSON}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_pipelined_requests_are_answered_in_order(stack, new_sale):
    skus = [new_sale(stock=10 + n, limit=0) for n in range(8)]
    text = b""
    for sku in skus:
        text += request_text("GET", f"/stock/{sku}")
        text += request_text("POST", f"/buy/{sku}", b'{"userId":"alice"}')
    with stack.web.socket() as sock:
        sock.sendall(text)
        replies = list(read_replies(sock, 2 * len(skus)))
    for n, sku in enumerate(skus):
        stock, bought = replies[2 * n], replies[2 * n + 1]
        assert json.loads(stock[1])["sku"] == sku
        assert json.loads(stock[1])["total"] == 10 + n
        assert (bought[0].status, json.loads(bought[1])["sku"]) == (202, sku)


def leave(sock, politely):
    if not politely:   # with a reset instead of a FIN
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER, 0 s
    sock.close()


def test_clients_that_leave_harm_nobody(stack, new_sale):
    """Each unit taken by a buyer who left is in MySQL, none is stranded."""
    sku = new_sale(stock=1000, limit=0)
    body = b'{"userId":"gone"}'
    whole = request_text("POST", f"/buy/{sku}", body)
    for turn in range(60):
        sock = stack.web.socket()
        # In the head, in the body, and just before the answer.
        sock.sendall(whole[:[30, len(whole) - 5, len(whole)][turn % 3]])
        leave(sock, politely=turn % 2)
        if turn % 6 == 5:
            assert stack.web.buy(sku, "stays").status == 202
    outcomes = rush(stack.web, sku, [f"u{n}" for n in range(50)], 50)
    assert len(accepted(outcomes)) == 50
    eventually(lambda: stack.outbox(sku) == 0 and stack.queue.depth() == 0)

    def books_agree():
        taken = 1000 - stack.web.stock(sku)["remaining"]
        return taken == stack.books.units(sku) >= 60
    eventually(books_agree, what="every unit taken is in MySQL")


def test_a_slow_client_holds_nobody_up(stack, new_sale):
    sku = new_sale(stock=100, limit=0)
    whole = request_text("POST", f"/buy/{sku}", b'{"userId":"slow"}')
    slow = [stack.web.socket() for _ in range(20)]
    for sock in slow:
        sock.sendall(whole[:-3])
    assert stack.web.buy(sku, "quick").status == 202
    for sock in slow:
        sock.sendall(whole[-3:])
        (response, _), = read_replies(sock, 1)
        assert response.status == 202
        sock.close()


def test_connections_that_say_nothing(stack, new_sale):
    sku = new_sale()
    idle = [stack.web.socket() for _ in range(200)]
    assert stack.web.buy(sku, "alice").status == 202
    for sock in idle:
        sock.close()


# --- Noise: never a 5xx, and everything works afterwards ---

SEED = random.randrange(2 ** 32)


@pytest.fixture
def noise():
    print(f"seed {SEED}")   # shown when the test fails
    return random.Random(SEED)


def test_random_bodies(stack, new_sale, noise):
    sku = new_sale()
    with stack.web.connect() as connection:
        for _ in range(400):
            body = noise.randbytes(noise.choice([1, 10, 100, 4096]))
            reply = connection.request("POST", f"/buy/{sku}", body,
                                       {"Content-Type": JSON})
            assert reply.status in (400, 422), (body, reply)
    assert stack.web.stock(sku)["remaining"] == 10


def test_damaged_orders(stack, new_sale, noise):
    """A good body with some bytes changed is bought or refused cleanly."""
    sku = new_sale(stock=100000, limit=0)
    with stack.web.connect() as connection:
        for _ in range(400):
            body = bytearray(b'{"userId":"alice","quantity":1}')
            for _ in range(noise.randint(1, 3)):
                body[noise.randrange(len(body))] = noise.randrange(256)
            reply = connection.request("POST", f"/buy/{sku}", bytes(body),
                                       {"Content-Type": JSON})
            assert reply.status in (202, 400, 422), (body, reply)


def test_random_paths(stack, noise):
    for _ in range(200):
        path = noise.choice(["/", "/buy/", "/stock/", "/orders/", "/reset"])
        path += "".join(noise.choice("aA0%/.-_~?#&={}\\\"'<>:;,@!$*()+|^")
                        for _ in range(noise.randint(1, 60)))
        method = noise.choice(["GET", "POST", "HEAD", "PUT"])
        reply = stack.web.request(method, path, headers={
            "Content-Type": JSON} if method == "POST" else {})
        # 501 is how lighttpd refuses PUT of a file.
        assert reply.status < 500 or (method, reply.status) \
            == ("PUT", 501), (method, path, reply)
    assert stack.web.get("/healthz").status == 200


def test_random_header_values(stack, new_sale, noise):
    sku = new_sale(stock=100000, limit=0)
    for _ in range(100):
        value = "".join(chr(noise.randrange(0x20, 0x100))
                        for _ in range(noise.randint(1, 200)))
        for name in ("Idempotency-Key", "Authorization", "Content-Type"):
            reply = stack.web.post(f"/buy/{sku}", {"userId": "a"},
                                   {name: value})
            assert reply.status < 500, (name, value, reply)
    assert stack.web.get("/healthz").status == 200


def test_what_is_no_http(stack, noise):
    for _ in range(30):
        with stack.web.socket() as sock:
            sock.sendall(noise.randbytes(300) + b"\r\n\r\n")
            sock.settimeout(5)
            try:
                assert not sock.recv(100).startswith(b"HTTP/1.1 5")
            except OSError:
                pass    # closing without an answer is fine too
    assert stack.web.get("/healthz").status == 200
