# SPDX-License-Identifier: Apache-2.0
"""A Jetson in a virtual machine, whose NVMe holds what would be flashed. Its firmware and its loader are played here.

NVIDIA's parts may not be brought along, and Ubuntu's archive for arm64 is another one. So Ubuntu 22.04 for amd64 stands
in for NVIDIA's root, its kernel for NVIDIA's, and a small program for NVIDIA's nvbootctrl. Everything else is what a
Jetson gets: the packages, the layers, the first stage, the partitions.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from image import disk, jetson, l4t, root
from image.boards import Board
from image.packages import Lock

from deb import rauc, ubuntu
from deb.build import SYSTEMS, commit_time_s, current_version, package
from deb.kept import kept
from tests.jetson_firmware import FRESH, NVBOOTCTRL, started
from tests.vm import uefi_variables
from tests.vm.image_lab import PC, Flashed
from tests.vm.lab import UBUNTU_22, accelerated

VENDOR, CURRENT = "781e084c-a330-417c-b678-38e696380cb9", "BootChainOsCurrent"
NVIDIAS = ("systemd-sysv", "udev", "kmod", "dbus", "iproute2", "netbase", "ca-certificates", "linux-image-virtual")
SLOT_MIB = 1024
CONSOLE = "console=ttyS0"
SLOTS = "nvidia-slots"  # on the first partition, where both the program and this firmware get at it
# What NVIDIA's tool needs there: which board this is, and a variable that it may write.
NEEDED = f"""set -eu
[ -s /etc/nv_boot_control.conf ] || {{ echo "/etc/nv_boot_control.conf is missing" >&2; exit 1; }}
variable=/sys/firmware/efi/efivars/BootChainFwNext-{VENDOR}
chattr -i $variable 2>/dev/null || true
printf '\\7\\0\\0\\0\\0\\0\\0\\0' >$variable
"""
CONFIG_SERVICE = "nv-l4t-bootloader-config"
CONFIG_PROGRAM = f"opt/nvidia/l4t-bootloader-config/{CONFIG_SERVICE}.sh"
# What NVIDIA's service does at each start, as people have described it.
CONFIG_FILES = {
    CONFIG_PROGRAM: """#!/bin/sh
