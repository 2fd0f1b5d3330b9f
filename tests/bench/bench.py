"""What is measured once: samples by name, and what was wrong with them."""

import os
import sys

SECONDS = int(os.environ.get("BENCH_SECONDS", "1"))
LONG = os.environ.get("BENCH_LONG", "") not in ("", "0")

SOLD_OUT = "bench-sold-out"
REFUSED = f"/buy/{SOLD_OUT}"
STOCK = 100_000_000


class Bench:
    """Samples by name: a list of one dictionary a round."""

    def __init__(self):
        self.samples = {}
        self.complaints = []
        self.runs = 0

    def add(self, name, sample, ceiling=None):
        """ceiling: the name of the sample this one is to be compared to,
        which has been taken in the same round."""
        if ceiling is not None:
            sample["ratio"] = (sample["rate"]
                               / max(self.last(ceiling)["rate"], 1e-9))
        self.samples.setdefault(name, []).append(sample)
        print(f"  {name:50} {sample['rate']:10,.0f}/s", file=sys.stderr)
        return sample

    def last(self, name):
        return self.samples[name][-1]

    def expect(self, condition, complaint):
        if not condition:
            self.complaints.append(complaint)

    def wrk(self, s, connections, *arguments, seconds=SECONDS, url=None):
        """A sample of wrk, with buyers who did not come before.  path and
        what else buyers.lua takes."""
        self.runs += 1
        path, *more = arguments
        sample = s.wrk(connections, seconds, path, f"r{self.runs}",
                       *map(str, more), url=url)
        self.expect(sample["broken"] == 0,
                    f"{path}: {sample['broken']:.0f} broken connections")
        return sample

    def refuse(self, s, path, connections, **options):
        """All of them are refused."""
        sample = self.wrk(s, connections, path, **options)
        self.expect(sample["refused"] == sample["requests"],
                    f"{path}: only {sample['refused']:.0f} of "
                    f"{sample['requests']:.0f} refused")
        return sample

    def new_sale(self, s, stock=STOCK):
        self.runs += 1
        sku = f"bench-{self.runs}"
        s.cli("open", sku, "--stock", stock)
        return sku

    def accept(self, s, connections, sku=None, **options):
        """Nobody is refused."""
        sku = sku or self.new_sale(s)
        sample = self.wrk(s, connections, f"/buy/{sku}", **options)
        self.expect(sample["refused"] == 0,
                    f"{sample['refused']:.0f} of {sample['requests']:.0f} "
                    f"orders refused")
        sample["sku"] = sku
        return sample
