# SPDX-License-Identifier: Apache-2.0
"""docs/reference/device.md: which test ran where, when, for how long, and what it measured.

Each run writes the rows of the tests that it ran and leaves the others; rows of tests that are no more go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COLUMNS = "| test | machine | result | s | when, commit | measured |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Row:
    """One test: `name` with its parameters, `measured` in words."""

    file: str
    name: str
    machine: str
    result: str
    seconds: float
    when: str
    measured: str

    @property
    def function(self) -> str:
        """The test's name without its parameters."""
        return self.name.partition("[")[0]

    def __str__(self) -> str:
        cells = (f"`{self.name}`", self.machine, self.result, f"{self.seconds:.0f}", self.when, self.measured)
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<rest>(?:[^|\n]*\|){5})$", re.MULTILINE)


def head_of(page: str) -> str:
    """What people wrote, in front of the first file of tests."""
    return page.partition("## test_")[0]


def rows_of(page: str) -> dict[tuple[str, str], Row]:
    """What a page holds, by file and test."""
    found = {}
    for section in re.split(r"^## (?=test_)", page, flags=re.MULTILINE)[1:]:
        file = section.split("\n", 1)[0].split(",")[0]
        for match in ROW.finditer(section):
            machine, result, seconds, when, measured = (cell.strip() for cell in match["rest"].split("|")[:5])
            found[file, match["name"]] = Row(file, match["name"], machine, result, float(seconds), when, measured)
    return found


def page_of(head: str, rows: dict[tuple[str, str], Row], folder: Path = FOLDER) -> str:
    """The page with these rows behind its head, without those whose tests are not in `folder` any more."""
    parts = [head.rstrip() + "\n"]
    for file in sorted({file for file, _ in rows if (folder / file).exists()}):
        code = (folder / file).read_text()
        mine = [row for key, row in sorted(rows.items()) if key[0] == file and f"def {row.name.split('[')[0]}(" in code]
        parts.append(
            f"## {file}, {sum(row.seconds for row in mine):.0f} s\n\n{COLUMNS}" + "".join(f"{row}\n" for row in mine)
        )
    return "\n".join(parts)
