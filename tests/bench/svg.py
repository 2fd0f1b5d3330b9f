"""A picture in SVG: marks, axes and a legend, in figures of fixed size."""

import math
from html import escape

INK, FAINT, SURFACE = "#1f2328", "#d8dce1", "#ffffff"
COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#4a3aa7", "#eda100", "#e34948",
           "#008300", "#e87ba4")
FONT = 12
CHARACTER = 6.6  # width of one, about


class Picture:
    def __init__(self, width, height, title):
        self._width, self._height = width, height
        self._marks = []
        self.text(16, 26, title, size=15, weight="bold")

    def text(self, x, y, words, anchor="start", size=FONT, weight="normal"):
        self._marks.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'font-size="{size}" font-weight="{weight}">'
            f'{escape(str(words))}</text>')

    def line(self, points, colour=FAINT, width=1.0):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._marks.append(f'<polyline points="{path}" fill="none" '
                           f'stroke="{colour}" stroke-width="{width}"/>')

    def dot(self, x, y, colour, tip):
        self._marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" '
            f'stroke="{SURFACE}" stroke-width="1.5">'
            f'<title>{escape(tip)}</title></circle>')

    def box(self, x, y, width, height, colour, tip=""):
        self._marks.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
            f'height="{max(height, 0):.1f}" fill="{colour}" '
            f'stroke="{SURFACE}"><title>{escape(tip)}</title></rect>')

    def legend(self, x, y, names, colours=COLOURS):
        for name, colour in zip(names, colours):
            self.box(x, y - 9, 11, 11, colour)
            self.text(x + 16, y, name)
            x += 34 + CHARACTER * len(name)

    def save(self, path):
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {self._width} {self._height}" '
            f'width="{self._width}" height="{self._height}" '
            f'font-family="system-ui, sans-serif" fill="{INK}">\n'
            f'<rect width="100%" height="100%" fill="{SURFACE}"/>\n'
            + "\n".join(self._marks) + "\n</svg>\n")


class Frame:
    """A part of a picture with a scale: y grows upwards from `low`."""

    def __init__(self, picture, x, y, width, height, low, high,
                 scale=lambda value: value):
        self._picture, self._scale = picture, scale
        self.x, self.y, self.width, self.height = x, y, width, height
        self._low, self._span = scale(low), scale(high) - scale(low)

    def at(self, value):
        share = (self._scale(value) - self._low) / self._span
        return self.y + self.height * (1 - share)

    def grid(self, values, form=None):
        for value in values:
            y = self.at(value)
            self._picture.line([(self.x, y), (self.x + self.width, y)])
            if form:
                self._picture.text(self.x - 6, y + 4, format(value, form),
                                   "end")

    def column(self, n, of):
        """The middle of the n-th of so many places."""
        return self.x + self.width * (n + 0.5) / of

    def label(self, n, of, words):
        self._picture.text(self.column(n, of), self.y + self.height + 18,
                           words, "middle")

    def series(self, values, colour, tips):
        """A line through a value a place; None where there is none."""
        points = [(self.column(n, len(values)), self.at(value))
                  for n, value in enumerate(values) if value is not None]
        self._picture.line(points, colour, 2)
        for (x, y), tip in zip(points, tips):
            self._picture.dot(x, y, colour, tip)


def steps(top, most=6):
    """Round numbers from 0 to at least top."""
    step = next(unit * 10 ** power for power in range(12)
                for unit in (1, 2, 5) if top / (unit * 10 ** power) <= most)
    return [step * n for n in range(math.ceil(top / step) + 1)]
