#!/usr/bin/python3
"""Draws two pictures (SVG) of a run from the samples that JMeter kept.

    draw.py race.jtl FOLDER

race-times.svg shows how long the answers to POST /buy took over the run, and
which they were; race-summary.svg, the numbers of all of it.  Knows nothing of
the engine; what is summed up, summary.py says.
"""

import datetime
import math
import os
import pathlib
import sys

from summary import PURCHASE, Summary, read_samples

WIDTH = 860
INK, FAINT, GRID = "#1f2328", "#59636e", "#d8dee4"
ACCEPTED, REFUSED, MOST = "#0b7a5e", "#8b949e", "#bc4c00"
# Upper ends of the histogram's bars, in milliseconds.
BARS = (1, 2, 3, 4, 5, 10, 20, 50, math.inf)


class Picture:
    """Elements of an SVG on a card that is readable on any background."""

    def __init__(self, height, title):
        self.height, self.title = height, title
        self.parts = []
        self.text(28, 40, title, size=20, weight=600)

    def text(self, x, y, words, size=13, fill=INK, anchor="start",
             weight=400):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"'
            f' text-anchor="{anchor}" font-weight="{weight}">{words}</text>')

    def box(self, x, y, width, height, fill):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}"'
            f' height="{height:.1f}" fill="{fill}"/>')

    def dot(self, x, y, fill):
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{fill}"/>')

    def lines(self, points, stroke, width=1):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none"'
                          f' stroke="{stroke}" stroke-width="{width}"/>')

    def legend(self, x, y, *entries):
        for words, fill in entries:
            self.box(x, y - 10, 11, 11, fill)
            self.text(x + 17, y, words, fill=FAINT)
            x += 40 + 7 * len(words)

    def save(self, path):
        path.write_text("\n".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}"'
            f' height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
            ' role="img" font-family="system-ui, sans-serif">',
            f"<title>{self.title}</title>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}"'
            f' height="{self.height - 1}" rx="8" fill="#ffffff"'
            f' stroke="{GRID}"/>', *self.parts, "</svg>\n")),
            encoding="utf-8")


class Panel:
    """A rectangle with axes in it: turns values into places."""

    def __init__(self, picture, top, height, seconds, most):
        self.picture, self.seconds = picture, seconds
        self.left, self.right = 74, WIDTH - 28
        self.bottom, self.height = top + height, height
        self.step = nice(most / 4)
        self.most = self.step * math.ceil(most / self.step)

    def x(self, second):
        return self.left + (self.right - self.left) * second / self.seconds

    def y(self, value):
        return self.bottom - self.height * value / self.most

    def draw_scale(self, unit):
        for n in range(round(self.most / self.step) + 1):
            y = self.y(n * self.step)
            self.picture.lines([(self.left, y), (self.right, y)], GRID)
            self.picture.text(self.left - 8, y + 4,
                              f"{n * self.step:g}{unit}", fill=FAINT,
                              anchor="end")

    def draw_seconds(self):
        step = nice(self.seconds / 10)
        for n in range(int(self.seconds / step) + 1):
            self.picture.text(self.x(n * step), self.bottom + 20,
                              f"{n * step:g} s", fill=FAINT, anchor="middle")


