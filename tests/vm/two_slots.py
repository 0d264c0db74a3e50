# SPDX-License-Identifier: Apache-2.0
"""A device with two slots in a virtual machine: the partitions, boot loader and update files of a flashed image.

Its system is a small Debian 13 with RAUC in which something answers for the appliance, since slots are what matters
here. The root is built once and kept under the hash of its recipe; the slots' images are made of it for each run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from image.grub import MODULES
from visavis.update.boot.grub import fresh_environment
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, make_keys

from deb.kept import REPOSITORY, kept
from tests.ports import free_port
from tests.vm.lab import DEBIAN_13, accelerated, written
from tests.vm.restarts import Restarting
from tests.vm.slots import TwoSlots
from tests.waiting import until

UPDATE = REPOSITORY / "firmware-image" / "update"
PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "udev", "kmod", "dbus", "openssh-server"),
    *("iproute2", "netbase", "python3", "rauc", "rauc-service"),
)
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/zoneinfo/*")
EARLY_FILES = {
    "/etc/initramfs-tools/conf.d/visavis": "MODULES=list\n",
    "/usr/share/initramfs-tools/modules.d/visavis": "virtio_pci\nvirtio_blk\nsquashfs\n",
}
OWN = "/dev/disk/own/visavis"
FILES = {
    "/etc/systemd/network/20-any.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    "/etc/fstab": f"{OWN}-esp /boot/efi vfat noatime 0 0\n{OWN}-data /data ext4 noatime 0 0\n",
    "/etc/machine-id": "",
    "/etc/hostname": "visavis-slots\n",
}
# A start takes minutes where the processor is emulated: without what nobody here waits for.
MASKED = (
    *("systemd-networkd-wait-online.service", "e2scrub_reap.service", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("dpkg-db-backup.timer", "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-pcrphase.service"),
)
OPTIONS = " ".join(("console=ttyS0", "quiet", "no_timer_check", *(f"systemd.mask={unit}" for unit in MASKED)))
# The rest is put into the root of each slot.
SLOT_FILES = {
    "boot/visavis.cfg": f'set options="{OPTIONS} systemd.volatile=state"\n',
    "usr/bin/visavis": "#!/usr/lib/visavis/bin/python3\nimport sys\nfrom visavis.cli import main\nsys.exit(main())\n",
    "usr/lib/visavis/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.13\n",
    "usr/lib/visavis/stand_in.py": """
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/readyz" and Path("/etc/visavis-sick").exists() else 200)
        self.end_headers()

HTTPServer(("127.0.0.1", 8080), Answers).serve_forever()
""",
    "usr/lib/systemd/system/stand-in.service": "[Service]\nExecStart=/usr/bin/python3 /usr/lib/visavis/stand_in.py\n",
    "etc/systemd/system/visavis-mark-good.service.d/quick.conf": "[Service]\nExecStart=\n"
    "ExecStart=/usr/bin/visavis update gate --url http://127.0.0.1:8080 --wait 40\n",
}
ENABLED = ("systemd-networkd", "ssh")
MIB = 1 << 20
# name of the partition -> where it begins and how long it is, in MiB.
PARTITIONS = {"visavis-esp": (1, 64), "visavis-a": (65, 192), "visavis-b": (257, 192), "visavis-data": (449, 640)}
DISK_MIB = 1152
BUILT_AT = datetime(2026, 11, 26, tzinfo=timezone.utc)


def base() -> Path:
    """The folder with root.tar and the key to log in; built on first use, which takes minutes."""
    recipe = repr((PACKAGES, EXCLUDED, EARLY_FILES, FILES, ENABLED))
    return kept(f"slots-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}", build_base)


def build_base(folder: Path) -> None:
    """Make the root of all slots in an empty folder."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    early = written(EARLY_FILES, folder / "early")
    hooks = ["mkdir -p $1/root/.ssh $1/boot/efi $1/data", f"upload {folder}/key.pub /root/.ssh/authorized_keys"]
    hooks += [*written(FILES, folder / "late")]
    hooks += [f"chroot $1 systemctl enable {' '.join(ENABLED)}", "rm -rf $1/var/cache/apt $1/var/lib/apt/lists"]
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--arch=amd64", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    command += [f"--essential-hook={hook}" for hook in early] + [f"--customize-hook={hook}" for hook in hooks]
    subprocess.run([*command, "trixie", str(folder / "root.tar")], check=True)
    for drafts in ("early", "late"):
        shutil.rmtree(folder / drafts)


