# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from visavis import supervisor
from visavis.cli import worker
from visavis.keeper import NotKept
from visavis.ring import SEND_LIMIT_S
from visavis.supervisor import Supervisor
from visavis.systemd import ALIVE, MORE_TIME_US, READY
from visavis.watchdog import Ear, Limits
from visavis.worker import RETRY_MOST_MS

from tests.repo.test_laws import ROOT
from tests.unit.daemon_double import DaemonDouble, Memory, frame, ring_add
from tests.waiting import HANG_S, until

# Ignores the arguments that the supervisor adds.
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
FAKE = [sys.executable, "-m", "visavis.cli", "worker", "--backend", "fake", "--model", "fake"]
# As in a container whose file system is read-only. Python's last resort is the folder in which it starts.
READ_ONLY = 'for one in /tmp /var/tmp; do mount --bind $one $one && mount -o remount,bind,ro $one; done; exec "$@"'
NO_TEMPORARY_FILES = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", READ_ONLY, "sh"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def alive(pid: int) -> bool:
    """Tell whether the process exists, as a zombie too."""
    return Path(f"/proc/{pid}").exists()


def test_as_many_workers_as_asked_for_run_and_none_is_left() -> None:
    with Supervisor(SLEEPER, 3) as workers:
        until(lambda: len(workers.pids()) == 3, "three workers run")
        pids = list(workers.pids().values())
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_a_worker_that_could_not_be_started_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "worker"  # as while a package is upgraded, or without a free process
    with Supervisor([str(program)], 1) as workers:
        until(lambda: "cannot be started" in caplog.text, "it was tried")
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
        until(lambda: 1 in workers.pids(), "the worker runs")


def test_where_there_are_no_threads_for_so_many_workers_as_many_as_there_are_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "worker-3":
            raise RuntimeError("can't start new thread")
        really(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with Supervisor(SLEEPER, 1) as workers:
        with pytest.raises(NotKept, match="worker-3 cannot be watched over"):
            workers.resize(4)
        assert workers.count == 2
        until(lambda: len(workers.pids()) == 2, "two workers run")
    with pytest.raises(NotKept), Supervisor(SLEEPER, 3):
        pytest.fail("it has begun")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_a_worker_that_is_killed_is_started_again() -> None:
    with Supervisor(SLEEPER, 1) as workers:
        until(lambda: 1 in workers.pids(), "the worker runs")
        first = workers.pids()[1]
        os.kill(first, signal.SIGKILL)
        until(lambda: workers.pids().get(1, first) != first, "a new worker runs")
        assert not alive(first), "it is left as a zombie"


def test_a_worker_that_hangs_is_killed_and_started_again_and_one_that_waits_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))  # as under a systemd that watches us
    command = [*FAKE, "--socket", str(tmp_path / "frames.sock")]
    with (
        DaemonDouble(tmp_path / "frames.sock") as daemon,
        Supervisor(command, 2, tmp_path, limits=Limits(serving_s=3)) as workers,
    ):
        assert daemon.peer
        assert daemon.hello is not None
        hanging = int(daemon.hello.name[-1])  # who is connected is ready; the other one waits
        until(lambda: len(workers.pids()) == 2, "both run")
        before = workers.pids()
        os.kill(before[hanging], signal.SIGSTOP)
        until(lambda: workers.pids().get(hanging, before[hanging]) != before[hanging], "it was not replaced")
        assert workers.pids()[3 - hanging] == before[3 - hanging]
    assert f"worker-{hanging} gave no sign of life for 3 s: it hangs and is killed" in caplog.text
    assert f"worker-{3 - hanging}" not in caplog.text


def test_a_worker_that_nobody_watches_ends_itself_when_it_hangs_and_not_when_it_waits(tmp_path: Path) -> None:
    slow = ["--fake-service-ms", "3600000", "--watchdog-s", "5", "--socket", str(tmp_path / "frames.sock")]
    memory = Memory(ring_add())
    with DaemonDouble(tmp_path / "frames.sock") as daemon:
        worker = subprocess.Popen([*NO_TEMPORARY_FILES, *FAKE, *slow], stderr=subprocess.PIPE, cwd="/proc")
        daemon.add(ring_add(), memory)
        time.sleep(6.5)  # connected and idle for longer than its limit
        assert worker.poll() is None
        daemon.send(frame(1).pack())
        said = worker.communicate(timeout=HANG_S)[1].decode()
    memory.close()
    assert worker.returncode == -signal.SIGABRT
    assert "gave no sign of life for 5 s: this worker hangs and ends itself" in said


