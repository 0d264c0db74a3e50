# SPDX-License-Identifier: Apache-2.0
"""Files of the kernel and the system, which another machine, a container or a sandbox may not have."""

from __future__ import annotations

import io
from pathlib import Path


def text_of(file: str | Path) -> str:
    """What it holds, without blanks and zero bytes around it; "" where it is not there or may not be read."""
    try:
        with Path(file).open("rb", buffering=0) as raw:
            return all_of(raw).decode(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def all_of(raw: io.FileIO) -> bytes:
    """What it holds; nothing where the kernel answers EAGAIN, as it does for a Jetson's thermal zone without power."""
    return raw.read() or b""
