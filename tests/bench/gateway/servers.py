# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared, each as the processes that somebody would start: on loopback, with two workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.bench.tree import Memory, command_of, libraries, tree_cpu_s, tree_memory, tree_of
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[3]
SITE = ROOT / "build" / "rivals" / "site"
BAREHTTP, FLOOR = ROOT / "build" / "barehttp", "net/http alone"
READY_LIMIT_S, STOP_LIMIT_S, ASK_LIMIT_S = 60.0, 5.0, 30.0
WORKERS = 2

CONFIG = """\
[device]
id = "box"
[web]
listen = "127.0.0.1:{port}"
[mqtt]
url = ""
[detector]
workers = {workers}
backend = "onnxruntime"
{detector}
{gateway}
[[camera]]
id = "camera"
source = "{source}"
size = [640, 480]
fps = 30
privacy = "none"
"""
# Every picture waits as long as it takes, as with the others.
PATIENT = "[gateway]\ndeadline_ms = 60000\nqueue = 4096\nqueue_per_client = 4096\n"


class Place(NamedTuple):
    """Where one server runs: its port, another for a store, a folder of its own."""

    port: int
    store_port: int
    folder: Path


Commands = Callable[[Place], list[list[str]]]


@dataclass(frozen=True)
class Kind:
    """How a server is started and asked.

    Attributes:
        commands: given its place; all run until the server is stopped.
        detect: path that takes a JPEG; "" for none.
        status: path of a cheap answer in JSON.
        environment: more variables.
        workers: of visavis, which all are there before it is asked.
    """

    name: str
    commands: Commands
    detect: str = "/detect"
    status: str = "/status"
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = WORKERS


