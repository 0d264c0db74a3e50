# SPDX-License-Identifier: Apache-2.0
"""What the playbooks ask of a device before and after an update, at pages that say what a test wants to hear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import repeat
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.ansible_programs import PLAYBOOKS, Ansible
from tests.ports import free_port
from tests.unit.served import address_of, served

# A play takes a minute where three are at work.
pytestmark = pytest.mark.timeout(600)

FRAMES = {"captured": 10, "inferred": 7, "in_flight": 1, "dropped": {"superseded": 2}}
LOST = {"version": "0.1.0", "cameras": [{"id": "door", "frames": {**FRAMES, "captured": 11}}]}
WELL = {"version": "0.1.0", "cameras": [{"id": "door", "frames": FRAMES}]}


def ready(page: str, limit_s: int, token: Path) -> subprocess.CompletedProcess[str]:
    """What the playbooks ask of a device."""
    command = [sys.executable, str(PLAYBOOKS / "roles/visavis/files/ready.py"), page, str(limit_s), str(token)]
    environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{free_port()}"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@contextmanager
def device_that_says(codes: Iterator[int], status: object = None, token: str = "") -> Iterator[str]:
    """A page whose /readyz answers with one code after the other, and which tells its status to this token."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        said = request.headers.get("Authorization", "")
        told = 200 if not token or said == f"Bearer {token}" else 401
        request.send_response(next(codes) if request.path == "/readyz" else told)
        request.end_headers()
        request.wfile.write(json.dumps(status).encode())

    with served(answer) as server:
        yield address_of(server)


def test_a_device_works_when_it_says_so_in_time(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with device_that_says(iter((503, 503, 200)), {"version": "0.1.0"}) as page:
        done = ready(page, 600, token)
        assert (done.returncode, json.loads(done.stdout)) == (0, {"version": "0.1.0"}), done.stderr
    with device_that_says(repeat(503)) as page:
        said = ready(page, 0, token)
        assert (said.returncode, said.stderr) == (1, f"{page}/readyz says 503 Service Unavailable\n")
    page = f"http://127.0.0.1:{free_port()}"
    said = ready(page, 0, token)
    assert said.returncode == 1
    assert said.stderr.startswith(f"nobody answers at {page}/readyz: ")


def test_a_device_that_wants_logins_tells_its_status_to_the_token_of_root(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with device_that_says(repeat(200), {"version": "0.1.0"}, "OFROOT234567OFROOT234567AB") as page:
        refused = ready(page, 0, token)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"{page}/api/v1/status says 401 Unauthorized; see in `journalctl -u visavis-")
        token.write_text("OFROOT234567OFROOT234567AB")
        assert json.loads(ready(page, 0, token).stdout) == {"version": "0.1.0"}


@pytest.mark.parametrize("kind", ["a pipe", "a link"])
def test_what_lies_in_the_place_of_a_token_neither_holds_up_nor_is_shown(kind: str, tmp_path: Path) -> None:
    """The folder is the daemon's, and root asks."""
    token, other = tmp_path / "token", tmp_path / "other"
    other.write_text("a-secret-of-root")
    if kind == "a pipe":
        os.mkfifo(token)
    else:
        token.symlink_to(other)
    with device_that_says(repeat(200), {"version": "0.1.0"}, "a-secret-of-root") as page:
        said = ready(page, 0, token)
    assert (said.returncode, said.stdout) == (1, "")
    assert str(token) in said.stderr
    assert "a-secret-of-root" not in said.stderr


@pytest.mark.parametrize("release", ["ansible", "ansible-oldest"])
@pytest.mark.parametrize("token", ["", "OFROOT234567OFROOT234567AB"], ids=["open", "logins"])
def test_the_gate_sees_the_version_and_the_frames_also_where_a_login_is_needed(
    token: str, release: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("OFROOT234567OFROOT234567AB")
    ansible = with_a_play(tmp_path, release)
    for status, installed, words in (
        (WELL, "0.1.0+trixie", ""),
        (WELL, "0.2.0+trixie", "version 0.1.0, 0.2.0+trixie is installed; cameras with lost frames: []"),
        (LOST, "0.1.0+trixie", "cameras with lost frames: ['door']"),
    ):
        with device_that_says(repeat(200), status, token) as page:
            given = {"visavis_url": page, "visavis_ready_s": 0, "visavis_token_file": str(tmp_path / "token")}
            given |= {"visavis_version": "0.1.0", "visavis_installed": installed, "ansible_connection": "local"}
            played = ansible.play("-i", tmp_path / "hosts.yml", tmp_path / "play.yml", "-e", json.dumps(given))
        assert (played.code != 0) == bool(words), played.said
        assert words in played.said, played.said


def with_a_play(folder: Path, release: str) -> Ansible:
    """Write a play of the gate alone, for one host; the release that plays it."""
    (folder / "hosts.yml").write_text(yaml.safe_dump({"visavis": {"hosts": {"porch": {}}}}))
    gate = {"ansible.builtin.import_role": {"name": "visavis", "tasks_from": "gate"}}
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "visavis", "gather_facts": False, "tasks": [gate]}]))
    environment = {"ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    return Ansible.installed(release, folder / "home", environment)
