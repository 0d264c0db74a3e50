# SPDX-License-Identifier: Apache-2.0
"""A system with Debian's own Docker and Compose, the repository's files, and images that are loaded.

It is a container that systemd-nspawn starts, in which Docker makes its own; with VISAVIS_FLEET=machines it is a virtual
machine, in which everything takes some thirty times as long.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.vm.container import contained
from tests.vm.inside import INSIDE, retry
from tests.vm.lab import CONTAINERS, Machine, running
from tests.vm.payload import fill_containers

PROJECT = "/srv/visavis"
MACHINES = os.environ.get("VISAVIS_FLEET", "") == "machines"
# Docker makes containers itself: it mounts, names networks, and decides who may open which device.
AS_DOCKER_NEEDS = ("--capability=all", "--system-call-filter=add_key keyctl bpf")
LIMIT_S = 1800


def with_docker(archives: list[Path], folder: Path) -> Iterator[Machine]:
    """A system with these images, and what `docker compose` needs in PROJECT; nothing of ours runs."""
    for machine in started(lambda content: fill_containers(content, archives), folder):
        machine.run("systemctl disable -q --now mosquitto")  # the lab's own, at the broker's port
        machine.run(retry("docker info >/dev/null 2>&1", LIMIT_S, "journalctl -n 40 --no-pager -u docker"), LIMIT_S)
        for file in archives:
            machine.run(f"docker load -q -i {INSIDE}/images/{file.name}", LIMIT_S)
        machine.run(f"cp -r {INSIDE}/project {PROJECT}")
        yield machine


def started(fill: Callable[[Path], None], folder: Path) -> Iterator[Machine]:
    """The system itself, with what `fill` writes at /opt/visavis."""
    if MACHINES:
        yield from running(CONTAINERS, fill, folder)
        return
    (folder / "docker").mkdir()
    # Layers do not lie on layers: Docker's are on a folder of this host.
    yield from contained(CONTAINERS, fill, folder, (*AS_DOCKER_NEEDS, f"--bind={folder / 'docker'}:/var/lib/docker"))
