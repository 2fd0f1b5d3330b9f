"""A stand-in for Amazon SQS that checks signatures and fails on demand.

    python3 tests/chaos/sqs_standin --port N --directory DIR [--queues FILE]
        [--key ID:SECRET[:TOKEN]] [--region REGION]

It speaks SQS' JSON protocol on 127.0.0.1 (actions.py), refuses what is not
signed as AWS' documentation asks (signature.py), and keeps a journal of all
messages in DIR/journal.jsonl (journal.py), from which a killed one starts
again where it was.  FILE has the queues to begin with.

POST /_control with a JSON object changes what it has members for, and
answers, as GET does, with how things are:

    {"faults": [...],      instead of those before; see faults.py
     "seed": 1,            of the faults' chances
     "keys": {id: {"secret": ..., "token": ...}},    who may call
     "release": true}       all that is in flight or delayed is visible

    -> {"faults": [{..., "happened": 3}], "calls": {action: n},
        "refused": {code: n},      signatures that were not right; "date":
                                   those of a clock that is not
        "queues": {name: {attribute: value}}}

The control endpoint asks for no signature and is on the same port.
"""

import argparse
import asyncio
import email.utils
import inspect
import json
import pathlib
import sys
import time
import uuid
from collections import Counter

from aiohttp import web

import signature
from actions import Call, Error
from faults import Faults
from journal import Journal
from queues import Queues

TYPE = "application/x-amz-json-1.0"
BODY_MAX = 8 * 1024 * 1024  # 1 MiB of text may be \u escapes
REFUSED = {
    "throttled": (400, "Rate exceeded"),
    "denied": (403, "User is not authorized to perform this action"),
    "expired_token": (403, "The security token included in the request is "
                      "expired"),
}
PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


class Broken(Exception):
    """The client is to get no answer."""


class Standin:
    def __init__(self, region, base_url, journal, keys):
        self.region, self.base_url = region, base_url
        self.journal, self.keys = journal, keys
        self.queues, self.faults = Queues(region, journal), Faults()
        self.calls, self.refused = Counter(), Counter()

    # --- A request ---

    async def handle(self, request):
        body = await request.read()
        if request.path == "/_control":
            return self.control(request.method, body)
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls[action] += 1
        try:
            return await self.serve(request, action, body)
        except signature.Refused as error:
            self.refused[error.kind] += 1
            return self.fail(error.code, error.code, error, error.status)
        except Error as error:
            return self.fail(error.code, error.old_name, error, error.status)
        except Broken:
            request.transport.abort()
            return web.Response()
        finally:
            self.journal.write()

    async def serve(self, request, action, body):
        call = Call(self, action, self.read(body),
                    lambda: request.transport is None)
        skew = call.draw("skew")
        now = time.time() + (skew["seconds"] if skew else 0)
        try:
            signature.check(
                request.method, request.path_qs,
                [(k.decode("latin-1"), v.decode("latin-1"))
                 for k, v in request.raw_headers],
                body, self.keys, self.region, now)
        except signature.Refused as error:
            if skew is None:
                raise
            return self.fail(error.code, error.code, error, 403, now)
        refusal = await self.disturb(call)
        if refusal is not None:
            return refusal
        hang = call.draw("hang")
        broken = hang or call.draw("broken_answer")
        call.acknowledged = not broken
        if not hang or hang["taken"]:
            answer = call.run()
            if inspect.isawaitable(answer):
                answer = await answer
        if hang:
            self.journal.write()
            await asyncio.sleep(hang["ms"] / 1000)
        if broken:
            raise Broken
        return self.answer(answer, 200, now)

    def read(self, body):
        try:
            parameters = json.loads(body)
        except ValueError:
            parameters = None
        if not isinstance(parameters, dict):
            raise Error("SerializationException", "This is no JSON object.")
        return parameters

    async def disturb(self, call):
        """Faults that come before anything is done: an answer, or None."""
        if call.draw("down"):
            raise Broken
        fault = call.draw("slow")
        if fault:
            await asyncio.sleep(self.faults.seconds(fault))
        fault = call.draw("error")
        if fault:
            return web.Response(status=fault["status"],
                                text=PAGE.format(fault["status"]),
                                content_type="text/html")
        for kind, (status, why) in REFUSED.items():
            fault = call.draw(kind)
            if fault:
                code = "ExpiredTokenException" if kind == "expired_token" \
                    else fault["code"]
                return self.fail(code, code, why, 403 if code ==
                                 "RequestThrottled" else status)
        return None

    # --- Answers ---

    def answer(self, document, status=200, now=None, **headers):
        return web.Response(
            status=status, body=json.dumps(document).encode(), headers={
                "Content-Type": TYPE,
                "x-amzn-RequestId": str(uuid.uuid4()),
                "Date": email.utils.formatdate(now, usegmt=True), **headers})

    def fail(self, code, old_name, why, status=400, now=None):
        side = "Sender" if status < 500 else "Receiver"
        return self.answer(
            {"__type": f"com.amazonaws.sqs#{code}", "message": str(why)},
            status, now, **{"x-amzn-query-error": f"{old_name};{side}"})

    # --- Control ---

    def control(self, method, body):
        try:
            wishes = json.loads(body) if method == "POST" else {}
            unknown = set(wishes) - {"faults", "seed", "keys",
                                     "release"}
            if unknown:
                raise ValueError(f"no {sorted(unknown)}")
            if "faults" in wishes:
                self.faults.set(wishes["faults"])
            if "seed" in wishes:
                self.faults.random.seed(wishes["seed"])
            self.keys = wishes.get("keys", self.keys)
            for queue in self.queues if wishes.get("release") else ():
                queue.release()
        except (ValueError, TypeError, AttributeError) as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({
            "faults": self.faults.describe(),
            "calls": self.calls,
            "refused": self.refused,
            "queues": {queue.name: queue.describe()
                       for queue in self.queues},
        })


def read_options():
    parser = argparse.ArgumentParser(
        prog="sqs_standin", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=pathlib.Path, required=True)
    parser.add_argument("--queues", type=pathlib.Path)
    parser.add_argument("--key", default="local:local")
    parser.add_argument("--region", default="us-east-1")
    return parser.parse_args()


def create_queues(standin, path):
    """Those of the file that are not there yet; dead-letter queues first."""
    for queue in json.loads(path.read_text())["queues"]:
        if standin.queues.get(queue["name"]) is None:
            standin.queues.create(queue["name"], queue.get("attributes", {}))
    standin.journal.write()


async def serve(standin, port):
    loop = asyncio.get_running_loop()
    runner = web.ServerRunner(web.Server(
        standin.handle, access_log=None, keepalive_timeout=600,
        request_factory=lambda *parts: web.BaseRequest(
            *parts, loop, client_max_size=BODY_MAX)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024,
                      reuse_address=True).start()
    await asyncio.Event().wait()


def main():
    options = read_options()
    options.directory.mkdir(parents=True, exist_ok=True)
    key_id, _, rest = options.key.partition(":")
    secret, _, token = rest.partition(":")
    standin = Standin(
        options.region, f"http://127.0.0.1:{options.port}",
        Journal(options.directory / "journal.jsonl"),
        {key_id: {"secret": secret, "token": token or None}})
    if options.queues:
        create_queues(standin, options.queues)
    try:
        asyncio.run(serve(standin, options.port))
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
