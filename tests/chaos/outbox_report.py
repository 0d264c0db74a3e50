# SPDX-License-Identifier: Apache-2.0
"""What `make chaos` does: outages and backlogs of full size; writes the figures into docs/design/outbox.md.

Exit 1 when a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chaos.bars import Bar, exit_code, told, write  # noqa: E402 (the root must be on the path first)
from tests.chaos.outbox_scenarios import backlog, full_disk, outage  # noqa: E402
from tests.chaos.test_outbox import build  # noqa: E402

PAGE = ROOT / "docs" / "design" / "outbox.md"
FULL_DISKS = {"0 bytes free": "size=1m", "0 inodes free": "size=8m,nr_inodes=60"}


def main() -> int:
    """Do it all, write the page, and say which bars hold."""
    with tempfile.TemporaryDirectory() as folder:
        bars = list(told(measured(Path(folder))))
    write(PAGE, bars, "mosquitto on loopback")
    return exit_code(bars)


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


if __name__ == "__main__":
    sys.exit(main())
