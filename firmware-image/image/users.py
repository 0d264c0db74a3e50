# SPDX-License-Identifier: Apache-2.0
"""The numbers of system users and groups, which are the same in every image.

What a device keeps belongs to numbers, and each update brings an /etc/passwd of its own. Packages and systemd-sysusers
take the next number that is free, so one more package with a user would give another number to all that follow.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from image.packages import LockError

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
# Nobody logs in as one of them; systemd's own expire as well, as it makes them.
SHADOW = "".join(
    f"{name}:!*::::::{'1' if name.startswith('systemd-') else ''}:\n"
    for name in (line.split(":")[0] for line in USERS.splitlines())
)
# For mmdebstrap: before any package that would make one of them, which then finds it.
HOOKS = tuple(
    f"--essential-hook=printf %s {shlex.quote(lines)} >>$1/etc/{file}"
    for file, lines in (("passwd", USERS), ("group", GROUPS), ("shadow", SHADOW))
)
# What Debian itself numbers is below, and for all systems the same; `users` is its as well.
NEXT_FREE = range(100, 1000)
DEBIANS = {("users", 100)}
REMEDY = "enter them in firmware-image/image/users.py, each with a number that nobody has had"


def must_be_fixed(root: Path) -> None:
    """Refuse a root in which somebody took the next free number.

    Raises:
        LockError: with the names.
    """
    for file, lines in (("passwd", USERS), ("group", GROUPS)):
        taken = {one for one in numbers((root / "etc" / file).read_text()) if one[1] in NEXT_FREE}
        if strange := sorted(taken - set(numbers(lines)) - DEBIANS):
            names = ", ".join(f"{name} ({number})" for name, number in strange)
            raise LockError(f"/etc/{file} of the root has numbers that change from image to image, {names}: {REMEDY}")


def numbers(lines: str) -> list[tuple[str, int]]:
    """Name and number of each line of passwd or group."""
    return [(name, int(number)) for name, _, number, *_ in (line.split(":") for line in lines.splitlines())]
