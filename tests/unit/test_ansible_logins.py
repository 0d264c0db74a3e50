# SPDX-License-Identifier: Apache-2.0
"""How the playbooks write who may log in: into a folder in which the daemon's user may put anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.ansible_programs import PLAYBOOKS, Ansible, Played
from tests.unit.test_ansible_roles import tasks

pytestmark = pytest.mark.timeout(600)

SCRIPT = PLAYBOOKS / "roles/visavis/files/logins.sh"
LOGINS = "# who may log in\n[account.anna]\nrole = 'admin'\n\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The daemon's folder `var`, what may log in, and a play that gives it to us instead of to the daemon's user."""
    (tmp_path / "var").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "logins.sh").symlink_to(SCRIPT)
    (tmp_path / "credentials.toml").write_text(LOGINS)
    steps = {one["name"]: one for one in tasks(SCRIPT.parents[1] / "tasks/settings.yml")}
    write, see = steps["Write who may log in"], steps["See that they are written"]
    words = write["ansible.builtin.command"]["argv"]
    write["ansible.builtin.command"]["argv"] = [*words[words.index("/bin/sh") : -2], str(tmp_path / "var"), words[-1]]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [write, see]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    return tmp_path


def played(ansible: Ansible, place: Path, *words: str) -> Played:
    given = {"visavis_credentials_file": str(place / "credentials.toml"), "ansible_connection": "local"}
    return ansible.play("-i", "localhost,", place / "play.yml", "-e", json.dumps(given), *words)


@pytest.mark.parametrize("release", ["ansible", "ansible-oldest"])
def test_who_may_log_in_is_written_once_and_stands_in_nothing_that_is_said(
    release: str, place: Path, tmp_path: Path
) -> None:
    ansible = Ansible.installed(release, tmp_path, {"ANSIBLE_PYTHON_INTERPRETER": sys.executable})
    look = played(ansible, place, "--check")
    assert (look.code, look.changed, list((place / "var").iterdir())) == (0, {"localhost": 1}, [])
    first, second = played(ansible, place), played(ansible, place)
    assert (first.code, first.changed, second.code, second.changed) == (0, {"localhost": 1}, 0, {"localhost": 0})
    assert "anna" not in first.said + second.said
    written = place / "var" / "credentials.toml"
    assert (written.read_text(), written.stat().st_mode & 0o777) == (LOGINS, 0o600)
    assert list((place / "var").iterdir()) == [written]
    assert played(ansible, place, "--check").changed == {"localhost": 0}


@pytest.mark.parametrize("release", ["ansible", "ansible-oldest"])
def test_why_it_cannot_be_written_is_said_and_what_was_to_be_is_not(release: str, place: Path, tmp_path: Path) -> None:
    ansible = Ansible.installed(release, tmp_path, {"ANSIBLE_PYTHON_INTERPRETER": sys.executable})
    (place / "var" / "credentials.toml").mkdir()
    said = played(ansible, place)
    assert said.code != 0
    assert "who may log in at localhost is not written: mv: cannot overwrite directory" in said.said
    assert "anna" not in said.said


def ran(folder: Path) -> str:
    command = ["/bin/sh", str(SCRIPT), str(folder), "write"]
    said = subprocess.run(command, input=LOGINS, capture_output=True, text=True, check=True)
    return said.stdout


@pytest.mark.parametrize("folder", ["var", "nowhere"])
@pytest.mark.parametrize("mode", ["look", "write"])
def test_who_hands_over_a_long_list_finds_a_reader_whatever_comes_of_it(folder: str, mode: str, place: Path) -> None:
    command = ["/bin/sh", str(SCRIPT), str(place / folder), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as script:
        assert script.stdin
        script.stdin.write(b"#" * (4 << 20))  # far more than a pipe holds
        script.stdin.close()
        assert script.stdout
        said = script.stdout.read()
    works = folder == "var" or mode == "look"
    assert (script.returncode == 0, said) == (works, b"written\n" if works else b"")


@pytest.mark.parametrize("name", ["credentials.toml", ".credentials.new"])
@pytest.mark.parametrize("leads_to", ["folder", "file"])
def test_no_link_is_followed(name: str, leads_to: str, place: Path) -> None:
    (place / "folder").mkdir()
    (place / "file").write_text("of somebody else")
    (place / "var" / name).symlink_to(place / leads_to)
    assert ran(place / "var") == "written\n"
    assert (place / "var" / "credentials.toml").read_text() == LOGINS
    assert not (place / "var" / "credentials.toml").is_symlink()
    assert (list((place / "folder").iterdir()), (place / "file").read_text()) == ([], "of somebody else")


def test_rights_that_are_too_wide_are_narrowed(place: Path) -> None:
    assert ran(place / "var") == "written\n"
    (place / "var" / "credentials.toml").chmod(0o644)
    assert ran(place / "var") == ""
    assert (place / "var" / "credentials.toml").stat().st_mode & 0o777 == 0o600
