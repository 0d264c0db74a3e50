# SPDX-License-Identifier: Apache-2.0
"""`visavis model quantize`: the int8 form of a model for this machine's CPU, measured before it is believed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.cli.arguments import add_action, percent, size
from visavis.cli.calibration import add_pictures, of_camera
from visavis.scores import TOLD_LEAST
from visavis.settings import default_cache_dir

if TYPE_CHECKING:
    from visavis.detections import Frame
    from visavis.models.quantize import Made, Plan, Report

SUMMARY = "make a faster int8 form of a model, with pictures of yours"
DESCRIPTION = """Make the int8 form of a model for the CPU of this machine. It is calibrated on three quarters of the
pictures; on the rest, its faces are compared with those of fp32. It is kept only if it finds the same faces, but for
the share that --loss allows, and is at least 1.8 times as fast (1.2 where the processor has no instructions for int8).
Use it with `precision = "int8"` in [detector] of the configuration.

--from-camera takes pictures with a face from a camera of the running daemon; detection goes on meanwhile. They stay in
memory and are not written anywhere. You need the right to open the daemon's socket."""
EXAMPLE = """\
  visavis model quantize centerface --pictures photos/
  visavis model quantize centerface --from-camera door
  visavis model quantize yunet-n --input 320x256 --pictures photos/ clip.mp4 --loss 2 --json
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model quantize` takes."""
    parser = add_action(actions, "quantize", SUMMARY, EXAMPLE, DESCRIPTION)
    parser.add_argument("model", metavar="NAME|FILE.onnx", help="a model of `visavis model list`, or a file")
    parser.add_argument(
        "--input",
        type=size,
        default=(640, 480),
        metavar="WxH",
        help="input size, pixels: that of detector.input (default 640x480)",
    )
    add_pictures(parser, required=True)
    parser.add_argument(
        "--loss",
        type=percent,
        default=0.01,
        metavar="PERCENT",
        help="how many of the faces may differ from those of fp32, percent (default 1)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the model is kept; errors are told by `visavis model`."""
    from visavis.models.quantize import Plan, quantize  # noqa: PLC0415 (listing models needs no runtime)

    plan = Plan(model=args.model, size=args.input, loss=args.loss, cache_dir=default_cache_dir())
    with _bar() as report:
        frames = _of_files(args.pictures, plan) if args.pictures else _of_camera(args, plan, report)
        made = quantize(plan, frames, report)
    _say(made, args.json)
    return 0


def _of_files(pictures: list[Path], plan: Plan) -> list[Frame]:
    from visavis.engines.int8 import frames_of, spread  # noqa: PLC0415

    return spread(frames_of(pictures, plan.size))


def _of_camera(args: argparse.Namespace, plan: Plan, report: Report) -> list[Frame]:
    from visavis.bench.models import detector  # noqa: PLC0415
    from visavis.signals import stop_on_signals  # noqa: PLC0415

    finder = detector(plan.model, plan.size, score=TOLD_LEAST, cache_dir=plan.cache_dir)
    frames: list[Frame] = []
    with stop_on_signals() as stop:
        for frame in of_camera(args, finder, stop):
            frames.append(frame)
            report("looking", len(frames), args.count)
    return frames


def _say(made: Made, as_json: bool) -> None:
    record, measured = made.record, made.record.measured
    if as_json:
        fields = {"model": record.name, "precision": "int8", "path": str(made.path), "loss": round(measured.loss, 4)}
        counts = {name: getattr(measured, name) for name in ("calibrated", "compared", "faces", "different")}
        print(json.dumps({**fields, "speed": round(measured.speed, 2), **counts}))
        return
    print(f"{record.name}  int8  {made.path}")
    print(f"{measured.speed:.2f} times as fast as fp32; {measured.different} of {measured.faces} faces differ")
    print(f'\n[detector]\nmodel = "{record.name}"\ninput = [{record.width}, {record.height}]\nprecision = "int8"')


@contextmanager
def _bar() -> Iterator[Report]:
    """A progress bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm  # noqa: PLC0415

    with tqdm(unit="picture", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def show(what: str, done: int, of: int) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total, bar.n = of, done
            bar.refresh()

        yield show
