# SPDX-License-Identifier: Apache-2.0
"""Pictures as a person has them: found, read within limits, and fitted to a network."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np

from visavis.addresses import BAD_ADDRESS, in_ascii
from visavis.detections import Frame
from visavis.errors import PictureError
from visavis.opencv import MOST_PIXELS, cv2
from visavis.picture_headers import JPEG, header_size, too_large
from visavis.videos import frame_count, frames_of

STILLS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v"}
MOST_BYTES = 64 * 1024 * 1024
LONGEST_SIDE = 1920
MULTIPLE = 32
FETCH_LIMIT_S = 20
# In what OpenCV says of a picture that is larger than visavis has it take.
PIXEL_LIMIT = "CV_IO_MAX_IMAGE_PIXELS"


def files_of(names: list[str]) -> Iterator[str]:
    """Yield every name as given; a folder gives its pictures and videos, sorted, not those of its folders.

    A folder without any, or that cannot be read, is yielded itself: `pictures_of` says what is wrong with it.
    """
    for name in names:
        inside = [] if is_address(name) else _inside(Path(name))
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
        picture = still(name)  # before its stem: what is no address has none
        yield _stem_of(name) or "picture", picture


def still(name: str) -> Frame:
    """Read a still, (H, W, 3) uint8 BGR.

    Raises:
        PictureError: it cannot be read, or is too large.
    """
    return decode_still(content_of(name), name)


def decode_still(content: bytes, name: str) -> Frame:
    """Decode a JPEG, PNG, WebP or BMP of at most MOST_PIXELS; its size is read from the header before anything else.

    Raises:
        PictureError: not such a picture, damaged, or too large.
    """
    size_px = header_size(content)
    if size_px is None:
        jpeg = content[:2] == JPEG
        raise PictureError(f"{name} is damaged" if jpeg else f"{name} is not a JPEG, PNG, WebP or BMP picture")
    if size_px[0] * size_px[1] > MOST_PIXELS:
        raise too_large(name, size_px)
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if PIXEL_LIMIT in error.err:
            raise PictureError(f"{name} has more pixels than its header says", "the limit is 40 million") from error
        raise PictureError(f"{name} cannot be decoded, {error.err}") from error
    if picture is None:
        raise PictureError(f"{name} is damaged")
    return np.asarray(picture, np.uint8)


def letterboxed(picture: Frame, size_px: tuple[int, int] | None) -> tuple[Frame, tuple[float, float]]:
    """Fit a picture into the network's input: top left, the rest black.

    Args:
        size_px: width and height of the input; None for the picture's own, at most LONGEST_SIDE.

    Returns:
        (H, W, 3) uint8 with sides of multiples of MULTIPLE, and the scales from picture to input of x and of y: what
        is drawn ends in whole pixels, so they differ a little.
    """
    height, width = picture.shape[:2]
    if size_px is None:
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        inner = (_scaled(width, scale), _scaled(height, scale))
        limit = (_up(inner[0]), _up(inner[1]))
    else:
        limit = (_up(size_px[0]), _up(size_px[1]))
        scale = min(limit[0] / width, limit[1] / height)
        inner = (_scaled(width, scale), _scaled(height, scale))
    boxed = np.zeros((limit[1], limit[0], 3), np.uint8)
    boxed[: inner[1], : inner[0]] = _resized(picture, inner)
    return boxed, (inner[0] / width, inner[1] / height)


def _resized(picture: Frame, size_px: tuple[int, int]) -> Frame:
    """As the daemon does it (go-capture/internal/preprocess): what is measured on files then holds for cameras."""
    height, width = picture.shape[:2]
    if size_px == (width, height):
        return picture
    shrinks = size_px[0] < width or size_px[1] < height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size_px, interpolation=how), np.uint8)


def _scaled(side: int, scale: float) -> int:
    """To the nearest pixel: what would fill a side may come out a little smaller than it, in floating point."""
    return max(1, int(side * scale + 0.5))


def _up(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def is_address(name: str) -> bool:
    """Whether it names a picture somewhere on a network, not a file."""
    return name.startswith(("http://", "https://"))


def _stem_of(name: str) -> str:
    return PurePosixPath(urlsplit(name).path if is_address(name) else name).stem


def _is_video(name: str) -> bool:
    return not is_address(name) and PurePosixPath(name).suffix.lower() in VIDEOS


def content_of(name: str) -> bytes:
    """What a still's file or address holds.

    Raises:
        PictureError: it cannot be read, or is too large.
    """
    try:
        if is_address(name):
            with urllib.request.urlopen(in_ascii(name), timeout=FETCH_LIMIT_S) as answer:  # noqa: S310 (http(s) only)
                content = bytes(answer.read(MOST_BYTES + 1))
        else:
            if Path(name).is_dir():
                raise PictureError(f"folder {name} holds no picture or video that can be read")
            with Path(name).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, HTTPException, *BAD_ADDRESS) as error:
        reason = getattr(error, "strerror", None) or str(error).strip()
        raise PictureError(f"cannot read {name}, {reason}") from error
    if len(content) > MOST_BYTES:
        raise PictureError(f"{name} is larger than {MOST_BYTES // 2**20} MiB")
    return content
