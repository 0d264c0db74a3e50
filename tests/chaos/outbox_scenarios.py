# SPDX-License-Identifier: Apache-2.0
"""What an outbox must survive, each as a function that does it for real and returns figures."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.outboxload import Broker, Counter, Outboxload
from tests.ports import free_port
from tests.waiting import until

CHUNK = (
    5  # events between two syncs where a kill follows: so many are appended again, as their source cannot know better
)


@dataclass(frozen=True)
class Outage:
    """What became of the events of an outage."""

    events: int
    kills: int
    left_at_kill: int  # events that waited when the drain was killed: without any it would prove nothing
    lost: int
    duplicates: int
    out_of_order: int

    @property
    def duplicates_percent(self) -> float:
        return 100 * self.duplicates / self.events


def outage(program: Path, folder: Path, events: int) -> Outage:
    """Live events, an outage with two kills, a kill in the middle of the drain, the rest and live events."""
    port, sixth = free_port(), events // 6
    command = [str(program), "-folder", str(folder / "outbox"), "-broker", f"127.0.0.1:{port}"]
    broker = Broker(folder, port)
    with broker, Counter(port) as counter:
        with Outboxload(command) as load:
            load.ask("connect")
            load.append(1, sixth, chunk=CHUNK)
            until(lambda: counter.distinct() >= sixth, "the first sixth is delivered", 60)
            broker.stop()
            sure = load.append(sixth + 1, events, chunk=CHUNK, kill_after=3 * sixth)
        sure = killed_while_appending(command, sure, 4 * sixth, events)
        sure = killed_in_the_drain(command, sure, 5 * sixth, broker)
        with Outboxload(command) as load:
            left = load.stats()["Waiting"]
            load.ask("connect")
            load.append(sure + 1, events, chunk=CHUNK)
            until(lambda: load.stats()["Waiting"] == 0, lambda: f"not drained: {load.stats()}", 60)
            load.quit()
        counter.catch_up()
        return Outage(events, 3, left, events - counter.distinct(), counter.duplicates(), counter.out_of_order())


def killed_while_appending(command: list[str], sure: int, kill_after: int, events: int) -> int:
    """Go on with the events until a kill; the last one that is on disk for sure."""
    with Outboxload(command) as load:
        load.ask("connect")
        return load.append(sure + 1, events, chunk=CHUNK, kill_after=kill_after)


def killed_in_the_drain(command: list[str], sure: int, last: int, broker: Broker) -> int:
    """Append up to `last`, bring the broker back, and let the program die when it has sent a tenth of what waits."""
    with Outboxload(command) as load:
        sure = load.append(sure + 1, last, chunk=CHUNK)
        backlog_size = load.stats()["Waiting"]
        broker.start()
        load.tell(f"connect {backlog_size // 10}")
        assert load.process.wait(60) == -signal.SIGKILL
    return sure


@dataclass(frozen=True)
class Backlog:
    """How fast a backlog went out."""

    events: int
    megabytes: float
    append_s: float
    drain_s: float
    reopen_s: float
    lost: int
    duplicates: int
    out_of_order: int

    @property
    def drained_per_s(self) -> float:
        return self.events / self.drain_s


def backlog(program: Path, folder: Path, events: int) -> Backlog:
    """Everything is appended while nobody listens, by a process that then ends; the next one delivers it."""
    port = free_port()
    options = ("-folder", str(folder / "outbox"), "-broker", f"127.0.0.1:{port}", "-most-bytes", str(1 << 30))
    began_s = time.monotonic()
    with Outboxload([str(program)], *options) as load:
        load.append(1, events, chunk=1_000)
        megabytes = load.stats()["Bytes"] / 1e6
        load.quit()
    appended_s = time.monotonic()
    with Broker(folder, port), Counter(port) as counter:
        opened_s = time.monotonic()
        with Outboxload([str(program)], *options) as load:
            ready_s = time.monotonic()
            load.ask("connect")
            until(lambda: load.stats()["Waiting"] == 0, lambda: f"not drained: {load.stats()}", 150)
            drained_s = time.monotonic()
            load.quit()
        counter.catch_up()
        lost = events - counter.distinct()
        return Backlog(
            events,
            megabytes,
            appended_s - began_s,
            drained_s - ready_s,
            ready_s - opened_s,
            lost,
            counter.duplicates(),
            counter.out_of_order(),
        )


@dataclass(frozen=True)
class FullDisk:
    """What a full disk cost."""

    events: int
    dropped: int
    arrived: int
    slowest_append_ms: float
    recovered_s: float
    out_of_order: int


def in_a_small_disk(program: Path, mount: Path, options: str, *, before: str = "true", user: str = "") -> list[str]:
    """The command that runs a program with a tmpfs at `mount` that nobody else sees.

    Args:
        program: the program.
        mount: an empty folder.
        options: of the tmpfs.
        before: a shell command to run once it is mounted.
        user: a prefix that changes the user, for the program only.
    """
    mount.mkdir()
    script = f'mount -t tmpfs -o {options} tmpfs {mount} && {before} && exec {user} {program} "$@"'
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]


def inside(load: Outboxload, path: Path) -> Path:
    """A path as the program sees it."""
    return Path(f"/proc/{load.process.pid}/root{path}")


def fill(folder: Path) -> list[Path]:
    """Take all space or all inodes of a small disk, whichever ends first, with files of one block; these files."""
    holders = []
    try:
        for number in range(100_000):
            holder = folder / f"holder-{number}"
            holders.append(holder)
            holder.write_bytes(bytes(4096))
    except OSError:
        return holders
    raise AssertionError("the disk does not fill")


def full_disk(program: Path, folder: Path, options: str) -> FullDisk:
    """Events go on while the disk is full and the broker away; then space returns, then the broker."""
    port, disk = free_port(), folder / "disk"
    command = in_a_small_disk(program, disk, options)
    flags = ("-folder", f"{disk}/outbox", "-broker", f"127.0.0.1:{port}", "-memory-bytes", str(256 << 10))
    with Outboxload(command, *flags, "-most-bytes", str(512 << 10)) as load:
        load.append(1, 200, chunk=10)
        holders = fill(inside(load, disk))
        slowest_us = load.ask("pour 201 3000")["slowest_us"]
        until(lambda: "no space left" in load.stats()["Fault"], lambda: f"the disk is not full: {load.stats()}")
        slowest_us = max(slowest_us, load.ask("pour 3001 6000")["slowest_us"])
        for holder in holders:
            holder.unlink(missing_ok=True)
        began_s = time.monotonic()
        until(lambda: load.stats()["Fault"] == "", lambda: f"not recovered: {load.stats()}")
        recovered_s = time.monotonic() - began_s
        with Broker(folder, port), Counter(port) as counter:
            load.ask("connect")
            until(lambda: load.stats()["Waiting"] == 0, lambda: f"not drained: {load.stats()}")
            dropped = load.stats()["Dropped"]
            load.quit()
            counter.catch_up()
            arrived, wrong = counter.distinct(), counter.out_of_order() + counter.duplicates()
            assert max(counter.arrived) == 6_000, "the newest event must be among those kept"
    return FullDisk(6_000, dropped, arrived, slowest_us / 1_000, recovered_s, wrong)
