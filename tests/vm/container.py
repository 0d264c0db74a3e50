# SPDX-License-Identifier: Apache-2.0
"""A machine of the lab without a kernel of its own: the same root, its systemd started by systemd-nspawn.

It runs as fast as this host, so that playbooks against several of them take minutes. Everything else is as with
`Machine`: a disk that is thrown away, an ssh port on loopback, this host seen at 10.0.2.2. Needs root.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.ports import free_port
from tests.vm.inside import INSIDE
from tests.vm.lab import Board, Machine, image
from tests.waiting import until

NEEDED = ("systemd-nspawn", "slirp4netns", "ip")


class Container(Machine):
    """One running container; use it in a `with`."""

    kind = " in systemd-nspawn"

    def __init__(self, board: Board, name: str, folder: Path, options: tuple[str, ...] = ()) -> None:
        """`options` are systemd-nspawn's, for what a machine of its own could do and a container may not."""
        self.board, self.image, self.port, self.options = board, image(board), free_port(), options
        self.name, self.folder = f"visavis-{name}", folder
        # A run that was killed leaves its namespace; the next one makes another.
        self.netns = f"{self.name}-{os.getpid()}"
        self.console, self.socket = folder / "console.log", folder / "ssh"
        self.undo = ExitStack()
        try:
            self.process = self.start_all()
        except BaseException:
            self.undo.close()
            raise

    def start_all(self) -> subprocess.Popen[bytes]:
        root = self.make_root()
        group = self.make_group()
        check("ip", "netns", "add", self.netns)
        self.undo.callback(check, "ip", "netns", "delete", self.netns)
        self.connect()
        # As in its own group from the first moment on: two systemds in one would end each other's services.
        boot = f"echo $$ >{group}/cgroup.procs && exec systemd-nspawn --quiet --keep-unit --register=no --boot"
        boot += f" --console=read-only --machine={self.name} --network-namespace-path=/run/netns/{self.netns}"
        boot += f" {shlex.join(self.options)}"
        # Its network is its own, and so are that network's settings.
        settings = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
        command = ["sh", "-c", f"{boot} --directory={root}"]
        with self.console.open("wb") as out:
            environment = os.environ | settings
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        self.undo.callback(end, process)
        return process

    def make_root(self) -> Path:
        """The image's root with a layer above it that takes what is written."""
        below, above, work, root = (self.folder / name for name in ("below", "above", "work", "root"))
        for folder in (below, above, work, root):
            folder.mkdir()
        self.mount(below, "-o", "ro,loop,noload", str(self.image / "disk.img"))
        self.mount(root, "-t", "overlay", "overlay", "-o", f"lowerdir={below},upperdir={above},workdir={work}")
        (root / "etc/fstab").unlink()  # it names the disks of a virtual machine
        (root / "etc/hostname").write_text(f"{self.name}\n")
        (root / "etc/resolv.conf").unlink(missing_ok=True)  # Ubuntu's is a link that leads out of the root
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        return root

    def make_group(self) -> Path:
        """A control group for it alone, in the hierarchy that its systemd wants, whatever this host's own is."""
        groups = self.folder / "groups"
        groups.mkdir()
        self.mount(groups, "-t", "cgroup2", "cgroup2")
        own = groups / f"{self.name}-{os.getpid()}"
        own.mkdir()
        self.undo.callback(leave, own)
        return own

    def mount(self, place: Path, *words: str) -> None:
        check("mount", *words, str(place))
        self.undo.callback(check, "umount", str(place))

    def connect(self) -> None:
        """The network that QEMU gives its machines, from the same program."""
        control = self.folder / "network"
        command = ["slirp4netns", "--configure", "--mtu=1500", "--netns-type=path", "-a", str(control)]
        network = subprocess.Popen([*command, f"/run/netns/{self.netns}", "tap0"])
        self.undo.callback(end, network)
        port = {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": self.port, "guest_port": 22}
        with socket.socket(socket.AF_UNIX) as one:
            # It is there before anybody listens at it.
            until(lambda: one.connect_ex(str(control)) == 0, "slirp4netns does not open its socket")
            one.sendall(json.dumps({"execute": "add_hostfwd", "arguments": port}).encode())
            one.shutdown(socket.SHUT_WR)
            answer = one.recv(4096).decode()
        assert '"return"' in answer, answer

    def stop(self) -> None:
        """Pull the plug, and leave nothing mounted."""
        self.undo.close()


def contained(
    board: Board, fill: Callable[[Path], None], folder: Path, options: tuple[str, ...] = ()
) -> Iterator[Machine]:
    """A system that runs, with what `fill` writes at /opt/visavis, as `running` does it with a kernel of its own."""
    missing = missing_for_containers()
    assert not missing, f"containers need {', '.join(missing)}: `make test-vm` as root"
    content = folder / "content"
    content.mkdir()
    fill(content)
    with Container(board, folder.name, folder, (f"--bind-ro={content}:{INSIDE}", *options)) as machine:
        yield machine


def check(*command: str) -> None:
    subprocess.run(command, check=True)


def leave(group: Path) -> None:
    """Remove a control group and those in it, as soon as the last process has gone."""
    until(lambda: "populated 0" in (group / "cgroup.events").read_text(), f"somebody is still in {group}", 60)
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def missing_for_containers() -> list[str]:
    """What containers need and this host lacks."""
    lacks = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return lacks if os.geteuid() == 0 else ["root", *lacks]
