# SPDX-License-Identifier: Apache-2.0
"""`visavis watch` against a real broker."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.brokers import PASSWORD, USER, mosquitto, publish
from tests.e2e.speaking import event
from tests.ports import free_port
from tests.unit.command import PROGRAM, complaints, visavis
from tests.waiting import HANG_S, until

LINE = "21:00:00.123+01:00  porch/door  1 face    13.4 ms  [412, 80, 96, 122] 0.97"


def payload(camera: str = "door", faces: int = 1) -> dict[str, Any]:
    face = {"box": [412.0, 80.5, 96.2, 121.7], "score": 0.97, "track": 17}
    stages = ("capture", "queue", "handoff", "infer", "publish")
    return {
        "schema": 1,
        "device": "porch",
        "camera": camera,
        "frame": 1234,
        "captured_at": "2026-11-24T20:00:00.123Z",
        "width": 1280,
        "height": 720,
        "model": "centerface",
        "faces": [face] * faces,
        "latency_ms": {**dict.fromkeys(stages, 0.1), "total": 13.4},
        "dropped": dict.fromkeys(("superseded", "no_slot", "aborted", "abandoned"), 0),
    }


def topic(camera: str = "door") -> str:
    return f"visavis/porch/{camera}/detections"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A broker that takes everybody."""
    number = free_port()
    with mosquitto(tmp_path, number):
        yield number


