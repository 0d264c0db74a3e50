# SPDX-License-Identifier: Apache-2.0
"""What was freed goes back to the kernel."""

from __future__ import annotations

import subprocess
import sys

# Blocks that are too small for a mapping of their own, and one at the end that keeps the heap from shrinking by itself.
PROGRAM = """
import numpy as np
from pathlib import Path
from visavis.heap import give_back

def anonymous_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])

blocks = [np.ones(60_000, np.uint8) for _ in range(1_000)]
last = blocks.pop()
del blocks
before = anonymous_kb()
give_back()
print(before - anonymous_kb())
"""


def test_freed_memory_goes_back_to_the_kernel() -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert int(answer.stdout) > 40_000, "kB went back"
