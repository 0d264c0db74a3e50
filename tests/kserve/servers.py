# SPDX-License-Identifier: Apache-2.0
"""Real servers of the Open Inference Protocol, with the same prepared ONNX as the local backend."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

import pytest

from tests.ports import free_port
from tests.standing_still import Freezable
from tests.waiting import HANG_S, until

ROOT = Path(__file__).parents[2]
SITES = ROOT / "build" / "servers"
START_LIMIT_S = 90


def site(name: str) -> Path:
    """Where scripts/setup.sh has put a server's packages."""
    found = SITES / name / "site"
    if not found.is_dir():
        pytest.skip(f"{found} is not there: `make setup-test` installs it, where the server supports this Python")
    return found


class Served(Freezable, ABC):
    """One server's process, which can be stopped, killed and started again on the same ports."""

    package = ""
    https = True

    def __init__(self, folder: Path, models: dict[str, Path], tls: Path | None = None) -> None:
        self.folder, self.models, self.tls = folder, models, tls
        self.http_port, self.grpc_port = free_port(), free_port()
        self.mood = folder / "mood"
        self.mood.write_text("well")
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Served:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Its address."""
        return f"{scheme}://{host}:{self.grpc_port if scheme.startswith('grpc') else self.http_port}"

    def surroundings(self) -> dict[str, str]:
        """Its environment."""
        tls = {"TEST_TLS": str(self.tls)} if self.tls else {}
        return {**os.environ, "PYTHONPATH": str(site(self.package)), "PYTHONUNBUFFERED": "1", **tls}

    def start(self) -> None:
        """Start it, and wait until it serves."""
        command, surroundings = self.command(), self.surroundings()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=surroundings, stdout=log, stderr=log, start_new_session=True
            )
        until(self._serves, lambda: self.log.read_text()[-9_000:], START_LIMIT_S)

    def kill(self) -> None:
        """End it without a word, and all that it has started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-9_000:]
        return self._is_ready() and self._listens(self.grpc_port)

    def _is_ready(self) -> bool:
        if self.tls and self.https:
            unchecked = ssl._create_unverified_context()  # noqa: S323 (only whether it is up)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.http_port, timeout=HANG_S, context=unchecked
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=HANG_S)
        try:
            connection.request("GET", f"/v2/models/{next(iter(self.models))}/ready")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def _listens(self, port: int) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0


class KServeServer(Served):
    """KServe's model server: bytes behind the JSON, and gRPC."""

    package = "kserve"

    def command(self) -> list[str]:
        """See `Served`."""
        program = str(Path(__file__).with_name("kserve_program.py"))
        models = [f"{name}={path}" for name, path in self.models.items()]
        return [sys.executable, program, str(self.http_port), str(self.grpc_port), str(self.mood), *models]


class MLServer(Served):
    """MLServer: JSON only, and gRPC. It is the container's."""

    package = "mlserver"

    def command(self) -> list[str]:
        """See `Served`; puts the models into a repository."""
        repository = self.folder / "repository"
        for name, path in self.models.items():
            (repository / name / "1").mkdir(parents=True, exist_ok=True)
            (repository / name / "1" / "model.onnx").write_bytes(path.read_bytes())
        program = str(ROOT / "containers" / "model_server.py")
        return [sys.executable, program, str(repository), "127.0.0.1", str(self.http_port), str(self.grpc_port)]


class Triton(Served):
    """NVIDIA's Triton, from the wheel of PyTriton: its server and its Python backend, without a GPU.

    It serves what `visavis model export-triton` wrote, with another backend: the wheel has none for ONNX.
    """

    package = "triton"
    https = False

    def __init__(self, folder: Path, models: dict[str, Path], tls: Path | None = None) -> None:
        super().__init__(folder, models, tls)
        self.metrics_port = free_port()
        self._memory = f"visavis-triton-{self.http_port}-"
        self._place = site(self.package) / "pytriton" / "tritonserver"

    def command(self) -> list[str]:
        """See `Served`; writes the repository."""
        options: dict[str, Path | str | int] = {"model-control-mode": "explicit", "load-model": "*"}
        options |= {"model-repository": self._repository(), "backend-directory": self._place / "backends"}
        for wire, port in (("http", self.http_port), ("grpc", self.grpc_port), ("metrics", self.metrics_port)):
            options |= {f"{wire}-address": "127.0.0.1", f"{wire}-port": port}
        options["backend-config"] = f"python,shm-region-prefix-name={self._memory}"
        if self.tls:
            options |= {"grpc-use-ssl": 1, "grpc-server-cert": self.tls / "cert.pem"}
            options |= {"grpc-server-key": self.tls / "key.pem"}
        return [str(self._place / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in options.items())]

    def surroundings(self) -> dict[str, str]:
        """See `Served`. What runs a model is no `python`: it finds packages by the first one on PATH."""
        here = {**os.environ, "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR"), "TEST_MOOD": str(self.mood)}
        here["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        stub = self._place / "backends" / "python" / "triton_python_backend_stub"
        needs = subprocess.run(["ldd", stub], env=here, capture_output=True, text=True, check=True)
        if missing := [line.strip() for line in needs.stdout.splitlines() if "not found" in line]:
            pytest.skip(f"Triton cannot run Python here, {', '.join(missing)}: `make setup-test` says more")
        return here

    def kill(self) -> None:
        """See `Served`; what it shared with its models outlives it."""
        super().kill()
        for memory in Path("/dev/shm").glob(f"{self._memory}*"):  # noqa: S108 (its place, not ours)
            memory.unlink()

    def holds(self) -> bool:
        """Whether a request is under way: in the mood "wait" the model answers none."""
        return self.mood.with_name("held").exists()

    def ran(self) -> list[int]:
        """With how many pictures the model has run, each time."""
        return [int(line) for line in self.mood.with_name("ran").read_text().split()]

    def _repository(self) -> Path:
        repository = self.folder / "repository"
        for name, path in self.models.items():
            config = (path.parents[1] / "config.pbtxt").read_text()
            assert config.count('backend: "onnxruntime"') == 1
            (repository / name / "1").mkdir(parents=True, exist_ok=True)
            (repository / name / "config.pbtxt").write_text(config.replace('"onnxruntime"', '"python"'))
            (repository / name / "1" / "model.onnx").write_bytes(path.read_bytes())
            shutil.copy(Path(__file__).with_name("triton_model.py"), repository / name / "1" / "model.py")
        return repository
