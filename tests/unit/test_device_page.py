# SPDX-License-Identifier: Apache-2.0
"""The page of what ran in virtual machines keeps the rows of tests that this run left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.device_page import Row, head_of, page_of, rows_of

CODE = "def test_pulled(): ...\ndef test_plugged(): ...\n"


def row(name: str, result: str = "passed", measured: str = "") -> Row:
    return Row("test_cameras.py", name, "Debian 12 amd64", result, 12.0, "2026-11-26, 4bc96d4", measured)


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    (tmp_path / "test_cameras.py").write_text(CODE)
    return tmp_path


def by_key(*rows: Row) -> dict[tuple[str, str], Row]:
    return {(one.file, one.name): one for one in rows}


def test_a_page_that_is_read_and_written_stays_as_it_is(tests: Path) -> None:
    rows = by_key(row("test_pulled[10-usb]", measured="noticed 0.9 s; back 1 s"), row("test_plugged", "failed"))
    page = page_of("# Head\n", rows, tests)
    assert rows_of(page) == rows
    assert page_of(head_of(page), rows_of(page), tests) == page
    assert "## test_cameras.py, 24 s" in page


def test_rows_of_tests_that_are_no_more_go(tests: Path) -> None:
    other = Row("test_gone.py", "test_pulled", "", "passed", 1.0, "", "")
    page = page_of("# Head\n", by_key(row("test_pulled"), row("test_renamed[1]"), other), tests)
    assert list(rows_of(page)) == [("test_cameras.py", "test_pulled")]


def test_what_a_test_says_does_not_break_the_table(tests: Path) -> None:
    page = page_of("# Head\n", by_key(row("test_pulled", measured="a | b")), tests)
    assert rows_of(page)["test_cameras.py", "test_pulled"].measured == "a / b"
