# SPDX-License-Identifier: Apache-2.0
"""`visavis engine` as a person types it, with the real builder; pycuda's double says which GPU there is."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from visavis.config_gen import Config, Detector, Worker
from visavis.engines.by_hand import WORKERS_CREDENTIALS, by_hand
from visavis.engines.first_build import build_command
from visavis.engines.note_gen import FILE, Note
from visavis.settings import SYSTEM_CACHE, DetectorSettings

from tests.repo.test_laws import ROOT
from tests.tensorrt import core
from tests.tensorrt.models import face_pictures, prepared_tiny
from tests.unit.test_quantize_camera import assert_accounted, without_workers
from tests.waiting import until

VISAVIS = [sys.executable, "-m", "visavis.cli", "engine"]


def visavis(*words: Any, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*VISAVIS, *(str(word) for word in words)]
    return subprocess.run(command, env=environment or core.environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def small(real_core: None, tmp_path: Path) -> list[Any]:
    """A build of a fraction of a second."""
    return ["build", "--input", "64x64", "--cache-dir", tmp_path]


@pytest.fixture
def gpu(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that also loads engines."""
    network = tmp_path / "network.onnx"
    network.write_bytes(prepared_tiny().content)
    return core.environment(VISAVIS_TEST_NETWORK=str(network))


def test_build_builds_once_and_says_what(small: list[Any], gpu: dict[str, str]) -> None:
    first, again = visavis(*small, environment=gpu), visavis(*small, environment=gpu)
    assert first.returncode == again.returncode == 0, first.stderr
    assert first.stdout.startswith("built: centerface in fp16, 1/1/1 pictures, for Double (sm_87) with TensorRT 11.4.0")
    assert again.stdout.startswith("kept: centerface in fp16")
    assert first.stderr == ""


def test_an_engine_that_tensorrt_refuses_is_built_again_and_no_worker_tries_one_that_it_refuses_then(
    small: list[Any], gpu: dict[str, str]
) -> None:
    assert visavis(*small, environment=gpu).returncode == 0
    answer = visavis(*small, environment=dict(gpu, VISAVIS_TEST_GPU="refuses"))
    assert answer.returncode == 1
    assert "without a reason: it is built again" in answer.stderr
    assert "though it has just built it" in answer.stderr


