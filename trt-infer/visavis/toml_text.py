# SPDX-License-Identifier: Apache-2.0
"""Text as TOML writes it."""

from __future__ import annotations

import json


def quoted(text: str) -> str:
    """A basic string. JSON's is one too, as long as no character is written as two halves or, DEL, as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
