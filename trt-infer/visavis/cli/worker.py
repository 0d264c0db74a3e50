# SPDX-License-Identifier: Apache-2.0
"""The inference worker: takes frames from the daemon's socket and answers with detections.

`visavis run` and systemd start it; by hand it is useful beside a daemon that runs already. SIGTERM or Ctrl-C finishes
the frame in hand and ends with exit code 0.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from visavis.engines.note import EngineNote, note_path
from visavis.errors import DetectorLost, GpuUnusable, ModelError, VisavisError
from visavis.parent import die_with_parent
from visavis.settings import DetectorSettings, WorkerSettings
from visavis.signals import stop_on_signals

EXAMPLE = "  visavis worker --socket /run/visavis/frames.sock --name worker-1 --backend onnxruntime"
DEFAULTS = DetectorSettings()
# Idle threads of the math libraries spin; they read these when NumPy is imported, so this must come first.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis worker` takes."""
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH", help="the daemon's frames.sock")
    parser.add_argument("--name", default="worker", help="shown in logs and status (default: %(default)s)")
    parser.add_argument(
        "--credit", type=int, default=1, help="frames held at a time, and inferred together (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-window-ms", type=float, default=0.0, help="how long a frame waits for others (default: 0)"
    )
    parser.add_argument("--backend", default=DEFAULTS.backend, help="auto, tensorrt, onnxruntime, kserve, fake")
    parser.add_argument("--precision", default=DEFAULTS.precision, help="auto, fp32, fp16, int8")
    parser.add_argument("--model", default=DEFAULTS.model, help="(default: %(default)s)")
    parser.add_argument(
        "--input", type=size, default=(640, 480), metavar="WxH", help="network input (default: 640x480)"
    )
    parser.add_argument("--threads", type=int, default=DEFAULTS.threads, help="0 = one for each core")
    parser.add_argument("--score", type=float, default=DEFAULTS.score, help="least score (default: %(default)s)")
    parser.add_argument("--iou", type=float, default=DEFAULTS.iou, help="overlap of duplicates (default: %(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=DEFAULTS.cache_dir, metavar="DIR", help="prepared models")
    parser.add_argument("--fake-service-ms", type=float, default=DEFAULTS.fake_service_ms, help="for --backend fake")
    parser.add_argument("--kserve-url", default="", metavar="URL", help="model server, for --backend kserve")
    parser.add_argument("--kserve-ca", type=_file, metavar="FILE", help="certificates that may sign the server's")
    parser.add_argument("--kserve-token-file", type=_file, metavar="FILE", help="holds the bearer token")
    parser.add_argument("--kserve-deadline-ms", type=float, default=DEFAULTS.kserve_deadline_ms, help="for each frame")
    parser.add_argument("--fallback", action="store_true", help="tell the daemon that starts on the GPU failed")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when process PID, our parent, ends")


def size(text: str) -> tuple[int, int]:
    """Decode "640x480"."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def _file(name: str) -> Path | None:
    return Path(name) if name else None


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop: exit 0; 1 when the supervisor should start a fresh worker."""
    if args.die_with_parent is not None:
        die_with_parent(args.die_with_parent)
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    # After the variables, since it imports NumPy.
    from visavis import worker  # noqa: PLC0415

    with stop_on_signals() as stop:
        try:
            worker.run(settings(args), stop)
        except VisavisError as error:
            return told(args, error)
    return 0


def told(args: argparse.Namespace, error: VisavisError) -> int:
    """Say why the worker ends; returns the exit code, which tells the supervisor whether the GPU is to blame."""
    if args.backend == "tensorrt" and isinstance(error, ModelError):
        error = GpuUnusable(error.sentence, error.remedy)
    logging.getLogger(__name__).error("%s: %s: %s", args.name, error.kind, error)
    if isinstance(error, (GpuUnusable, DetectorLost)):
        EngineNote(note_path(args.socket), args.model, args.precision).failed(str(error))
    return error.exit_code


def settings(args: argparse.Namespace) -> WorkerSettings:
    """Turn the command line into settings."""
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
        fallback=args.fallback,
        detector=detector,
    )
