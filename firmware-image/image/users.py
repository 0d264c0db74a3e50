# SPDX-License-Identifier: Apache-2.0
"""The numbers of system users and groups, which are the same in every image.

What a device keeps belongs to numbers, and each update brings an /etc/passwd of its own. Packages and systemd-sysusers
take the next number that is free, so one more package with a user would give another number to all that follow.

In a root that somebody else has made, NVIDIA's, users have the numbers that they have there; ours are entered before
our packages are installed: `python -m image.users ROOT`.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from image.errors import ImageError

# Never change a number that is here: devices have files of it. A new user gets one that nobody has had.
USERS = """\
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
systemd-timesync:x:997:997:systemd Time Synchronization:/:/usr/sbin/nologin
messagebus:x:996:996:System Message Bus:/nonexistent:/usr/sbin/nologin
systemd-resolve:x:990:990:systemd Resolver:/:/usr/sbin/nologin
sshd:x:989:65534:sshd user:/run/sshd:/usr/sbin/nologin
visavis:x:988:988:visavis daemon:/var/lib/visavis:/usr/sbin/nologin
visavis-infer:x:987:987:visavis workers:/var/cache/visavis:/usr/sbin/nologin
mosquitto:x:100:102::/var/lib/mosquitto:/usr/sbin/nologin
avahi:x:101:103:Avahi mDNS daemon:/run/avahi-daemon:/usr/sbin/nologin
"""
GROUPS = """\
systemd-journal:x:999:
systemd-network:x:998:
systemd-timesync:x:997:
messagebus:x:996:
input:x:995:
sgx:x:994:
clock:x:993:
kvm:x:992:
render:x:991:
systemd-resolve:x:990:
visavis:x:988:
visavis-infer:x:987:
_ssh:x:101:
mosquitto:x:102:
avahi:x:103:
netdev:x:104:
"""
# Of those that a root of somebody else may lack: apart from all that it numbers itself, from 100 up and from 999 down.
ADDED_USERS = """\
visavis:x:900:900:visavis daemon:/var/lib/visavis:/usr/sbin/nologin
visavis-infer:x:901:901:visavis workers:/var/cache/visavis:/usr/sbin/nologin
mosquitto:x:902:902::/var/lib/mosquitto:/usr/sbin/nologin
avahi:x:903:903:Avahi mDNS daemon:/run/avahi-daemon:/usr/sbin/nologin
systemd-timesync:x:904:904:systemd Time Synchronization:/run/systemd:/usr/sbin/nologin
sshd:x:905:65534:sshd user:/run/sshd:/usr/sbin/nologin
"""
ADDED_GROUPS = """\
visavis:x:900:
visavis-infer:x:901:
mosquitto:x:902:
avahi:x:903:
systemd-timesync:x:904:
_ssh:x:905:
netdev:x:906:
render:x:907:
"""


def shadow(users: str) -> str:
    """The lines of /etc/shadow for those of /etc/passwd: nobody logs in, and systemd's own expire, as it makes them."""
    names = [line.split(":")[0] for line in users.splitlines()]
    return "".join(f"{name}:!*::::::{'1' if name.startswith('systemd-') else ''}:\n" for name in names)


@dataclass(frozen=True)
class Numbers:
    """Lines of /etc/passwd and of /etc/group."""

    users: str
    groups: str

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """File in /etc -> its lines."""
        return (("passwd", self.users), ("group", self.groups))


DEBIAN, ADDED = Numbers(USERS, GROUPS), Numbers(ADDED_USERS, ADDED_GROUPS)
# For mmdebstrap: before any package that would make one of them, which then finds it.
HOOKS = tuple(
    f"--essential-hook=printf %s {shlex.quote(lines)} >>$1/etc/{file}"
    for file, lines in (*DEBIAN.files, ("shadow", shadow(USERS)))
)
# What Debian itself numbers is below, and for all systems the same; `users` is its as well.
NEXT_FREE = range(100, 1000)
DEBIANS = {("users", 100)}
REMEDY = "enter them in firmware-image/image/users.py, each with a number that nobody has had"
# Which users a root of somebody else had before our packages came, in the form of /etc.
BEFORE = "usr/lib/visavis-image/before"


def enter(root: Path, ours: Numbers) -> None:
    """Give those of our users that a root of somebody else lacks their numbers, and note whom it has.

    Raises:
        ImageError: somebody else there has such a number.
    """
    for file, lines in ours.files:
        there = (root / "etc" / file).read_text()
        names, taken = dict(numbers(there)), {number: name for name, number in numbers(there)}
        added = [line for line in lines.splitlines() if line.split(":")[0] not in names]
        for name, number in numbers("\n".join(added)):
            if number in taken:
                raise ImageError(
                    f"/etc/{file} of the root gives {number}, which is for {name}, to {taken[number]}: {REMEDY}"
                )
        append(root / "etc" / file, [f"{line}\n" for line in added])
        if file == "passwd":
            append(root / "etc/shadow", [shadow("\n".join(added))])
        (root / BEFORE).mkdir(parents=True, exist_ok=True)
        (root / BEFORE / file).write_text((root / "etc" / file).read_text())


def append(file: Path, lines: list[str]) -> None:
    with file.open("a") as out:
        out.writelines(lines)


def must_be_fixed(root: Path, ours: Numbers = DEBIAN) -> None:
    """Refuse a root in which somebody took the next free number.

    Raises:
        ImageError: with the names.
    """
    for file, lines in ours.files:
        taken = {one for one in numbers((root / "etc" / file).read_text()) if one[1] in NEXT_FREE}
        before = root / BEFORE / file
        known = lines + (before.read_text() if before.exists() else "")
        if strange := sorted(taken - set(numbers(known)) - DEBIANS):
            names = ", ".join(f"{name} ({number})" for name, number in strange)
            raise ImageError(f"/etc/{file} of the root has numbers that change from image to image, {names}: {REMEDY}")


def numbers(lines: str) -> list[tuple[str, int]]:
    """Name and number of each line of passwd or group."""
    return [(name, int(number)) for name, _, number, *_ in (line.split(":") for line in lines.splitlines())]


def main() -> int:
    """Enter our users into the root that the command line names."""
    try:
        enter(Path(sys.argv[1]), ADDED)
    except ImageError as error:
        print(f"users: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
