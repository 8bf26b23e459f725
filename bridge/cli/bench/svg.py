"""Draws bars and lines as SVG, in the style of the documentation's drawings. Pure.

Input: names and numbers. Output: the text of one ``<svg>`` element, which is a complete file and
can be embedded in a page, whose colours it then uses. Nothing depends on colour: bridge's bars are
filled and the others hatched; lines differ in dashes and marks; numbers are written out.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["WIDTH", "Bar", "Line", "bars", "box", "lines", "number", "picture", "text"]

WIDTH = 760
STYLE = """<style>
.chart { font-family: var(--font-stack, system-ui, sans-serif); width: 100%; height: auto;
  background: var(--color-background-primary, #fff); }
.chart text { fill: var(--color-foreground-primary, #111); font-size: 14px; }
.chart .title { font-weight: 600; font-size: 15px; }
.chart .small { fill: var(--color-foreground-secondary, #444); font-size: 12px; }
.chart .ours { fill: var(--color-brand-primary, #0a5a78); stroke: none; }
.chart .theirs { stroke: var(--color-foreground-secondary, #444); }
.chart .hatch, .chart .grid { stroke: var(--color-foreground-border, #999); }
.chart .grid { stroke-width: .6; stroke-dasharray: 2 4; fill: none; }
.chart .spread { stroke: var(--color-foreground-primary, #111); stroke-width: 1.6; fill: none; }
.chart .line { stroke: var(--color-brand-primary, #0a5a78); stroke-width: 2.2; fill: none; }
.chart .line.other { stroke: var(--color-foreground-secondary, #444); stroke-dasharray: 6 4; }
.chart .mark { fill: var(--color-brand-primary, #0a5a78); }
.chart .mark.other { fill: var(--color-background-primary, #fff);
  stroke: var(--color-foreground-secondary, #444); stroke-width: 1.6; }
</style>"""
HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="hatch" d="M0 0V6"/></pattern></defs>'
)


Place = Callable[[float], float]
"""Converts a number to its coordinate in the picture."""


@dataclass(frozen=True)
class Bar:
    """One bar: a value, and the lowest and the highest measured one."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Line:
    """One line through ``(x, y)`` points."""

    name: str
    points: Sequence[tuple[float, float]]
    ours: bool = True


def number(value: float) -> str:
    """Format a number with three significant digits, and whole from 100 on."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bars(title: str, unit: str, rows: Sequence[Bar], *, note: str = "") -> str:
    """Draw horizontal bars, each with its value and its spread.

    :param note: appended to the caption, such as ``less is better``.
    """
    left, right, step, top = 215, 130, 34, 50
    height = top + step * len(rows) + 24
    highest = max((row.high for row in rows), default=1.0) or 1.0
    scale = (WIDTH - left - right) / highest
    parts = [text(10, 24, title, "title")]
    for place, row in enumerate(rows):
        parts += _bar(row, left, top + place * step, scale)
    caption = f"{unit}; the line in a bar spans min to max" + (f"; {note}" if note else "")
    parts.append(text(left, height - 8, caption, "small"))
    values = ", ".join(f"{row.name} {number(row.value)}" for row in rows)
    return picture(height, title, f"{unit}: {values}", parts)


def _bar(row: Bar, left: float, top: float, scale: float) -> list[str]:
    style = "ours" if row.ours else "theirs"
    width = max(1.0, row.value * scale)
    low, high, middle = left + row.low * scale, left + row.high * scale, top + 12
    spread = f"M{low:.1f} {middle - 4}V{middle + 4}M{low:.1f} {middle}H{high:.1f}"
    spread += f"M{high:.1f} {middle - 4}V{middle + 4}"
    return [
        text(left - 10, top + 17, row.name, anchor="end"),
        box(style, left, top, width, 24),
        f'<path class="spread" d="{spread}"/>',
        text(max(high, left + width) + 8, top + 17, number(row.value)),
    ]


def lines(title: str, x_name: str, y_name: str, series: Sequence[Line], *, log_x: bool) -> str:
    """Draw lines with marked points; ``y`` starts at zero, ``x`` is linear or logarithmic."""
    left, right, top, bottom = 80, 30, 66, 330
    xs = sorted({x for line in series for x, _ in line.points})
    top_y = _round_up(max(y for line in series for _, y in line.points))

    def place_x(x: float) -> float:
        low, high, value = (math.log(v) if log_x else v for v in (xs[0] if log_x else 0, xs[-1], x))
        return left + (value - low) / ((high - low) or 1) * (WIDTH - left - right)

    def place_y(y: float) -> float:
        return bottom - y / top_y * (bottom - top)

    parts = [text(10, 24, title, "title"), text(10, 48, y_name, "small")]
    for quarter in range(5):
        y = top_y * quarter / 4
        parts.append(f'<path class="grid" d="M{left} {place_y(y):.1f}H{WIDTH - right}"/>')
        parts.append(text(left - 8, place_y(y) + 4, number(y), "small", "end"))
    parts += [
        text(place_x(x), bottom + 20, _tick(x), "small", "middle") for x in _spaced(xs, place_x)
    ]
    for line in series:
        parts += _line(line, place_x, place_y)
    parts.append(text((left + WIDTH - right) / 2, bottom + 42, x_name, "small", "middle"))
    parts += _legend(series) if len(series) > 1 else []
    values = "; ".join(
        f"{line.name}: " + ", ".join(f"{number(y)} at {number(x)}" for x, y in line.points)
        for line in series
    )
    return picture(bottom + 54, title, f"{y_name} by {x_name}. {values}", parts)


def _tick(x: float) -> str:
    return f"{x:,.0f}" if x >= 1000 else number(x)


def _spaced(xs: Sequence[float], place_x: Place) -> list[float]:
    """The numbers whose labels do not overlap below the axis."""
    kept: list[float] = []
    for x in xs:
        if not kept or place_x(x) - place_x(kept[-1]) > 34:
            kept.append(x)
    return kept


def _round_up(value: float) -> float:
    """The next number that divides easily by four."""
    power = 10.0 ** math.floor(math.log10(value or 1))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value)


def _line(line: Line, place_x: Place, place_y: Place) -> list[str]:
    kind = "" if line.ours else " other"
    placed = [(place_x(x), place_y(y)) for x, y in line.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    marks = [f'<circle class="mark{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in placed]
    return [f'<path class="line{kind}" d="{path}"/>', *marks]


def _legend(series: Sequence[Line]) -> list[str]:
    parts, x = [], WIDTH - 30 - sum(60 + 8 * len(line.name) for line in series)
    for line in series:
        kind = "" if line.ours else " other"
        parts.append(f'<path class="line{kind}" d="M{x} 44h30"/>')
        parts.append(f'<circle class="mark{kind}" cx="{x + 15}" cy="44" r="4"/>')
        parts.append(text(x + 36, 48, line.name, "small"))
        x += 60 + 8 * len(line.name)
    return parts


def text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> str:
    """Draw one line of text."""
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def box(style: str, x: float, y: float, width: float, height: float) -> str:
    """Draw a rectangle: filled in the style ``ours``, hatched in the style ``theirs``."""
    fill = ' fill="url(#hatch)"' if style == "theirs" else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{style}"{fill} {place}/>'


def picture(height: float, title: str, description: str, parts: Sequence[str]) -> str:
    """Assemble the whole picture.

    :param description: what it shows, for readers who cannot see it.
    """
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
    )
    drawn = "\n".join([head, STYLE, HATCH, *parts, "</svg>\n"])
    unique = f"hatch-{zlib.crc32(title.encode()):x}"  # ids must differ in a page of many pictures
    return drawn.replace("url(#hatch)", f"url(#{unique})").replace('id="hatch"', f'id="{unique}"')
