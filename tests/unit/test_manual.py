# SPDX-License-Identifier: Apache-2.0
"""visavis(1), as the package brings it."""

from __future__ import annotations

import re

import pytest

from deb import manual


@pytest.fixture(scope="module")
def page() -> str:
    return manual.command_line("2026-01-01", "1.2.3")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("VISAVIS DETECT", "--anonymize"),
        ("VISAVIS AUTH ADD", "--no-camera"),
        ("VISAVIS MODEL QUANTIZE", "--loss"),
        ("VISAVIS ENGINE BUILD", "--workspace-mib"),
        ("VISAVIS UPDATE BUNDLE", "--board"),
    ],
)
def test_every_option_of_every_action_is_told(section: str, says: str, page: str) -> None:
    sections = dict(re.findall(r"^\.SH (.+)\n((?:(?!\.SH ).*\n)*)", page, re.MULTILINE))
    assert says in sections[section].replace("\\-", "-")
