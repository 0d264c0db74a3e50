# SPDX-License-Identifier: Apache-2.0
"""Makes this device a user of this machine's broker: the package visavis-broker runs it, or you do.

The password is made here and is no concern of anybody's: the broker keeps its hash, systemd hands it to the daemon.
The user is called as device.id says. When that has changed it is renamed, and `join.py follow`, which runs before the
daemon starts, does nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
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
RIGHTS = Path("/etc/mosquitto/visavis.acl")
PASSWORD = Path("/etc/credstore/mqtt.password")
SETTINGS = Path("/etc/visavis/conf.d/broker.toml")
UNIT = Path("/etc/systemd/system/visavis-capture.service.d/broker.conf")
NOTE = Path("/var/lib/visavis-broker/password.sha256")  # by which a purge knows the password for ours
RUNNING = Path("/run/systemd/system")
BROKERS_HERE = ("mqtt://127.0.0.1:1883", "mqtt://localhost:1883", "mqtt://127.0.0.1", "mqtt://localhost")
FORMER = (
    "# Of the package visavis-broker, until device.id changes again: events that wait, and what is to be cleared.\n"
)
END = r"\r?\n"  # an editor of Windows may have saved what stands there
# A hash as a whole; one of another form than mosquitto 2.0's is known by its end, which a full disk cuts off.
WHOLE = re.compile(r"\$7\$[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+==\s*|\$(?!7\$).+\n")
SAID = "# Written by the package visavis-broker, which removes it when it is purged.\n"


def main(follow: bool = False) -> int:
    """Exit 0 also where there is nothing to do: the broker serves other devices all the same."""
    if os.environ.get("VISAVIS_JOIN") == "no":  # who gives this broker its users by other means says so
        return 0
    if not DAEMON.exists() or not CONFIG.exists() or (follow and not SETTINGS.exists()):
        return 0
    said = subprocess.run(
        [DAEMON, "-config", CONFIG, "-effective", "-for-worker"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if said.returncode == 0:
        return attended(json.loads(said.stdout))
    if not follow:  # a daemon that starts says it itself
        complain(f"how this device is called is not known: {said.stderr.strip()}")
    return 0


def complain(what: str) -> None:
    print(f"visavis-broker: {what}\nvisavis-broker: mend that and run: python3 {__file__}", file=sys.stderr)


def attended(settings: dict[str, Any]) -> int:
    """Do what is to be done for the device's user; 1 when that failed."""
    try:
        attend(settings)
    except (OSError, subprocess.CalledProcessError) as error:
        complain(f"this device cannot be made a user of the broker: {error}")
        return 1
    return 0


def attend(settings: dict[str, Any]) -> None:
    """Make the user where there is none, rename or mend ours, and leave alone what an owner has set."""
    device, broker = settings["device"]["id"], settings["mqtt"]
    if broker["url"].rstrip("/") not in BROKERS_HERE:
        return
    if not SETTINGS.exists():
        if not broker["user"]:
            join(device)
    elif is_ours(broker["user"]):
        if broker["user"] != device:
            rename(broker["user"], device, broker["prefix"])
        elif USERS.exists() and not is_user(device):
            bring_back(device)
        note()


def is_ours(user: str) -> bool:
    """Whether the daemon has this user from the file that was written here."""
    text = read(SETTINGS).replace("\r\n", "\n")
    return text.startswith(SAID) and login(user) in text


def login(user: str) -> str:
    return f'user = "{user}"\n'


def join(device: str) -> None:
    """Add the user and tell the daemon; each file is written for those alone who read it."""
    password = secrets.token_urlsafe(24)
    replace(USERS, "".join(without(device)) + hashed(device, password))
    write(PASSWORD, password + "\n", 0o600)
    note()
    write(UNIT, f"{SAID}[Service]\nLoadCredential={PASSWORD.name}:{PASSWORD}\n", 0o644)
    # Last: with it all is done.
    write(SETTINGS, f'{SAID}[mqtt]\n{login(device)}password_file = "credential:{PASSWORD.name}"\n', 0o644)


def note() -> None:
    """Write down, as `sha256sum --check` reads it, which password is ours: a purge of visavis takes the settings."""
    if PASSWORD.exists():  # it may lie encrypted, in another place
        text = f"{hashlib.sha256(PASSWORD.read_bytes()).hexdigest()}  {PASSWORD}\n"
        if not NOTE.exists() or read(NOTE) != text:
            write(NOTE, text, 0o600)


