# SPDX-License-Identifier: Apache-2.0
"""Where `visavis run` lets the broker keep its state: as root, where a user that is not root can go."""

from __future__ import annotations

import os
import pwd
import tempfile
from argparse import Namespace
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from visavis import broker
from visavis.broker import BrokerFailed
from visavis.own_folder import NoPlace, own_folder


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of a root who lets nobody in."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.chown", lambda _folder, _user: None)
    return folder


@pytest.mark.parametrize("memory", [True, False])
def test_the_state_is_where_mosquittos_user_can_go(
    memory: bool, closed: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not memory:
        monkeypatch.setattr(broker, "MEMORY", closed)
    with broker.state_folder() as state:
        assert closed not in state.parents
        assert (state.parent == broker.MEMORY) == memory
        assert all(one.stat().st_mode & 0o001 for one in state.parents)
    assert not state.exists()
    assert caplog.text == ""


def test_where_it_can_go_nowhere_that_is_said_with_the_remedy(
    closed: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "MEMORY", closed / "nowhere")
    monkeypatch.setattr(broker, "OPEN_TO_ALL", (str(closed / "nowhere"),))
    with broker.state_folder() as state:
        assert state.parent == closed
    assert "set TMPDIR" in caplog.text


def test_it_belongs_to_whom_mosquitto_becomes_or_the_start_is_refused(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[str] = []
    users = {"nobody": Namespace(pw_name="nobody")}
    monkeypatch.setattr("shutil.chown", lambda _folder, user: owners.append(user))
    monkeypatch.setattr(pwd, "getpwnam", users.__getitem__)
    with broker.state_folder():
        users["mosquitto"] = Namespace(pw_name="mosquitto")
    with broker.state_folder():
        users.clear()
    with pytest.raises(BrokerFailed, match="no user mosquitto or nobody: make one"), broker.state_folder():
        pytest.fail("it has a folder that its broker cannot write")
    assert owners == ["nobody", "mosquitto"]


def test_who_is_not_root_keeps_it_in_memory_or_among_its_own(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with broker.state_folder() as state:
        assert state.parent == broker.MEMORY
    monkeypatch.setattr(broker, "MEMORY", closed / "nowhere")
    with broker.state_folder() as state:
        assert state.parent == closed


@pytest.mark.parametrize("user", [0, 1000])
def test_where_memory_has_no_room_the_state_is_on_a_disk_and_that_is_said(
    user: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(prefix: str, place: Path | None = None) -> AbstractContextManager[Path]:
        if place == broker.MEMORY:
            raise NoPlace("the folder for temporary files /dev/shm cannot be written, No space left on device")
        return own_folder(prefix, place)

    monkeypatch.setattr(broker, "own_folder", full)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr("shutil.chown", lambda _folder, _user: None)
    with broker.state_folder() as state:
        assert broker.MEMORY not in state.parents
    assert "No space left on device, so the broker keeps its state on a disk" in caplog.text
