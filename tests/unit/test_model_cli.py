# SPDX-License-Identifier: Apache-2.0
"""`visavis model list` and `pull` as a person or a script uses them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from visavis.models.manifest import entries, pulled_path

from tests.unit.model_files import original_file


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """The address of a mirror that has YuNet."""
    path = original_file("yunet-s")
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(path.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{path.name}"
        server.shutdown()
        thread.join()


def model(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "visavis.cli", "model", *words]
    surroundings = {**os.environ, "VISAVIS_CACHE_DIR": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)


def test_a_model_is_pulled_from_a_mirror_and_then_listed_as_here(mirror: str, tmp_path: Path) -> None:
    answer = model(tmp_path, "pull", "yunet-s", "--from", mirror, "--json")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    path = pulled_path("yunet-s", entries()["yunet-s"], tmp_path)
    assert json.loads(answer.stdout) == {"model": "yunet-s", "path": str(path), "bytes": entries()["yunet-s"].bytes}
    listed = [json.loads(line) for line in model(tmp_path, "list", "--json").stdout.splitlines()]
    assert [line["model"] for line in listed] == list(entries())
    assert {line["model"] for line in listed if line["here"]} == {"centerface", "yunet-s"}


def test_a_pulled_model_finds_faces(mirror: str, tmp_path: Path) -> None:
    model(tmp_path, "pull", "yunet-s", "--from", mirror)
    prepared = model(tmp_path, "prepare", "yunet-s", "--input", "320x256")
    assert prepared.returncode == 0, prepared.stderr
    assert model(tmp_path, "verify", "yunet-s", "--input", "320x256").returncode == 0


def test_a_terminal_shows_how_far_it_is(mirror: str, tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "visavis.cli", "model", "pull", "yunet-s", "--from", mirror]
    surroundings = {**os.environ, "VISAVIS_CACHE_DIR": str(tmp_path)}
    subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, check=True, env=surroundings)
    os.close(theirs)
    shown = b"".join(pieces(mine)).decode()
    os.close(mine)
    assert "yunet-s: 100%" in shown
    assert "232k/232k" in shown


def pieces(terminal: int) -> Iterator[bytes]:
    """What was written there, which comes a moment later and in parts, to its end."""
    with suppress(OSError):  # EIO: the other side is closed
        while True:
            yield os.read(terminal, 4_096)


def test_another_file_is_refused(mirror: str, tmp_path: Path) -> None:
    answer = model(tmp_path, "pull", "yunet-n", "--from", mirror)
    assert answer.returncode == 1
    assert "has 237823 bytes, not the 322906 of the manifest" in answer.stderr


@pytest.mark.parametrize("words", [("pull",), ("pull", "yunet-n", "yunet-s", "--from", "x"), ("pull", "--nonsense")])
def test_wrong_use_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    answer = model(tmp_path, *words)
    assert answer.returncode == 2
    assert answer.stderr


def test_a_list_for_people_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    lines = model(tmp_path, "list").stdout.splitlines()
    assert lines[0].split() == ["centerface", "landmarks", "7.0", "MiB", "MIT", "here"]
    assert lines[1].endswith("visavis model pull yunet-n")


@pytest.mark.parametrize("action", ["list", "pull"])
def test_help_has_an_example(action: str, tmp_path: Path) -> None:
    answer = model(tmp_path, action, "--help")
    assert answer.returncode == 0
    assert f"  visavis model {action}" in answer.stdout