class Watch:
    """A running `visavis watch` and what it has said so far."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.out, self.errors = folder / "watch.out", folder / "watch.errors"
        command = [str(PROGRAM), "watch", *words]
        with self.out.open("w") as out, self.errors.open("w") as errors:
            self.process = subprocess.Popen(command, stdout=out, stderr=errors, env={**os.environ, "TZ": "CET-1"})

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    def wait_for(self, publish_one: Callable[[], None], count: int = 1) -> list[str]:
        """Publish until `count` lines are there: nobody says when the subscription stands."""

        def enough() -> bool:
            publish_one()
            assert self.process.poll() is None, self.errors.read_text()
            return len(self.lines()) >= count

        until(enough, lambda: f"{len(self.lines())} lines of {count}")
        return self.lines()

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(HANG_S)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def start(*words: str) -> Watch:
        started.append(Watch(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def send(port: int, camera: str = "door") -> Callable[[], None]:
    return lambda: publish(port, topic(camera), json.dumps(payload(camera)))


def test_each_message_is_one_line_and_ctrl_c_ends_with_0(watch: Callable[..., Watch], port: int) -> None:
    running = watch("--port", str(port))
    assert running.wait_for(send(port))[0] == LINE
    assert running.end() == 0
    assert running.errors.read_text() == ""


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_although_nobody_takes_what_it_prints(told: signal.Signals, port: int) -> None:
    command = [str(PROGRAM), "watch", "--port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pipe = running.stdout.fileno()
        room = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
        long = json.dumps(payload() | {"model": "x" * (room + 1000)})

        def waits() -> bool:
            publish(port, topic(), long)
            return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder) == room

        until(waits, "it prints without an end")
        running.send_signal(told)
        assert running.wait(HANG_S) == 0


def test_json_is_the_message_as_it_is(watch: Callable[..., Watch], port: int) -> None:
    running = watch("--host", f"mqtt://127.0.0.1:{port}", "--json")
    assert json.loads(running.wait_for(send(port))[0]) == payload()


def test_only_the_named_camera_is_shown(watch: Callable[..., Watch], port: int) -> None:
    running = watch("--port", str(port), "--camera", "yard")

    def send_both() -> None:
        send(port, "door")()
        send(port, "yard")()

    assert all("porch/yard" in line for line in running.wait_for(send_both, 3))


@pytest.mark.parametrize("stranger", ["no json", "[]", '{"schema": 2}', '"text"', ""])
def test_what_is_no_detections_message_is_said_and_left_out(
    stranger: str, watch: Callable[..., Watch], port: int
) -> None:
    running = watch("--port", str(port))
    running.wait_for(send(port))
    publish(port, topic(), stranger)
    send(port, "yard")()
    until(lambda: any("porch/yard" in line for line in running.lines()), lambda: str(running.lines()))
    words = f"visavis: a message on {topic()} is not one that this version reads: left out\n"
    assert running.errors.read_text() == words


def test_an_empty_message_is_no_event(watch: Callable[..., Watch], port: int) -> None:
    running = watch("--port", str(port), "--events")
    happened = event(1)

    def both() -> None:
        publish(port, "visavis/porch/events", "")
        publish(port, "visavis/porch/events", happened)

    assert len(running.wait_for(both, 2)) >= 2
    assert running.end() == 0
    assert running.errors.read_text() == ""


def test_it_comes_back_after_the_broker_was_away(watch: Callable[..., Watch], tmp_path: Path) -> None:
    port = free_port()
    with mosquitto(tmp_path, port):
        running = watch("--port", str(port))
        seen = len(running.wait_for(send(port)))
    with mosquitto(tmp_path, port):
        running.wait_for(send(port), seen + 3)
    assert running.end() == 0


def test_no_broker_is_said_with_the_remedy() -> None:
    port = free_port()
    answer = visavis("watch", "--port", str(port))
    assert answer.returncode == 1
    (line,) = complaints(answer)
    assert line.startswith(f"visavis: no broker answers at 127.0.0.1:{port}, ")
    assert line.endswith(": is it running, is the port right?")


def test_a_broker_that_wants_a_password_gets_it_from_a_file(watch: Callable[..., Watch], tmp_path: Path) -> None:
    port, secret = free_port(), tmp_path / "secret"
    with mosquitto(tmp_path, port, password=PASSWORD):
        for words in ([], ["--user", USER, "--password-file", str(secret)]):
            secret.write_text("wrong\n")
            answer = visavis("watch", "--port", str(port), *words)
            assert answer.returncode == 1
            sentence = f"the broker at 127.0.0.1:{port} refuses us, Not authorized: check user and password"
            assert complaints(answer) == [f"visavis: {sentence}"]
        secret.write_text(f"{PASSWORD}\n")
        running = watch("--port", str(port), "--user", USER, "--password-file", str(secret))
        signed = ("-u", USER, "-P", PASSWORD)
        assert running.wait_for(lambda: publish(port, topic(), json.dumps(payload()), *signed))[0] == LINE


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    answer = visavis("watch", "--user", "me", "--password-file", tmp_path / "gone")
    assert answer.returncode == 1
    sentence = f"visavis: cannot read the password in {tmp_path / 'gone'}, No such file or directory"
    assert complaints(answer) == [sentence]


def test_tls_needs_a_certificate_that_we_trust(watch: Callable[..., Watch], tmp_path: Path) -> None:
    port, pem = free_port(), tmp_path / "broker.pem"
    with mosquitto(tmp_path, port, tls=True):
        url = f"mqtts://127.0.0.1:{port}"
        stranger = visavis("watch", "--host", url)
        assert stranger.returncode == 1
        assert "certificate verify failed" in complaints(stranger)[0]
        missing = visavis("watch", "--host", url, "--ca", tmp_path / "gone.pem")
        assert missing.returncode == 1
        sentence = f"visavis: cannot read the certificates in {tmp_path / 'gone.pem'}, No such file or directory"
        assert complaints(missing) == [sentence]
        running = watch("--host", url, "--ca", str(pem))
        trusting = ("--cafile", str(pem))
        assert running.wait_for(lambda: publish(port, topic(), json.dumps(payload()), *trusting))[0] == LINE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "argument --port: '0' is not a number from 1 to 65535"),
        (["--port", "abc"], "argument --port: 'abc' is not a number from 1 to 65535"),
        (["--host", "http://box"], "visavis: --host http://box is not an address: write a host, or mqtt://host:port"),
        (["--host", "mqtt://box:99999"], "visavis: --host mqtt://box:99999 is not an address"),
        (["--host", "mqtt://"], "visavis: --host mqtt:// is not an address"),
        (
            ["--ca", "ca.pem"],
            "visavis: --ca has no use without an encrypted connection: let --host begin with mqtts://",
        ),
        (["--host", "ws://box", "--cert", "a", "--key", "b"], "visavis: --cert has no use without an encrypted"),
        (["--host", "mqtts://box", "--cert", "a"], "visavis: --cert has no use without --key: give both or neither"),
        (["--host", "mqtts://box", "--key", "a"], "visavis: --key has no use without --cert: give both or neither"),
        (["--password-file", "a"], "visavis: --password-file has no use without --user: give both or neither"),
        (["--user", os.fsdecode(b"caf\xe9")], "visavis: --user is nothing that MQTT can carry: give UTF-8 of at most"),
        (["--user", "x" * 65_536], "visavis: --user is nothing that MQTT can carry: give UTF-8 of at most 65535 bytes"),
        (["--device", "x" * 33], f"argument --device: '{'x' * 33}' cannot be one level of a topic: use 1 to 32 of"),
        (
            ["--camera", "a/b"],
            "argument --camera: 'a/b' cannot be one level of a topic: use 1 to 32 of a-z 0-9 _ - or +",
        ),
    ],
)
def test_wrong_use_is_2(words: list[str], said: str) -> None:
    answer = visavis("watch", *words)
    assert answer.returncode == 2
    assert said in answer.stderr
