# SPDX-License-Identifier: Apache-2.0
"""Faces that people marked on pictures, as dlib's imglab writes them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from visavis.detections import Frame
from visavis.errors import ModelError
from visavis.pictures import decode_still

Floats = npt.NDArray[np.float32]


def read_labels(path: Path) -> list[tuple[Frame, Floats]]:
    """Read every picture that an XML file names, and its marked faces: (n, 4) x1, y1, x2, y2, pixels.

    Raises:
        ModelError: the file cannot be read or marks nothing.
        PictureError: one of its pictures cannot be read.
    """
    try:
        images = list(ElementTree.parse(path).iter("image"))  # noqa: S314 (a file that the person at the terminal named)
        named = [(path.parent / image.attrib["file"], _boxes(image)) for image in images]
        found = [(decode_still(picture.read_bytes(), str(picture)), boxes) for picture, boxes in named]
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read labels {path}, {error}", "give an XML file of dlib's imglab") from error
    if not sum(len(boxes) for _, boxes in found):
        raise ModelError(f"labels {path} mark no face", "give an XML file of dlib's imglab")
    return found


def _boxes(image: ElementTree.Element) -> Floats:
    rows = [[int(box.attrib[key]) for key in ("left", "top", "width", "height")] for box in image.iter("box")]
    table = np.array(rows, np.float32).reshape(-1, 4)
    return np.concatenate([table[:, :2], table[:, :2] + table[:, 2:]], axis=1)
