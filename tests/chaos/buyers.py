"""Buyers as they are: they come in a rush, press twice, lose patience, and
repeat what failed with the same Idempotency-Key.  All that they send and hear
is written down; see checker.py for the fields."""

import asyncio
import json
import random
import threading
import time

PATIENCE = 8.0      # seconds that a client waits for an answer
FAILED = (None, 500, 502, 503, 504)


class Broken(Exception):
    """No answer: the connection ended before there was a whole one."""


class Line:
    """One keep-alive connection of one buyer; HTTP/1.1, as little of it as
    there is in the engine's answers."""

    _count = 0

    def __init__(self, host, port):
        self._where = host, port
        self._writer = None
        self.number = None

    async def _open(self):
        self._reader, self._writer = await asyncio.open_connection(
            *self._where)
        Line._count += 1
        self.number = Line._count

    def close(self):
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def post(self, path, document, key):
        """(status, body); Broken when there was none."""
        body = json.dumps(document).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: shop\r\n"
                f"Content-Type: application/json\r\n"
                f"Idempotency-Key: {key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        try:
            if self._writer is None:
                await self._open()
            self._writer.write(head.encode() + body)
            return await self._read()
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise Broken(repr(error)) from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _read(self):
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        body = await self._reader.readexactly(
            int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), body


class Crowd:
    """The buyers of one round, in a thread of their own.

        crowd = Crowd(host, port, history, rng, sku=..., buyers=..., ...)
        crowd.start()
        ...                     # faults
        crowd.finish()          # until everybody has got an answer
    """

    def __init__(self, host, port, file, rng, sku, buyers, seconds):
        self.history = []
        self._where, self._file, self._rng = (host, port), file, rng
        self._sku = sku
        self._plans = [self._plan(n, seconds) for n in range(buyers)]
        self._began = time.monotonic()
        self._give_up = None    # when to stop asking again
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()))

    def _plan(self, number, seconds):
        rng = self._rng
        return {"user": f"u{number}", "at": rng.uniform(0, seconds),
                "quantity": rng.choice((1, 1, 1, 1, 2, 3)),
                "clicks": rng.choice((1, 1, 1, 1, 2)),
                "times": rng.choice((1, 1, 1, 2)),
                "patience": PATIENCE if rng.random() < 0.92
                else rng.uniform(0.002, 0.05),
                "seed": rng.random()}

    def _now(self):
        return round(time.monotonic() - self._began, 6)

    def _note(self, attempt):
        self.history.append(attempt)
        self._file.write(json.dumps(attempt) + "\n")

    async def _try(self, line, plan, key, attempt_number):
        """One request; what came of it."""
        seen = {"sku": self._sku, "user": plan["user"], "key": key,
                "quantity": plan["quantity"], "attempt": attempt_number,
                "sent": self._now(), "answered": None, "status": None,
                "code": None, "order": None, "state": None,
                "remaining": None}
        try:
            status, body = await asyncio.wait_for(
                line.post(f"/buy/{self._sku}",
                          {"userId": plan["user"],
                           "quantity": plan["quantity"]}, key),
                plan["patience"])
        except asyncio.TimeoutError:
            seen["left"] = plan["patience"] < PATIENCE
        except Broken as error:
            seen["error"] = str(error)
        else:
            seen.update(answered=self._now(), status=status,
                        **self._read(body))
        seen["connection"] = line.number
        self._note(seen)
        return seen

    @staticmethod
    def _read(body):
        try:
            answer = json.loads(body)
        except ValueError:
            return {}
        return {"code": answer.get("code"), "order": answer.get("orderId"),
                "state": answer["status"] if "orderId" in answer else None,
                "remaining": answer.get("remaining")}

    async def _buy(self, line, plan, key):
        """As a client does it: again and again, until there is an answer."""
        rng, number = random.Random(f"{plan['seed']} {key}"), 0
        while True:
            number += 1
            seen = await self._try(line, plan, key, number)
            if seen["status"] not in FAILED or seen.get("left"):
                return
            if self._give_up is not None and self._now() > self._give_up:
                return
            await asyncio.sleep(rng.uniform(0.05, 0.4))

    async def _visit(self, plan):
        await asyncio.sleep(plan["at"])
        lines = [Line(*self._where) for _ in range(plan["clicks"])]
        try:
            for n in range(plan["times"]):
                key = f"{plan['user']}-{n}"
                await asyncio.gather(*(self._buy(line, plan, key)
                                       for line in lines))
        finally:
            for line in lines:
                line.close()

    async def _run(self):
        await asyncio.gather(*map(self._visit, self._plans))

    def start(self):
        self._thread.start()

    def finish(self, patience=40):
        """Everything is well again: who still asks gets an answer."""
        self._give_up = self._now() + patience
        self._thread.join()
        self._file.flush()

    def buy(self, user, quantity=1):
        """A single buyer, after the rush."""
        async def visit():
            line = Line(*self._where)
            plan = {"user": user, "quantity": quantity, "patience": PATIENCE}
            try:
                return await self._try(line, plan, f"{user}-0", 1)
            finally:
                line.close()
        return asyncio.run(visit())
