# SPDX-License-Identifier: Apache-2.0
"""A device with two demo cameras and two workers, and what is left of it after clients that do harm."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.chaos.attacks import HOST, PROBLEM, Reply
from tests.chaos.grpc_attacks import HonestCaller, Told
from tests.chaos.test_survival import descriptors
from tests.e2e.bombs import photo
from tests.e2e.clients import anonymous_bytes, metrics, until_replaced, worker_ids
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import assert_status_adds_up, daemon_pid
from tests.e2e.test_gateway import assert_pictures_add_up
from tests.ports import free_port
from tests.waiting import HANG_S, until

T = TypeVar("T")

DESCRIPTORS = 4096  # that this program needs at a time
CREDIT = 2  # frames that a worker may hold
SETTINGS = f"""
[web]
listen = "127.0.0.1:{{http_port}}"
[mqtt]
url = ""
[detector]
backend = "BACKEND"
input = [320, 256]
workers = 2
[worker]
credit = {CREDIT}
[gateway]
streams = 1024
grpc_listen = "127.0.0.1:GRPC_PORT"
"""
CAMERA = '[[camera]]\nid = "{name}"\nsource = "demo:"\nsize = [320, 240]\nfps = {fps}\n'
# Attackers take processors from the device here: a client that behaves has to wait, and is answered all the same.
PATIENT = "deadline_ms = 10000\n"
CAMERAS, FPS = ("one", "two"), 15
PICTURE = photo(".jpg", width=320, height=240)
LARGER = photo(".jpg", width=640, height=480)  # more than gRPC's window, so that the device has to ask for the rest
HONEST_EVERY_S = 0.1
FINE = {101, 200, 503}  # beside 4xx
REFUSED = (429, 503)
SETTLE_LIMIT_S = 60.0
SPARE = 2  # descriptors and goroutines that may be more than before


class Levels(NamedTuple):
    """What the daemon holds."""

    descriptors: int
    goroutines: int
    memory_bytes: int


class Frames(NamedTuple):
    """Of one camera or several; lost is what ended otherwise than inferred or replaced by a newer one."""

    captured: int
    inferred: int
    superseded: int
    lost: int

    def since(self, before: Frames) -> Frames:
        return Frames(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def lost_percent(self) -> float:
        return 100 * self.lost / max(self.captured, 1)

    @property
    def inferred_percent(self) -> float:
        return 100 * self.inferred / max(self.captured, 1)


class Span(NamedTuple):
    """What each camera did while something went on."""

    seconds: float
    cameras: dict[str, Frames]
    answered: int  # pictures of clients

    @property
    def together(self) -> Frames:
        return Frames(*map(sum, zip(*self.cameras.values(), strict=True)))

    def captured_percent(self, name: str) -> float:
        """Of what the camera delivers in this time. Nothing is asked of it but its own pace."""
        return 100 * self.cameras[name].captured / (FPS * self.seconds)

    def share_percent(self, name: str) -> float:
        """What the camera has of all that workers did."""
        return 100 * self.cameras[name].inferred / max(self.together.inferred + self.answered, 1)


class Device:
    """The appliance under attack."""

    def __init__(self, appliance: RunningAppliance, grpc_port: int) -> None:
        self.appliance, self.port, self.pid = appliance, appliance.http_port, daemon_pid(appliance)
        self.grpc_port = grpc_port

    def levels(self) -> Levels:
        goroutines = int(metrics(self.appliance, "go_goroutines")[""])
        return Levels(descriptors(self.pid), goroutines, anonymous_bytes(self.pid))

    def work(self) -> tuple[dict[str, Frames], int]:
        """Frames of each camera, and the pictures of clients that were answered, until now."""
        now = self.appliance.status()
        return {camera["id"]: frames_of(camera["frames"]) for camera in now["cameras"]}, now["clients"]["answered"]

    @contextmanager
    def watched(self) -> Iterator[list[Span]]:
        """What cameras do inside a `with`; one Span comes when it ends. The time that looking takes counts too."""
        spans: list[Span] = []
        began, (before, answered) = time.monotonic(), self.work()
        yield spans
        after, answered_now = self.work()
        between = {name: frames.since(before[name]) for name, frames in after.items()}
        spans.append(Span(time.monotonic() - began, between, answered_now - answered))

    def workers(self) -> list[int]:
        command = ["pgrep", "-P", str(self.appliance.process.pid), "-f", "visavis.cli worker"]
        return [int(pid) for pid in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()]

    def settled(self, before: Levels) -> Levels:
        """The levels once descriptors and goroutines are back, or when that has lasted too long."""
        end = time.monotonic() + SETTLE_LIMIT_S
        while True:
            now = self.levels()
            back = now.descriptors <= before.descriptors + SPARE and now.goroutines <= before.goroutines + SPARE
            if back or time.monotonic() > end:
                return now
            time.sleep(0.5)

    def open_pictures(self) -> int:
        """Check every account, and return the pictures that no client was told of."""
        assert_status_adds_up(self.appliance)
        assert_pictures_add_up(self.appliance)
        found: dict[str, Any] = self.appliance.status()["clients"]
        assert found["received"] == found["answered"] + sum(found["refused"].values()) + found["open"], found
        return int(found["open"])


def frames_of(counts: dict[str, Any]) -> Frames:
    dropped = counts["dropped"]
    lost = dropped["no_slot"] + dropped["aborted"] + dropped["abandoned"]
    return Frames(counts["captured"], counts["inferred"], dropped["superseded"], lost)


def enough_descriptors() -> str:
    """Raise the limit of open files as far as it is needed and allowed; says so when that is too little."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return (
        "" if allowed == DESCRIPTORS else f"only {hard} open files are allowed (ulimit -Hn), {DESCRIPTORS} are needed"
    )