def test_a_configuration_says_what_its_workers_look_for(small: list[Any], tmp_path: Path, gpu: dict[str, str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[detector]\ninput = [96, 64]\nprecision = "fp32"\n[worker]\ncredit = 2\n')
    words = ["build", "--config", config, "--cache-dir", tmp_path]
    built = visavis(*words)
    assert built.stdout.startswith("built: centerface in fp32, 1/2/2 pictures"), built.stderr
    assert visavis(*words, "--input", "96x64", environment=gpu).stdout.startswith("kept:")
    assert visavis(*words, "--precision", "fp16").stdout.startswith("built: centerface in fp16, 1/2/2 pictures")
    config.write_text("[detector]\ninput = 7\n")
    assert visavis(*words).returncode == 2


def test_a_service_builds_what_workers_look_for_and_tells_the_daemon_why_it_cannot(
    small: list[Any], tmp_path: Path, gpu: dict[str, str]
) -> None:
    config, note = tmp_path / "config.toml", tmp_path / FILE
    config.write_text(f'[detector]\ninput = [64, 64]\n[worker]\nsocket = "{tmp_path}/frames.sock"\n')
    words = ["build", "--for-workers", config, "--cache-dir", tmp_path, "--json"]
    failed = visavis(*words, environment=core.environment(VISAVIS_TEST_GPU="none"))
    assert failed.returncode == 1
    said = json.loads(failed.stdout)["error"]
    assert msgspec.json.decode(note.read_bytes(), type=Note).error == said
    assert failed.stderr.endswith(f"visavis: {said}\n"), "the journal has no reason"
    child = visavis(*words, "--die-with-parent", os.getpid(), environment=core.environment(VISAVIS_TEST_GPU="none"))
    assert said not in child.stderr, "`visavis run` says it too"
    assert json.loads(visavis(*words).stdout)["state"] == "built"
    assert not note.exists()
    assert json.loads(visavis(*words, environment=gpu).stdout)["state"] == "kept"


def test_a_service_leaves_the_reason_in_the_journal_where_the_configuration_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[detector]\ninput = 7\n")
    answer = visavis("build", "--for-workers", config, "--json", environment=dict(os.environ))
    assert answer.returncode == 2
    assert f"visavis: {config}:2: detector.input: " in answer.stderr
    assert json.loads(answer.stdout)["error"] in answer.stderr


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt", "auto"])
def test_a_service_builds_nothing_that_no_worker_waits_for(backend: str, tmp_path: Path, real_core: None) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[detector]\nbackend = "{backend}"\n')
    without_tensorrt = dict(os.environ)
    environment = without_tensorrt if backend == "auto" else core.environment()
    answer = visavis("build", "--for-workers", config, "--cache-dir", tmp_path / "cache", environment=environment)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert not (tmp_path / "cache").exists()


def test_list_names_every_engine_for_scripts_too(small: list[Any], tmp_path: Path) -> None:
    visavis(*small)
    visavis(*small, "--precision", "fp32", "--batch", "4")
    (tmp_path / "engines" / "x.engine").write_bytes(b"not ours")
    answer = visavis("list", "--cache-dir", tmp_path, "--json")
    listed = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(entry["state"], entry.get("precision"), entry.get("pictures")) for entry in listed] == [
        ("kept", "fp16", "1/1/1"),
        ("kept", "fp32", "1/4/4"),
        ("foreign", None, None),
    ]
    plain = visavis("list", "--cache-dir", tmp_path).stdout
    assert "never loaded" in plain
    assert plain.count("kept: centerface") == 2


def test_an_empty_list_is_no_failure(tmp_path: Path) -> None:
    answer = visavis("list", "--cache-dir", tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_int8_is_calibrated_on_the_pictures_that_are_named(
    real_core: None, tmp_path: Path, gpu: dict[str, str]
) -> None:
    words: list[Any] = ["build", "--precision", "int8", "--input", "320x256", "--cache-dir", tmp_path]
    without = visavis(*words)
    assert without.returncode == 1
    assert "--from-camera ID`, or with --pictures FOLDER" in without.stderr
    built = visavis(*words, "--pictures", face_pictures()[0].parent)
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("built: centerface in int8")
    (engine,) = (tmp_path / "engines").glob("*.engine")
    before = engine.stat().st_ino
    gone = visavis(*words, "--pictures", tmp_path / "nothing", environment=gpu)
    assert gone.returncode == 1
    assert "nothing" in gone.stderr
    assert engine.stat().st_ino == before, "the one before is kept until there is another"
    again = visavis(*words, "--pictures", face_pictures()[0].parent, environment=gpu)
    assert again.stdout.startswith("built: centerface in int8"), "it was not calibrated on the pictures that were named"
    assert engine.stat().st_ino != before


def test_what_an_int8_engine_that_is_missing_asks_for_is_what_workers_then_find(
    gpu: dict[str, str], real_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(core.HERE / "alias"))
    detector = Detector(input=(320, 256), precision="int8")
    workers = Config(detector=detector, worker=Worker(credit=4, socket=str(tmp_path / "frames.sock")))
    command, there = build_command(workers), dict(gpu, VISAVIS_CACHE_DIR=str(tmp_path))
    assert command is not None

    def build() -> dict[str, Any]:
        said: dict[str, Any] = json.loads(subprocess.run(command, env=there, capture_output=True, check=False).stdout)
        return said

    (remedy,) = re.findall("`visavis engine (build .*) --from-camera ID`", build()["error"])
    built = visavis(*shlex.split(remedy), "--pictures", face_pictures()[0].parent, environment=there)
    assert built.stdout.startswith("built: centerface in int8, 1/4/4 pictures"), built.stderr
    assert build()["state"] == "kept"


def test_the_remedy_of_a_service_is_for_the_user_and_the_cache_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    service = {"INVOCATION_ID": "1", "USER": "visavis-infer", "CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    for name, value in {**service, "VISAVIS_CACHE_DIR": str(SYSTEM_CACHE)}.items():
        monkeypatch.setenv(name, value)
    folders = f"VISAVIS_CACHE_DIR=/var/cache/visavis CREDENTIALS_DIRECTORY={WORKERS_CREDENTIALS}"
    said = by_hand(DetectorSettings(model="yunet-n", precision="int8", batch=4))
    engine = "visavis engine build yunet-n --precision int8 --input 640x480 --batch 4"
    assert said == f"sudo -u visavis-infer env {folders} {engine}"
    assert folders in " ".join((ROOT / "deb/tensorrt/README").read_text().replace("\\", "").split())


@pytest.mark.parametrize("words", [["--pictures", "photos"], ["--from-camera", "door", "--precision", "fp16"]])
def test_pictures_are_for_int8_alone(small: list[Any], words: list[str]) -> None:
    answer = visavis(*small, *words)
    assert answer.returncode == 2
    assert "add --precision int8, or leave the pictures out" in answer.stderr


def test_int8_is_calibrated_on_pictures_of_the_devices_own_camera(real_core: None, tmp_path: Path) -> None:
    """Its faces are hidden from every viewer, and few of them are wanted here: eight take a while."""
    words: list[Any] = ["build", "--precision", "int8", "--input", "320x256", "--cache-dir", tmp_path]
    with without_workers(tmp_path) as daemon:
        built = visavis(*words, "--from-camera", "demo", "--socket", daemon.socket, "--count", "8")
        assert built.returncode == 0, built.stderr
        assert built.stdout.startswith("built: centerface in int8")
        assert_accounted(daemon)
    (tmp_path / "engines").rename(tmp_path / "others")
    gone = visavis(*words, "--from-camera", "demo", "--socket", daemon.socket)
    assert gone.returncode == 1
    assert "no pictures of camera 'demo'" in gone.stderr


def test_without_tensorrt_it_says_what_to_install() -> None:
    answer = visavis("build", environment=dict(os.environ))
    assert answer.returncode == 1
    assert "python3-libnvinfer" in answer.stderr
    assert "pip install tensorrt-cu13 pycuda" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_a_gpu_it_says_where_to_look(small: list[Any]) -> None:
    answer = visavis(*small, "--json", environment=core.environment(VISAVIS_TEST_GPU="none"))
    assert answer.returncode == 1
    assert "nvidia-smi" in json.loads(answer.stdout)["error"]


def test_a_disk_without_room_is_told_as_one(small: list[Any], tmp_path: Path) -> None:
    command = ["prlimit", "--fsize=100000", *VISAVIS, *map(str, small)]
    answer = subprocess.run(command, env=core.environment(), capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith(f"visavis: cannot use the engines in {tmp_path / 'engines'}")
    assert "make room there" in answer.stderr
    assert not list((tmp_path / "engines").glob("*.engine*"))


def test_a_file_that_is_no_model_is_named(small: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "holiday.onnx"
    file.write_bytes(b"not a model")
    answer = visavis(*small, file)
    assert answer.returncode == 1
    assert "holiday.onnx is not a valid ONNX model" in answer.stderr


@pytest.mark.parametrize(
    "words", [["build", "--batch", "0"], ["build", "--precision", "fp8"], ["build", "--input", "big"], []]
)
def test_wrong_use_is_exit_2(words: list[str]) -> None:
    answer = visavis(*words)
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_help_has_examples() -> None:
    answer = visavis("--help")
    assert answer.returncode == 0
    assert "visavis engine build --precision int8 --pictures" in answer.stdout


class Terminal:
    """A process with a terminal for its stderr."""

    def __init__(self, words: list[Any], **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.process = subprocess.Popen(
            [*VISAVIS, *(str(word) for word in words)],
            env=core.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)

    def shown(self) -> Iterator[str]:
        """What appears, piece by piece, until the process ends."""
        while True:
            try:
                piece = os.read(self._ours, 4096)
            except OSError:
                return
            yield piece.decode(errors="replace")


def test_a_terminal_shows_a_bar_with_what_is_done(real_core: None, tmp_path: Path) -> None:
    terminal = Terminal(["build", "--cache-dir", tmp_path])
    shown = "".join(terminal.shown())
    assert terminal.process.wait() == 0, shown
    assert "%|" in shown
    assert "100 %|" in shown
    assert "Kept" in shown


def stopped_at(phase: str, *words: Any) -> str:
    """What a build shows that is ended by Ctrl-C in a phase, at which it waits for that."""
    terminal = Terminal(["build", *words], VISAVIS_TEST_HOLD_AT=phase)
    shown, pressed = "", False
    for piece in terminal.shown():
        shown += piece
        if "HELD" in shown and not pressed:
            pressed = True
            terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait() == 130, shown
    assert "was stopped" in shown
    return shown


def test_ctrl_c_ends_a_build_and_leaves_nothing(real_core: None, tmp_path: Path) -> None:
    stopped_at("Building engine", "--cache-dir", tmp_path)
    assert not list((tmp_path / "engines").glob("*.engine"))


def test_ctrl_c_ends_a_build_that_cannot_be_told_to_stop(small: list[Any], tmp_path: Path) -> None:
    note = tmp_path / FILE
    command = [*VISAVIS, *map(str, small), "--note", str(note)]
    deaf = core.environment(VISAVIS_TEST_BUILD_GATE="never")
    with subprocess.Popen(command, env=deaf, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "the build has begun" in process.stderr.readline()
            until(note.exists, "the daemon is told")
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == "visavis: the build of an engine for centerface was stopped: start it again, nothing was kept\n"
    assert not note.exists()
    assert not list((tmp_path / "engines").glob("*.engine*"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_builds_at_its_start_ends_when_it_is_told_to(
    real_core: None, tmp_path: Path, how: signal.Signals
) -> None:
    note = tmp_path / FILE
    words = ["worker", "--backend", "tensorrt", "--socket", tmp_path / "none.sock", "--input", "64x64"]
    command = [*VISAVIS[:-1], *map(str, [*words, "--cache-dir", tmp_path])]
    deaf = core.environment(VISAVIS_TEST_BUILD_GATE="never")
    with subprocess.Popen(command, env=deaf, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(note.exists, "the daemon is told")
            process.send_signal(how)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert said.endswith("worker: stopped before it was ready\n")
    assert not list((tmp_path / "engines").glob("*.engine*"))


def test_ctrl_c_ends_the_wait_for_another_build(real_core: None, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    with (folder / "build.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopped_at("Waiting for another build", "--input", "64x64", "--cache-dir", tmp_path)


@pytest.mark.parametrize("phase", ["Reading picture", "Calibrating on picture"])
def test_ctrl_c_ends_a_calibration(real_core: None, tmp_path: Path, phase: str) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(20):
        (pictures / f"{number}.jpg").symlink_to(face_pictures()[0])
    words = ("--precision", "int8", "--input", "320x256", "--pictures", pictures, "--cache-dir", tmp_path)
    assert "Building engine" not in stopped_at(phase, *words)
