"""What the benchmark prints."""

import statistics

from web import DASHBOARD

PARTS = ("nginx", "lighttpd", "fcgi", "redis", "sqs", "worker", "mariadb",
         "load")


def median(samples, name):
    values = [sample[name] for sample in samples if name in sample]
    return statistics.median(values) if values else None


def cpu_of(samples):
    """Microseconds of a request by part, or None."""
    used = [sample["cpu_us"] for sample in samples if "cpu_us" in sample]
    return {part: median(used, part) for part in PARTS} if used else None


def _cell(value, form):
    return "" if value is None else format(value, form)


def _print(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width)
                  for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
        if n == 0:
            print("  ".join("-" * width for width in widths))


def _print_rates(samples):
    rows = [("", "per second", "ratio", "accept is", "p50 ms", "p99 ms",
             "p99.9 ms", "others")]
    for name, list_ in samples.items():
        times = median(list_, "accept_over_floor")
        rows.append((
            name, _cell(median(list_, "rate"), ",.0f"),
            _cell(median(list_, "ratio"), ".0%"),
            "" if times is None else f"{times:.1f} times",
            _cell(median(list_, "p50"), ".1f"),
            _cell(median(list_, "p99"), ".1f"),
            _cell(median(list_, "p99.9"), ".1f"),
            _cell(median(list_, "others"), ".0%")))
    _print(rows)
    for name, list_ in samples.items():
        confirmed = median(list_, "confirmed_rate")
        if confirmed is not None:
            print(f"{name}: {confirmed:,.0f}/s into MySQL meanwhile")


def _print_cpu(samples, cores):
    """load is wrk itself; it would be on another machine in real life."""
    rows = [("CPU of a request, microseconds", *PARTS, "all", "quiet")]
    for name, list_ in samples.items():
        cpu = cpu_of(list_)
        if cpu is not None:
            total = sum(cpu.values())
            rows.append((name, *(f"{us:.1f}" for us in cpu.values()),
                         f"{total:.1f}", f"{cores * 1e6 / total:,.0f}"))
    print()
    _print(rows)


def _print_counts(title, counts):
    print(f"\n{title}: " + ", ".join(
        f"{name} {count:.2f}" for name, count in
        sorted(counts.items(), key=lambda item: -item[1]) if count >= 0.01))


def _print_costs(result):
    for kind, cost in result.get("costs", {}).items():
        _print_counts(f"One {kind} in Redis (an evalsha is a round trip)",
                      cost["redis"])
        calls = cost["system_calls"]
        _print_counts(f"System calls of one {kind}, "
                      f"{sum(calls.values()):.2f} in all", calls)
        if "instructions" in cost:
            print(f"\nInstructions of one {kind} in the responder: "
                  f"{cost['instructions']:,.0f}")
    if "memory" in result:
        print("\nBytes of Redis for a unit sold: " + ", ".join(
            f"{what} {n:.0f}" for what, n in result["memory"].items()))
    print(f"\nResident memory of the responders at 1,000 connections: "
          f"{result['responders_kb']} kB; at the end: "
          f"{result['responders_kb_at_end']} kB")
    if "leak" in result:
        lost = result["leak"]
        print(f"over {lost['requests']:,.0f} refusals: from "
              f"{lost['before_kb']} to {lost['after_kb']} kB")


# --- What the engine is to reach ---

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


def _judge(met, text):
    print(f"{'reached' if met else 'MISSED '}  {text}")


def _print_goals(result):
    samples = result["samples"]
    for name, what, goal, words in GOALS:
        value = median(samples.get(name, []), what)
        if value is None:
            continue
        form = ".0%" if what == "ratio" else ",.1f"
        met = value <= -goal if goal < 0 else value >= goal
        _judge(met, f"{name}: {what} {value:{form}} {words} "
               f"({'at most' if goal < 0 else 'at least'} "
               f"{abs(goal):{form}} wanted)")
    if DASHBOARD in samples:
        look = sum(cpu_of(samples[DASHBOARD]).values())
        share = look / 1e6 / result["cores"]
        _judge(share <= DASHBOARD_SHARE, f"an open dashboard takes "
               f"{share:.2%} of the machine (at most {DASHBOARD_SHARE:.0%} "
               "wanted)")
    for what, n in result.get("memory", {}).items():
        _judge(n <= UNIT_BYTES, f"a unit sold, {what}: {n:.0f} bytes of "
               f"Redis (at most {UNIT_BYTES} wanted)")
    peak = max(result["responders_kb"])
    _judge(peak < RESPONDER_KB, f"a responder has {peak:,} kB at 1,000 "
           f"connections (under {RESPONDER_KB:,} wanted)")
    _print_growth(result.get("growth", {}))


def _print_growth(growth):
    for axis, kinds in growth.items():
        for kind, points in kinds.items():
            first, last = points[0], points[-1]
            grown = last["cost_us"] / first["cost_us"] - 1
            _judge(grown <= FLAT, f"{kind}, {first['size']:,} to "
                   f"{last['size']:,} {axis}: one costs {grown:+.0%} "
                   f"(at most {FLAT:+.0%} wanted)")


def print_result(result):
    print(f"\n{result['cores']} cores, {result['rounds']} rounds, samples of "
          f"{result['seconds']} s, medians; {result['took']:.0f} s in all\n")
    _print_rates(result["samples"])
    _print_cpu(result["samples"], result["cores"])
    _print_costs(result)
    print()
    _print_goals(result)
    for complaint in result["complaints"]:
        print(f"WRONG    {complaint}")
