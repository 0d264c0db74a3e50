# SPDX-License-Identifier: Apache-2.0
"""The memory of a worker: in large pages while it is used, given back when it is freed."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

# What glibc reads before a program begins. A network walks through tens of megabytes for each frame: in pages of 2 MiB
# instead of 4 KiB the processor finds them sooner, and has not forgotten where everything else lies when it returns.
TUNABLES, HUGE_PAGES = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process whose large allocations ask for huge pages, unless it says something about them.

    Where the kernel has none to give, or the C library is another one, nothing changes.
    """
    said = environment.get(TUNABLES, "")
    if HUGE_PAGES in said:
        return dict(environment)
    return {**environment, TUNABLES: ":".join(filter(None, (said, f"{HUGE_PAGES}=1")))}


def give_back() -> None:
    """Return freed memory to the kernel. Loading a model takes and frees much, which glibc keeps for more to come.

    Where the C library offers nothing for that, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
