# SPDX-License-Identifier: Apache-2.0
"""Reads a TOML file with any Python that the product runs on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """Decode a file; raises TOMLDecodeError, which is a ValueError."""
    return decode_toml(path.read_text(encoding="utf-8"))


def decode_toml(text: str) -> dict[str, Any]:
    """Decode what a file held; raises as above."""
    found: dict[str, Any] = tomllib.loads(text)
    return found
