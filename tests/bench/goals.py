"""What the engine is to reach, whether it does, and where it does not, how far
anybody could get on this machine: the limit, measured in the same rounds."""

from books import INSERT, RECEIVE
from queues import FULL
from script import KEYED, KEYED_SHORT
from table import cpu_of, median
from web import DASHBOARD

# The sample, what of it, at least (or at most, if negative), and in words.
GOALS = (
    ("edge gate, 64 connections", "ratio", 0.90, "of nginx return 409"),
    ("edge gate, 1000 connections", "ratio", 0.90, "of nginx return 409"),
    ("refuse, 256 connections", "ratio", 0.65, "of nginx return 409"),
    ("refuse, 1000 connections", "ratio", 0.50, "of nginx return 409"),
    ("lighttpd: refuse, 256 connections", "ratio", 0.90, "of bare libfcgi"),
    ("fauxqs: accept, 256 connections", "ratio", 0.90, "of full batches"),
    ("fauxqs: accept, 256 connections", "rate", 10_000, "a second"),
    ("fauxqs: accept, 20 ms later, 1000 connections", "ratio", 0.90,
     "of the same without"),
    ("fauxqs: one by one, 2 processes, 20 ms later", "accept_over_floor", 8,
     "times that"),
    ("open loop: refuse at 60 %", "p99", -5, "ms"),
    ("open loop: refuse at 60 %", "p99.9", -20, "ms"),
    ("worker: orders into MySQL", "ratio", 0.85, "of its lower ceiling"),
    ("script: refuse, 1 a call", "ratio", 0.60, "of the bare script"),
    ("script: accept, 1 a call", "ratio", 0.60, "of the bare script"),
    ("script: refuse, 25 a call", "ratio", 0.60, "of the bare script"),
    ("script: accept, 25 a call", "ratio", 0.60, "of the bare script"),
    ("refuse, now", "ratio", 0.90, "of before"),
    ("accept, now", "ratio", 0.90, "of before"),
)
DASHBOARD_SHARE = 0.01  # of the machine, at a look a second
UNIT_BYTES = 250
RESPONDER_KB = 10_240
FLAT = 0.10  # so much may a cost grow


# --- Limits: a ratio and in words whose it is ---

def _of_another(name, words):
    return lambda samples: (median(samples.get(name, []), "ratio"), words)


def _of_orders(samples):
    """What the web server, SQS and the generator need for an order, beside
    what SQS and its generator need for a message."""
    full = cpu_of(samples[f"fauxqs: {FULL}"])
    order = cpu_of(samples["fauxqs: accept, 256 connections"])
    others = sum(order[part] for part in ("nginx", "sqs", "load"))
    return (sum(full.values()) / others,
            "with responders and Redis for nothing")


def _of_the_worker(samples):
    """It does what both its ceilings do, on the cores that each had."""
    a, b = (median(samples[name], "rate") for name in (RECEIVE, INSERT))
    return 1 / (1 / a + 1 / b) / min(a, b), "both ceilings one after the other"


ALONE = "by a responder that asks nobody"
WRITES = "for what an order writes, and no decision"
LIMITS = {
    "refuse, 256 connections":
        _of_another("responder alone, 256 connections", ALONE),
    "refuse, 1000 connections":
        _of_another("responder alone, 1000 connections", ALONE),
    "fauxqs: accept, 256 connections": _of_orders,
    "worker: orders into MySQL": _of_the_worker,
    "script: accept, 1 a call":
        _of_another("script: an order's writes alone", WRITES),
}


def _limit(name, what, samples):
    value, words = LIMITS.get(name, lambda _: (None, ""))(samples)
    if value is None or what != "ratio":
        return ""
    return f"; {value:.0%} {words}"


# --- Judging ---

def _judge(met, text):
    print(f"{'reached' if met else 'MISSED '}  {text}")


def _judge_samples(samples):
    for name, what, goal, words in GOALS:
        value = median(samples.get(name, []), what)
        if value is None:
            continue
        form = ".0%" if what == "ratio" else ",.1f"
        met = value <= -goal if goal < 0 else value >= goal
        _judge(met, f"{name}: {what} {value:{form}} {words} "
               f"({'at most' if goal < 0 else 'at least'} "
               f"{abs(goal):{form}} wanted"
               f"{'' if met else _limit(name, what, samples)})")


def _judge_growth(growth):
    for axis, kinds in growth.items():
        for kind, points in kinds.items():
            first, last = points[0], points[-1]
            grown = last["cost_us"] / first["cost_us"] - 1
            _judge(grown <= FLAT, f"{kind}, {first['size']:,} to "
                   f"{last['size']:,} {axis}: one costs {grown:+.0%} "
                   f"(at most {FLAT:+.0%} wanted)")


def _judge_memory(memory):
    for what in ("plain", KEYED):
        if what not in memory:
            continue
        met = memory[what] <= UNIT_BYTES
        limit = (f"; {memory[KEYED_SHORT]:.0f} were user and key 16 bytes, "
                 "and the id" if what == KEYED and not met else "")
        _judge(met, f"a unit sold, {what}: {memory[what]:.0f} bytes of Redis "
               f"(at most {UNIT_BYTES} wanted{limit})")


def print_goals(result):
    samples = result["samples"]
    _judge_samples(samples)
    if DASHBOARD in samples:
        look = sum(cpu_of(samples[DASHBOARD]).values())
        share = look / 1e6 / result["cores"]
        _judge(share <= DASHBOARD_SHARE, f"an open dashboard takes "
               f"{share:.2%} of the machine (at most {DASHBOARD_SHARE:.0%} "
               "wanted)")
    _judge_memory(result.get("memory", {}))
    peak = max(result["responders_kb"])
    _judge(peak < RESPONDER_KB, f"a responder has {peak:,} kB at 1,000 "
           f"connections (under {RESPONDER_KB:,} wanted)")
    _judge_growth(result.get("growth", {}))
    for complaint in result["complaints"]:
        print(f"WRONG    {complaint}")