set -eu
echo "TEGRA_CHIPID 0x23" >/etc/nv_boot_control.conf
dpkg-reconfigure nvidia-l4t-bootloader
nvbootctrl verify
""",
    f"etc/systemd/system/{CONFIG_SERVICE}.service": f"""[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/{CONFIG_PROGRAM} -v
[Install]
WantedBy=multi-user.target
""",
}
PC_KERNEL = (b"HdrS", 0x202)


def like_nvidias(folder: Path) -> None:
    """A root that others have made: a plain system with one kernel."""
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--arch=amd64", *ubuntu.options("jammy")]
    command += ["--setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh", f"--include={','.join(NVIDIAS)}"]
    subprocess.run([*command, "jammy", str(folder / "root.tar")], check=True)


def with_packages(folder: Path) -> None:
    """The same, after the steps that install the packages."""
    tree = folder / "root"
    tree.mkdir()
    root.unpack(kept(f"like-nvidias-{named(NVIDIAS)}", like_nvidias) / "root.tar", tree)
    ours = tuple(rauc.packages(rauc.SYSTEMS["jammy", "amd64"], folder / "rauc"))
    for step in jetson.install(tree, ours, "jammy"):
        jetson.run(step)
    root.pack(tree, folder / "root.tar", commit_time_s())
    shutil.rmtree(tree)


def named(recipe: object) -> str:
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]


def image(folder: Path) -> Path:
    """What an NVMe holds once it was flashed."""
    recipe = named((NVIDIAS, l4t.packages("jammy"), Path(rauc.__file__).read_bytes()))
    base = kept(f"jetson-packages-{recipe}", with_packages) / "root.tar"
    tree = folder / "root"
    tree.mkdir()
    root.unpack(base, tree)
    (kernel,) = tree.glob("boot/vmlinuz-*")
    content = kernel.read_bytes()
    (tree / "boot/Image").write_bytes(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)
    nvidias_programs(tree)
    this, version = board(), current_version()
    product = package(SYSTEMS["jammy", "amd64"], version)
    contents = l4t.make(
        root.Recipe(this, Lock(commit_time_s(), ()), product, version, commit_time_s()), tree, folder / "out"
    )
    shutil.rmtree(tree)
    disk.assemble(this.table, contents, folder / "out/nvme.img")
    return folder / "out/nvme.img"


def nvidias_programs(tree: Path) -> None:
    """The tool for slots and the service that calls it, played."""
    tool = NVBOOTCTRL.format(folder="/boot/efi").replace("./slots", f"./{SLOTS}").replace(">slots", f">{SLOTS}")
    files = {l4t.BOOT_CONTROL: tool.replace("set -eu\n", NEEDED), **CONFIG_FILES}
    disk.write_files({name: text.encode() for name, text in files.items()}, tree)
    for name in (l4t.BOOT_CONTROL, CONFIG_PROGRAM):
        (tree / name).chmod(0o755)
    link = tree / f"etc/systemd/system/multi-user.target.wants/{CONFIG_SERVICE}.service"
    link.symlink_to(f"/etc/systemd/system/{CONFIG_SERVICE}.service")


def board() -> Board:
    """The Jetson, but for the processor."""
    return replace(l4t.board(CONSOLE), architecture="amd64")


def as_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller slots, and the kernel's form of another processor."""
    monkeypatch.setattr(l4t, "SLOT_MIB", SLOT_MIB)
    monkeypatch.setattr("image.arm64.MAGIC", PC_KERNEL[0])
    monkeypatch.setattr("image.arm64.MAGIC_AT", PC_KERNEL[1])


class Jetson(Flashed):
    """A machine that starts what NVIDIA's loader would take from its disk."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.nvme = image
        super().__init__(replace(PC, board=l4t.NAME, system=UBUNTU_22, image_file=image), folder)
        self.at = {part.label: start_mib << 20 for part, start_mib in board().table.placed()}
        self.put(SLOTS, FRESH)

    @property
    def esp(self) -> str:
        return f"{self.disk}@@{self.at['visavis-esp']}"

    def switch_on(self, power_was_off: bool = True) -> None:
        """Power, or a restart: the firmware counts, the loader reads the slot's boot partition."""
        slots = self.boot_file(SLOTS)
        assert slots is not None
        self.started, slots = started(slots, power_was_off)
        self.put(SLOTS, slots)
        number = "AB".index(self.started).to_bytes(4, "little")
        uefi_variables.put(self.folder / "variables.fd", CURRENT, VENDOR, number)
        line = self.load("APP" if self.started == "A" else "APP_b")
        self.console.write_text("")
        self.connect_anew()
        command = [self.board.emulator, *self.hardware.machine, "-smp", "2", "-m", "2048"]
        command += accelerated(self.board, 1024)
        command += ["-display", "none", "-monitor", "none", "-no-reboot", "-serial", f"file:{self.console}"]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={self.hardware.firmware}"]
        command += ["-drive", f"if=pflash,format=raw,file={self.folder / 'variables.fd'}"]
        command += ["-drive", f"if=none,id=nvme,format=raw,file={self.disk}", "-device", "nvme,drive=nvme,serial=1"]
        command += ["-kernel", str(self.folder / "kernel"), "-initrd", str(self.folder / "initrd"), "-append", line]
        ports = f"hostfwd=tcp:127.0.0.1:{self.port}-:22,hostfwd=tcp:127.0.0.1:{self.web_port}-:8080"
        command += ["-netdev", f"user,id=n,{ports}", "-device", "virtio-net-pci,netdev=n"]
        self.process = subprocess.Popen(command)

    def load(self, partition: str) -> str:
        """Kernel and first stage, as the configuration in a boot partition names them; returns the command line."""
        config = self.boot_partition_file(partition, "/boot/extlinux/extlinux.conf").decode()
        found: dict[str, str] = dict(re.findall(r"^\s+(LINUX|INITRD|APPEND) (.*)$", config, re.MULTILINE))
        for key, name in (("LINUX", "kernel"), ("INITRD", "initrd")):
            (self.folder / name).write_bytes(self.boot_partition_file(partition, found[key]))
        return found["APPEND"].replace("${cbootargs} ", "").replace("console=ttyTCU0", CONSOLE)

    def boot_partition_file(self, partition: str, name: str) -> bytes:
        image = f"{self.disk}?offset={self.at[partition]}"
        said = subprocess.run(["debugfs", "-R", f"cat {name}", image], capture_output=True, check=True).stdout
        assert said, f"{partition} has no {name}"
        return said

    def restart(self) -> None:
        """As the device does it by itself; QEMU ends where the board would reset."""
        self.try_to_run("systemctl reboot")
        self.process.wait(timeout=self.start_limit_s)
        self.switch_on(power_was_off=False)
        self.wait_until_it_answers()

    def slot(self) -> str:
        return self.run("cat /run/visavis-slot").strip()[-1]
