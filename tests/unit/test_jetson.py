# SPDX-License-Identifier: Apache-2.0
"""Flashing a Jetson, on a tree that looks like NVIDIA's: stand-ins for its tools write down how they were called."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from image import jetson, jetson_layout
from image.errors import ImageError
from image.jetson import Order

from tests.unit.l4t_root import LAYOUT

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
    (tools / "Linux_for_Tegra" / jetson_layout.NVIDIAS).write_text(LAYOUT)
    for name in ("tmp", "proc", "dev", "run"):
        (system / name).mkdir(parents=True)
    sources = system / jetson.SOURCES
    sources.parent.mkdir(parents=True)
    sources.write_text("deb https://repo.download.nvidia.com/jetson/<SOC> r36.4 main\n")
    for name, line in (("passwd", "root:x:0:0::/root:/bin/sh\n"), ("group", "root:x:0:\n"), ("shadow", "root:!:::\n")):
        (system / "etc" / name).write_text(line)
    archive(tmp_path / "l4t.tbz2", tools)
    archive(tmp_path / "rootfs.tbz2", system)
    sums = subprocess.run(
        ["sha256sum", "l4t.tbz2", "rootfs.tbz2"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    (tmp_path / "sums").write_bytes(sums)
    for name in ("visavis.deb", "rauc_1.13.deb", "rauc-service_1.13.deb", "ca.pem"):
        (tmp_path / name).write_text("package")
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA anna\n")
    return Order(
        l4t=tmp_path / "l4t.tbz2",
        rootfs=tmp_path / "rootfs.tbz2",
        sums=tmp_path / "sums",
        package=tmp_path / "visavis.deb",
        rauc=(tmp_path / "rauc_1.13.deb", tmp_path / "rauc-service_1.13.deb"),
        keyring=tmp_path / "ca.pem",
        ssh_key=tmp_path / "id.pub",
        work=tmp_path / "work",
        out=tmp_path / "out",
    )


def command(order: Order) -> list[str]:
    options = ("l4t", "rootfs", "sums", "package", "ssh_key", "keyring", "work", "out")
    words = [f"--{name.replace('_', '-')}={getattr(order, name)}" for name in options]
    allowed = [] if os.geteuid() == 0 else ["unshare", "-rmpf"]
    return [*allowed, sys.executable, "-m", "image.jetson", *words, "--rauc", *map(str, order.rauc)]


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
    (system,) = (line for line in commands if " -m image.l4t " in line)
    assert (
        f"--root={order.root} --tree={order.tree} --target=jetson-orin-nano-devkit --package={order.package}" in system
    )
    assert system.endswith(f"--keyring={order.keyring}")
    assert commands[-1] == (
        f"cd {order.tree} && ROOTFS_AB=1 ROOTFS_RETRY_COUNT_MAX=3 ./tools/kernel_flash/l4t_initrd_flash.sh"
        " --external-device nvme0n1p1 -c tools/kernel_flash/visavis_t234_nvme.xml"
        " -p '-c bootloader/generic/cfg/flash_t234_qspi.xml' --showlogs --network usb0 jetson-orin-nano-devkit external"
    )


def test_without_a_key_and_a_keyring_nobody_is_let_in_and_no_update(order: Order) -> None:
    lines = [str(step) for step in jetson.plan(replace(order, keyring=None, ssh_key=None))]
    assert not [line for line in lines if "authorized_keys" in line or "--keyring" in line]


def test_the_commands_do_what_they_say_on_a_tree_like_nvidias(order: Order, tmp_path: Path) -> None:
    """Up to our own system, which is made of packages that are not here."""
    stand_in = tmp_path / "bin" / "chroot"  # programs for arm64 do not run here
    stand_in.parent.mkdir()
    found = tmp_path / "found"
    copied = f'cp "$1/{jetson.NAMES}/stub-resolv.conf" {found}\n[ -e "$1/proc/1" ] && [ -e "$1/dev/null" ]\n'
    stand_in.write_text(NOTE.format(log=tmp_path / "log") + copied)
    stand_in.chmod(0o755)
    done = call(command(order), f"{stand_in.parent}:")
    assert done.returncode == 1
    assert f"l4t: {order.tree}/jetson-orin-nano-devkit.conf cannot be read" in done.stderr
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[0] for line in log] == ["apply_binaries.sh", "chroot", "chroot"]
    assert "apt-get install -y --no-install-recommends avahi-daemon" in log[2]
    assert {"/rauc_1.13.deb", "/rauc-service_1.13.deb", "iwd", "libopencv-imgproc4.5d"} <= set(log[2].split())
    assert (order.root / "etc/ssh/authorized_keys.d/root").read_text() == "ssh-ed25519 AAAA anna\n"
    assert "visavis:x:900:900:" in (order.root / "etc/passwd").read_text()
    assert not list(order.root.glob("*.deb"))
    assert found.read_text() == Path("/etc/resolv.conf").read_text()
    assert not list((order.root / "run").iterdir())
    assert "jetson/t234 r36.4" in (order.root / jetson.SOURCES).read_text()
    assert "<SOC>" in (order.nvidias / jetson.SOURCES).read_text()


def test_a_step_that_fails_ends_it(order: Order, tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "chroot"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\nexit 7\n")
    stand_in.chmod(0o755)
    done = call(command(order), f"{stand_in.parent}:")
    assert done.returncode == 1
    assert "the lists of packages: unshare ended with 7" in done.stderr
    assert "l4t_initrd_flash" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda order: order.l4t.write_bytes(b"other"), "has not the sum"),
        (lambda order: order.sums.write_text(""), "has no sum of l4t.tbz2"),
        (lambda order: order.sums.write_text("abc\n"), "not what sha256sum writes"),
        (lambda order: order.package.unlink(), "is not a file"),
        (lambda order: order.rauc[1].unlink(), "is not a file"),
        (lambda order: order.keyring.unlink(), "is not a file"),
        (lambda order: (order.work / "old").mkdir(parents=True), "is not empty"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_unpacked(order: Order, spoil: object, says: str) -> None:
    spoil(order)  # type: ignore[operator]
    with pytest.raises(ImageError, match=says):
        jetson.check(order)
    assert not order.tree.exists()


def test_where_rauc_is_missing_its_command_is_told(
    order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jetson, "DEBS", tmp_path)
    assert jetson.rauc_packages("noble") == []
    with pytest.raises(
        ImageError, match=r"with `python -m deb.rauc --suite noble --arch arm64`, or name them with --rauc"
    ):
        jetson.check(replace(order, rauc=(), suite="noble"))
    for name in ("1.13-1~noble", "1.13-2~noble", "1.13-3~jammy"):
        (tmp_path / f"rauc_{name}_arm64.deb").touch()
        (tmp_path / f"rauc_{name}_amd64.deb").touch()
        (tmp_path / f"rauc-service_{name}_all.deb").touch()
    found = jetson.rauc_packages("noble")
    assert [file.name for file in found] == ["rauc_1.13-2~noble_arm64.deb", "rauc-service_1.13-2~noble_all.deb"]
    jetson.check(replace(order, rauc=tuple(found), suite="noble"))
