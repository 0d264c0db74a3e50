# SPDX-License-Identifier: Apache-2.0
"""`visavis model list`: the models known by name, and which of them are on this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any

from visavis.families import FAMILIES
from visavis.models import manifest

SUMMARY = "the models known by name"
EXAMPLE = """examples:
  visavis model list
  visavis model list --json | jq -r 'select(.here) | .model'
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model list` takes."""
    parser = actions.add_parser(
        "list",
        help=SUMMARY,
        description="List the models known by name: family, size, licence, and whether each is on this machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0."""
    here = manifest.at_hand()
    for name, entry in manifest.known().items():
        fields = {
            "model": name,
            "family": entry.family,
            "licence": entry.licence,
            "bytes": entry.bytes,
            "landmarks": FAMILIES[entry.family].landmarks,
            "here": name in here,
            "source": entry.url or (f"package {entry.package}" if entry.package else "imported"),
        }
        print(json.dumps(fields) if args.json else _line(fields))
    return 0


def _line(fields: dict[str, Any]) -> str:
    state = "here" if fields["here"] else f"visavis model pull {fields['model']}" if "://" in fields["source"] else "-"
    size = f"{fields['bytes'] / 2**20:.1f} MiB"
    landmarks = "landmarks" if fields["landmarks"] else "boxes"
    return f"{fields['model']:<19} {landmarks:<10} {size:>8}  {fields['licence']:<11} {state}"
