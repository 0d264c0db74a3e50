# SPDX-License-Identifier: Apache-2.0
"""Debian's own Docker builds the daemon's image for arm64 on this processor, and runs it through an emulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from containers.build import fetching, save
from tests.vm.docker_lab import LIMIT_S, PROJECT, with_docker
from tests.vm.inside import retry
from tests.vm.lab import CONTAINERS, Machine

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(7200)]

IMAGE = "visavis-daemon:arm64"
BUILD = f"docker build -q --platform linux/arm64 -f containers/Dockerfile --target daemon -t {IMAGE} ."
RUN = "docker run -d --name arm64 --platform linux/arm64 --network host --read-only --cap-drop ALL --tmpfs /tmp"
VOLUMES = f"-v /run/visavis -v /var/lib/visavis -v {PROJECT}/containers/daemon.toml:/etc/visavis/config.toml:ro"


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with Docker, the repository's files, and Debian for amd64 alone."""
    debian = save(fetching(CONTAINERS.suite, CONTAINERS.architecture), "docker.io/library/debian:trixie-slim")
    yield from with_docker([debian], tmp_path_factory.mktemp("docker"))


def test_the_daemon_for_arm64_is_compiled_by_this_processor_and_answers(
    docker: Machine, measured: Callable[[str], None]
) -> None:
    began = time.monotonic()
    docker.run(f"cd {PROJECT} && {BUILD}", LIMIT_S)
    measured(f"built in {time.monotonic() - began:.0f} s")
    assert docker.run(f"docker image inspect -f '{{{{.Architecture}}}}' {IMAGE}").strip() == "arm64"
    docker.run(f"{RUN} {VOLUMES} {IMAGE}")
    docker.run(retry("curl -sf http://127.0.0.1:8080/healthz", 300, "docker logs arm64"), 360)
