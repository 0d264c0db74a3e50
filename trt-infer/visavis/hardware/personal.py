# SPDX-License-Identifier: Apache-2.0
"""Takes out of a report what tells whose machine it is: names, addresses, serial numbers."""

from __future__ import annotations

import getpass
import os
import re
import socket
from typing import Any

from visavis.system_files import text_of

LEAST_NAME = 3  # a user called "a" would take every a out of the report
COMMON_NAMES = {
    *("root", "pi", "localhost", "debian", "raspberrypi", "ubuntu", "user", "admin", "visavis"),
    *("nvidia", "jetson", "orin", "thor", "camera"),
}
PATTERNS = {
    "MAC": r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b",
    "UUID": r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b",
    "IP": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    "IPv6": r"(?<![\w:])(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{1,4}:){7})[0-9A-Fa-f:]{3,}",
    "MAIL": r"[\w.+-]+@[\w-]+\.[\w.-]+",
    "SERIAL": r"(?i)(?<=serial)(?:[ _-]?(?:number|no))?\s*[:=]\s*\S+",
    "NUMBER": r"\b(?=[0-9A-Fa-f]*\d)(?:[0-9A-Fa-f]{12,})\b",
}


def names() -> list[str]:
    """What this machine and its user are called, the longest first."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""  # a container's user without a name
    host = socket.gethostname()
    found = {user, host, host.split(".")[0], os.environ.get("SUDO_USER", ""), text_of("/etc/machine-id")}
    return sorted((one for one in found if len(one) >= LEAST_NAME and one not in COMMON_NAMES), key=len, reverse=True)


def without(value: Any, private: list[str]) -> Any:
    """The same structure of dicts, lists and texts, with every name of `private` and every address taken out.

    Keys are words of ours, which a host may be called as well: no name is taken out of them.
    """
    if isinstance(value, dict):
        return {_clean(str(key), []): without(inner, private) for key, inner in value.items()}
    if isinstance(value, list):
        return [without(inner, private) for inner in value]
    return _clean(value, private) if isinstance(value, str) else value


def _clean(text: str, private: list[str]) -> str:
    text = re.sub(r"/(?:home|Users)/[^/\s]+", "/home/NAME", text)
    for name in private:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "NAME", text)
    for word, pattern in PATTERNS.items():
        text = re.sub(pattern, f"<{word}>", text)
    return text
