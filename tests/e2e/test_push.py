# SPDX-License-Identifier: Apache-2.0
"""Cameras that a client feeds: shown, published and counted like any other, with one client at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import cv2
import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from tests.e2e.brokers import publish
from tests.e2e.clients import PeakMemory, metrics, send_too_much
from tests.e2e.conftest import RunningAppliance, Start, running
from tests.e2e.subscriber import subscribed
from tests.e2e.test_appliance import assert_adds_up, assert_status_adds_up, daemon_pid, schema
from tests.e2e.test_gateway import photos, pixels, turned
from tests.repo.pages import blocks
from tests.waiting import HANG_S, until

SETTINGS = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "managed"
[detector]
backend = "fake"
input = [320, 240]
[[camera]]
id = "robot"
source = "push:"
size = [640, 480]
fps = 30
privacy = "none"
"""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """It has no camera but the fed one, and is ready before anybody feeds it."""
    with running(tmp_path_factory.mktemp("push"), SETTINGS) as started:
        yield started


def address(appliance: RunningAppliance, camera: str) -> str:
    return f"ws://127.0.0.1:{appliance.http_port}/api/v1/cameras/{camera}/push"


def feed(appliance: RunningAppliance, camera: str = "robot", **options: Any) -> ClientConnection:
    """Connect as the camera's client; wait while the client of the test before is still being noticed as gone."""

    def opened() -> ClientConnection | None:
        try:
            client: ClientConnection = connect(address(appliance, camera), **options)
        except InvalidStatus as refused:
            if refused.response.status_code != 409:
                raise
            return None
        return client

    connected: ClientConnection = until(opened, "the camera stays taken")
    return connected


def answer_of(socket: Connection) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(socket.recv(HANG_S))
    jsonschema.validate(answer, schema("pushed"))
    return answer


def frame_of(socket: Connection, picture: bytes) -> int:
    """Send one picture and return the frame that it became."""
    socket.send(picture)
    answer = answer_of(socket)
    assert answer["frame"], answer
    return int(answer["frame"])


def encoded(width: int, height: int) -> bytes:
    shown = cv2.resize(pixels(photos()[0].read_bytes()), (width, height))
    return cv2.imencode(".jpg", shown)[1].tobytes()


def refused(appliance: RunningAppliance, camera: str = "robot", **options: Any) -> int:
    with pytest.raises(InvalidStatus) as told:
        connect(address(appliance, camera), **options)
    response = told.value.response
    jsonschema.validate(json.loads(response.body), schema("problem"))
    return int(response.status_code)


def test_a_fed_camera_is_published_shown_and_counted_like_any_other(appliance: RunningAppliance) -> None:
    with subscribed(appliance.mqtt_port, "visavis/box/robot/#") as seen:
        until(lambda: appliance.camera("robot")["state"] == "lost", "nobody feeds it")
        assert "/push" in appliance.camera("robot")["error"]
        before = appliance.camera("robot")["frames"]["captured"]
        with feed(appliance) as client:
            frames = [frame_of(client, encoded(*size)) for size in [(640, 480), (320, 240), (480, 640)] * 5]
            assert frames == list(range(before + 1, before + 16))
            until(lambda: appliance.camera("robot")["frames"]["in_flight"] == 0, "a frame stays in flight")
        assert_status_adds_up(appliance)
        assert appliance.camera("robot")["frames"]["captured"] == frames[-1]
        until(lambda: appliance.camera("robot")["state"] == "lost", "it is not lost")
        told = [message.json() for message in seen.all("/detections")]
        assert_adds_up(told)
        assert {one["frame"] for one in told} <= set(frames)
        size_of = dict(zip(frames, [(640, 480), (320, 240), (480, 640)] * 5, strict=True))
        assert all((one["width"], one["height"]) == size_of[one["frame"]] for one in told)
        until(lambda: [one.payload for one in seen.all("/status")][-2:] == [b"online", b"offline"], "no status")


def test_viewers_get_the_clients_own_jpeg_without_what_it_tells(appliance: RunningAppliance) -> None:
    plain, route = encoded(640, 480), "/api/v1/cameras/robot/snapshot.jpg"
    with feed(appliance) as client:
        frame_of(client, turned(plain, 1))
        until(lambda: appliance.answers(route) and appliance.get(route) == plain, "the snapshot is another")


def test_the_client_of_a_camera_that_is_switched_off_is_told_and_stays(appliance: RunningAppliance) -> None:
    def order(payload: str) -> None:
        publish(appliance.mqtt_port, "visavis/box/robot/set/enabled", payload, "-q", "1")

    with feed(appliance) as client:
        frame_of(client, encoded(320, 240))
        order("OFF")
        until(lambda: appliance.camera("robot")["state"] == "off", "it is not switched off")

        def told() -> dict[str, Any]:
            client.send(encoded(320, 240))
            return answer_of(client)

        def is_off() -> bool:
            return (told().get("problem") or {}).get("title") == "The camera is switched off"

        until(is_off, "its client is not told")  # one more picture may have been taken meanwhile
        assert [is_off() for _ in range(3)] == [True] * 3
        frame = appliance.camera("robot")["frames"]["captured"]
        order("ON")
        assert until(lambda: told()["frame"], "it is not switched on") == frame + 1


