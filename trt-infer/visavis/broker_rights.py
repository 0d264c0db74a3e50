# SPDX-License-Identifier: Apache-2.0
"""What the package visavis-broker does not let this device say: MQTT 3.1.1 acknowledges even what a broker denies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
# What is meant there, too, by a right that does not say.
BOTH = "readwrite"
# What owners write need not be UTF-8.
KEEP = "surrogateescape"


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
    if "native" in mqtt.formats and mqtt.prefix != PREFIX and not permitted(mqtt.user, f"{mqtt.prefix}/{mqtt.user}/#"):
        remedy = f'set it to "{PREFIX}", or add the line "pattern readwrite {mqtt.prefix}/%u/#"'
        yield _nothing_below(f'mqtt.prefix "{mqtt.prefix}"', remedy)
    if "frigate" in mqtt.formats and not permitted(mqtt.user, f"{mqtt.frigate_prefix}/#", ("write", BOTH)):
        remedy = f'add the lines "user {mqtt.user}" and "topic write {mqtt.frigate_prefix}/#"'
        yield _nothing_below(f'mqtt.frigate_prefix "{mqtt.frigate_prefix}"', remedy)


def _nothing_below(setting: str, remedy: str) -> Denied:
    words = f"events are lost: the broker takes nothing below {setting}"
    return Denied(words, f"{remedy} to {RIGHTS} and `sudo systemctl reload mosquitto`")


def joined(config: Path, user: str) -> bool:
    """Whether the package has made this user."""
    try:
        text = (config.parent / JOINED).read_text("utf-8", KEEP)
    except OSError:
        return False
    return text.startswith(WRITTEN) and f'user = "{user}"\n' in text


def permitted(user: str, topic: str, enough: Sequence[str] = (BOTH,)) -> bool:
    """Whether an owner has added a right to a topic that is enough; root alone can tell."""
    try:
        text = RIGHTS.read_text("utf-8", KEEP)
    except OSError:
        return False
    return any(right in enough and of == topic for right, of in _rights(text, user))


def _rights(text: str, user: str) -> Iterator[tuple[str, str]]:
    """What a user may do, and with which topics."""
    whose = ""
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "user":
            whose = rest.strip()
        elif kind == "pattern" or (kind, whose) == ("topic", user):
            right, _, topic = rest.strip().partition(" ")
            yield (right, topic.strip().replace("%u", user)) if topic else (BOTH, right.replace("%u", user))
