# SPDX-License-Identifier: Apache-2.0
"""The outbox over power cuts, in a machine whose disk forgets what was not flushed."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.test_outbox import build
from tests.vm.lab import DEBIAN_12, missing_programs
from tests.vm.power import PulledPlug

pytestmark = pytest.mark.timeout(3600)

CAMERAS = 5  # of outboxload: event n is of camera n % 5
CHUNK = 5  # events between two syncs
MOST_BETWEEN_CUTS = 300


@dataclass
class Told:
    """What was appended for sure, and what came out, in its order."""

    sure: int = 0
    delivered: list[int] = field(default_factory=list)

    def lost(self) -> list[int]:
        return sorted(set(range(1, self.sure + 1)) - set(self.delivered))

    def out_of_order(self) -> list[int]:
        """Events that came for the first time behind a newer one of their camera."""
        newest, seen, wrong = dict.fromkeys(range(CAMERAS), 0), set[int](), []
        for number in self.delivered:
            if number not in seen and number < newest[number % CAMERAS]:
                wrong.append(number)
            newest[number % CAMERAS] = max(newest[number % CAMERAS], number)
            seen.add(number)
        return wrong


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [*missing_programs(DEBIAN_12), *(name for name in ("nbdkit",) if shutil.which(name) is None)]
    assert not missing, f"the lab needs {', '.join(missing)}: run `make test-vm`, which installs them"
    return build(tmp_path_factory.mktemp("program"))


@pytest.mark.vm
def test_three_power_cuts_cost_no_event_that_was_synced(program: Path, tmp_path: Path) -> None:
    survives(program, tmp_path, cuts=3, seed=1)


@pytest.mark.vm_long
@pytest.mark.parametrize("seed", [2, 3])
def test_twenty_power_cuts_cost_no_event_that_was_synced(program: Path, tmp_path: Path, seed: int) -> None:
    survives(program, tmp_path, cuts=20, seed=seed)


def survives(program: Path, folder: Path, *, cuts: int, seed: int) -> None:
    """Cut the power at moments that the seed chooses: while events are appended, and each third time as they go out."""
    dice, told, torn = random.Random(seed), Told(), 0
    for cut in range(cuts):
        with PulledPlug(program, folder) as machine:
            stats = machine.ask("stats")
            torn += stats["Corrupt"]
            assert stats["Dropped"] == 0, stats
            cut_while_appending(machine, told, dice)
        if cut % 3 == 2:
            with PulledPlug(program, folder) as machine:
                cut_while_draining(machine, told, dice)
    with PulledPlug(program, folder) as machine:
        drain(machine, told)
        assert machine.ask("stats")["Waiting"] == 0
    assert told.lost() == []
    assert told.out_of_order() == []
    again = len(told.delivered) - len(set(told.delivered))
    print(f"\n{cuts} cuts, seed {seed}: {told.sure} events synced, 0 lost, {again} came twice, {torn} torn and counted")
    with PulledPlug(program, folder) as machine:
        assert machine.ask("stats")["Waiting"] == 0, "what was acknowledged and synced waits again"
        machine.ask(f"append {told.sure + 1} {told.sure + 10} 10")


def cut_while_appending(machine: PulledPlug, told: Told, dice: random.Random) -> None:
    """The source goes on behind what is on disk for sure, as one that was not told otherwise would."""
    kill_after, pause_events = told.sure + dice.randint(1, MOST_BETWEEN_CUTS), dice.randint(0, CHUNK)
    machine.tell(f"append {told.sure + 1} {told.sure + 2 * MOST_BETWEEN_CUTS} {CHUNK}")
    while told.sure < kill_after + pause_events:
        said = machine.answer()
        assert "synced" in said, said
        told.sure = int(said["synced"])
    machine.kill()


def cut_while_draining(machine: PulledPlug, told: Told, dice: random.Random) -> None:
    waiting = machine.ask("stats")["Waiting"]
    machine.tell("drain")
    take(machine, told, dice.randint(1, waiting))
    machine.kill()


def drain(machine: PulledPlug, told: Told) -> None:
    """Take all that waits."""
    waiting = machine.ask("stats")["Waiting"]
    machine.tell("drain")
    take(machine, told, waiting)
    assert machine.ask("done") == {"drained": True}


def take(machine: PulledPlug, told: Told, count: int) -> None:
    """Acknowledge the next events, which the outbox may forget from then on."""
    for _ in range(count):
        said = machine.answer()
        assert "delivered" in said, said
        told.delivered.append(int(said["delivered"]))
        machine.tell("ok")
