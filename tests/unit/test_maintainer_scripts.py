# SPDX-License-Identifier: Apache-2.0
"""What dpkg and systemd run of our packages, with a /run and an /etc of its own, and programs that only note calls."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from deb.broker import join
from tests.unit.own_system import BROKER, DEBIANS, MOUNTS, RUNS, SCRIPTS, STARTED, alone, asked, noting, program, ran

UNITS = SCRIPTS.parents[1] / "systemd"
SETTINGS = ("conf.d/visavis.conf", "visavis.acl")
SHIPPED = "usr/share/visavis-broker/visavis.acl"
NOTE = "run/visavis-broker.before"
CUT_OFF = "systemctl try-restart mosquitto.service"
START = "systemctl start --no-block visavis.target"
ENABLE = [
    f"systemctl enable -q {unit}"
    for unit in ("visavis.target", "visavis-frames.socket", "visavis-capture.service", "visavis-infer@1.service")
]
SETTINGS_FILE = "etc/mosquitto/conf.d/visavis.conf"
ASIDE = f"{SETTINGS_FILE}.off"
OUR_LINES = [line for line in (BROKER / "visavis.conf").read_text().splitlines() if line and line[0] != "#"]
OWN = "conf.d/own.conf"
TAKEN = ("listener 1883", "listener 1883 127.0.0.1", "listener 1883 0.0.0.0", "  listener  01883  ", "port 1883")
FREE = ("listener 1883 127.0.0.2", "listener 1883 ::1", "listener 18830", "# listener 1883", "port 1884")
EACH_LISTENER = "per_listener_settings true\nlistener 1999\npassword_file /etc/own\nacl_file /etc/own"
STARTED_ANEW = ["systemctl reset-failed mosquitto.service", "systemctl start mosquitto.service"]
NEW_USER = ["systemctl try-reload-or-restart mosquitto.service", "systemctl try-restart visavis-capture.service"]
# Until it is restarted beside bad settings, mosquitto runs.
BROKEN_BY_OURS = f"""\
echo "systemctl $*" >>calls
case "$*" in
try-restart*) ! grep -q bad /{SETTINGS_FILE} || touch down ;;
start*) ! grep -qs bad /{SETTINGS_FILE} && rm -f down ;;
is-active*) [ ! -e down ] && echo active || {{ echo activating; exit 3; }} ;;
esac"""
LINKS = ("multi-user.target.wants/visavis.target", "visavis.target.wants/visavis-infer@2.service")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return noting(tmp_path)


def enables_or_starts(called: list[str]) -> list[str]:
    return [call for call in called if call in (*ENABLE, START)]


def test_the_services_start_unless_policy_says_that_nothing_does(place: Path) -> None:
    first = ran(place, "visavis/postinst", "configure", "")
    assert enables_or_starts(first) == [*ENABLE, START]
    for code, starts in ((0, True), (104, True), (101, False)):
        program(place / "sbin/policy-rc.d", f'[ "$*" = "visavis.target start" ] || exit 1\nexit {code}')
        called = ran(place, "visavis/postinst", "configure", "")
        assert called == (first if starts else [call for call in first if call != START])


def test_in_a_chroot_all_is_enabled_and_nothing_started(place: Path) -> None:
    """As by pi-gen, debootstrap or packer: no later version of ours enables it."""
    (place / "run/systemd/system").rmdir()
    assert enables_or_starts(ran(place, "visavis/postinst", "configure", "")) == ENABLE
    assert not [call for call in ran(place, "visavis/postinst", "configure", "0.1.0") if "systemctl" in call]


def test_a_disk_that_is_too_full_for_compiled_files_does_not_stop_an_upgrade(place: Path) -> None:
    program(place / "bin/python3", "exit 1")
    assert "systemctl try-restart visavis-capture.service" in ran(place, "visavis/postinst", "configure", "0.1.0")
    assert "starts will be slower" in (place / "errors").read_text()


def test_what_our_udev_rules_are_about_is_given_to_its_group_at_once(place: Path) -> None:
    rules = (SCRIPTS.parents[1] / "systemd/udev/70-visavis.rules").read_text()
    subsystems = set(re.findall(r'^SUBSYSTEM=="(\w+)"', rules, re.MULTILINE))
    assert len(subsystems) > 2
    called = " ".join(call for call in ran(place, "visavis/postinst", "configure", "") if call.startswith("udevadm"))
    assert set(re.findall(r"--subsystem-match=(\w+)", called)) == subsystems


def enabled(place: Path) -> list[Path]:
    """Links as `systemctl enable` makes them, of the target and of a second worker that an owner has added."""
    links = [place / "etc/systemd/system" / link for link in LINKS]
    for link in links:
        link.parent.mkdir(parents=True)
        link.symlink_to(f"/usr/lib/systemd/system/{link.name}")
    return links


def after_a_removal(place: Path) -> list[str]:
    """What an installation has called that enables or starts, where this version was removed and not purged."""
    assert not [call for call in ran(place, "visavis/prerm", "remove") if " disable " in call]
    ran(place, "visavis/postrm", "remove")
    ran(place, "visavis/preinst", "install", "0.1.0", "0.0.1")
    return enables_or_starts(ran(place, "visavis/postinst", "configure", "0.1.0"))


def test_what_was_enabled_before_a_removal_starts_again(place: Path) -> None:
    links = enabled(place)
    assert after_a_removal(place) == [START]
    assert all(link.is_symlink() for link in links)
    ran(place, "visavis/postrm", "purge")
    assert not any(link.is_symlink() for link in links)


def test_what_a_removal_has_disabled_is_enabled_again(place: Path) -> None:
    """As it was with versions whose removal disabled everything."""
    assert after_a_removal(place) == [*ENABLE, START]


def test_what_its_owner_has_disabled_does_not_start_after_a_removal(place: Path) -> None:
    enabled(place)[0].unlink()
    program(place / "bin/systemctl", 'echo "systemctl $*" >>calls; [ "$1" != is-failed ] && [ "$1" != is-enabled ]')
    assert after_a_removal(place) == []


@pytest.fixture
def unit(place: Path) -> str:
    """A service of ours that the real systemctl masks and enables, and nothing starts."""
    shutil.copytree(UNITS, place / "units", ignore=lambda _folder, names: {name for name in names if "." not in name})
    really = f'case "$1" in *able* | *mask) SYSTEMD_OFFLINE=1 exec {shutil.which("systemctl")} "$@" ;; esac'
    program(place / "bin/systemctl", f'set -e\n{RUNS}\n[ "$*" != "enable -q $(cat refused)" ]\n{really}')
    (place / "refused").touch()
    return "visavis-capture.service"


def linked_and_masked(place: Path, unit: str, until: str, code: int = 0) -> tuple[bool, bool]:
    """What a first installation leaves of a unit that is masked."""
    mask = place / until / "systemd/system" / unit
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.symlink_to("/dev/null")
    mounts = f"{MOUNTS} && mount --bind units /usr/lib/systemd/system"
    called = ran(place, "visavis/postinst", "configure", "", code=code, mounts=mounts)
    assert not [call for call in asked(called) if "start" in call and call != START]
    return (place / "etc/systemd/system/visavis.target.wants" / unit).is_symlink(), mask.is_symlink()


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="a machine without systemd")
def test_what_its_owner_has_masked_before_the_first_installation_stays_so(unit: str, place: Path) -> None:
    assert linked_and_masked(place, unit, "etc") == (False, True)


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="a machine without systemd")
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_masked_until_the_next_boot_starts_with_that(fails: bool, unit: str, place: Path) -> None:
    """No later run of the package enables it."""
    if fails:
        (place / "refused").write_text(unit)
    assert linked_and_masked(place, unit, "run", code=int(fails)) == (not fails, True)


def test_a_unit_that_cannot_be_stopped_keeps_no_package_from_being_removed(place: Path) -> None:
    program(place / "bin/systemctl", 'echo "systemctl $*" >>calls; exit 5')
    assert any("stop" in call for call in ran(place, "visavis/prerm", "remove"))


@pytest.mark.parametrize(("word", "compiles"), [("configure", 1), ("abort-upgrade", 1), ("abort-remove", 0)])
def test_whose_upgrade_was_refused_has_its_compiled_files_again(word: str, compiles: int, place: Path) -> None:
    called = ran(place, "visavis/postinst", word, "0.1.0")
    assert len([call for call in called if "compileall" in call]) == compiles


def test_an_upgrade_after_it_enables_and_starts_nothing(place: Path) -> None:
    """Its owner may have disabled or stopped what is not running."""
    after_a_removal(place)
    ran(place, "visavis/preinst", "upgrade", "0.1.0", "0.2.0")
    called = ran(place, "visavis/postinst", "configure", "0.1.0")
    assert enables_or_starts(called) == []


@pytest.mark.parametrize("script", ["visavis/postinst", "visavis-tensorrt/postinst", "visavis-tensorrt/postrm"])
def test_a_worker_that_takes_long_to_start_does_not_hold_apt(script: str, place: Path) -> None:
    called = ran(place, script, "remove" if "postrm" in script else "configure", "0.1.0")
    workers = [call for call in called if "visavis-infer@" in call]
    assert workers == ["within 60 s: systemctl try-restart visavis-infer@*.service"]


def test_a_build_asks_for_the_change_over_and_does_not_wait_for_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd kills what takes long after a service's end."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(place))
    for state, calls in (("built", ["systemctl restart --no-block visavis-change-over.service"]), ("kept", [])):
        (place / "said").write_text(f'{{"state": "{state}"}}\n')
        assert ran(place, "../tensorrt/build-done") == calls
    (place / "said").unlink()
    assert ran(place, "../tensorrt/build-done") == []


@pytest.mark.parametrize(("fails", "restarted"), [("none", ["1", "2", "3"]), ("2", ["1", "2"])])
def test_workers_change_over_one_by_one_until_one_does_not_come_back(
    fails: str, restarted: list[str], place: Path
) -> None:
    worker = "visavis-infer@{}.service"
    listed = "; ".join(f"echo {worker.format(n)} loaded active" for n in (1, 2, 3))
    restart = f'echo "$2" >>calls; [ "$2" != {worker.format(fails)} ]'
    program(place / "bin/systemctl", f'if [ "$1" = list-units ]; then {listed}; else {restart}; fi')
    assert ran(place, "../tensorrt/change-over", code=int(fails != "none")) == [worker.format(n) for n in restarted]


def deliver(place: Path, of: str) -> None:
    """Put mosquitto's settings as a version of ours has them, as dpkg does between preinst and postinst."""
    for file in (SETTINGS_FILE, SHIPPED):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(f"# {Path(file).name} {of}\n# What you add stands below.\n")


