"""What the benchmark prints."""

import statistics


def median(samples, name):
    values = [sample[name] for sample in samples if name in sample]
    return statistics.median(values) if values else None


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


def print_rates(samples):
    rows = [("", "per second", "ratio", "accept is", "p50 ms", "p99 ms",
             "others")]
    for name, list_ in samples.items():
        times = median(list_, "accept_over_floor")
        rows.append((
            name, _cell(median(list_, "rate"), ",.0f"),
            _cell(median(list_, "ratio"), ".0%"),
            "" if times is None else f"{times:.1f} times",
            _cell(median(list_, "p50"), ".1f"),
            _cell(median(list_, "p99"), ".1f"),
            _cell(median(list_, "others"), ".0%")))
    _print(rows)
    for name, list_ in samples.items():
        confirmed = median(list_, "confirmed_rate")
        if confirmed is not None:
            print(f"{name}: {confirmed:,.0f}/s into MySQL meanwhile")


def _print_cpu(samples, cores):
    """load is wrk itself; it would be on another machine in real life."""
    parts = ("nginx", "fcgi", "redis", "sqs", "worker", "mariadb", "load")
    rows = [("CPU of a request, microseconds", *parts, "all", "quiet")]
    for name, list_ in samples.items():
        used = [sample["cpu_us"] for sample in list_ if "cpu_us" in sample]
        if used:
            each = [median(used, part) for part in parts]
            rows.append((name, *(f"{us:.1f}" for us in each),
                         f"{sum(each):.1f}",
                         f"{cores * 1e6 / sum(each):,.0f}"))
    print()
    _print(rows)


def _print_counts(title, counts):
    print(f"\n{title}: " + ", ".join(
        f"{name} {count:.2f}" for name, count in
        sorted(counts.items(), key=lambda item: -item[1]) if count >= 0.01))


def print_costs(samples, result):
    _print_cpu(samples, result["cores"])
    costs = result["costs"]
    _print_counts("A refusal in Redis (one evalsha is one round trip)",
                  costs["redis"])
    _print_counts(
        f"System calls of a refusal, {sum(costs['system_calls'].values()):.2f}"
        " in all", costs["system_calls"])
    print(f"\nResident memory of the responders at 1,000 connections: "
          f"{result['responders_kb']} kB; at the end: "
          f"{result['responders_kb_at_end']} kB")
    if "leak" in result:
        leak = result["leak"]
        print(f"over {leak['requests']:,.0f} refusals: from "
              f"{leak['before_kb']} to {leak['after_kb']} kB")
