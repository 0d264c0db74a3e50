# SPDX-License-Identifier: Apache-2.0
"""visavis-broker makes this device a user of its broker, with the real daemon's program and mosquitto's own."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from visavis.daemon import daemon_program

from deb.broker import join
from tests.e2e.brokers import mosquitto, publish
from tests.ports import free_port

DEVICE = '[device]\nid = "porch"\n'
RENAMED = '[device]\nid = "hall"\n'
SHIPPED = Path(__file__).resolve().parents[2] / "broker/visavis.acl"


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /etc."""
    monkeypatch.setattr(join, "DAEMON", Path(daemon_program()))
    for name in ("CONFIG", "USERS", "RIGHTS", "PASSWORD", "SETTINGS", "UNIT"):
        monkeypatch.setattr(join, name, tmp_path / getattr(join, name).relative_to("/etc"))
    monkeypatch.setattr(join, "RUNNING", tmp_path / "running")
    monkeypatch.setattr(join, "NOTE", tmp_path / "lib/password.sha256")
    join.CONFIG.parent.mkdir()
    join.USERS.parent.mkdir()
    join.CONFIG.write_text(DEVICE)
    join.USERS.write_text("viewer:$7$101$x==\n")
    join.RIGHTS.write_text(SHIPPED.read_text())
    return tmp_path


def users(device: Path) -> list[str]:
    return [line.partition(":")[0] for line in join.USERS.read_text().splitlines()]


def test_the_device_becomes_a_user_once(device: Path) -> None:
    assert join.main() == 0
    assert users(device) == ["viewer", "porch"]
    password = join.PASSWORD.read_text().strip()
    assert stat.S_IMODE(join.PASSWORD.stat().st_mode) == 0o600
    assert password not in join.USERS.read_text() + join.SETTINGS.read_text() + join.UNIT.read_text()
    assert 'user = "porch"\npassword_file = "credential:mqtt.password"' in join.SETTINGS.read_text()
    assert join.main() == 0
    assert join.PASSWORD.read_text().strip() == password