def is_user(device: str) -> bool:
    """Whether it has a whole line, and not what a full disk has left of one."""
    return any(is_line_of(device, line) for line in lines(USERS))


def is_line_of(device: str, line: str) -> bool:
    name, _, hash_ = line.partition(":")
    return name == device and WHOLE.fullmatch(hash_) is not None


def bring_back(device: str) -> None:
    """Add the user again, as where a full disk has left no line of it, with the password that the daemon has."""
    if PASSWORD.exists():
        replace(USERS, "".join(without(device)) + hashed(device, read(PASSWORD).strip()))
        reload_broker()
    else:  # it may lie encrypted where only systemd reads it
        complain(f"{USERS} has no user {device}, and {PASSWORD} is not there: rm {SETTINGS}, for a new password")


def rename(before: str, device: str, prefix: str) -> None:
    """Let the user have another name, with its password, which may lie encrypted where only systemd reads it."""
    if RIGHTS.exists():  # its owner may have another file
        replace(RIGHTS, with_former(read(RIGHTS), before, device, prefix))
    ours = [line for line in lines(USERS) if line.startswith(f"{before}:")]
    if ours:  # else a run that was cut off came so far
        replace(USERS, "".join(without(before, device)) + device + ours[-1].removeprefix(before))
    replace(SETTINGS, re.sub(f'(?<=user = "){re.escape(before)}(?="{END})', device, read(SETTINGS)))
    reload_broker()


def reload_broker() -> None:
    if RUNNING.is_dir():
        subprocess.run(["systemctl", "--no-block", "try-reload-or-restart", "mosquitto.service"], check=False)


def with_former(rights: str, before: str, device: str, prefix: str) -> str:
    """The rights, with those to what was said under the name before: it waits to be sent and cleared."""
    kept = re.sub(re.escape(FORMER[:-1]) + END + r"user .*\n(topic .*\n){2}", "", rights)
    end = "" if kept.endswith("\n") else "\n"
    below = f"topic readwrite {prefix}/{before}/#\ntopic write homeassistant/+/visavis_{before}/#\n"
    return f"{kept}{end}{FORMER}user {device}\n{below}"


def without(*users: str) -> list[str]:
    """The lines of all others, each with its end."""
    return [line.removesuffix("\n") + "\n" for line in lines(USERS) if line.partition(":")[0] not in users]


def hashed(device: str, password: str) -> str:
    """The line of mosquitto's password file. The password is never in the arguments of a program, which all may see.

    Raises:
        OSError: mosquitto_passwd has written none, which it does not tell.
    """
    with tempfile.NamedTemporaryFile("w+") as draft:
        draft.write(f"{device}:{password}\n")
        draft.flush()
        subprocess.run(["mosquitto_passwd", "-U", draft.name], check=True)
        line = read(Path(draft.name))  # it may be a new file of that name
    if not is_line_of(device, line):
        raise OSError(errno.ENOSPC, "mosquitto_passwd wrote no hash, is there room in /tmp?")
    return line


def read(file: Path) -> str:
    """What others have written, in whatever encoding: `write` gives each byte back."""
    return file.read_bytes().decode("utf-8", "surrogateescape")


def lines(file: Path) -> list[str]:
    """Each with its end; Python's own would end one at more than mosquitto's."""
    return re.findall(r".*\n|.+", read(file))


def replace(file: Path, text: str) -> None:
    """Write a file that others need anew, with the owner and the rights that it has."""
    now = file.stat()
    write(file, text, stat.S_IMODE(now.st_mode), (now.st_uid, now.st_gid))


# Not visavis.atomic: that is in another package, with a version of its own. tests/unit/test_atomic.py tries both.
def write(file: Path, text: str, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
    """Write a file as a whole or not at all, never readable by more users than in the end; -1: who runs this."""
    file.parent.mkdir(mode=0o700 if mode & 0o077 == 0 else 0o777, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)  # of a run that was cut off
    try:
        # Ours alone from its first moment: whoever had opened it before would go on reading.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            os.fchown(out.fileno(), *owner)
            out.write(text.encode("utf-8", "surrogateescape"))
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(follow=sys.argv[1:] == ["follow"]))
