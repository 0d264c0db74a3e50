# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

GO_MODULE = Path(__file__).resolve().parents[2] / "go-capture"


@pytest.fixture(scope="session")
def ringload_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The writer, built from the checkout, or as it was built for another machine."""
    if built := os.environ.get("VISAVIS_RINGLOAD"):
        return Path(built)
    assert shutil.which("go"), "Go is missing: run `make setup`"
    program = tmp_path_factory.mktemp("program") / "ringload"
    build = ["env", "CGO_ENABLED=0", "go", "build", "-o", str(program), "./internal/testprogram/ringload"]
    subprocess.run(build, cwd=GO_MODULE, check=True)
    return program


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "frames.sock"
