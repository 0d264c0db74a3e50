# SPDX-License-Identifier: Apache-2.0
"""What `make fuzz` does: each fuzz target for FUZZ_SECONDS (10), with a line for each; exit 1 when one found something.

What a target finds is kept beside it in testdata/fuzz, where `go test` runs it from then on: commit it with the repair.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
GO = ROOT / "go-capture"
TAGS = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio"


class Target(NamedTuple):
    """One `func Fuzz…` and its package's folder below go-capture."""

    package: str
    name: str


def targets() -> list[Target]:
    """All targets in the tree, in a stable order."""
    found = []
    for path in sorted(GO.rglob("*_test.go")):
        names = re.findall(r"^func (Fuzz\w+)\(", path.read_text(), re.MULTILINE)
        found += [Target(str(path.parent.relative_to(GO)), name) for name in names]
    return sorted(found)


def fuzz(target: Target, seconds: int) -> tuple[bool, str]:
    """Run one target; the text is its last line of progress, or all that it says when it has found something."""
    command = ["go", "test", "-tags", TAGS, "-run", "^$", "-fuzz", f"^{target.name}$", "-fuzztime", f"{seconds}s"]
    done = subprocess.run([*command, f"./{target.package}"], cwd=GO, capture_output=True, text=True, check=False)
    progress = [line for line in done.stdout.splitlines() if "execs:" in line]
    if done.returncode == 0 and progress:
        return True, progress[-1].removeprefix("fuzz: ")
    return False, done.stdout + done.stderr


def main(wanted: list[str]) -> int:
    """Run the targets whose name, or package and name, hold one of the words; all without any."""
    seconds = int(os.environ.get("FUZZ_SECONDS", "10"))
    chosen = [one for one in targets() if not wanted or any(word in f"{one.package} {one.name}" for word in wanted)]
    bad = []
    for number, target in enumerate(chosen, 1):
        fine, said = fuzz(target, seconds)
        print(f"{number}/{len(chosen)} {target.package} {target.name}: {said}", flush=True)
        if not fine:
            bad.append(target.name)
    print(f"{len(chosen)} targets, {seconds} s each: {', '.join(bad) or 'nothing'} found")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
