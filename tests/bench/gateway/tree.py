# SPDX-License-Identifier: Apache-2.0
"""Processor time and memory of a process with all that it started, from /proc."""

from __future__ import annotations

import re
from pathlib import Path

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


def tree_pss_mb(roots: list[int]) -> float:
    """Proportional set size of the tree, MB (10^6 bytes): what processes share counts once."""
    return sum(known(pss_mb, pid) for pid in tree_of(roots))


def pss_mb(pid: int) -> float:
    """Pss of one process, MB."""
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 / 1e6 if match else 0.0


def known(figure: object, pid: int) -> float:
    """A figure of a process; 0 for one that has ended meanwhile."""
    try:
        return float(figure(pid))  # type: ignore[operator]
    except (OSError, IndexError):
        return 0.0


def command_of(pid: int) -> str:
    """The command line; empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
