# SPDX-License-Identifier: Apache-2.0
"""`visavis model bench`: how fast each model is on this machine, what it needs, what it finds, and which to take."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from visavis.cli.arguments import add_action, amount, count, file_path, size
from visavis.models import manifest
from visavis.settings import default_cache_dir
from visavis.terminal import complain

if TYPE_CHECKING:
    from visavis.bench.models import Row

SUMMARY = "measure models on this machine and recommend one"
DESCRIPTION = """Measure every model, or those named, at each input size, precision and number of threads: on the
processor of this machine, not on its GPU. int8 is measured where `visavis model quantize` made it for that size. The
models take turns, and each time is a median; any other load on the machine makes all of them longer. With --labels,
recall is the share of the marked faces that a model finds; without, the recommendation goes by the order of
`visavis model list`. `model = "auto"` in [detector] of a configuration stands for the model recommended last, with its
input, threads and precision where they are not set. visavis reads that when it starts."""
EXAMPLE = """\
  visavis model bench
  visavis model bench yunet-n centerface --input 640x480 --threads 1 2 --fps 30
  visavis model bench centerface --precision int8
  visavis model bench --labels faces/training.xml --json
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model bench` takes."""
    parser = add_action(actions, "bench", SUMMARY, EXAMPLE, DESCRIPTION)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("model", nargs="*", metavar="NAME|FILE.onnx", help="default: every model on this machine")
    parser.add_argument(
        "--input",
        type=size,
        nargs="+",
        default=[(320, 256), (640, 480)],
        metavar="WxH",
        help="input sizes, pixels (default 320x256 640x480)",
    )
    parser.add_argument(
        "--threads",
        type=count,
        nargs="+",
        default=sorted({1, cores}),
        metavar="N",
        help="numbers of threads (default: 1, and one for each core)",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("fp32", "int8"),
        default=[],
        help="number formats (default: fp32, and int8 where it was made)",
    )
    parser.add_argument("--rounds", type=count, default=20, metavar="N", help="frames for each median (default 20)")
    parser.add_argument(
        "--fps", type=amount, default=15.0, help="frames a second that the recommended model must reach (default 15)"
    )
    parser.add_argument(
        "--labels",
        type=file_path,
        metavar="FILE.xml",
        help="faces marked with dlib's imglab, without those crossed out; the pictures lie beside it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0; errors are told by `visavis model`."""
    from visavis.bench.models import Plan, measured, recommended  # noqa: PLC0415
    from visavis.models.labels import read_labels  # noqa: PLC0415

    plan = Plan(
        models=_named(args.model) or manifest.at_hand(),
        precisions=args.precision,
        sizes=args.input,
        threads=args.threads,
        rounds=args.rounds,
        labelled=read_labels(args.labels) if args.labels else [],
    )
    rows: list[Row] = []
    if not args.json:
        heads = f"{'model':<20}{'precision':>10}{'input':>10}{'threads':>9}{'ms':>9}{'fps':>8}{'MiB':>7}{'recall':>8}"
        print(heads)
    for row in measured(plan):
        rows.append(row)
        print(json.dumps(row.fields()) if args.json else _line(row), flush=True)
    best = recommended(rows, args.fps)
    if best is not None and not best.model.endswith(".onnx"):  # a configuration takes names only
        _remember(best)
    _advise(best, args.fps, args.json)
    return 0


def _named(models: list[str]) -> list[str]:
    """Each of them once; "auto" is the model that it stands for, or what is recommended next would be "auto" itself."""
    from visavis.models.auto import AUTO, recommended_model  # noqa: PLC0415

    return list(dict.fromkeys(recommended_model(default_cache_dir()) if one == AUTO else one for one in models))


def _remember(row: Row) -> None:
    """For `model = "auto"`."""
    from visavis.models.auto import Recommendation, remember, this_machine  # noqa: PLC0415

    found = Recommendation(
        model=row.model,
        precision=row.precision,
        input=row.size,
        threads=row.threads,
        fps=round(1000 / row.ms, 1),
        here=this_machine(),
    )
    folder = default_cache_dir()
    try:
        remember(found, folder)
    except OSError as error:
        complain(f'model "auto" will not know this, {folder} cannot be written, {error.strerror}')


def _line(row: Row) -> str:
    width, height = row.size
    recall = "-" if row.recall is None else f"{row.recall:.2f}"
    figures = f"{row.ms:>9.1f}{1000 / row.ms:>8.1f}{row.memory_mib:>7.0f}{recall:>8}"
    return f"{row.model:<20}{row.precision:>10}{f'{width}x{height}':>10}{row.threads:>9}{figures}"


def _advise(row: Row | None, fps: float, as_json: bool) -> None:
    if row is None:
        print(f"no model reaches {fps:g} frames a second here", file=sys.stderr)
    elif as_json:
        print(json.dumps({"recommended": row.fields()}))
    else:
        width, height = row.size
        also = "" if row.model.endswith(".onnx") else ', and what model = "auto" takes when visavis is started next'
        print(f"\nrecommended here{also}:\n\n[detector]")
        print(f'model = "{row.model}"\ninput = [{width}, {height}]\nthreads = {row.threads}')
        if row.precision != "fp32":
            print(f'precision = "{row.precision}"')
