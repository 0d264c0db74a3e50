# SPDX-License-Identifier: Apache-2.0
"""Upgrades of visavis-broker by the real dpkg, without a terminal; the real mosquitto says whether it starts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deb import beside
from deb.broker import join
from tests.unit.own_system import BROKER, DEBIANS, MOUNTS, SCRIPTS, STARTED, alone, furnish, program

# Stands for mosquitto.service: it runs from a start that succeeds to one that does not, with what it read then.
SYSTEMCTL = r"""
case "$*" in
"start mosquitto.service" | "try-restart mosquitto.service")
	rm -rf $PLACE/runs
	started $PLACE/log || exit 1
	cp -r /etc/mosquitto $PLACE/runs
	;;
is-failed*) [ ! -d $PLACE/runs ] ;;
is-active*) [ -d $PLACE/runs ] && echo active || { echo failed; exit 3; } ;;
esac"""
ABOUT = "Package: visavis-broker\nArchitecture: all\nMaintainer: us <us@localhost>\nDescription: ours\n"
CONF, RIGHTS, ASIDE = "conf.d/visavis.conf", "visavis.acl", "conf.d/visavis.conf.off"
BAD = "nonsense true\n"
OWN = "conf.d/own.conf"
AS_ANSIBLE = ("--force-confdef", "--force-confold")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A Debian with a mosquitto that runs."""
    furnish(tmp_path)
    for folder in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "debs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    for name in ("mosquitto", "ldconfig", "start-stop-daemon"):
        shutil.copy(shutil.which(name, path="/usr/sbin:/sbin:/usr/bin") or name, tmp_path / "bin" / name)
    program(tmp_path / "bin/systemctl", f"PLACE={tmp_path}\n{STARTED}{SYSTEMCTL}")
    program(tmp_path / "bin/install", 'shift 6; cp /dev/null "$2"')
    program(tmp_path / "bin/chown", "")
    (tmp_path / "etc/mosquitto/mosquitto.conf").write_text(f"{DEBIANS}persistence_location {tmp_path}/\n")
    done = inside(tmp_path, "systemctl start mosquitto.service")
    assert done.returncode == 0, done.stderr
    return tmp_path


