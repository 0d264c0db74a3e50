# SPDX-License-Identifier: Apache-2.0
"""`visavis model list`: the models known by name, which of them are on this machine, and their int8 forms."""

from __future__ import annotations

import argparse
import json
from typing import Any

from visavis.cli.arguments import add_action
from visavis.families import FAMILIES
from visavis.models import manifest, quantized
from visavis.models.manifest import Entry
from visavis.settings import default_cache_dir

SUMMARY = "list the models known by name"
DESCRIPTION = """List the models known by name: what each finds, size of the file, licence, and whether it is on this
machine. Below a model stand the int8 forms that `visavis model quantize` made of it: input size, how many times as fast
as fp32, and the processor: workers load an int8 form only on the processor model that it was made on."""
EXAMPLE = """\
  visavis model list
  visavis model list --json | jq -r 'select(.here) | .model'
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model list` takes."""
    parser = add_action(actions, "list", SUMMARY, EXAMPLE, DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0."""
    here = manifest.at_hand()
    int8 = quantized.all_kept(default_cache_dir())
    models = manifest.known()
    for name, entry in models.items():
        forms = quantized.kept_of(name, entry, int8)
        _say(args, _fields(name, entry, here=name in here) | {"int8": [_int8(one) for one in forms]})
        int8 = [one for one in int8 if one not in forms]
    for one in int8:
        _say(args, {"model": one.name, "here": False, "source": "a file of one's own", "int8": [_int8(one)]})
    return 0


def _fields(name: str, entry: Entry, *, here: bool) -> dict[str, Any]:
    return {
        "model": name,
        "family": entry.family,
        "licence": entry.licence,
        "bytes": entry.bytes,
        "landmarks": FAMILIES[entry.family].landmarks,
        "here": here,
        "source": entry.url or (f"package {entry.package}" if entry.package else "imported"),
    }


def _int8(kept: quantized.Kept) -> dict[str, Any]:
    told: dict[str, Any] = {"path": str(kept.path), "bytes": kept.bytes}
    if kept.record is None:
        return told | {"input": None, "runs_on": None, "speed": None}
    speed = round(kept.record.measured.speed, 2)
    return told | {"input": list(kept.record.size), "runs_on": kept.record.runs_on, "speed": speed}


def _say(args: argparse.Namespace, fields: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(fields))
        return
    print(_line(fields) if "family" in fields else f"{fields['model']:<19} {fields['source']}")
    for form in fields["int8"]:
        print(_int8_line(form))


def _line(fields: dict[str, Any]) -> str:
    state = "here" if fields["here"] else f"visavis model pull {fields['model']}" if "://" in fields["source"] else "-"
    size = f"{fields['bytes'] / 2**20:.1f} MiB"
    landmarks = "landmarks" if fields["landmarks"] else "boxes"
    return f"{fields['model']:<19} {landmarks:<10} {size:>8}  {fields['licence']:<11} {state}"


def _int8_line(fields: dict[str, Any]) -> str:
    size = f"{fields['bytes'] / 2**20:.1f} MiB"
    if fields["input"] is None:
        return f"  int8              {'?':<10} {size:>8}  no record of its own: {fields['path']}"
    width, height = fields["input"]
    gain = f"{fields['speed']:.2f} times"
    where = fields["runs_on"] if fields["runs_on"] == "here" else f"for {fields['runs_on']}"
    return f"  {'int8':<17} {f'{width}x{height}':<10} {size:>8}  {gain:<11} {where}"
