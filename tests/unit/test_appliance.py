# SPDX-License-Identifier: Apache-2.0
"""What `visavis run` and `serve` tell before they follow the daemon, and what the options of serve stand for."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from visavis.appliance import Appliance, RunSettings, WrongPort, first_look, follow
from visavis.cli.program import parser_for
from visavis.cli.serve import overrides
from visavis.config_gen import MQTT, Camera, Config, Detector, Web
from visavis.daemon import ConfigRefused, effective_config
from visavis.greeting import greet, subscribe_command
from visavis.models.configured import check_model

from tests.unit.command import visavis


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://box", "mosquitto_sub -h box -p 1883 -t 'a/b'"),
        ("mqtts://box:7", "mosquitto_sub -h box -p 7 -t 'a/b'"),
        ("wss://box/mqtt", "'a/b' at wss://box/mqtt"),
    ],
)
def test_the_greeting_fits_the_broker(url: str, said: str) -> None:
    assert subscribe_command(url, "a/b") == said


@pytest.mark.parametrize(
    ("listen", "https", "cameras", "said"),
    [
        ("127.0.0.1:80", False, True, ["picture", "try", "stop"]),
        ("127.0.0.1:80", True, False, ["try", "stop"]),
        ("0.0.0.0:80", False, True, ["picture", "try", "stop"]),
        ("0.0.0.0:80", True, True, ["picture", "try", "phones", "stop"]),
    ],
)
def test_the_greeting_says_what_can_be_reached(
    listen: str, https: bool, cameras: bool, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    camera = (Camera(id="door", source="demo:"),) if cameras else ()
    greet(Config(web=Web(listen=listen, https=https), mqtt=MQTT(url=""), camera=camera))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == said


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], {}),
        (["--https"], {"VISAVIS_WEB__HTTPS": "true"}),
        (
            ["--lan"],
            {
                "VISAVIS_WEB__HTTPS": "true",
                "VISAVIS_WEB__LISTEN": "0.0.0.0:8123",
                "VISAVIS_AUTH__ENABLED": "true",
            },
        ),
    ],
)
def test_serve_stands_for_settings(options: list[str], wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HTTP_PORT", "8123")
    args = parser_for(["serve"]).parse_args(["serve", *options])
    assert dict(overrides(args, RunSettings.from_environment(None, None))) == wanted


def test_serve_lets_others_in_at_the_port_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[web]\nlisten = "127.0.0.1:8456"\n')
    args = parser_for(["serve"]).parse_args(["serve", "--lan", "--config", str(file)])
    assert dict(overrides(args, RunSettings.from_environment(file, None)))["VISAVIS_WEB__LISTEN"] == "0.0.0.0:8456"


@pytest.mark.parametrize("name", ['my "own" clip.mp4', "🎥 ünd.mp4"])
def test_a_film_of_any_name_is_a_first_look(name: str, tmp_path: Path) -> None:
    settings = RunSettings(config=None, backend=None, camera=str(tmp_path / name), http_port=8080, mqtt_port=1883)
    (camera,) = effective_config(first_look(settings, tmp_path), {}).camera
    assert camera.source == f"file:{tmp_path / name}"


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (
            "rtsp://viewer:secret@192.0.2.7/",
            r"^CAMERA: an address with user or password ends up in logs;.*rtsp-camera\.md$",
        ),
        ("http://192.0.2.7/", r"^CAMERA: no such kind of camera; begin with v4l2:.*push:$"),
    ],
)
def test_a_camera_that_is_refused_is_called_by_its_variable(camera: str, words: str) -> None:
    settings = RunSettings(config=None, backend="fake", camera=camera, http_port=8080, mqtt_port=1883)
    with pytest.raises(ConfigRefused, match=words):
        Appliance(settings).serve(threading.Event())


def test_a_backend_that_there_is_not_starts_nothing() -> None:
    settings = RunSettings(config=None, backend="nonsense", camera="", http_port=8080, mqtt_port=1883)
    with pytest.raises(ConfigRefused, match='"nonsense" is not possible; choose one of "auto", "tensorrt"'):
        Appliance(settings).serve(threading.Event())


@pytest.mark.parametrize("backend", ["onnxruntime", "kserve"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "nonsense",
            r"^detector\.model: no model is called 'nonsense': choose from .* or `visavis model import FILE\.onnx`$",
        ),
        ("yunet-n", r"^detector\.model: model yunet-n is not on this machine: visavis model pull yunet-n$"),
        ("mine.onnx", r"^detector\.model: no file mine\.onnx is here: check the path$"),
    ],
)
def test_a_model_that_is_not_here_starts_nothing(
    model: str, words: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_DETECTOR__MODEL", model)
    monkeypatch.setenv("VISAVIS_DETECTOR__KSERVE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(config=None, backend=backend, camera="", http_port=8080, mqtt_port=1883)
    monkeypatch.setattr("visavis.appliance.managed_broker", started)
    with pytest.raises(ConfigRefused, match=words):
        Appliance(settings).serve(threading.Event())


def started(*_: object) -> NoReturn:
    pytest.fail("a part was started")


@pytest.mark.parametrize(("model", "backend"), [("auto", "auto"), ("auto", "kserve"), ("none", "fake")])
def test_a_model_that_may_be_there_is_not_refused(
    model: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    check_model(Detector(model=model, backend=backend))


@pytest.mark.parametrize("words", [["run"], ["serve"], ["serve", "--lan", "--config", "config.toml"]])
@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_stop_while_settings_are_read_is_one_that_is_wanted(words: list[str], signal: str, tmp_path: Path) -> None:
    reader = tmp_path / "visavis-capture"
    reader.write_text(f"#!/bin/sh\nkill -{signal} $$\n")
    reader.chmod(0o755)
    answer = visavis(*words, variables={"VISAVIS_CAPTURE": str(reader)})
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("text", ["0", "65536", "0080000", "8" * 5_000, "eight", "-1", "٨٠"])
def test_what_is_no_port_is_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HTTP_PORT", text)
    with pytest.raises(WrongPort, match="set it to a number from 1 to 65535"):
        RunSettings.from_environment(None, None)


def test_figures_for_which_there_is_no_room_end_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, asked = threading.Event(), list[int]()

    def figures(*_: str) -> list[str]:
        asked.append(len(asked))
        threading.Timer(0.1, stop.set).start()
        return ["door"]

    monkeypatch.setattr("visavis.appliance.FIGURES_PERIOD_S", 0.01)
    monkeypatch.setattr("visavis.appliance.figures", figures)
    with Path("/dev/full").open("w") as full, subprocess.Popen(["sleep", "60"]) as daemon:
        monkeypatch.setattr(sys, "stdout", full)
        try:
            follow(daemon, Config(), "", stop)
        finally:
            daemon.kill()
        print("nothing of what is written later fails", flush=True)
    said = "visavis: no figures are shown any more, No space left on device; everything else goes on\n"
    assert (capsys.readouterr().err, stop.is_set(), len(asked)) == (said, True, 1)