@contextmanager
def attacked(folder: Path, backend: str = "auto", gateway: str = "") -> Iterator[Device]:
    """`gateway` are more of its settings."""
    grpc_port = free_port()
    cameras = "".join(CAMERA.format(name=name, fps=FPS) for name in CAMERAS)
    settings = SETTINGS.replace("GRPC_PORT", str(grpc_port)).replace("BACKEND", backend)
    with running(folder, settings + gateway + cameras) as appliance:
        device = Device(appliance, grpc_port)
        until(lambda: len(worker_ids(appliance)) == 2, "there are no two workers", 60)
        yield device


def post(port: int, source: str) -> Reply:
    """One picture on a connection of its own."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, timeout=HANG_S, source_address=(source, 0))
    try:
        connection.request("POST", "/api/v1/detect", PICTURE, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        return Reply(0, True, time.monotonic() - began)
    finally:
        connection.close()
    as_problem = answer.headers["Content-Type"] == PROBLEM.decode() and body["status"] == answer.status
    return Reply(answer.status, answer.status == 200 or as_problem, time.monotonic() - began)


@contextmanager
def honest_client(ask: Callable[[], T]) -> Iterator[list[T]]:
    """Somebody who sends a picture now and then while the attack goes on."""
    over, seen = threading.Event(), []

    def run() -> None:
        while not over.wait(HONEST_EVERY_S):
            seen.append(ask())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def kills(device: Device, clients: int, count: int, every_s: float) -> list[Reply]:
    """Kill workers while clients send as fast as they are answered; says what they were told."""
    over = threading.Event()

    def run(number: int) -> list[Reply]:
        seen: list[Reply] = []
        while not over.is_set():
            seen.append(post(device.port, f"127.0.1.{1 + number % 16}"))
            if seen[-1].status != 200:
                time.sleep(0.2)  # clients that come back at once would measure this program
        return seen

    with ThreadPoolExecutor(clients) as pool:
        running_clients = [pool.submit(run, number) for number in range(clients)]
        for number in range(count):
            time.sleep(every_s)
            connected = worker_ids(device.appliance)
            os.kill(device.workers()[number % 2], signal.SIGKILL)
            until_replaced(device.appliance, connected)
        over.set()
        return [reply for one in running_clients for reply in one.result()]


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def odd(replies: list[Reply]) -> list[Reply]:
    """Those that no client has to expect, no answer among them, or that refuse without a problem."""
    return [one for one in replies if not (one.as_problem and (one.status in FINE or 400 <= one.status < 500))]


def refusals(replies: list[Reply]) -> int:
    return sum(one.status in REFUSED for one in replies)


def while_honest(device: Device, attack: Callable[[], T]) -> tuple[T, list[Reply]]:
    """What an attack returns, and what an honest client was told meanwhile."""
    with honest_client(lambda: post(device.port, "127.0.0.9")) as seen:
        found = attack()
    return found, seen


def while_calling(device: Device, attack: Callable[[], T], picture: bytes = PICTURE) -> tuple[T, list[Told]]:
    """The same with a client of gRPC, which has connected before."""
    caller = HonestCaller(device.grpc_port)
    try:
        caller.post(picture)
        with honest_client(lambda: caller.post(picture)) as seen:
            found = attack()
    finally:
        caller.close()
    return found, seen
