# SPDX-License-Identifier: Apache-2.0
"""The Go module gocv: it carries pictures with faces, and is here because the daemon is built from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

GO_MODULE = Path(__file__).resolve().parents[1] / "go-capture"


def gocv_images() -> Path:
    """The folder of its pictures.

    Raises:
        FileNotFoundError: go is not installed, or the module is not downloaded.
    """
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv"]
    folder = subprocess.run(command, cwd=GO_MODULE, capture_output=True, text=True, check=False).stdout.strip()
    if not folder:
        raise FileNotFoundError("the Go module gocv is not downloaded")
    return Path(folder) / "images"
