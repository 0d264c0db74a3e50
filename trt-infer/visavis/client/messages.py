# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a message to what they mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from visavis.client.connection import Message
from visavis.client.messages_gen import Detections, Event, Info, Stats
from visavis.topics_gen import read_topic

log = logging.getLogger(__name__)

TOPICS_REMEMBERED = 256


def _word(yes: bytes, no: bytes) -> Callable[[bytes], bool]:
    return {yes: True, no: False}.__getitem__


_ONLINE = _word(b"online", b"offline")
_ON = _word(b"ON", b"OFF")
_READERS: dict[str, Callable[[bytes], Any]] = {
    "status": _ONLINE,
    "camera_status": _ONLINE,
    "detecting": _ONLINE,
    "info": msgspec.json.Decoder(Info).decode,
    "stats": msgspec.json.Decoder(Stats).decode,
    "events": msgspec.json.Decoder(Event).decode,
    "detections": msgspec.json.Decoder(Detections).decode,
    "faces": int,
    "zone_faces": int,
    "occupied": _ON,
    "zone_occupied": _ON,
    "state": lambda payload: payload.decode("utf-8"),
    "snapshot": lambda payload: payload,
}


class Reading(msgspec.Struct, frozen=True):
    """A message and what it says.

    Attributes:
        name: of the topic in contracts/mqtt.toml: `detections`, `zone_faces`, ...
        levels: of the topic: `device`, and `camera`, `zone`, `name` where it has them.
        value: a Detections, Event, Info, Stats, int, bool, str or bytes; None when the device has removed the topic.
        message: as it came.
    """

    name: str
    levels: dict[str, str]
    value: Any
    message: Message


def read(message: Message) -> Reading | None:
    """None, and a warning for its topic, for what no visavis of this version would say."""
    named = read_topic(message.topic)
    if named is None or named[0] not in _READERS:
        return None
    name, levels = named
    if not message.payload and name != "detections":
        return Reading(name, levels, None, message)
    try:
        return Reading(name, levels, _READERS[name](message.payload), message)
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError):  # the last for JSON that is nested too deep
        _warn(message.topic)
        return None


@lru_cache(maxsize=TOPICS_REMEMBERED)
def _warn(topic: str) -> None:
    """Once for each of the last topics: a device of another version says it with each frame."""
    log.warning("a message on %s is not one that this version reads: left out", topic)
