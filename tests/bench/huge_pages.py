# SPDX-License-Identifier: Apache-2.0
"""What huge pages spare: CenterFace with and without them, in processes that take turns.

    .venv/bin/python -m tests.bench.huge_pages      processor time of one inference, milliseconds

Processor time and not the clock's: both kinds of process then see the same neighbours.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.heap import HUGE_PAGES, TUNABLES, with_huge_pages
from visavis.settings import DetectorSettings

from tests.bench.page import Bar, Section

ROOT = Path(__file__).resolve().parents[2]
PAIRS, WARM_UP, TURNS = 4, 5, 25
# Less would not be worth an entry in the environment.
LEAST_GAIN = 1.02


def measure() -> Section:
    """One bar: the median of the pairs' ratios."""
    small = {**os.environ, TUNABLES: f"{HUGE_PAGES}=0"}
    ratios = [asked(small) / asked(with_huge_pages(os.environ)) for _ in range(PAIRS)]
    lines = [
        "Each worker asks for its memory in pages of 2 MiB (`GLIBC_TUNABLES`). "
        f"Pairs of processes, time without / with: {', '.join(f'{ratio:.3f}' for ratio in ratios)}.",
    ]
    what = "CenterFace 640x480, 1 thread, time without huge pages / with them"
    return Section("Huge pages", lines, [Bar(what, statistics.median(ratios), LEAST_GAIN, most=False)])


def asked(environment: Mapping[str, str]) -> float:
    """Milliseconds in a process with this environment."""
    command = [sys.executable, "-m", "tests.bench.huge_pages"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return float(answer.stdout)


def found_here() -> float:
    """Milliseconds of processor time for one picture, median."""
    detector = OnnxRuntime(DetectorSettings(backend="onnxruntime", threads=1))
    picture = np.full((480, 640, 3), 128, np.uint8)
    spent = []
    for _ in range(WARM_UP + TURNS):
        begin_s = time.process_time()
        detector.detect(picture)
        spent.append(time.process_time() - begin_s)
    return statistics.median(spent[WARM_UP:]) * 1e3


if __name__ == "__main__":
    print(found_here())
