# SPDX-License-Identifier: Apache-2.0
"""Makes this device a user of this machine's broker, once: the package visavis-broker runs it, or you do.

The password is made here and is no concern of anybody's: the broker keeps its hash, systemd hands it to the daemon.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DAEMON = Path("/usr/bin/visavis-capture")
CONFIG = Path("/etc/visavis/config.toml")
USERS = Path("/etc/mosquitto/visavis.passwd")
PASSWORD = Path("/etc/credstore/mqtt.password")
SETTINGS = Path("/etc/visavis/conf.d/broker.toml")
UNIT = Path("/etc/systemd/system/visavis-capture.service.d/broker.conf")
BROKERS_HERE = ("mqtt://127.0.0.1:1883", "mqtt://localhost:1883", "mqtt://127.0.0.1", "mqtt://localhost")
SAID = "# Written by the package visavis-broker, which removes it when it is purged.\n"


def main() -> int:
    """Exit 0 also where there is nothing to do: the broker serves other devices all the same."""
    if os.environ.get("VISAVIS_JOIN") == "no":  # who gives this broker its users by other means says so
        return 0
    if not DAEMON.exists() or not CONFIG.exists() or SETTINGS.exists():
        return 0
    said = subprocess.run([DAEMON, "-config", CONFIG, "-effective"], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        print(f"visavis-broker: this device is no user yet: {said.stderr.strip()}", file=sys.stderr)
        print(f"visavis-broker: mend that and run: python3 {__file__}", file=sys.stderr)
        return 0
    settings: dict[str, Any] = json.loads(said.stdout)
    broker = settings["mqtt"]
    if broker["url"].rstrip("/") in BROKERS_HERE and not broker["user"]:
        join(settings["device"]["id"])
    return 0


def join(device: str) -> None:
    """Add the user and tell the daemon; each file is written for those alone who read it."""
    password = secrets.token_urlsafe(24)
    others = [line for line in USERS.read_text().splitlines(keepends=True) if not line.startswith(f"{device}:")]
    replace(USERS, "".join(others) + hashed(device, password))
    write(PASSWORD, password + "\n", 0o600)
    write(UNIT, f"{SAID}[Service]\nLoadCredential={PASSWORD.name}:{PASSWORD}\n", 0o644)
    # Last: with it all is done.
    write(SETTINGS, f'{SAID}[mqtt]\nuser = "{device}"\npassword_file = "credential:{PASSWORD.name}"\n', 0o644)


def hashed(device: str, password: str) -> str:
    """The line of mosquitto's password file. The password is never in the arguments of a program, which all may see."""
    with tempfile.NamedTemporaryFile("w+") as draft:
        draft.write(f"{device}:{password}\n")
        draft.flush()
        subprocess.run(["mosquitto_passwd", "-U", draft.name], check=True)
        return Path(draft.name).read_text()  # it may be a new file of that name


def replace(file: Path, text: str) -> None:
    """Write a file that others need anew, with the owner and the rights that it has."""
    now = file.stat()
    write(file, text, stat.S_IMODE(now.st_mode), (now.st_uid, now.st_gid))


# Not visavis.atomic: that is in another package, with a version of its own. tests/unit/test_atomic.py tries both.
def write(file: Path, text: str, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
    """Write a file as a whole or not at all, never readable by more users than in the end; -1: who runs this."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    try:
        with draft.open("w") as out:
            os.fchmod(out.fileno(), mode)
            os.fchown(out.fileno(), *owner)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