def inside(place: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run it in that Debian."""
    own = f"ip link set lo up && {MOUNTS} && PATH=$PWD/bin:/usr/sbin:/usr/bin:/bin"
    return alone(place, f"{own} && {command}", 120)


def package(place: Path, version: str, settings: str = "", rights: str = "") -> Path:
    """A version with these lines more."""
    root = place / "debs" / version
    beside.fill_broker(root)
    for folder in ("usr/lib", "usr/share/doc"):
        shutil.rmtree(root / folder)
    with (root / "etc/mosquitto" / CONF).open("a") as file:
        file.write(settings)
    (shipped,) = root.rglob(RIGHTS)
    first, end, rest = shipped.read_text().partition("%u/#\n")
    shipped.write_text(f"{first}{end}{rights}{rest}")
    return packed(root, version, beside.BROKER_SETTINGS, SCRIPTS / "visavis-broker")


def packed(root: Path, version: str, conffiles: Sequence[str], scripts: Path | None = None) -> Path:
    """The package of what lies there."""
    control = root / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(f"{ABOUT}Version: {version}\n")
    (control / "conffiles").write_text("".join(f"/{file}\n" for file in conffiles))
    for script in scripts.iterdir() if scripts else ():
        shutil.copy(script, control / script.name)
        (control / script.name).chmod(0o755)
    file = root.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, file], check=True, capture_output=True)
    return file


def dpkg(place: Path, *words: str | Path, works: bool = True) -> str:
    """What dpkg says; it has no terminal to ask at."""
    done = inside(place, f"dpkg --force-not-root --no-triggers {' '.join(map(str, words))}")
    assert (done.returncode == 0) == works, done.stdout + done.stderr
    if works and words[0] not in ("--purge", "--remove"):
        assert "Status: install ok installed" in (place / "var/lib/dpkg/status").read_text()
    return done.stdout + done.stderr


def runs(place: Path, file: str) -> str:
    """What the mosquitto that runs has read."""
    return (place / "runs" / file).read_text()


def test_an_upgrade_brings_its_rights_to_a_device_that_was_renamed(place: Path) -> None:
    dpkg(place, "-i", package(place, "1"))
    own = "user me\ntopic read a/#\n"
    renamed(place, own)
    for version in ("2", "3"):
        dpkg(place, "-i", package(place, version, rights=f"pattern deny b/{version}\n"))
        assert f"pattern deny b/{version}\n" in runs(place, RIGHTS)
        assert runs(place, RIGHTS).endswith(join.with_former(own, "porch", "hall", "visavis"))
    assert "pattern deny b/2\n" not in runs(place, RIGHTS)


def renamed(place: Path, own: str) -> None:
    """Give the device another name, and its owner's rights a place before what that leaves."""
    rights = place / "etc/mosquitto" / RIGHTS
    rights.write_text(join.with_former(rights.read_text() + own, "porch", "hall", "visavis"))


@pytest.mark.parametrize("of_dpkgs", [True, False])
def test_rights_that_were_added_in_the_midst_of_ours_stay(place: Path, of_dpkgs: bool) -> None:
    dpkg(place, "-i", setting_of_dpkgs(place, "") if of_dpkgs else package(place, "1"))
    rights = place / "etc/mosquitto" / RIGHTS
    own = "user viewer\ntopic read home/#\n"
    rights.write_text(f"topic read all/#\n{rights.read_text()}".replace("\nuser viewer\n", f"\n{own}"))
    renamed(place, "")
    for version in ("2", "3"):
        dpkg(place, "-i", package(place, version, rights=f"pattern deny b/{version}\n"))
        shipped = (place / "debs" / version / "usr/share/visavis-broker" / RIGHTS).read_text()
        kept = join.with_former(f"# topic read all/#\n\n{own}\n", "porch", "hall", "visavis")
        assert runs(place, RIGHTS) == shipped + kept


@pytest.mark.parametrize("owners", [False, True])
def test_settings_that_mosquitto_does_not_start_with_are_in_force_once_they_are_mended(
    place: Path, owners: bool
) -> None:
    dpkg(place, "-i", package(place, "1"))
    before = runs(place, CONF)
    added = "max_connections 1000\n"
    said = dpkg(place, "-i", package(place, "2", added + BAD, rights="pattern deny b/#\n"), works=False)
    assert "runs as before" in said
    assert (runs(place, CONF), "pattern deny" in runs(place, RIGHTS)) == (before, False)
    dpkg(place, "--configure", "-a", works=False)
    assert (runs(place, CONF), "pattern deny" in runs(place, RIGHTS)) == (before, False)
    if owners:
        aside = place / "etc/mosquitto" / ASIDE
        aside.write_text(aside.read_text().replace(BAD, ""))
        dpkg(place, "--configure", "-a")
    else:
        dpkg(place, "-i", package(place, "3", added, rights="pattern deny b/#\n"))
    assert (runs(place, CONF), "pattern deny" in runs(place, RIGHTS)) == (before + added, True)
    assert not (place / "etc/mosquitto" / ASIDE).exists()


def test_what_was_refused_waits_again_where_the_next_version_cannot_be_unpacked(place: Path) -> None:
    """As with a file that came broken; dpkg then calls the version of before installed."""
    dpkg(place, "-i", package(place, "1"))
    before = runs(place, CONF)
    dpkg(place, "-i", package(place, "2", BAD), works=False)
    broken = package(place, "3", "max_connections 1000\n")
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-200])
    said = dpkg(place, "-i", broken, works=False)
    assert "once it is mended, run `sudo dpkg-reconfigure visavis-broker`" in said
    assert "Status: install ok installed" in (place / "var/lib/dpkg/status").read_text()
    assert (place / "etc/mosquitto" / CONF).read_text() == before
    assert (place / "etc/mosquitto" / ASIDE).read_text().endswith(BAD)
    broken.write_bytes(whole)
    dpkg(place, "-i", broken)
    assert "max_connections 1000" in runs(place, CONF)
    assert not (place / "etc/mosquitto" / ASIDE).exists()


