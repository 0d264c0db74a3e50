# SPDX-License-Identifier: Apache-2.0
"""Files of others, pinned by their sums: fetched from the first place that has them, and compared."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

BLOCK_BYTES = 1 << 20


class PinnedError(Exception):
    """A file cannot be had as it is pinned; the sentence says what to do."""


def content(places: Sequence[str], sha256: str) -> bytes:
    """The bytes of a file that lies at one of these addresses.

    Raises:
        PinnedError: none of them can be reached and gives this file.
    """
    reasons = []
    for place in places:
        try:
            found = read(place)
        except (OSError, HTTPException) as error:  # also an answer that is cut short
            reasons.append(f"{place}: {error}")
            continue
        if (sum_ := hashlib.sha256(found).hexdigest()) == sha256:
            return found
        reasons.append(f"{place} has the sum {sum_}, not {sha256}")
    raise PinnedError(f"this file cannot be had ({'; '.join(reasons)}): try later, or another network")


def sum_of(file: Path) -> str:
    """The SHA-256 of a file, which may be larger than memory; hexadecimal."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def read(place: str) -> bytes:
    with urllib.request.urlopen(place, timeout=60) as answer:  # noqa: S310 (a fixed scheme)
        return bytes(answer.read())
