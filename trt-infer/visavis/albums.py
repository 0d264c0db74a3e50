# SPDX-License-Identifier: Apache-2.0
"""Pictures made from others: with faces marked, or with faces hidden; and the folders that they go to."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from visavis.atomic import write_atomically
from visavis.detections import Detections, Frame, landmarks_of
from visavis.errors import PictureError
from visavis.opencv import cv2
from visavis.pictures import is_address

# As the daemon hides faces (go-capture/internal/jpeg): blocks along the longer side of what is hidden, and how much
# larger than the box that is on each side; hair and chin recognise people too.
BLOCKS = 7
MARGIN = 0.2
# The most that OpenCV writes into a JPEG.
JPEG_LONGEST_SIDE = 65_500
# Of what is drawn: blue, green, red.
MARK = (80, 200, 60)


def draw(picture: Frame, found: Detections) -> Frame:
    """Return a copy, (H, W, 3) uint8 BGR, with boxes and landmarks."""
    drawn: Frame = picture.copy()
    for face in found:
        corners = [int(face[side]) for side in ("x1", "y1", "x2", "y2")]
        cv2.rectangle(drawn, (corners[0], corners[1]), (corners[2], corners[3]), MARK, 2)
        for x, y in landmarks_of(face):
            cv2.circle(drawn, (int(x), int(y)), 2, MARK, -1)
    return drawn


def anonymise(picture: Frame, found: Detections) -> Frame:
    """Return a copy in which every face, and a fifth of its size on each side, is nothing but a few mean colours.

    How coarse that is follows from the whole face, also where the picture's edge cuts it.
    """
    hidden: Frame = picture.copy()
    for face in found:
        wide, high = (face["x2"] - face["x1"]) * MARGIN, (face["y2"] - face["y1"]) * MARGIN
        left, top = math.floor(face["x1"] - wide), math.floor(face["y1"] - high)
        right, bottom = math.ceil(face["x2"] + wide), math.ceil(face["y2"] + high)
        area = hidden[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        if area.size:
            _pixelate(area, max(right - left, bottom - top))
    return hidden


def _pixelate(area: Frame, side_px: int) -> None:
    """Leave the means of blocks, none of them smaller than a side has them for BLOCKS."""
    high, wide = area.shape[:2]
    blocks = [min(max(1, BLOCKS * length // side_px), length) for length in (wide, high)]
    means = cv2.resize(area, blocks, interpolation=cv2.INTER_AREA)
    area[:] = cv2.resize(means, (wide, high), interpolation=cv2.INTER_NEAREST)


class Album:
    """A folder for pictures made from others: none takes the place of another or of an original.

    Args:
        folder: made when the first picture comes.
        originals: files that must stay as they are.
    """

    def __init__(self, folder: Path, originals: list[str]) -> None:
        self._folder = folder
        self._originals = {Path(name).resolve() for name in originals if not is_address(name)}
        self._taken: set[str] = set()

    def keep(self, stem: str, picture: Frame) -> None:
        """Write `stem`.jpg, or `stem`-2.jpg and so on when an earlier picture has that name.

        Raises:
            PictureError: it cannot be written, or would overwrite an original.
        """
        target = self._folder / f"{self._free(stem)}.jpg"
        if target.resolve() in self._originals:
            raise PictureError(f"{target} would overwrite a picture that was given", "choose another folder")
        content = _as_jpeg(picture, target)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
        except OSError as error:
            raise PictureError(f"cannot write {target}, {error.strerror}") from error

    def _free(self, stem: str) -> str:
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        free = next(name for name in names if name not in self._taken)
        self._taken.add(free)
        return free


def _as_jpeg(picture: Frame, target: Path) -> bytes:
    height, width = picture.shape[:2]
    # OpenCV would complain by itself, and at length.
    if max(height, width) > JPEG_LONGEST_SIDE:
        reason = f"{width}x{height} is too long for a JPEG, of which a side has at most {JPEG_LONGEST_SIDE} pixels"
        raise PictureError(f"cannot write {target}, {reason}", "make the picture smaller")
    written, content = cv2.imencode(".jpg", picture)
    if not written:
        raise PictureError(f"cannot write {target}, OpenCV makes no JPEG of it", "make the picture smaller")
    return content.tobytes()
