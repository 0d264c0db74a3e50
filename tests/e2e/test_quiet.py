# SPDX-License-Identifier: Apache-2.0
"""Nothing leaves the device but what its configuration names, and no picture stays on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_appliance import DEMO
from tests.ports import free_port
from tests.repo.test_laws import ROOT

APART = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
# Each file that any of its processes opens, also one that is removed at once.
CALLS = "open,openat,openat2,creat"
TRACE = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-e", "signal=none", "-o"]
OPENED = re.compile(r'\d+ +(open|openat|openat2|creat)\(([^<"]*<(?P<folder>[^>]*)>, )?"(?P<path>[^"]*)", (?P<how>.*)')
TO_WRITE = re.compile("O_WRONLY|O_RDWR|O_CREAT|^0[0-7]+")
# None of it pictures: events and a position in them, topics, devices, its own notes, the broker's state in memory.
MAY_WRITE = (
    r"{place}/state/outbox/box/(position(\.new)?|\d+\.events)|{place}/state/history/box/\w+\.events"
    r"|{place}/state/topics/box\.json\.new|{place}/state/devices\.json\.new"
    r"|{place}/visavis-\w+/(owner\.lock\.new|mosquitto\.conf)"
    r"|{place}/[a-z0-9_]{{8}}"  # Python tries whether it can write there
    r"|/dev/shm/visavis-broker-\w+/+(owner\.lock\.new|mosquitto\.db\.new)"
    r"|/dev/null|/proc/self/coredump_filter|.*/models/([\w-]+\.lock|\.[\w-]+\.(json|onnx)\.[0-9a-f]{{8}})|.*/__pycache__/[^/]+\.pyc\.\d+"
)
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
    program = [sys.executable, "-m", "tests.e2e.quiet_program"]
    command = [*APART, *TRACE, str(place / "trace"), *program, str(place / "config.toml")]
    command += [f"http://127.0.0.1:{port}", "3"]
    said = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    (place / "asked").write_text(said.stdout)
    return place


@pytest.mark.slow
def test_the_appliance_asks_for_no_address_outside(folder: Path) -> None:
    assert json.loads((folder / "asked").read_text()) == []


def written(folder: Path) -> set[str]:
    """Where something was opened to be written."""
    found: set[str] = set()
    for line in (folder / "trace").read_text("utf-8", "replace").splitlines():
        opened = OPENED.match(line)
        if opened and TO_WRITE.search(opened["how"]):
            found.add(os.path.normpath(Path(opened["folder"] or "/", opened["path"])))
    return found


def test_no_picture_is_written_even_for_a_moment(folder: Path) -> None:
    """Not even where MQTT gets some."""
    may = re.compile(MAY_WRITE.format(place=re.escape(str(folder))))
    paths = written(folder)
    assert [path for path in paths if path.endswith(".events")], "nothing was seen of what it writes"
    assert sorted(path for path in paths if not may.fullmatch(path)) == []


def test_no_picture_reaches_the_disk(folder: Path) -> None:
    """Not even where MQTT gets some; the state is there all the same."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert [path for path in files if path.suffix == ".events"]
    assert [path for path, content in files.items() if JPEG in content or PNG in content] == []
    pictures = {path for path, content in files.items() if len(content) >= RAW_BYTES and content.strip(b"\0")}
    assert pictures <= {Path("trace")}
