# SPDX-License-Identifier: Apache-2.0
"""A subscriber with a clock: notes when each detections message has arrived, on CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from visavis.topics_gen import detections_topic


def arrivals(port: int, seconds: float) -> list[tuple[int, bytes]]:
    """Runs in a process of its own: the arrival time in ns and the payload of every message within `seconds`."""
    found: list[tuple[int, bytes]] = []

    def note(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        found.append((time.monotonic_ns(), bytes(message.payload)))

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = note
    client.on_connect = lambda client, *_: client.subscribe(detections_topic("visavis", "box", "+"))
    client.connect("127.0.0.1", port)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        client.loop(timeout=end_s - time.monotonic())
    client.disconnect()
    return found
