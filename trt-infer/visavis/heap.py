# SPDX-License-Identifier: Apache-2.0
"""Memory that was used and freed, and that the process still holds."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the kernel. Loading a model takes and frees much, which glibc keeps for more to come.

    Where the C library offers nothing for that, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
