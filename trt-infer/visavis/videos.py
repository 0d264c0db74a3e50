# SPDX-License-Identifier: Apache-2.0
"""Videos as a person has them: counted, read frame by frame, and found out when they end too early."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from visavis.detections import Frame
from visavis.errors import PictureError
from visavis.opencv import MOST_PIXELS, cv2
from visavis.picture_headers import too_large

# Containers without an index only estimate their frames; less than this is no reason to complain.
MISSING_FRAMES_MOST = 2
MISSING_SHARE_MOST = 0.05


def frame_count(name: str) -> int:
    """How many frames the video says it has; 1 when it does not say, or cannot be opened."""
    with _opened(name) as video:
        return max(1, _announced(video))


def frames_of(name: str) -> Iterator[Frame]:
    """Yield each frame, (H, W, 3) uint8 BGR.

    Raises:
        PictureError: its pictures are too large, it cannot be opened, or ends before it should: cut off or damaged.
    """
    with _opened(name) as video:
        _must_be_small(name, video)
        announced, count, end_ms = _announced(video), 0, 0.0
        length_ms = _length_ms(video, announced)
        while (frame := _next(video)) is not None:
            count, end_ms = count + 1, video.get(cv2.CAP_PROP_POS_MSEC)
            yield frame
    if count == 0:
        raise PictureError(f"cannot read video {name}", "it is damaged, cut off, or no video that FFmpeg knows")
    # Frames and time must both be missing: a variable frame rate makes the one estimate wrong, not the other.
    if _falls_short(count, announced) and end_ms < length_ms * (1 - MISSING_SHARE_MOST):
        raise PictureError(f"{name} ends after frame {count} of {announced}", "it is damaged or cut off")


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    # FFmpeg writes its own words to stderr; ours say it once.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with ExitStack() as ends:
        video = cv2.VideoCapture(name if _is_utf8(name) else _linked(name, ends))
        ends.callback(video.release)
        yield video


def _is_utf8(name: str) -> bool:
    try:
        return name.encode() == os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _linked(name: str, ends: ExitStack) -> str:
    """A name for the video that OpenCV takes: of one that is not UTF-8 it takes no str, and before 4.12 no bytes."""
    try:
        link = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="visavis-"))) / "video"
        link.symlink_to(Path(name).absolute())
    except OSError as error:
        raise PictureError(f"cannot read video {name}, {error.strerror}", "give it a name in UTF-8") from error
    return str(link)


def _must_be_small(name: str, video: Any) -> None:
    width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MOST_PIXELS:
        raise too_large(name, (width, height))


def _next(video: Any) -> Frame | None:
    read, frame = video.read() if video.isOpened() else (False, None)
    return np.asarray(frame, np.uint8) if read else None


def _announced(video: Any) -> int:
    return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))) if video.isOpened() else 0


def _length_ms(video: Any, frames: int) -> float:
    """Until the start of the last frame."""
    fps = video.get(cv2.CAP_PROP_FPS) if video.isOpened() else 0.0
    return (frames - 1) / fps * 1e3 if fps > 0 else 0.0


def _falls_short(count: int, announced: int) -> bool:
    return announced - count > max(MISSING_FRAMES_MOST, announced * MISSING_SHARE_MOST)
