# SPDX-License-Identifier: Apache-2.0
"""A whole Debian in a virtual machine, for what a test process cannot have: cameras, a kernel's drivers, systemd.

The image is built once by mmdebstrap from the recipe below and kept under the recipe's hash. A machine starts from it
with a throw-away disk, runs under QEMU (any host will do; where it has no KVM, the machine is some ten times slower)
and is reached by ssh on loopback. What a test wants inside goes onto a second, read-only disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deb import ubuntu
from deb.kept import kept
from tests.ports import free_port
from tests.vm.restarts import Restarting

COMMON = (
    *("systemd-sysv", "udev", "kmod", "dbus", "openssh-server", "iproute2", "netbase", "ca-certificates", "python3"),
    *("mosquitto", "mosquitto-clients", "curl"),
)
FILES = {
    "/etc/systemd/network/20-any.network": "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n",
    "/etc/fstab": "/dev/vda / ext4 defaults 0 1\n/dev/vdb /opt/visavis ext4 ro,nofail 0 0\n",
    "/etc/machine-id": "",
    "/etc/hostname": "visavis-test\n",
}
# All that the first stage of a start needs: to look for more takes long where another processor is emulated.
EARLY_FILES = {
    "/etc/initramfs-tools/conf.d/visavis": "MODULES=list\n",
    "/usr/share/initramfs-tools/modules.d/visavis": "virtio_pci\nvirtio_blk\next4\n",
}
ENABLED = ("systemd-networkd", "ssh")


@dataclass(frozen=True)
class Board:
    """A kind of machine: which Debian or Ubuntu is on it, and what QEMU emulates."""

    suite: str
    architecture: str
    packages: tuple[str, ...]
    emulator: str
    processor: tuple[str, ...]
    console: str

    @property
    def recipe_hash(self) -> str:
        """Changes with everything that goes into the image."""
        recipe = repr((self.suite, self.architecture, self.packages, COMMON, EARLY_FILES, FILES, ENABLED))
        return hashlib.sha256(recipe.encode()).hexdigest()[:16]


PC = Board(
    suite="bookworm",
    architecture="amd64",
    packages=(
        *("linux-image-amd64", "v4l-utils"),
        *("gstreamer1.0-libcamera", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good", "gstreamer1.0-tools"),
        *("libopencv-imgcodecs406", "libopencv-imgproc406", "libopencv-videoio406"),
    ),
    emulator="qemu-system-x86_64",
    processor=("-cpu", "max"),
    console="ttyS0",
)
# A plain machine of each system, with what apt would install beside the package. The packages' tests begin here.
DEBIAN_12, DEBIAN_13, UBUNTU_22, UBUNTU_24 = (
    Board(
        suite=suite,
        architecture="amd64",
        packages=(
            *(*kernel, "python3-systemd"),
            *(f"libopencv-{module}{opencv}" for module in ("imgcodecs", "imgproc", "videoio")),
        ),
        emulator="qemu-system-x86_64",
        processor=("-cpu", "max"),
        console="ttyS0",
    )
    for suite, kernel, opencv in (
        ("bookworm", ["linux-image-amd64"], "406"),
        ("trixie", ["linux-image-amd64"], "410"),
        ("jammy", [], "4.5d"),  # without a kernel: only for containers
        ("noble", [], "406t64"),
    )
)
# A machine with Docker and Compose as Debian has them.
CONTAINERS = Board(
    suite="trixie",
    architecture="amd64",
    packages=("linux-image-amd64", "docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables"),
    emulator="qemu-system-x86_64",
    processor=("-cpu", "max"),
    console="ttyS0",
)
# The processor of a Raspberry Pi 5, and its kernel's pages of 16 KiB.
PI = Board(
    suite="trixie",
    architecture="arm64",
    packages=(
        *("linux-image-arm64-16k", "python3-systemd"),
        *("libopencv-imgcodecs410", "libopencv-imgproc410", "libopencv-videoio410"),
    ),
    emulator="qemu-system-aarch64",
    processor=("-M", "virt", "-cpu", "cortex-a76"),
    console="ttyAMA0",
)


KVM = Path("/dev/kvm")
# There are also KVMs without the processor's help, which cannot run a kernel that was not made for them.
IN_HARDWARE = (Path("/sys/module/kvm_amd"), Path("/sys/module/kvm_intel"))


def accelerated(board: Board, translated_mib: int) -> list[str]:
    """The host's own processor where it lends it, and else an emulated one that keeps so much translated code."""
    if lends_its_processor(board):
        return ["-accel", "kvm"]
    return ["-accel", f"tcg,thread=multi,tb-size={translated_mib}"]


