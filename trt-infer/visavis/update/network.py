# SPDX-License-Identifier: Apache-2.0
"""Whether others can reach this device: noted when it is told to start another system, asked by that one's gate.

A release that has lost the driver of a radio is healthy by itself, and nobody could send it the next one.
"""

from __future__ import annotations

from pathlib import Path

from visavis.atomic import write_atomically

NOTE = Path("/data/rauc/visavis-network")
ROUTES, ADDRESSES = Path("/proc/net/route"), Path("/proc/net/if_inet6")
# Of 169.254.0.0, as the kernel prints it on all boards that there are: in their own order of bytes.
LINK_LOCAL = "0000FEA9"
GLOBAL, LOOPBACK = "00", "lo"


def has_network() -> bool:
    """Whether some interface has an address that is good for more than this device, or the cable it hangs on."""
    v4 = (row.split() for row in _lines(ROUTES)[1:])
    v6 = (row.split() for row in _lines(ADDRESSES))
    return any(destination != LINK_LOCAL for _, destination, *_ in v4) or any(
        scope == GLOBAL and name != LOOPBACK for *_, scope, _, name in v6
    )


def note() -> None:
    """Keep, for the gate of the system that is started next, whether the device has a network now.

    Raises:
        OSError: it cannot be written.
    """
    NOTE.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(NOTE, b"yes\n" if has_network() else b"no\n")


def is_lost() -> bool:
    """Whether the device had a network when it was told to start this system, and has none now."""
    return _lines(NOTE) == ["yes"] and not has_network()


def _lines(file: Path) -> list[str]:
    """None where the kernel has no such file: it does without IPv6, say."""
    return file.read_text().splitlines() if file.exists() else []
