# SPDX-License-Identifier: Apache-2.0
"""The programs beside the product that make, pages and docstrings name start: each finds what it imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.repo.test_laws import ROOT, tracked

# `python -m tests.bench.wall`, `$(PYTHON) tests/bench/run.py`.
MODULE = re.compile(r"(?:python|\$\(PYTHON\)) -m ((?:tests|deb|containers)\.[\w.]*\w)")
SCRIPT = re.compile(r"(?:python|\$\(PYTHON\)) ((?:tests|contracts)/[\w/]+\.py)")
NAMED = "\n".join(path.read_text() for path in tracked("Makefile", "*.md", "*.py", "*.sh", ".ci/run"))


@pytest.mark.parametrize("name", sorted({*MODULE.findall(NAMED), *SCRIPT.findall(NAMED)}))
def test_it_finds_what_it_imports(name: str) -> None:
    started = f"runpy.run_path({name!r})" if name.endswith(".py") else f"importlib.import_module({name!r})"
    # What pytest puts on its own path, nobody has who types the command.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", f"import importlib, runpy; {started}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
