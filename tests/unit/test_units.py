# SPDX-License-Identifier: Apache-2.0
"""What can be seen of units and services without a running systemd; the rest is in tests/vm."""

from __future__ import annotations

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT, tracked

# Every unit that we ship. Avahi's services have such names too.
UNITS = [file for file in tracked("*.service") if "\n[Service]\n" in file.read_text()]
MOST_EXPOSED = {"visavis-capture.service": 2.0, "visavis-infer@.service": 1.0, "visavis-engine.service": 1.0}
OTHERS_MOST = 2.5
GPU = ROOT / "deb/tensorrt/gpu.conf"


def test_every_bar_is_one_of_a_unit_that_there_is() -> None:
    assert {file.name for file in UNITS} > set(MOST_EXPOSED)


@pytest.mark.usefixtures("systemd_judges_files")
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_the_sandboxes_are_tight(file: Path, tmp_path: Path) -> None:
    judge(file, tmp_path)


@pytest.mark.usefixtures("systemd_judges_files")
@pytest.mark.parametrize("name", ["visavis-infer@.service", "visavis-engine.service"])
def test_the_sandboxes_are_as_tight_with_a_gpu(name: str, tmp_path: Path) -> None:
    drop_in = tmp_path / f"{name}.d" / GPU.name
    drop_in.parent.mkdir()
    shutil.copyfile(GPU, drop_in)
    (file,) = (file for file in UNITS if file.name == name)
    assert "char-nvidia" in judge(file, tmp_path), "the drop-in was not read"


def test_a_worker_whose_gpu_hangs_at_its_start_leaves_a_trace() -> None:
    """Known to systemd since 246; Ubuntu 22.04, the oldest that we run on, has 249."""
    assert "\nTimeoutStartFailureMode=abort\n" in GPU.read_text()


def test_the_daemon_may_use_what_each_source_opens() -> None:
    """A node that is not named cannot be opened by the service, whatever its rights: libcamera needs its memory."""
    unit = (ROOT / "systemd/visavis-capture.service").read_text()
    rules = (ROOT / "systemd/udev/70-visavis.rules").read_text()
    for kind in ("video4linux", "media", "dma_heap"):
        assert f"\nDeviceAllow=char-{kind} rw\n" in unit
        assert f'\nSUBSYSTEM=="{kind}", GROUP="video", MODE="0660"\n' in rules


@pytest.mark.usefixtures("systemd_judges_files")
def test_a_jetsons_daemon_that_is_let_at_argus_is_as_tight(tmp_path: Path) -> None:
    (drop_in,) = re.findall(r"```ini\n(.*?)```", (ROOT / "docs/how-to/usb-camera.md").read_text(), re.DOTALL)
    folder = tmp_path / "visavis-capture.service.d"
    folder.mkdir()
    (folder / "override.conf").write_text(drop_in)
    for order in ("Wants", "After"):
        assert f"\n{order}=visavis-gpu.service\n" in drop_in, "the nodes of a GPU that sleeps would stay unknown"
    assert "char-host1x-fence" in judge(ROOT / "systemd/visavis-capture.service", tmp_path), "the drop-in was not read"


# What libcuda opens on an Orin of JetPack 6, with the kind of device that its driver registers: nvgpu and tegra_drm as
# their sources say, the nodes as snapd's rules for Tegra and traces of others have them. nvmap's kind is shared.
JETSONS_NODES = {
    "/dev/nvmap": "misc",
    "/dev/nvgpu/igpu0/power": "17000000.gpu",
    "/dev/nvgpu/igpu0/ctrl": "17000000.gpu",
    "/dev/nvgpu/igpu0/channel": "17000000.gpu",
    "/dev/nvhost-gpu": "17000000.gpu",
    "/dev/dri/renderD128": "drm",
    "/dev/host1x-fence": "host1x-fence",
}


@pytest.mark.parametrize("node", JETSONS_NODES)
def test_workers_may_open_what_cuda_opens_on_a_jetson(node: str) -> None:
    """As systemd has it: a name after char- is a pattern for /proc/devices, not for /dev."""
    opened = re.findall(r"^DeviceAllow=(\S+) rw$", GPU.read_text(), re.MULTILINE)
    kinds = [name.removeprefix("char-") for name in opened if name.startswith("char-")]
    assert node in opened or any(fnmatch(JETSONS_NODES[node], kind) for kind in kinds)


def test_a_jetsons_gpu_is_awake_before_workers_are_told_what_they_may_open() -> None:
    for order in ("Wants", "After"):
        (line,) = re.findall(rf"^{order}=(.*)$", GPU.read_text(), re.MULTILINE)
        assert "visavis-gpu.service" in line.split()


def bar_of(file: Path) -> float:
    """How exposed a unit may be at most."""
    return MOST_EXPOSED.get(file.name, OTHERS_MOST)


def instance_of(file: Path) -> str:
    """A name that systemd judges: a template has no score, an instance has."""
    return file.name.replace("@", "@1")


def judge(file: Path, folder: Path) -> str:
    """Hold what systemd says of a unit, with the drop-ins that lie in the folder, against its bar; returns it."""
    unit = folder / instance_of(file)
    shutil.copyfile(file, unit)
    exposed, said = exposure(unit)
    assert exposed <= bar_of(file), said
    return said


def exposure(unit: Path) -> tuple[float, str]:
    """How exposed systemd calls a unit, and all that it says of it. One that it refuses to load is a failure."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1]), done.stdout


@pytest.fixture(scope="module")
def systemd_judges_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before systemd 250 it asks one that runs."""
    good = tmp_path_factory.mktemp("units") / "good.service"
    good.write_text("[Service]\nExecStart=/bin/true\n")
    try:
        exposure(good)
    except (AssertionError, FileNotFoundError) as error:
        pytest.skip(f"systemd-analyze cannot judge a file here: {error}")
