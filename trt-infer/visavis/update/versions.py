# SPDX-License-Identifier: Apache-2.0
"""Which of two versions is older, by RAUC's rule, so that we refuse with a clear sentence what it would refuse."""

from __future__ import annotations

import re

from visavis.errors import UpdateError

VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
# A field of digits sorts before any other; a version without a pre-release comes after all its pre-releases.
Field = tuple[int, int, str]
Key = tuple[tuple[int, ...], int, tuple[Field, ...]]


def older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`; what follows a `+` does not count.

    Raises:
        UpdateError: one of them is no version.
    """
    return key(version) < key(than)


def key(version: str) -> Key:
    """What to sort a version by: 1.2.3-rc.1 before 1.2.3 before 1.10.

    Raises:
        UpdateError: it is no version.
    """
    found = VERSION.fullmatch(version)
    if not found:
        raise UpdateError(f"{version!r} is not a version", "use MAJOR.MINOR.PATCH, such as 1.4.0 or 1.4.0-rc.1")
    core = tuple(int(part or 0) for part in found.groups()[:3])
    fields = tuple(_field(part) for part in (found[4] or "").split(".") if part)
    return core, 0 if fields else 1, fields


def _field(part: str) -> Field:
    return (0, int(part), "") if part.isdecimal() else (1, 0, part)