def upgraded(place: Path, to: str) -> list[str]:
    """What an upgrade to a version with these settings has asked of services."""
    assert asked(ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")) == []
    deliver(place, to)
    return asked(ran(place, "visavis-broker/postinst", "configure", "0.1.0"))


def test_an_upgrade_cuts_the_brokers_clients_off_only_for_settings_that_have_changed(place: Path) -> None:
    ran(place, "visavis-broker/preinst", "install")
    deliver(place, "of 0.1")
    assert CUT_OFF in ran(place, "visavis-broker/postinst", "configure", "")
    assert upgraded(place, "of 0.1") == []
    assert CUT_OFF in upgraded(place, "of 0.2")
    assert upgraded(place, "of 0.2") == []
    assert not (place / NOTE).exists()


@pytest.mark.parametrize("lost", SETTINGS)
def test_the_broker_starts_anew_where_it_ran_without_one_of_its_settings(lost: str, place: Path) -> None:
    deliver(place, "of 0.1")
    ran(place, "visavis-broker/postinst", "configure", "")
    (place / "etc/mosquitto" / lost).unlink()
    assert CUT_OFF in upgraded(place, "of 0.1")


def test_a_broker_that_does_not_start_with_ours_runs_as_before(place: Path) -> None:
    """With a first installation without our settings, with an upgrade on those of before; apt hears it."""
    program(place / "bin/systemctl", BROKEN_BY_OURS)
    deliver(place, "of 0.1, bad")
    first = ran(place, "visavis-broker/postinst", "configure", "", code=1)
    assert asked(first)[-2:] == STARTED_ANEW
    assert "`journalctl -u mosquitto`" in (place / "errors").read_text()
    assert not (place / SETTINGS_FILE).exists()
    assert (place / ASIDE).read_text() == "# visavis.conf of 0.1, bad\n# What you add stands below.\n"
    ran(place, "visavis-broker/preinst", "install", "")
    deliver(place, "of 0.1")
    ran(place, "visavis-broker/postinst", "configure", "")
    ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")
    deliver(place, "of 0.2, bad")
    upgrade = ran(place, "visavis-broker/postinst", "configure", "0.1.0", code=1)
    assert asked(upgrade)[-2:] == STARTED_ANEW
    assert stand(place) == ["# visavis.conf of 0.1", "# visavis.acl of 0.1"]
    program(place / "bin/systemctl", RUNS)
    assert CUT_OFF in ran(place, "visavis-broker/postinst", "configure", "0.1.0")
    assert stand(place) == ["# visavis.conf of 0.2, bad", "# visavis.acl of 0.2, bad"]


@pytest.mark.parametrize("ran_before", [True, False])
def test_an_upgrade_that_cannot_be_unpacked_puts_nothing_into_force(ran_before: bool, place: Path) -> None:
    program(place / "bin/systemctl", BROKEN_BY_OURS)
    program(place / "bin/dpkg-query", "echo 0.2.0")
    if ran_before:
        deliver(place, "of 0.1")
        ran(place, "visavis-broker/postinst", "configure", "")
        ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")
    deliver(place, "of 0.2, bad")
    ran(place, "visavis-broker/postinst", "configure", "0.1.0" if ran_before else "", code=1)
    before = held(place)
    assert ASIDE in before
    for _twice in range(2):
        ran(place, "visavis-broker/preinst", "upgrade", "0.2.0", "0.3.0")
        ran(place, "visavis-broker/postrm", "abort-upgrade", "0.2.0", "0.3.0")
        ran(place, "visavis-broker/postinst", "abort-upgrade", "0.3.0")
        assert held(place) == before


def held(place: Path) -> dict[str, bytes]:
    """The files by which the package knows what is in force."""
    files = [file for folder in ("etc/mosquitto", "var/lib", "run") for file in (place / folder).rglob("*")]
    return {
        str(file.relative_to(place)): file.read_bytes()
        for file in files
        if file.is_file() and file.suffix != ".dpkg-old"
    }


def stand(place: Path) -> list[str]:
    """What a mosquitto that starts now reads."""
    return [(place / "etc/mosquitto" / name).read_text().splitlines()[0] for name in SETTINGS]


def test_settings_that_were_set_aside_are_back_once_nothing_is_in_the_way(place: Path) -> None:
    settle(place)
    own = place / "etc/mosquitto/conf.d/own.conf"
    own.write_text("listener 1883\n")
    assert asked(ran(place, "visavis-broker/postinst", "configure", "", code=1)) == []
    assert '"listener 1883" stands in /etc/mosquitto/conf.d/own.conf' in (place / "errors").read_text()
    assert (place / ASIDE).read_bytes() == (BROKER / "visavis.conf").read_bytes()
    own.write_text("listener 1885\n")
    assert CUT_OFF in ran(place, "visavis-broker/postinst", "configure", "")
    assert (place / SETTINGS_FILE).exists()
    assert not (place / ASIDE).exists()


def test_a_purge_starts_a_broker_that_failed_and_leaves_nothing(place: Path) -> None:
    program(place / "bin/systemctl", 'echo "systemctl $*" >>calls')  # is-failed says yes
    (place / ASIDE).touch()
    called = asked(ran(place, "visavis-broker/postrm", "purge"))
    assert called[:2] == STARTED_ANEW
    assert not (place / ASIDE).exists()


JOINED = (str(join.SETTINGS)[1:], str(join.UNIT)[1:])
PASSWORD = str(join.PASSWORD)[1:]


@pytest.mark.parametrize(
    ("ours", "owners", "gone"),
    [
        (JOINED, (), True),
        (JOINED[1:], (), True),  # join.py was cut off
        (JOINED[1:], JOINED[:1], False),  # the daemon is another broker's
        ((), JOINED, False),
        ((), (), False),
    ],
)
def test_a_purge_removes_the_login_that_join_made_and_none_of_its_owners(
    ours: tuple[str, ...], owners: tuple[str, ...], gone: bool, place: Path
) -> None:
    for names, first in ((ours, join.SAID), (owners, "# mine\n"), ((PASSWORD,), "word\n")):
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(first)
    ran(place, "visavis-broker/postrm", "purge")
    assert {(place / name).exists() for name in (*ours, *owners, PASSWORD)} == {not gone}


def note_of(password: bytes) -> str:
    return f"{hashlib.sha256(password).hexdigest()}  {join.PASSWORD}\n"


@pytest.mark.parametrize(
    ("note", "owners", "gone"),
    [
        (note_of(b"word\n"), (), True),
        (note_of(b"other\n"), (), False),
        (note_of(b"word\n"), JOINED[:1], False),  # of another visavis, for another broker
        (note_of(b"word\n"), JOINED[1:], False),
    ],
    ids=["ours", "another", "another's settings", "another's drop-in"],
)
def test_a_purge_knows_the_password_that_join_made_when_visavis_went_before(
    note: str, owners: tuple[str, ...], gone: bool, place: Path
) -> None:
    files = {name: join.SAID for name in JOINED}
    for name, text in {**files, PASSWORD: "word\n", str(join.NOTE)[1:]: note}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    ran(place, "visavis/postrm", "purge")
    assert not [name for name in JOINED if (place / name).exists()]
    for name in owners:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("# mine\n")
    ran(place, "visavis-broker/postrm", "purge")
    assert (place / PASSWORD).exists() != gone
    assert all((place / name).exists() for name in owners)


def test_a_purge_leaves_a_drop_in_of_its_owners_the_password_without_which_the_daemon_does_not_start(
    place: Path,
) -> None:
    for name, text in ((JOINED[0], join.SAID.replace("\n", "\r\n")), (JOINED[1], "# mine\n"), (PASSWORD, "word\n")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, newline="")
    ran(place, "visavis-broker/postrm", "purge")
    assert [(place / name).exists() for name in (*JOINED, PASSWORD)] == [False, True, True]


@pytest.mark.parametrize("folder", ["var/lib/visavis", "var/cache/visavis"])
def test_a_purge_empties_a_disk_that_is_mounted_for_our_files(folder: str, place: Path) -> None:
    """Nobody can remove a mount point, and what stays must not keep a package from ever being purged."""
    other, disk, link = place / "var/lib/other", place / "disk", place / "etc/systemd/system/x.wants/visavis.target"
    for one in (other, disk / "lost+found", place / folder, link.parent):
        one.mkdir(parents=True)
    (disk / ".faces").touch()
    (disk / "elsewhere").symlink_to(other)
    link.symlink_to("/none")
    ran(place, "visavis/postrm", "purge", mounts=f"{MOUNTS} && mount --bind disk /{folder}")
    assert list(disk.iterdir()) == []
    assert other.is_dir()
    assert not link.is_symlink()
    ran(place, "visavis/postrm", "purge")
    assert not (place / folder).exists()


def settle(place: Path) -> None:
    """Put our real settings beside a mosquitto.conf as Debian has it."""
    shutil.copy(BROKER / "visavis.conf", place / SETTINGS_FILE)
    for rights in (place / "etc/mosquitto/visavis.acl", place / SHIPPED):
        rights.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BROKER / "visavis.acl", rights)
    (place / "etc/mosquitto/visavis.passwd").touch()
    (place / "etc/mosquitto/mosquitto.conf").write_text(DEBIANS)


