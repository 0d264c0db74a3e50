# SPDX-License-Identifier: Apache-2.0
"""Real pictures with faces, where this machine has them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from visavis.detections import Frame
from visavis.pictures import decode_still

from tests.gocv_module import gocv_images

ROOT = Path(__file__).parents[2]
LABELLED = ROOT.parent / "shared" / "data" / "faces"


def labelled_pictures() -> dict[str, tuple[Frame, list[tuple[int, int, int, int]]]]:
    """Picture and its labelled faces (x, y, w, h) by file name."""
    if not LABELLED.is_dir():
        pytest.skip("../shared/data/faces with the labelled pictures is not here")
    found = {}
    for image in ElementTree.parse(LABELLED / "training.xml").iter("image"):  # noqa: S314 (our own file)
        path = LABELLED / image.attrib["file"]
        boxes = [tuple(int(box.attrib[key]) for key in ("left", "top", "width", "height")) for box in image.iter("box")]
        found[path.name] = (decode_still(path.read_bytes(), path.name), boxes)
    return found  # type: ignore[return-value]


def gocv_paths() -> list[Path]:
    """The files of the two pictures with one face each that the Go module gocv carries."""
    try:
        images = gocv_images()
    except FileNotFoundError as error:
        pytest.skip(f"gocv's pictures are not here: {error}")
    return [images / name for name in ("face.jpg", "face-detect.jpg")]


def gocv_pictures() -> dict[str, Frame]:
    """The same, read, by file name."""
    return {path.name: decode_still(path.read_bytes(), path.name) for path in gocv_paths()}


def all_pictures() -> dict[str, Frame]:
    """Every picture with faces that this machine has, by file name; gocv's two at least."""
    try:
        labelled = {name: picture for name, (picture, _) in labelled_pictures().items()}
    except pytest.skip.Exception:
        labelled = {}
    return labelled | gocv_pictures()
