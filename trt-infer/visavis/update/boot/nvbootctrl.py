# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's Jetson: its firmware counts the boots of each root slot and gives one up after three, nvbootctrl asks it.

Needs a device that was flashed with ROOTFS_AB=1, and nvbootctrl of Jetson Linux 35.2 or later: there `verify` gives the
running slot its boots back. Whether a slot has proved itself to us stands on the first partition, which a factory
reset leaves alone: the firmware calls any system good until its boots have run out.
"""

from __future__ import annotations

import re
from pathlib import Path

from visavis.errors import UpdateError
from visavis.programs import ran
from visavis.update.boot.sector import lines, overwrite, text_of, values
from visavis.update.said import last_line

NAME = "visavis-slots.txt"
STATE = Path("/boot/efi") / NAME
# The slot on trial, and the one that is bad to us.
FRESH = {"trial": "", "bad": ""}
SIZE = 256
NUMBERS = {"A": "0", "B": "1"}


class Nvbootctrl:
    """The firmware's slots, and our note of which are on trial or bad."""

    def __init__(self, state: Path = STATE, program: str = "nvbootctrl") -> None:
        self._state, self._program = state, program

    def primary(self) -> str:
        """The slot that the firmware calls active."""
        found = re.search(r"^Active rootfs slot: ([AB])$", self._dump(), re.MULTILINE)
        if not found:
            raise UpdateError(f"{self._program} names no active slot", "flash this device with ROOTFS_AB=1")
        return found[1]

    def set_primary(self, slot: str) -> None:
        """Boot this one next, on trial unless it is proved and active already, or comes back before its time.

        Raises:
            UpdateError: the firmware has given it up, which only its own menu can undo.
        """
        if not self._bootable(slot):
            raise UpdateError(
                f"the firmware calls slot {slot} unbootable, and nvbootctrl cannot change that",
                "in the UEFI menu set Device Manager > NVIDIA Configuration > L4T Configuration > the slot's status",
            )
        note, first, proved = self._read(), self.primary() == slot, not self.on_trial(slot)
        self._ask("set-active-boot-slot", NUMBERS[slot])
        broken_off = "" if note["trial"] == slot else note["trial"]
        bad = "" if note["bad"] == slot else note["bad"]
        self._write({"trial": "" if proved and (first or broken_off) else slot, "bad": broken_off or bad})

    def good(self, slot: str) -> bool:
        """Whether the firmware would boot it and we have not marked it bad."""
        return self._bootable(slot) and self._read()["bad"] != slot

    def set_good(self, slot: str) -> None:
        """Tell the firmware that this boot went well; a trial of the other that it came back from is over."""
        self._run("verify")
        note = self._read()
        trial, bad = note["trial"], "" if note["bad"] == slot else note["bad"]
        if trial not in ("", slot) and self.primary() != trial:
            trial, bad = "", trial
        self._write({"trial": "" if trial == slot else trial, "bad": bad})

    def set_bad(self, slot: str) -> None:
        """Note it, and let the firmware not take it next."""
        self._write({"trial": "" if self._read()["trial"] == slot else self._read()["trial"], "bad": slot})
        if self.primary() == slot:
            self._ask("set-active-boot-slot", NUMBERS["B" if slot == "A" else "A"])

    def on_trial(self, slot: str) -> bool:
        """Whether `slot` is the one on trial, or bad to us alone: the firmware may boot that one all the same."""
        note = self._read()
        return slot in (note["trial"], note["bad"])

    def comes_back(self, slot: str) -> bool:
        """No: a power cut empties the register in which the firmware counts."""
        return False

    def before_restart(self) -> None:
        """The firmware counts by itself."""

    def _bootable(self, slot: str) -> bool:
        found = re.search(rf"^slot: {NUMBERS[slot]},.*status: (\w+)", self._dump(), re.MULTILINE)
        return bool(found and found[1] == "normal")

    def _dump(self) -> str:
        return self._ask("dump-slots-info")

    def _ask(self, *words: str) -> str:
        return self._run("-t", "rootfs", *words)

    def _run(self, *words: str) -> str:
        command = [self._program, *words]
        try:
            done = ran(command)
        except FileNotFoundError as error:
            raise UpdateError(
                f"{self._program} is missing", "this board's image needs NVIDIA's nvidia-l4t-tools"
            ) from error
        if done.returncode != 0:
            raise UpdateError(f"{' '.join(command)} failed: {last_line(done.stderr)}")
        return done.stdout

    def _read(self) -> dict[str, str]:
        return {**FRESH, **values(text_of(self._state))}

    def _write(self, note: dict[str, str]) -> None:
        overwrite(self._state, lines(note), "\n")


def fresh_file() -> bytes:
    """The note of a new device, both of whose slots hold the same system."""
    return lines(FRESH).encode().ljust(SIZE, b"\n")
