# SPDX-License-Identifier: Apache-2.0
"""What the package visavis-broker does not let this device say: MQTT 3.1.1 acknowledges even what a broker denies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from visavis.config_gen import Config

# Beside the configuration; deb/broker/join.py writes it, and it begins with this.
JOINED = Path("conf.d/broker.toml")
WRITTEN = "# Written by the package visavis-broker"
# In broker/visavis.acl.
RIGHTS = Path("/etc/mosquitto/visavis.acl")
PREFIX = "visavis"


class Denied(NamedTuple):
    """Why messages are lost, and what to do."""

    sentence: str
    remedy: str


def denied(settings: Config, config: Path) -> Iterator[Denied]:
    """What this device's broker denies, where visavis-broker has made the device a user of it."""
    mqtt, device = settings.mqtt, settings.device.id
    if urlsplit(mqtt.url).hostname not in ("127.0.0.1", "localhost") or not joined(config, mqtt.user):
        return
    if mqtt.user != device:
        words = f'events are lost: the broker takes nothing of device.id "{device}" from mqtt.user "{mqtt.user}"'
        yield Denied(words, "`sudo systemctl restart visavis-capture` renames the user, if visavis-broker is installed")
    right = f"pattern readwrite {mqtt.prefix}/%u/#"
    if "native" in mqtt.formats and mqtt.prefix != PREFIX and not permitted(right):
        words = f'events are lost: the broker takes nothing below mqtt.prefix "{mqtt.prefix}"'
        remedy = f'set it to "{PREFIX}", or add the line "{right}" to {RIGHTS} and `sudo systemctl reload mosquitto`'
        yield Denied(words, remedy)


def joined(config: Path, user: str) -> bool:
    """Whether the package has made this user."""
    try:
        text = (config.parent / JOINED).read_text()
    except OSError:
        return False
    return text.startswith(WRITTEN) and f'user = "{user}"\n' in text


def permitted(right: str) -> bool:
    """Whether an owner has added this right; root alone can tell."""
    try:
        return right in RIGHTS.read_text().splitlines()
    except OSError:
        return False
