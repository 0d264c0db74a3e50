# SPDX-License-Identifier: Apache-2.0
"""Read a device's detections over MQTT: the only place of the package that imports paho."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from visavis.errors import VisavisError
from visavis.topics_gen import detections_topic

QUEUE_MESSAGES_MAX = 1_000
WAIT_S = 0.2


class BrokerUnreachable(VisavisError):
    """Nothing that speaks MQTT answers at the address."""


class Detections(msgspec.Struct, frozen=True):
    """One message: the topic it came on and its payload as contracts/schemas/detections describes it."""

    topic: str
    payload: dict[str, Any]


def subscribe(
    host: str, port: int, prefix: str, *, device: str, camera: str, stop: threading.Event
) -> Iterator[Detections]:
    """Yield each detections message until `stop` is set; reconnects by itself, drops the oldest for a slow reader.

    Args:
        device: a device id, or "+" for all; `camera` likewise.

    Raises:
        BrokerUnreachable: the first connection fails.
    """
    messages: queue.Queue[Detections] = queue.Queue(QUEUE_MESSAGES_MAX)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    topic = detections_topic(prefix, device, camera)
    client.on_connect = lambda client, *_: client.subscribe(topic)
    client.on_message = lambda _client, _data, message: put_newest(messages, message)
    try:
        client.connect(host, port)
    except OSError as error:
        raise BrokerUnreachable(
            f"no broker answers at {host}:{port} ({error}): is it running, is the port right?"
        ) from error
    client.loop_start()
    try:
        yield from drain(messages, stop)
    finally:
        client.disconnect()
        client.loop_stop()


def put_newest(messages: queue.Queue[Detections], message: paho.MQTTMessage) -> None:
    """Queue a message; the oldest gives way when the queue is full."""
    if messages.full():
        messages.get_nowait()
    messages.put_nowait(Detections(message.topic, json.loads(message.payload)))


def drain(messages: queue.Queue[Detections], stop: threading.Event) -> Iterator[Detections]:
    """Yield what comes until `stop` is set."""
    while not stop.is_set():
        try:
            yield messages.get(timeout=WAIT_S)
        except queue.Empty:
            continue
