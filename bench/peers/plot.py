"""Line plots as SVG: logarithmic axes, one line with marks for each system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

COLOURS = ("#1b6ec2", "#d1495b", "#3a7d44", "#e09f3e", "#6a4c93", "#2a9d8f", "#8d6e63", "#555555", "#c2185b")
WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 220, 40, 55
Points = Sequence[tuple[float, float]]


class Axis:
    """Maps values to pixels."""

    def __init__(self, values: list[float], begin: float, end: float, logarithmic: bool) -> None:
        self.logarithmic = logarithmic
        low, high = min(values), max(values)
        if logarithmic:
            # Whole decades would waste space: marks stand at 1, 2 and 5.
            self.ticks = [
                d * 10.0**e for e in range(-4, 10) for d in (1, 2, 5) if low / 2.5 <= d * 10.0**e <= high * 2.5
            ]
        else:
            step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
            step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 8)
            first, last = math.floor(low / step), math.ceil(high / step)
            self.ticks = [step * number for number in range(first, max(last, first + 1) + 1)]
        self.low, self.high = self._scale(self.ticks[0]), self._scale(self.ticks[-1])
        self.begin, self.end = begin, end

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def at(self, value: float) -> float:
        """Pixel of a value."""
        share = (self._scale(value) - self.low) / ((self.high - self.low) or 1)
        return self.begin + share * (self.end - self.begin)


def label(value: float) -> str:
    """A number on an axis."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:.4g}"


def lines(title: str, x_title: str, y_title: str, series: dict[str, Points], x_logarithmic: bool = False) -> str:
    """The picture; y is logarithmic."""
    points = [point for line in series.values() for point in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, x_logarithmic)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, True)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for tick in x.ticks:
        out.append(f'<path d="M{x.at(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>')
        out.append(f'<text x="{x.at(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label(tick)}</text>')
    for tick in y.ticks:
        out.append(f'<path d="M{LEFT} {y.at(tick):.1f}H{WIDTH - RIGHT}" stroke="#eee"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{label(tick)}</text>')
    out.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_title)}</text>'
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(y_title)}</text>'
    )
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        pixels = [(x.at(a), y.at(b)) for a, b in sorted(line)]
        out.append(
            f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in pixels)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in pixels]
        height = TOP + 12 + 20 * number
        out.append(f'<path d="M{WIDTH - RIGHT + 14} {height - 4}h18" stroke="{colour}" stroke-width="3"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 38}" y="{height}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
