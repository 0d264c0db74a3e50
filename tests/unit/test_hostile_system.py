# SPDX-License-Identifier: Apache-2.0
"""The command line where the system around it does not play along: full disks, closed streams, odd names, no home."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from visavis.settings import SYSTEM_CACHE, default_cache_dir

from tests.unit.command import PROGRAM, complaints, visavis
from tests.unit.face_pictures import gocv_paths

# What a pipe or a file is written with; the variable is set where people look at logs.
BUFFERED = {"PYTHONUNBUFFERED": ""}


def into(stdout: int, *words: str) -> tuple[int, list[str]]:
    """Run visavis with its output going there: its exit code and complaints."""
    command = [str(PROGRAM), *words]
    answer = subprocess.run(
        command, env={**os.environ, **BUFFERED}, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    return answer.returncode, answer.stderr.splitlines()


@pytest.mark.parametrize("words", [("model", "list"), ("--help",)])
def test_output_for_which_there_is_no_room_is_a_failure_with_its_reason(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        assert into(full.fileno(), *words) == (1, ["visavis: No space left on device"])


@pytest.mark.parametrize("words", [("model", "list"), ("--help",)])
def test_a_reader_that_has_enough_is_no_reason_to_complain(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert into(writing, *words) == (1, [])
    os.close(writing)


def without(stream: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run visavis with a closed stream, as some who start programs leave it."""
    command = ["sh", "-c", f'exec "$0" "$@" {stream}', PROGRAM, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_complaint_for_which_there_is_no_room_changes_no_exit_code() -> None:
    command = [str(PROGRAM), "watch", "--port", "1"]
    with Path("/dev/full").open("wb") as full:
        answer = subprocess.run(command, env={**os.environ, **BUFFERED}, stderr=full, check=False)
    assert answer.returncode == 1


def test_a_closed_stream_is_one_that_nobody_looks_at() -> None:
    answer = without(">&-", "watch", "--port", "1")
    sentence = "no broker answers at 127.0.0.1:1, Connection refused: is it running, is the port right?"
    assert answer.stderr == f"visavis: {sentence}\n"
    assert answer.returncode == 1
    answer = without("2>&-", "detect", gocv_paths()[0])
    assert (answer.returncode, answer.stderr) == (0, "")
    assert ": 1 face\n" in answer.stdout


def test_ctrl_c_while_a_command_is_still_loaded_ends_it_quietly(tmp_path: Path) -> None:
    # What starts in the background of a shell ignores SIGINT, and so would we.
    ask = "signal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)\n"
    (tmp_path / "paho.py").write_text(f"import signal\n{ask}")
    answer = visavis("watch", variables=found_first(tmp_path))
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", "")
    # Python's own argparse is what every command is loaded with.
    (tmp_path / "argparse.py").write_text(f"import signal\n{ask}")
    answer = visavis("--version", variables=found_first(tmp_path))
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", "")


def found_first(folder: Path) -> dict[str, str]:
    """Variables that let Python find modules in `folder` before any other."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


def test_a_package_that_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "paho.py").write_text("")  # a package of that name, without what is needed
    answer = visavis("watch", variables={"PYTHONPATH": str(tmp_path)})
    assert answer.returncode == 1
    (complaint,) = complaints(answer)
    assert complaint.startswith("visavis: No module named 'paho.mqtt'")
    assert complaint.endswith("install visavis again, or run `make setup` in a checkout")


@pytest.mark.parametrize(("encoding", "dash"), [("utf-8:strict", "–"), ("ascii:strict", "\\u2013")])
def test_a_file_may_have_any_name_and_does_not_steer_the_terminal(encoding: str, dash: str, tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"caf\xe9\x1b]0;x\xe2\x80\x93.jpg")
    picture.write_bytes(gocv_paths()[0].read_bytes())
    answer = visavis("detect", picture, tmp_path / "\x1b[2Jnone.jpg", variables={"PYTHONIOENCODING": encoding})
    assert answer.stdout.startswith(f"{tmp_path}/caf\\udce9\\x1b]0;x{dash}.jpg: 1 face\n")
    assert complaints(answer)[-1] == f"visavis: cannot read {tmp_path}/\\x1b[2Jnone.jpg, No such file or directory"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """OpenCV ends the process for a path that is no UTF-8."""
    kitchen = tmp_path / os.fsdecode(b"K\xfcche")
    kitchen.mkdir()
    picture = gocv_paths()[0].read_bytes()
    (kitchen / "face.jpg").write_bytes(picture)
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    for _ in range(3):
        film.write(np.zeros((64, 96, 3), np.uint8))
    film.release()
    (tmp_path / "film.avi").rename(kitchen / "film.avi")
    answer = visavis("detect", kitchen, "--json")
    assert [len(json.loads(line)["faces"]) for line in answer.stdout.splitlines()] == [1, 0, 0, 0]
    labels = kitchen / "labels.xml"
    labels.write_text("<d><image file='face.jpg'><box top='88' left='252' width='181' height='275'/></image></d>")
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--labels", labels)
    answer = visavis("model", "bench", "centerface", *words)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_program_may_say_any_name(tmp_path: Path) -> None:
    """unsquashfs says which file is none of its kind."""
    kitchen = tmp_path / os.fsdecode(b"K\xfcche")
    kitchen.mkdir()
    (kitchen / "r.img").write_text("nothing")
    words = ("--board", "rpi5", "--keys", tmp_path / "keys", "--out", tmp_path / "a.raucb")
    answer = visavis("update", "bundle", kitchen / "r.img", *words)
    assert answer.returncode == 1
    (complaint,) = complaints(answer)
    assert complaint.startswith(f"visavis: {tmp_path}/K\\udcfcche/r.img is no root image of visavis")


def test_a_user_without_a_home_gets_the_cache_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISAVIS_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)  # as in a container that runs as any number
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert default_cache_dir() == SYSTEM_CACHE


def test_a_cache_that_cannot_even_be_looked_at_is_a_sentence(tmp_path: Path) -> None:
    # As with a folder of somebody else's; but root may enter those.
    nowhere = {"VISAVIS_CACHE_DIR": str(tmp_path / ("x" * 300))}
    found = visavis("doctor", variables=nowhere)
    assert f"fail  cache        {tmp_path}/xxx" in found.stdout
    assert "File name too long: set VISAVIS_CACHE_DIR to a folder of this user" in found.stdout
    assert "warn  model        centerface can be prepared but not kept: see cache above" in found.stdout
    listed = visavis("model", "list", variables=nowhere)
    assert listed.returncode == 1
    assert complaints(listed)[0].endswith("/originals: File name too long")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "detect a.jpg --input 99999x99999",
            "argument --input: '99999x99999' is too large, a side may have 8192 pixels",
        ),
        ("worker --socket s --input 640", "argument --input: '640' is not WIDTHxHEIGHT, for example 640x480"),
        ("engine build --batch 0", "argument --batch: '0' is not a whole number of at least 1"),
        (
            "worker --socket s --watchdog-s 1.5",
            "argument --watchdog-s: '1.5' would end a worker that only waits for the daemon: choose 0 for never, "
            "or at least 5",
        ),
        ("workers many", "argument count: 'many' workers are not possible: choose 1 to 16"),
    ],
)
def test_a_number_that_cannot_be_is_wrong_use(words: str, said: str) -> None:
    answer = visavis(*words.split())
    assert (answer.returncode, complaints(answer)[-1].partition("error: ")[2]) == (2, said)


def test_a_time_that_is_none_is_said(tmp_path: Path) -> None:
    words = ("--board", "rpi5", "--version", "1.0.0", "--keys", tmp_path, "--out", tmp_path / "a.raucb")
    answer = visavis("update", "bundle", tmp_path, *words, variables={"SOURCE_DATE_EPOCH": "today"})
    assert complaints(answer) == [
        "visavis: SOURCE_DATE_EPOCH is 'today', which is not a time: set it to seconds since 1970, or unset it"
    ]