def python(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def flask_development(at: Place) -> list[list[str]]:
    return [python("flask", "--app", "tests.bench.rivals.flask_app", "run", "--port", str(at.port))]


def gunicorn(at: Place) -> list[list[str]]:
    bind = ["--bind", f"127.0.0.1:{at.port}"]
    return [python("gunicorn", "--workers", str(WORKERS), *bind, "tests.bench.rivals.flask_app:app")]


def uvicorn(at: Place) -> list[list[str]]:
    options = ["--port", str(at.port), "--workers", str(WORKERS), "--no-access-log"]
    return [python("uvicorn", "tests.bench.rivals.fastapi_app:app", *options)]


def celery(at: Place) -> list[list[str]]:
    application = "tests.bench.rivals.celery_app"
    store = shutil.which("valkey-server") or "redis-server"
    memory_only = ["--save", "", "--dir", str(at.folder)]
    worker = ["--concurrency", str(WORKERS), "--without-gossip", "--without-mingle", "--without-heartbeat"]
    threads = ["--worker-class", "gthread", "--workers", str(WORKERS), "--threads", "32"]
    return [
        [store, "--port", str(at.store_port), "--bind", "127.0.0.1", *memory_only],
        python("celery", "-A", f"{application}:queue", "worker", "--loglevel", "WARNING", *worker),
        python("gunicorn", *threads, "--bind", f"127.0.0.1:{at.port}", f"{application}:app"),
    ]


def visavis(gateway: str = "", workers: int = WORKERS, source: str = "push:", detector: str = "") -> Commands:
    """`visavis run` with these sections."""

    def commands(at: Place) -> list[list[str]]:
        file = at.folder / "config.toml"
        file.write_text(CONFIG.format(port=at.port, workers=workers, gateway=gateway, source=source, detector=detector))
        return [python("visavis.cli", "run", "--config", str(file))]

    return commands


def own(name: str, commands: Commands, workers: int = WORKERS) -> Kind:
    return Kind(name, commands, "/api/v1/detect", "/api/v1/status", workers=workers)


FLASK = Kind("Flask, development server", flask_development)
GUNICORN = Kind("Flask + gunicorn", gunicorn)
UVICORN = Kind("FastAPI + uvicorn", uvicorn)
CELERY = Kind("Flask + Celery + Redis", celery)
PATIENT_VISAVIS = own("visavis, no deadline", visavis(PATIENT))
VISAVIS = own("visavis", visavis())
RIVALS = (FLASK, GUNICORN, UVICORN, CELERY)


def floor(url: str) -> Kind:
    """net/http alone, with visavis's own answers and as much garbage: what a cheap request takes at least."""
    paths = f"/healthz,{VISAVIS.status}"

    def commands(at: Place) -> list[list[str]]:
        return [[str(BAREHTTP), "-listen", f"127.0.0.1:{at.port}", "-like", url, "-paths", paths]]

    return Kind(FLOOR, commands, status=VISAVIS.status, environment={"GOGC": "200"})


class Server:
    """One server while the block runs; warm, with every worker there."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.port, self._store_port = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-")
        self.log = Path(self._folder.name) / "log"

    def __enter__(self) -> Server:
        folder = Path(self._folder.name)
        environment = {**os.environ, "PYTHONPATH": f"{SITE}:{ROOT}", "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
        environment |= {"BENCH_REDIS": f"redis://127.0.0.1:{self._store_port}/0", "VISAVIS_STATE_DIR": str(folder)}
        with self.log.open("w") as out:
            for command in self.kind.commands(Place(self.port, self._store_port, folder)):
                started = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment | self.kind.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
                self._processes.append(started)
        try:
            until(self._ready, lambda: f"{self.kind.name} does not answer: {self._last_words()}", READY_LIMIT_S)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """End everything, in the order in which it was started, and whatever does not end in time by force."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if process is self._processes[-1] else signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._folder.cleanup()

    def _last_words(self) -> str:
        return self.log.read_text()[-2000:]

    @property
    def roots(self) -> list[int]:
        """The processes that were started; theirs are below them."""
        return [process.pid for process in self._processes]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def cpu_s(self) -> float:
        """Processor time of all processes so far."""
        return tree_cpu_s(self.roots)

    def memory(self) -> Memory:
        """Memory of all processes."""
        return tree_memory(self.roots)

    def libraries(self) -> int:
        """Shared libraries that visavis's daemon maps; 0 of others."""
        return libraries(self.daemon())

    def daemon(self) -> list[int]:
        """visavis's daemon, which starts no process; nothing for other servers."""
        return [pid for pid in tree_of(self.roots) if "visavis-capture" in command_of(pid)]

    def inferring(self) -> list[int]:
        """visavis's workers; nothing for other servers."""
        return [pid for pid in tree_of(self.roots) if "visavis.cli worker" in command_of(pid)]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url(path), timeout=ASK_LIMIT_S) as answer:  # noqa: S310
            return bytes(answer.read())

    def faces(self, picture: bytes, kind: str = "image/jpeg") -> list[dict[str, Any]]:
        """What the server finds on a picture."""
        headers = {"Content-Type": kind}
        request = urllib.request.Request(self.url(self.kind.detect), picture, headers)  # noqa: S310 (our own address)
        with urllib.request.urlopen(request, timeout=ASK_LIMIT_S) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)["faces"]
        return found

    def workers(self) -> list[dict[str, Any]]:
        """visavis's own words about its workers; none of other servers."""
        if not self.kind.status.startswith("/api"):
            return []
        found: list[dict[str, Any]] = json.loads(self.get(self.kind.status))["workers"]
        return found

    def service_ms(self) -> float:
        """What visavis's slowest worker takes for a picture."""
        return max((float(worker["service_ms"]) for worker in self.workers()), default=0.0)

    def _ready(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"{self.kind.name} ended: {self._last_words()}"
        try:
            self.get("/healthz")
            if self.kind.status.startswith("/api"):
                return len(self.workers()) == self.kind.workers
        except (urllib.error.URLError, OSError):
            return False
        return True
