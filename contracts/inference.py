# SPDX-License-Identifier: Apache-2.0
"""Writes the Go code of contracts/open_inference.proto; with --check, exits 1 if the committed code is another.

Apart from generate.py, which works without building: protoc comes with grpcio-tools, its plugin with Go's protobuf.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = "visavis/capture"
GENERATED = ROOT / "go-capture" / "internal" / "openinference" / "wire" / "open_inference_gen.go"
PLUGIN = "google.golang.org/protobuf/cmd/protoc-gen-go"


def generated() -> str:
    """The Go code of the messages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plugin = folder / "protoc-gen-go"
        subprocess.run(["go", "build", "-o", str(plugin), PLUGIN], cwd=ROOT / "go-capture", check=True)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--plugin={plugin}", "-Icontracts", f"--go_out={folder}"]
        subprocess.run([*command, f"--go_opt=module={MODULE}", "open_inference.proto"], cwd=ROOT, check=True)
        return (folder / GENERATED.relative_to(ROOT / "go-capture")).with_name("open_inference.pb.go").read_text()


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit status."""
    text = generated()
    if "--check" not in arguments:
        GENERATED.parent.mkdir(parents=True, exist_ok=True)
        GENERATED.write_text(text)
        return 0
    if not GENERATED.exists() or GENERATED.read_text() != text:
        print(f"{GENERATED.relative_to(ROOT)} is stale: python contracts/inference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
