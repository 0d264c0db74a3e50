# SPDX-License-Identifier: Apache-2.0
"""Figures with what they must be, and the pages that show them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- figures: written by make chaos -->", "<!-- end of figures -->"


class Bar(NamedTuple):
    """One figure, what it must be, and whether it is."""

    what: str
    value: str
    bar: str
    holds: bool


def write(page: Path, bars: list[Bar], place: str) -> None:
    """Put the table between the marks of the page; `place` says what ran beside what."""
    lines = [BEGIN, f"{os.cpu_count()} cores, {platform.machine()}, shared with other work; {place}.", ""]
    lines += [
        "| what | measured | bar |",
        "|---|---|---|",
        *(f"| {bar.what} | {bar.value} | {bar.bar} |" for bar in bars),
    ]
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + "\n".join([*lines, END]) + rest.split(END)[1])


def told(bars: Iterable[Bar]) -> Iterator[Bar]:
    """Print each bar as soon as it is measured."""
    for bar in bars:
        print(f"{'ok  ' if bar.holds else 'MISS'} {bar.what}: {bar.value} ({bar.bar})", flush=True)
        yield bar


def exit_code(bars: list[Bar]) -> int:
    """1 when a bar is missed."""
    return 0 if all(bar.holds for bar in bars) else 1
