# SPDX-License-Identifier: Apache-2.0
"""Flashing a Jetson, on a tree that looks like NVIDIA's: stand-ins for its tools write down how they were called."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from image import jetson
from image.jetson import JetsonError, Order

ROOT = Path(__file__).resolve().parents[2]
NOTE = '#!/bin/sh\necho "$(basename "$0") $* AB=$ROOTFS_AB RETRY=$ROOTFS_RETRY_COUNT_MAX" >>"{log}"\n'


def archive(file: Path, content: Path) -> None:
    with tarfile.open(file, "w:bz2") as out:
        for path in sorted(content.iterdir()):
            out.add(path, path.name)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Everything that an owner brings, with right sums."""
    tools, system = tmp_path / "tools", tmp_path / "system"
    for name in ("apply_binaries.sh", "tools/kernel_flash/l4t_initrd_flash.sh"):
        script = tools / "Linux_for_Tegra" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(NOTE.format(log=tmp_path / "log"))
        script.chmod(0o755)
    (tools / "Linux_for_Tegra/rootfs").mkdir()
    for name in ("tmp", "proc", "dev", "run"):
        (system / name).mkdir(parents=True)
    sources = system / jetson.SOURCES
    sources.parent.mkdir(parents=True)
    sources.write_text("deb https://repo.download.nvidia.com/jetson/<SOC> r36.4 main\n")
    archive(tmp_path / "l4t.tbz2", tools)
    archive(tmp_path / "rootfs.tbz2", system)
    sums = subprocess.run(
        ["sha256sum", "l4t.tbz2", "rootfs.tbz2"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    (tmp_path / "sums").write_bytes(sums)
    (tmp_path / "visavis.deb").write_text("package")
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA anna\n")
    return Order(
        l4t=tmp_path / "l4t.tbz2",
        rootfs=tmp_path / "rootfs.tbz2",
        sums=tmp_path / "sums",
        package=tmp_path / "visavis.deb",
        ssh_key=tmp_path / "id.pub",
        work=tmp_path / "work",
    )


def command(order: Order) -> list[str]:
    options = ("l4t", "rootfs", "sums", "package", "ssh_key", "work")
    words = [f"--{name.replace('_', '-')}={getattr(order, name)}" for name in options]
    allowed = [] if os.geteuid() == 0 else ["unshare", "-rmpf"]
    return [*allowed, sys.executable, "-m", "image.jetson", *words]


def call(words: list[str], path: str = "") -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}/firmware-image:{ROOT}"}
    variables["PATH"] = path + os.environ["PATH"]
    return subprocess.run(words, capture_output=True, text=True, env=variables, check=False)


def test_a_dry_run_checks_the_sums_and_shows_every_command(order: Order) -> None:
    shown = call([*command(order), "--dry-run"])
    assert shown.returncode == 0, shown.stderr
    assert not order.work.exists()
    commands = [line for line in shown.stdout.splitlines() if not line.startswith("#")]
    assert len(commands) == len(jetson.plan(order))
    assert commands[-1] == (
        f"cd {order.tree} && ROOTFS_AB=1 ROOTFS_RETRY_COUNT_MAX=3 ./tools/kernel_flash/l4t_initrd_flash.sh"
        " --external-device nvme0n1p1 -c tools/kernel_flash/flash_l4t_t234_nvme_rootfs_ab.xml"
        " -p '-c bootloader/generic/cfg/flash_t234_qspi.xml' --showlogs --network usb0 jetson-orin-nano-devkit external"
    )


def test_the_commands_do_what_they_say_on_a_tree_like_nvidias(order: Order, tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "chroot"  # programs for arm64 do not run here
    stand_in.parent.mkdir()
    found = tmp_path / "found"
    copied = f'cp "$1/{jetson.NAMES}/stub-resolv.conf" {found}\n[ -e "$1/proc/1" ] && [ -e "$1/dev/null" ]\n'
    stand_in.write_text(NOTE.format(log=tmp_path / "log") + copied)
    stand_in.chmod(0o755)
    done = call(command(order), f"{stand_in.parent}:")
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[0] for line in log] == ["apply_binaries.sh", *["chroot"] * 4, "l4t_initrd_flash.sh"]
    assert "apt-get install -y --no-install-recommends /tmp/visavis.deb" in log[2]
    assert log[-1].endswith("external AB=1 RETRY=3")
    assert (order.root / "etc/ssh/authorized_keys.d/root").read_text() == "ssh-ed25519 AAAA anna\n"
    assert "PasswordAuthentication no" in (order.root / "etc/ssh/sshd_config.d/10-visavis.conf").read_text()
    assert not (order.root / "tmp/visavis.deb").exists()
    assert found.read_text() == Path("/etc/resolv.conf").read_text()
    assert not list((order.root / "run").iterdir())
    assert "jetson/t234 r36.4" in (order.root / jetson.SOURCES).read_text()


def test_a_step_that_fails_ends_it(order: Order, tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "chroot"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\nexit 7\n")
    stand_in.chmod(0o755)
    done = call(command(order), f"{stand_in.parent}:")
    assert done.returncode == 1
    assert "its lists: unshare ended with 7" in done.stderr
    assert "l4t_initrd_flash" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda order: order.l4t.write_bytes(b"other"), "has not the sum"),
        (lambda order: order.sums.write_text(""), "has no sum of l4t.tbz2"),
        (lambda order: order.sums.write_text("abc\n"), "not what sha256sum writes"),
        (lambda order: order.package.unlink(), "is not a file"),
        (lambda order: (order.work / "old").mkdir(parents=True), "is not empty"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_unpacked(order: Order, spoil: object, says: str) -> None:
    spoil(order)  # type: ignore[operator]
    with pytest.raises(JetsonError, match=says):
        jetson.check(order)
    assert not order.tree.exists()
