# SPDX-License-Identifier: Apache-2.0
"""Nothing leaves the building: also not what a library would tell its makers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.command import visavis
from tests.unit.face_pictures import gocv_paths


@pytest.mark.parametrize("command", ["detect", "doctor", "prepare"])
def test_no_library_keeps_a_diary_to_send(command: str, tmp_path: Path) -> None:
    """onnxruntime's telemetry collects in the home and the temporary folder what it will send: both stay empty."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    words = {"detect": ["detect", str(gocv_paths()[0])], "doctor": ["doctor"], "prepare": ["model", "prepare"]}
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(temporary)}
    answer = visavis(*words[command], variables={**variables, "VISAVIS_CACHE_DIR": str(tmp_path / "cache")})
    assert answer.returncode == 0, answer.stderr
    assert [*home.rglob("*"), *temporary.rglob("*")] == []


def test_the_switch_stands_before_any_module_of_ours_can_import_onnxruntime() -> None:
    code = "import visavis, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"
