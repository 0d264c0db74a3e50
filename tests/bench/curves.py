# SPDX-License-Identifier: Apache-2.0
"""Several lines over a few marked places in one plot, as SVG, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.bench.plot import text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 260, 56, 16, 34, 40
LEGEND_LINE, LEGEND_TOP = 18, 12
COLOURS = ("#8d6a9f", "#66a182", "#b07d48", "#d1495b", "#edae49", "#2a7de1")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#777}.title{font-weight:600}"
    "path{fill:none;stroke-width:2}line{stroke:#999;stroke-width:1}.grid{stroke:#999;stroke-opacity:.25}"
)


class Curves(NamedTuple):
    """Lines over the same places, drawn at equal distances. y is logarithmic: 0 is left out, as what is not known."""

    title: str
    x_name: str
    places: Sequence[int]
    lines: Mapping[str, Sequence[float | None]]


def svg(plots: Sequence[Curves], columns: int = 2) -> str:
    """The plots in rows, with one legend below for all of them."""
    fullest_first = sorted(plots, key=lambda plot: -len(plot.lines))
    names = list(dict.fromkeys(name for plot in fullest_first for name in plot.lines))
    colours = {name: COLOURS[-1 - i % len(COLOURS)] for i, name in enumerate(reversed(names))}
    rows = -(-len(plots) // columns)
    width, top = WIDTH * min(columns, len(plots)), HEIGHT * rows
    height = top + LEGEND_TOP + LEGEND_LINE * len(names)
    drawn = [
        f'<g transform="translate({i % columns * WIDTH},{i // columns * HEIGHT})">{draw(plot, colours)}</g>'
        for i, plot in enumerate(plots)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *drawn, *legend(colours, top + LEGEND_TOP), "</svg>"]) + "\n"


def legend(colours: Mapping[str, str], top: float) -> list[str]:
    """One line for each name."""
    lines = []
    for i, (name, colour) in enumerate(colours.items()):
        y = top + i * LEGEND_LINE
        lines.append(f'<path d="M{LEFT},{y}h24" stroke="{colour}"/>{text(LEFT + 32, y + 4, "start", name)}')
    return lines


def draw(plot: Curves, colours: Mapping[str, str]) -> str:
    """One plot at the origin."""
    values = [value for line in plot.lines.values() for value in line if value]
    low, high = decades(values)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = (right - LEFT) / max(1, len(plot.places) - 1)

    def y_of(value: float) -> float:
        return bottom - (math.log10(value) - low) / (high - low) * (bottom - TOP)

    marks = [
        f'<line class="grid" x1="{LEFT}" y1="{y_of(10.0**n):.1f}" x2="{right}" y2="{y_of(10.0**n):.1f}"/>'
        + text(LEFT - 6, y_of(10.0**n) + 4, "end", f"{10.0**n:,g}")
        for n in range(low, high + 1)
    ]
    ticks = [text(LEFT + i * step, bottom + 16, "middle", f"{place:,}") for i, place in enumerate(plot.places)]
    lines = []
    for name, line in plot.lines.items():
        at = [(LEFT + i * step, y_of(value)) for i, value in enumerate(line) if value]
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in at)
        lines.append(f'<path d="{path}" stroke="{colours[name]}"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in at]
    named = [
        text(LEFT, TOP - 14, "start", plot.title, "title"),
        text((LEFT + right) / 2, HEIGHT - 6, "middle", plot.x_name),
    ]
    return "".join([f'<line x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>', *marks, *ticks, *lines, *named])


def decades(values: Sequence[float]) -> tuple[int, int]:
    """Powers of ten below and above all values; two different ones."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
