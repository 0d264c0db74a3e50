# SPDX-License-Identifier: Apache-2.0
"""The command by which the role has a device check its new settings before they land: the real one, on a folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.ansible_programs import PLAYBOOKS

LOGIN = """\
[mqtt]
url = "mqtt://127.0.0.1:1883"
user = "porch"
password_file = "{}"
"""


def checked(place: Path, new: Path) -> subprocess.CompletedProcess[str]:
    """What comes of the new settings in a folder that stands for /etc/visavis."""
    steps = yaml.safe_load((PLAYBOOKS / "roles/visavis/tasks/settings.yml").read_text())
    (command,) = [step["ansible.builtin.template"]["validate"] for step in steps if "ansible.builtin.template" in step]
    command = command.replace("{{ visavis_credstore }}", str(place / "store")).replace("/etc/visavis", str(place))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = [str(new) if word == "%s" else word for word in shlex.split(command)]
    return subprocess.run(words, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A device with settings of before, which nothing can be done with, and a password beside them."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "config.toml").write_text("broken")
    (tmp_path / "door.password").write_text("secret\n")
    return tmp_path


def test_files_beside_the_settings_are_found_and_others_are_not(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    new = tmp_path_factory.mktemp("new") / "config.toml"
    new.write_text(LOGIN.format("door.password"))
    said = checked(place, new)
    assert said.returncode == 0, said.stdout + said.stderr
    new.write_text(LOGIN.format("gate.password"))
    said = checked(place, new)
    assert said.returncode != 0
    assert "mqtt.password_file: names no file" in said.stdout + said.stderr
    assert (place / "config.toml").read_text() == "broken", "it is not in force yet"


def test_what_the_device_has_in_conf_d_counts(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    new = tmp_path_factory.mktemp("new") / "config.toml"
    new.write_text("")
    (place / "conf.d/broker.toml").write_text(LOGIN.format("gate.password"))
    said = checked(place, new)
    assert said.returncode != 0
    assert "mqtt.password_file: names no file" in said.stdout + said.stderr


def test_the_first_settings_of_a_device_land(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "new.toml").write_text("")
    said = checked(tmp_path / "etc", tmp_path / "new.toml")
    assert said.returncode == 0, said.stdout + said.stderr
