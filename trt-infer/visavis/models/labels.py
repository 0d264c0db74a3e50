# SPDX-License-Identifier: Apache-2.0
"""Faces that people marked on pictures, as dlib's imglab writes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from visavis.detections import Frame
from visavis.errors import ModelError, PictureError
from visavis.opencv import cv2
from visavis.pictures import content_of, decode_still, still

Floats = npt.NDArray[np.float32]


class Labelled(NamedTuple):
    """A picture's file and its marked faces, (n, 4) x1, y1, x2, y2, pixels. All pictures at once may not fit."""

    path: Path
    boxes: Floats

    def picture(self) -> Frame:
        """Decode it.

        Raises:
            PictureError: it cannot be read, or is too large.
        """
        return still(str(self.path))


def read_labels(path: Path) -> list[Labelled]:
    """Read which pictures an XML file names, and look once at each.

    Raises:
        ModelError: the file cannot be read or marks nothing.
        PictureError: one of its pictures cannot be read, or is to be shown turned.
    """
    try:
        images = list(ElementTree.parse(path).iter("image"))  # noqa: S314 (a file that the person at the terminal named)
        found = [Labelled(path.parent / image.attrib["file"], _boxes(image)) for image in images]
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read labels {path}, {error}", "give an XML file of dlib's imglab") from error
    if not sum(len(one.boxes) for one in found):
        raise ModelError(f"labels {path} mark no face", "give an XML file of dlib's imglab")
    for one in found:
        _check(one)  # a bad one is told before minutes of measuring
    return found


def _check(one: Labelled) -> None:
    """Refuse a picture that is to be shown turned: some tools for labels do that, others count in what it holds."""
    content = content_of(str(one.path))
    picture = decode_still(content, str(one.path))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    as_it_lies = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if as_it_lies is None or not np.array_equal(picture, as_it_lies):
        raise PictureError(
            f"{one.path} says of itself that it is to be turned (EXIF), and tools for labels do not agree on that",
            "turn it for good, for example with `mogrify -auto-orient`, and label that",
        )


def _boxes(image: ElementTree.Element) -> Floats:
    marked = [box for box in image.iter("box") if box.get("ignore", "0") == "0"]  # imglab crosses out with 1
    rows = [[int(box.attrib[key]) for key in ("left", "top", "width", "height")] for box in marked]
    table = np.array(rows, np.float32).reshape(-1, 4)
    return np.concatenate([table[:, :2], table[:, :2] + table[:, 2:]], axis=1)
