# SPDX-License-Identifier: Apache-2.0
"""Pictures that are not what they seem, made when asked for: each with the status that it must get.

Most are a few hundred bytes and announce, or unpack to, much more.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
RGB, PALETTE = 2, 3


@dataclass(frozen=True)
class Bomb:
    """A body, what its Content-Type says, further headers, and the one status that is right."""

    content_type: str
    body: bytes
    status: int
    headers: dict[str, str] = field(default_factory=dict)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, data: bytes, *extra: bytes, interlaced: int = 0, colour: int = RGB) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced))
    return PNG_MAGIC + head + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def black(width: int, height: int) -> bytes:
    """The compressed rows of a black picture: a thousandth of its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    return b"".join([packer.compress(row) for _ in range(height)] + [packer.flush()])


def photo(kind: str, *options: int, width: int = 64, height: int = 48) -> bytes:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = np.stack([x * 255 // width, y * 255 // height, (x * y) % 251], axis=2).astype(np.uint8)
    return cv2.imencode(kind, picture, list(options))[1].tobytes()


def announced(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """The JPEG with a segment behind its first two bytes."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def four_components(jpeg: bytes) -> bytes:
    """The JPEG with a fourth component in its frame header, as CMYK has."""
    at = jpeg.index(b"\xff\xc0")
    frame = jpeg[at + 4 : at + 9] + b"\x04" + jpeg[at + 10 : at + 19] + b"\x04\x11\x00"
    return jpeg[:at] + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + jpeg[at + 19 :]


def exif_in_circles() -> bytes:
    """Folders of EXIF that point at each other, the second one also at itself."""
    entry = struct.pack(">HHII", 0x8769, 4, 1, 8)  # the folder of EXIF begins at 8, which is this one
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 1) + entry + struct.pack(">I", 8)


def cut(picture: bytes, status: int = 422) -> dict[str, tuple[bytes, int]]:
    """A picture that ends too early, at many places."""
    return {f"its first {length} bytes": (picture[:length], status) for length in (1, 4, 12, 30, len(picture) - 1)}


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    inside = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def pngs() -> dict[str, Bomb]:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(7_900_000), 9))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(7_900_000), 9))
    good = png(64, 48, black(64, 48))
    deep = cv2.imencode(".png", np.full((48, 64, 3), 40_000, np.uint16))[1].tobytes()
    cases = {
        "30000 x 30000": (png(30_000, 30_000, b""), 413),
        "12000 x 12000, all there": (png(12_000, 12_000, black(12_000, 12_000)), 413),
        "2147483647 x 1": (png(2**31 - 1, 1, b""), 413),
        "4294967295 wide": (png(2**32 - 1, 1, b""), 422),
        "without width": (png(0, 100, b""), 422),
        "interlaced, 36 MP": (png(12_000, 3_000, b"", interlaced=1), 413),
        "interlaced, without rows": (png(4_000, 4_000, zlib.compress(b"\0"), interlaced=1), 422),
        "16 MP, all there": (png(4_000, 4_000, black(4_000, 4_000)), 200),
        "a thread": (png(10_000, 10, b""), 422),
        "thirty texts of 8 MB": (png(64, 48, black(64, 48), *[text] * 30), 200),
        "a profile of 8 MB": (png(64, 48, black(64, 48), profile), 200),
        "cut off": (good[:-30], 422),
        "without end": (good[:-12], 422),
        "a chunk of 4 GB": (good[:33] + b"\xff\xff\xff\xffIDAT" + bytes(20), 422),
        "a broken checksum": (good[:20] + b"\x01" + good[21:], 422),
        "a palette that is not there": (png(64, 48, black(64, 48), colour=PALETTE), 422),
        "followed by an archive": (good + b"PK\x03\x04" + bytes(1000), 200),
        "16 bits a sample": (deep, 200),
        "16 bits a sample, 40 MP": (deep[:16] + struct.pack(">II", 6_300, 6_300) + deep[24:], 422),
    } | cut(good)
    return {f"png: {name}": Bomb("image/png", body, status) for name, (body, status) in cases.items()}


def jpegs() -> dict[str, Bomb]:
    good = photo(".jpg")
    layered = photo(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = good.index(b"\xff\xda")
    # One component in the first scan of three: a decoder holds the whole picture until the others come.
    split = good[:scan] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + good[scan + 14 :]
    cases = {
        "65535 x 65535": (announced(good, 65_535, 65_535), 413),
        "65500 x 600": (announced(good, 65_500, 600), 413),
        "a thread": (announced(good, 16_000, 16), 422),
        "32 MP of which nothing is there": (announced(good, 16_000, 2_000), 422),
        "32 MP, all there": (cv2.imencode(".jpg", np.zeros((2_000, 16_000, 3), np.uint8))[1].tobytes(), 200),
        "progressive, 36 MP": (announced(layered, 6_000, 6_000), 413),
        "in several scans, 36 MP": (announced(split, 6_000, 6_000), 413),
        "two hundred scans": (good[:-2] + b"\xff\xda\x00\x02" * 200 + good[-2:], 422),
        "followed by a film": (good + b"\xff\xda" * 4_000_000, 200),
        "half, with an end": (good[: (scan + len(good)) // 2] + good[-2:], 422),
        "without its end": (good[:-2], 422),
        "half": (good[: len(good) // 2], 422),
        "only the header": (good[:scan], 422),
        "without height": (announced(good, 64, 0), 422),
        "12 bits a sample": (good[: good.index(b"\xff\xc0") + 4] + b"\x0c" + good[good.index(b"\xff\xc0") + 5 :], 422),
        "EXIF that points outside": (segment(good, 0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"), 200),
        "EXIF of 65535 entries": (segment(good, 0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60)), 200),
        "followed by a page": (good + b"<script>alert(1)</script>", 200),
        "behind a page": (b"<html>" + good, 422),
        "behind a GIF's header": (b"GIF89a" + good, 422),
        "a PNG": (png(64, 48, black(64, 48)), 422),
        "a BMP": (photo(".bmp"), 422),
        "a TIFF": (photo(".tiff"), 422),
        "nothing": (b"", 422),
        "17 MiB": (good + bytes(17 << 20), 413),
        "CMYK, damaged": (four_components(good), 422),
        "EXIF that goes in circles": (segment(good, 0xE1, exif_in_circles()), 200),
        "a profile of 6 MB": (
            good[:2] + segment(good, 0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000))[2:65_020] * 96 + good[2:],
            200,
        ),
        "a hundred comments": (good[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 100 + good[2:], 200),
        "a segment longer than the file": (good[:2] + b"\xff\xfe\xff\xff" + good[2:], 422),
    } | cut(good)
    return {f"jpeg: {name}": Bomb("image/jpeg", body, status) for name, (body, status) in cases.items()}


def webps() -> dict[str, Bomb]:
    lossy = photo(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)
    frame = lossy[20:]
    huge = frame[:6] + struct.pack("<HH", 16_383, 16_383) + frame[10:]
    large = b"\x2f" + struct.pack("<I", 2_999 | 2_999 << 14) + bytes(40)
    cases = {
        "16383 x 16383": (webp((b"VP8 ", huge)), 413),
        "a canvas smaller than its picture": (webp(canvas(64, 40), (b"VP8 ", frame)), 422),
        "a canvas of 16 M x 16 M": (webp(canvas(2**24, 2**24), (b"VP8 ", frame)), 413),
        "without loss, 9 MP": (webp((b"VP8L", large)), 413),
        "moving": (webp(canvas(64, 48, 2), (b"ANIM", bytes(6)), (b"ANMF", bytes(40))), 422),
        "cut off": (lossy[: len(lossy) // 2], 422),
        "a chunk beyond its end": (lossy[:16] + b"\xff\xff\xff\x7f" + lossy[20:], 422),
        "a thousand frames": (
            webp(canvas(64, 48, 2), (b"ANIM", bytes(6)), *[(b"ANMF", bytes(16) + lossy[12:])] * 1000),
            422,
        ),
    } | cut(lossy)
    return {f"webp: {name}": Bomb("image/webp", body, status) for name, (body, status) in cases.items()}


def others() -> dict[str, Bomb]:
    good = photo(".jpg")
    inside = base64.b64encode(png(30_000, 30_000, b"")).decode()
    return {
        "a GIF": Bomb("image/gif", b"GIF89a" + bytes(100), 415),
        "a BMP": Bomb("image/bmp", photo(".bmp"), 415),
        "a TIFF": Bomb("image/tiff", photo(".tiff"), 415),
        "an AVIF": Bomb("image/avif", b"\0\0\0\x1cftypavif" + bytes(100), 415),
        "of no type": Bomb("", good, 415),
        "an SVG": Bomb("image/svg+xml", b"<svg/>", 415),
        "packed again": Bomb("image/jpeg", zlib.compress(good), 415, {"Content-Encoding": "gzip"}),
        "JSON: a PNG of 30000 x 30000": Bomb("application/json", json.dumps({"image": inside}).encode(), 413),
        "JSON: ten thousand lists": Bomb("application/json", b'{"image":' + b"[" * 10_000, 400),
        "JSON: a hundred thousand objects": Bomb("application/json", b'{"image":' * 100_000, 400),
        "JSON: twice packed": Bomb(
            "application/json", json.dumps({"image": base64.b64encode(inside.encode()).decode()}).encode(), 422
        ),
        "JSON: 30 MiB": Bomb("application/json", b'{"image":"' + b"A" * (30 << 20), 413),
        "JSON: not base64": Bomb("application/json", b'{"image":"\xff\xff"}', 400),
        "JSON: another key": Bomb("application/json", b'{"image":"","url":"file:/etc/passwd"}', 400),
    }


def all_bombs() -> dict[str, Bomb]:
    return pngs() | jpegs() | webps() | others()