def starts(place: Path) -> bool:
    """Whether the real mosquitto does with what stands there."""
    command = "mount --bind etc /etc && ip link set lo up && PATH=/usr/sbin:$PATH && started $PWD/log"
    return alone(place, f"{STARTED}{command}", 60).returncode == 0


@pytest.mark.parametrize(
    ("file", "own"),
    [
        *((OWN, line) for line in (*TAKEN, *FREE, "password_file /etc/own", " acl_file /etc/own", EACH_LISTENER)),
        *(("mosquitto.conf", line) for line in ("listener 1883", "port 1883", "acl_file /etc/own")),
    ],
)
def test_nothing_is_put_beside_what_mosquitto_would_not_start_with(file: str, own: str, place: Path) -> None:
    settle(place)
    (place / "etc/own").touch()
    with (place / "etc/mosquitto" / file).open("a") as text:
        text.write(f"{own}\n")
    good = starts(place)
    called = asked(ran(place, "visavis-broker/postinst", "configure", "", code=int(not good)))
    assert (CUT_OFF in called) == good
    assert (place / ASIDE).exists() != good
    assert starts(place)


def test_all_else_of_our_settings_may_stand_twice(place: Path) -> None:
    settle(place)
    twice = [line for line in OUR_LINES if not line.startswith(("listener", "password_file", "acl_file"))]
    assert len(twice) == len(OUR_LINES) - 3
    (place / "etc/mosquitto" / OWN).write_text("\n".join(twice) + "\n")
    assert starts(place)


