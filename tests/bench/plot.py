# SPDX-License-Identifier: Apache-2.0
"""Small line plots side by side as one SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 220, 48, 16, 34, 40
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#777}.title{font-weight:600}"
    "path{fill:none;stroke:#2a7de1;stroke-width:2}circle{fill:#2a7de1}line{stroke:#999;stroke-width:1}"
)


class Plot(NamedTuple):
    """One line: y over x, both from 0."""

    title: str
    x_name: str
    points: Sequence[tuple[float, float]]


def svg(rows: Sequence[Sequence[Plot]]) -> str:
    """The picture: each row of plots beside each other, rows below each other."""
    width, height = WIDTH * max(len(row) for row in rows), HEIGHT * len(rows)
    drawn = [
        f'<g transform="translate({column * WIDTH},{line * HEIGHT})">{draw(plot)}</g>'
        for line, row in enumerate(rows)
        for column, plot in enumerate(row)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *drawn, "</svg>"]) + "\n"


def draw(plot: Plot) -> str:
    """One plot at the origin."""
    most_x, most_y = (rounded_up(max(point[axis] for point in plot.points)) for axis in (0, 1))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + point[0] / most_x * (right - LEFT), bottom - point[1] / most_y * (bottom - TOP)

    places = [place(point) for point in plot.points]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return "".join(
        [
            f'<line x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
            f'<line x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{bottom}"/>',
            f'<path d="{path}"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places),
            text(LEFT, TOP - 14, "start", plot.title, "title"),
            text((LEFT + right) / 2, HEIGHT - 6, "middle", plot.x_name),
            text(LEFT - 6, TOP + 4, "end", f"{most_y:g}"),
            text(LEFT - 6, bottom + 4, "end", "0"),
            *(text(place((x, 0))[0], bottom + 16, "middle", f"{x:g}") for x in marked([x for x, _ in plot.points])),
        ]
    )


def text(x: float, y: float, anchor: str, words: str, kind: str = "") -> str:
    """One piece of text."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def marked(values: Sequence[float]) -> list[float]:
    """The values whose labels have room: from the right, each at most three quarters of its neighbour."""
    kept: list[float] = []
    for value in sorted(values, reverse=True):
        if not kept or kept[-1] - value >= 0.08 * max(values):
            kept.append(value)
    return kept


def rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    step = 1e-6
    while True:
        for factor in (1, 2, 2.5, 5):
            if factor * step >= value:
                return factor * step
        step *= 10
