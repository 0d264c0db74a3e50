# SPDX-License-Identifier: Apache-2.0
"""Read devices over MQTT.

from visavis.client import Broker, Device

for event in Device("porch", Broker("broker.local")).events():
    print(event.type, event.camera, event.dwell_ms)

`visavis.client.aio` has the same for asyncio, `Fleet` what many devices say at a glance.
"""

from __future__ import annotations

from visavis.client.connection import Broker, BrokerRefused, BrokerUnreachable, Silent, broker_at
from visavis.client.device import Device
from visavis.client.fleet import Camera, Fleet, State
from visavis.client.messages import Reading
from visavis.client.messages_gen import Best, Detections, Dropped, Event, Face, Info, LatencyMs, Stats
from visavis.client.orders import NotObeyed

__all__ = [
    "Best",
    "Broker",
    "BrokerRefused",
    "BrokerUnreachable",
    "Camera",
    "Detections",
    "Device",
    "Dropped",
    "Event",
    "Face",
    "Fleet",
    "Info",
    "LatencyMs",
    "NotObeyed",
    "Reading",
    "Silent",
    "State",
    "Stats",
    "broker_at",
]