def test_a_healthy_worker_waits_in_one_piece_for_less_than_half_of_the_least_that_it_may_be_silent() -> None:
    assert 2 * max(SEND_LIMIT_S, RETRY_MOST_MS / 1_000) < worker.LEAST_SILENCE_S


def test_a_worker_that_hangs_at_its_start_is_replaced_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Supervisor(SLEEPER, 1, tmp_path, limits=Limits(serving_s=0.1, starting_s=1)) as workers:
        until(lambda: 1 in workers.pids(), "the worker runs")
        first = workers.pids()[1]
        until(lambda: workers.pids().get(1, first) != first, "it was not replaced")
    assert caplog.messages[0] == "worker-1 stood still for 1 s at its start: it hangs and is killed"


@pytest.mark.parametrize("serving_s", [0.1, 8])
def test_a_worker_that_nobody_watches_ends_itself_when_its_start_hangs(serving_s: float) -> None:
    hanging = (
        "import time\n"
        "from visavis.watchdog import Limits, watch_itself\n"
        "print(time.monotonic(), flush=True)\n"
        f"watch_itself(Limits(serving_s={serving_s}, starting_s=1))\n"
        "time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", hanging], check=False, capture_output=True, text=True, timeout=HANG_S)
    assert time.monotonic() - float(ended.stdout) >= 1, "it did not have its time"
    assert ended.returncode == -signal.SIGABRT
    assert "stood still for 1 s at its start: this worker hangs and ends itself" in ended.stderr


def looks_until_it_hangs(said: socket.socket, ear: Ear, *words: str) -> int:
    said.send("\n".join(words).encode())
    return next(look for look in range(100) if ear.hangs())


def test_a_start_that_goes_on_has_the_time_for_which_it_asks() -> None:
    heard, said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear = Ear(heard, Limits(serving_s=8, starting_s=40))  # it looks every 2 s
    with heard, said:
        assert looks_until_it_hangs(said, ear, "STATUS=loads") == 19
        assert looks_until_it_hangs(said, ear, f"{MORE_TIME_US}100000000") == 50
        assert looks_until_it_hangs(said, ear, f"{MORE_TIME_US}60000000") == 30
        assert looks_until_it_hangs(said, ear, READY, "STATUS=warm") == 4
        assert looks_until_it_hangs(said, ear, ALIVE) == 4


def test_a_start_has_its_time_also_where_a_worker_may_be_silent_for_longer() -> None:
    heard, said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear = Ear(heard, Limits(serving_s=600, starting_s=300))  # it looks every 75 s
    with heard, said:
        assert looks_until_it_hangs(said, ear, "STATUS=loads") == 3
        assert looks_until_it_hangs(said, ear, READY) == 8


def test_the_watchdog_is_as_patient_as_that_of_the_unit() -> None:
    unit = (ROOT / "systemd/visavis-infer@.service").read_text()
    assert f"\nWatchdogSec={Limits().serving_s:g}\n" in unit
    assert f"\nTimeoutStartSec={Limits().starting_s:g}\n" in unit


def test_a_worker_that_is_told_to_end_is_heard_until_it_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [*FAKE, "--socket", str(tmp_path / "frames.sock")]
    with DaemonDouble(tmp_path / "frames.sock") as daemon, Supervisor(command, 1, tmp_path, stop_limit_s=HANG_S):
        assert daemon.peer
    said = capfd.readouterr().err
    assert "worker-1: stopped" in said
    assert "NOTIFY_SOCKET" not in said


def test_a_worker_that_ends_at_once_is_started_less_and_less_often(tmp_path: Path) -> None:
    told = tmp_path / "starts"
    command = ["/bin/sh", "-c", f"echo >> {told}"]
    with Supervisor(command, 1):
        until(lambda: told.exists() and len(told.read_text()) >= 3, "three starts")
        time.sleep(1)
    # 50, 100, 200, 400, 800 ms at most, half of it at least: a loop without waits would start hundreds.
    assert len(told.read_text()) < 12


def test_a_worker_that_ends_comes_back_with_the_command_of_now() -> None:
    with Supervisor(SLEEPER, 1) as workers:
        until(lambda: 1 in workers.pids(), "the worker runs")
        first = workers.pids()[1]
        workers.resize(1, [*SLEEPER, "--threads", "1"])
        os.kill(first, signal.SIGKILL)
        until(lambda: workers.pids().get(1, first) != first, "a new worker runs")
        now = Path(f"/proc/{workers.pids()[1]}/cmdline")
        until(lambda: b"--threads" in now.read_bytes(), "it has the old command")  # empty while the program begins


