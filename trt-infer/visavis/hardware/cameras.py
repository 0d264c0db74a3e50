# SPDX-License-Identifier: Apache-2.0
"""Which cameras the kernel has, and in which formats and sizes they say they deliver.

Run as a program it prints one line of JSON for each node that it is given. Nodes are looked at that way, since nothing
ends a process that hangs in a driver.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from visavis.programs import end_or_leave

# https://docs.kernel.org/userspace-api/media/v4l/v4l2.html
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES = 0x80685600, 0xC0405602, 0xC02C564A
CAPTURE, STREAMING, DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
# Works only once a media controller has connected it, as libcamera does.
MEDIA_CONTROLLED = 0x20000000
# Parts of image processors that do not say so: of a Raspberry Pi, and of a Jetson, whose pictures are raw.
PROCESSORS = ("bcm2835-isp", "unicam", "rp1-cfe", "tegra-video")
USB = "uvcvideo"
LIMIT_S = 5.0
DISCRETE = 1
MOST = 64  # of formats, and of sizes: a driver that never ends its list is broken


class Capability(ctypes.Structure):
    """struct v4l2_capability."""

    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus", ctypes.c_char * 32),
        ("version", ctypes.c_uint32),
        ("capabilities", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 3),
    )


class FormatOf(ctypes.Structure):
    """struct v4l2_fmtdesc."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("description", ctypes.c_char * 32),
        ("pixels", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 4),
    )


class SizeOf(ctypes.Structure):
    """struct v4l2_frmsizeenum: width and height, or the steps of a range."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("pixels", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("numbers", ctypes.c_uint32 * 6),
        ("reserved", ctypes.c_uint32 * 2),
    )


def cameras() -> list[dict[str, Any]]:
    """Each /dev/video* that gives pictures, USB cameras first; one that cannot be opened, or hangs, says why.

    `part` tells of one that it is a part of an image processor: it is no camera for who reads it by itself.
    """
    found = [one for one in looked_at(sorted(Path("/dev").glob("video*"), key=_number)) if one]
    return sorted(found, key=lambda one: one.get("driver") != USB)


def _number(node: Path) -> tuple[int, str]:
    digits = re.search(r"\d+$", node.name)
    return int(digits[0]) if digits else -1, node.name


def looked_at(nodes: list[Path], limit_s: float = LIMIT_S) -> list[dict[str, Any] | None]:
    """What each says, None of those that give no pictures."""
    found: list[dict[str, Any] | None] = []
    while len(found) < len(nodes):
        left = nodes[len(found) :]
        found += _answers(left, limit_s)
        if len(found) < len(nodes):
            found.append({"node": str(nodes[len(found)]), "error": f"its driver said nothing for {limit_s:g} s"})
    return found


def _answers(nodes: list[Path], limit_s: float) -> list[dict[str, Any] | None]:
    """Those of all nodes, or of those before the one that hangs; its process is left behind."""
    command = [sys.executable, "-m", __name__, *map(str, nodes)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0, cwd="/")
    found: list[dict[str, Any] | None] = []
    with cast(IO[bytes], process.stdout) as out:
        while len(found) < len(nodes) and select.select([out], [], [], limit_s)[0] and (line := out.readline()):
            found.append(json.loads(line))
    end_or_leave(process)
    return found


def _camera(path: Path) -> dict[str, Any] | None:
    try:
        with _opened(path) as node:
            can = Capability()
            fcntl.ioctl(node, QUERYCAP, can)
            able = can.device if can.capabilities & DEVICE_CAPS else can.capabilities
            if not (able & CAPTURE and able & STREAMING):
                return None
            driver, card = (name.decode(errors="replace") for name in (can.driver, can.card))
            part = bool(able & MEDIA_CONTROLLED) or driver.startswith(PROCESSORS)
            return {"node": str(path), "driver": driver, "card": card, "part": part, "formats": _formats(node)}
    except OSError as error:
        return {"node": str(path), "error": error.strerror}


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield node
    finally:
        os.close(node)


def _formats(node: int) -> dict[str, list[str]]:
    """Sizes by format, `{"MJPG": ["640x480", ...]}`."""
    return {_letters(one.pixels): _sizes(node, one.pixels) for one in _listed(node, ENUM_FMT, FormatOf, type=1)}


def _sizes(node: int, pixels: int) -> list[str]:
    sizes = []
    for one in _listed(node, ENUM_FRAMESIZES, SizeOf, pixels=pixels):
        if one.type != DISCRETE:
            return ["{0}x{3} to {1}x{4}".format(*one.numbers)]
        sizes.append(f"{one.numbers[0]}x{one.numbers[1]}")
    return sizes


def _listed(node: int, request: int, kind: Any, **asked: int) -> Iterator[Any]:
    for index in range(MOST):
        one = kind(index=index, **asked)
        try:
            fcntl.ioctl(node, request, one)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return  # the end of the list, or a driver without one
            raise
        yield one


def _letters(pixels: int) -> str:
    return pixels.to_bytes(4, "little").decode("ascii", errors="replace").strip()


if __name__ == "__main__":
    for node in sys.argv[1:]:
        print(json.dumps(_camera(Path(node))), flush=True)
