# SPDX-License-Identifier: Apache-2.0
"""A subscriber that keeps every message, and what contracts/ says about each."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.toml_file import read_toml
from tests.waiting import HANG_S

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
LEVELS = {
    "prefix": "[a-z0-9_-]+",
    "device": "[a-z0-9_-]+",
    "camera": "[a-z0-9_-]+",
    "zone": "[^/]+",
    "name": "[^/]+",
    "platform": "[a-z_]+",
    "object": "[a-z0-9_-]+",
}


NUMBERS = {"a whole number": "[0-9]+", "a number from 0 to 1": r"0(\.[0-9]+)?|1"}
JPEG_BEGIN = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Message:
    """One message as it was published: QoS and retain are the publisher's, not the delivery's."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    arrived_s: float

    def json(self) -> Any:
        return json.loads(self.payload)


class Subscriber:
    """Keeps all messages in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[Message] = []
        self.ended = threading.Event()  # the broker has gone, and all that it sent is here

    def take(self, message: paho.MQTTMessage) -> None:
        kept = Message(message.topic, bytes(message.payload), message.qos, message.retain, time.monotonic())
        with self._lock:
            self._seen.append(kept)

    def all(self, ending: str = "") -> list[Message]:
        """The messages whose topic ends so."""
        with self._lock:
            return [message for message in self._seen if message.topic.endswith(ending)]

    def to_the_end(self) -> None:
        """Wait for what a broker sent that has ended: it is on its way for a moment."""
        assert self.ended.wait(HANG_S), "the broker lives on"


@contextmanager
def subscribed(port: int, pattern: str) -> Iterator[Subscriber]:
    """Listen to a broker on loopback while the block runs.

    MQTT 5 with retain-as-published: before it, a broker hid the publisher's retain flag from who was there already.
    """
    subscriber, ready = Subscriber(), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _client, _data, message: subscriber.take(message)
    client.on_subscribe = lambda *_: ready.set()
    client.on_disconnect = lambda *_: subscriber.ended.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        client.subscribe(pattern, options=SubscribeOptions(qos=1, retainAsPublished=True))
        assert ready.wait(HANG_S), "the broker did not answer the subscription"
        yield subscriber
    finally:
        client.disconnect()
        client.loop_stop()


def topics() -> list[dict[str, Any]]:
    """The topics of contracts/mqtt.toml that this version sends."""
    listed: list[dict[str, Any]] = read_toml(CONTRACTS / "mqtt.toml")["topic"]
    return [topic for topic in listed if topic["direction"] == "out" and "Reserved:" not in topic["doc"]]


def topic_of(message: Message) -> dict[str, Any] | None:
    """Which of the topics a message is on."""
    for topic in topics():
        if re.fullmatch(topic["template"].format(**LEVELS), message.topic):
            return topic
    return None


def violation(message: Message) -> str:
    """What contracts/ says against a message; "" when it is as it must be."""
    topic = topic_of(message)
    if topic is None:
        return f"{message.topic}: no such topic"
    if (message.qos, message.retain) != (topic["qos"], topic["retain"]):
        return f"{message.topic}: QoS {message.qos}, retain {message.retain}"
    wrong = against_schema(message, topic["schema"]) if "schema" in topic else against_words(message, topic["payload"])
    return f"{message.topic}: {wrong}: {message.payload!r}" if wrong else ""


def against_schema(message: Message, name: str) -> str:
    schema = json.loads((CONTRACTS / "schemas" / f"{name}.schema.json").read_text())
    try:
        jsonschema.validate(message.json(), schema, jsonschema.Draft202012Validator)
    except (ValueError, jsonschema.ValidationError) as error:
        return getattr(error, "message", str(error))
    return ""


def against_words(message: Message, words: str) -> str:
    """Check a payload that mqtt.toml describes as "`this`, `that`", as a number, or as a picture."""
    if words == "JPEG":
        return "" if message.payload[:3] == JPEG_BEGIN else "want a JPEG"
    text = message.payload.decode()
    fine = text in re.findall("`([^`]+)`", words)
    fine = fine or any(words.endswith(kind) and re.fullmatch(form, text) for kind, form in NUMBERS.items())
    return "" if fine else f"want {words}"
