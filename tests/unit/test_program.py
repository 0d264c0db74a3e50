# SPDX-License-Identifier: Apache-2.0
"""What holds for every command of the program."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

CALLED = """
import resource
from visavis.cli.program import main
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
main(["check", "--help"])
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


# A picture stands in its memory twice: in its own, and in what it shares.
CRASHED = """
import mmap, os, resource
from pathlib import Path
from visavis.cli.program import main
Path("/proc/self/coredump_filter").write_text("0x33") # a test before may have changed what is inherited
{before}
shared = mmap.mmap(-1, 4096)
shared[:7] = own = bytes(reversed(b"ERUTCIP"))
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
os.abort()
"""
# A core file of its own beside what crashed: nothing else may be tried here, for the setting is the whole machine's.
PATTERN = Path("/proc/sys/kernel/core_pattern").read_text().strip()


def test_a_crash_leaves_no_picture_on_the_disk() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    if most == 0:
        pytest.skip("whoever started the tests has forbidden core files for good")
    done = subprocess.run([sys.executable, "-c", CALLED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"0 {most}"


@pytest.mark.parametrize(("before", "held"), [("", True), ('main(["check", "--help"])', False)])
def test_a_crash_that_is_written_without_a_limit_holds_no_memory(before: str, held: bool, tmp_path: Path) -> None:
    """As where the kernel pipes crashes to a program, which no limit holds back; the first one shows that we look."""
    if PATTERN != "core" or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("crashes leave no file here")
    script = CRASHED.format(before=before)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    (core,) = tmp_path.iterdir()
    assert (b"PICTURE" in core.read_bytes()) == held
