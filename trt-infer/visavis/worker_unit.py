# SPDX-License-Identifier: Apache-2.0
"""The package's workers as another user sees them: whether a drop-in gives them a network, and what they keep."""

from __future__ import annotations

import os
import re
from pathlib import Path

WORKER = "visavis-infer@.service"
WORKERS = "visavis-infer"  # whom they run as
UNIT = Path("/usr/lib/systemd/system") / WORKER
DROP_INS = (Path("/etc/systemd/system"), Path("/run/systemd/system"))
# What the unit forbids, as drop-ins allow it.
ALLOWED = (
    r"PrivateNetwork\s*=\s*(no|false|off|0)\s*$",
    r"(IPAddressDeny\s*=\s*$|IPAddressAllow\s*=\s*\S)",
    r"RestrictAddressFamilies\s*=(.*\bAF_INET6?\b|\s*$)",
)
COMMANDS = ("visavis model ", "visavis engine ")
# What they make in their cache is for them alone.
CLOSED = "not looked at, what the device's workers keep in {} is closed to this user"
OPEN = "run it with sudo"
REMEDY = f"give it one with `sudo systemctl edit {WORKER}`, as the how-to on Triton shows"


def filled(remedy: str, cache_dir: Path) -> str:
    """A remedy, and whose cache it is about where a command fills it: another user's is looked into in vain."""
    for command in COMMANDS:
        if command in remedy:
            return f"{remedy}; the device's workers look into {cache_dir}, which `sudo -u {WORKERS} {command}...` fills"
    return remedy


def drop_ins(units: str) -> str:
    """What the drop-ins of these units say, together."""
    files = (file for folder in DROP_INS for file in sorted(folder.glob(f"{units}.d/*.conf")))
    return "\n".join(file.read_text(errors="replace") for file in files)


def lacks_network() -> bool:
    """Whether no drop-in of the unit or of one worker lets it out."""
    text = drop_ins("visavis-infer@*.service")
    return not all(re.search(f"^{line}", text, re.MULTILINE) for line in ALLOWED)


def closed(cache_dir: Path, wanted: int = os.R_OK | os.X_OK) -> bool:
    """Whether some part of a cache that is there is closed to this user; to root none is, whatever a disk refuses."""
    if os.geteuid() == 0:
        return False
    parts = (cache_dir, cache_dir / "originals", cache_dir / "models")
    return any(part.exists() and not os.access(part, wanted) for part in parts)
