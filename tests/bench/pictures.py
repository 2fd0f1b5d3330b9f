"""What the benchmark measured, as pictures."""

import math

from svg import COLOURS, Frame, Picture, steps
from table import PARTS, cpu_of, median

CONNECTIONS = (64, 256, 1000)
RATES = ("nginx return 409", "edge gate", "refuse", "fauxqs: accept",
         "lighttpd: bare libfcgi", "lighttpd: refuse")
COSTS = ("nginx return 409, 256 connections", "edge gate, 256 connections",
         "look at the stock, 256 connections", "responder alone, 256 "
         "connections", "refuse, 256 connections", "99 refused, 1 buys, 256 "
         "connections", "fauxqs: accept, 256 connections",
         "fauxqs: accept, 256 connections, worker at work",
         "lighttpd: refuse, 256 connections",
         "lighttpd: accept, 256 connections")
LATENCIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def draw(result, folder):
    samples = result["samples"]
    for name, picture in (("throughput", _throughput(samples)),
                          ("latency", _latency(samples)),
                          ("cpu", _cpu(samples)),
                          ("growth", _growth(result["growth"]))):
        if picture is not None:
            picture.save(folder / f"{name}.svg")


def _throughput(samples):
    lines = {}
    for name in RATES:
        rates = [median(samples.get(f"{name}, {n} connections", []), "rate")
                 for n in CONNECTIONS]
        if any(rates):
            lines[name] = rates
    if not lines:
        return None
    picture = Picture(760, 420, "Requests a second by connections")
    picture.legend(16, 50, lines)
    grid = steps(max(rate for rates in lines.values()
                     for rate in rates if rate))
    frame = Frame(picture, 80, 76, 650, 290, 0, grid[-1])
    frame.grid(grid, ",.0f")
    for n, connections in enumerate(CONNECTIONS):
        frame.label(n, len(CONNECTIONS), f"{connections:,}")
    for (name, rates), colour in zip(lines.items(), COLOURS):
        frame.series(rates, colour, [f"{name}: {rate:,.0f}/s"
                                     for rate in rates if rate])
    return picture


def _latency(samples):
    prefix = "open loop: "
    loads = [name for name in samples if name.startswith(prefix)]
    if not loads:
        return None
    kinds = ("p50", "p99", "p99.9")
    picture = Picture(760, 400, "Latency in ms of an open loop, 1,000 "
                      "connections, at a share of the throughput")
    picture.legend(16, 50, kinds)
    values = {(name, kind): median(samples[name], kind)
              for name in loads for kind in kinds}
    low = min([0.1, *values.values()])
    high = next((v for v in LATENCIES if v >= max(values.values())),
                max(values.values()))
    frame = Frame(picture, 80, 76, 650, 280, max(low, 0.01), high, math.log)
    frame.grid([0.1] + [v for v in LATENCIES if v <= high], "g")
    for n, name in enumerate(loads):
        frame.label(n, len(loads), name.removeprefix(prefix))
        for k, (kind, colour) in enumerate(zip(kinds, COLOURS)):
            value = max(values[name, kind], 0.01)
            x = frame.column(n, len(loads)) + 22 * (k - 1)
            y = frame.at(value)
            picture.box(x - 10, y, 20, frame.y + frame.height - y, colour,
                        f"{name}, {kind}: {value:.2f} ms")
            picture.text(x, y - 3, f"{value:.3g}", "middle", 9)
    return picture


def _cpu(samples):
    rows = {name: cpu_of(samples[name]) for name in COSTS if name in samples}
    if not rows:
        return None
    picture = Picture(860, 90 + 30 * len(rows),
                      "CPU of a request in microseconds, by part")
    used = [part for part in PARTS
            if any(cpu[part] >= 0.5 for cpu in rows.values())]
    picture.legend(16, 50, used)
    scale = 430 / max(sum(cpu.values()) for cpu in rows.values())
    for n, (name, cpu) in enumerate(rows.items()):
        x, y = 360, 66 + 30 * n
        picture.text(350, y + 15, name, "end")
        for part, colour in zip(used, COLOURS):
            picture.box(x, y, cpu[part] * scale, 21, colour,
                        f"{part}: {cpu[part]:.1f}")
            x += cpu[part] * scale
        picture.text(x + 6, y + 15, f"{sum(cpu.values()):.0f}")
    return picture


def _growth(growth):
    """A frame an axis: the cost of one, the smallest size being 100 %."""
    if not growth:
        return None
    width, kinds = 210, sorted({k for axis in growth.values() for k in axis})
    picture = Picture(80 + width * len(growth), 330,
                      "Cost of one by size, the smallest size being 100 %")
    picture.legend(16, 50, kinds)
    shares = {(axis, kind): [100 * p["cost_us"] / points[0]["cost_us"]
                             for p in points]
              for axis, lines in growth.items()
              for kind, points in lines.items()}
    grid = steps(max(110, *(max(list_) for list_ in shares.values())))
    for n, (axis, lines) in enumerate(growth.items()):
        frame = Frame(picture, 60 + width * n, 76, width - 30, 190, 0,
                      grid[-1])
        frame.grid(grid, ".0f" if n == 0 else None)
        sizes = [p["size"] for p in next(iter(lines.values()))]
        for place, size in enumerate(sizes):
            frame.label(place, len(sizes), _short(size))
        picture.text(frame.x + frame.width / 2, 306, axis, "middle")
        for kind in lines:
            frame.series(shares[axis, kind], COLOURS[kinds.index(kind)],
                         [f"{kind}, {size:,} {axis}: {share:.0f} %"
                          for size, share in zip(sizes, shares[axis, kind])])
    return picture


def _short(size):
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if size >= unit:
            return f"{size // unit}{name}"
    return str(size)
