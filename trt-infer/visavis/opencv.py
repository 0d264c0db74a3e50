# SPDX-License-Identifier: Apache-2.0
"""OpenCV, held to our limit: the one place that imports it, for it reads its settings while it is loaded."""

from __future__ import annotations

import os

# Of a picture from a file, whatever its header says.
MOST_PIXELS = 40_000_000
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MOST_PIXELS)

import cv2  # noqa: E402 (not before its setting)

__all__ = ["MOST_PIXELS", "cv2"]