@dataclass(frozen=True)
class Release:
    """A system for a slot; `spoil` is shell that makes something of its root wrong."""

    name: str
    version: str
    spoil: str = ""


# Python compiles what it imports each time where it cannot write: as in the package, that is done before.
MAKE_ROOT = """
rm -rf root && mkdir root && tar -C root -xf {base}/root.tar
{update}/into root generic-amd64 {version} {keyring}
cp -r slot-files/* root/ && chmod 755 root/usr/bin/visavis
mkdir -p root/usr/lib/visavis/bin {site} && ln -s /usr/bin/python3 root/usr/lib/visavis/bin/python3
cp -r {product}/visavis {site}/ && find {site} -name __pycache__ -prune -exec rm -r {{}} +
chroot root python3 -m compileall -q /usr/lib/visavis/lib
ln -s ../stand-in.service root/usr/lib/systemd/system/multi-user.target.wants/
echo {name} >root/etc/visavis-release
{spoil}
rm -f {image} && mksquashfs root {image} -comp gzip -Xcompression-level 3 -all-root -no-progress -quiet >&2
rm -rf root slot-files
"""
SITE = "root/usr/lib/visavis/lib/python3.13/site-packages"


def slot_image(release: Release, keyring: Path, folder: Path) -> Path:
    """The image of a slot that holds `release`."""
    image = folder / f"{release.name}.squashfs"
    script = MAKE_ROOT.format(
        **{"base": base(), "update": UPDATE, "version": release.version, "keyring": keyring, "image": image},
        **{"product": REPOSITORY / "trt-infer", "name": release.name, "site": SITE},
        spoil=release.spoil,
    )
    for path, content in SLOT_FILES.items():
        (folder / "slot-files" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "slot-files" / path).write_text(content)
    subprocess.run([*as_root(), "sh", "-ec", script], cwd=folder, check=True)
    return image


