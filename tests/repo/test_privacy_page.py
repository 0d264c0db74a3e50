# SPDX-License-Identifier: Apache-2.0
"""The page about privacy claims nothing without a test that is there."""

from __future__ import annotations

import re

from tests.repo.test_laws import ROOT

PAGE = ROOT / "docs/how-to/privacy.md"


def rows() -> list[list[str]]:
    """The rows of its tables, without heads and rules."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [row for line in lines if "shown by" not in (row := [cell.strip() for cell in line.strip("|").split("|")])]


def test_each_claim_names_what_shows_it() -> None:
    claims = rows()
    assert len(claims) >= 15
    bare = [row[0] for row in claims if "](" not in row[-1] and "the first line of this table" not in row[-1]]
    assert bare == []


def test_each_test_that_it_names_is_there() -> None:
    named = re.findall(r"\[(test_\w+|Test\w+)\]\(\.\./\.\./([^)]+)\)", PAGE.read_text())
    assert len(named) >= 15
    for name, path in named:
        assert re.search(rf"^(?:def|func) {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            f"{name} is not in {path}"
        )


def test_the_worker_that_looks_at_pictures_has_no_network() -> None:
    unit = (ROOT / "systemd/visavis-infer@.service").read_text().splitlines()
    assert {"IPAddressDeny=any", "RestrictAddressFamilies=AF_UNIX"} <= set(unit)


def test_pictures_are_kept_out_of_swap() -> None:
    for unit in ("visavis-capture", "visavis-infer@"):
        assert "MemorySwapMax=0" in (ROOT / f"systemd/{unit}.service").read_text().splitlines(), unit


def test_its_figures_are_the_defaults() -> None:
    defaults = (ROOT / "docs/reference/config.md").read_text()
    for key, value in (("thumbnails_mb", "0"), ("days", "30"), ("mb", "16")):
        assert re.search(rf"^\| `{key}` \| int \| `{value}` ", defaults, re.MULTILINE), key
