# SPDX-License-Identifier: Apache-2.0
"""The Raspberry Pi's firmware: autoboot.txt names the proved slot and the other, which is booted once.

With Raspberry Pi's own kernel `reboot "0 tryboot"` boots the partition below [tryboot]; any other start, also after a
crash, boots the one below [all]. Debian's kernel cannot pass that on: with it the slot on trial stands below [all] for
one start, and the first stage of what is started puts the proved one back (`end-trial`). So a system that does not
come up is given up at once. One that comes up and is not healthy starts again, at most three times, which
visavis-slots.txt counts.
"""

from __future__ import annotations

import re
from pathlib import Path

from visavis.errors import UpdateError
from visavis.update.boot.sector import lines, overwrite, text_of, values

FOLDER = Path("/boot/efi")
REBOOT_PARAMETER = Path("/run/systemd/reboot-param")
# A kernel that passes `tryboot` on to the firmware has this function.
SYMBOLS, PASSES_ON = Path("/proc/kallsyms"), "rpi_firmware_notify_reboot"
PARTITIONS = {"A": 2, "B": 3}
OTHER = {"A": "B", "B": "A"}
MOST_TRIES = 3
# The slot on trial, its starts, the slot that must not be booted, and the one that autoboot.txt names for one start.
FRESH = {"trial": "", "tries": "0", "bad": "", "once": ""}
# Of the files: one sector of any card, and below the 512 bytes that the firmware reads.
SIZE = 256


class Tryboot:
    """The first partition of one device, where systemd takes the reboot's argument from, and what the kernel has."""

    def __init__(
        self, folder: Path = FOLDER, reboot_parameter: Path = REBOOT_PARAMETER, symbols: Path = SYMBOLS
    ) -> None:
        self._autoboot, self._slots = folder / "autoboot.txt", folder / "visavis-slots.txt"
        self._reboot_parameter, self._symbols = reboot_parameter, symbols

    def primary(self) -> str:
        """The slot on trial, else the proved one."""
        return self._trial() or self._proved()

    def set_primary(self, slot: str) -> None:
        """Try this one at the next restart; the proved one is booted without that, and a trial of the other is over."""
        self._take_back()
        bad = self._read()["bad"]
        if slot == self._proved():
            self._write({"trial": "", "tries": "0", "bad": self._trial() or bad})
        else:
            self._write({"trial": slot, "tries": "0", "bad": "" if bad == slot else bad})

    def good(self, slot: str) -> bool:
        """Whether it is neither bad nor being tried."""
        now = self._read()
        return now["bad"] != slot and not (self._trial() == slot and int(now["tries"]))

    def set_good(self, slot: str) -> None:
        """The slot that runs has proved itself: the firmware boots it from now on."""
        trial, now = self._trial(), self._read()
        bad = "" if now["bad"] == slot else now["bad"]
        if trial == slot:
            overwrite(self._autoboot, autoboot(slot), "\n")  # a power cut here leaves a trial of the proved slot: none
            self._write({"trial": "", "tries": "0", "bad": bad})
            return
        self._take_back()
        if trial and int(now["tries"]):  # it was tried, and here we are again
            self._write({"trial": "", "tries": "0", "bad": trial})
        elif bad != now["bad"]:
            self._write({**now, "bad": bad})

    def set_bad(self, slot: str) -> None:
        """End its trial; the firmware boots it only when asked for."""
        if slot == self._proved():
            raise UpdateError(f"slot {slot} is the one that the firmware boots: it cannot be marked bad")
        self._take_back()
        self._write({"trial": "", "tries": "0", "bad": slot})

    def on_trial(self, slot: str) -> bool:
        """Whether `slot` is the one to be tried, or bad."""
        return slot != self._proved() and slot in (self._trial(), self._read()["bad"])

    def comes_back(self, slot: str) -> bool:
        """No: boots of a proved slot are not counted."""
        return False

    def before_restart(self) -> None:
        """Ask the firmware for the slot on trial, as long as it has tries left."""
        self._take_back()
        trial, now = self._trial(), self._read()
        if not trial or int(now["tries"]) >= MOST_TRIES:
            return
        tries = str(int(now["tries"]) + 1)
        if self._kernel_asks():
            self._write({**now, "tries": tries, "once": ""})
            self._reboot_parameter.parent.mkdir(parents=True, exist_ok=True)
            self._reboot_parameter.write_text("0 tryboot\n")
        else:
            self._write({**now, "tries": tries, "once": trial})  # first: from here on the proved one is known by it
            overwrite(self._autoboot, autoboot(trial), "\n")

    def _take_back(self) -> None:
        """Name the proved slot again. The first stage does it; that may have failed, or the restart never came."""
        if self._read()["once"]:
            overwrite(self._autoboot, autoboot(self._proved()), "\n")

    def _kernel_asks(self) -> bool:
        with self._symbols.open() as lines_of_symbols:
            return any(PASSES_ON in line for line in lines_of_symbols)

    def _proved(self) -> str:
        if once := self._read()["once"]:
            return OTHER[once]
        found = re.search(r"^boot_partition=(\d+)", text_of(self._autoboot), re.MULTILINE)
        for slot, partition in PARTITIONS.items():
            if found and int(found[1]) == partition:
                return slot
        raise UpdateError(f"{self._autoboot} names no slot", "write it anew: its [all] has boot_partition=2 or 3")

    def _trial(self) -> str:
        trial = self._read()["trial"]
        return "" if trial == self._proved() else trial

    def _read(self) -> dict[str, str]:
        text = text_of(self._slots) if self._slots.exists() else ""
        found = {**FRESH, **values(text)}
        known = {"tries": found["tries"] if found["tries"].isdecimal() else "0"}
        return {**found, **known, "once": found["once"] if found["once"] in OTHER else ""}

    def _write(self, now: dict[str, str]) -> None:
        overwrite(self._slots, lines({**FRESH, **now}), "\n")


def autoboot(slot: str) -> str:
    """What autoboot.txt says when `slot` has proved itself."""
    there, try_there = PARTITIONS[slot], PARTITIONS[OTHER[slot]]
    return f"[all]\ntryboot_a_b=1\nboot_partition={there}\n[tryboot]\nboot_partition={try_there}\n"


def fresh_files() -> dict[str, bytes]:
    """The files of the first partition for a new device, on which slot A is written.

    autoboot-a.txt and autoboot-b.txt are what the first stage copies from: it has no Python.
    """
    texts = {f"autoboot-{slot.lower()}.txt": autoboot(slot) for slot in PARTITIONS}
    texts |= {"autoboot.txt": autoboot("A"), "visavis-slots.txt": lines({**FRESH, "bad": "B"})}
    return {name: text.encode().ljust(SIZE, b"\n") for name, text in texts.items()}
