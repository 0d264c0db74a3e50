# SPDX-License-Identifier: Apache-2.0
"""A page by error text helps only while the texts are those that the programs say."""

from __future__ import annotations

import os
import re

import pytest

from tests.repo.test_laws import ROOT, tracked

PAGE = ROOT / "docs" / "troubleshooting.md"
# Said by the operating system, by systemd, by the MQTT libraries and by Go's certificates, not by us.
NOT_OURS = {os.strerror(number) for number in (2, 13, 28, 30)} | {
    "status=78/CONFIG",
    "not Authorized",
    "Not authorized",
    "signed by unknown authority",
    "certificate has expired or is not yet valid",
}


def texts() -> list[str]:
    """The first column of every table."""
    return re.findall(r"^\| `([^`]+)`", PAGE.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def sources() -> list[str]:
    """What we write, each string literal that goes over two lines in one."""
    files = [path for path in tracked("trt-infer/*.py", "go-capture/*.go") if not path.name.endswith("_test.go")]
    return [re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in files]


def pieces(text: str) -> list[str]:
    """What of a text is fixed: between the dots, and without what others say."""
    for other in NOT_OURS:
        text = text.replace(other, "...")
    parts = (part.strip(" ,:;") for part in re.split(r"\.\.\.|: ", text))
    return [part for part in parts if part]


@pytest.mark.parametrize("text", texts())
def test_every_text_is_said_by_some_source(text: str, sources: list[str]) -> None:
    for piece in pieces(text):
        assert any(piece in source for source in sources), f"no source says {piece!r}"


def test_no_text_is_listed_twice() -> None:
    found = texts()
    assert len(found) == len(set(found))
    assert len(found) > 30, "the tables are not where this test looks"
