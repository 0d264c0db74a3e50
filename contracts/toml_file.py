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
    return tomllib.loads(path.read_text(encoding="utf-8"))
