# SPDX-License-Identifier: Apache-2.0
"""docs/design/resilience.md lists every fuzz target, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.run import targets

PAGE = Path(__file__).resolve().parents[2] / "docs" / "design" / "resilience.md"
LEAST = 12


def test_the_table_of_fuzz_targets_is_complete() -> None:
    listed = re.findall(r"`([\w/]+)` `(Fuzz\w+)`", PAGE.read_text())
    there = [(target.package.removeprefix("internal/"), target.name) for target in targets()]
    assert sorted(listed) == sorted(there)
    assert len(there) >= LEAST
