# SPDX-License-Identifier: Apache-2.0
"""What `make chaos` does: outages and backlogs of full size; writes the figures into docs/design/outbox.md.

Exit 1 when a bar is missed.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chaos.outbox_scenarios import backlog, full_disk, outage  # noqa: E402 (the root must be on the path first)
from tests.chaos.test_outbox import build  # noqa: E402

PAGE = ROOT / "docs" / "design" / "outbox.md"
BEGIN, END = "<!-- figures: written by make chaos -->", "<!-- end of figures -->"
FULL_DISKS = {"0 bytes free": "size=1m", "0 inodes free": "size=8m,nr_inodes=60"}


class Bar(NamedTuple):
    """One figure, what it must be, and whether it is."""

    what: str
    value: str
    bar: str
    holds: bool


def main() -> int:
    """Do it all, write the page, and say which bars hold."""
    with tempfile.TemporaryDirectory() as folder:
        bars = list(measured(Path(folder)))
    write(bars)
    for bar in bars:
        print(f"{'ok  ' if bar.holds else 'MISS'} {bar.what}: {bar.value} ({bar.bar})")
    return 0 if all(bar.holds for bar in bars) else 1


def measured(folder: Path) -> Iterator[Bar]:
    """The bars, one scenario after another."""
    program = build(folder)
    yield from outage_bars(program, made(folder / "outage"))
    yield from backlog_bars(program, made(folder / "backlog"))
    for name, options in FULL_DISKS.items():
        yield from full_disk_bars(program, made(folder / name.replace(" ", "-")), name, options)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def outage_bars(program: Path, folder: Path) -> Iterator[Bar]:
    found = outage(program, folder, 18_000)
    head = f"{found.events:,} events, broker away, {found.kills} × `kill -9`"
    fine = found.lost == 0 and found.left_at_kill > 0
    yield Bar(f"{head}, the last with {found.left_at_kill:,} to deliver: lost", f"{found.lost}", "0", fine)
    share = f"{found.duplicates} ({found.duplicates_percent:.2f} %)"
    yield Bar("the same: duplicates, all with the same id", share, "≤ 1 %", found.duplicates_percent <= 1)
    yield Bar("the same: out of order within a camera", f"{found.out_of_order}", "0", found.out_of_order == 0)


def backlog_bars(program: Path, folder: Path) -> Iterator[Bar]:
    found = backlog(program, folder, 100_000)
    head = f"backlog of {found.events:,} ({found.megabytes:.0f} MB)"
    yield Bar(f"{head}: drained", f"{found.drained_per_s:,.0f} /s", "≥ 1,000 /s", found.drained_per_s >= 1_000)
    wrong = found.lost + found.duplicates + found.out_of_order
    yield Bar("the same: lost, duplicated or out of order", f"{wrong}", "0", wrong == 0)
    yield Bar("the same: opened by the next process in", f"{found.reopen_s:.2f} s", "≤ 1 s", found.reopen_s <= 1)


def full_disk_bars(program: Path, folder: Path, name: str, options: str) -> Iterator[Bar]:
    found = full_disk(program, folder, options)
    missing = found.events - found.arrived - found.dropped
    head = f"{name}, broker away, {found.events:,} events into 512 KiB"
    yield Bar(f"{head}: neither delivered nor counted as dropped", f"{missing}", "0", missing == 0)
    yield Bar(
        "the same: longest `Append`", f"{found.slowest_append_ms:.1f} ms", "≤ 50 ms", found.slowest_append_ms <= 50
    )
    yield Bar(
        "the same: writes again after space returns", f"{found.recovered_s:.1f} s", "≤ 10 s", found.recovered_s <= 10
    )


def write(bars: list[Bar]) -> None:
    """Put the table between the marks of the page."""
    lines = [BEGIN, f"{os.cpu_count()} cores, {platform.machine()}, shared with other work; mosquitto on loopback.", ""]
    lines += [
        "| what | measured | bar |",
        "|---|---|---|",
        *(f"| {bar.what} | {bar.value} | {bar.bar} |" for bar in bars),
    ]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + "\n".join([*lines, END]) + rest.split(END)[1])


if __name__ == "__main__":
    sys.exit(main())
