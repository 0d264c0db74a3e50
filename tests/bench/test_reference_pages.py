# SPDX-License-Identifier: Apache-2.0
"""The committed pages are what their programs write today: the same parts and the same bars."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.bench.gateway.bars import workers_bars
from tests.bench.gateway.figures import FULL
from tests.bench.gateway.live import VISAVIS, LiveRun
from tests.bench.gateway.page import Found, sections
from tests.bench.gateway.workers import INT8, WorkersRun
from tests.bench.run import MEASUREMENTS
from tests.bench.test_gateway_page import LEAST, LIVE, SERVERS, WORKERS

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "docs" / "reference"


def headings(page: str) -> list[str]:
    text = (REFERENCE / page).read_text()
    return [title for title in re.findall(r"^## (.*)$", text, re.MULTILINE) if title != "Bars"]


def told_bars(page: str) -> list[str]:
    """The first column of the table of bars."""
    table = (REFERENCE / page).read_text().partition("## Bars\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (?!what )(.+?) \| [^|]+ \| [^|]+ \| (?:yes|NO) \|$", table, re.MULTILINE)


@pytest.fixture
def as_the_page(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, WorkersRun]:
    """The workers of a machine like that of the page: whether INT8 was kept there."""
    monkeypatch.setattr("tests.bench.gateway.bars.has_dot_products", lambda: True)
    kept = "pictures a second, INT8 / fp32" in told_bars("gateway.md")
    return WORKERS if kept else {name: run for name, run in WORKERS.items() if name != INT8}


def test_the_page_of_the_gateway_has_the_parts_and_bars_of_its_program(as_the_page: Mapping[str, WorkersRun]) -> None:
    crowds = [LiveRun(viewers, 30, 30, 0, 1, 0.1, 50, 200) for viewers in FULL.viewers]
    found = Found(SERVERS, LEAST, LIVE | {VISAVIS: crowds}, {}, as_the_page, 250, 1)
    assert headings("gateway.md") == [one.title for one in sections(found)]
    assert told_bars("gateway.md") == [bar.what for bar in found.bars]


def made_with(name: str) -> Iterator[tuple[str, bool]]:
    """A pattern of the first argument of each such call in the measurements, and whether it is always the same."""
    for module in MEASUREMENTS:
        for node in ast.walk(ast.parse((HERE / f"{module}.py").read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield pattern_of(node.args[0])


def pattern_of(argument: ast.expr) -> tuple[str, bool]:
    if isinstance(argument, ast.Constant):
        return re.escape(str(argument.value)), True
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in parts), False


def test_the_page_of_the_benchmarks_has_the_parts_and_bars_of_its_programs() -> None:
    def strange(told: list[str], name: str) -> list[str]:
        made = [pattern for pattern, _ in made_with(name)]
        return [one for one in told if not any(re.fullmatch(pattern, one) for pattern in made)]

    told = told_bars("performance.md")
    assert strange(headings("performance.md"), "Section") == []
    assert strange(told, "Bar") == []
    always = [pattern for pattern, is_always in made_with("Bar") if is_always]
    assert always
    assert [pattern for pattern in always if not any(re.fullmatch(pattern, one) for one in told)] == []


@pytest.mark.parametrize(("dot_products", "least"), [(True, 1.7), (False, 1.1)])
def test_int8_is_to_gain_what_the_processor_can(
    dot_products: bool, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.gateway.bars.has_dot_products", lambda: dot_products)
    (bar,) = (bar for bar in workers_bars(WORKERS) if "INT8 / fp32" in bar.what)
    assert bar.limit == least