def as_root() -> list[str]:
    """What goes before a command that needs root's rights in folders of its own."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-auto", "--map-root-user"]


class Factory:
    """Keys, images, bundles and the disk of a new device, in one folder."""

    def __init__(self, folder: Path, first: Release, others: list[Release]) -> None:
        self.folder, self.bundles = folder, folder / "data" / "bundles"
        self.bundles.mkdir(parents=True)
        make_keys(folder / "keys")
        make_keys(folder / "strangers")
        self.images = {release.name: self.image(release) for release in (first, *others)}
        for release in others:
            self.bundle(release.name, release.version, self.images[release.name])
        self.sums = {name: file_sum(image) for name, image in self.images.items()}

    def image(self, release: Release) -> Path:
        return slot_image(release, self.folder / "keys" / CA, self.folder)

    def bundle(self, name: str, version: str, image: Path, keys: str = "keys", board: str = "generic-amd64") -> Path:
        """Put a bundle onto the data partition of the disk that is made later."""
        file = self.bundles / f"{name}.raucb"
        make_bundle(Contents(board, version, BUILT_AT, {"rootfs": image}), self.folder / keys, file)
        return file

    def disk(self, first: str) -> Path:
        """What is flashed: slot A holds `first`, slot B nothing."""
        disk = self.folder / "disk.img"
        with disk.open("wb") as out:
            out.truncate(DISK_MIB * MIB)
        table = "label: gpt\n" + "".join(
            f"start={start}MiB, size={size}MiB, name={name}, type={'uefi' if 'esp' in name else 'linux'}\n"
            for name, (start, size) in PARTITIONS.items()
        )
        subprocess.run(["sfdisk", "-q", str(disk)], input=table, text=True, check=True)
        write(self.images[first], disk, "visavis-a")
        write(self.data_partition(), disk, "visavis-data")
        write(self.efi_partition(), disk, "visavis-esp")
        return disk

    def data_partition(self) -> Path:
        """/data with the bundles."""
        part = blank(self.folder / "data.img", "visavis-data")
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", self.folder / "data", part], check=True)
        return part

    def efi_partition(self) -> Path:
        """GRUB, what it reads, and which slot comes first."""
        part, grub = blank(self.folder / "esp.img", "visavis-esp"), self.folder / "grub.efi"
        subprocess.run(["mkfs.fat", "-F", "32", part], check=True, capture_output=True)
        subprocess.run(["grub-mkimage", "-O", "x86_64-efi", "-p", "/EFI/visavis", "-o", grub, *MODULES], check=True)
        (self.folder / "grubenv").write_bytes(fresh_environment())
        subprocess.run(["mmd", "-i", part, "::/EFI", "::/EFI/BOOT", "::/EFI/visavis"], check=True)
        for file, place in (
            (grub, "::/EFI/BOOT/BOOTX64.EFI"),
            (UPDATE / "grub.cfg", "::/EFI/visavis/grub.cfg"),
            (self.folder / "grubenv", "::/EFI/visavis/grubenv"),
        ):
            subprocess.run(["mcopy", "-i", part, file, place], check=True)
        return part


def blank(file: Path, partition: str) -> Path:
    with file.open("wb") as out:
        out.truncate(PARTITIONS[partition][1] * MIB)
    return file


def write(image: Path, disk: Path, partition: str) -> None:
    start, size = PARTITIONS[partition]
    assert image.stat().st_size <= size * MIB, f"{image.name} is larger than {partition}"
    where = [f"of={disk}", f"seek={start}", "bs=1M", "conv=notrunc,sparse"]
    subprocess.run(["dd", f"if={image}", *where, "status=none"], check=True)


def file_sum(file: Path) -> tuple[str, int]:
    """SHA-256 and size."""
    return hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size


class Device(TwoSlots):
    """One device with a disk of its own, which stays as it is when the power is cut."""

    def __init__(self, disk: Path, folder: Path) -> None:
        self.board, self.image, self.folder = DEBIAN_13, base(), folder
        self.starts = 0
        self.variables = folder / "variables.fd"
        shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", self.variables)
        self.disk = self.own_disk(disk)
        self.power_on()

    def own_disk(self, flashed: Path) -> Path:
        """A disk that begins as the flashed one."""
        overlay = self.folder / "disk.qcow2"
        form = ["-f", "qcow2", "-F", "raw", "-b", str(flashed)]
        subprocess.run(["qemu-img", "create", "-q", *form, str(overlay)], check=True)
        return overlay

    def drive(self) -> str:
        """Where QEMU finds it."""
        return f"file={self.disk},format=qcow2"

    def power_on(self) -> None:
        """Start it; `wait_until_it_answers` follows."""
        self.starts += 1
        self.port, self.console = free_port(), self.folder / f"console{self.starts}.log"
        self.connect_anew()
        self.process = Restarting([self.board.emulator, *self.board.processor, *self.hardware()], self.console)

    def hardware(self) -> list[str]:
        return [
            *(*accelerated(self.board, 512), "-machine", "q35", "-smp", "2", "-m", "1024"),
            *("-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"),
            *("-drive", f"if=pflash,format=raw,file={self.variables}"),
            *("-drive", f"{self.drive()},if=none,id=disk,cache=writeback"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
            *("-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=n,romfile=", "-nodefaults", "-display", "none"),
        ]

    def __enter__(self) -> Device:
        super().__enter__()
        return self

    def release(self) -> str:
        """What runs, by its own words."""
        return self.run("cat /etc/visavis-release").strip()


class Forgetful(Device):
    """A device whose disk holds what was flushed, and nothing else, once the power is cut.

    nbdkit keeps each write in memory until the machine flushes, and is killed with it.
    """

    def own_disk(self, flashed: Path) -> Path:
        disk = self.folder / "disk.img"
        subprocess.run(["cp", "--sparse=always", flashed, disk], check=True)
        return disk

    def drive(self) -> str:
        return f"file=nbd:unix:{self.folder / 'disk.socket'},format=raw"

    def power_on(self) -> None:
        socket = self.folder / "disk.socket"
        socket.unlink(missing_ok=True)
        served = ["nbdkit", "--foreground", "--unix", str(socket), "--filter=cache", "file", str(self.disk)]
        self.server = subprocess.Popen([*served, "cache=writeback"])
        until(socket.exists, "nbdkit does not listen")
        super().power_on()

    def stop(self) -> None:
        """Pull the plug."""
        self.server.kill()
        self.server.wait()
        super().stop()

    def partition(self, name: str) -> Path:
        """A copy of one partition of a device that is off."""
        start, size = PARTITIONS[name]
        copy = self.folder / f"{name}.img"
        where = [f"if={self.disk}", f"of={copy}", "bs=1M", f"skip={start}", f"count={size}", "conv=sparse"]
        subprocess.run(["dd", *where, "status=none"], check=True)
        return copy
