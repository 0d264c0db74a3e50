# SPDX-License-Identifier: Apache-2.0
"""What can be seen of units and services without a running systemd; the rest is in tests/vm/test_package.py."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT

UNITS = {
    "visavis-capture.service": (ROOT / "systemd" / "visavis-capture.service", 2.0),
    "visavis-infer@1.service": (ROOT / "systemd" / "visavis-infer@.service", 1.0),
    "visavis-engine.service": (ROOT / "deb" / "tensorrt" / "visavis-engine.service", 1.0),
}


@pytest.mark.parametrize("name", UNITS)
def test_the_sandboxes_are_tight(name: str, tmp_path: Path) -> None:
    file, most = UNITS[name]
    unit = tmp_path / name  # a template has no score, an instance has
    shutil.copyfile(file, unit)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if not found:
        pytest.skip(f"systemd-analyze cannot judge a file here: {done.stderr.strip()}")
    assert float(found[1]) <= most, done.stdout
