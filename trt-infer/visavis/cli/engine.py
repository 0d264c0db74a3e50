# SPDX-License-Identifier: Apache-2.0
"""Build and list TensorRT engines: what a model becomes on this machine's GPU.

An engine belongs to one model, size, precision, GPU and TensorRT version. It is sealed with a secret of this device and
is built again when anything of that changes. `visavis run` builds a missing one by itself, in the background.
Exit 1 when there is no TensorRT or GPU here, or the model cannot be built: the reason is on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from visavis.cli.arguments import count, size
from visavis.daemon import effective_config
from visavis.engines.builder import stopped
from visavis.engines.cache import Engine, Here, Wanted, engine_for, find, kept
from visavis.engines.first_build import build_note, wants_engine
from visavis.engines.note import EngineNote, Progress, note_path
from visavis.errors import VisavisError
from visavis.parent import die_with_parent
from visavis.settings import DetectorSettings
from visavis.signals import ended_anyway, stop_on_signals
from visavis.terminal import complain

EXAMPLE = (
    "  visavis engine build\n"
    "  visavis engine build centerface --input 640x480 --precision fp16 --batch 4\n"
    "  visavis engine build --config /etc/visavis/config.toml\n"
    "  visavis engine build --precision int8 --pictures /var/lib/visavis/snapshots\n"
    "  visavis engine list --json"
)
DEFAULTS = DetectorSettings()
WORKSPACE_MIB = 512
BAR = "{desc:<32} {percentage:3.0f} %|{bar}| {elapsed}"
LINE_EVERY_S = 5.0
# How long a build that was told to stop may take; TensorRT 8 cannot be told.
STOP_LIMIT_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis engine` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build what is missing", description="Build what is missing.")
    build.add_argument("model", nargs="?", metavar="NAME|FILE.onnx", help=f"default: {DEFAULTS.model}")
    where = build.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, metavar="FILE", help="take what is not said here from a configuration")
    where.add_argument(
        "--for-workers", type=Path, metavar="FILE", help="the same for a service: nothing where no worker looks for one"
    )
    build.add_argument("--input", type=size, metavar="WxH", help="default: 640x480")
    build.add_argument("--precision", choices=("auto", "fp32", "fp16", "int8"), help="auto, the default, is fp16")
    build.add_argument("--batch", type=count, metavar="N", help="most pictures at once (default: 1)")
    build.add_argument("--workspace-mib", type=count, default=WORKSPACE_MIB, metavar="N", help="default: %(default)s")
    build.add_argument("--pictures", type=Path, nargs="+", default=[], metavar="PATH", help="to calibrate int8 on")
    build.add_argument("--note", type=Path, metavar="FILE", help="tell the daemon here how far it is")
    build.add_argument("--die-with-parent", type=int, metavar="PID", help="end when process PID, our parent, ends")
    listing = actions.add_parser("list", help="every engine here", description="List every engine here.")
    for action in (build, listing):
        action.add_argument("--cache-dir", type=Path, default=DEFAULTS.cache_dir, metavar="DIR", help="where they are")
        action.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the engine is there, 1 when it cannot be."""
    try:
        return ACTIONS[args.action](args)
    except VisavisError as error:
        if args.json:
            print(json.dumps({"error": str(error)}))
        else:
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
    # The door to TensorRT; takes long to import where it exists.
    from visavis.backends import tensorrt  # noqa: PLC0415

    trt, cuda = tensorrt.modules()
    here = Here(trt=trt, gpu=tensorrt.gpu_here(cuda), cache_dir=args.cache_dir)
    settings = _settings(args)
    wanted = replace(tensorrt.wanted_engine(settings), workspace_mib=args.workspace_mib, pictures=args.pictures)
    engine = find(wanted, here)
    state = "built" if engine is None else "kept"
    # A bar of our own would run through what our parent shows.
    draw = sys.stderr.isatty() and args.die_with_parent is None
    told = settings.engine_note
    note = EngineNote(told, wanted.prepared.name, wanted.precision) if told else None
    print(_line(engine or _built(wanted, here, note, draw=draw), state, args.json), flush=True)
    return 0


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


def _built(wanted: Wanted, here: Here, note: EngineNote | None, *, draw: bool) -> Engine:
    with stop_on_signals() as stop:
        shown = Bar(stop) if draw else Lines(stop)

        def last() -> int:
            """Engines are written as a whole, at the end, and the lock ends with us: the note is all there is."""
            if note is not None:
                note.clear()
            shown.close()
            complain(str(stopped(wanted.prepared.name)))
            return 1

        try:
            with ended_anyway(stop, STOP_LIMIT_S, last), Progress(note, shown) as report:
                return engine_for(wanted, here, report)
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
            print(f"foreign: not sealed by this device, never loaded  {path}")
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
