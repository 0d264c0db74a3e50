# SPDX-License-Identifier: Apache-2.0
"""What a system that chooses the next one leaves for that one's gate: which slot it is, and whether there is a network.

A release that has lost the driver of a radio is healthy by itself, and nobody could send it the next one. One that
cannot read the boot partition would not learn from the boot loader that it is on trial.
"""

from __future__ import annotations

from pathlib import Path

from visavis.atomic import write_atomically
from visavis.update.boot.sector import lines, values

NOTE = Path("/data/rauc/visavis-chosen")
ROUTES, ADDRESSES = Path("/proc/net/route"), Path("/proc/net/if_inet6")
# Of 169.254.0.0, as the kernel prints it on all boards that there are: in their own order of bytes.
LINK_LOCAL = "0000FEA9"
GLOBAL, LOOPBACK = "00", "lo"


def note(slot: str) -> None:
    """Leave a note that a slot was chosen, and has to prove itself.

    Raises:
        OSError: it cannot be written.
    """
    NOTE.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(NOTE, lines({"slot": slot, "network": "yes" if has_network() else "no"}).encode())


def forget() -> None:
    """Take the note back.

    Raises:
        OSError: it cannot be removed.
    """
    NOTE.unlink(missing_ok=True)


def is_chosen(slot: str) -> bool:
    """Whether a slot was chosen and has not been kept since."""
    return _read().get("slot") == slot


def network_is_lost() -> bool:
    """Whether the device had a network when the next system was chosen, and has none now."""
    return _read().get("network") == "yes" and not has_network()


def has_network() -> bool:
    """Whether some interface has an address that is good for more than this device, or the cable it hangs on."""
    v4 = (row.split() for row in _text(ROUTES).splitlines()[1:])
    v6 = (row.split() for row in _text(ADDRESSES).splitlines())
    return any(destination != LINK_LOCAL for _, destination, *_ in v4) or any(
        scope == GLOBAL and name != LOOPBACK for *_, scope, _, name in v6
    )


def _read() -> dict[str, str]:
    return values(_text(NOTE))


def _text(file: Path) -> str:
    """Nothing where the kernel has no such file: it does without IPv6, say."""
    return file.read_text("ascii", "replace") if file.exists() else ""
