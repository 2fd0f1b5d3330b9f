"""Many buyers at once, over keep-alive connections."""

import asyncio
import collections
import json
import threading

import aiohttp

Outcome = collections.namedtuple("Outcome", "status code body user")


async def _buy(session, url, user, quantity, key):
    headers = {} if key is None else {"Idempotency-Key": key}
    order = {"userId": user, "quantity": quantity}
    async with session.post(url, json=order, headers=headers) as response:
        body = json.loads(await response.read())
        return Outcome(response.status, body.get("code"), body, user)


def _session(connections):
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=120))


def rush(web, sku, users, connections, quantity=1, key=None):
    """Every user of the list buys once, so many at the same time.

    Returns the outcomes in the order of users; a connection error is raised.
    """
    async def run():
        async with _session(connections) as session:
            return await asyncio.gather(*(
                _buy(session, f"{web.url}/buy/{sku}", user, quantity, key)
                for user in users))
    return asyncio.run(run())


def accepted(outcomes):
    return [o for o in outcomes if o.status == 202]


def count(outcomes):
    """How many of each: {"accepted": 100, "sold_out": 1900}.  An accepted
    order may be "queued" or, when the queue is slow, "reserved"."""
    return dict(collections.Counter(
        "accepted" if o.status == 202 else o.code for o in outcomes))


def count_states(outcomes):
    """The accepted ones: {"queued": 95, "reserved": 5}."""
    return dict(collections.Counter(
        o.body["status"] for o in accepted(outcomes)))


class Load:
    """Buyers who keep coming, in the background, until told to stop.

        with Load(web, sku, connections=8) as load:
            ...
        assert not load.failures
    """

    def __init__(self, web, sku, connections=8):
        self.outcomes = []   # of all answers
        self.failures = []   # exceptions: connection reset, timeout...
        self._web, self._sku, self._connections = web, sku, connections
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()))

    @property
    def last(self):
        """The newest outcome."""
        return self.outcomes[-1]

    async def _buyer(self, session, number):
        turn = 0
        while not self._stop.is_set():
            turn += 1
            try:
                self.outcomes.append(await _buy(
                    session, f"{self._web.url}/buy/{self._sku}",
                    f"load-{number}-{turn}", 1, None))
            except Exception as error:
                self.failures.append(error)

    async def _run(self):
        async with _session(self._connections) as session:
            await asyncio.gather(*(self._buyer(session, n)
                                   for n in range(self._connections)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
