# SPDX-License-Identifier: Apache-2.0
"""What is used lies in large pages; what was freed goes back to the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from visavis.heap import with_huge_pages

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


# As onnxruntime takes its memory. NumPy would ask for huge pages by itself. Prints for how large a mapping the kernel
# takes huge pages, if it has any: after much other work it may have none.
HUGE = """
import ctypes

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ctypes.memset(libc.malloc(ctypes.c_size_t(64 << 20)), 1, 64 << 20)
size_kb = most_kb = 0
for name, value, *_ in map(str.split, open("/proc/self/smaps")):
    if name == "Size:":
        size_kb = int(value)
    if (name, value) == ("THPeligible:", "1"):
        most_kb = max(most_kb, size_kb)
print(most_kb)
"""


def test_a_large_block_may_lie_in_huge_pages() -> None:
    enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not enabled.exists() or "[never]" in enabled.read_text():
        pytest.skip("this kernel gives no huge pages: transparent_hugepage/enabled is never")
    environment = with_huge_pages(os.environ)
    answer = subprocess.run([sys.executable, "-c", HUGE], env=environment, check=True, capture_output=True, text=True)
    assert int(answer.stdout) > 40_000, "kB that may lie in huge pages"


@pytest.mark.parametrize(
    ("said", "tunables"),
    [
        ({}, "glibc.malloc.hugetlb=1"),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=1"}, "glibc.malloc.check=1:glibc.malloc.hugetlb=1"),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, "glibc.malloc.hugetlb=0"),
    ],
)
def test_what_the_environment_says_stays(said: dict[str, str], tunables: str) -> None:
    assert with_huge_pages({"HOME": "/", **said}) == {"HOME": "/", "GLIBC_TUNABLES": tunables}
