# SPDX-License-Identifier: Apache-2.0
"""What holds for every command of the program."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

CALLED = """
import resource
from visavis.cli.program import main
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
main(["check", "--help"])
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_crash_leaves_no_picture_on_the_disk() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    if most == 0:
        pytest.skip("whoever started the tests has forbidden core files for good")
    done = subprocess.run([sys.executable, "-c", CALLED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"0 {most}"
