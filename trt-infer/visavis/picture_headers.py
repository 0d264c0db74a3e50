# SPDX-License-Identifier: Apache-2.0
"""How large a picture is, told from its first bytes: before anything of it is decoded, and memory is taken for that."""

from __future__ import annotations

import struct

from visavis.errors import PictureError

JPEG = b"\xff\xd8"
OS2_HEADER_BYTES = 12


def header_size(content: bytes) -> tuple[int, int] | None:
    """Read width and height from a picture's header; None when it is no known picture."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return width, height
    if content[:2] == b"BM" and len(content) >= 26:
        kind = "<HH" if content[14:18] == struct.pack("<I", OS2_HEADER_BYTES) else "<ii"
        width, height = struct.unpack_from(kind, content, 18)
        return abs(width), abs(height)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP" and len(content) >= 30:
        return _webp_size(content)
    return _jpeg_size(content) if content[:2] == JPEG else None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """As the daemon walks it (lookAtJPEG): OpenCV must not find another frame header than this does."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        if marker in (0x00, 0xD9, 0xDA):  # none, the end, pixels
            return None
        at += _segment_bytes(marker, content, at)
    return None


def _segment_bytes(marker: int, content: bytes, at: int) -> int:
    if marker == 0xFF:  # fills
        return 1
    if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
        return 2
    return 2 + int.from_bytes(content[at + 2 : at + 4], "big")


def too_large(name: str, size_px: tuple[int, int]) -> PictureError:
    """For a picture of more than MOST_PIXELS."""
    return PictureError(f"{name} has {size_px[0]}x{size_px[1]} pixels", "the limit is 40 million")
