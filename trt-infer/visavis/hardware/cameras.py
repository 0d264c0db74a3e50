# SPDX-License-Identifier: Apache-2.0
"""Which cameras the kernel has, and in which formats and sizes they say they deliver."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# https://docs.kernel.org/userspace-api/media/v4l/v4l2.html
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES = 0x80685600, 0xC0405602, 0xC02C564A
CAPTURE, STREAMING, DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
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
    """Each /dev/video* that gives pictures; one that cannot be opened says why."""
    found = (_camera(path) for path in sorted(Path("/dev").glob("video*")))
    return [one for one in found if one]


def _camera(path: Path) -> dict[str, Any] | None:
    try:
        with _opened(path) as node:
            can = Capability()
            fcntl.ioctl(node, QUERYCAP, can)
            able = can.device if can.capabilities & DEVICE_CAPS else can.capabilities
            if not (able & CAPTURE and able & STREAMING):
                return None
            about = {"node": str(path), "driver": can.driver.decode(), "card": can.card.decode(errors="replace")}
            return {**about, "formats": _formats(node)}
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
