# SPDX-License-Identifier: Apache-2.0
"""What a measurement hands over, and the page made of it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from typing import NamedTuple

from visavis.system_files import text_of


class Bar(NamedTuple):
    """A measured value and the limit that it must keep; `most` tells on which side."""

    what: str
    value: float
    limit: float
    unit: str = ""
    most: bool = True

    @property
    def holds(self) -> bool:
        """Whether the value is on the right side."""
        return self.value <= self.limit if self.most else self.value >= self.limit

    def row(self) -> str:
        """One line of the table of bars."""
        unit = f" {self.unit}" if self.unit else ""
        wanted = f"{'≤' if self.most else '≥'} {self.limit:g}{unit}"
        return f"| {self.what} | {self.value:.3g}{unit} | {wanted} | {'yes' if self.holds else 'NO'} |"


class Section(NamedTuple):
    """One measurement: its part of the page and its bars."""

    title: str
    lines: Sequence[str]
    bars: Sequence[Bar]


def page(sections: Sequence[Section]) -> str:
    """The whole page, Markdown."""
    bars = [bar for section in sections for bar in section.bars]
    return "\n".join([*head(), *bars_table(bars), *parts(sections)]) + "\n"


def parts(sections: Sequence[Section]) -> list[str]:
    """Their text, each below its title."""
    lines: list[str] = []
    for section in sections:
        if section.lines:
            lines += ["", f"## {section.title}", "", *section.lines]
    return lines


def machine_here() -> str:
    """What a figure depends on first: a bar may hold on one processor and not on another."""
    told = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text_of("/proc/cpuinfo"), re.MULTILINE))
    name, family, model = (told.get(key, "unknown") for key in ("model name", "cpu family", "model"))
    kind = f"{platform.machine()}, {name}, family {family}, model {model}"
    return f"{kind}, {os.cpu_count()} processors, Linux {platform.release()}"


def head() -> list[str]:
    """What was measured where, and on how busy a machine."""
    return [
        "# Performance",
        "",
        "The last run of `make bench`, written by it. Machines are noisy and this one is shared: compare only figures",
        "of one run.",
        "",
        f"Machine: {machine_here()}, Python {platform.python_version()}, "
        f"load average at the end {os.getloadavg()[0]:.1f}.",
        "",
    ]


def bars_table(bars: Sequence[Bar]) -> list[str]:
    """Every bar with its value."""
    return ["## Bars", "", "| what | measured | bar | holds |", "|---|---|---|---|", *(bar.row() for bar in bars)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [cells(head), "|" + "---|" * len(head), *(cells(row) for row in rows)]


def cells(words: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(words) + " |"
