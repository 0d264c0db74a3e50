# SPDX-License-Identifier: Apache-2.0
"""The tutorial and the page about Python, done as they say, against a running appliance."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import RunningAppliance, Start
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S
from tests.repo.pages import Block, blocks
from tests.repo.test_laws import ROOT
from tests.unit.command import PROGRAM
from tests.waiting import until

FOR_EVER = re.compile(r"^for \w+ in ", re.MULTILINE)


def of(page: str, kind: str) -> list[Block]:
    return [block for block in blocks(kind) if block.page.name == page]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder in which build/ is the checkout's."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "build").symlink_to(ROOT / "build")
    return place


def test_the_shown_answer_of_detect_is_the_real_one(folder: Path) -> None:
    (shown,) = of("tutorial.md", "json")
    (command,) = (block.text for block in of("tutorial.md", "sh") if block.text.strip().endswith("--json"))
    answer = json.loads(subprocess.run(called(command), cwd=folder, capture_output=True, check=True).stdout)
    said = json.loads(shown.text)
    (ours,), (theirs,) = answer.pop("faces"), said.pop("faces")
    assert answer == said
    # Other processors round otherwise.
    assert ours["box"] == pytest.approx(theirs["box"], abs=1)
    assert ours["score"] == pytest.approx(theirs["score"], abs=0.01)
    for mark, shown_mark in zip(ours["landmarks"], theirs["landmarks"], strict=True):
        assert mark == pytest.approx(shown_mark, abs=1)


def called(command: str) -> list[str]:
    words = shlex.split(command)
    assert words[0] == ".venv/bin/visavis"
    return [str(PROGRAM), *words[1:]]


def test_detect_over_a_folder_writes_what_the_tutorial_says(folder: Path) -> None:
    (command,) = (block.text for block in of("tutorial.md", "sh") if "--anonymize" in block.text)
    subprocess.run(called(command), cwd=folder, capture_output=True, check=True)
    for name in ("boxes", "hidden"):
        assert sorted(path.name for path in (folder / "out" / name).iterdir()) == ["face-detect.jpg", "face.jpg"]


def test_messages_can_be_followed_as_the_tutorial_says(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    (command,) = (block.text for block in of("tutorial.md", "sh") if "mosquitto_sub" in block.text)
    words = shlex.split(command.replace("-p 1883", f"-p {appliance.mqtt_port}"))
    answer = subprocess.run([*words, "-C", "1", "-W", "30"], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["camera"] == "demo"
    python_blocks = of("tutorial.md", "python") + of("python-client.md", "python")
    assert len(python_blocks) >= 6
    for block in python_blocks:
        run_block(block, appliance)


def run_block(block: Block, appliance: RunningAppliance) -> None:
    """Run a script of a page: to its end, or for one line where it goes on for ever."""
    text = re.sub(r'Broker\("127\.0\.0\.1"\)', f'Broker("127.0.0.1", {appliance.mqtt_port})', block.text)
    out = appliance.file.parent / "script.out"
    with out.open("w") as file:
        process = subprocess.Popen([sys.executable, "-u", "-c", text], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    endless = "visavis.client" in text and FOR_EVER.search(text) and "break" not in text
    if endless:
        until(lambda: out.read_text() or process.poll() is not None, f"{block} says nothing", SCRIPT_LIMIT_S)
        process.kill()
    code = process.wait(SCRIPT_LIMIT_S)
    assert code in ((-9,) if endless else (0,)), f"{block}: {out.read_text()}"
    assert out.read_text() or "print" not in text, f"{block} says nothing"
    assert "Traceback" not in out.read_text(), f"{block}: {out.read_text()}"
