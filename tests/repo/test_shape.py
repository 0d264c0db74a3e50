# SPDX-License-Identifier: Apache-2.0
"""The bars for the shape of the code; the list of exceptions may only get shorter."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT, go_files, tracked

MEDIAN_LINES, P90_LINES, MOST_LINES, FILE_LINES = 10, 40, 60, 500


def python_lengths() -> dict[str, int]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in tracked("trt-infer/*.py", "contracts/*.py")
        if "_gen." not in path.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
    }


def go_lengths() -> dict[str, int]:
    lengths: dict[str, int] = {}
    for path in go_files():
        if "_gen." not in path.name:
            lengths.update(functions_of(path))
    return lengths


def functions_of(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    start, name = 0, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := re.match(r"func (?:\([^)]*\) )?(\w+)", line):
            start, name = number, f"{path.relative_to(ROOT)}:{match[1]}"
            if line.rstrip().endswith("}") and line.count("{") == line.count("}"):
                found[name] = 1
        elif line.startswith("}") and start:
            found[name] = number - start + 1
            start = 0
    return found


@pytest.mark.parametrize("lengths", [python_lengths(), go_lengths()], ids=["python", "go"])
def test_functions_are_short(lengths: dict[str, int]) -> None:
    ordered = sorted(lengths.values())
    assert statistics.median(ordered) <= MEDIAN_LINES
    assert ordered[int(len(ordered) * 0.9)] <= P90_LINES
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}


def test_files_hold_one_concept() -> None:
    sources = [path for path in tracked("*.py", "*.go") if "_gen." not in path.name and "test" not in path.name]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert not long