@pytest.fixture
def asked(device: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with what systemd was asked for, on a device where it runs."""
    join.RUNNING.mkdir()
    (device / "systemctl").write_text(f"#!/bin/sh\necho $* >>{device}/asked\n")
    (device / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{device}:{os.environ['PATH']}")
    return device / "asked"


@pytest.mark.parametrize("follow", [False, True])
def test_a_device_that_is_called_otherwise_has_a_user_of_that_name(device: Path, asked: Path, follow: bool) -> None:
    join.main()
    assert not asked.exists()
    password = join.PASSWORD.read_text().strip()
    with join.SETTINGS.open("a") as own:
        own.write('prefix = "visavis"\n')
    join.CONFIG.write_text(RENAMED)
    join.PASSWORD.unlink()  # as where it lies encrypted
    assert join.main(follow) == 0
    assert users(device) == ["viewer", "hall"]
    assert join.SETTINGS.read_text().endswith(
        '[mqtt]\nuser = "hall"\npassword_file = "credential:mqtt.password"\nprefix = "visavis"\n'
    )
    assert asked.read_text() == "--no-block try-reload-or-restart mosquitto.service\n"
    assert join.main(follow) == 0
    assert asked.read_text().count("\n") == 1
    assert arrives(device, "hall", password, "visavis/hall/info")
    assert not arrives(device, "porch", password, "visavis/porch/info")


def test_a_device_still_delivers_and_clears_under_the_name_before(device: Path) -> None:
    """Events that wait carry the old name, and a broker acknowledges what it denies."""
    own = "user me\ntopic read visavis/hall/#"  # without an end of the line
    join.RIGHTS.write_text(SHIPPED.read_text() + own)
    join.main()
    join.CONFIG.write_text(RENAMED)
    join.main(follow=True)
    password = join.PASSWORD.read_text().strip()
    subprocess.run(["mosquitto_passwd", "-b", str(join.USERS), "homeassistant", password], check=True)
    for topic in ("visavis/porch/events", "homeassistant/device/visavis_porch/config"):
        assert arrives(device, "hall", password, topic, reader="homeassistant")
    join.CONFIG.write_text('[device]\nid = "attic"\n[mqtt]\nprefix = "plant"\n')
    join.main(follow=True)
    granted = join.RIGHTS.read_text()
    assert granted.startswith(SHIPPED.read_text() + own + "\n")
    assert "porch/#" not in granted.replace(SHIPPED.read_text(), "")
    assert "user attic\ntopic readwrite plant/hall/#\n" in granted
    join.RIGHTS.unlink()  # as where its owner has another file
    join.CONFIG.write_text(RENAMED)
    join.main(follow=True)
    assert users(device) == ["viewer", "homeassistant", "hall"]
    assert not join.RIGHTS.exists()


def arrives(device: Path, name: str, password: str, topic: str, reader: str = "") -> bool:
    """Whether a broker with these users and rights takes what a device says, and gives it back, or to a reader."""
    port = free_port()
    with mosquitto(device, port, more=[f"password_file {join.USERS}", f"acl_file {join.RIGHTS}"]):
        try:
            publish(port, topic, "here", "-u", name, "-P", password, "-q", "1", "-r")
        except subprocess.CalledProcessError:  # not let in
            return False
        hears = [
            "mosquitto_sub",
            "-p",
            str(port),
            "-t",
            topic,
            "-C",
            "1",
            "-W",
            "60",
            "-u",
            reader or name,
            "-P",
            password,
        ]
        return subprocess.run(hears, capture_output=True, check=False).stdout == b"here\n"


def test_a_rename_that_was_cut_off_is_finished_by_the_next(device: Path) -> None:
    join.main()
    settings = join.SETTINGS.read_text()
    join.CONFIG.write_text(RENAMED)
    join.main(follow=True)
    of_hall = join.USERS.read_text() + join.RIGHTS.read_text()
    join.SETTINGS.write_text(settings)
    join.main(follow=True)
    assert join.USERS.read_text() + join.RIGHTS.read_text() == of_hall
    assert join.SETTINGS.read_text() == settings.replace("porch", "hall")


def test_a_user_of_its_owners_is_not_renamed(device: Path) -> None:
    join.main()
    join.CONFIG.write_text(RENAMED)
    own = join.SETTINGS.with_name("own.toml")
    own.write_text('[mqtt]\nuser = "me"\n')
    join.main()
    assert users(device) == ["viewer", "porch"]
    own.unlink()
    join.SETTINGS.write_text(join.SETTINGS.read_text().replace(join.SAID, ""))
    join.main()
    assert users(device) == ["viewer", "porch"]


def test_a_daemon_that_starts_makes_no_user(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has given this broker its users by other means has said so at installation only."""
    join.main(follow=True)
    assert users(device) == ["viewer"]
    join.main()
    join.CONFIG.write_text("[device]\nid = 1\n")
    assert join.main(follow=True) == 0
    assert capsys.readouterr().err == ""


def test_after_a_purge_of_visavis_it_gets_a_new_password_and_no_second_line(device: Path) -> None:
    join.main()
    before = join.PASSWORD.read_text()
    join.SETTINGS.unlink()
    join.main()
    assert join.PASSWORD.read_text() != before
    assert users(device) == ["viewer", "porch"]


@pytest.mark.parametrize(
    "settings", ['[mqtt]\nurl = "mqtt://elsewhere:1883"\n', '[mqtt]\nuser = "me"\n', '[mqtt]\nurl = ""\n']
)
def test_a_device_with_a_broker_or_user_of_its_own_is_left_alone(device: Path, settings: str) -> None:
    join.CONFIG.write_text(DEVICE + settings)
    assert join.main() == 0
    assert users(device) == ["viewer"]
    assert not join.SETTINGS.exists()


def test_a_configuration_that_is_refused_holds_up_no_installation(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    join.CONFIG.write_text("[device]\nid = 1\n")
    assert join.main() == 0
    assert users(device) == ["viewer"]
    assert "mend that and run: python3 " in capsys.readouterr().err


def test_where_users_come_from_elsewhere_none_is_made(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_JOIN", "no")
    assert join.main() == 0
    assert users(device) == ["viewer"]
    assert not join.SETTINGS.exists()


def without_room(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As mosquitto_passwd is where /tmp is full: nothing is wrong, and the file is empty."""
    (device / "mosquitto_passwd").write_text('#!/bin/sh\n: >"$2"\n')
    (device / "mosquitto_passwd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{device}:{os.environ['PATH']}")


def test_a_full_disk_where_passwords_are_hashed_makes_no_user_without_one(
    device: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as full:
        without_room(device, full)
        assert join.main() == 1
        assert "mosquitto_passwd wrote no hash, is there room in" in capsys.readouterr().err
        assert not join.SETTINGS.exists()
    assert join.main() == 0
    assert users(device) == ["viewer", "porch"]


@pytest.mark.parametrize("follow", [False, True])
def test_a_user_whose_line_is_gone_is_brought_back_with_its_password(device: Path, asked: Path, follow: bool) -> None:
    join.main()
    password = join.PASSWORD.read_text().strip()
    join.USERS.write_text("viewer:$7$101$x==\n")
    assert join.main(follow) == 0
    assert users(device) == ["viewer", "porch"]
    assert arrives(device, "porch", password, "visavis/porch/info")
    assert asked.read_text() == "--no-block try-reload-or-restart mosquitto.service\n"
    assert join.main(follow) == 0
    assert asked.read_text().count("\n") == 1


@pytest.mark.parametrize("cut", ["viewer:$7$101$x==", "viewer:$7$101$x==\nporch:$7$101$ZPQ"], ids=["none", "half"])
def test_a_user_is_brought_back_behind_a_line_without_an_end(cut: str, device: Path, asked: Path) -> None:
    """As an editor leaves it, or a full disk."""
    join.main()
    password = join.PASSWORD.read_text().strip()
    join.USERS.write_text(cut)
    assert join.main(follow=True) == 0
    assert join.USERS.read_text().startswith("viewer:$7$101$x==\nporch:$")
    assert arrives(device, "porch", password, "visavis/porch/info")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_whole_line_is_a_user_whatever_its_end(
    end: str, device: Path, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    join.main()
    password = join.PASSWORD.read_text().strip()
    join.PASSWORD.unlink()  # as where it lies encrypted
    join.USERS.write_text(join.USERS.read_text().removesuffix("\n") + end, newline="")
    before = join.USERS.read_bytes()
    assert join.main(follow=True) == 0
    assert (join.USERS.read_bytes(), capsys.readouterr().err) == (before, "")
    assert not asked.exists()
    assert arrives(device, "porch", password, "visavis/porch/info")


def test_what_owners_have_written_in_another_encoding_comes_back_byte_for_byte(device: Path) -> None:
    rights = SHIPPED.read_bytes() + b"# f\xfcr die K\xfcche\r\n# \xe2\x80\xa8\x85\x0b\n"
    others = b"gr\xfcn\xe2\x80\xa8:$7$101$x==\n"
    join.RIGHTS.write_bytes(rights)
    join.USERS.write_bytes(others)
    assert join.main() == 0
    join.CONFIG.write_text(RENAMED)
    assert join.main(follow=True) == 0
    assert join.RIGHTS.read_bytes().startswith(rights + join.FORMER.encode())
    assert join.USERS.read_bytes().startswith(others + b"hall:$7$")
    join.USERS.write_bytes(others)
    assert join.main(follow=True) == 0
    assert join.USERS.read_bytes().startswith(others + b"hall:$7$")


def test_what_an_editor_of_windows_has_saved_is_known_for_ours(device: Path) -> None:
    join.main()
    join.CONFIG.write_text(RENAMED)
    join.main(follow=True)
    for file in (join.SETTINGS, join.RIGHTS):
        file.write_text(file.read_text(), newline="\r\n")
    join.CONFIG.write_text('[device]\nid = "attic"\n')
    assert join.main(follow=True) == 0
    assert users(device) == ["viewer", "attic"]
    assert join.SETTINGS.read_bytes().count(b'user = "attic"\r\n') == 1
    assert join.RIGHTS.read_text() == join.with_former(SHIPPED.read_text(), "hall", "attic", "visavis")
    password = join.PASSWORD.read_text().strip()
    for topic in ("visavis/attic/info", "visavis/hall/events"):
        assert arrives(device, "attic", password, topic)


def test_it_notes_its_password_for_a_purge_also_where_an_older_version_has_not(device: Path) -> None:
    for _twice in range(2):
        join.main()
        subprocess.run(["sha256sum", "--check", "--status", join.NOTE], check=True)
        assert join.PASSWORD.read_text().strip() not in join.NOTE.read_text()
        join.NOTE.unlink()


def test_a_user_whose_line_is_gone_and_password_is_encrypted_is_told(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    join.main()
    join.USERS.write_text("")
    join.PASSWORD.unlink()
    assert join.main(follow=True) == 0
    assert f"has no user porch, and {join.PASSWORD} is not there: rm {join.SETTINGS}" in capsys.readouterr().err
    join.SETTINGS.unlink()
    join.main()
    assert users(device) == ["porch"]


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file can become larger, as on a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_settings_for_which_there_was_no_room_do_not_say_that_all_is_done(device: Path) -> None:
    with room_for(10), pytest.raises(OSError, match="File too large"):
        join.write(join.SETTINGS, "[mqtt]\n" * 10, 0o644)
    join.main()
    assert users(device) == ["viewer", "porch"]


def test_a_disk_without_room_costs_no_user_of_the_broker(device: Path) -> None:
    names = [f"user{number}" for number in range(1_000)]
    join.USERS.write_text("".join(f"{name}:$7$101$x==\n" for name in names))
    join.USERS.chmod(0o640)
    with room_for(4_096), pytest.raises(OSError, match="File too large"):
        join.join("porch")
    assert users(device) == names
    join.join("porch")
    assert users(device) == [*names, "porch"]
    assert stat.S_IMODE(join.USERS.stat().st_mode) == 0o640
    assert {file.name for file in join.USERS.parent.iterdir()} == {join.USERS.name, join.RIGHTS.name}
