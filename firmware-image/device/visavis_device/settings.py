# SPDX-License-Identifier: Apache-2.0
"""What the owner's file visavis.toml may say. Whatever else it says is refused with a sentence that names the place."""

from __future__ import annotations

import base64
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "visavis.toml"
NAMES = (NAME, f"{NAME}.txt")  # what an editor makes of it where the ends of names are hidden
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
    hidden: bool = False


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
        if not good(value):
            shown = "" if "password" in place else f" {value!r}"
            raise SettingsError(f"{NAME}: {place}:{shown} cannot be used: write {remedy}")
    return settings


def parsed(content: bytes) -> dict[str, Any]:
    """The file as TOML; editors of other systems put a mark before it or end lines in their way."""
    try:
        return dict(tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n")))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{NAME} is not UTF-8 text: save it again with the encoding UTF-8") from error
    except ValueError as error:  # of the format, or a number of thousands of digits
        raise SettingsError(f"{NAME}: {error}: compare with {NAME}.example; text stands in quotes") from error
    except RecursionError as error:
        raise SettingsError(f"{NAME}: too many brackets within one another: compare with {NAME}.example") from error


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


def rules(settings: Settings) -> Iterator[Rule]:
    """Place, value, what it must be, and how to say that."""
    name, claim = settings.device.id, settings.device.claim
    text = "1 to 32 of a-z 0-9 and - inside"
    yield "device.id", name, unless_empty(matches(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")), text
    yield "device.claim", claim, unless_empty(is_claim), f"eight of {CLAIM_LETTERS}, such as ABCD-EFGH"
    if settings.wifi:
        yield from wifi_rules(settings.wifi)
    if settings.mqtt:
        yield "mqtt.url", settings.mqtt.url, bool, "the address of your broker, or leave the section out"
    for n, key in enumerate(settings.ssh.keys if settings.ssh else []):
        yield f"ssh.keys[{n}]", key, is_key, "the line of your file id_ed25519.pub"


def wifi_rules(wifi: Wifi) -> Iterator[Rule]:
    password = "8 to 63 characters, or 64 hexadecimal digits"  # noqa: S105 (what it must be)
    yield "wifi.ssid", wifi.ssid, is_ssid, "a name of 1 to 32 bytes"
    yield "wifi.password", wifi.password, unless_empty(is_wifi_password), password
    yield "wifi.country", wifi.country, unless_empty(matches("[A-Z]{2}")), "two capital letters, such as DE"


def unless_empty(good: Callable[[str], bool]) -> Callable[[str], bool]:
    """Of a setting that may be left out."""
    return lambda value: not value or good(value)


def matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


def is_claim(code: str) -> bool:
    letters = code.upper().replace("-", "")
    return len(letters) == 8 and not letters.strip(CLAIM_LETTERS)


def is_ssid(name: str) -> bool:
    return 1 <= len(name.encode()) <= 32 and not controls(name)


def controls(text: str) -> bool:
    """Whether it would end a line or do worse. What joins letters or parts words is not printable, and yet of names."""
    return any(unicodedata.category(letter) == "Cc" for letter in text)


def is_wifi_password(password: str) -> bool:
    if re.fullmatch("[0-9A-Fa-f]{64}", password):
        return True
    return 8 <= len(password) <= 63 and password.isascii() and password.isprintable()


def is_key(line: str) -> bool:
    """Whether it is one public key, with nothing before it and no second line."""
    words = re.split(" +", line.strip(" "))  # sshd knows no other blank
    if len(words) < 2 or words[0] not in KEY_TYPES or controls(line):
        return False
    try:
        blob = base64.b64decode(words[1], validate=True)
    except ValueError:  # also of letters that base64 does not have
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == words[0].encode()
