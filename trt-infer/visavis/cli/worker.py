# SPDX-License-Identifier: Apache-2.0
"""The inference worker: takes frames from the daemon and answers with detections.

`visavis run` and systemd start workers. Start one by hand to add it to a daemon that is running. At SIGTERM or Ctrl-C
it finishes its frames and ends with exit code 0.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from visavis.cli.arguments import amount, count, count_or_auto, file_path, share, size
from visavis.cli.program import of_the_system
from visavis.engines.note import EngineNote, note_path
from visavis.errors import DetectorLost, GpuUnusable, ModelError, Starved, VisavisError
from visavis.gpu_losses import MOST_LOST, GpuLosses, may_use_gpu
from visavis.held_back import hold_back
from visavis.parent import die_with_parent
from visavis.settings import BACKENDS, PRECISIONS, SYSTEM_CACHE, DetectorSettings, WorkerSettings
from visavis.signals import stop_on_signals, stopped_after
from visavis.systemd import READY, STATUS, SignOfLife, log_handler, tell
from visavis.watchdog import Limits, watch_itself
from visavis.worker_unit import UNIT, filled

if TYPE_CHECKING:
    from visavis.config_gen import Config

EXAMPLE = """  visavis worker --config /etc/visavis/config.toml --name extra
  visavis worker --config /etc/visavis/config.toml --name extra --threads 2
  visavis worker --socket /run/visavis/frames.sock --name extra --backend onnxruntime"""
DEFAULTS = DetectorSettings()
# Idle threads of the math libraries spin; they read these when NumPy is imported, so this must come first.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ASK_AGAIN_S = 5.0
# What the system says where too little is left, and what to do then; any other error of it says enough.
SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
MORE = "look at the memory, processes and open files that are left to it"
GPU_FAILED = (GpuUnusable.exit_code, DetectorLost.exit_code)

# A worker may wait for 2 s in one piece (a message to a busy daemon, or a daemon that is away), and tells that it lives
# as soon after half its time as it can.
LEAST_SILENCE_S = 5.0

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis worker` takes."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--config", type=file_path, metavar="FILE", help="take what the other options leave out from this configuration"
    )
    where.add_argument("--socket", type=file_path, metavar="PATH", help="the daemon's socket, frames.sock")
    parser.add_argument("--name", default="worker", help="name in logs and status (default: %(default)s)")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when process PID, our parent, ends")
    parser.add_argument(
        "--watchdog-s",
        type=silence,
        default=0.0,
        metavar="S",
        help=f"end when nothing moved for S seconds, at least {LEAST_SILENCE_S:g}, or for five minutes at the start, "
        "for whoever starts again what ends, as Docker; 0 for never",
    )
    _add_batches(parser)
    _add_detector(parser)
    _add_server(parser)


def silence(text: str) -> float:
    """Read for how long a worker may give no sign of life; 0 for ever."""
    value = amount(text)
    if 0 < value < LEAST_SILENCE_S:
        words = f"{text!r} would end a worker that only waits for the daemon"
        raise argparse.ArgumentTypeError(f"{words}: choose 0 for never, or at least {LEAST_SILENCE_S:g}")
    return value


def _add_batches(parser: argparse.ArgumentParser) -> None:
    """How many frames at a time; the settings of the section [worker]."""
    parser.add_argument(
        "--credit",
        type=count,
        default=1,
        metavar="N",
        help="frames to hold at a time, inferred together if the backend can (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-window-ms",
        type=amount,
        default=0.0,
        metavar="MS",
        help="how long a frame waits for others to fill a batch, ms (default: %(default)g)",
    )
    parser.add_argument(
        "--register-ring", action="store_true", help="let the GPU read frames where the daemon wrote them, if it can"
    )


def _add_detector(parser: argparse.ArgumentParser) -> None:
    """Which model runs how; the settings of the section [detector]."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=DEFAULTS.backend,
        help="what runs the model; fake is for tests (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=DEFAULTS.precision,
        help="number format of the network (default: %(default)s)",
    )
    parser.add_argument(
        "--model", default=DEFAULTS.model, help="a model of `visavis model list`, or a FILE.onnx (default: %(default)s)"
    )
    parser.add_argument(
        "--input", type=size, default=(640, 480), metavar="WxH", help="input size of the network (default: 640x480)"
    )
    parser.add_argument(
        "--threads",
        type=count_or_auto,
        default=DEFAULTS.threads,
        metavar="N",
        help="threads of onnxruntime; 0 for one on each core (default: %(default)s)",
    )
    parser.add_argument(
        "--score", type=share, default=DEFAULTS.score, help="lowest score of a face, 0 to 1 (default: %(default)s)"
    )
    parser.add_argument(
        "--iou",
        type=share,
        default=DEFAULTS.iou,
        help="boxes that overlap by more than this, 0 to 1, are one face (default: %(default)s)",
    )
    parser.add_argument(
        "--cache-dir", type=file_path, default=DEFAULTS.cache_dir, metavar="DIR", help="folder of prepared models"
    )
    parser.add_argument(
        "--fake-service-ms",
        type=amount,
        default=DEFAULTS.fake_service_ms,
        metavar="MS",
        help="with --backend fake: how long each frame takes, ms (default: %(default)g)",
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    """Where the model server is."""
    server = parser.add_argument_group("with --backend kserve")
    server.add_argument("--kserve-url", default="", metavar="URL", help="address of the model server")
    server.add_argument("--kserve-ca", type=_file, metavar="FILE", help="CA certificates to check the server's with")
    server.add_argument("--kserve-token-file", type=_file, metavar="FILE", help="file with the bearer token")
    server.add_argument(
        "--kserve-deadline-ms",
        type=amount,
        default=DEFAULTS.kserve_deadline_ms,
        metavar="MS",
        help="how long the server has for a frame before it is inferred here, ms (default: %(default)g)",
    )


def _file(name: str) -> Path | None:
    return Path(name) if name else None


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop: exit 0; 1 when the supervisor should start a fresh worker."""
    logging.basicConfig(level=logging.INFO, handlers=[log_handler(args.name)])
    began_s = time.monotonic()
    try:
        with starved():
            return serve(args, began_s)
    except VisavisError as error:  # before there was anything that could be told to stop
        log.error("%s: %s: %s", args.name, error.kind, error)
        hold_back(time.monotonic() - began_s, threading.Event())
        return error.exit_code


@contextmanager
def starved() -> Iterator[None]:
    """Make an error of ours of what the system refuses the block.

    Raises:
        Starved: what it was.
    """
    try:
        yield
    except MemoryError as error:
        raise Starved("no memory is left", MORE) from error
    except OSError as error:
        raise Starved(of_the_system(error), MORE if error.errno in SCARCE else "") from error


def serve(args: argparse.Namespace, began_s: float) -> int:
    """Serve, as a process that was started at `began_s` by the monotonic clock; returns the exit code.

    Raises:
        VisavisError, OSError, MemoryError: it did not come so far.
    """
    if args.die_with_parent is not None:
        die_with_parent(args.die_with_parent)
    if args.config is not None:
        become(args)
    if args.watchdog_s:
        watch_itself(Limits(serving_s=args.watchdog_s))
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    # After the variables, since it imports NumPy.
    from visavis import worker  # noqa: PLC0415

    losses = GpuLosses(note_path(args.socket).parent, args.name) if may_use_gpu(args.backend) else None
    fallback = losses is not None and must_do_without_gpu(args, losses)
    with ExitStack() as end:
        stop = end.enter_context(stop_on_signals())
        tries = Tries(losses, stop, end, fallback=fallback)
        try:
            with starved():
                worker.run(settings(args, fallback=fallback), stop, tries.warm)
        except VisavisError as error:
            code = told(args, error)
            remember(losses, code, fallback=fallback)
            # What fails on the GPU is counted elsewhere, and goes on without it.
            ended = code not in GPU_FAILED and hold_back(time.monotonic() - began_s, stop)
            return 0 if ended else code
    if tries.due.is_set():
        log.info("%s ends, so that a fresh one tries the GPU again", args.name)
        return GpuUnusable.exit_code
    if losses is not None:
        losses.clear()
    return 0


class Tries:
    """What follows once a worker serves: one on the GPU is well, one that does without it ends when its turn has come.

    Attributes:
        due: set when this worker was ended for that.
    """

    def __init__(self, losses: GpuLosses | None, stop: threading.Event, end: ExitStack, *, fallback: bool) -> None:
        self._losses, self._stop, self._end, self._fallback = losses, stop, end, fallback
        self.due = threading.Event()

    def warm(self) -> None:
        """The detector has loaded and run."""
        if self._losses is None:
            return
        if self._fallback:
            self.due = self._end.enter_context(stopped_after(self._losses.rest_s(), self._stop))
        else:
            self._losses.ready()


def must_do_without_gpu(args: argparse.Namespace, losses: GpuLosses) -> bool:
    """Whether earlier starts lost the GPU too often; `args` are those of a worker on the CPU then."""
    count = losses.begin()
    if count < MOST_LOST:
        losses.watch()
        return False
    log.error(
        "%s failed on the GPU %d times in a row: it goes on with onnxruntime on the CPU, see `visavis doctor` and "
        "`dmesg`; the GPU is tried again in %.0f minutes, or when you start visavis again",
        args.name,
        count,
        losses.rest_s() / 60,
    )
    # Not the configured precision: int8 for the CPU may never have been made, and detection must go on.
    args.backend, args.precision = "onnxruntime", "auto"
    return True


def remember(losses: GpuLosses | None, exit_code: int, *, fallback: bool) -> None:
    """Count this end when the GPU is to blame; another reason ends the row, but brings no lost GPU back."""
    if losses is None or fallback:
        return
    if exit_code in GPU_FAILED:
        losses.lost()
    else:
        losses.clear()


def become(args: argparse.Namespace) -> NoReturn:
    """Turn this process into the worker that a configuration describes; systemd goes on watching it.

    What was typed follows what the configuration says, and so wins over it.

    Raises:
        ConfigRefused: as `accepted`.
        DaemonMissing: the program that reads configurations is not on this machine.
    """
    from visavis.worker_command import worker_command  # noqa: PLC0415 (not what a worker needs)

    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config")
    _, typed = config.parse_known_args(args.words[1:])  # without the command's own name
    command = worker_command(changed(accepted(args.config), typed))
    os.execv(command[0], [*command, *typed])  # noqa: S606 (no shell is what we want)


def changed(config: Config, typed: list[str]) -> Config:
    """The settings with what the recommended threads depend on as it was typed."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for option, kind in (("--model", str), ("--input", size), ("--precision", str)):
        parser.add_argument(option, type=kind)
    found, _ = parser.parse_known_args(typed)
    return replace(config, detector=replace(config.detector, **vars(found)))


def accepted(config: Path) -> Config:
    """The settings of a configuration. Under systemd one that is refused is waited for, until somebody mends it.

    It waits as a service that is ready: whatever waits for services, as a boot or apt does, goes on. Then this process
    ends, with 0, since the watchdog of a service that is ready would not wait for a model that is being prepared.

    Raises:
        ConfigRefused: with every problem, one a line, where no systemd started us.
    """
    from visavis.daemon import ConfigRefused, effective_config  # noqa: PLC0415 (not what a worker needs)

    life, said = SignOfLife(), ""
    while True:
        try:
            found = effective_config(config, os.environ, for_worker=True)
        except ConfigRefused as refused:
            if not tell(READY, f"{STATUS}waits until the configuration is mended"):
                raise
            if str(refused) != said:
                log.error("waits until the configuration is mended: %s", refused)
            said = str(refused)
        else:
            if said:
                log.info("the configuration is mended: starts anew")
                raise SystemExit(0)
            return found
        life.give()
        time.sleep(ASK_AGAIN_S)


def told(args: argparse.Namespace, error: VisavisError) -> int:
    """Say why the worker ends; returns the exit code, which tells whether the GPU is to blame."""
    if args.backend == "tensorrt" and isinstance(error, ModelError):
        error = GpuUnusable(error.sentence, error.remedy)
    of_package = args.cache_dir == SYSTEM_CACHE and UNIT.exists()
    words = filled(str(error), SYSTEM_CACHE) if of_package else str(error)
    log.error("%s: %s: %s", args.name, error.kind, words)
    if isinstance(error, (GpuUnusable, DetectorLost)):
        EngineNote(note_path(args.socket), args.model, args.precision).failed(str(error))
    return error.exit_code


def settings(args: argparse.Namespace, *, fallback: bool = False) -> WorkerSettings:
    """Turn the command line into settings; `fallback` as WorkerSettings has it."""
    detector = DetectorSettings(
        model=args.model,
        backend=args.backend,
        precision=args.precision,
        batch=args.credit,
        input_width=args.input[0],
        input_height=args.input[1],
        threads=args.threads,
        score=args.score,
        iou=args.iou,
        cache_dir=args.cache_dir,
        fake_service_ms=args.fake_service_ms,
        engine_note=note_path(args.socket),
        kserve_url=args.kserve_url,
        kserve_ca=args.kserve_ca,
        kserve_token_file=args.kserve_token_file,
        kserve_deadline_ms=args.kserve_deadline_ms,
    )
    return WorkerSettings(
        socket=args.socket,
        name=args.name,
        credit=args.credit,
        batch_window_ms=args.batch_window_ms,
        register_ring=args.register_ring,
        fallback=fallback,
        detector=detector,
    )
