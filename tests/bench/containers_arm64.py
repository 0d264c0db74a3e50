# SPDX-License-Identifier: Apache-2.0
"""What the images for arm64 weigh: `python -m tests.bench.containers_arm64 [TARGET...]` makes them and writes it down.

Their part is the last of docs/reference/containers.md, and `make bench-containers` leaves it as it is. Images that are
not named keep their rows. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from containers.build import TARGETS, archive
from tests.bench.containers import ARM64, PAGE, SIZE_MOST_MB, parts, sizes, verdict
from tests.bench.page import Bar, table


def main(targets: Sequence[str]) -> int:
    """Build, weigh and write; returns the exit status."""
    weighed = {name: unpacked_mb(archive(name, "arm64")) for name in targets}
    others, written = parts(PAGE.read_text())
    known = rows(written) | weighed
    bars = [Bar(f"visavis-{name}", known[name], SIZE_MOST_MB, "MB") for name in TARGETS if name in known]
    PAGE.write_text(others + part(bars))
    return verdict(bars)


def rows(written: str) -> dict[str, float]:
    """The sizes in this part of the page, MB, by target."""
    return {name: float(size) for name, size in re.findall(r"^\| `visavis-(\S+)` \| (\d+) MB ", written, re.MULTILINE)}


def unpacked_mb(image: Path) -> float:
    """What its layers take on the disk, 10^6 bytes, of an archive for `docker load`."""
    with tarfile.open(image) as archived:
        (described,) = json.load(member(archived, "manifest.json"))
        return sum(files_bytes(member(archived, layer)) for layer in described["Layers"]) / 1e6


def member(archived: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of an archive."""
    return cast("IO[bytes]", archived.extractfile(name))


def files_bytes(layer: IO[bytes]) -> int:
    """How much the files of a layer hold."""
    with tarfile.open(fileobj=layer) as files:
        return sum(file.size for file in files)


def part(bars: Sequence[Bar]) -> str:
    """The part of the page."""
    lines = [
        "",
        "As the last run of `python -m tests.bench.containers_arm64` found each, counted as above. They were made on",
        "another processor; how long they take to start was not measured, because an emulator cannot tell.",
        "",
        *table(["image", "size", "bar"], sizes(bars)),
    ]
    return ARM64 + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or TARGETS))
