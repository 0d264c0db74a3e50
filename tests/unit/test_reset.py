# SPDX-License-Identifier: Apache-2.0
"""`visavis reset`: who may ask for it, and what it leaves for the next start."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from visavis.cli import main, reset
from visavis.errors import ResetError

from tests.unit.command import visavis
from tests.waiting import until


@pytest.fixture
def started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A flashed device, as far as the command looks; holds the commands that it gave."""
    given: list[list[str]] = []

    def take(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        given.append(command)
        return subprocess.CompletedProcess(command, int(check))

    (tmp_path / "board").write_text("generic-amd64\n")
    monkeypatch.setattr(reset, "IMAGE_MARK", tmp_path / "board")
    monkeypatch.setattr(reset, "WISH", tmp_path / "factory-reset")
    monkeypatch.setattr("visavis.cli.reset.subprocess.run", take)
    return given


def test_a_machine_that_was_not_flashed_is_left_alone() -> None:
    answer = visavis("reset", "--factory", "--yes")
    assert answer.returncode == 1
    assert "this system was not flashed" in answer.stderr


def test_it_leaves_the_wish_and_starts_again(started_again: list[list[str]], tmp_path: Path) -> None:
    assert main(["reset", "--factory", "--yes"]) == 0
    assert (tmp_path / "factory-reset").exists()
    assert started_again == [["systemctl", "reboot"]]


def test_a_device_that_does_not_start_again_is_not_reset_at_a_later_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("board", "generic-amd64\n"), ("systemctl", "#!/bin/sh\necho inhibited >&2\nexit 1\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(reset, "IMAGE_MARK", tmp_path / "board")
    monkeypatch.setattr(reset, "WISH", tmp_path / "factory-reset")
    assert main(["reset", "--factory", "--yes"]) == 1
    assert not (tmp_path / "factory-reset").exists()
    said = "visavis: nothing was removed, since the device does not start again: systemctl reboot ended with 1: "
    assert capfd.readouterr().err == f"inhibited\n{said}mend what it says above, and ask again\n"
    with pytest.raises(ResetError, match="remove it yourself"):
        reset.withdraw(tmp_path / "factory-reset")


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_reset_that_is_stopped_while_the_device_has_not_started_again_never_comes_true(
    told: signal.Signals, tmp_path: Path
) -> None:
    for name, text in (("board", "generic-amd64\n"), ("systemctl", "#!/bin/sh\ntouch asked\nexec sleep 60\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    program = "from pathlib import Path; from visavis.cli import main, reset; import sys\n"
    program += "reset.IMAGE_MARK, reset.WISH = Path('board'), Path('factory-reset')\n"
    program += "sys.exit(main(['reset', '--factory', '--yes']))"
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["env", "--default-signal=HUP", sys.executable, "-c", program]  # nohup would have it ignored
    with subprocess.Popen(
        command, cwd=tmp_path, env=path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as asks:
        until((tmp_path / "asked").exists, "it asks to start again")
        os.killpg(asks.pid, told)
        _, said = asks.communicate(timeout=30)
    assert asks.returncode != 0
    assert "nothing is removed: the wish is taken back" in said
    assert not (tmp_path / "factory-reset").exists()


@pytest.mark.parametrize(("typed", "code"), [(b"yes\n", 0), (b"y\n", 1), (b"", 1), (b"y\xe9s\n", 1)])
def test_a_reset_happens_only_when_yes_is_typed(
    typed: bytes, code: int, started_again: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
    assert main(["reset", "--factory"]) == code
    assert (tmp_path / "factory-reset").exists() == bool(started_again) == (code == 0)


def test_a_boot_partition_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResetError, match="run it as root"):
        reset.wish(tmp_path / "missing" / "factory-reset")
