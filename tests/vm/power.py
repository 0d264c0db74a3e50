# SPDX-License-Identifier: Apache-2.0
"""A small machine whose plug is pulled: a Debian kernel, one program, and a disk that forgets what was not flushed.

The disk is served by nbdkit, whose cache keeps each write in memory until the machine flushes. When both are killed,
the file holds what a real disk would hold for sure, and nothing else. The program talks over a serial line, which here
is QEMU's own standard input and output.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.chaos.load_program import LoadProgram
from tests.vm.lab import DEBIAN_12, image
from tests.waiting import until

DISK_MIB = 64
INIT = """#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
modprobe virtio_pci
modprobe virtio_blk
modprobe ext4
while ! [ -b /dev/vda ]; do sleep 0.1; done
mkdir -p /disk
mount -t ext4 /dev/vda /disk || exit 1
exec /outboxload -serial /dev/ttyS1 -folder /disk/outbox
"""


class PulledPlug(LoadProgram):
    """outboxload as the only program of a machine. `kill` pulls the plug: what was not flushed to the disk is gone."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.disk, socket = folder / "disk.img", folder / "disk.socket"
        if not self.disk.exists():
            made = ["mke2fs", "-q", "-t", "ext4", str(self.disk), f"{DISK_MIB}M"]
            subprocess.run(made, check=True)
        socket.unlink(missing_ok=True)
        cached = ["nbdkit", "--foreground", "--unix", str(socket), "--filter=cache"]
        cached += ["file", str(self.disk), "cache=writeback"]
        self._server = subprocess.Popen(cached)
        until(socket.exists, "nbdkit does not listen")
        try:
            super().__init__(machine(initrd(program, folder / "initrd.img"), socket, folder / "console.log"))
        except BaseException:
            self._server.kill()
            raise

    def kill(self) -> None:
        """Pull the plug."""
        self._server.kill()
        self._server.wait()
        super().kill()


def machine(start: Path, socket: Path, console: Path) -> list[str]:
    """The command that runs it: 256 MiB, no network, and nothing but what the program needs."""
    return [
        *(DEBIAN_12.emulator, *DEBIAN_12.processor, "-accel", "tcg", "-m", "256", "-no-reboot", "-nodefaults"),
        *("-kernel", str(image(DEBIAN_12) / "vmlinuz"), "-initrd", str(start)),
        *("-append", "console=ttyS0 quiet panic=-1", "-display", "none", "-monitor", "none"),
        *("-drive", f"file=nbd:unix:{socket},if=virtio,format=raw,cache=writeback"),
        *("-serial", f"file:{console}", "-serial", "stdio"),
    ]


def initrd(program: Path, made: Path) -> Path:
    """Debian's first stage with the program in place of a system; its own first stage has the modules."""
    if not made.exists():
        ours = {"init": INIT.encode(), "outboxload": program.read_bytes()}
        made.write_bytes(padded((image(DEBIAN_12) / "initrd.img").read_bytes()) + archive(ours))
    return made


def archive(files: dict[str, bytes]) -> bytes:
    """Executable files in the format of cpio that Linux unpacks; what comes later replaces what came before."""
    entries = [member(name, content, 0o100755) for name, content in files.items()]
    return b"".join([*entries, member("TRAILER!!!", b"", 0)])


def member(name: str, content: bytes, mode: int) -> bytes:
    """One entry of such an archive."""
    numbers = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return padded(head) + padded(content)


def padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
