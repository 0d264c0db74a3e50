# SPDX-License-Identifier: Apache-2.0
"""The client library against a real broker."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from visavis.client import (
    Broker,
    BrokerRefused,
    BrokerUnreachable,
    Device,
    Fleet,
    Silent,
    State,
    aio,
    broker_at,
    connection,
)
from visavis.client.connection import Inbox, Link
from visavis.client.orders import NotObeyed, set_and_wait

from tests.e2e.brokers import PASSWORD, certificate, mosquitto, publish
from tests.e2e.speaking import KEPT, begin_session, event, event_id, introduce, stats
from tests.e2e.test_watch import payload
from tests.ports import free_port
from tests.waiting import HANG_S, until

EVENTS = "visavis/porch/events"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A broker that takes everybody."""
    number = free_port()
    with mosquitto(tmp_path_factory.mktemp("broker"), number):
        yield number


@pytest.fixture
def porch(port: int) -> Device:
    return Device("porch", Broker("127.0.0.1", port), silence_s=20)


class Reader:
    """Reads an iterator in a thread and keeps what came; `stop` ends it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.seen: list[Any] = []

    def start(self, values: Iterator[Any]) -> Reader:
        self._thread = threading.Thread(target=self._read, args=(values,))
        self._thread.start()
        return self

    def _read(self, values: Iterator[Any]) -> None:
        for value in values:
            self.seen.append(value)

    def end(self) -> None:
        self.stop.set()
        self._thread.join()


@pytest.fixture
def reader() -> Iterator[Reader]:
    one = Reader()
    yield one
    one.end()


def test_detections_are_typed(porch: Device, port: int, reader: Reader) -> None:
    reader.start(porch.detections("door", reader.stop))

    def heard() -> bool:
        publish(port, "visavis/porch/door/detections", json.dumps(payload() | {"of_a_newer_device": 1}))
        return bool(reader.seen)

    until(heard, "nothing came")
    first = reader.seen[0]
    assert (first.camera, first.faces[0].box, first.faces[0].track) == ("door", (412.0, 80.5, 96.2, 121.7), 17)
    assert first.captured_at == datetime(2026, 11, 24, 20, 0, 0, 123_000, tzinfo=timezone.utc)
    assert first.dropped.superseded == 0


def test_occupied_is_told_at_once_and_at_each_change(porch: Device, port: int, reader: Reader) -> None:
    publish(port, "visavis/porch/hall/occupied", "ON", *KEPT)
    reader.start(porch.occupied("hall", stop=reader.stop))
    until(lambda: reader.seen == [True], lambda: str(reader.seen))
    publish(port, "visavis/porch/hall/occupied", "OFF", *KEPT)
    until(lambda: reader.seen == [True, False], lambda: str(reader.seen))


def test_faces_of_a_zone(porch: Device, port: int) -> None:
    publish(port, "visavis/porch/door/zone/step/faces", "3", *KEPT)
    assert next(porch.faces("door", "step")) == 3


def test_what_others_publish_is_left_out(
    porch: Device, port: int, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    publish(port, "visavis/porch/yard/faces", "many", *KEPT)
    reader.start(porch.faces("yard", stop=reader.stop))
    left_out = "a message on visavis/porch/yard/faces is not one that this version reads: left out"
    until(lambda: left_out in caplog.text, "it is told")
    publish(port, "visavis/porch/yard/faces", "4", *KEPT)
    until(lambda: reader.seen, "nothing came after that")
    assert reader.seen == [4]


def test_a_device_of_another_version_is_told_once_and_not_with_each_frame(
    port: int, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    other, topic = Device("other", Broker("127.0.0.1", port)), "visavis/other/door/detections"
    reader.start(other.detections("door", reader.stop))

    def heard() -> bool:
        publish(port, topic, json.dumps(payload()))
        return bool(reader.seen)

    until(heard, "nothing came")
    for _ in range(2):
        publish(port, topic, json.dumps({"schema": 9}))
    publish(port, topic, json.dumps(payload() | {"frame": 1}))
    until(lambda: reader.seen[-1].frame == 1, "nothing came after that")
    assert caplog.text.count(f"a message on {topic} is not one that this version reads: left out") == 1


def test_one_device_cannot_silence_the_others_with_json_that_is_nested_too_deep(port: int) -> None:
    publish(port, "visavis/attic/info", '{"schema":1,"x":' + "[" * 5_000, *KEPT)
    publish(port, "visavis/porch/status", "online", *KEPT)
    with Fleet(Broker("127.0.0.1", port)) as fleet:
        until(lambda: "porch" in fleet.devices(), "the other one is heard")
        publish(port, "visavis/porch/status", "offline", *KEPT)
        until(lambda: fleet.devices()["porch"].online is False, "and heard again")
    publish(port, "visavis/attic/info", "", *KEPT)


def session_name(request: pytest.FixtureRequest) -> str:
    return f"log-{request.node.name[:40]}"


def session_with(request: pytest.FixtureRequest, port: int, *numbers: int) -> str:
    """A session of this test, for which the broker keeps the events of these numbers."""
    session = session_name(request)
    begin_session(port, session)
    for number in numbers:
        publish(port, EVENTS, event(number), "-q", "1")
    return session


def test_events_wait_at_the_broker_while_the_reader_is_away(
    porch: Device, port: int, request: pytest.FixtureRequest
) -> None:
    session = session_with(request, port, *range(50))
    events = porch.events(session)
    assert [next(events).id for _ in range(50)] == [event_id(number) for number in range(50)]


def test_an_event_counts_as_read_when_the_loop_comes_back(
    porch: Device, port: int, request: pytest.FixtureRequest
) -> None:
    session = session_with(request, port, *range(3))
    failing = porch.events(session)
    assert next(failing).id == event_id(0)
    assert next(failing).id == event_id(1)
    failing.close()  # type: ignore[attr-defined] # the program dies with the second in its hands
    again = porch.events(session)
    assert [next(again).id for _ in range(2)] == [event_id(1), event_id(2)]


def test_an_event_that_is_sent_again_comes_once(porch: Device, port: int, request: pytest.FixtureRequest) -> None:
    session = session_with(request, port, 0, 1, 0, 1, 2)
    events = porch.events(session)
    assert [next(events).id for _ in range(3)] == [event_id(0), event_id(1), event_id(2)]


@pytest.mark.parametrize("before", ["+", "garden"])
def test_a_session_that_is_used_for_another_device_leaves_out_the_old_ones(
    before: str, porch: Device, port: int, request: pytest.FixtureRequest
) -> None:
    session, garden = session_name(request), "visavis/garden/events"
    begin_session(port, session, before)
    begin_session(port, session)
    publish(port, garden, event(0), "-q", "1")
    publish(port, EVENTS, event(1), "-q", "1")
    events = porch.events(session)
    assert next(events).id == event_id(1)
    events.close()  # type: ignore[attr-defined]
    for topic, number in ((garden, 2), (EVENTS, 3)):
        publish(port, topic, event(number), "-q", "1")
    all_again = Device("+", porch.broker, silence_s=20).events(session)
    assert [next(all_again).id for _ in range(2)] == [event_id(1), event_id(3)], (
        "the broker keeps no more of the old one"
    )


def test_the_end_of_a_visit(porch: Device, port: int, request: pytest.FixtureRequest) -> None:
    session = session_name(request)
    begin_session(port, session)
    path = f"/api/v1/events/{event_id(0)}/thumbnail.jpg"
    gone = event(0, type="gone", ended_at="2026-11-24T20:00:09.456Z", dwell_ms=9_333, thumbnail=path)
    publish(port, EVENTS, gone, "-q", "1")
    found = next(porch.events(session))
    assert (found.type, found.dwell_ms, found.cut_off, found.thumbnail) == ("gone", 9_333, False, path)
    assert found.ended_at is not None
    assert found.ended_at - found.started_at == timedelta(milliseconds=9_333)


def test_silence_is_an_error_when_asked_for(port: int) -> None:
    with pytest.raises(Silent, match=r"nothing came for 10 s: is the device on, and is the name right\?"):
        next(Device("nobody", Broker("127.0.0.1", port), silence_s=10).detections())


@pytest.mark.parametrize(
    ("answered_s", "words", "raised_s"),
    [(4, "nothing came for 5 s", 10), (None, "the broker at 127.0.0.1:1883 answers no subscription within 5 s", 6)],
    ids=["late", "never"],
)
def test_nothing_is_silent_before_the_broker_listens(
    answered_s: int | None, words: str, raised_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, link = itertools.count(), Link(Broker(), {}, print)
    monkeypatch.setattr(connection, "WAIT_S", 0)
    if answered_s is not None:
        monkeypatch.setattr(connection, "monotonic", lambda: answered_s)
        link._on_subscribe(link._client, None, 1, [], None)
    monkeypatch.setattr(connection, "monotonic", lambda: next(clock))
    with pytest.raises(Silent, match=words):
        next(Inbox().read(link, threading.Event(), 5))
    assert next(clock) == raised_s + 1


def test_the_library_raises_what_went_wrong(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(BrokerUnreachable, match=f"no broker answers at 127.0.0.1:{port}"):
        next(Device("porch", Broker("127.0.0.1", port)).detections())
    with mosquitto(tmp_path, port, password=PASSWORD), pytest.raises(BrokerRefused, match="check user and password"):
        next(Device("porch", Broker("127.0.0.1", port)).detections())
    missing = Broker("127.0.0.1", port, tls=True, cert=tmp_path / "gone.pem", key=tmp_path / "gone.key")
    with pytest.raises(BrokerRefused, match=r"cannot use the certificate in .*gone\.pem with its key, No such file"):
        next(Device("porch", missing).detections())


PARTLY = {
    "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False},
    "clients": [],
    "roles": [{"rolename": "status", "acls": [{"acltype": "subscribePattern", "topic": "+/+/status", "allow": True}]}],
    "groups": [{"groupname": "everybody", "roles": [{"rolename": "status"}]}],
    "anonymousGroup": "everybody",
}


@pytest.fixture
def forbidding(tmp_path: Path) -> Iterator[Broker]:
    """A broker at which one may listen to the status of devices, and to nothing else."""
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    (tmp_path / "rules.json").write_text(json.dumps(PARTLY))
    port = free_port()
    with mosquitto(tmp_path, port, more=[f"plugin {plugin}", f"plugin_opt_config_file {tmp_path}/rules.json"]):
        yield Broker("127.0.0.1", port)


def test_what_the_broker_forbids_to_hear_is_told_instead_of_silence(forbidding: Broker) -> None:
    with pytest.raises(
        BrokerRefused, match=r"does not let us subscribe to visavis/porch/events: allow it in its access list"
    ):
        next(Device("porch", forbidding, silence_s=20).events())


def test_who_may_hear_a_part_hears_it(forbidding: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with Fleet(forbidding) as fleet:
        until(lambda: "does not let us subscribe to visavis/+/info" in caplog.text, "it is told")
        publish(forbidding.port, "visavis/porch/status", "online", *KEPT)
        until(lambda: fleet.devices().get("porch"), "nothing came")
    assert "visavis/+/status" not in caplog.text


@pytest.mark.parametrize(
    ("address", "broker"),
    [
        ("porch.local", Broker("porch.local")),
        ("porch.local:1884", Broker("porch.local", 1884)),
        ("mqtts://box", Broker("box", 8883, tls=True)),
        ("wss://box", Broker("box", 443, tls=True, websocket=True)),
        ("ws://box:9001", Broker("box", 9001, websocket=True)),
        ("wss://box/broker", Broker("box", 443, tls=True, websocket=True, path="/broker")),
        ("wss://box/broker?key=a%26b", Broker("box", 443, tls=True, websocket=True, path="/broker?key=a%26b")),
        ("::1", Broker("::1")),
        ("[::1]:1884", Broker("::1", 1884)),
        ("mqtts://[fd00::7]", Broker("fd00::7", 8883, tls=True)),
    ],
)
def test_an_address_is_understood_as_people_write_it(address: str, broker: Broker) -> None:
    assert broker_at(address) == broker


def test_a_user_in_an_address_is_refused_instead_of_forgotten() -> None:
    with pytest.raises(ValueError, match="user and password go elsewhere"):
        broker_at("mqtt://anna:secret@box")


@pytest.mark.parametrize(("address", "port"), [("mqtt://box?keepalive=5", None), ("box:0", None), ("box", 0)])
def test_what_an_address_cannot_have_is_refused_instead_of_forgotten(address: str, port: int | None) -> None:
    with pytest.raises(ValueError, match=r"leave out all from \?|port 0"):
        broker_at(address, port)


def test_certificates_without_an_encrypted_connection_are_refused_before_a_password_leaves() -> None:
    with pytest.raises(ValueError, match=r"ca has no use without tls: begin the address with mqtts:// or wss://"):
        broker_at("box", user="anna", ca=Path("ca.pem"))
    with pytest.raises(ValueError, match="cert has no use without key"):
        Broker("box", tls=True, cert=Path("client.pem"))


def test_what_cannot_be_a_broker_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match=r"no broker answers at \[::1\]:1, "):
        next(Device("porch", broker_at("::1", 1)).faces("door"))
    with pytest.raises(BrokerUnreachable, match=r"no broker answers at a\.\.b:1883, "):
        next(Device("porch", broker_at("a..b")).faces("door"))
    secret = tmp_path / "secret"
    secret.write_bytes(b"caf\xe9\n")
    with pytest.raises(BrokerRefused, match="secret is not UTF-8"):
        next(Device("porch", broker_at("box", user="anna", password_file=secret)).faces("door"))
    secret.write_bytes(b"x" * 65_536)
    with pytest.raises(BrokerRefused, match=r"secret is nothing that MQTT can carry: give UTF-8 of at most 65535 "):
        next(Device("porch", broker_at("box", user="anna", password_file=secret)).faces("door"))


def test_a_websocket_is_opened_at_the_path_of_the_address() -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = broker_at(f"ws://127.0.0.1:{server.getsockname()[1]}/broker")
        listens = threading.Thread(target=lambda: asked.append(heard(server)))
        listens.start()
        with pytest.raises(BrokerUnreachable):
            next(Device("porch", broker).faces("door"))
        listens.join()
    assert asked[0].startswith(b"GET /broker HTTP/1.1")


def heard(server: socket.socket) -> bytes:
    """What a client says first; then the connection ends."""
    connection, _ = server.accept()
    with connection:
        return connection.recv(4_096)


def test_a_broker_behind_a_websocket(tmp_path: Path) -> None:
    port, listener = free_port(), free_port()
    lines = [f"listener {listener} 127.0.0.1", "protocol websockets", *certificate(tmp_path)]
    with mosquitto(tmp_path, port, more=lines):
        publish(port, "visavis/porch/door/faces", "2", *KEPT)
        broker = broker_at(f"wss://127.0.0.1:{listener}", ca=tmp_path / "broker.pem")
        assert next(Device("porch", broker, silence_s=20).faces("door")) == 2


def test_asyncio_reads_several_at_once(port: int) -> None:
    publish(port, "visavis/porch/door/faces", "2", *KEPT)
    publish(port, "visavis/porch/door/occupied", "ON", *KEPT)
    porch = aio.Device("porch", Broker("127.0.0.1", port), silence_s=20)

    async def both() -> list[Any]:
        return list(await asyncio.gather(anext_of(porch.faces("door")), anext_of(porch.occupied("door"))))

    assert asyncio.run(both()) == [2, True]


async def anext_of(values: Any) -> Any:
    async for value in values:
        return value
    raise AssertionError("ended without a value")


def test_asyncio_is_cancelled_while_it_waits(port: int) -> None:
    quiet = aio.Device("nobody", Broker("127.0.0.1", port))

    async def wait() -> None:
        await asyncio.wait_for(anext_of(quiet.events()), 0.3)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(wait())
    until(asyncio_has_ended, "the thread goes on")


def asyncio_has_ended() -> bool:
    """Whether no iterator has a thread any more, and so none its connection."""
    return not [one for one in threading.enumerate() if "visavis-client" in one.name]


def test_under_asyncio_too_an_event_counts_as_read_when_the_loop_comes_back(
    porch: Device, port: int, request: pytest.FixtureRequest
) -> None:
    session = session_with(request, port, *range(3))

    async def fail_at_the_second() -> None:
        async for one in aio.Device("porch", porch.broker, silence_s=20).events(session):
            if one.id == event_id(1):
                raise OSError("the program dies with it in its hands")

    with pytest.raises(OSError, match="in its hands"):
        asyncio.run(fail_at_the_second())
    until(asyncio_has_ended, "the thread goes on")
    again = porch.events(session)
    assert [next(again).id for _ in range(2)] == [event_id(1), event_id(2)]


def test_an_event_that_comes_to_a_cancelled_task_is_not_read(
    porch: Device, port: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_with(request, port, 0)
    monkeypatch.setattr(connection, "WAIT_S", 5)  # so that the thread is still inside its step when the event comes

    async def cancel_and_publish() -> None:
        events = aio.Device("porch", porch.broker).events(session)
        assert (await anext_of(events)).id == event_id(0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(events.__anext__(), 0.3)
        publish(port, EVENTS, event(1), "-q", "1")

    asyncio.run(cancel_and_publish())
    until(asyncio_has_ended, "the thread goes on")
    assert next(one for one in porch.events(session) if one.id != event_id(0)).id == event_id(1)


def test_what_is_kept_of_a_device_that_is_away_is_no_answer_to_a_command(port: int) -> None:
    place, broker = ("visavis", "shed", "door"), Broker("127.0.0.1", port)
    introduce(port, "shed", online=False)
    publish(port, "visavis/shed/door/state/detect", "OFF", *KEPT)
    with pytest.raises(NotObeyed, match="is the device on"):
        set_and_wait(broker, place, "detect", False, 10)
    publish(port, "visavis/shed/status", "online", *KEPT)
    set_and_wait(broker, place, "detect", False, HANG_S)


def test_the_fleet_knows_what_devices_say(port: int) -> None:
    for name in ("attic", "cellar"):
        introduce(port, name, online=name == "attic")
    publish(port, "visavis/attic/removed/detecting", "online", *KEPT)  # by a release that did not know the topic
    with Fleet(Broker("127.0.0.1", port)) as fleet:

        def told() -> dict[str, State]:
            fleet.wait(0.1)
            return {name: one for name, one in fleet.devices().items() if name in ("attic", "cellar") and one.info}

        # The zones are what it asks for last.
        until(lambda: sum(bool(zones(one)) for one in told().values()) == 2, lambda: str(told()))
        attic, cellar = told()["attic"], told()["cellar"]
        assert (attic.online, cellar.online) == (True, False)
        assert attic.info is not None
        assert attic.info.version == "0.1.0"
        assert list(attic.cameras) == ["door"]
        door = attic.cameras["door"]
        assert (door.online, door.faces, door.occupied, door.zones) == (True, 2, True, {"step": 1})
        assert attic.seen_at is None  # all that was kept from before
        publish(port, "visavis/attic/stats", stats(29.4))
        until(lambda: told()["attic"].seen_at, lambda: str(told()))
        for topic in ("status", "faces", "occupied", "zone/step/faces"):
            publish(port, f"visavis/attic/door/{topic}", "", *KEPT)
        until(lambda: "door" not in told()["attic"].cameras, "a removed camera stays")


def test_a_large_fleet_is_known_whole(port: int) -> None:
    """A mosquitto as it is installed holds a thousand messages of QoS 1 for one client, and drops the others."""
    topics = [f"visavis/device{number % 150}/camera{number // 150}/faces" for number in range(150 * 10)]
    talker = paho.Client(CallbackAPIVersion.VERSION2)
    talker.connect("127.0.0.1", port)
    talker.loop_start()
    sent = [talker.publish(topic, "1", qos=1, retain=True) for topic in topics]
    for one in sent:
        one.wait_for_publish(HANG_S)
    with Fleet(Broker("127.0.0.1", port), device="+") as fleet:

        def known() -> int:
            fleet.wait(0.5)
            return sum(len(device.cameras) for name, device in fleet.devices().items() if name.startswith("device"))

        until(lambda: known() == len(topics), lambda: f"{known()} of {len(topics)}")
    for topic in topics:
        sent.append(talker.publish(topic, "", qos=1, retain=True))
    sent[-1].wait_for_publish(HANG_S)
    talker.disconnect()
    talker.loop_stop()


def zones(device: State) -> dict[str, int]:
    return device.cameras["door"].zones if "door" in device.cameras else {}
