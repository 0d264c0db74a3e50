# SPDX-License-Identifier: Apache-2.0
"""The real worker program beside the real dispatcher: daemons that die, workers that stop, leak or run for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.supervisor import Supervisor

from tests.chaos.ringload import Ringload
from tests.waiting import HANG_S, until

LEASE_MS = 3_000  # so long that only a worker that was stopped or hangs is late, however busy the machine is


def command(socket: Path, *, model: str = "fake", service_ms: float = 0) -> list[str]:
    words = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(socket), "--backend", "fake"]
    return [*words, "--model", model, "--fake-service-ms", str(service_ms)]


@contextmanager
def worker(socket: Path, name: str = "w", **options: object) -> Iterator[subprocess.Popen[bytes]]:
    words = [*command(socket, **options), "--name", name]  # type: ignore[arg-type]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def status(pid: int, field: str) -> int:
    """A number from /proc/PID/status."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{field}:")[1].split()[0])


def cpu_ns(pid: int) -> int:
    """Processor time that the process has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def rings_mapped(pid: int) -> int:
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:visavis-")


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_a_worker_survives_twenty_deaths_of_the_daemon(ringload_program: Path, socket: Path) -> None:
    with worker(socket) as process:
        fds: list[int] = []
        waits_ms: list[float] = []
        for _ in range(21):
            with Ringload(ringload_program, socket, "-stream", "a:320x240@200") as daemon:
                up_s = time.monotonic()
                until(lambda daemon=daemon: daemon.frames_of("w") > 0, "the worker answers again")  # type: ignore[misc]
                waits_ms.append((time.monotonic() - up_s) * 1_000)
                assert rings_mapped(process.pid) == 1
                fds.append(descriptors(process.pid))
                daemon.kill()
        assert process.poll() is None, "the worker ended"
        assert len(set(fds)) == 1, fds
        until(lambda: rings_mapped(process.pid) == 0, "the worker has unmapped the dead daemon's ring")
    print(f"\ndaemon up -> result: median {sorted(waits_ms[1:])[10]:.0f} ms, most {max(waits_ms[1:]):.0f} ms")


def test_a_stopped_worker_loses_its_lease_and_comes_back(ringload_program: Path, socket: Path) -> None:
    # More frames than two workers of 5 ms can take, so that both always hold one.
    options = ("-stream", "a:320x240@1000", "-lease-ms", str(LEASE_MS))
    with (
        Ringload(ringload_program, socket, *options) as daemon,
        worker(socket, "idle", service_ms=5) as idle,
        worker(socket, "good", service_ms=5),
    ):
        until(lambda: daemon.frames_of("idle") > 5 and daemon.frames_of("good") > 5, "both work")
        until(lambda: stopped_with_lease(daemon, idle), "it was stopped while it held a lease")
        before = daemon.frames_of("good")
        until(lambda: [each["Name"] for each in daemon.workers()] == ["good"], "it loses its lease and is cut off")
        until(lambda: daemon.frames_of("good") > before + 20, "the other one goes on")
        idle.send_signal(signal.SIGCONT)
        until(lambda: daemon.frames_of("idle") > 5, "it is back")
        assert idle.poll() is None


def stopped_with_lease(daemon: Ringload, process: subprocess.Popen[bytes]) -> bool:
    """Stop the worker named "idle"; let it go on when it held no lease at that moment and gets none."""
    process.send_signal(signal.SIGSTOP)
    until(lambda: "T (stopped)" in Path(f"/proc/{process.pid}/status").read_text(), "it has stopped")
    end_s = time.monotonic() + 0.1
    while time.monotonic() < end_s:
        if any(each["Name"] == "idle" and each["Outstanding"] for each in daemon.workers()):
            return True
    process.send_signal(signal.SIGCONT)
    return False


def test_a_worker_that_hangs_is_cut_off(ringload_program: Path, socket: Path) -> None:
    options = ("-stream", "a:320x240@200", "-lease-ms", str(LEASE_MS))
    with Ringload(ringload_program, socket, *options) as daemon, worker(socket, model="fake:hang@10"):
        until(lambda: daemon.counter("Abandoned") == 1, "the lease ends without an answer")
        until(lambda: not daemon.workers(), "the worker is cut off")
        assert daemon.counter("Inferred") == 9


def test_a_worker_that_names_no_model_is_told_so_and_ends(ringload_program: Path, socket: Path) -> None:
    with Ringload(ringload_program, socket):
        ended = subprocess.run(command(socket, model=""), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "model must be NAME or NAME@BACKEND" in ended.stderr


def test_a_view_that_the_detector_keeps_is_counted_and_the_worker_goes_on(ringload_program: Path, socket: Path) -> None:
    options = ("-stream", "a:320x240@200")
    with Ringload(ringload_program, socket, *options) as daemon, worker(socket, model="fake:leak@3"):
        until(lambda: daemon.frames_of("w") > 30, "the worker goes on")
        assert daemon.workers()[0]["ViewsLeaked"] > 0
        daemon.ask("retire a")
        daemon.ask("add b:64x48@200")
        until(lambda: daemon.snapshot()["Streams"][1]["Counters"]["Inferred"] > 10, "the next ring is served")


def test_without_a_leak_no_view_is_counted_over_twenty_thousand_frames_and_nothing_grows(
    ringload_program: Path, socket: Path
) -> None:
    with Ringload(ringload_program, socket, "-stream", "a:64x48@4000") as daemon, worker(socket) as process:
        until(lambda: daemon.frames_of("w") > 5_000, "5,000 frames", limit_s=30)
        resident, threads, fds = (
            status(process.pid, "RssAnon"),
            status(process.pid, "Threads"),
            descriptors(process.pid),
        )
        first, began_ns = daemon.frames_of("w"), cpu_ns(process.pid)
        until(lambda: daemon.frames_of("w") > 25_000, "20,000 frames more", limit_s=120)
        used_us = (cpu_ns(process.pid) - began_ns) / 1_000 / (daemon.frames_of("w") - first)
        grown = status(process.pid, "RssAnon") - resident
        assert daemon.workers()[0]["ViewsLeaked"] == 0
        assert status(process.pid, "Threads") == threads
        assert descriptors(process.pid) == fds
        # 20,000 frames that kept 64 bytes each would show as 1,250 kB.
        assert grown < 512, f"{grown} kB more after 20,000 frames"
        print(f"\n{resident} kB, {grown:+} kB after 20,000 frames, {threads} threads, {used_us:.0f} us CPU a frame")


def test_a_killed_worker_is_replaced_and_answers_again(ringload_program: Path, socket: Path) -> None:
    waits_ms = []
    with (
        Ringload(ringload_program, socket, "-stream", "a:320x240@500") as daemon,
        Supervisor(command(socket), 1) as crew,
    ):
        until(lambda: daemon.frames_of("worker-1") > 5, "the worker answers")
        for _ in range(5):
            (killed,) = until(lambda: only_one(daemon), "there are several workers, or none")
            os.kill(crew.pids()[1], signal.SIGKILL)
            killed_s = time.monotonic()
            until(lambda killed=killed: others_answered(daemon, killed), "another one answers")  # type: ignore[misc]
            waits_ms.append((time.monotonic() - killed_s) * 1_000)
    print(f"\nkill -> next result: {', '.join(f'{wait:.0f}' for wait in waits_ms)} ms")


def only_one(daemon: Ringload) -> list[int]:
    """The number of the connected worker; nothing while the one before it is not gone."""
    found = [worker["ID"] for worker in daemon.workers()]
    return found if len(found) == 1 else []


def others_answered(daemon: Ringload, killed: int) -> int:
    """How many frames the connected workers but this one have answered."""
    return sum(worker["Frames"] for worker in daemon.workers() if worker["ID"] != killed)


def test_a_worker_that_ends_in_order_abandons_no_frame(ringload_program: Path, socket: Path) -> None:
    with Ringload(ringload_program, socket, "-stream", "a:320x240@0") as daemon:
        for _ in range(5):
            with worker(socket, service_ms=1) as process:
                until(lambda: daemon.frames_of("w") > 20, "the worker answers")
                process.terminate()
                assert process.wait(HANG_S) == 0
            until(lambda: not daemon.workers(), "it is gone")
        assert daemon.counter("Abandoned") == 0
        daemon.quit()
