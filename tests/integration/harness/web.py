"""One buyer (or operator) talking to the web server over HTTP/1.1."""

import http.client
import json
import socket

JSON = "application/json"
PROBLEM = "application/problem+json"


class Reply:
    """An answer, read to its end."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = body

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("code") if self.type == PROBLEM else None

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:400]!r}>"


class Connection:
    """One keep-alive connection: what it asks goes out in order."""

    def __init__(self, host, port, timeout=60):
        self._http = http.client.HTTPConnection(host, port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        self._http.request(method, path, body, headers or {})
        response = self._http.getresponse()
        return Reply(response, response.read())

    @property
    def is_open(self):
        """Has the server kept it open after the last answer?"""
        return self._http.sock is not None

    def close(self):
        self._http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Web:
    """The web server; each request on a connection of its own."""

    def __init__(self, host, port, token):
        self.host, self.port, self.token = host, port, token

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def connect(self):
        return Connection(self.host, self.port)

    def socket(self):
        """A bare socket, for what no HTTP client would send."""
        return socket.create_connection((self.host, self.port), timeout=60)

    def request(self, method, path, body=None, headers=None):
        with self.connect() as connection:
            return connection.request(method, path, body, headers)

    def get(self, path):
        """From the engine, as it is now: the web server's cache of /stock
        and /sales answers nobody who has a token."""
        return self.request("GET", path, headers={
            "Authorization": f"Bearer {self.token}"})

    def post(self, path, document, headers=None):
        headers = {"Content-Type": JSON, **(headers or {})}
        if not isinstance(document, (bytes, str)):
            document = json.dumps(document)
        return self.request("POST", path, document, headers)

    def buy(self, sku, user, quantity=None, key=None):
        order = {"userId": user}
        if quantity is not None:
            order["quantity"] = quantity
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.post("/buy" if sku is None else f"/buy/{sku}", order,
                         headers)

    def stock(self, sku=None):
        """The sale as a buyer sees it."""
        reply = self.get("/stock" if sku is None else f"/stock/{sku}")
        assert reply.status == 200, reply
        return reply.json

    def order(self, sku, order_id):
        reply = self.get(f"/orders/{sku}/{order_id}")
        assert reply.status == 200, reply
        return reply.json

    def admin(self, path, document=None):
        return self.post(path, "" if document is None else document,
                         {"Authorization": f"Bearer {self.token}"})

    def reset(self, sku, stock, **fields):
        return self.admin("/reset", {"sku": sku, "stock": stock, **fields})


def assert_problem(reply, status, code, **members):
    """The refusal is what RFC 9457 and docs/protocol.md make of it."""
    assert (reply.status, reply.code) == (status, code), reply
    problem = reply.json
    assert problem["status"] == status
    for member in ("type", "title", "detail"):
        assert isinstance(problem[member], str) and problem[member], reply
    for member, value in members.items():
        assert problem.get(member) == value, reply
