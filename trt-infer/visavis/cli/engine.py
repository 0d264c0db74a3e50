# SPDX-License-Identifier: Apache-2.0
"""Build and list TensorRT engines: the form in which a model runs on this machine's GPU.

An engine fits one model, input size, precision, batch size, GPU and TensorRT version; if one of them changes, another
is built. With pictures for int8 it is always built, and takes the place of the one before. It is sealed with a secret
of this device, which loads no other. `visavis run` builds a missing engine by itself, in the background. Exit 1 without
TensorRT or a GPU, or when the engine cannot be built; stderr says why.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from visavis.cli.arguments import add_action, count, file_path, size
from visavis.cli.calibration import add_pictures, of_camera
from visavis.daemon import effective_config
from visavis.engines.builder import stopped
from visavis.engines.cache import Engine, Here, Pictures, Wanted, engine_for, find, kept, of_files
from visavis.engines.first_build import build_note, wants_engine
from visavis.engines.note import EngineNote, Progress, note_path
from visavis.errors import ModelError, VisavisError
from visavis.parent import die_with_parent
from visavis.scores import TOLD_LEAST
from visavis.settings import PRECISIONS, DetectorSettings
from visavis.signals import ended_anyway, stop_on_signals
from visavis.terminal import complain

BUILD_EXAMPLE = """\
  visavis engine build
  visavis engine build centerface --input 640x480 --precision fp16 --batch 4
  visavis engine build --config /etc/visavis/config.toml
  visavis engine build --precision int8 --from-camera door
  visavis engine build --precision int8 --pictures photos/ clip.mp4"""
LIST_EXAMPLE = "  visavis engine list --json"
EXAMPLE = f"{BUILD_EXAMPLE}\n{LIST_EXAMPLE}"
DEFAULTS = DetectorSettings()
BAR = "{desc:<32} {percentage:3.0f} %|{bar}| {elapsed}"
LINE_EVERY_S = 5.0
# How long a build that was told to stop may take; TensorRT 8 cannot be told.
STOP_LIMIT_S = 2.0
REFUSED = "TensorRT and the driver must fit each other and this GPU, see `visavis doctor`"


class WrongUse(VisavisError):
    """Options that cannot go together."""

    kind = "wrong_use"
    exit_code = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis engine` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = add_action(actions, "build", "build an engine, unless it is there already", BUILD_EXAMPLE)
    build.add_argument("model", nargs="?", metavar="NAME|FILE.onnx", help=f"the model (default: {DEFAULTS.model})")
    _add_what(build)
    _add_how(build)
    listing = add_action(actions, "list", "list every engine on this machine", LIST_EXAMPLE)
    for action in (build, listing):
        action.add_argument(
            "--cache-dir", type=file_path, default=DEFAULTS.cache_dir, metavar="DIR", help="folder of the engines"
        )
        action.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_what(build: argparse.ArgumentParser) -> None:
    """What the engine is to fit."""
    where = build.add_mutually_exclusive_group()
    where.add_argument(
        "--config", type=file_path, metavar="FILE", help="take what the other options leave out from this configuration"
    )
    where.add_argument(
        "--for-workers",
        type=file_path,
        metavar="FILE",
        help="like --config, but build nothing if no worker of this configuration uses TensorRT (for services)",
    )
    build.add_argument("--input", type=size, metavar="WxH", help="input size, pixels (default: 640x480)")
    build.add_argument("--precision", choices=PRECISIONS, help="number format (default: auto, which is fp16)")
    build.add_argument("--batch", type=count, metavar="N", help="largest batch, pictures (default: 1)")


def _add_how(build: argparse.ArgumentParser) -> None:
    """How it is built."""
    build.add_argument(
        "--workspace-mib",
        type=count,
        metavar="MIB",
        help="GPU memory that TensorRT may use while it builds, MiB (default: what the largest batch needs)",
    )
    add_pictures(build, required=False)
    build.add_argument("--note", type=file_path, metavar="FILE", help="write progress here, for the daemon to show")
    build.add_argument("--die-with-parent", type=int, metavar="PID", help="end when process PID, our parent, ends")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the engine is there, 1 when it cannot be, 2 for options that cannot go together, 130 for Ctrl-C."""
    try:
        return ACTIONS[args.action](args)
    except VisavisError as error:
        if args.json:
            print(json.dumps({"error": str(error)}))
        if not (args.json and getattr(args, "die_with_parent", None)):  # a parent that reads that says it itself
            complain(str(error))
        return error.exit_code