@cache
def lends_its_processor(board: Board) -> bool:
    """Whether a machine starts with this host's help: there are hosts with /dev/kvm that refuse what QEMU asks for."""
    same = board.architecture == "amd64" and any(module.exists() for module in IN_HARDWARE)
    if not same or not os.access(KVM, os.R_OK | os.W_OK):
        return False
    quick = ["-accel", "kvm", "-m", "64", "-display", "none", "-serial", "none", "-monitor", "stdio"]
    tried = [board.emulator, *board.processor, *quick]
    return subprocess.run(tried, input=b"quit\n", capture_output=True, check=False, timeout=60).returncode == 0


def image(board: Board) -> Path:
    """The folder with disk.img, vmlinuz, initrd.img and the key to log in; built on first use, which takes minutes."""
    return kept(board.recipe_hash, lambda draft: build(board, draft))


def build(board: Board, folder: Path) -> None:
    """Make an image in an empty folder; needs root, or fakeroot and user namespaces."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    early = written(EARLY_FILES, folder / "early")
    hooks = ["mkdir -p $1/root/.ssh $1/opt/visavis", f"upload {folder}/key.pub /root/.ssh/authorized_keys"]
    hooks += [*written(FILES, folder / "late"), f"chroot $1 systemctl enable {' '.join(ENABLED)}"]
    packages = ",".join((*board.packages, *COMMON))
    command = ["mmdebstrap", "--quiet", "--variant=apt", f"--arch={board.architecture}", f"--include={packages}"]
    command += (
        ubuntu.options(board.suite)
        + [f"--essential-hook={hook}" for hook in early]
        + [f"--customize-hook={hook}" for hook in hooks]
    )
    subprocess.run([*command, board.suite, str(folder / "root.tar")], check=True)
    as_root = [] if os.geteuid() == 0 else ["fakeroot"]
    subprocess.run([*as_root, "sh", "-ec", MAKE_DISK], cwd=folder, check=True)


def written(files: dict[str, str], drafts: Path) -> list[str]:
    """The hooks of mmdebstrap that put files into the image; until then they are kept in `drafts`."""
    drafts.mkdir()
    hooks: list[str] = []
    for number, (path, content) in enumerate(files.items()):
        (drafts / str(number)).write_text(content)
        hooks += [f"mkdir -p $1{Path(path).parent}", f"upload {drafts / str(number)} {path}"]
    return hooks


MAKE_DISK = """
mkdir root && tar -C root -xf root.tar
if [ -d root/lib/modules ]; then cp root/boot/vmlinuz-* vmlinuz && cp root/boot/initrd.img-* initrd.img; fi
truncate -s 6G disk.img && mke2fs -q -t ext4 -d root disk.img
rm -rf root root.tar early late
"""


def pack(content: Path, disk: Path) -> None:
    """Write a folder to the second disk of a machine, seen there as /opt/visavis."""
    used = sum(file.stat().st_size for file in content.rglob("*") if file.is_file())
    with disk.open("wb") as out:
        out.truncate(used * 5 // 4 + (64 << 20))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(content), str(disk)], check=True)


class Machine:
    """One running virtual machine; use it in a `with`."""

    kind = ""  # beside the system's name on the page of what ran
    start_limit_s = 900.0
    process: subprocess.Popen[bytes] | Restarting

    def __init__(self, board: Board, payload: Path, folder: Path) -> None:
        self.board, self.image, self.port = board, image(board), free_port()
        self.console, self.socket = folder / "console.log", folder / "ssh"
        self.process = subprocess.Popen([board.emulator, *board.processor, *self.arguments(payload)])

    def arguments(self, payload: Path) -> list[str]:
        files = self.image
        return [
            *(*accelerated(self.board, 1024), "-smp", "2", "-m", "3072"),
            *("-kernel", str(files / "vmlinuz"), "-initrd", str(files / "initrd.img")),
            # Emulated on a busy host, a kernel may panic as it starts: then it starts again, and nobody waits an hour.
            *("-append", f"root=/dev/vda rw console={self.board.console} quiet panic=5"),
            *("-drive", f"file={files / 'disk.img'},if=virtio,format=raw,snapshot=on"),
            *("-drive", f"file={payload},if=virtio,format=raw,readonly=on"),
            *("-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=n", "-display", "none", "-monitor", "none"),
            *("-serial", f"file:{self.console}"),
        ]

    def __enter__(self) -> Machine:
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Pull the plug: the disk is thrown away."""
        self.process.kill()
        self.process.wait()

    def wait_until_it_answers(self) -> None:
        self.wait_for(lambda: self.try_to_run("true").returncode == 0, "no answer by ssh")

    def wait_for(self, condition: Callable[[], bool], otherwise: str, limit_s: float | None = None) -> None:
        """Wait, without taking time from the machine, until a condition holds."""
        limit_s = limit_s or self.start_limit_s
        end_s = time.monotonic() + limit_s
        while not condition():
            assert self.process.poll() is None, f"QEMU ended: see {self.console}"
            assert time.monotonic() < end_s, f"{otherwise} within {limit_s} s: see {self.console}"
            time.sleep(2)

    def try_to_run(self, command: str, limit_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside and return what came of it."""
        return subprocess.run([*self.ssh(), command], capture_output=True, text=True, timeout=limit_s, check=False)

    def send(self, file: Path, place: str, limit_s: float = 3600) -> None:
        """Copy a file of this host into the machine."""
        with file.open("rb") as content:
            subprocess.run([*self.ssh(), f"cat >{place}"], stdin=content, check=True, timeout=limit_s)

    def ssh(self) -> list[str]:
        """What goes before a command that is to run inside."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=60"]
        # One connection for all commands: a handshake takes seconds inside.
        options += ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.socket}", "-o", "ControlPersist=60"]
        # A machine that starts anew says no goodbye.
        options += ["-o", "ServerAliveInterval=20", "-o", "ServerAliveCountMax=15"]
        return ["ssh", "-q", "-i", str(self.image / "key"), "-p", str(self.port), *options, "root@127.0.0.1"]

    def run(self, command: str, limit_s: float = 600) -> str:
        """Run a shell command that must succeed and return its output."""
        done = self.try_to_run(command, limit_s)
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str, command: str) -> None:
        """Leave a command running inside; its output goes to /tmp/NAME.log."""
        self.run(f"setsid {command} </dev/null >/tmp/{name}.log 2>&1 & echo $! >/tmp/{name}.pid")

    def signal(self, name: str, signal: str) -> float:
        """Send a signal to what `start` started, if it still runs; returns the time inside, in s since the epoch."""
        return float(self.run(f"date +%s.%N; kill -{signal} $(cat /tmp/{name}.pid) || true"))


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


def missing_programs(board: Board) -> list[str]:
    """What the lab needs and this host lacks."""
    if subprocess.run(["arch-test", board.architecture], capture_output=True, check=False).returncode != 0:
        return [f"a kernel that runs programs for {board.architecture} through an emulator (binfmt_misc)"]
    return [name for name in (board.emulator, "mmdebstrap", "mke2fs", "ssh") if shutil.which(name) is None]
