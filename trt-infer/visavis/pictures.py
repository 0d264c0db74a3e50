# SPDX-License-Identifier: Apache-2.0
"""Pictures as a person has them: found, read within limits, fitted to a network, drawn on, saved."""

from __future__ import annotations

import itertools
import struct
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import cv2
import numpy as np

from visavis.atomic import write_atomically
from visavis.detections import Detections, Frame, landmarks_of
from visavis.errors import PictureError
from visavis.videos import frame_count, frames_of

STILLS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v"}
MOST_PIXELS = 40_000_000
MOST_BYTES = 64 * 1024 * 1024
LONGEST_SIDE = 1920
MULTIPLE = 32
FETCH_LIMIT_S = 20
# Blocks across a face, and how much the pixelated area is larger than the box.
BLOCKS = 8
MARGIN = 0.2


def files_of(names: list[str]) -> Iterator[str]:
    """Yield every name as given; a folder gives its pictures and videos, sorted, not those of its folders.

    A folder without any, or that cannot be read, is yielded itself: `pictures_of` says what is wrong with it.
    """
    for name in names:
        inside = [] if _is_address(name) else _inside(Path(name))
        yield from inside or [name]


def _inside(folder: Path) -> list[str]:
    try:
        return [str(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in STILLS | VIDEOS]
    except OSError:
        return []


def count_of(name: str) -> int:
    """How many pictures `pictures_of` will about yield: 1 for a still, the announced frames of a video."""
    return frame_count(name) if _is_video(name) else 1


def pictures_of(name: str) -> Iterator[tuple[str, Frame]]:
    """Yield (stem for output, (H, W, 3) uint8 BGR) for a still, or for each frame of a video.

    Raises:
        PictureError: it cannot be read, is too large, or is a video that ends too early.
    """
    if _is_video(name):
        for number, frame in enumerate(frames_of(name)):
            yield f"{PurePosixPath(name).stem}-{number:06d}", frame
    else:
        picture = decode_still(_bytes_of(name), name)
        yield _stem_of(name) or "picture", picture


def decode_still(content: bytes, name: str) -> Frame:
    """Decode a JPEG, PNG, WebP or BMP of at most MOST_PIXELS; its size is read from the header before anything else.

    Raises:
        PictureError: not such a picture, damaged, or too large.
    """
    size_px = header_size(content)
    if size_px is None:
        raise PictureError(f"{name} is not a JPEG, PNG, WebP or BMP picture")
    if size_px[0] * size_px[1] > MOST_PIXELS:
        raise PictureError(f"{name} has {size_px[0]}x{size_px[1]} pixels", "the limit is 40 million")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise PictureError(f"{name} cannot be decoded, {error.err}") from error
    if picture is None:
        raise PictureError(f"{name} is damaged")
    return np.asarray(picture, np.uint8)


def header_size(content: bytes) -> tuple[int, int] | None:
    """Read width and height from a picture's header; None when it is no known picture."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return width, height
    if content[:2] == b"BM" and len(content) >= 26:
        width, height = struct.unpack_from("<ii", content, 18)
        return abs(width), abs(height)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP" and len(content) >= 30:
        return _webp_size(content)
    return _jpeg_size(content) if content[:2] == b"\xff\xd8" else None


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
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def letterboxed(picture: Frame, size_px: tuple[int, int] | None) -> tuple[Frame, float]:
    """Fit a picture into the network's input: top left, the rest black.

    Args:
        size_px: width and height of the input; None for the picture's own, at most LONGEST_SIDE.

    Returns:
        (H, W, 3) uint8 with sides of multiples of MULTIPLE, and the scale from picture to input.
    """
    height, width = picture.shape[:2]
    if size_px is None:
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        limit = (_up(width * scale), _up(height * scale))
    else:
        limit = (_up(size_px[0]), _up(size_px[1]))
        scale = min(limit[0] / width, limit[1] / height)
    inner = (max(1, int(width * scale)), max(1, int(height * scale)))
    boxed = np.zeros((limit[1], limit[0], 3), np.uint8)
    boxed[: inner[1], : inner[0]] = picture if scale == 1.0 else cv2.resize(picture, inner)
    return boxed, scale


def draw(picture: Frame, found: Detections) -> Frame:
    """Return a copy with boxes and landmarks."""
    drawn = picture.copy()
    for face in found:
        corners = [int(face[side]) for side in ("x1", "y1", "x2", "y2")]
        cv2.rectangle(drawn, (corners[0], corners[1]), (corners[2], corners[3]), (80, 200, 60), 2)
        for x, y in landmarks_of(face):
            cv2.circle(drawn, (int(x), int(y)), 2, (80, 200, 60), -1)
    return drawn


def anonymise(picture: Frame, found: Detections) -> Frame:
    """Return a copy in which every face, and a fifth of its size around it, is nothing but a few mean colours."""
    hidden = picture.copy()
    height, width = picture.shape[:2]
    for face in found:
        wide, high = (face["x2"] - face["x1"]) * MARGIN / 2, (face["y2"] - face["y1"]) * MARGIN / 2
        left, top = max(0, int(face["x1"] - wide)), max(0, int(face["y1"] - high))
        right, bottom = min(width, int(face["x2"] + wide) + 1), min(height, int(face["y2"] + high) + 1)
        area = hidden[top:bottom, left:right]
        if area.size:
            blocks = (min(BLOCKS, right - left), min(BLOCKS, bottom - top))
            means = cv2.resize(area, blocks, interpolation=cv2.INTER_AREA)
            area[:] = cv2.resize(means, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return hidden


class Album:
    """A folder for pictures made from others: none takes the place of another or of an original.

    Args:
        folder: made when the first picture comes.
        originals: files that must stay as they are.
    """

    def __init__(self, folder: Path, originals: list[str]) -> None:
        self._folder = folder
        self._originals = {Path(name).resolve() for name in originals if not _is_address(name)}
        self._taken: set[str] = set()

    def keep(self, stem: str, picture: Frame) -> None:
        """Write `stem`.jpg, or `stem`-2.jpg and so on when an earlier picture has that name.

        Raises:
            PictureError: it cannot be written, or would overwrite an original.
        """
        target = self._folder / f"{self._free(stem)}.jpg"
        if target.resolve() in self._originals:
            raise PictureError(f"{target} would overwrite a picture that was given", "choose another folder")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(target, cv2.imencode(".jpg", picture)[1].tobytes())
        except OSError as error:
            raise PictureError(f"cannot write {target}, {error.strerror}") from error

    def _free(self, stem: str) -> str:
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        free = next(name for name in names if name not in self._taken)
        self._taken.add(free)
        return free


def _up(side: float) -> int:
    return max(MULTIPLE, -(-round(side) // MULTIPLE) * MULTIPLE)


def _is_address(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _stem_of(name: str) -> str:
    return PurePosixPath(urlsplit(name).path if _is_address(name) else name).stem


def _is_video(name: str) -> bool:
    return not _is_address(name) and PurePosixPath(name).suffix.lower() in VIDEOS


def _bytes_of(name: str) -> bytes:
    try:
        if _is_address(name):
            with urllib.request.urlopen(name, timeout=FETCH_LIMIT_S) as answer:  # noqa: S310 (http(s) only, see above)
                content = bytes(answer.read(MOST_BYTES + 1))
        else:
            if Path(name).is_dir():
                raise PictureError(f"folder {name} holds no picture or video that can be read")
            with Path(name).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:  # urllib's own errors are OSErrors
        reason = getattr(error, "strerror", None) or str(error).strip()
        raise PictureError(f"cannot read {name}, {reason}") from error
    if len(content) > MOST_BYTES:
        raise PictureError(f"{name} is larger than {MOST_BYTES // 2**20} MiB")
    return content
