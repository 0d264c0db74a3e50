# SPDX-License-Identifier: Apache-2.0
"""List, download, import, prepare, quantise, verify, measure and export models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from visavis.cli import model_bench, model_export, model_import, model_list, model_pull, model_quantize
from visavis.cli.arguments import add_action, size
from visavis.errors import ModelError, VisavisError
from visavis.models import cache, manifest, quantized
from visavis.settings import default_cache_dir
from visavis.terminal import complain

EXAMPLE = """  visavis model list
  visavis model pull yunet-n
  visavis model prepare centerface --input 640x480
  visavis model verify --json
  visavis model export-triton centerface repository/
  visavis model bench"""
# Summary, example, description.
PREPARE = (
    "optimise models for one input size",
    "  visavis model prepare\n  visavis model prepare yunet-n --input 320x256",
    "Optimise models for one input size and keep the result. Without this, the first worker that needs it does so.",
)
VERIFY = (
    "check that the files of models are exactly what they should be",
    "  visavis model verify\n  visavis model verify centerface --json",
    "Check the original, the prepared file and the int8 forms of models, byte for byte. Exit 1 when one is not as it\n"
    "should be.",
)
USUAL_SIZE = (640, 480)
# Actions that have a module of their own.
OWN = {
    "list": model_list,
    "pull": model_pull,
    "import": model_import,
    "quantize": model_quantize,
    "bench": model_bench,
    "export-triton": model_export,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis model` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for module in OWN.values():
        module.add_to(actions)
    prepare = add_action(actions, "prepare", *PREPARE)
    prepare.add_argument(
        "--input", type=size, metavar="WxH", help="input size, pixels: that of detector.input (default 640x480)"
    )
    verify = add_action(actions, "verify", *VERIFY)
    verify.add_argument(
        "--input", type=size, metavar="WxH", help="check files for this size (default 640x480, and int8 of every size)"
    )
    for action in (prepare, verify):
        action.add_argument("model", nargs="*", metavar="NAME|FILE.onnx", help="default: every model on this machine")
        action.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when all went well, 1 otherwise; each failure has its own line and the others go on."""
    try:
        return OWN[args.action].run(args) if args.action in OWN else _each(args)
    except VisavisError as error:
        complain(str(error))
        return error.exit_code


def _each(args: argparse.Namespace) -> int:
    work = {"prepare": _preparations, "verify": _verifications}[args.action]
    failed = 0
    for model in args.model or manifest.at_hand():
        for task in work(model, args.input):
            try:
                _say(args, {"model": model, **task()})
            except VisavisError as error:
                failed += 1
                _fail(args, model, error)
    return 1 if failed else 0


# What is told of one file; raises what is wrong with it.
Task = Callable[[], dict[str, Any]]


def _preparations(model: str, size_px: tuple[int, int] | None) -> list[Task]:
    return [partial(_prepare, model, size_px or USUAL_SIZE)]


def _verifications(model: str, size_px: tuple[int, int] | None) -> list[Task]:
    """Of original and prepared file, then of each int8 form: of this size, or of every size."""
    int8 = [one for one in _kept_of(model) if one.record is None or size_px in (None, one.record.size)]
    return [partial(_verify, model, size_px or USUAL_SIZE), *(partial(_verify_int8, model, one) for one in int8)]


def _kept_of(model: str) -> list[quantized.Kept]:
    try:
        source = manifest.original(model)
    except ModelError:
        return []  # told by `_verify`
    return quantized.kept_of(source.name, source.entry, quantized.all_kept(default_cache_dir()))


def _prepare(model: str, size_px: tuple[int, int]) -> dict[str, Any]:
    prepared = cache.prepared_model(model, *size_px)
    if prepared.path is None:
        folder = default_cache_dir()
        raise ModelError(
            f"{model} is prepared but cannot be kept in {folder}", "set VISAVIS_CACHE_DIR to another folder"
        )
    return {"prepared": str(prepared), "bytes": len(prepared.content)}


def _verify(model: str, size_px: tuple[int, int]) -> dict[str, Any]:
    source = manifest.original(model)
    path = cache.cached_path(source, *size_px, default_cache_dir())
    try:
        kept = cache.verify(path, source.sha256)
    except OSError as error:
        raise ModelError(f"cannot read {path}, {error.strerror}") from error
    if kept is None:
        sized = "" if size_px == USUAL_SIZE else f" --input {size_px[0]}x{size_px[1]}"
        raise ModelError(f"{path} is missing or not what was written", f"visavis model prepare {model}{sized}")
    return {"original_sha256": source.sha256, "prepared": str(path), "bytes": len(kept[1])}


def _verify_int8(model: str, kept: quantized.Kept) -> dict[str, Any]:
    record = quantized.verify(kept, model)
    width, height = record.size
    fields = {"original_sha256": record.original_sha256, "quantized": str(kept.path), "bytes": kept.bytes}
    return {**fields, "precision": "int8", "input": f"{width}x{height}", "runs_on": record.runs_on}


def _say(args: argparse.Namespace, fields: dict[str, Any]) -> None:
    print(json.dumps(fields) if args.json else "  ".join(str(value) for value in fields.values()))


def _fail(args: argparse.Namespace, model: str, error: VisavisError) -> None:
    if args.json:
        print(json.dumps({"model": model, "error": str(error)}))
    else:
        complain(str(error))
