# SPDX-License-Identifier: Apache-2.0
"""How a board chooses its slot: what RAUC asks of a boot loader, and two questions of our own.

RAUC calls a handler with `get-current`, `get-primary`, `set-primary SLOT`, `get-state SLOT`, `set-state SLOT good|bad`.
A slot that was made primary is on trial until it is marked good: after three boots without that it is given up. So it
is when the proved slot is made primary before: that one needs no trial, and stays the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from visavis.errors import UpdateError
from visavis.update.boards import BOARDS
from visavis.update.boot.grub import Grub
from visavis.update.boot.nvbootctrl import Nvbootctrl
from visavis.update.boot.tryboot import OTHER, Tryboot
from visavis.update.system import System, running_slot


class BootLoader(Protocol):
    """What every board's boot loader can be asked; slots are A and B."""

    def primary(self) -> str:
        """The slot that is booted next."""

    def set_primary(self, slot: str) -> None:
        """Boot this one next, on trial. The proved slot needs none while the other is on trial, which is bad then."""

    def good(self, slot: str) -> bool:
        """Whether a slot may be booted and is not on trial."""

    def set_good(self, slot: str) -> None:
        """The slot has proved itself; a trial of the other that has failed ends here."""

    def set_bad(self, slot: str) -> None:
        """Do not boot this one any more."""

    def on_trial(self, slot: str) -> bool:
        """Whether a slot, if it runs, has to prove itself yet: one that is on trial, or bad."""

    def comes_back(self, slot: str) -> bool:
        """Whether another than this running one comes next, proved and newer, which power cuts had taken away."""

    def before_restart(self) -> None:
        """Called when the system goes down to start again."""


KEEP = "wait until the one that runs is kept, as `visavis update status` says, or keep it with `visavis update good`"
LOADERS: dict[str, Callable[[], BootLoader]] = {"grub": Grub, "tryboot": Tryboot, "nvbootctrl": Nvbootctrl}


def loader_of(system: System) -> BootLoader:
    """The boot loader of this board.

    Raises:
        UpdateError: the board is none of ours.
    """
    if system.board not in BOARDS:
        raise UpdateError(f"{system.compatible!r} in /etc/rauc/system.conf is not a board that visavis knows")
    return LOADERS[BOARDS[system.board]]()


def must_leave_a_proved_one(loader: BootLoader, slot: str) -> None:
    """Refuse to mark the last proved slot bad, which RAUC does with the one that it is about to write.

    Raises:
        UpdateError: the other has to prove itself yet.
    """
    if loader.on_trial(OTHER[slot]) and not loader.on_trial(slot):
        raise UpdateError(f"slot {slot} is the only one that has proved itself: it cannot be marked bad", KEEP)


def must_be_proved(loader: BootLoader, slot: str) -> None:
    """Refuse what takes the way back away from a running slot.

    Raises:
        UpdateError: it has to prove itself yet.
    """
    if loader.on_trial(slot):
        raise UpdateError(f"slot {slot} has to prove itself yet, and the other one is the way back until then", KEEP)


def answer(loader: BootLoader, words: list[str]) -> str:
    """Do what RAUC's handler is called for, and return what it has to print.

    Raises:
        UpdateError: these are not words of RAUC.
    """
    match words:
        case ["get-current"]:  # asked only where the kernel's command line does not say it
            return running_slot()
        case ["get-primary"]:
            return loader.primary()
        case ["set-primary", slot]:
            loader.set_primary(slot)
        case ["get-state", slot]:
            return "good" if loader.good(slot) else "bad"
        case ["set-state", slot, "good"]:
            loader.set_good(slot)
        case ["set-state", slot, "bad"]:
            must_leave_a_proved_one(loader, slot)
            loader.set_bad(slot)
        case ["before-restart"]:
            loader.before_restart()
        case _:
            raise UpdateError(f"rauc asks its boot loader for {' '.join(words)!r}, which nobody knows")
    return ""
