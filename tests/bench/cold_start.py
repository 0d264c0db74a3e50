# SPDX-License-Identifier: Apache-2.0
"""From the start of `visavis run` to the first detections message at a subscriber, with a prepared model."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from visavis.topics_gen import detections_topic

from tests.bench.page import Bar, Section
from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import DEMO

STARTS, MOST_S, LIMIT_S = 3, 2.0, 30.0


def measure() -> Section:
    """The bar: median of a few starts, each in a folder of its own; the model's cache is warm."""
    took_s = [start_s() for _ in range(STARTS)]
    bar = Bar("start of `visavis run` → first detection at a subscriber", statistics.median(took_s), MOST_S, "s")
    words = ", ".join(f"{seconds:.2f}" for seconds in took_s)
    return Section("Start", [f"{STARTS} starts with a prepared model, seconds from exec: {words}."], [bar])


def start_s() -> float:
    """One start. The broker is part of it, so the subscriber knocks until it is there."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        begin_s = time.monotonic()
        appliance = RunningAppliance(Path(folder), DEMO)
        try:
            return first_message_s(appliance.mqtt_port, begin_s + LIMIT_S) - begin_s
        finally:
            appliance.stop()


def first_message_s(port: int, end_s: float) -> float:
    """When the first detections message has arrived.

    Raises:
        TimeoutError: none came until `end_s`.
    """
    arrived: list[float] = []

    def note(_client: Any, _data: Any, _message: paho.MQTTMessage) -> None:
        arrived.append(time.monotonic())

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = note
    client.on_connect = lambda client, *_: client.subscribe(detections_topic("visavis", "box", "+"))
    knock(client, port, end_s)
    while not arrived:
        client.loop(timeout=0.1)
        if time.monotonic() > end_s:
            raise TimeoutError("no detections message came")
    client.disconnect()
    return arrived[0]


def knock(client: paho.Client, port: int, end_s: float) -> None:
    """Connect as soon as the broker listens."""
    while True:
        try:
            client.connect("127.0.0.1", port)
        except ConnectionRefusedError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.005)
        else:
            return
