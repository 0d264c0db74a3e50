# SPDX-License-Identifier: Apache-2.0
"""What a Raspberry Pi 5 has and the machine of the tests has not: another processor, and pages of 16 KiB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vm.inside import INSIDE, PYTHON, Appliance, configuration
from tests.vm.lab import Machine
from tests.vm.payload import PURE_GO, draw_pictures

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(1800)]

PICTURE = "pictures/10.jpg"
DETECT = ("-m", "visavis.cli", "detect", "--json", "--model", "centerface")


def test_the_machine_is_what_it_should_be(pi: Machine) -> None:
    assert pi.run("uname -m").strip() == "aarch64"
    assert int(pi.run("getconf PAGESIZE")) == 16384


@pytest.mark.parametrize("package", PURE_GO)
def test_the_daemons_packages_pass(pi: Machine, package: str) -> None:
    said = pi.run(f"cd {INSIDE}/go-capture/internal/{package} && {INSIDE}/go/{package}.test -test.v", 900)
    assert "--- PASS" in said


def test_the_workers_end_of_the_ring_passes(pi: Machine) -> None:
    files = [f"tests/unit/{name}.py" for name in ("test_ring", "test_ring_refusals", "test_worker")]
    assert "passed" in pytest_inside(pi, " ".join(files))


def test_no_frame_is_torn_while_workers_are_killed(pi: Machine) -> None:
    assert "passed" in pytest_inside(pi, "tests/chaos/test_kills.py")


def test_the_same_faces_are_found(pi: Machine, tmp_path: Path) -> None:
    draw_pictures(tmp_path / "pictures")
    here = [sys.executable, *DETECT, str(tmp_path / PICTURE)]
    there = pi.run(f"cd {INSIDE} && VISAVIS_CACHE_DIR={INSIDE}/cache {PYTHON} {' '.join(DETECT)} {PICTURE}")
    ours = subprocess.run(here, capture_output=True, text=True, check=True).stdout
    assert json.loads(there)["faces"] == json.loads(ours)["faces"]


def test_the_appliance_shows_the_demo(pi: Machine) -> None:
    running = Appliance(pi, configuration("demo", "demo:"))
    for message in running.messages("demo/detections"):
        assert message["model"] == "centerface"
        assert len(message["faces"]) in (0, 1, 2)
    frames = running.camera()["frames"]
    assert frames["captured"] == frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
    assert running.stop(), running.log()


def pytest_inside(pi: Machine, words: str) -> str:
    environment = f"VISAVIS_CACHE_DIR=/tmp/cache VISAVIS_RINGLOAD={INSIDE}/ringload"
    return pi.run(f"cd {INSIDE} && {environment} {PYTHON} -m pytest -q -p no:cacheprovider {words}", 900)