def test_it_says_that_mosquitto_runs_as_before_only_where_it_does(place: Path) -> None:
    """The fault may be in a file of its owner's that mosquitto has not read yet."""
    dpkg(place, "-i", package(place, "1"))
    own = place / "etc/mosquitto" / OWN
    own.write_text(BAD)
    said = dpkg(place, "-i", package(place, "2", "max_connections 1000\n"), works=False)
    assert "as before" not in said
    assert "journalctl -u mosquitto" in said
    own.unlink()
    dpkg(place, "--configure", "-a")
    assert "max_connections 1000" in runs(place, CONF)


def test_settings_that_were_set_aside_come_with_an_upgrade(place: Path) -> None:
    own = place / "etc/mosquitto" / OWN
    own.write_text("listener 1883\n")
    assert '"listener 1883" stands in' in dpkg(place, "-i", package(place, "1"), works=False)
    said = dpkg(place, "-i", package(place, "2", "max_connections 1000\n"), works=False)
    assert '"listener 1883" stands in' in said
    own.unlink()
    dpkg(place, "--configure", "-a")
    assert "max_connections 1000" in runs(place, CONF)
    assert not (place / "etc/mosquitto" / ASIDE).exists()


def setting_of_dpkgs(place: Path, lines: str) -> Path:
    """A version whose rights were a setting of dpkg's, with these lines more."""
    root = place / "debs/0.1"
    for name in (CONF, RIGHTS):
        (root / "etc/mosquitto" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BROKER / Path(name).name, root / "etc/mosquitto" / name)
    with (root / "etc/mosquitto" / RIGHTS).open("a") as rights:
        rights.write(lines)
    return packed(root, "0.1", [*beside.BROKER_SETTINGS, "etc/mosquitto/visavis.acl"])


ADDED = """\
# The log sees all.
user logger
topic read visavis/#

user viewer
topic read home/#
"""


def test_the_way_back_and_there_again_asks_nothing(place: Path) -> None:
    old = setting_of_dpkgs(place, ADDED)
    dpkg(place, "-i", old)
    new = package(place, "2")
    dpkg(place, "-i", new)
    rights = place / "etc/mosquitto" / RIGHTS
    made = rights.read_text()
    assert made.endswith(f"\n{ADDED}")
    dpkg(place, *AS_ANSIBLE, "-i", old)
    assert rights.read_text() == made
    dpkg(place, "-i", new)
    dpkg(place, "--remove", "visavis-broker")
    dpkg(place, "-i", new)
    assert rights.read_text() == made
    dpkg(place, "-i", package(place, "3", BAD, rights="pattern deny b/#\n"), works=False)
    dpkg(place, *AS_ANSIBLE, "-i", new)
    assert (runs(place, RIGHTS), runs(place, CONF)) == (made, (BROKER / "visavis.conf").read_text())
    dpkg(place, "-i", package(place, "4", rights="pattern deny b/#\n"))
    assert "pattern deny b/#\n" in runs(place, RIGHTS)


@pytest.mark.parametrize("owners", ["", "max_keepalive 100\n"])
def test_settings_that_were_bad_do_not_come_back_after_a_rollback_past_the_package_that_set_them_aside(
    place: Path, owners: str
) -> None:
    old = setting_of_dpkgs(place, "")
    dpkg(place, "-i", package(place, "1"))
    conf = place / "etc/mosquitto" / CONF
    conf.write_text(conf.read_text() + owners)
    good = conf.read_text()
    dpkg(place, "--force-confnew", "-i", package(place, "2", BAD), works=False)
    dpkg(place, *AS_ANSIBLE, "-i", old)  # its scripts let lie what waits
    assert (place / "etc/mosquitto" / ASIDE).exists()
    added = "max_connections 1000\n"
    dpkg(place, *AS_ANSIBLE, "-i", package(place, "3", added))
    assert runs(place, CONF) == (good if owners else good + added)
    assert not (place / "etc/mosquitto" / ASIDE).exists()


