# SPDX-License-Identifier: Apache-2.0
"""What several files of tests here share."""

from __future__ import annotations

import pytest

from tests.ansible_programs import Ansible


@pytest.fixture(scope="module", params=["ansible", "ansible-oldest"])
def ansible(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """Today's Ansible, and Debian 12's."""
    return Ansible.installed(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def todays(tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """Today's alone, for what takes many plays. Debian 12's plays site.yml on a device in tests/vm/test_ansible.py."""
    return Ansible.installed("ansible", tmp_path_factory.mktemp("ansible"))