def test_a_worker_is_started_afresh_when_the_one_before_it_is_back() -> None:
    # The daemon's, with a worker that joined and is called as one of these.
    numbers, looks, stop = {("worker-1", 1), ("worker-2", 2), ("worker-1", 9)}, list[int](), threading.Event()

    def connected() -> set[tuple[str, int]]:
        looks.append(len(numbers))
        return set(numbers)

    with Supervisor(SLEEPER, 2) as workers:
        until(lambda: len(workers.pids()) == 2, "both run")
        first, second = workers.pids().values()
        renewal = threading.Thread(target=workers.renew, args=(connected, stop))
        renewal.start()
        until(lambda: workers.pids().get(1, first) != first, "the first is another process")
        numbers.remove(("worker-1", 1))
        until(lambda: looks.count(2) > 1, "it is looked for")
        assert workers.pids()[2] == second, "nobody serves"
        numbers.add(("worker-1", 3))
        until(lambda: workers.pids().get(2, second) != second, "the second follows")
        stop.set()
        renewal.join(HANG_S)
        assert not renewal.is_alive()


def test_one_that_does_not_come_back_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACK_LIMIT_S", 0)
    with Supervisor(SLEEPER, 2) as workers:
        until(lambda: len(workers.pids()) == 2, "both run")
        before = set(workers.pids().values())
        workers.renew(set, threading.Event())
        until(lambda: len(set(workers.pids().values()) - before) == 2, "both are other processes")


def test_workers_ask_for_huge_pages(tmp_path: Path) -> None:
    told = tmp_path / "tunables"
    with Supervisor(["/bin/sh", "-c", f"echo $GLIBC_TUNABLES > {told}.new; mv {told}.new {told}; sleep 60"], 1):
        until(told.exists, "the worker has said them")
    assert "glibc.malloc.hugetlb=1" in told.read_text()


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with Supervisor(DEAF, 1, stop_limit_s=0.2) as workers:
        until(lambda: 1 in workers.pids(), "the worker runs")
        pid = workers.pids()[1]
        until(lambda: ignores_term(pid), "it is deaf")
    assert not alive(pid)


def test_workers_that_hang_are_ended_within_one_limit_however_many_there_are() -> None:
    hanging, limit_s = range(2, 17), 1
    with Supervisor(["/bin/sh", "-c", "exec sleep 60"], 16, stop_limit_s=limit_s) as workers:
        until(lambda: len(workers.pids()) == 16, "all run")
        pids = workers.pids()
        for number in hanging:
            os.kill(pids[number], signal.SIGSTOP)
        until(lambda: all(state(pids[number]) == "T" for number in hanging), "they hang")
        began_s = time.monotonic()
        workers.resize(1)
        assert time.monotonic() - began_s < len(hanging) * limit_s, "one after the other"
        assert workers.pids() == {1: pids[1]}
        assert not any(alive(pids[number]) for number in hanging)


def ignores_term(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.split("SigIgn:")[1].split()[0], 16)
    return bool(mask & 1 << (signal.SIGTERM - 1))


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from visavis.supervisor import Supervisor\n"
        "command = [sys.executable, '-m', 'visavis.cli', 'worker', '--backend', 'fake', '--model', 'fake',"
        f" '--socket', {str(tmp_path / 'none.sock')!r}]\n"
        "with Supervisor(command, 1) as workers:\n"
        "    while 1 not in workers.pids(): time.sleep(0.01)\n"
        "    print(workers.pids()[1], flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pid = int(parent.stdout.readline())
        line = parent.stderr.readline()
        assert b"is warm" in line, line
        parent.kill()
        until(lambda: not running(pid), "the worker ended with its supervisor")


def running(pid: int) -> bool:
    """Tell whether the process runs; an orphan that nobody reaps is not running."""
    try:
        return state(pid) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(pid: int) -> str:
    """The letter that the kernel has for what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_process_ends_with_0_on_a_stop_signal(tmp_path: Path, signal_number: int) -> None:
    command = [sys.executable, "-m", "visavis.cli", "worker", "--backend", "fake", "--model", "fake"]
    command += ["--socket", str(tmp_path / "none.sock")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"is warm" in process.stderr.readline()
        process.send_signal(signal_number)
        assert process.wait(HANG_S) == 0
