# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measures the bars in one run and writes docs/reference/performance.md.

Exit 1 when a bar is missed; its name is the last thing printed. Names of measurements as arguments run only those and
write nothing.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.page import Section, page  # noqa: E402 (the root must be on the path first)

PAGE = ROOT / "docs" / "reference" / "performance.md"
# In the order of the page; each is a module beside this file.
MEASUREMENTS = (
    "handoff",
    "bookkeeping",
    "overhead",
    "prepared",
    "huge_pages",
    "quantized",
    "jpeg",
    "frame_path",
    "cold_start",
    "restart",
    "memory",
    "flat",
    "viewers",
    "growth",
    "two_workers",
)


def main(names: list[str]) -> int:
    """Measure, write the page, and say which bars are missed."""
    sections = [measured(name) for name in names or MEASUREMENTS]
    text = page(sections)
    print(text)
    if not names:
        PAGE.write_text(text)
    return verdict(sections)


def verdict(sections: list[Section]) -> int:
    """Name the bars that are missed; the exit code."""
    missed = [bar for section in sections for bar in section.bars if not bar.holds]
    for bar in missed:
        print(f"bench: missed {bar.row()}", file=sys.stderr)
    return 1 if missed else 0


def measured(name: str) -> Section:
    """Run one measurement and say how long it took."""
    begin_s = time.monotonic()
    section: Section = importlib.import_module(f"tests.bench.{name}").measure()
    print(f"bench: {name} took {time.monotonic() - begin_s:.0f} s", file=sys.stderr)
    return section


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
