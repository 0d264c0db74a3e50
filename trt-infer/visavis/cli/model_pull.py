# SPDX-License-Identifier: Apache-2.0
"""`visavis model pull`: fetch originals from their authors, a mirror or a stick."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.cli.arguments import add_action, named
from visavis.errors import VisavisError
from visavis.models import manifest
from visavis.terminal import complain

if TYPE_CHECKING:
    from visavis.models.pull import Progress

SUMMARY = "download models from their authors, a mirror or a USB stick"
DESCRIPTION = """Download the original files of models. An interrupted download continues where it stopped. A file that
is here already is not downloaded again. A file is kept only if its checksum is the known one."""
EXAMPLE = """\
  visavis model pull yunet-n
  visavis model pull --all
  visavis model pull yunet-n --from /media/stick/yunet_n_dynamic.onnx      without a network
  visavis model pull yunet-n --from https://mirror.example/yunet.onnx --json
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model pull` takes."""
    parser = add_action(actions, "pull", SUMMARY, EXAMPLE, DESCRIPTION)
    parser.add_argument("model", nargs="*", metavar="NAME", help="a model of `visavis model list`")
    parser.add_argument("--all", action="store_true", help="every model that can be downloaded")
    parser.add_argument(
        "--from", dest="source", type=named, metavar="FILE|URL", help="take the file from here, not from its authors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when every model is here, 1 when one could not be fetched, 2 for wrong use."""
    models = [name for name, entry in manifest.entries().items() if entry.url] if args.all else args.model
    if not models or (args.source and len(models) > 1):
        complain("name one model for --from" if models else "name a model, or use --all; `visavis model list` has them")
        return 2
    return 1 if sum(not _fetched(model, args) for model in models) else 0


def _fetched(model: str, args: argparse.Namespace) -> bool:
    # A web client takes 40 ms to import: other model commands do not pay for it.
    from visavis.models.pull import pull  # noqa: PLC0415

    try:
        with _bar(model) as progress:
            path = pull(model, source=args.source or "", progress=progress)
    except VisavisError as error:
        if args.json:
            print(json.dumps({"model": model, "error": str(error)}))
        else:
            complain(str(error))
        return False
    _say(model, path, args.json)
    return True


def _say(model: str, path: Path, as_json: bool) -> None:
    fields = {"model": model, "path": str(path), "bytes": path.stat().st_size}
    print(json.dumps(fields) if as_json else f"{model}  {path}")


@contextmanager
def _bar(model: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm  # noqa: PLC0415

    look: dict[str, Any] = {"desc": model, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with tqdm(**look, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def show(so_far: int, in_all: int) -> None:
            bar.total = in_all
            bar.update(so_far - bar.n)

        yield show
