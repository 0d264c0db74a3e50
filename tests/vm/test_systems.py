# SPDX-License-Identifier: Apache-2.0
"""The daemon compiles for systems that no machine of the lab runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deb import cross

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(1800)]


def test_the_daemon_compiles_against_the_oldest_opencv(tmp_path: Path) -> None:
    program = tmp_path / "visavis-capture"
    cross.daemon(cross.UBUNTU_22, program)
    needs = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, check=True).stdout
    assert "libopencv_core.so.4.5d" in needs
