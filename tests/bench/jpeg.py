# SPDX-License-Identifier: Apache-2.0
"""What decoding JPEG straight into our memory spares beside OpenCV's way, which makes the same pixels.

.venv/bin/python -m tests.bench.jpeg      nanoseconds of one picture, by benchmark
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.bench.page import Bar, Section

ROOT = Path(__file__).resolve().parents[2]
TURNS = 5
LINE = re.compile(r"^BenchmarkDecode/(\S+?)-\d+\s+\d+\s+([\d.]+) ns/op", re.MULTILINE)
# More, and OpenCV alone would do.
MOST_SHARE = 0.9


def measure() -> Section:
    """One bar: time of a picture from a camera, without OpenCV / with it."""
    found_ns = found_here()
    shares = {size: found_ns[f"{size}/libjpeg"] / found_ns[f"{size}/OpenCV"] for size in ("VGA", "1080p")}
    lines = [
        f"{size}: {found_ns[f'{size}/libjpeg'] / 1e6:.2f} ms, OpenCV {found_ns[f'{size}/OpenCV'] / 1e6:.2f} ms."
        for size in shares
    ]
    what = "time of decoding a JPEG 1920x1080, ours / OpenCV's"
    return Section("JPEG", lines, [Bar(what, shares["1080p"], MOST_SHARE)])


def found_here() -> dict[str, float]:
    """Nanoseconds; the least of several turns: others on the machine can only add."""
    command = "CGO_CXXFLAGS=$(../scripts/opencv_flags.sh) go test -tags {} -run '^$' -bench Decode -count {} {}"
    tags = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio"
    said = subprocess.run(
        ["bash", "-ec", command.format(tags, TURNS, "./internal/preprocess")],
        cwd=ROOT / "go-capture", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found_ns: dict[str, float] = {}
    for name, value in LINE.findall(said):
        found_ns[name] = min(float(value), found_ns.get(name, float("inf")))
    return found_ns


if __name__ == "__main__":
    print(json.dumps(found_here()))
