# SPDX-License-Identifier: Apache-2.0
"""Read a device's detections over MQTT: the only place of the package that imports paho.

from visavis.client import Broker, subscribe

for detections in subscribe(Broker("porch.local")):
    print(detections.payload["camera"], len(detections.payload["faces"]))
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from visavis.errors import VisavisError
from visavis.topics_gen import detections_topic

QUEUE_MESSAGES_MAX = 1_000
WAIT_S = 0.2
# Of the payload; a device that says another number says other things.
SCHEMA = 1

log = logging.getLogger(__name__)


class BrokerUnreachable(VisavisError):
    """Nothing that speaks MQTT answers at the address."""

    kind = "broker_unreachable"


class BrokerRefused(VisavisError):
    """The broker does not want this client."""

    kind = "broker_refused"


class Broker(msgspec.Struct, frozen=True):
    """Where the broker is, and who we are there.

    Attributes:
        host: name or address.
        port: 1883 for plain MQTT, usually 8883 with TLS.
        user: empty for a broker that takes everybody.
        password_file: holds the password of `user` and nothing else.
        tls: whether to speak TLS.
        ca: certificates that may sign the broker's; the system's when None.
    """

    host: str
    port: int = 1883
    user: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca: Path | None = None


class Detections(msgspec.Struct, frozen=True):
    """One message: the topic it came on and its payload as contracts/schemas/detections describes it."""

    topic: str
    payload: dict[str, Any]


def subscribe(
    broker: Broker,
    prefix: str = "visavis",
    *,
    device: str = "+",
    camera: str = "+",
    stop: threading.Event | None = None,
) -> Iterator[Detections]:
    """Yield each detections message until `stop` is set; reconnects by itself, drops the oldest for a slow reader.

    Args:
        prefix: the device's mqtt.prefix.
        device: a device id, or "+" for all; `camera` likewise.
        stop: None to go on for ever.

    Raises:
        BrokerUnreachable: the first connection fails.
        BrokerRefused: the broker wants another user or password.
    """
    inbox = _Inbox(broker, detections_topic(prefix, device, camera))
    with _connected(broker, inbox):
        yield from inbox.drain(stop or threading.Event())


class _Inbox:
    """What paho's thread puts in and the reader's thread takes out."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self._messages: queue.Queue[Detections] = queue.Queue(QUEUE_MESSAGES_MAX)
        self._refusal = ""

    def on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Ask for the topic anew at every connection: a broker forgets a clean session."""
        if reason.is_failure:
            self._refusal = str(reason)
        else:
            client.subscribe(self._topic)

    def on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """Queue a message; the oldest gives way when the queue is full."""
        payload = _payload(message)
        if payload is None:
            log.warning("a message on %s is no detections message of schema %d: left out", message.topic, SCHEMA)
            return
        if self._messages.full():
            with suppress(queue.Empty):  # the reader was faster
                self._messages.get_nowait()
        self._messages.put_nowait(Detections(message.topic, payload))

    def drain(self, stop: threading.Event) -> Iterator[Detections]:
        """Yield what comes until `stop` is set."""
        while not stop.is_set():
            if self._refusal:
                where = f"{self._broker.host}:{self._broker.port}"
                raise BrokerRefused(f"the broker at {where} refuses us, {self._refusal}", "check user and password")
            try:
                yield self._messages.get(timeout=WAIT_S)
            except queue.Empty:
                continue


def _payload(message: paho.MQTTMessage) -> dict[str, Any] | None:
    """None for what somebody else sent; an exception would end paho's thread."""
    try:
        found = json.loads(message.payload)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


@contextmanager
def _connected(broker: Broker, inbox: _Inbox) -> Iterator[None]:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect, client.on_message = inbox.on_connect, inbox.on_message
    _identify(client, broker)
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        where = f"{broker.host}:{broker.port}"
        raise BrokerUnreachable(
            f"no broker answers at {where}, {error}", "is it running, is the port right?"
        ) from error
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _identify(client: paho.Client, broker: Broker) -> None:
    if broker.tls:
        client.tls_set_context(_trust(broker.ca))
    if broker.user:
        client.username_pw_set(broker.user, _password(broker.password_file))


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:  # of which ssl.SSLError is one
        raise BrokerRefused(f"cannot read the certificates in {ca}, {error.strerror or error}") from error


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BrokerRefused(f"cannot read the password in {file}, {error.strerror}") from error