@pytest.mark.parametrize("of_dpkgs", [True, False])
def test_a_reader_that_was_narrowed_stays_so(place: Path, of_dpkgs: bool) -> None:
    dpkg(place, "-i", setting_of_dpkgs(place, "") if of_dpkgs else package(place, "1"))
    rights = place / "etc/mosquitto" / RIGHTS
    wide, narrow = "user viewer\ntopic read visavis/#\n", "user viewer\ntopic read visavis/porch/#\n"
    rights.write_text(rights.read_text().replace(wide, narrow))
    renamed(place, "")
    for version in ("2", "3"):
        said = dpkg(place, "-i", package(place, version, rights=f"pattern deny b/{version}\n"))
        assert 'without "topic read visavis/#" of user viewer, which was deleted' in said
        shipped = (place / "debs" / version / "usr/share/visavis-broker" / RIGHTS).read_text()
        kept = join.with_former(f"{narrow}\n", "porch", "hall", "visavis")
        assert runs(place, RIGHTS) == shipped.replace(wide, "user viewer\n") + kept
    rights.write_text(rights.read_text() + wide)
    assert "deleted" not in dpkg(place, "-i", package(place, "4"))
    assert wide in runs(place, RIGHTS)


def delete(place: Path, right: str, end: str = "\n") -> None:
    """As its owner does, with an editor that may write other ends of lines."""
    rights = place / "etc/mosquitto" / RIGHTS
    text = rights.read_text()
    assert right in text
    rights.write_text(text.replace(right, ""), newline=end)


def cut_off(place: Path, version: str) -> str:
    """What dpkg says of a version whose file came broken; it then calls the one before installed."""
    broken = package(place, version)
    broken.write_bytes(broken.read_bytes()[:-200])
    return dpkg(place, "-i", broken, works=False)


AGAIN = ("--configure", "-i 3", "cut off, reconfigure", "cut off, -i 3")


def go_on(place: Path, then: str, rights: str) -> None:
    """What an owner does after version 2 has failed; version 3 has these rights more."""
    if "cut off" in then:
        cut_off(place, "2.5")
    if "-i 3" in then:
        dpkg(place, "-i", package(place, "3", rights=rights))
    elif "reconfigure" in then:  # as dpkg-reconfigure does
        done = inside(place, "sh var/lib/dpkg/info/visavis-broker.postinst configure 2")
        assert done.returncode == 0, done.stderr
    else:
        dpkg(place, "--configure", "-a")


@pytest.mark.parametrize("then", AGAIN)
@pytest.mark.parametrize("why", ["no user", "refused"])
def test_a_right_that_was_deleted_stays_so_where_an_upgrade_is_run_again(place: Path, why: str, then: str) -> None:
    """As where the disk was too full to make this device a user, or where mosquitto did not take the settings."""
    deleted, others = "pattern deny b/#\n", "pattern deny c/#\n"
    dpkg(place, "-i", package(place, "1", rights=deleted))
    delete(place, deleted)
    program(place / "bin/visavis-capture", "")
    program(place / "bin/python3", f"exit {int(why == 'no user')}")
    dpkg(place, "-i", package(place, "2", BAD if why == "refused" else "", rights=deleted + others), works=False)
    program(place / "bin/python3", "exit 0")
    aside = place / "etc/mosquitto" / ASIDE
    if aside.exists():
        aside.write_text(aside.read_text().replace(BAD, ""))
    go_on(place, then, deleted)
    assert (deleted in runs(place, RIGHTS), others in runs(place, RIGHTS)) == (False, "-i 3" not in then)
    dpkg(place, "-i", package(place, "4", rights=deleted))
    assert deleted not in runs(place, RIGHTS)


@pytest.mark.parametrize("then", AGAIN)
def test_a_new_right_that_was_deleted_before_an_upgrade_came_to_its_end_stays_so(place: Path, then: str) -> None:
    deleted = "pattern deny b/#\n"
    dpkg(place, "-i", package(place, "1"))
    program(place / "bin/visavis-capture", "")
    program(place / "bin/python3", "exit 1")
    dpkg(place, "-i", package(place, "2", rights=deleted), works=False)
    program(place / "bin/python3", "exit 0")
    delete(place, deleted)
    go_on(place, then, deleted)
    assert deleted not in (place / "etc/mosquitto" / RIGHTS).read_text()


