# SPDX-License-Identifier: Apache-2.0
"""Virtual machines with the product inside, shared by all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm import payload
from tests.vm.inside import CONFIG, INSIDE, retry
from tests.vm.lab import DEBIAN_12, DEBIAN_13, PC, PI, Board, Machine, missing_programs, pack

# Everything is slow without the host's help: small pictures, seldom, and patience before something counts as stuck.
OWN_SETTINGS = """
[device]
id = "test"
[detector]
input = [160, 128]
[worker]
lease_ms = 60000
"""
PATIENCE = {
    "visavis-capture.service": "WatchdogSec=60",
    "visavis-infer@.service": "WatchdogSec=900\nTimeoutStartSec=1800",
}


def running(board: Board, fill: Callable[[Path], None], folder: Path) -> Iterator[Machine]:
    """A machine that runs, with what `fill` writes mounted at /opt/visavis."""
    missing = missing_programs(board)
    assert not missing, f"the lab needs {', '.join(missing)}: run `make test-vm`, which installs them"
    content = folder / "content"
    content.mkdir()
    fill(content)
    pack(content, folder / "payload.img")
    with Machine(board, folder / "payload.img", folder) as machine:
        yield machine


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from running(PC, payload.fill_pc, tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from running(PI, payload.fill_pi, tmp_path_factory.mktemp("pi"))


@pytest.fixture(scope="session", params=[DEBIAN_12, DEBIAN_13], ids=lambda board: board.suite)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that knows nothing of visavis; its package and a newer one lie in /opt/visavis."""
    board: Board = request.param
    yield from running(board, lambda folder: payload.fill_plain(folder, board), tmp_path_factory.mktemp(board.suite))


@pytest.fixture(scope="session")
def device(plain: Machine) -> Machine:
    """A machine on which the package was just installed, with settings for a slow processor."""
    plain.run(f"dpkg -i {INSIDE}/0.1.0.deb", 900)
    plain.run(f"cat >/etc/visavis/conf.d/slow.toml <<'EOF'\n{OWN_SETTINGS}\nEOF")
    plain.run(f"sed -i 's/^size = .*/size = [640, 480]\\ndetect_fps = 1.0/' {CONFIG}")
    for unit, words in PATIENCE.items():
        folder = f"/etc/systemd/system/{unit}.d"
        plain.run(f"mkdir -p {folder} && printf '[Service]\n{words}\n' >{folder}/slow.conf")
    plain.run("systemctl daemon-reload")
    plain.run("systemctl restart visavis-capture 'visavis-infer@*'")
    plain.run(retry("curl -sf http://127.0.0.1:8080/readyz", 300, "journalctl -n 60 --no-pager"))
    return plain