@pytest.mark.parametrize("deleted", SETTINGS)
def test_what_its_owner_has_deleted_does_not_stop_an_upgrade(deleted: str, place: Path) -> None:
    deliver(place, "of 0.1")
    ran(place, "visavis-broker/postinst", "configure", "")
    (place / "etc/mosquitto" / deleted).unlink()
    assert CUT_OFF in ran(place, "visavis-broker/postinst", "configure", "0.1.0")


def test_an_upgrade_that_was_cut_off_is_not_forgotten_by_the_next(place: Path) -> None:
    deliver(place, "of 0.1")
    ran(place, "visavis-broker/postinst", "configure", "")
    ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")
    deliver(place, "of 0.2")
    assert CUT_OFF in upgraded(place, "of 0.2")


def test_nothing_is_noted_where_no_broker_runs(place: Path) -> None:
    """As in a root that an image is made of."""
    (place / "run/systemd/system").rmdir()
    deliver(place, "of 0.1")
    ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")
    assert not (place / NOTE).exists()


def test_a_device_that_becomes_a_user_starts_anew_with_its_broker(place: Path) -> None:
    program(place / "bin/visavis-capture", "")
    program(place / "bin/python3", "mkdir -p /etc/visavis/conf.d && echo joined >/etc/visavis/conf.d/broker.toml")
    deliver(place, "of 0.1")
    assert asked(ran(place, "visavis-broker/postinst", "configure", ""))[-2:] == NEW_USER
    for once_more in (upgraded(place, "of 0.1"), asked(ran(place, "visavis-broker/postinst", "triggered"))):
        assert once_more == []
    program(place / "bin/python3", "echo renamed >/etc/visavis/conf.d/broker.toml")
    assert asked(ran(place, "visavis-broker/postinst", "triggered")) == NEW_USER
