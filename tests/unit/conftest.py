# SPDX-License-Identifier: Apache-2.0
"""What several files of tests here share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible_programs import Ansible
from tests.unit.daemon_double import DaemonDouble, Memory, ring_add


@pytest.fixture(scope="module", params=["ansible", "ansible-oldest"])
def ansible(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """Today's Ansible, and Debian 12's."""
    return Ansible.installed(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def todays(tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """Today's alone, for what takes many plays. Debian 12's plays site.yml on a device in tests/vm/test_ansible.py."""
    return Ansible.installed("ansible", tmp_path_factory.mktemp("ansible"))


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonDouble]:
    with DaemonDouble(tmp_path / "frames.sock") as double:
        yield double


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory(ring_add())
    yield made
    made.close()
