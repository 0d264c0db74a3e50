# SPDX-License-Identifier: Apache-2.0
"""`visavis doctor` and `visavis check`: what is wrong, where, and what to do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from visavis.doctor import EXAMINATIONS

from tests.unit.command import PROGRAM, complaints, visavis

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "contracts" / "config-golden" / "config.toml"
SUBJECTS = {"kernel", "daemon", "cameras", "cuda", "tensorrt", "onnxruntime", "broker", "cache", "model"}


def test_each_subject_is_one_line_with_its_state() -> None:
    answer = visavis("doctor")
    lines = answer.stdout.splitlines()
    assert len(lines) == len(EXAMINATIONS)
    assert all(line.split()[0] in ("ok", "warn", "FAIL") for line in lines)
    assert answer.returncode == (1 if any(line.startswith("FAIL") for line in lines) else 0)


def test_json_is_one_object_a_line_and_what_is_wrong_has_a_remedy() -> None:
    found = [json.loads(line) for line in visavis("doctor", "--json").stdout.splitlines()]
    assert {finding["subject"] for finding in found} >= SUBJECTS
    for finding in found:
        assert finding.keys() == {"subject", "state", "words", "remedy"}
        assert finding["state"] in ("ok", "warn", "fail")
        assert finding["words"]


def test_what_set_up_provides_is_ok_here() -> None:
    found = {item["subject"]: item for item in map(json.loads, visavis("doctor", "--json").stdout.splitlines())}
    for subject in ("kernel", "daemon", "onnxruntime", "broker", "cache", "model"):
        assert found[subject]["state"] == "ok", found[subject]


def test_a_good_configuration_is_ok() -> None:
    last = visavis("doctor", "--config", GOLDEN).stdout.splitlines()[-1]
    assert last == f"ok    config       {GOLDEN}"


def test_a_bad_configuration_fails_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[web]\nlisten = 7\n")
    answer = visavis("doctor", "--config", bad)
    assert answer.returncode == 1
    assert f"FAIL  config       {bad}:2: web.listen" in answer.stdout


def test_a_missing_daemon_fails_with_the_remedy(tmp_path: Path) -> None:
    broken = tmp_path / "visavis-capture"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libopencv_core.so' >&2\nexit 127\n")
    broken.chmod(0o755)
    answer = visavis("doctor", variables={"VISAVIS_CAPTURE": str(broken)})
    assert answer.returncode == 1
    (line,) = (line for line in answer.stdout.splitlines() if " daemon " in line)
    assert line.startswith("FAIL  daemon       error while loading shared libraries: libopencv_core.so: install")


def test_a_machine_without_mosquitto_is_a_warning(tmp_path: Path) -> None:
    # PATH without it is not enough: mosquitto is also looked for in /usr/sbin, so hide that under an empty folder.
    script = f"mount -t tmpfs none /usr/sbin && exec {PROGRAM} doctor --json"
    answer = visavis_in_namespace(script, tmp_path)
    found = {item["subject"]: item for item in map(json.loads, answer.splitlines())}
    assert found["broker"] == {
        "subject": "broker",
        "state": "warn",
        "words": "mosquitto is not installed",
        "remedy": "apt install mosquitto, or set mqtt.url",
    }


def visavis_in_namespace(script: str, folder: Path) -> str:
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_check_answers_0_for_a_good_configuration() -> None:
    assert visavis("check", GOLDEN).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nlisten = 7\n", "bad.toml:2: web.listen"),
        ("[wrong]\n", "bad.toml:1: wrong"),
        ("[web\n", "bad.toml:"),
    ],
)
def test_check_names_file_and_line_and_answers_2(text: str, said: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    answer = visavis("check", bad)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_check_without_the_file_is_2(tmp_path: Path) -> None:
    answer = visavis("check", tmp_path / "gone.toml")
    assert answer.returncode == 2
    assert "no such file or directory" in complaints(answer)[0]
