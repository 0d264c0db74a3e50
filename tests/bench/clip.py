# SPDX-License-Identifier: Apache-2.0
"""A video file with faces that move: 640x480, 30 pictures a second, H.264."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.gocv_module import gocv_images

SECONDS = 6
MOVING = "scale=704:528,crop=640:480:x='32+32*sin(t)':y='24+24*cos(t)',format=yuv420p"


def make_clip(folder: Path) -> Path:
    """Write the clip with ffmpeg."""
    clip = folder / "clip.mp4"
    command = ["ffmpeg", "-loglevel", "error", "-loop", "1", "-framerate", "30", "-i", str(gocv_images() / "face.jpg")]
    subprocess.run([*command, "-t", str(SECONDS), "-vf", MOVING, "-c:v", "libx264", str(clip)], check=True)
    return clip
