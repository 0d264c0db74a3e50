# SPDX-License-Identifier: Apache-2.0
"""Which files of a device follow from its owner's settings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from visavis.toml_text import quoted

from visavis_device.settings import Mqtt, Settings, Wifi

DEVICE_CONFIG = "etc/visavis/conf.d/50-device.toml"
BROKER_CONFIG = "etc/visavis/conf.d/50-broker.toml"
BROKER_PASSWORD = "etc/visavis/mqtt.password"  # noqa: S105 (a path)
CLAIM = "etc/visavis/claim-code"
HOSTNAME = "etc/hostname"
SSH_KEYS = "etc/ssh/authorized_keys.d/root"
WIFI_COUNTRY = "etc/iwd/main.conf"
PAGE_ANNOUNCEMENT = "etc/avahi/services/visavis.service"  # the image's or its owner's
ANNOUNCEMENT = "etc/avahi/services/visavis-device.service"

PORT = 8080
DEVICE_ANNOUNCED = """<?xml version="1.0" standalone="no"?>
<!-- Written anew by visavis-first-boot at each start, where there is visavis.service beside it. -->
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group>
  <name replace-wildcards="yes">visavis on %h</name>
  <service>
    <type>_visavis._tcp</type>
    <port>{port}</port>
    <txt-record>id={device}</txt-record>
    <txt-record>ver={version}</txt-record>
    <txt-record>api=/api/v1</txt-record>
  </service>
</service-group>
"""


@dataclass(frozen=True)
class File:
    """A file below the root: who may read it beside root, and what is in it."""

    path: str
    content: str
    mode: int = 0o644
    group: str = "root"


def of(settings: Settings) -> list[File]:
    """Every file that the settings ask for; what they do not mention stays as it is on the device."""
    files = identity(settings.device.id) if settings.device.id else []
    if settings.device.claim:
        files.append(claim(settings.device.claim))
    if settings.wifi:
        files += wifi(settings.wifi)
    if settings.mqtt:
        files += broker(settings.mqtt)
    if settings.ssh:
        files.append(File(SSH_KEYS, "".join(f"{key}\n" for key in settings.ssh.keys)))
    return files


def identity(name: str) -> list[File]:
    """The device's name in the network and in topics."""
    return [File(HOSTNAME, f"{name}\n"), File(DEVICE_CONFIG, f"[device]\nid = {quoted(name)}\n")]


def announcement(page: str, device: str, version: str) -> File:
    """What Avahi tells programs, which look for a device, where it tells people of this page."""
    port = re.search("<port>([0-9]+)</port>", page)
    text = DEVICE_ANNOUNCED.format(port=port[1] if port else PORT, device=device, version=version)
    return File(ANNOUNCEMENT, text)


def claim(code: str) -> File:
    """The code with which the first administrator is made, in the form that people type."""
    letters = code.upper().replace("-", "")
    return File(CLAIM, f"{letters[:4]}-{letters[4:]}\n", 0o640, "visavis")


def wifi(settings: Wifi) -> list[File]:
    """What iwd, which keeps the connection, wants to know."""
    plain = re.fullmatch("[A-Za-z0-9_ -]+", settings.ssid)
    name = settings.ssid if plain else f"={settings.ssid.encode().hex()}"
    kind = "psk" if settings.password else "open"
    known = "[Settings]\nAutoConnect=true\n" + "Hidden=true\n" * settings.hidden
    files = [File(f"var/lib/iwd/{name}.{kind}", wifi_secret(settings.password) + known, 0o600)]
    if settings.country:
        files.append(File(WIFI_COUNTRY, f"[General]\nCountry={settings.country}\n"))
    return files


def wifi_secret(password: str) -> str:
    if not password:
        return ""
    if len(password) == 64:
        return f"[Security]\nPreSharedKey={password.lower()}\n"
    escaped = password.replace("\\", "\\\\")
    if escaped.startswith(" "):
        escaped = f"\\s{escaped[1:]}"  # otherwise it would be taken for the space after the sign
    return f"[Security]\nPassphrase={escaped}\n"


def broker(settings: Mqtt) -> list[File]:
    """The broker that gets the detections; its password in a file of its own, for the daemon alone."""
    lines = ["[mqtt]", f"url = {quoted(settings.url)}"]
    if settings.user:
        lines.append(f"user = {quoted(settings.user)}")
    files = []
    if settings.password:
        lines.append(f"password_file = {quoted('/' + BROKER_PASSWORD)}")
        files.append(File(BROKER_PASSWORD, settings.password, 0o640, "visavis"))
    return [*files, File(BROKER_CONFIG, "\n".join(lines) + "\n")]