def nice(value):
    """The next of 1, 2, 5, 10, 20... that is not smaller; at least 1."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= value)


def slots_of(samples, width):
    """Samples by the slot of time, in milliseconds, in which they began."""
    begin = min(sample.start for sample in samples)
    slots = {}
    for sample in samples:
        slots.setdefault((sample.start - begin) // width, []).append(sample)
    return dict(sorted(slots.items()))


def conditions(samples):
    day = datetime.datetime.fromtimestamp(
        samples[0].start / 1000, datetime.timezone.utc).date()
    return (f"make report: JMeter, web server, engine, Redis, queue and MySQL "
            f"on one machine with {os.cpu_count()} cores; {day}")


def draw_times(samples, total, path):
    width = 100 * nice(total.seconds / 8)
    slots = slots_of(samples, width)
    seconds = (max(slots) + 1) * width / 1000
    picture = Picture(460, "How long the buyers waited for their answers")

    times = Panel(picture, 84, 170, seconds, total.most)
    times.draw_scale(" ms")
    middle = [((n + 0.5) * width / 1000, Summary(slot))
              for n, slot in slots.items()]
    for at, slot in middle:
        picture.dot(times.x(at), times.y(slot.most), MOST)
    picture.lines([(times.x(at), times.y(slot.average))
                   for at, slot in middle], ACCEPTED, 2)
    picture.legend(28, 66, (f"average of {width} ms", ACCEPTED),
                   (f"slowest of {width} ms", MOST))

    answers = Panel(picture, 304, 90, seconds, max(map(len, slots.values())))
    answers.draw_scale("")
    answers.draw_seconds()
    bar = answers.x(width / 1000) - answers.x(0) - 2
    for at, slot in middle:
        x = answers.x(at) - bar / 2
        low, high = answers.y(slot.accepted), answers.y(
            slot.accepted + slot.refused)
        picture.box(x, low, bar, answers.bottom - low, ACCEPTED)
        picture.box(x, high, bar, low - high, REFUSED)
    picture.legend(28, 286, ("accepted", ACCEPTED), ("refused", REFUSED))
    picture.text(28, 444, conditions(samples), size=12, fill=FAINT)
    picture.save(path)


def draw_numbers(picture, total):
    numbers = ((f"{total.count:,}", "buyers", INK),
               (f"{total.accepted:,}", "accepted", ACCEPTED),
               (f"{total.refused:,}", "refused", FAINT),
               (f"{total.failed:,}", "errors", MOST if total.failed else INK),
               (f"{total.average:.1f} ms", "average", INK),
               (f"{total.p99} ms", "99 of 100 within", INK),
               (f"{total.most} ms", "slowest", INK))
    for n, (number, words, fill) in enumerate(numbers):
        x = 28 + n * (WIDTH - 56) / len(numbers)
        picture.text(x, 92, number, size=23, fill=fill, weight=600)
        picture.text(x, 112, words, fill=FAINT)


def draw_histogram(picture, samples):
    floor, height = 330, 110
    least = -1
    counts = []
    for most in BARS:
        counts.append(sum(least < s.elapsed <= most for s in samples))
        least = most
    wide = (WIDTH - 56) / len(BARS)
    for n, (most, count) in enumerate(zip(BARS, counts)):
        tall = height * count / max(counts)
        middle = 28 + (n + 0.5) * wide
        words = "more" if most == math.inf else f"≤ {most} ms"
        picture.box(middle - wide / 2 + 4, floor - tall, wide - 8, tall,
                    ACCEPTED)
        picture.text(middle, floor - tall - 6, f"{count:,}", anchor="middle")
        picture.text(middle, floor + 18, words, fill=FAINT, anchor="middle")


def draw_summary(samples, total, path):
    picture = Picture(390, f"{total.count:,} buyers in {total.seconds:.0f} "
                           f"seconds for {total.accepted:,} units")
    draw_numbers(picture, total)
    wide = (WIDTH - 56) / total.count
    picture.box(28, 134, wide * total.accepted, 16, ACCEPTED)
    picture.box(28 + wide * total.accepted, 134, wide * total.refused, 16,
                REFUSED)
    picture.text(28, 186, "Answers by response time", weight=600)
    draw_histogram(picture, samples)
    picture.text(28, 376, conditions(samples), size=12, fill=FAINT)
    picture.save(path)


def main():
    samples = [sample for sample in read_samples(sys.argv[1])
               if sample.label == PURCHASE]
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    total = Summary(samples)
    draw_times(samples, total, folder / "race-times.svg")
    draw_summary(samples, total, folder / "race-summary.svg")


if __name__ == "__main__":
    main()
