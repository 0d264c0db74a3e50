# SPDX-License-Identifier: Apache-2.0
"""Files of the kernel and the system, which another machine, a container or a sandbox may not have."""

from __future__ import annotations

from pathlib import Path


def text_of(file: str | Path) -> str:
    """What it holds, without blanks and zero bytes around it; "" where it is not there or may not be read."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
