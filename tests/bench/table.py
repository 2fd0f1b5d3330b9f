"""The tables that the benchmark prints."""

import statistics

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


def print_result(result):
    print(f"\n{result['cores']} cores, {result['rounds']} rounds, samples of "
          f"{result['seconds']} s, medians; {result['took']:.0f} s in all\n")
    _print_rates(result["samples"])
    _print_cpu(result["samples"], result["cores"])
    _print_costs(result)
