# SPDX-License-Identifier: Apache-2.0
"""Processor time and memory of a process with all that it started, from /proc."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench.process_figures import cpu_s


def tree_of(roots: list[int]) -> list[int]:
    """The processes themselves and all their descendants that live now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, left = [], list(roots)
    while left:
        pid = left.pop()
        found.append(pid)
        left += children.get(pid, [])
    return found


def tree_cpu_s(roots: list[int]) -> float:
    """utime + stime of the tree, seconds."""
    return sum(known(cpu_s, pid) for pid in tree_of(roots))


class Memory(NamedTuple):
    """Memory of a tree of processes, MB (10^6 bytes): what they share counts once.

    Attributes:
        pss: all of it.
        files: pages of programs and libraries in that, which the kernel takes back when memory is short.
    """

    pss: float
    files: float


def tree_memory(roots: list[int]) -> Memory:
    """Memory of the tree now."""
    pids = tree_of(roots)
    pss, files = (sum(known(partial(share_mb, kind), pid) for pid in pids) for kind in ("Pss", "Pss_File"))
    return Memory(pss, files)


def share_mb(kind: str, pid: int) -> float:
    """One line of a process's smaps_rollup, MB."""
    match = re.search(rf"^{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 / 1e6 if match else 0.0


def libraries(pids: list[int]) -> int:
    """Shared libraries that processes map."""
    return len({word for pid in pids for word in Path(f"/proc/{pid}/maps").read_text().split() if ".so" in word})


def known(figure: Callable[[int], float], pid: int) -> float:
    """A figure of a process; 0 for one that has ended meanwhile."""
    try:
        return figure(pid)
    except (OSError, IndexError):
        return 0.0


def command_of(pid: int) -> str:
    """The command line; empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
