# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from containers.build import TARGETS
from tests.bench.containers import PROGRAMS, SIZE_MOST_MB, Started, page
from tests.bench.page import Bar
from tests.repo.test_laws import ROOT

SIZES = [Bar(f"visavis-{name}", 100.4 + number, SIZE_MOST_MB, "MB") for number, name in enumerate(TARGETS)]
TIMES = {program.title: Started(1.234, 5.678) for program in PROGRAMS}


def test_the_page_tells_each_image_and_each_start() -> None:
    lines = page(SIZES, {"rival-flask": 312.6}, TIMES)
    for number, name in enumerate(TARGETS):
        assert f"| `visavis-{name}` | {100 + number} MB | ≤ 350 MB |" in lines
    assert "| `rival-flask`, with the same detector | 313 MB |  |" in lines
    for program in PROGRAMS:
        assert f"| {program.title} | 1.23 s | 5.68 s |" in lines


def test_the_page_in_the_repository_is_of_this_form_and_holds_its_bars() -> None:
    written = (ROOT / "docs/reference/containers.md").read_text()
    for name in TARGETS:
        (row,) = [line for line in written.splitlines() if line.startswith(f"| `visavis-{name}` | ")]
        assert int(row.split("|")[2].split()[0]) <= SIZE_MOST_MB
    assert all(f"| {program.title} | " in written for program in PROGRAMS)