@pytest.mark.parametrize("then", ["1", "3"])
def test_a_right_that_was_added_stays_where_an_upgrade_that_brings_it_is_refused(place: Path, then: str) -> None:
    added = "pattern read c/#\n"
    first = package(place, "1")
    dpkg(place, "-i", first)
    rights = place / "etc/mosquitto" / RIGHTS
    rights.write_text(rights.read_text() + added)
    for _twice in range(2):
        dpkg(place, "-i", package(place, "2", BAD, rights=added), works=False)
        shutil.rmtree(place / "debs/2")
        dpkg(place, "--configure", "-a", works=False)
    dpkg(place, *AS_ANSIBLE, "-i", first if then == "1" else package(place, "3"))
    assert runs(place, RIGHTS).endswith(f"\n{added}")
    dpkg(place, "-i", package(place, "4"))
    assert runs(place, RIGHTS).endswith(f"\n{added}")


def test_rights_that_an_editor_of_windows_has_saved_are_ours_all_the_same(place: Path) -> None:
    deleted, own = "pattern deny b/#\n", "pattern read c/#\n"
    dpkg(place, "-i", package(place, "1", rights=deleted))
    rights = place / "etc/mosquitto" / RIGHTS
    rights.write_text(rights.read_text() + own)
    delete(place, deleted, end="\r\n")
    assert dpkg(place, "-i", package(place, "2", rights=deleted)).count("which was deleted") == 1
    assert runs(place, RIGHTS) == (BROKER / RIGHTS).read_text() + own


def test_a_first_installation_that_cannot_be_unpacked_names_no_way_that_dpkg_does_not_have(place: Path) -> None:
    dpkg(place, "-i", package(place, "1"))
    dpkg(place, "-i", package(place, "2", BAD), works=False)
    dpkg(place, "--remove", "visavis-broker")
    assert "dpkg-reconfigure" not in cut_off(place, "3")
    assert (place / "etc/mosquitto" / ASIDE).read_text().endswith(BAD)


def test_what_a_way_back_took_of_the_rights_is_not_taken_for_deleted(place: Path) -> None:
    dpkg(place, "-i", package(place, "1", rights="pattern deny b/#\n"))
    dpkg(place, *AS_ANSIBLE, "-i", setting_of_dpkgs(place, ""))
    shutil.copy(BROKER / RIGHTS, place / "etc/mosquitto" / RIGHTS)  # the owner has that version's
    assert "deleted" not in dpkg(place, "-i", package(place, "2", rights="pattern deny b/#\n"))
    assert "pattern deny b/#\n" in runs(place, RIGHTS)


def test_rights_that_a_power_cut_has_left_empty_are_made_again(place: Path) -> None:
    """mosquitto would take and throw away what the device tells, and an owner who has deleted all says so otherwise."""
    dpkg(place, "-i", package(place, "1"))
    (place / "etc/mosquitto" / RIGHTS).write_text("")
    said = dpkg(place, "-i", package(place, "2"))
    assert "deleted" not in said
    assert f"{RIGHTS} was empty and has the rights of this version" in said
    assert runs(place, RIGHTS) == (BROKER / RIGHTS).read_text()
    (place / "etc/mosquitto" / RIGHTS).write_text("# nothing\n")
    assert "deleted" in dpkg(place, "-i", package(place, "3"))
    assert not [line for line in runs(place, RIGHTS).splitlines() if line.startswith(("topic", "pattern"))]


def test_a_purge_leaves_nothing_in_mosquittos_folder(place: Path) -> None:
    dpkg(place, "-i", setting_of_dpkgs(place, ADDED))
    dpkg(place, "-i", package(place, "1"))
    dpkg(place, "-i", package(place, "2", BAD), works=False)
    dpkg(place, "--configure", "-a", works=False)
    dpkg(place, "--purge", "visavis-broker")
    assert [path.name for path in (place / "etc/mosquitto").rglob("*") if path.is_file()] == ["mosquitto.conf"]
