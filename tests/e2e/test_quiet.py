# SPDX-License-Identifier: Apache-2.0
"""Nothing leaves the device but what its configuration names, and no picture stays on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_appliance import DEMO
from tests.ports import free_port
from tests.repo.test_laws import ROOT

APART = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"
# A thumbnail has 320 x 240 pixels at most, a picture of the demo has 640 x 480 of three bytes.
RAW_BYTES = 640 * 480


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that an appliance left on the disk, and `asked`, the addresses outside that it asked for.

    It ran in a network of its own, over faces that come and go, to the end, with page, broker and workers.
    """
    place = tmp_path_factory.mktemp("quiet")
    port = free_port()
    (place / "config.toml").write_text(DEMO.format(http_port=port) + "snapshots = true\n")
    own = {"VISAVIS_MQTT_PORT": str(free_port()), "VISAVIS_STATE_DIR": str(place / "state"), "TMPDIR": str(place)}
    command = [*APART, sys.executable, "-m", "tests.e2e.quiet_program", str(place / "config.toml")]
    command += [f"http://127.0.0.1:{port}", "3"]
    said = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    (place / "asked").write_text(said.stdout)
    return place


@pytest.mark.slow
def test_the_appliance_asks_for_no_address_outside(folder: Path) -> None:
    assert json.loads((folder / "asked").read_text()) == []


def test_no_picture_reaches_the_disk(folder: Path) -> None:
    """Not even where MQTT gets some; the state is there all the same."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert [path for path in files if path.suffix == ".events"]
    assert [path for path, content in files.items() if JPEG in content or PNG in content] == []
    assert [path for path, content in files.items() if len(content) >= RAW_BYTES and content.strip(b"\0")] == []
