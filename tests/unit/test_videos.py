# SPDX-License-Identifier: Apache-2.0
"""Videos whose names are not UTF-8, and what OpenCV is given for a name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from visavis.errors import PictureError
from visavis.videos import frame_count, frames_of

NAMES = [b"film.avi", "T\u00fcr 1.avi".encode(), b"caf\xe9.avi"]
FRAMES = 5


def film(folder: Path, name: bytes) -> str:
    """FRAMES frames of noise."""
    made = folder / "made.avi"
    writer = cv2.VideoWriter(str(made), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))  # type: ignore[attr-defined]
    for _ in range(FRAMES):
        writer.write(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return str(made.rename(folder / os.fsdecode(name)))


@pytest.mark.parametrize("name", NAMES)
def test_opencv_is_given_text_in_utf8(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, given = cv2.VideoCapture, []

    def capture(name: Any) -> Any:
        given.append(name)
        return real(name)

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    video = film(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    assert (frame_count(video), len(list(frames_of(Path(video).name)))) == (FRAMES, FRAMES)
    # Bindings before 4.12 take no bytes, and what is not UTF-8 ends the process.
    assert [type(one) for one in given] == [str, str]
    assert all(one.encode() for one in given)
    assert not any(Path(one).is_symlink() for one in given), "what was made for OpenCV is left over"


def test_a_missing_video_with_such_a_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot read video"):
        list(frames_of(str(tmp_path / os.fsdecode(b"caf\xe9.avi"))))
