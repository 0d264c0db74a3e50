# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed at any moment: no frame is torn, no slot is lost, every frame is accounted for."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.chaos.checking_worker import CREDIT, FDS, FRAMES, MAPS, TORN_AT_END, TORN_WHEN_LENT, Counts, counts_of, main
from tests.chaos.ringload import Ringload
from tests.waiting import HANG_S, until

# Children come from a server that has everything imported and no connection: a start costs milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.chaos.checking_worker"])
KILLS = 100
WORKERS = 4


class Crew:
    """Checking workers by number; a killed one is replaced at once."""

    def __init__(self, socket: Path, *, count: int, ignore_leases: bool = False) -> None:
        self.files = [socket.with_name(f"counts-{n}") for n in range(count)]
        self.counts = [counts_of(file) for file in self.files]
        self._socket, self._ignore_leases = socket, ignore_leases
        self.processes = [self._start(n) for n in range(count)]

    def total(self, what: int) -> int:
        """Add one counter up over all workers."""
        return sum(int(counts[what]) for counts in self.counts)

    def wait_for_work(self, number: int) -> None:
        """Wait until this worker has given a frame back, so that it holds others now."""
        before = int(self.counts[number][FRAMES])
        until(lambda: int(self.counts[number][FRAMES]) > before, f"worker {number} works")

    def kill(self, number: int) -> None:
        """Kill one in the middle of its work and start its replacement before its death is known."""
        process = self.processes[number]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        self.processes[number] = self._start(number)
        process.join()

    def stop(self) -> None:
        """End all in order."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(HANG_S)
            assert process.exitcode == 0

    def _start(self, number: int) -> ForkServerProcess:
        arguments = (self._socket, self.files[number], f"checker-{number}")
        process = PROCESSES.Process(target=main, args=arguments, kwargs={"ignore_leases": self._ignore_leases})
        process.start()
        return process


def maps_one_ring(counts: Counts) -> bool:
    return int(counts[MAPS]) == 1


@contextmanager
def crew(socket: Path, *, count: int = WORKERS, ignore_leases: bool = False) -> Iterator[Crew]:
    made = Crew(socket, count=count, ignore_leases=ignore_leases)
    try:
        yield made
    finally:
        for process in made.processes:
            if process.is_alive():
                process.kill()
            process.join()


def load(program: Path, socket: Path, stream: str) -> Ringload:
    return Ringload(program, socket, "-stream", stream, "-workers", str(WORKERS + 1), "-credit", str(CREDIT))


def test_a_hundred_killed_workers_tear_no_frame_and_lose_no_slot(ringload_program: Path, socket: Path) -> None:
    chance = random.Random(7)
    with load(ringload_program, socket, "a:320x240@2000") as daemon, crew(socket) as workers:
        for _ in range(KILLS):
            number = chance.randrange(WORKERS)
            workers.wait_for_work(number)
            workers.kill(number)
            daemon.snapshot()
        for number in range(WORKERS):
            workers.wait_for_work(number)
        workers.stop()
        assert until(lambda: not daemon.workers(), "all workers are gone")
        stream = daemon.snapshot()["Streams"][0]
        assert workers.total(FRAMES) > KILLS
        assert workers.total(TORN_WHEN_LENT) == 0
        assert workers.total(TORN_AT_END) == 0
        assert stream["Counters"]["Abandoned"] >= KILLS, "the kills did not meet workers that held leases"
        assert stream["Slots"] - stream["Free"] == stream["Counters"]["InFlight"] <= 2
        assert stream["Counters"]["StatusFailed"] == 0
        print(f"\nkills {KILLS}: frames {workers.total(FRAMES)}, abandoned {stream['Counters']['Abandoned']}, torn 0")


def test_without_leases_frames_are_torn_so_the_check_can_fail(ringload_program: Path, socket: Path) -> None:
    with load(ringload_program, socket, "a:320x240@2000") as daemon, crew(socket, ignore_leases=True) as workers:
        until(lambda: workers.total(TORN_AT_END) > 0, lambda: f"none of {workers.total(FRAMES)} frames is torn")
        daemon.snapshot()


def test_cameras_that_come_and_go_leave_no_descriptor_and_no_mapping(ringload_program: Path, socket: Path) -> None:
    sizes = ("320x240", "640x480", "160x120")
    with load(ringload_program, socket, "fixed:64x48@500") as daemon, crew(socket, count=2) as workers:
        for number in range(2):
            workers.wait_for_work(number)
        before = daemon.snapshot()
        fds = [int(counts[FDS]) for counts in workers.counts]
        for change in range(60):
            daemon.ask(f"add moving:{sizes[change % 3]}@300")
            workers.wait_for_work(change % 2)
            if change % 5 == 0:
                workers.kill(change % 2)
            if change % 7 == 0:
                daemon.ask("retire moving")
        daemon.ask("retire moving")
        until(lambda: daemon.snapshot()["Maps"] == before["Maps"], "the daemon has unmapped what it retired")
        until(lambda: len(daemon.workers()) == 2, "both workers are back")
        for number, counts in enumerate(workers.counts):
            workers.wait_for_work(number)
            until(partial(maps_one_ring, counts), f"worker {number} has one ring mapped")
            workers.wait_for_work(number)  # its descriptors are counted after its mappings
            assert int(counts[FDS]) == fds[number]
        until(lambda: daemon.snapshot()["Fds"] == before["Fds"], "the daemon has closed what it retired")
        assert workers.total(TORN_WHEN_LENT) + workers.total(TORN_AT_END) == 0
