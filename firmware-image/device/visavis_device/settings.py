# SPDX-License-Identifier: Apache-2.0
"""What the owner's file visavis.toml may say. Whatever else it says is refused with a sentence that names the place."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "visavis.toml"
CLAIM_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
KEY_TYPES = (
    *("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
)


class SettingsError(Exception):
    """The file cannot be used; the sentence names the setting and what to write instead."""


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[device]"""

    id: str = ""
    claim: str = ""


class Wifi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[wifi]"""

    ssid: str
    password: str = ""
    country: str = ""


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[mqtt]"""

    url: str
    user: str = ""
    password: str = ""


class Ssh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[ssh]"""

    keys: list[str]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every section may be missing."""

    device: Device = Device()
    wifi: Wifi | None = None
    mqtt: Mqtt | None = None
    ssh: Ssh | None = None


def read(content: bytes) -> Settings:
    """Read the file's bytes.

    Raises:
        SettingsError: with the first thing that is wrong.
    """
    settings = structure(parsed(content))
    for place, value, good, remedy in rules(settings):
        if value and not good(value):
            shown = "" if "password" in place else f" {value!r}"
            raise SettingsError(f"{NAME}: {place}:{shown} cannot be used: write {remedy}")
    return settings


def parsed(content: bytes) -> dict[str, Any]:
    """The file as TOML; editors of other systems put a mark before it or end lines in their way."""
    try:
        return dict(tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n")))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{NAME} is not UTF-8 text: save it again with the encoding UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{NAME}: {error}: compare with {NAME}.example; text stands in quotes") from error


def structure(values: dict[str, Any]) -> Settings:
    """The values in their sections."""
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{NAME}: {in_plain_words(str(error))}: compare with {NAME}.example") from error


def in_plain_words(complaint: str) -> str:
    """msgspec's sentence, with the place in front of it."""
    what, _, place = complaint.partition(" - at `$")
    what = what.replace("Object contains", "there is an").replace("Object missing required field", "what is missing is")
    place = place.rstrip("`").removeprefix(".")
    return f"{place}: {what}" if place else what


Rule = tuple[str, str, Callable[[str], bool], str]


def rules(settings: Settings) -> list[Rule]:
    """Place, value, what it must be, and how to say that."""
    device, wifi = settings.device, settings.wifi or Wifi(ssid="")
    found: list[Rule] = [
        ("device.id", device.id, matches(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"), "1 to 32 of a-z 0-9 and - inside"),
        ("device.claim", device.claim, is_claim, f"eight of {CLAIM_LETTERS}, such as ABCD-EFGH"),
        (
            "wifi.ssid",
            wifi.ssid,
            lambda ssid: len(ssid.encode()) <= 32 and ssid.isprintable(),
            "a name of at most 32 bytes",
        ),
        ("wifi.password", wifi.password, is_wifi_password, "8 to 63 characters, or 64 hexadecimal digits"),
        ("wifi.country", wifi.country, matches("[A-Z]{2}"), "two capital letters, such as DE"),
    ]
    keys = settings.ssh.keys if settings.ssh else []
    return found + [
        (f"ssh.keys[{n}]", key, is_key, "the line of your file id_ed25519.pub") for n, key in enumerate(keys)
    ]


def matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def is_claim(code: str) -> bool:
    letters = code.upper().replace("-", "")
    return len(letters) == 8 and not letters.strip(CLAIM_LETTERS)


def is_wifi_password(password: str) -> bool:
    if re.fullmatch("[0-9A-Fa-f]{64}", password):
        return True
    return 8 <= len(password) <= 63 and password.isascii() and password.isprintable()


def is_key(line: str) -> bool:
    """Whether it is one public key, with nothing before it and no second line."""
    words = line.split()
    if len(words) < 2 or words[0] not in KEY_TYPES or not line.isprintable():
        return False
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == words[0].encode()
