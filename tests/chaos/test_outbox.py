# SPDX-License-Identifier: Apache-2.0
"""The outbox in a real process, through kills, outages and full disks; `make chaos` does the same with more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chaos.outbox_scenarios import CHUNK, backlog, full_disk, in_a_small_disk, inside, outage
from tests.chaos.outboxload import Broker, Counter, Outboxload
from tests.ports import free_port
from tests.waiting import until

WINDOW = 100
GO_MODULE = Path(__file__).resolve().parents[2] / "go-capture"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """outboxload, built from the checkout."""
    return build(tmp_path_factory.mktemp("program"))


def build(folder: Path) -> Path:
    """Build outboxload into a folder."""
    assert shutil.which("go"), "Go is missing: run `make setup`"
    program = folder / "outboxload"
    command = ["env", "CGO_ENABLED=0", "go", "build", "-o", str(program), "./internal/testprogram/outboxload"]
    subprocess.run(command, cwd=GO_MODULE, check=True)
    return program


def test_an_outage_with_kills_loses_nothing_and_keeps_the_order(program: Path, tmp_path: Path) -> None:
    found = outage(program, tmp_path, 3_000)
    print(f"\n{found}")
    assert found.left_at_kill > 0, "the drain was over before the kill"
    assert (found.lost, found.out_of_order) == (0, 0)
    again = 2 * WINDOW + 2 * CHUNK  # a window for the lost connection and the kill; what the killed sources repeat
    assert found.duplicates <= again


def test_a_backlog_goes_out_in_order_without_a_duplicate(program: Path, tmp_path: Path) -> None:
    found = backlog(program, tmp_path, 5_000)
    print(f"\n{found}")
    assert (found.lost, found.duplicates, found.out_of_order) == (0, 0, 0)


@pytest.mark.parametrize("options", ["size=1m", "size=8m,nr_inodes=60"], ids=["space", "inodes"])
def test_a_full_disk_drops_the_oldest_counts_them_and_recovers(program: Path, tmp_path: Path, options: str) -> None:
    found = full_disk(program, tmp_path, options)
    print(f"\n{found}")
    assert found.dropped > 0
    assert found.arrived + found.dropped == found.events
    assert found.out_of_order == 0


def recovers(load: Outboxload, fault: str, remedy: list[str]) -> None:
    """Wait for a fault, do something about it, and wait for its end."""
    until(lambda: fault in load.stats()["Fault"], lambda: f"no {fault}: {load.stats()}")
    load.ask("pour 101 200")
    enter = ["nsenter", "--target", str(load.process.pid), "--mount", "--user", "--preserve-credentials"]
    subprocess.run([*enter, *remedy], check=True)
    until(lambda: load.stats()["Fault"] == "", lambda: f"not recovered: {load.stats()}")
    until(lambda: load.stats()["Unsynced"] == 0, lambda: f"not on disk: {load.stats()}")
    assert load.stats()["Dropped"] == 0


def test_a_read_only_disk_keeps_events_in_memory_until_it_can_be_written(program: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    command = in_a_small_disk(program, disk, "size=1m", before=f"mount -o remount,ro {disk}")
    with Outboxload(command, "-folder", f"{disk}/outbox") as load:
        load.ask("pour 1 100")
        recovers(load, "read-only file system", ["mount", "-o", "remount,rw", str(disk)])
        assert list(inside(load, disk).glob("outbox/*.events"))


def test_a_folder_of_another_user_is_used_once_it_is_ours(program: Path, tmp_path: Path) -> None:
    disk, port = tmp_path / "disk", free_port()
    # Without capabilities even root must have the permission.
    bare = "setpriv --bounding-set -all --inh-caps -all --"
    command = in_a_small_disk(program, disk, "size=1m", before=f"mkdir -m 0 {disk}/outbox", user=bare)
    with Outboxload(command, "-folder", f"{disk}/outbox", "-broker", f"127.0.0.1:{port}") as load:
        load.ask("pour 1 100")
        recovers(load, "permission denied", ["chmod", "700", f"{disk}/outbox"])
        with Broker(tmp_path, port), Counter(port) as counter:
            load.ask("connect")
            until(lambda: load.stats()["Waiting"] == 0, lambda: f"not drained: {load.stats()}")
            counter.catch_up()
            assert (counter.distinct(), counter.out_of_order()) == (200, 0)


def test_one_byte_that_changed_on_disk_costs_one_event_which_is_counted(program: Path, tmp_path: Path) -> None:
    port, options = free_port(), ("-folder", str(tmp_path / "outbox"))
    with Outboxload([str(program)], *options) as load:
        load.append(1, 300, chunk=300)
        load.quit()
    (segment,) = (tmp_path / "outbox").glob("*.events")
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.write_bytes(raw)
    with Broker(tmp_path, port), Counter(port) as counter:
        with Outboxload([str(program)], *options, "-broker", f"127.0.0.1:{port}") as load:
            load.ask("connect")
            until(lambda: load.stats()["Waiting"] == 0, lambda: f"not drained: {load.stats()}")
            assert load.stats()["Corrupt"] == 1
            load.quit()
        counter.catch_up()
        assert (counter.distinct(), counter.out_of_order()) == (299, 0)
