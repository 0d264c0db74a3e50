# SPDX-License-Identifier: Apache-2.0
"""The appliance for some seconds with every camera: rates, the hand-off, and workers that are killed at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from visavis.figures import daemon_status
from visavis.hardware.board import strain
from visavis.loopback import reserved_port
from visavis.own_folder import put
from visavis.system_files import text_of

FOLDER_PREFIX = "visavis-measured-"
START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
LOOK_S = 0.02
FRAME_BYTES = 640 * 480 * 3
STREAM_FRAMES = 100
KILL_PAUSES_S = (0.2, 1.5)
CAMERA = '[[camera]]\nid = "{id}"\nsource = "{source}"\nsize = [640, 480]\nfps = 30.0\n'
# With the usual lease a board that takes longer than that for a picture would have no figures at all.
SETTINGS = (
    '[device]\nid = "report"\n[web]\nlisten = "127.0.0.1:{port}"\n[mqtt]\nurl = ""\n[detector]\ninput = [320, 256]\n'
    "[worker]\nlease_ms = 60000\n"
)

Say = Callable[[str], None]


def configuration(sources: dict[str, str], port: int) -> str:
    """The demo and these cameras, without a broker; nobody beyond this machine can reach the page."""
    tables = [CAMERA.format(id=name, source=source) for name, source in {"demo": "demo:", **sources}.items()]
    return SETTINGS.format(port=port) + "".join(tables)


def without_settings() -> dict[str, str]:
    """The environment but for settings, VISAVIS_SECTION__KEY, which would come before those of a file of ours."""
    return {name: value for name, value in os.environ.items() if not (name.startswith("VISAVIS_") and "__" in name)}


class Appliance:
    """A `visavis run` of our own, which ends with us; in a session of its own: Ctrl-C reaches it only through us."""

    def __init__(self, folder: Path, sources: dict[str, str]) -> None:
        port = reserved_port()
        self.address = f"http://127.0.0.1:{port}/"
        file, self.log = folder / "config.toml", folder / "run.log"
        put(file, configuration(sources, port))
        put(self.log, "")
        command = [sys.executable, "-m", "visavis.cli", "run", "--config", str(file)]
        command += ["--die-with-parent", str(os.getpid())]
        environment = {**without_settings(), "TMPDIR": str(folder), "VISAVIS_STATE_DIR": str(folder / "state")}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                command, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def status(self) -> dict[str, Any] | None:
        """The daemon's; a machine that is measured is busy, so it gets time to answer. None when it has ended."""
        end_s = time.monotonic() + START_LIMIT_S
        while self.process.poll() is None and time.monotonic() < end_s:
            if status := daemon_status(self.address):
                return status
            time.sleep(LOOK_S)
        return None

    def demo(self) -> dict[str, Any]:
        """The demo's part of the status; empty when nobody answers."""
        status = self.status()
        return next((one for one in status["cameras"] if one["id"] == "demo"), {}) if status else {}

    def inferred(self) -> int:
        return int(self.demo().get("frames", {}).get("inferred", 0))

    def wait_for_results(self, more_than: int) -> float | None:
        """Seconds until the demo has more results than that; None when it never has."""
        began_s = time.monotonic()
        while self.process.poll() is None and time.monotonic() - began_s < START_LIMIT_S:
            if self.inferred() > more_than:
                return time.monotonic() - began_s
            time.sleep(LOOK_S)
        return None

    def workers(self) -> list[int]:
        """The process numbers of the workers."""
        return [pid for pid in self.children() if _part(pid) == "worker"]

    def children(self) -> list[int]:
        """The process numbers of all parts; not from the kernel's lists of children, which some boards lack."""
        ours = f"\nPPid:\t{self.process.pid}\n"
        return [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/status") if ours in text_of(file)]

    def memory_mib(self) -> dict[str, float]:
        """What each part holds now, by its name."""
        parts = {_part(pid): pid for pid in self.children()}
        return {name: round(_resident_kib(pid) / 1024, 1) for name, pid in parts.items()}

    def stop(self) -> None:
        """In order, or by force when it takes too long."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _part(pid: int) -> str:
    """What a process is: a command of ours, such as `worker`, or the daemon. Any word may be in some path."""
    words = text_of(f"/proc/{pid}/cmdline").split("\0")
    return words[3] if words[1:3] == ["-m", "visavis.cli"] else "daemon"


def _resident_kib(pid: int) -> int:
    lines = text_of(f"/proc/{pid}/status").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


@contextmanager
def running(folder: Path, sources: dict[str, str]) -> Iterator[Appliance]:
    """An appliance that gives results, or says in its log why not."""
    appliance = Appliance(folder, sources)
    try:
        yield appliance
    finally:
        appliance.stop()


def measured(
    folder: Path, sources: dict[str, str], say: Say, *, capture_s: float, chaos_s: float = 0.0
) -> dict[str, Any]:
    """What cameras deliver, and what becomes of frames while workers die.

    Args:
        folder: for everything that the appliance writes.
        sources: of the cameras beside the demo, by their ids.
        say: told what is done now.
        capture_s: how long the cameras are read.
        chaos_s: how long workers are killed after that; 0 kills none.
    """
    with running(folder, sources) as appliance:
        say("starting the appliance")
        start_s = appliance.wait_for_results(0)
        if start_s is None:
            return {"error": "no result came", "log": appliance.log.read_text(errors="replace").splitlines()[-20:]}
        say(f"reading {len(sources) + 1} cameras for {capture_s:g} s")
        time.sleep(capture_s)
        status, memory_mib = appliance.status() or {"cameras": []}, appliance.memory_mib()
        chaos = {}
        if chaos_s:
            say(f"killing workers at random moments for {chaos_s:g} s")
            chaos = {"kills": killed(appliance, chaos_s)}
        strained = strain()
    found = {one["id"]: _figures(one) for one in status["cameras"]}
    stream_ms = stream_median_ms()
    handoff_ms = found.get("demo", {}).get("handoff_ms_p50")
    return {
        "first_result_s": round(start_s, 2),
        "cameras": found,
        "stream_ms_p50": round(stream_ms, 3) if stream_ms else None,
        "handoff_to_stream": round(handoff_ms / stream_ms, 3) if handoff_ms and stream_ms else None,
        "memory_mib": memory_mib,
        "strain": strained,
        **chaos,
    }


def _figures(camera: dict[str, Any]) -> dict[str, Any]:
    latency = camera["latency_ms"]
    return {
        "state": camera["state"],
        "error": camera.get("error", ""),
        "size": f"{camera['width']}x{camera['height']}",
        "fps": round(camera["fps"], 1),
        "fps_inferred": round(camera["fps_inferred"], 1),
        "handoff_ms_p50": round(latency["handoff"]["p50"], 3),
        "infer_ms_p50": round(latency["infer"]["p50"], 2),
        "total_ms_p99": round(latency["total"]["p99"], 2),
        "frames": camera["frames"],
    }


def killed(appliance: Appliance, limit_s: float) -> dict[str, Any]:
    """Kill workers and wait for the next result, over and over; then every frame must be accounted for."""
    chance, recoveries, unanswered, kills = random.Random(1), [], 0, 0  # noqa: S311 (moments, not secrets)
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        time.sleep(chance.uniform(*KILL_PAUSES_S))
        before = appliance.inferred()
        for pid in appliance.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        recovered_s = appliance.wait_for_results(before + 1)
        if recovered_s is None:
            unanswered += 1
            break
        recoveries.append(recovered_s)
    frames = appliance.demo().get("frames", {})
    ends = sum(frames.get("dropped", {}).values()) + frames.get("inferred", 0) + frames.get("in_flight", 0)
    return {
        "kills": kills,
        "without_recovery": unanswered,
        "recovery_s_median": round(statistics.median(recoveries), 2) if recoveries else None,
        "recovery_s_most": round(max(recoveries), 2) if recoveries else None,
        "adds_up": frames.get("captured") == ends,
    }


def stream_median_ms() -> float | None:
    """What a frame takes through a unix socket from one process to another, for comparison with the hand-off."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_answer, args=(theirs,))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the child too, which ends with our end of the pipe
    child.start()
    signal.signal(signal.SIGINT, before)
    theirs.close()
    frame, spent = bytes(FRAME_BYTES), []
    with contextlib.suppress(EOFError, OSError):  # it has ended, as where memory is short
        ours.recv_bytes()  # it is there
        for _ in range(STREAM_FRAMES):
            began = time.perf_counter()
            ours.send_bytes(frame)
            ours.recv_bytes()
            spent.append((time.perf_counter() - began) * 1e3)
    ours.close()
    child.join()
    return statistics.median(spent) if spent else None


def _answer(connection: Connection) -> None:
    try:
        while True:
            connection.send_bytes(b"!")
            connection.recv_bytes()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
