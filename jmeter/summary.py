#!/usr/bin/python3
"""The table of a run, from the samples that JMeter kept (JTL, as CSV).

    summary.py run.jtl

Exit status 1 when anything failed or the plan's last step, the verdict, is
missing.  Knows the labels that the plans share, nothing about the engine.
"""

import csv
import sys

PURCHASE = "POST /buy"
VERDICT = "Verdict: "
COMPLAINTS_MAX = 10
HEAD = ("samples", "average", "min", "max", "p99", "error %", "throughput",
        "accepted", "refused")


class Sample:
    """One request; times in milliseconds, start since 1970."""

    def __init__(self, row):
        self.label = row["label"]
        self.start = int(row["timeStamp"])
        self.elapsed = int(row["elapsed"])
        self.good = row["success"] == "true"
        self.accepted = row["responseCode"] == "202"
        self.refused = row["responseCode"] == "409"
        self.complaint = " ".join((row["responseCode"],
                                   row["responseMessage"] + ":",
                                   row["failureMessage"]))


def read_samples(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [Sample(row) for row in csv.DictReader(file)]


class Summary:
    def __init__(self, samples):
        times = sorted(sample.elapsed for sample in samples)
        self.count = len(samples)
        self.average = sum(times) / len(times)
        self.least, self.most = times[0], times[-1]
        self.p50 = percentile(times, 0.50)
        self.p99 = percentile(times, 0.99)
        self.failed = sum(not sample.good for sample in samples)
        begin = min(sample.start for sample in samples)
        end = max(sample.start + sample.elapsed for sample in samples)
        self.seconds = max(end - begin, 1) / 1000
        self.accepted = sum(s.good and s.accepted for s in samples)
        self.refused = sum(s.good and s.refused for s in samples)

    def cells(self):
        return (f"{self.count:,}", f"{self.average:.1f} ms",
                f"{self.least} ms", f"{self.most} ms", f"{self.p99} ms",
                f"{100 * self.failed / self.count:.2f}",
                f"{self.count / self.seconds:,.1f}/s",
                f"{self.accepted:,}" if self.accepted else "",
                f"{self.refused:,}" if self.refused else "")


def percentile(ordered, share):
    """The least value that this share of all does not exceed."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def by_label(samples):
    labels = {}
    for sample in samples:
        labels.setdefault(sample.label, []).append(sample)
    return labels


def print_table(labels):
    rows = [("", *HEAD)]
    rows += [(label, *Summary(samples).cells())
             for label, samples in labels.items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for label, *cells in rows:
        right = (c.rjust(width) for c, width in zip(cells, widths[1:]))
        print("  ".join((label.ljust(widths[0]), *right)).rstrip())


def complaints(samples):
    """What went wrong, each once, with how often."""
    found = {}
    for sample in samples:
        if not sample.good:
            what = f"{sample.label}: {sample.complaint}"
            found[what] = found.get(what, 0) + 1
    if not any(sample.label.startswith(VERDICT) for sample in samples):
        found["the plan did not come to its verdict"] = 1
    return found


def main():
    samples = read_samples(sys.argv[1])
    print_table(by_label(samples))
    found = complaints(samples)
    for what, times in list(found.items())[:COMPLAINTS_MAX]:
        print(f"WRONG    {times:,} times: {what}")
    if len(found) > COMPLAINTS_MAX:
        print(f"WRONG    and {len(found) - COMPLAINTS_MAX:,} more, in the JTL")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
