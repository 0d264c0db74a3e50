# SPDX-License-Identifier: Apache-2.0
"""What `visavis doctor` finds out by trying TensorRT, and what a worker does where it cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from visavis.engines import probe
from visavis.errors import GpuUnusable
from visavis.hardware import inference

from tests.tensorrt import core


def found(**variables: str) -> dict[str, str]:
    """What doctor says of TensorRT."""
    command = [sys.executable, "-m", "visavis.cli", "doctor", "--json"]
    answer = subprocess.run(command, env=core.environment(**variables), capture_output=True, text=True, check=False)
    findings = [json.loads(line) for line in answer.stdout.splitlines()]
    finding: dict[str, str] = next(one for one in findings if one["subject"] == "tensorrt")
    return finding


def test_doctor_names_the_tensorrt_and_the_gpu_that_work(real_core: None) -> None:
    finding = found()
    assert (finding["state"], finding["words"]) == ("ok", "TensorRT 11.4.0.106 on Double (sm_87)")


def test_a_gpu_that_fell_off_is_found_by_trying(real_core: None) -> None:
    finding = found(VISAVIS_TEST_GPU="none")
    assert finding["state"] == "warn"
    assert finding["words"].startswith("no NVIDIA GPU can be used here, cuInit failed")
    assert "nvidia-smi" in finding["remedy"]


def test_a_driver_that_is_too_old_for_tensorrt_is_blamed(real_core: None) -> None:
    finding = found(VISAVIS_TEST_NO_CUDA="1")
    assert finding["state"] == "warn"
    assert finding["words"].startswith("TensorRT 11.4.0.106 cannot start")
    assert "CUDA that the driver knows" in finding["remedy"]


def test_a_library_that_takes_its_process_down_takes_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert probe.asked().words == "TensorRT takes its process down, which ended with 1"


def test_a_driver_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(probe, "LIMIT_S", 0.2)
    answer = probe.asked()
    assert (answer.usable, answer.words) == (False, "TensorRT said nothing for 0.2 s")
    assert "dmesg" in answer.remedy


def test_a_worker_beside_such_a_driver_counts_as_one_without_a_gpu(real_core: None, tmp_path: Path) -> None:
    words = ["worker", "--backend", "tensorrt", "--input", "64x64", "--socket", tmp_path / "s", "--cache-dir", tmp_path]
    command = [sys.executable, "-m", "visavis.cli", *map(str, words)]
    environment = core.environment(VISAVIS_TEST_NO_CUDA="1")
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == GpuUnusable.exit_code, answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_report_times_the_engines_that_are_there_and_builds_none(real_core: None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "visavis.hardware.inference", str(os.getpid()), "tensorrt", "fp16", "1"]
    answer = subprocess.run(
        command, env=core.environment(VISAVIS_CACHE_DIR=str(tmp_path)), capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout)["error"].startswith("no fp16 engine of centerface for Double (sm_87) is built yet")
    assert not list(tmp_path.rglob("*.engine"))


def test_a_backend_that_takes_its_process_down_leaves_the_rest_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = inference.inference(1, lambda _: None)
    assert {one["error"] for one in found} == {"its process: exit 1"}
