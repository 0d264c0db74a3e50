# SPDX-License-Identifier: Apache-2.0
"""Virtual machines with the product inside, shared by all tests here."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deb.kept import REPOSITORY, one_at_a_time
from deb.packing import git
from tests.vm import payload
from tests.vm.container import contained
from tests.vm.device_page import Row, head_of, page_of, rows_of
from tests.vm.inside import CONFIG, INSIDE, UNITS, be_patient, retry
from tests.vm.lab import DEBIAN_12, DEBIAN_13, PC, PI, UBUNTU_22, UBUNTU_24, Machine, running
from tests.vm.releases import made_factory
from tests.vm.two_slots import Factory

# Everything is slow without the host's help: small pictures, and seldom.
OWN_SETTINGS = """
[device]
id = "test"
[detector]
input = [160, 128]
[worker]
lease_ms = 60000
"""
# What an owner writes into the package's own file.
SLOW_DEMO = """
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
detect_fps = 1.0
"""
# An emulated processor is slow on a host that has other work: this long until a command counts as stuck.
PATIENT_S = 2400


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from running(PC, payload.fill_pc, tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from running(PI, payload.fill_pi, tmp_path_factory.mktemp("pi"))


# Where packages are installed: machines with a kernel of their own, and systems in systemd-nspawn, which take a tenth
# of the time. Of Ubuntu only those, because the kernel of a Jetson is NVIDIA's.
PLAIN = [
    pytest.param((DEBIAN_13, contained), id="trixie"),
    pytest.param((DEBIAN_13, running), id="trixie-machine", marks=pytest.mark.vm_long),
    pytest.param((DEBIAN_12, running), id="bookworm", marks=pytest.mark.vm_long),
    pytest.param((UBUNTU_22, contained), id="jammy", marks=pytest.mark.vm_long),
    pytest.param((UBUNTU_24, contained), id="noble", marks=pytest.mark.vm_long),
]


@pytest.fixture(scope="session", params=PLAIN)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A system that knows nothing of visavis; its package and a newer one lie in /opt/visavis."""
    board, run = request.param
    yield from run(board, lambda folder: payload.fill_plain(folder, board), tmp_path_factory.mktemp(board.suite))


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """What devices with two slots are flashed with and updated to."""
    folder = tmp_path_factory.mktemp("factory")
    yield made_factory(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def device(plain: Machine) -> Machine:
    """A machine on which the package was just installed."""
    return installed(plain, "dpkg -i")


@pytest.fixture(scope="module")
def pi_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The same with the processor and the pages of a Raspberry Pi 5, by apt, which finds there what it needs."""
    folder = tmp_path_factory.mktemp("pi-device")
    for machine in running(PI, lambda content: payload.fill_plain(content, PI), folder):
        yield installed(machine, "apt-get install -y -q --no-install-recommends")


def installed(plain: Machine, by: str) -> Machine:
    """Install the package, see that it runs as it comes, give it settings for a slow processor, and wait for it."""
    be_patient(plain)
    plain.run(f"{by} {INSIDE}/0.1.0.deb", PATIENT_S)
    # Asked for several units at once, systemctl is content with one.
    active = (f"systemctl is-active -q {unit}" for unit in UNITS)
    runs = " && ".join(("curl -sf http://127.0.0.1:8080/healthz", *active))
    plain.run(retry(runs, 900, "journalctl -n 60 --no-pager"), PATIENT_S)
    plain.run(f"cat >/etc/visavis/conf.d/slow.toml <<'EOF'\n{OWN_SETTINGS}\nEOF")
    plain.run(f"cat >>{CONFIG} <<'EOF'\n{SLOW_DEMO}\nEOF")
    plain.run("systemctl restart visavis-capture 'visavis-infer@*'")
    plain.run(retry("curl -sf http://127.0.0.1:8080/readyz", 900, "journalctl -n 60 --no-pager"), PATIENT_S)
    return plain


# A path from the repository: `make test-vm` names docs/reference/device.md, and a run by hand names none.
PAGE = os.environ.get("VISAVIS_DEVICE_PAGE", "")


def commit_here() -> str:
    """The one that is checked out, -dirty when anything but the page itself has changed since: a run writes that."""
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE}")
    return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(changed)


# Of the start: later there are this run's own rows too.
COMMIT = commit_here() if PAGE else ""
RAN: dict[str, list[pytest.TestReport]] = {}
MACHINES: dict[str, str] = {}


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a figure: it is printed, and stands on the page of what was run."""

    def say(words: str) -> None:
        print(words)
        record_property("measured", words)

    return say


# Two files at a time end sooner when the longest begin first.
LONGEST = ("test_update.py", "test_image.py", "test_package.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    strangers = [item for item in items if is_out_of_place(item)]
    config.hook.pytest_deselected(items=strangers)
    items[:] = sorted((item for item in items if item not in strangers), key=turn)


def turn(item: pytest.Item) -> int:
    """Whose file begins earlier; tests elsewhere keep their order."""
    ours = item.path.parent == Path(__file__).parent and item.path.name in LONGEST
    return LONGEST.index(item.path.name) if ours else len(LONGEST)


def is_out_of_place(item: pytest.Item) -> bool:
    """Whether a test asks a kernel for what only one of its own gives, and would be run on this host's."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    plain = parameters.get("plain")
    inside_this_host = isinstance(plain, tuple) and plain[1] is contained
    return inside_this_host and item.get_closest_marker("own_kernel") is not None


def pytest_runtest_teardown(item: pytest.Function) -> None:
    """Remember where a test ran while its fixtures are known."""
    # A fixture and the one that it stands on may be the same machine.
    names = dict.fromkeys(map(named, machines_of(item)))
    MACHINES[item.nodeid] = ", ".join(names) or f"this host, {platform.machine()}"


def machines_of(item: pytest.Function) -> list[Machine]:
    """The machines of a test, alone or in something that has several."""
    some = [value.machines.values() if hasattr(value, "machines") else [value] for value in item.funcargs.values()]
    return [one for several in some for one in several if isinstance(one, Machine)]


SYSTEMS = {"bookworm": "Debian 12", "trixie": "Debian 13", "jammy": "Ubuntu 22.04", "noble": "Ubuntu 24.04"}


def named(machine: Machine) -> str:
    return f"{SYSTEMS[machine.board.suite]} {machine.board.architecture}{machine.kind}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a test's row onto the page, if one is named, when it has ended: a run of hours may be broken off."""
    parts = RAN.setdefault(report.nodeid, [])
    parts.append(report)
    # Of the processes that hear of it, the one in which it ran.
    if PAGE and report.when == "teardown" and "/vm/test_" in report.nodeid and report.nodeid in MACHINES:
        write(row_of(report.nodeid, parts, f"{time.strftime('%Y-%m-%d')}, {COMMIT}"))


@one_at_a_time("page")
def write(row: Row) -> None:
    page = REPOSITORY / PAGE
    before = page.read_text()
    page.write_text(page_of(head_of(before), rows_of(before) | {(row.file, row.name): row}))


def row_of(nodeid: str, parts: list[pytest.TestReport], when: str) -> Row:
    file, _, name = nodeid.partition("::")
    outcomes = [part.outcome for part in parts]
    result = next((word for word in ("failed", "skipped") if word in outcomes), "passed")
    said = [str(words) for key, words in parts[-1].user_properties if key == "measured"]
    seconds = sum(part.duration for part in parts)
    return Row(Path(file).name, name, MACHINES.get(nodeid, ""), result, seconds, when, "; ".join(said))
