# SPDX-License-Identifier: Apache-2.0
"""Writes everything that contracts/ defines; with --check, names what is stale or was edited by hand.

    python contracts/generate.py            write
    python contracts/generate.py --check    exit 1 and one line for each file that differs

Each gen_*.py beside this file offers `outputs(root) -> dict[Path, str | bytes]`. Go goes through gofmt and Python
through ruff, so that generated files pass the same checks as written ones.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where generated files are, and what stands at their head.
GENERATED = {
    "go-capture": "internal/*/*_gen.go",
    "trt-infer": "visavis/**/*_gen.py",
    "docs/reference": "*.md",
    "systemd": "*",
}
MARK, HEAD_BYTES = b"by contracts/generate.py", 200


class GenerateError(Exception):
    """A generator or a formatter failed; the text names it and the remedy."""


def main(argv: list[str]) -> int:
    """Write or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file is stale")
    arguments = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    try:
        files = {path: formatted(path, content) for path, content in outputs().items()}
    except (GenerateError, ValueError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    return check(files) if arguments.check else write(files)


def outputs() -> dict[Path, str | bytes]:
    """The files of every generator, unformatted."""
    made: dict[Path, str | bytes] = {}
    for file in sorted((ROOT / "contracts").glob("gen_*.py")):
        made |= importlib.import_module(f"contracts.{file.stem}").outputs(ROOT)
    return made


def formatted(path: Path, content: str | bytes) -> bytes:
    """The bytes of one file as its language's formatter leaves them."""
    if isinstance(content, bytes):
        return content
    if path.suffix == ".go":
        return _piped(["gofmt"], path, content)
    if path.suffix == ".py":
        return _piped([sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"], path, content)
    return content.encode()


def _piped(command: list[str], path: Path, content: str) -> bytes:
    try:
        done = subprocess.run(command, input=content.encode(), capture_output=True, check=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise GenerateError(f"{command[0]} formats {path.name} but is not installed: `make setup-test`") from error
    except subprocess.CalledProcessError as error:
        raise GenerateError(f"{command[0]} rejects {path.name}: {error.stderr.decode().strip()}") from error
    return done.stdout


def write(files: dict[Path, bytes]) -> int:
    """Write the files that differ."""
    for path, content in stale(files).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def check(files: dict[Path, bytes]) -> int:
    """Name the files that differ, and those that nothing makes any more."""
    wrong = [*stale(files), *orphans(set(files))]
    for path in wrong:
        print(f"{path.relative_to(ROOT)}: stale or edited by hand: change contracts/, then `make gen`", file=sys.stderr)
    return 1 if wrong else 0


def orphans(made: set[Path]) -> list[Path]:
    """What says that it is generated, by this program, and is not; and vectors that nothing defines."""
    places = [path for folder, names in GENERATED.items() for path in (ROOT / folder).glob(names) if path.is_file()]
    said = [path for path in places if MARK in path.read_bytes()[:HEAD_BYTES]]
    vectors = (ROOT / "contracts" / "vectors").glob("*")
    return sorted({*said, *vectors} - made)


def stale(files: dict[Path, bytes]) -> dict[Path, bytes]:
    """The files that are missing or hold something else."""
    return {path: content for path, content in files.items() if not path.exists() or path.read_bytes() != content}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
