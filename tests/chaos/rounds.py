"""A round: what the seed says will happen, and then that it happens: a sale,
a rush of buyers, faults in the middle of it, healing, and the judgement."""

import collections
import contextlib
import json
import random
import re
import shutil
import time
import traceback

from buyers import Crowd
from checker import judge
from faults import FAULTS, WITH_SENTINELS, WITHOUT_SENTINELS
from harness import logs

Plan = collections.namedtuple(
    "Plan", "number seed stock limit buyers seconds faults")
Result = collections.namedtuple(
    "Result", "wrong seconds attempts orders happened keep")

DRAIN_SECONDS = 60
RELEASE_SECONDS = 2     # between two ends of all leases, while draining
RUSH_SECONDS = 2.5

# Rounds in which no request may fail are worth having among the others.
GENTLE = [name for name, fault in FAULTS.items()
          if not fault.allowed.get("failures")]


def _plan(rng, number, seed, faults, latest=RUSH_SECONDS - 0.5):
    return Plan(number, f"{seed}/{number}", stock=rng.randint(20, 500),
                limit=rng.choice((0, 1, 2, 3, 3)),
                buyers=rng.randint(100, 250), seconds=RUSH_SECONDS,
                faults=sorted((round(rng.uniform(0.1, latest), 2), name)
                              for name in faults))


def _compatible(names):
    if WITH_SENTINELS not in names:
        return names
    return [name for name in names if name == WITH_SENTINELS
            or not name.startswith(WITHOUT_SENTINELS)]


def draw(seed, number, names=None):
    """Round so-and-so of a seed: one to three faults at random."""
    rng = random.Random(f"{seed}/{number}")
    names = names or rng.choice((sorted(FAULTS), sorted(FAULTS),
                                 sorted(GENTLE)))
    return _plan(rng, number, seed, _compatible(rng.sample(
        names, min(len(names), rng.choice((1, 2, 2, 3))))))


def draw_short(seed):
    """Each fault once, in as few rounds as is decent: the harmless ones in
    pairs, so that failed requests are noticed, and the others too."""
    rng = random.Random(f"{seed}")
    rounds = [[WITH_SENTINELS]]
    for gentle in (True, False):
        names = [name for name in sorted(FAULTS)
                 if (name in GENTLE) == gentle and name != WITH_SENTINELS]
        rng.shuffle(names)
        rounds += [names[i:i + 2] for i in range(0, len(names), 2)]
    return [_plan(rng, n, seed, names, latest=0.8)
            for n, names in enumerate(rounds, 1)]


def draw_again(seed, number, name):
    """A round for a fault that found nobody to strike: it comes early, and
    there is enough for everybody who comes after it."""
    rng = random.Random(f"{seed}/{number}")
    return _plan(rng, number, seed, [name], latest=0.4)._replace(stock=500)


def _finish(work):
    """Run a fault's second half; what it returns."""
    try:
        next(work)
    except StopIteration as end:
        return end.value
    raise AssertionError("a fault yields once")


