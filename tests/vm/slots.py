# SPDX-License-Identifier: Apache-2.0
"""A machine with two slots for its system, which starts anew by itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.vm.lab import Machine

# A look at a machine that goes down in the middle of it hangs until the next system says that it knows nothing of it.
LOOK_S = 40.0
OTHER = {"A": "B", "B": "A"}  # slot


class TwoSlots(Machine):
    """What is asked of such a machine; who makes one says what it is."""

    folder: Path
    console: Path
    connections = 0

    def connect_anew(self) -> None:
        """By another connection from now on: the old one knows nothing of a system started since."""
        self.connections += 1
        self.socket = self.folder / f"ssh{self.connections}"

    def wait_for(self, condition: Callable[[], bool], otherwise: str, limit_s: float | None = None) -> None:
        """As everywhere, by a new connection each time; a look that hangs is one that did not find it."""

        def anew() -> bool:
            self.connect_anew()
            try:
                return condition()
            except subprocess.TimeoutExpired:
                return False

        super().wait_for(anew, otherwise, limit_s)

    def boot_id(self) -> str:
        """Another one after each start; empty while it does not answer."""
        return self.try_to_run("cat /proc/sys/kernel/random/boot_id", LOOK_S).stdout.strip()

    def wait_for_another_start(self, before: str) -> None:
        """Until it has come up again by itself."""
        self.wait_for(lambda: self.boot_id() not in ("", before), "no other start")

    def wait_for_slot(self, slot: str, limit_s: float) -> None:
        """Until it runs this slot, however often it starts before."""
        grep = f"grep -q rauc.slot={slot} /proc/cmdline"
        self.wait_for(lambda: self.try_to_run(grep, LOOK_S).returncode == 0, f"no start of slot {slot}", limit_s)

    def slot(self) -> str:
        """A or B."""
        return self.run("grep -o 'rauc.slot=.' /proc/cmdline").strip()[-1]

    def slot_sum(self, slot: str, size: int) -> str:
        """SHA-256 of the first `size` bytes of a slot."""
        return self.run(f"head -c {size} /dev/disk/own/visavis-{slot.lower()} | sha256sum").split()[0]

    def slots(self) -> dict[str, Any]:
        """What the device says of its slots."""
        found: dict[str, Any] = json.loads(self.run("visavis update status --json"))
        return found

    def boots_that_grub_counted(self) -> list[str]:
        """Slot and number of each boot since the power came, as GRUB said them on the console."""
        said = self.console.read_bytes().decode(errors="replace")
        return [f"{slot} {boot}" for slot, boot in re.findall(r"visavis: slot (\w), boot (\d) of 3", said)]

    def stays_on_trial(self, slot: str) -> None:
        """Start this slot, whose gate is ended before it has decided."""
        stop = f"grep -q rauc.slot={slot} /proc/cmdline && systemctl stop visavis-mark-good"
        self.wait_for(lambda: self.try_to_run(stop, LOOK_S).returncode == 0, f"no start of slot {slot}")

    def gives_up(self, there: str) -> None:
        """Start a slot three times, and then the other one again."""
        here = OTHER[there]
        self.wait_for(lambda: f"{there} 1" in self.boots_that_grub_counted()[-1:], "no first start")
        self.wait_for_slot(here, 4 * self.start_limit_s)
        assert self.boots_that_grub_counted()[-4:] == [f"{there} 1", f"{there} 2", f"{there} 3", f"{here} 1"]

    def refuses_to_roll_back_to(self, there: str) -> None:
        """Say that the slot holds nothing of use."""
        refused = self.try_to_run("visavis update rollback")
        assert f"slot {there} holds no system that could be booted" in refused.stderr

    def gate(self) -> str:
        """Wait until the gate has decided, and return how its service ended: success or not."""
        up = "systemctl is-active -q multi-user.target"
        done = f"! {up} || systemctl show -P ActiveState visavis-mark-good | grep -q ing"
        tries = int(self.start_limit_s * 2 / 3)
        wait = f"for i in $(seq {tries}); do {done} || exit 0; sleep 1; done; systemctl list-jobs; exit 1"
        self.run(wait, self.start_limit_s)
        return self.run("systemctl show -P Result visavis-mark-good").strip()