def _build(args: argparse.Namespace) -> int:
    return _build_for_workers(args) if args.for_workers else _build_now(args)


def _build_for_workers(args: argparse.Namespace) -> int:
    """As a service does it: why there is no engine is told on the page, where people look for what a device lacks."""
    args.config = args.for_workers
    config = effective_config(args.config, os.environ, for_worker=True)
    if not wants_engine(config):
        return 0
    try:
        return _build_now(args)
    except VisavisError as error:
        build_note(config).failed(str(error))
        raise


def _build_now(args: argparse.Namespace) -> int:
    if args.die_with_parent is not None:
        die_with_parent(args.die_with_parent)
    settings, pictures = _settings(args), _pictures(args)
    if pictures is not None and settings.precision != "int8":
        raise WrongUse(
            f"pictures are for int8 alone, and the engine is in {settings.precision} (--precision, detector.precision)",
            "add --precision int8, or leave the pictures out",
        )
    # The door to TensorRT; takes long to import where it exists.
    from visavis.backends import tensorrt  # noqa: PLC0415

    trt, cuda = tensorrt.modules()
    here = Here(trt=trt, gpu=tensorrt.gpu_here(cuda), cache_dir=args.cache_dir)
    wanted = replace(tensorrt.wanted_engine(settings), workspace_mib=args.workspace_mib, pictures=pictures)
    refused = _Refused(partial(tensorrt.refusal, trt))
    # Whoever names pictures wants an engine that is calibrated on them, whatever is there.
    engine = find(wanted, here) if pictures is None else None
    state = "kept"
    if engine is None or refused(engine):
        # A bar of our own would run through what our parent shows.
        draw = sys.stderr.isatty() and args.die_with_parent is None
        told = settings.engine_note
        note = EngineNote(told, wanted.prepared.name, wanted.precision) if told else None
        engine, state = _built(wanted, here, note, refused, draw=draw), "built"
        refused.check(engine)
    print(_line(engine, state, args.json), flush=True)
    return 0


class _Refused:
    """Says whether TensorRT refuses an engine that is kept; such a one is built again.

    Args:
        why: asks TensorRT; "" when it does not refuse.
    """

    def __init__(self, why: Callable[[Engine], str]) -> None:
        self._why, self._any = why, False

    def __call__(self, kept: Engine) -> bool:
        said = self._why(kept)
        if said and not self._any:
            self._any = True
            complain(f"TensorRT cannot load {kept.path}, {said}: it is built again")
        return bool(said)

    def check(self, built: Engine) -> None:
        """After a refusal, see that the new one is taken; without one nothing is loaded.

        Raises:
            ModelError: it is refused too, so workers need not try it.
        """
        said = self._why(built) if self._any else ""
        if said:
            raise ModelError(f"TensorRT cannot load {built.path}, though it has just built it, {said}", REFUSED)


def _pictures(args: argparse.Namespace) -> Pictures | None:
    """What int8 is calibrated with; a build is told to stop by the end of this process, so a camera is too."""
    if args.from_camera:
        from visavis.models.quantize import detector_of  # noqa: PLC0415

        return lambda model, size_px: of_camera(args, detector_of(model, size_px, TOLD_LEAST), threading.Event())
    return of_files(args.pictures) if args.pictures else None