class Round:
    def __init__(self, arena, plan, patience=DRAIN_SECONDS):
        self.patience = patience    # seconds until all must be at rest
        self.arena, self.stack, self.plan = arena, arena.stack, plan
        self.sku = f"chaos-{plan.seed.replace('/', '-')}"
        self.folder = arena.directory / f"round-{plan.number}"
        self.trouble = []       # what went wrong with the round itself
        self.happened = set()
        self.rng = random.Random(plan.seed)

    # --- Playing ---

    def play(self):
        began = time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._prepare()
        with (self.folder / "history.jsonl").open("w") as file:
            crowd = self._crowd(file)
            crowd.start()
            self._break_things()
            crowd.finish()
            drained = self._drain()
            last = self._buy_the_rest(crowd)
            drained = drained or self._drain()
        books = self._read_books(crowd.history, drained, last)
        wrong = self.trouble + judge(crowd.history, books, self._allowed())
        self._write("books.json", books)
        self._write("plan.json", self.plan._asdict())
        if not wrong:
            shutil.rmtree(self.folder)
        return Result(wrong, time.monotonic() - began, len(crowd.history),
                      len(books["orders"]), self.happened, self._keep)

    def _prepare(self):
        self.arena.killed = 0
        self.arena.masters.deaths.clear()
        for reader in self._log_readers():
            reader.new_lines()
        self._offsets = {name: self._log(name).stat().st_size
                         for name in ("fcgi", "worker")}
        self._journal_begins = self.arena.journal().stat().st_size
        self._refused = collections.Counter(self.arena.sqs.refusals())
        self._open_sale()

    def _open_sale(self):
        """The round before may have left a Redis that is being rebuilt; a
        recoverer that died in it delays that by half a minute."""
        patience = time.monotonic() + 60
        while True:
            reply = self.stack.web.reset(self.sku, self.plan.stock,
                                         limit=self.plan.limit)
            if reply.status == 200:
                return
            if reply.code != "recovering" or time.monotonic() > patience:
                break
            time.sleep(0.2)
        self.trouble.append(f"the sale cannot be opened: {reply}")

    def _crowd(self, file):
        plan, web = self.plan, self.stack.web
        return Crowd(web.host, web.port, file, self.rng, sku=self.sku,
                     buyers=plan.buyers, seconds=plan.seconds)

    def _break_things(self):
        """Each fault has its own thread, for they may overlap."""
        at_work = [self.arena.hands.submit(self._strike, at, FAULTS[name])
                   for at, name in self.plan.faults]
        for each in at_work:
            each.result()

    def _strike(self, at, fault):
        rng = random.Random(f"{self.plan.seed}/{fault.name}")
        time.sleep(at)
        try:
            with self._turn(fault):
                work = fault.strike(self.arena, self.sku, rng)
                time.sleep(next(work))
                if _finish(work) is not False:
                    self.happened.add(fault.name)
        except Exception:
            self.trouble.append(f"{fault.name}: {traceback.format_exc()}")

    def _turn(self, fault):
        """What is done to Redis itself comes one after the other: one cannot
        pause what is down, nor put back older data twice."""
        if fault.name.startswith(("redis.", "recovery.")):
            return self.arena.redis_turn
        return contextlib.nullcontext()

    def _allowed(self):
        allowed = {}
        for _, name in self.plan.faults:
            allowed.update(FAULTS[name].allowed)
        return allowed

    # --- Coming to rest ---

    def _moving(self):
        """What is not at rest yet, or ""."""
        stack = self.stack
        stock = stack.web.get(f"/stock/{self.sku}")
        if stock.status != 200 or stock.json["status"] == "recovering":
            return f"GET /stock says {stock.status} {stock.body[:80]}"
        if stack.outbox(self.sku):
            return f"{stack.outbox(self.sku)} entries in the outbox"
        depth = stack.queue.depth() + stack.dlq.depth()
        if depth:
            return f"{depth} messages in the queues"
        states = collections.Counter(
            text.split(" ")[0] for text in
            stack.redis.hvals(f"fs:{{{self.sku}}}:orders"))
        if states["reserved"] or states["queued"]:
            return f"orders that are not confirmed: {dict(states)}"
        sale = self._redis_hash("sale")
        if sale.get("state") == "open" and int(sale["remaining"]) > 0 \
           and stack.redis.exists(f"fs:{{{self.sku}}}:gates"):
            return "units are back, and a gate that refuses has its lease yet"
        return ""

    def _drain(self):
        deadline = time.monotonic() + self.patience
        release = 0
        while True:
            try:
                if time.monotonic() > release:
                    self.arena.sqs.release()
                    release = time.monotonic() + RELEASE_SECONDS
                moving = self._moving()
            except Exception as error:      # a part is still coming back
                moving = repr(error)
            if not moving or time.monotonic() > deadline:
                return moving
            time.sleep(0.1)

    def _buy_the_rest(self, crowd):
        sale = self._redis_hash("sale")
        if sale.get("state") != "open":
            return None
        return {**crowd.buy("a-fresh-buyer"),
                "left_before": int(sale["remaining"])}

    # --- The books ---

    def _redis_hash(self, name):
        return self.stack.redis.hgetall(f"fs:{{{self.sku}}}:{name}")

    def _read_books(self, history, drained, last):
        books, sku = self.stack.books, self.sku
        return {
            "sku": sku, "drained": drained, "last": last,
            "sales": books.sales(sku),
            "orders": books.ask("SELECT * FROM orders WHERE sku = %s", sku),
            "parked": self._parked(),
            "redis": {
                **{name: self._redis_hash(name) for name in
                   ("sale", "buyers", "requests", "orders")},
                "outbox": self.stack.redis.xrange(f"fs:{{{sku}}}:outbox")},
            "queues": {"orders": self.stack.queue.depth(),
                       "dead letters": self.stack.dlq.depth()},
            "acknowledged": self._acknowledged(),
            "bad_signatures": self._bad_signatures(),
            "seen": self._statuses(history),
            "processes": self._deaths(),
        }

    def _acknowledged(self):
        """The orders that SQS has said it has."""
        with self.arena.journal().open("rb") as file:
            file.seek(self._journal_begins)
            lines = [json.loads(line) for line in file]
        orders = set()
        for line in lines:
            if line["event"] == "sent" and line["acknowledged"]:
                message = json.loads(line["body"])
                if message.get("sku") == self.sku:
                    orders.add(message.get("orderId"))
        return sorted(orders - {None})

    def _bad_signatures(self):
        """Not those that were right and came at the wrong time: a clock that
        was corrected for a jump is wrong once more when that is over."""
        refused = collections.Counter(self.arena.sqs.refusals())
        refused.subtract(self._refused)
        return sum(n for kind, n in refused.items() if kind != "date")

    def _parked(self):
        """Of this round; in any case what names no SKU."""
        found = []
        for row in self.stack.books.ask(
                "SELECT message_id, reason, body FROM parked"):
            try:
                message = json.loads(row["body"])
            except ValueError:
                message = {}
            if message.get("sku", self.sku) == self.sku:
                found.append({**row, "order": message.get("orderId")})
        return found

    def _statuses(self, history):
        orders = {a["order"] for a in history if a["status"] == 202}
        seen = {}
        with self.stack.web.connect() as line:
            for order in sorted(orders):
                reply = line.request("GET", f"/orders/{self.sku}/{order}")
                seen[order] = reply.json["status"] \
                    if reply.status == 200 else None
        return seen

    # --- Processes ---

    def _log(self, name):
        return self.stack.directory / f"log/{name}.log"

    def _log_readers(self):
        return self.stack._readers

    def _deaths(self):
        """Whoever ended in another way than we ended it."""
        found, killed = [], 0
        for reader in self._log_readers():
            for line in reader.new_lines():
                if logs.SANITIZER.search(line):
                    found.append(line)
                elif re.search(r"killed by signal 9 ", line):
                    killed += 1
                elif re.search(r"killed by signal|left with exit code"
                               r"|not done after", line):
                    found.append(line)
        for status, expected in self.arena.masters.deaths:
            killed += status == -9
            if status not in (0, -9) or (status == 0 and not expected):
                found.append(f"flashsale-fcgi's master left with {status}")
        if killed > self.arena.killed:
            found.append(f"{killed} processes were killed, the faults killed "
                         f"{self.arena.killed}")
        return found

    # --- What is kept of a failure ---

    def _write(self, name, content):
        (self.folder / name).write_text(
            json.dumps(content, indent=1, default=str) + "\n")

    def _keep(self):
        """The logs of this round, beside its history and books."""
        for name, offset in self._offsets.items():
            with self._log(name).open("rb") as file:
                file.seek(offset)
                (self.folder / f"{name}.log").write_bytes(file.read())
        return self.folder
