# SPDX-License-Identifier: Apache-2.0
"""What other programs say."""

from __future__ import annotations


def last_line(text: str) -> str:
    """What a program said last."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