def _settings(args: argparse.Namespace) -> DetectorSettings:
    """What was said, then what the configuration says, then the defaults."""
    width, height = args.input or (None, None)
    said = {
        "model": args.model,
        "precision": args.precision,
        "batch": args.batch,
        "input_width": width,
        "input_height": height,
        "engine_note": args.note,
        "cache_dir": args.cache_dir,
    }
    before = _configured(args.config) if args.config else DEFAULTS
    return replace(before, **{name: value for name, value in said.items() if value is not None})


def _configured(file: Path) -> DetectorSettings:
    """What workers of a configuration look for.

    Raises:
        ConfigRefused: with every problem, one a line.
    """
    config = effective_config(file, os.environ, for_worker=True)
    detector = config.detector
    return DetectorSettings(
        model=detector.model,
        precision=detector.precision,
        batch=config.worker.credit,
        input_width=detector.input[0],
        input_height=detector.input[1],
        engine_note=note_path(Path(config.worker.socket)),
    )


def _built(wanted: Wanted, here: Here, note: EngineNote | None, refused: _Refused, *, draw: bool) -> Engine:
    with stop_on_signals() as stop:
        shown = Bar(stop) if draw else Lines(stop)

        def last() -> int:
            """Engines are written as a whole, at the end, and the lock ends with us: the note is all there is."""
            if note is not None:
                note.clear()
            shown.close()
            end = stopped(wanted.prepared.name)
            complain(str(end))
            return end.exit_code

        try:
            with ended_anyway(stop, STOP_LIMIT_S, last), Progress(note, shown) as report:
                usable = (lambda kept: not refused(kept)) if wanted.pictures is None else (lambda _kept: False)
                return engine_for(wanted, here, report, usable=usable)
        finally:
            shown.close()


class Bar:
    """A bar on a terminal, with what TensorRT does now."""

    def __init__(self, stop: threading.Event) -> None:
        from tqdm import tqdm  # noqa: PLC0415 (only here is a bar drawn)

        self._stop = stop
        self._bar = tqdm(total=1.0, desc="Reading the model", bar_format=BAR, file=sys.stderr)

    def __call__(self, fraction: float, phase: str) -> bool:
        """See `visavis.engines.progress.Report`."""
        self._bar.set_description_str(phase, refresh=False)
        self._bar.update(fraction - self._bar.n)
        return not self._stop.is_set()

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()


class Lines:
    """A line on stderr now and then, for logs."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._told_s = time.monotonic()

    def __call__(self, fraction: float, phase: str) -> bool:
        """See `visavis.engines.progress.Report`."""
        if time.monotonic() - self._told_s >= LINE_EVERY_S:
            print(f"visavis: building the engine, {fraction:.0%}, {phase}", file=sys.stderr, flush=True)
            self._told_s = time.monotonic()
        return not self._stop.is_set()

    def close(self) -> None:
        """There is nothing to leave."""


def _list(args: argparse.Namespace) -> int:
    for path, record in kept(args.cache_dir):
        if record is not None:
            engine = Engine(record=record, plan=b"", path=path)
            print(_line(engine, "kept", args.json))
        elif args.json:
            print(json.dumps({"state": "foreign", "path": str(path), "bytes": path.stat().st_size}))
        else:
            print(f"foreign: not sealed by this device, or with a credential that is not here; never loaded  {path}")
    return 0


def _line(engine: Engine, state: str, as_json: bool) -> str:
    key = engine.record.key
    fields: dict[str, Any] = {
        "state": state,
        "model": key.model,
        "precision": key.precision,
        "pictures": str(key.profile),
        "gpu": str(key.gpu),
        "tensorrt": key.tensorrt,
        "took_s": round(engine.record.took_s, 1),
        "bytes": engine.path.stat().st_size,
        "path": str(engine.path),
    }
    if as_json:
        return json.dumps(fields)
    return (
        f"{state}: {key.model} in {key.precision}, {key.profile} pictures, for {key.gpu} with TensorRT {key.tensorrt},"
        f" {fields['bytes'] / 1e6:.1f} MB, took {fields['took_s']} s  {engine.path}"
    )


ACTIONS = {"build": _build, "list": _list}
