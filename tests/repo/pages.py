# SPDX-License-Identifier: Apache-2.0
"""Blocks of the pages: what people copy from them, and what is drawn in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.repo.test_laws import ROOT


class Block(NamedTuple):
    """One fenced block: where it is, the word behind its fence ("" for none), the rest of that line, its text."""

    page: Path
    line: int
    kind: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """What lies at the root, the index, the tutorial and the how-tos."""
    docs = ROOT / "docs"
    fixed = [docs / "README.md", docs / "tutorial.md", docs / "troubleshooting.md"]
    return [*sorted(ROOT.glob("*.md")), *fixed, *sorted(docs.glob("how-to/*.md"))]


def blocks(*kinds: str, among: Iterable[Path] = ()) -> list[Block]:
    """Every block of these kinds in the pages that people copy from, or `among` others, in their order."""
    found = []
    for page in among or pages():
        text = page.read_text()
        for match in re.finditer(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[1], match[2], match[3]))
    return [block for block in found if block.kind in kinds]