def test_what_cannot_be_a_picture_of_the_camera_is_told(appliance: RunningAppliance) -> None:
    with feed(appliance) as client:
        for picture, status, words in (
            (b"no picture", 422, "no JPEG"),
            (cv2.imencode(".png", pixels(encoded(1280, 720)))[1].tobytes(), 413, "camera.size"),
        ):
            client.send(picture)
            answer = answer_of(client)
            assert (answer["frame"], answer["problem"]["status"]) == (None, status)
            jsonschema.validate(answer["problem"], schema("problem"))
            assert words in answer["problem"]["detail"]
        frame = frame_of(client, encoded(1280, 720))
        assert frame == appliance.camera("robot")["frames"]["captured"]
        assert appliance.camera("robot")["width"] == 640
        client.send("text")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(HANG_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


def test_a_message_of_too_many_bytes_ends_the_connection_and_is_not_kept(appliance: RunningAppliance) -> None:
    with (
        PeakMemory(daemon_pid(appliance)) as memory,
        feed(appliance) as client,
        pytest.raises(ConnectionClosed) as closed,
    ):
        send_too_much(client)
    assert memory.extra < 32 * 2**20
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert "gateway.picture_mb" in closed.value.rcvd.reason


def test_a_second_client_other_sites_and_other_cameras_are_refused(appliance: RunningAppliance) -> None:
    with feed(appliance) as client:
        frame_of(client, encoded(320, 240))
        assert refused(appliance) == 409
        frame_of(client, encoded(320, 240))
    with pytest.raises(InvalidStatus) as foreign:
        feed(appliance, origin="http://evil.example")
    assert foreign.value.response.status_code == 403
    assert refused(appliance, "nobody") == 404
    assert not appliance.answers("/api/v1/cameras/robot/push")
    (camera,) = json.loads(appliance.get("/api/v1/cameras"))["cameras"]
    assert camera["push"] == "/api/v1/cameras/robot/push"
    jsonschema.validate({"cameras": [camera]}, schema("cameras"))
    assert "get" in json.loads(appliance.get("/openapi.json"))["paths"]["/api/v1/cameras/{id}/push"]


def links(pid: int) -> Iterator[str]:
    """What the open descriptors of a process are; one that is closed meanwhile is left out."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(link.readlink())


def test_a_hundred_clients_leave_no_goroutine_and_no_descriptor(appliance: RunningAppliance) -> None:
    picture = encoded(320, 240)
    pid = daemon_pid(appliance)

    def connections() -> int:
        # Files come and go with the outbox and the history.
        return sum(link.startswith("socket:") for link in links(pid))

    def goroutines() -> float:
        return metrics(appliance, "go_goroutines")[""]

    until(lambda: appliance.camera("robot")["state"] == "lost", "the client of another test stays")
    for _ in range(3):
        appliance.get("/metrics")
    sockets, routines = connections(), goroutines()
    for number in range(100):
        with feed(appliance) as client:
            for _ in range(number % 3):
                client.send(picture)
            if number % 3 == 1:
                answer_of(client)
            if number % 5 == 0:
                client.socket.shutdown(SHUT_RDWR)  # without a word
    until(lambda: connections() <= sockets + 2, lambda: f"{sockets} sockets, now {connections()}")
    until(lambda: goroutines() <= routines + 2, lambda: f"{routines} goroutines, now {goroutines()}")
    until(lambda: appliance.camera("robot")["frames"]["in_flight"] == 0, "a frame stays in flight")
    assert_status_adds_up(appliance)


def test_a_changed_camera_tells_its_client_to_connect_again(start_appliance: Start) -> None:
    other = '[[camera]]\nid = "other"\nsource = "push:"\n'
    appliance = start_appliance(SETTINGS.replace('"managed"', '""') + other)
    appliance.wait_ready()
    with feed(appliance) as client, feed(appliance, "other") as unconcerned:
        first = frame_of(client, encoded(320, 240))
        frame_of(unconcerned, encoded(320, 240))
        text = appliance.file.read_text()
        appliance.file.write_text(text.replace("fps = 30", "fps = 5"))
        os.kill(daemon_pid(appliance), signal.SIGHUP)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(HANG_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "connect again" in closed.value.rcvd.reason) == (1001, True)
        until(lambda: taken(appliance, first), "the changed camera takes no client")
        assert frame_of(unconcerned, encoded(320, 240)) == 2
    appliance.file.write_text(text.split("[[camera]]")[0] + other)
    os.kill(daemon_pid(appliance), signal.SIGHUP)
    until(lambda: len(appliance.status()["cameras"]) == 1, "the camera does not go")
    assert refused(appliance) == 404
    assert appliance.stop() == 0


def taken(appliance: RunningAppliance, first: int) -> bool:
    """Whether a new client may feed the camera; its frames are numbered on."""
    with contextlib.suppress(InvalidStatus), feed(appliance) as client:
        assert frame_of(client, encoded(320, 240)) == first + 1
        return True
    return False


def how_to(kind: str) -> str:
    return "".join(block.text for block in blocks(kind) if block.page.name == "push-camera.md")


def test_what_the_how_to_shows_works(appliance: RunningAppliance, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(encoded(640, 480))
    until(lambda: appliance.camera("robot")["state"] == "lost", "the client of another test stays")
    before = appliance.camera("robot")["frames"]["captured"]
    code = how_to("python").replace("localhost:8080", f"localhost:{appliance.http_port}")
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [f"{index} {before + 1 + index} []" for index in range(3)]
    jsonschema.validate(json.loads(how_to("json")), schema("pushed"))
