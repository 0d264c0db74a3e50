# SPDX-License-Identifier: Apache-2.0
"""`visavis fleet` and the table of `visavis watch` against a real broker."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest
from visavis.cli import main

from tests.e2e.brokers import mosquitto, publish
from tests.e2e.speaking import KEPT, event, info, introduce, stats
from tests.e2e.test_watch import Watch
from tests.ports import free_port
from tests.unit.command import PROGRAM, complaints, visavis
from tests.waiting import until


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    number = free_port()
    with mosquitto(tmp_path, number):
        yield number


def fleet(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    return visavis("fleet", "--port", str(port), "--wait", "30", *words)


def test_the_report_names_every_device_and_fails_for_one_that_is_away(port: int) -> None:
    introduce(port, "attic")
    introduce(port, "cellar", online=False)
    publish(port, "visavis/cellar/door/status", "online", *KEPT)  # as it was when the power went
    publish(port, "visavis/attic/stats", stats(29.4), *KEPT)
    answer = fleet(port, "--json")
    attic, cellar = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert (attic["device"], attic["online"], attic["version"], attic["backend"]) == (
        "attic",
        True,
        "0.1.0",
        "onnxruntime fp32",
    )
    assert (attic["cameras"], attic["cameras_offline"], attic["seen_at"]) == (["door"], [], None)
    assert (cellar["device"], cellar["online"], cellar["cameras_offline"]) == ("cellar", False, ["door"])


def test_a_camera_of_which_nothing_is_heard_is_not_there(port: int) -> None:
    introduce(port, "attic")
    publish(port, "visavis/attic/info", info(cameras=["door", "yard"]), *KEPT)
    publish(port, "visavis/attic/stats", stats(29.4), *KEPT)
    answer = visavis("fleet", "--port", str(port), "--wait", "10", "--json")
    (attic,) = json.loads(answer.stdout)
    assert (attic["cameras"], attic["cameras_offline"], answer.returncode) == (["door", "yard"], ["yard"], 1)


def test_what_is_no_broker_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        answer = visavis("fleet", "--port", str(port), "--wait", "0.5")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert complaints(answer) == [
        f"visavis: the broker at 127.0.0.1:{port} answers no subscription: is this the port of an MQTT broker, "
        "and does it want TLS (mqtts://)?"
    ]


def heard_live(port: int, *words: str) -> str:
    """The report on an attic that tells its figures while the report listens, and on a cellar that says nothing."""
    introduce(port, "attic")
    introduce(port, "cellar", online=False)
    command = [str(PROGRAM), "fleet", "--port", str(port), "--wait", "30", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None

        def ended() -> bool:
            publish(port, "visavis/attic/stats", stats(29.4))  # nobody says when the subscription stands
            return process.poll() is not None

        until(ended, "it waits for the figures")
        return process.stdout.read()


def test_the_report_says_when_a_device_was_heard_last(port: int) -> None:
    begin = datetime.now(timezone.utc).replace(microsecond=0)
    attic, cellar = json.loads(heard_live(port, "--json"))
    assert begin <= datetime.fromisoformat(attic["seen_at"]) <= datetime.now(timezone.utc)
    assert cellar["seen_at"] is None


def test_the_table_says_how_long_ago_that_was(port: int) -> None:
    attic, cellar = re.findall("(?:attic|cellar) .*", heard_live(port))
    assert re.search(r" \d+ s ago *$", attic)
    assert re.search(" not now *$", cellar)


def test_the_report_is_a_table_and_0_when_all_are_there(port: int) -> None:
    introduce(port, "attic")
    publish(port, "visavis/attic/stats", stats(29.4), *KEPT)
    answer = fleet(port)
    assert answer.returncode == 0
    assert re.search(r"attic +online +0\.1\.0 +centerface +onnxruntime fp32 +1 of 1 +29\.4 +41\.5", answer.stdout)


def test_what_a_device_says_of_itself_does_not_steer_the_terminal(port: int) -> None:
    introduce(port, "attic")
    publish(port, "visavis/attic/info", info("[/bold]", "[red]\x1b]0;mine\x07"), *KEPT)
    publish(port, "visavis/attic/stats", stats(29.4), *KEPT)
    assert r" [/bold]  [red]\x1b]0;mine\x07 " in fleet(port).stdout


def test_nobody_is_1_with_the_remedy(port: int) -> None:
    answer = visavis("fleet", "--port", str(port), "--wait", "10")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert complaints(answer) == [
        f"visavis: no device was heard at 127.0.0.1:{port}: is one on, are its mqtt.url and mqtt.prefix this broker's?"
    ]


@pytest.mark.parametrize("names", [["attic"], []])
def test_ctrl_c_shows_what_was_heard_so_far_and_is_130(
    names: list[str], port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        introduce(port, name)

    def show(words: str) -> None:
        if words.startswith(f"{len(names)} devices"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("visavis.cli.fleet._progress", lambda _quiet: show)
    assert main(["fleet", "--port", str(port), "--wait", "30", "--json"]) == 130
    said = capsys.readouterr()
    assert ([one["device"] for one in json.loads(said.out)], said.err) == (names, "")


def test_events_are_lines_for_people(port: int, tmp_path: Path) -> None:
    running = Watch(tmp_path, "--port", str(port), "--events")
    left = event(1, type="left", zone="step", ended_at="2026-11-24T20:00:09.456Z", dwell_ms=9_333)
    try:
        first = running.wait_for(lambda: publish(port, "visavis/porch/events", left))[0]
        assert first == "21:00:09.456+01:00  porch/door  face 17 left step after 9.3 s"
    finally:
        assert running.end() == 0


def test_what_an_event_says_does_not_steer_the_terminal(port: int, tmp_path: Path) -> None:
    running = Watch(tmp_path, "--port", str(port), "--events")
    entered = event(1, type="entered", zone="\x1b[2Jstep")
    try:
        first = running.wait_for(lambda: publish(port, "visavis/porch/events", entered))[0]
        assert first.endswith(r"face 17 entered \x1b[2Jstep")
    finally:
        assert running.end() == 0


def test_on_a_terminal_watch_is_a_table_that_renews_itself(port: int) -> None:
    introduce(port, "porch")
    screen, side = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    command = [str(PROGRAM), "watch", "--port", str(port)]
    with subprocess.Popen(command, stdout=side, stderr=subprocess.STDOUT, env=environment) as process:
        os.close(side)
        os.set_blocking(screen, False)
        seen = Screen(screen)
        until(lambda: re.search(r"porch +door +online +2 +yes +step 1", seen.text()), seen.text)
        publish(port, "visavis/porch/door/faces", "5", *KEPT)
        until(lambda: re.search(r"porch +door +online +5 +yes", seen.text()), seen.text)
        process.terminate()
        until(lambda: seen.text() and process.poll() is not None, seen.text)
        assert process.returncode == 0
    os.close(screen)


class Screen:
    """What a program has written to a terminal, without the colours."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._seen = descriptor, b""

    def text(self) -> str:
        with suppress(BlockingIOError, OSError):  # nothing new; or the program has ended
            self._seen += os.read(self._descriptor, 65_536)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._seen.decode(errors="replace"))
