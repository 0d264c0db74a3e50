# SPDX-License-Identifier: Apache-2.0
"""GRUB on UEFI boards: its environment on the EFI partition, with the names that RAUC gives them.

    ORDER   slots, the first that may be booted is taken
    A_OK    1: slot A may be booted
    A_TRY   boots of slot A since it was marked good; grub.cfg counts them, and at 3 the slot is passed over
    TRIAL   the slot that has not proved itself yet, or nothing
    BACK    the proved slot that got the boots back which it had used up, or nothing; grub.cfg does not look at it

RAUC has a backend for GRUB; it calls grub-editenv, which empties the file before it writes it. A power cut between the
two loses every variable, also which slot is half written.
"""

from __future__ import annotations

from pathlib import Path

from visavis.update.boot.sector import lines, overwrite, text_of, values

ENVIRONMENT = Path("/boot/efi/EFI/visavis/grubenv")
HEADER = "# GRUB Environment Block\n"
SIZE = 1024
MOST_TRIES = 3
FRESH = {"ORDER": "A B", "A_OK": "1", "A_TRY": "0", "B_OK": "0", "B_TRY": "0", "TRIAL": "", "BACK": ""}


class Grub:
    """The environment of one device."""

    def __init__(self, environment: Path = ENVIRONMENT) -> None:
        self._file = environment

    def primary(self) -> str:
        """The slot that grub.cfg takes next."""
        now = self._read()
        able = [slot for slot in now["ORDER"].split() if now[f"{slot}_OK"] == "1" and _tries(now, slot) < MOST_TRIES]
        return (able or now["ORDER"].split())[0]

    def set_primary(self, slot: str) -> None:
        """Boot this one next, on trial unless it is proved and first already, or comes back before its time."""
        now, proved = self._read(), not self.on_trial(slot)
        broken_off = now["TRIAL"] not in ("", slot)
        if broken_off:
            now = _without(now, now["TRIAL"])
        elif proved and self.primary() == slot:
            return
        others = [other for other in now["ORDER"].split() if other != slot]
        trial = "" if broken_off and proved else slot
        chosen = {"ORDER": " ".join([slot, *others]), f"{slot}_OK": "1", f"{slot}_TRY": "0", "TRIAL": trial, "BACK": ""}
        self._write({**now, **chosen})

    def good(self, slot: str) -> bool:
        """Whether it may be booted, and if it is on trial, none of its boots is unconfirmed.

        A proved slot may lose its three boots to three power cuts: it is passed over then, and is whole all the same.
        """
        now = self._read()
        return now[f"{slot}_OK"] == "1" and (now["TRIAL"] != slot or _tries(now, slot) == 0)

    def set_good(self, slot: str) -> None:
        """Count its boots from 0; the other, if its trial has used up all boots, is bad now.

        A proved one that comes before it and has used up its boots gets them back, once: power cuts may have taken
        them, and the device would run the older system for ever.
        """
        now = self._read()
        other = now["TRIAL"]
        if other not in ("", slot) and _tries(now, other) >= MOST_TRIES:
            now = _without(now, other)
        trial = "" if now["TRIAL"] == slot else now["TRIAL"]
        self._write(_given_back({**now, f"{slot}_OK": "1", f"{slot}_TRY": "0", "TRIAL": trial}, slot))

    def comes_back(self, slot: str) -> bool:
        """Whether such another is booted next."""
        now = self._read()
        return now["BACK"] not in ("", slot) and self.primary() == now["BACK"]

    def set_bad(self, slot: str) -> None:
        """Pass it over, also once both have used up their boots."""
        self._write(_without(self._read(), slot))

    def on_trial(self, slot: str) -> bool:
        """Whether `slot` is the one on trial, or bad."""
        now = self._read()
        return now["TRIAL"] == slot or now[f"{slot}_OK"] != "1"

    def before_restart(self) -> None:
        """GRUB counts by itself."""

    def _read(self) -> dict[str, str]:
        """The variables; a device whose file is damaged is as a fresh one.

        Raises:
            UpdateError: there is no file, as where the boot partition is not mounted.
        """
        known = {name: value for name, value in values(text_of(self._file)).items() if name in FRESH}
        return {**FRESH, **known}

    def _write(self, now: dict[str, str]) -> None:
        overwrite(self._file, HEADER + lines(now), "#")


def fresh_environment() -> bytes:
    """The whole file for a new device, on which slot A is written."""
    return (HEADER + lines(FRESH)).encode().ljust(SIZE, b"#")


def _tries(now: dict[str, str], slot: str) -> int:
    tries = now[f"{slot}_TRY"]
    return int(tries) if tries.isdecimal() else 0


def _given_back(now: dict[str, str], running: str) -> dict[str, str]:
    first = now["ORDER"].split()[0]
    if first == running:
        return {**now, "BACK": ""}
    proved = now[f"{first}_OK"] == "1" and now["TRIAL"] != first
    if proved and _tries(now, first) >= MOST_TRIES and now["BACK"] != first:
        return {**now, f"{first}_TRY": "0", "BACK": first}
    return now


def _without(now: dict[str, str], slot: str) -> dict[str, str]:
    """Slot `slot` bad, last in the order and not on trial."""
    order = [other for other in now["ORDER"].split() if other != slot] + [slot]
    trial = "" if now["TRIAL"] == slot else now["TRIAL"]
    return {**now, "ORDER": " ".join(order), f"{slot}_OK": "0", f"{slot}_TRY": "0", "TRIAL": trial}
