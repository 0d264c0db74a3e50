# SPDX-License-Identifier: Apache-2.0
"""Which version is older, by the rule that RAUC's service has too."""

from __future__ import annotations

import pytest
from visavis.errors import UpdateError
from visavis.update.versions import key, older


def test_versions_come_in_the_order_of_semver() -> None:
    ordered = [
        "0.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-rc.2",
        "1.0.0-rc.11",
        "1",
        "1.2",
        "1.10.0",
    ]
    assert sorted(reversed(ordered), key=key) == ordered


def test_the_same_version_is_not_older_whatever_it_was_built_from() -> None:
    assert not older("1.2.0+a", "1.2+b")
    assert not older("1.2+b", "1.2.0+a")
    assert older("1.2.0-rc.1", "1.2.0")


@pytest.mark.parametrize("text", ["", "next", "1.2.3.4", "v1.0", "1.0 ", "1..2", "-1"])
def test_what_is_no_version_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UpdateError, match=r"is not a version: use MAJOR.MINOR.PATCH"):
        key(text)
