"""Latency as a buyer has it: an open loop at parts of the throughput that was
measured just before.  A closed loop asks less while the engine stalls, and
does not see what the others would have waited."""

from bench import SECONDS, SOLD_OUT
from web import at

LOADS = (30, 60, 90)  # per cent
CONNECTIONS = 1000


def round_of(bench, s, accept):
    """accept: the name of the sample that says how fast orders go."""
    refuse = at("refuse", CONNECTIONS)
    for what, throughput in (("refuse", refuse), ("accept", accept)):
        rate = bench.last(throughput)["rate"]
        for load in LOADS:
            sku = SOLD_OUT if what == "refuse" else bench.new_sale(s)
            sample = s.attack(sku, CONNECTIONS, rate * load / 100, SECONDS)
            bench.add(f"open loop: {what} at {load} %", sample)
            bench.expect(sample["failed"] == 0,
                         f"{sample['failed']} of an open loop failed")
