# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/mqtt.toml by contracts/generate.py: do not edit.
"""Topics of visavis. Each level is a name of 1 to 32 of a-z 0-9 _ - or "+", the wildcard for one level."""

from __future__ import annotations

import re

LEVEL = re.compile(r"[a-z0-9_-]{1,32}|\+")


def topic_level(name: str) -> str:
    """Return the name when it is one level of a topic.

    Raises:
        ValueError: it holds anything else than a-z 0-9 _ -, nothing, or more than settings take.
    """
    if not LEVEL.fullmatch(name):
        raise ValueError(f"{name!r} cannot be one level of a topic: use 1 to 32 of a-z 0-9 _ - or +")
    return name


def status_topic(prefix: str, device: str) -> str:
    """Whether the device is there; `offline` is also the last will."""
    return f"{topic_level(prefix)}/{topic_level(device)}/status"


def info_topic(prefix: str, device: str) -> str:
    """What the device is: version, model, backend, precision, cameras; while an engine is being built, how far that is."""
    return f"{topic_level(prefix)}/{topic_level(device)}/info"


def stats_topic(prefix: str, device: str) -> str:
    """Figures of each camera, every ten seconds."""
    return f"{topic_level(prefix)}/{topic_level(device)}/stats"


def events_topic(prefix: str, device: str) -> str:
    """A face appeared, entered a zone, crossed a line, left a zone, or is gone. Each event arrives at least once, and in order; while the broker is away, events wait on disk."""
    return f"{topic_level(prefix)}/{topic_level(device)}/events"


def camera_status_topic(prefix: str, device: str, camera: str) -> str:
    """Whether the camera delivers. It holds while `{device}/status` is `online`, as do all other states of a camera: that is told after them, and the broker says `offline` there for a device that was cut off."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/status"


def detecting_topic(prefix: str, device: str, camera: str) -> str:
    """Whether somebody looks for faces there: the camera delivers, its detection is on, a worker is connected, and results come. While it is `offline`, the topics `faces` and `occupied` of the camera and its zones say nothing: their 0 and `OFF` do not mean that nobody is there. `offline` is told before them."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/detecting"


def detections_topic(prefix: str, device: str, camera: str) -> str:
    """One message for each inferred frame, even when it shows no face."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/detections"


def faces_topic(prefix: str, device: str, camera: str) -> str:
    """How many faces are followed, on change; 0 also where nobody looks, see `detecting`."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/faces"


def occupied_topic(prefix: str, device: str, camera: str) -> str:
    """Whether somebody is there, on change, debounced by the camera's delays; `OFF` also where nobody looks, see `detecting`: events `left` and `gone` end what was followed."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/occupied"


def snapshot_topic(prefix: str, device: str, camera: str) -> str:
    """The newest picture with the camera's privacy applied, only with `snapshots = true`: when somebody appears, at most once a second, and after the command `snapshot`. It is told again when the connection to the broker comes back, for the broker may have forgotten it."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/snapshot"


def last_face_topic(prefix: str, device: str, camera: str) -> str:
    """The face that appeared last and what is around it, with the camera's privacy applied, only with `snapshots = true`. It is told again when the connection to the broker comes back, for the broker may have forgotten it."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/last_face"


def zone_faces_topic(prefix: str, device: str, camera: str, zone: str) -> str:
    """How many faces have entered the zone and not left it, on change."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/zone/{topic_level(zone)}/faces"


def zone_occupied_topic(prefix: str, device: str, camera: str, zone: str) -> str:
    """Whether somebody is in the zone, on change, debounced by the zone's delays."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/zone/{topic_level(zone)}/occupied"


def set_topic(prefix: str, device: str, camera: str, name: str) -> str:
    """Commands, if `mqtt.commands` lets them in. Unknown commands, those that the broker has kept from before, and too many of them are refused and counted."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/set/{topic_level(name)}"


def state_topic(prefix: str, device: str, camera: str, name: str) -> str:
    """The value that each command has now: `detect`, `enabled`, `privacy`, `score`."""
    return f"{topic_level(prefix)}/{topic_level(device)}/{topic_level(camera)}/state/{topic_level(name)}"


def discovery_device_topic(device: str) -> str:
    """All entities for Home Assistant in one message, with `mqtt.discovery = "device"`; sent again when Home Assistant says `online`."""
    return f"homeassistant/device/visavis_{topic_level(device)}/config"


def discovery_component_topic(platform: str, device: str, object: str) -> str:
    """One entity for Home Assistant, with `mqtt.discovery = "component"`, for releases before 2024.11."""
    return f"homeassistant/{topic_level(platform)}/visavis_{topic_level(device)}/{topic_level(object)}/config"


def home_assistant_status_topic() -> str:
    """What Home Assistant says when it starts and ends."""
    return "homeassistant/status"


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[a-z0-9_-]+)", template))


PATTERNS = {
    "status": _pattern("{prefix}/{device}/status"),
    "info": _pattern("{prefix}/{device}/info"),
    "stats": _pattern("{prefix}/{device}/stats"),
    "events": _pattern("{prefix}/{device}/events"),
    "camera_status": _pattern("{prefix}/{device}/{camera}/status"),
    "detecting": _pattern("{prefix}/{device}/{camera}/detecting"),
    "detections": _pattern("{prefix}/{device}/{camera}/detections"),
    "faces": _pattern("{prefix}/{device}/{camera}/faces"),
    "occupied": _pattern("{prefix}/{device}/{camera}/occupied"),
    "snapshot": _pattern("{prefix}/{device}/{camera}/snapshot"),
    "last_face": _pattern("{prefix}/{device}/{camera}/last_face"),
    "zone_faces": _pattern("{prefix}/{device}/{camera}/zone/{zone}/faces"),
    "zone_occupied": _pattern("{prefix}/{device}/{camera}/zone/{zone}/occupied"),
    "set": _pattern("{prefix}/{device}/{camera}/set/{name}"),
    "state": _pattern("{prefix}/{device}/{camera}/state/{name}"),
    "discovery_device": _pattern("homeassistant/device/visavis_{device}/config"),
    "discovery_component": _pattern("homeassistant/{platform}/visavis_{device}/{object}/config"),
    "home_assistant_status": _pattern("homeassistant/status"),
}


def read_topic(topic: str) -> tuple[str, dict[str, str]] | None:
    """The name of a topic and its levels: `("faces", {"prefix": "visavis", "device": "porch", "camera": "door"})`.

    None for a topic that is not of visavis.
    """
    for name, pattern in PATTERNS.items():
        if found := pattern.fullmatch(topic):
            return name, found.groupdict()
    return None
