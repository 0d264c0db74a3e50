# SPDX-License-Identifier: Apache-2.0
"""How much memory is to be had, and whether a network that takes any size may take one: without, the kernel ends us."""

from __future__ import annotations

import math
from pathlib import Path

from visavis.errors import PictureError
from visavis.system_files import text_of

# CenterFace with ONNX Runtime, one picture: 184 from 640x640 to 2048x2048, 189 at 8192x8192. What another model takes
# is known once it is prepared.
BYTES_PER_PIXEL = 190
MULTIPLE = 32


def check_room(what: str, width: int, height: int, bytes_per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raise when the network's run at a size would take more memory than is to be had.

    Nothing is to be had of the run before: a network that takes any size gives its memory back after each.

    Args:
        what: the argument or picture that wants the size, for the sentence.
        width, height: of the network's input, pixels.
        bytes_per_pixel: what this network takes.

    Raises:
        PictureError: there is not enough; it names the largest size that fits.
    """
    takes_bytes, has_bytes = width * height * bytes_per_pixel, free()
    if takes_bytes > has_bytes:
        side = _side(has_bytes, bytes_per_pixel)
        raise PictureError(
            f"{what} takes about {takes_bytes >> 20} MiB of memory, {has_bytes >> 20} MiB are available",
            f"at most {side}x{side} fits, by --input, or of a device's clients by gateway.full_side"
            if side
            else "free some memory",
        )


def side_with_room(most: int) -> int:
    """The largest side, pixels, of a square for which there is memory; `most` where there is more, or none at all."""
    return min(most, _side(free(), BYTES_PER_PIXEL)) or most


def _side(has_bytes: int, bytes_per_pixel: int) -> int:
    return math.isqrt(has_bytes // bytes_per_pixel) // MULTIPLE * MULTIPLE


def free(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take: what the machine has, or less where a container or a unit is limited.

    Where neither is told, as without /proc, everything is free.
    """
    machine = meminfo_bytes("MemAvailable", proc)
    return min([*_left_in_groups(proc, groups), 1 << 62 if machine is None else machine])


def meminfo_bytes(name: str, proc: Path = Path("/proc")) -> int | None:
    """What the kernel says of the machine's memory, "MemTotal" for example; None where it says nothing of that."""
    lines = text_of(proc / "meminfo").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _left_in_groups(proc: Path, groups: Path) -> list[int]:
    own = next((line[4:] for line in text_of(proc / "self" / "cgroup").splitlines() if line.startswith("0::/")), "")
    left = []
    for path in (groups / own, *(groups / own).parents):
        if not path.is_relative_to(groups):
            break
        limit, used = text_of(path / "memory.max"), text_of(path / "memory.current")
        if limit and used and limit != "max":
            left.append(max(0, int(limit) - int(used) + _reclaimable(text_of(path / "memory.stat"))))
    return left


def _reclaimable(stat: str) -> int:
    """Bytes of files that the kernel keeps while nobody wants the memory; half of those in use it may want to keep."""
    held = dict(line.split() for line in stat.splitlines())
    return int(held.get("inactive_file", 0)) + int(held.get("active_file", 0)) // 2
