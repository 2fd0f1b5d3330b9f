"""The worker: orders from SQS into MySQL, beside the lower of its two
ceilings, which are SQS alone and MySQL alone."""

import sys
import time

from bench import SECONDS
from queues import full
from web import at

RECEIVE = "SQS alone: receive and delete"
INSERT = "MySQL alone: the ledger's transaction"
DRAIN = "worker: orders into MySQL"
HAUL = 500  # HAUL_MAX as it is by default
CONSUMERS = 2
START_SECONDS = 2  # in which a worker is at work that is not measured


def whole_path(bench, s, server):
    """Buyers and the worker at the same time."""
    s.start_worker(CONSUMERS)
    before = s.booked()
    name = f"{at(f'{server}: accept', 256)}, worker at work"
    sample = bench.add(name, bench.accept(s, 256), full(server))
    sample["confirmed_rate"] = (s.booked() - before) / sample["seconds"]


def fill(bench, s, orders):
    """Real orders into the queue, unless there are enough."""
    while s.depth() < orders:
        bench.accept(s, 256)


def drain(bench, s, consumers=CONSUMERS):
    """How many orders a second, with the queue full all the time."""
    s.stop_worker()
    rate = bench.last(DRAIN)["rate"] if DRAIN in bench.samples else 10_000
    fill(bench, s, int(1.5 * rate * (2 * SECONDS + START_SECONDS)))
    s.start_worker(consumers)
    first = s.booked()
    while (before := s.booked()) == first:
        time.sleep(0.01)
    started = time.monotonic()
    time.sleep(2 * SECONDS)
    sample = {"rate": (s.booked() - before) / (time.monotonic() - started)}
    s.stop_worker()
    if s.depth() == 0:
        print("the worker could have done more", file=sys.stderr)
    return sample


def ceilings(bench, s):
    s.loop("send", 2, 4, 10, 2 * SECONDS)
    bench.add(RECEIVE, s.loop("receive", CONSUMERS, 4, SECONDS))
    s.purge()
    bench.add(INSERT, s.loop("insert", CONSUMERS, HAUL, SECONDS))


def round_of(bench, s):
    ceilings(bench, s)
    lower = min((RECEIVE, INSERT), key=lambda n: bench.last(n)["rate"])
    bench.add(DRAIN, drain(bench, s), lower)
