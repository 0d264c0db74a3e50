# SPDX-License-Identifier: Apache-2.0
"""What a device makes of the file that its owner leaves on the boot partition, and of its first start."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from visavis_device.first_boot import CHECK, Places, check, make_identity, prepare, take_settings, tell_failure

from tests.unit.test_device_settings import KEY, WHOLE

ROOT = Path(__file__).resolve().parents[2]
FIRST_STAGE = ROOT / "firmware-image/rootfs/etc/initramfs-tools/scripts"
CANNOT_KEEP, IS_IT_FULL = (
    "This device cannot keep a name, a claim code or SSH keys of its own",
    "Is its data partition full?",
)
PATHS = os.pathsep.join(map(str, [ROOT / "firmware-image/device", ROOT / "trt-infer"]))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A device's folders; this machine has no group visavis, and keeps its name."""
    found = Places(tmp_path / "root", tmp_path / "boot", tmp_path / "run")
    (found.root / "etc/ssh").mkdir(parents=True)
    found.boot.mkdir()
    monkeypatch.setattr("visavis_device.first_boot.shutil.chown", lambda path, group: None)
    monkeypatch.setattr("visavis_device.first_boot.socket.sethostname", lambda name: None)
    return found


def test_a_device_makes_its_own_name_keys_and_code_once(places: Places) -> None:
    make_identity(places)
    first = {path: path.read_bytes() for path in places.root.rglob("*") if path.is_file()}
    assert {path.name for path in first} >= {"hostname", "claim-code", "ssh_host_ed25519_key", "50-device.toml"}
    make_identity(places)
    assert {path: path.read_bytes() for path in places.root.rglob("*") if path.is_file()} == first


@pytest.mark.parametrize("left", [b"", b"\0" * 20], ids=["empty", "zeros"])
def test_what_a_power_cut_left_empty_is_made_again(left: bytes, places: Places) -> None:
    make_identity(places)
    for name in ("etc/hostname", "etc/visavis/claim-code", "etc/ssh/ssh_host_ed25519_key"):
        (places.root / name).write_bytes(left)
    make_identity(places)
    for name in ("etc/hostname", "etc/visavis/claim-code", "etc/ssh/ssh_host_ed25519_key"):
        assert (places.root / name).read_text().strip("\0")


def test_a_full_disk_that_takes_no_ssh_keys_is_told_and_fills_no_further(tmp_path: Path) -> None:
    """ssh-keygen ends well then. On disks of one block more each, since each key needs one."""
    told = """
import sys
from pathlib import Path
from visavis_device.first_boot import make_ssh_keys, tell_failure
print(tell_failure(lambda: make_ssh_keys(Path(sys.argv[1]))) or "good")"""
    script = f"""
        for blocks in 1 2 3 4 5 6 7 8; do
            mount -t tmpfs -o size=$((4 * blocks))k none {tmp_path} && mkdir -p {tmp_path}/etc/ssh
            {sys.executable} -c "$0" {tmp_path}; {sys.executable} -c "$0" {tmp_path} && ls {tmp_path}/etc/ssh
            umount {tmp_path}
        done"""
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, told]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": PATHS})
    said = {line for line in answer.stdout.splitlines() if not line.startswith("ssh_host_")}
    assert said == {
        "good",
        f"{CANNOT_KEEP}: {tmp_path}/etc/ssh/ssh_host_ed25519_key is missing or damaged. {IS_IT_FULL}",
    }
    names = {f"ssh_host_{kind}_key{end}" for kind in ("rsa", "ecdsa", "ed25519") for end in ("", ".pub")}
    assert set(answer.stdout.splitlines()) - said == names


def test_a_copy_of_a_key_that_looks_like_a_draft_stays(places: Places) -> None:
    make_identity(places)
    (places.root / "etc/ssh/ssh_host_rsa_key").rename(copy := places.root / "etc/ssh/ssh_host_rsa_key.backup2026")
    make_identity(places)
    assert copy.exists()


def test_an_ssh_key_that_cannot_be_used_is_told(places: Places) -> None:
    make_identity(places)
    key = places.root / "etc/ssh/ssh_host_rsa_key"
    key.write_bytes(key.read_bytes()[:1000])
    assert tell_failure(lambda: make_identity(places)) == f"{CANNOT_KEEP}: {key} is missing or damaged. {IS_IT_FULL}"


def test_settings_are_applied_and_the_file_is_removed(places: Places) -> None:
    (places.boot / "visavis.toml").write_text(WHOLE)
    sentence, good = take_settings(places, lambda _: "")
    assert good
    assert "was applied and removed" in sentence
    assert not (places.boot / "visavis.toml").exists()
    assert (places.root / "etc/hostname").read_text() == "porch\n"
    assert (places.root / "etc/visavis/mqtt.password").stat().st_mode & 0o777 == 0o640


def test_settings_that_would_be_lost_stay_on_the_boot_partition_and_that_is_said(places: Places) -> None:
    file = places.boot / "visavis.toml"
    file.write_text(WHOLE)
    first_stage_without_a_disk(places)
    for _ in range(2):  # at each start anew
        sentence, good = take_settings(places, lambda _: "")
        assert not good
        assert "visavis.toml was applied for this run only and stays: the data partition cannot be written" in sentence
        assert "factory-reset" in sentence
        assert file.read_text() == WHOLE
        assert (places.root / "etc/hostname").read_text() == "porch\n"


def first_stage_without_a_disk(places: Places) -> None:
    """Run the image's own script as where no data partition can be used; what it leaves in /run is what a start has."""
    said = first_stage(places, {"systemd-repart": "exit 1"})
    assert "An empty file named factory-reset" in said
    assert (places.run / "visavis-data-lost").exists(), "the gate of updates looks for it"


def first_stage(places: Places, programs: dict[str, str]) -> str:
    """Run the image's own script with some programs replaced by lines of shell; returns what the console shows."""
    scripts, folder = places.root.parent / "scripts", places.root.parent / "programs"
    for made in (scripts, folder, places.root / "data", places.root / "var", places.run):
        made.mkdir(exist_ok=True)
    (scripts / "functions").write_text("wait_for_udev() { :; }\n")
    for name in ("visavis-partitions", "visavis-data"):
        shutil.copy(FIRST_STAGE / name, scripts)
    for name, lines in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    text = (FIRST_STAGE / "local-bottom/visavis").read_text()
    for before, after in (("/scripts/", f"{scripts}/"), (">/dev/console", f">>{scripts}/console")):
        text = text.replace(before, after)
    (scripts / "visavis").write_text(text)
    script = 'mount --bind "$1" /run && exec sh "$2"'
    words = ["sh", "-c", script, "sh", str(places.run), str(scripts / "visavis")]
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "rootmnt": str(places.root), "boot": str(places.boot)}
    subprocess.run(["unshare", "-m" if os.geteuid() == 0 else "-rm", *words], env=path, check=True, capture_output=True)
    return (scripts / "console").read_text()


# The boot partition is a folder, mounted in the place where the script has it; the rest is mounted as it wants.
A_BOOT_PARTITION = """
case "$*" in
*"-t vfat"*) for last; do :; done; exec /bin/mount --bind "$boot" "$last" ;;
*ext4*) exit 1 ;;
esac
exec /bin/mount "$@"
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_wish_for_a_factory_reset_comes_true_once(kind: str, places: Places) -> None:
    wish = places.boot / "factory-reset"
    wish.write_text("") if kind == "file" else wish.mkdir()
    programs = {"mount": A_BOOT_PARTITION, "systemd-repart": f'echo "$@" >>{places.root}/asked'}
    assert "everything that this device kept is removed" in first_stage(places, programs)
    assert "--factory-reset=yes" in (places.root / "asked").read_text()
    assert not wish.exists()


def test_settings_are_on_the_disk_before_their_file_goes(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    file, there = places.boot / "visavis.toml", []
    monkeypatch.setattr("visavis_device.first_boot.os.sync", lambda: there.append(file.exists()))
    file.write_text(WHOLE)
    assert take_settings(places, lambda _: "")[1]
    assert there == [True]


def test_an_editor_may_add_an_end_to_the_files_name(places: Places) -> None:
    (places.boot / "visavis.toml.txt").write_text('[device]\nid = "porch"\n')
    assert take_settings(places, lambda _: "")[0].startswith("visavis.toml.txt was applied and removed")
    assert (places.root / "etc/hostname").read_text() == "porch\n"
    assert not (places.boot / "visavis.toml.txt").exists()


def test_of_two_files_none_is_taken(places: Places) -> None:
    for name in ("visavis.toml", "visavis.toml.txt"):
        (places.boot / name).write_text('[device]\nid = "porch"\n')
    sentence, good = take_settings(places, lambda _: "")
    assert not good
    assert "visavis.toml and visavis.toml.txt are both there: remove one of them" in sentence


def test_settings_that_the_daemon_refuses_leave_everything_as_it_was(places: Places) -> None:
    make_identity(places)
    name = (places.root / "etc/hostname").read_text()
    (places.boot / "visavis.toml").write_text(WHOLE)
    sentence, good = take_settings(places, broker_refused)
    assert not good
    assert "The daemon refuses its settings: mqtt.url: no such scheme" in sentence
    assert (places.boot / "visavis.toml").exists()
    assert (places.root / "etc/hostname").read_text() == name
    assert not (places.root / "etc/visavis/mqtt.password").exists()


def broker_refused(config: Path) -> str:
    """What a daemon says that does not like the broker of these settings."""
    return "mqtt.url: no such scheme" if (config / "conf.d/50-broker.toml").exists() else ""


def test_what_the_daemon_refuses_is_never_on_the_disk(places: Places) -> None:
    """A power cut while it is asked would leave it there, and the next start take it for what was there before."""
    make_identity(places)
    before = {path: path.read_bytes() for path in places.root.rglob("*") if path.is_file()}
    asked: list[Path] = []

    def refuse(config: Path) -> str:
        asked.append(config)
        assert {path: path.read_bytes() for path in places.root.rglob("*") if path.is_file()} == before
        return broker_refused(config)

    (places.boot / "visavis.toml").write_text(WHOLE)
    assert not take_settings(places, refuse)[1]
    assert [config.is_relative_to(places.run) for config in asked] == [True, True]
    assert not any(places.run.iterdir())


def test_what_is_wrong_elsewhere_keeps_no_settings_out_and_is_said(places: Places) -> None:
    (places.boot / "visavis.toml").write_text(f'[ssh]\nkeys = ["{KEY}"]\n')
    sentence, good = take_settings(places, lambda _: "conf.d/zz.toml: unknown key\nweb.certificate: cannot be read")
    assert not good
    assert sentence.startswith("visavis.toml was applied and removed")
    assert "The daemon refuses its settings: conf.d/zz.toml: unknown key\nweb.certificate" in sentence
    assert (places.root / "etc/ssh/authorized_keys.d/root").read_text() == f"{KEY}\n"


def test_settings_that_mend_one_complaint_of_two_are_taken(places: Places) -> None:
    before = ["mqtt.url: is missing", "conf.d/zz.toml: unknown key"]
    (places.boot / "visavis.toml").write_text(WHOLE)
    sentence, _ = take_settings(places, lambda config: "\n".join(before[1:] if broker_refused(config) else before))
    assert sentence.startswith("visavis.toml was applied and removed")
    assert sentence.endswith(f"The daemon refuses its settings: {before[1]}")


def test_the_daemon_is_asked_without_the_secrets_that_systemd_keeps_for_it(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = places.root / "config.toml"
    monkeypatch.setattr("visavis_device.first_boot.CHECK", (str(ROOT / "build/visavis-capture"), *CHECK[1:]))
    config.write_text('[mqtt]\nurl = "mqtts://broker"\nuser = "a"\npassword_file = "credential:mqtt.password"\n')
    assert check(places.root) == ""
    config.write_text('[mqtt]\nurl = "ftp://broker"\npassword_file = "credential:mqtt.password"\n')
    assert "/etc/visavis/config.toml:2: mqtt.url" in check(places.root)


def test_settings_of_which_one_cannot_be_written_leave_everything_as_it_was(places: Places) -> None:
    make_identity(places)
    name = (places.root / "etc/hostname").read_text()
    (places.root / "etc/ssh/authorized_keys.d").write_text("in the way")  # as a full disk would be, at the last file
    (places.boot / "visavis.toml").write_text(WHOLE)
    sentence, good = take_settings(places, lambda _: "")
    assert not good
    assert "Nothing of visavis.toml was applied" in sentence
    assert (places.root / "etc/hostname").read_text() == name
    assert not (places.root / "etc/visavis/mqtt.password").exists()


def test_what_was_there_in_another_encoding_comes_back_as_it_was(places: Places) -> None:
    make_identity(places)
    password = places.root / "etc/visavis/mqtt.password"
    password.write_bytes(b"caf\xe9")
    (places.boot / "visavis.toml").write_text(WHOLE)
    assert "no such scheme" in take_settings(places, broker_refused)[0]
    assert password.read_bytes() == b"caf\xe9"


def test_a_boot_partition_that_cannot_be_read_or_data_that_is_full_is_told_and_the_device_greets(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.root / "etc/visavis").write_text("no room for a claim code")
    unreadable = Places(places.root, places.boot / ("x" * 300), places.run)  # its mount fails: every look is an error
    assert not prepare(unreadable, lambda _: "")
    said = capsys.readouterr().out
    assert said.startswith("This is visavis-")
    assert "Is its data partition full?" in said
    assert "File name too long" in said


def test_settings_that_cannot_be_removed_are_said_to_be_applied(places: Places) -> None:
    program = (
        "import sys; from pathlib import Path; from visavis_device.first_boot import Places, take_settings; "
        "print(*take_settings(Places(*map(Path, sys.argv[1:])), lambda _: str()))"
    )
    script = 'mount --bind "$4" "$4" && mount -o remount,ro,bind "$4" && exec "$1" -c "$2" "$3" "$4" "$5"'
    (places.boot / "visavis.toml").write_text('[device]\nid = "porch"\n')
    words = [sys.executable, program, places.root, places.boot, places.run]
    own = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, "sh", *map(str, words)]
    path = {**os.environ, "PYTHONPATH": str(ROOT / "firmware-image" / "device")}
    said = subprocess.run(own, env=path, capture_output=True, text=True, check=True).stdout
    assert said == "visavis.toml was applied and cannot be removed, Read-only file system: remove it yourself. False\n"
    assert (places.root / "etc/hostname").read_text() == "porch\n"


def test_a_bad_file_stays_and_the_device_says_why(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    (places.boot / "visavis.toml").write_text("[wlan]\n")
    assert not prepare(places, lambda _: "")
    for text in (capsys.readouterr().out, (places.boot / "visavis-status.txt").read_text()):
        assert "unknown field `wlan`" in text
        assert "Nothing of visavis.toml was applied" in text


def test_what_was_wrong_is_not_said_for_ever_and_what_was_applied_is(places: Places) -> None:
    status = places.boot / "visavis-status.txt"
    assert prepare(places, lambda _: "")
    assert not status.exists()
    (places.boot / "visavis.toml").write_text("[wlan]\n")
    assert not prepare(places, lambda _: "")
    (places.boot / "visavis.toml").unlink()
    assert prepare(places, lambda _: "")
    assert status.read_text() == "Nothing is wrong.\n"
    (places.boot / "visavis.toml").write_text('[device]\nid = "porch"\n')
    assert not prepare(places, lambda _: "cameras[0]: bad")
    assert "cameras[0]: bad" in status.read_text()
    (places.run / "visavis-in-memory").touch()
    assert prepare(places, lambda _: "")
    assert "cameras[0]: bad" in status.read_text(), "what is kept cannot be seen"
    (places.run / "visavis-in-memory").unlink()
    for _ in range(2):
        assert prepare(places, lambda _: "")
        assert re.fullmatch("visavis.toml was applied and removed: .*\n", status.read_text())


def test_what_only_the_copy_has_wrong_keeps_no_settings_out(places: Places) -> None:
    """A link that leads out of the folder, and a pipe, which cannot be copied."""
    folder = places.root / "etc/visavis/conf.d"
    folder.mkdir(parents=True)
    (folder / "60.toml").symlink_to("../../../cameras.toml")
    (places.root / "cameras.toml").touch()
    os.mkfifo(folder / "pipe")
    (places.boot / "visavis.toml").write_text(f'[ssh]\nkeys = ["{KEY}"]\n')
    sentence, _ = take_settings(
        places, lambda config: "" if (config / "conf.d/60.toml").exists() else "60.toml: missing"
    )
    assert sentence.startswith("visavis.toml was applied and removed")


def test_the_code_is_shown_until_the_device_has_an_account(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(places, lambda _: "")
    code = (places.root / "etc/visavis/claim-code").read_text().strip()
    assert code in capsys.readouterr().out
    assert code in (places.run / "issue.d/visavis.issue").read_text()
    assert (places.boot / "claim-code.txt").read_text().strip() == code
    (places.root / "var/lib/visavis").mkdir(parents=True)
    (places.root / "var/lib/visavis/credentials.toml").write_text("# nobody\n")
    assert prepare(places, lambda _: "")
    assert code not in capsys.readouterr().out
    assert not (places.boot / "claim-code.txt").exists()


def test_a_code_that_was_used_is_not_shown_though_the_accounts_are_gone(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.boot / "visavis.toml").write_text('[device]\nclaim = "ABCD-EFGH"\n')
    (places.root / "var/lib/visavis").mkdir(parents=True)
    # As `visavis-capture` notes this code.
    used = places.root / "var/lib/visavis/credentials.toml.claimed"
    used.write_text("9ac2197d9258257b1ae8463e4214e4cd0a578bc1517f2415928b91be4283fc48\n")
    assert prepare(places, lambda _: "")
    assert "ABCD-EFGH" not in capsys.readouterr().out
    assert not (places.boot / "claim-code.txt").exists()
    (places.boot / "visavis.toml").write_text('[device]\nclaim = "JKLM-NPQR"\n')
    assert prepare(places, lambda _: "")
    assert (places.boot / "claim-code.txt").read_text() == "JKLM-NPQR\n"


def test_a_device_that_cannot_see_its_accounts_or_its_name_says_so(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(places, lambda _: "")
    code = (places.root / "etc/visavis/claim-code").read_text().strip()
    capsys.readouterr()
    (places.root / "etc/hostname").unlink()
    (places.root / "etc/hostname").mkdir()  # every look into it is an error
    (places.root / "var").symlink_to("x" * 300)  # as below a folder that may not be read, which root always may
    assert not prepare(places, lambda _: "")
    told = capsys.readouterr().out
    assert f"This is {socket.gethostname()}: " in told
    assert "Whether this device has an administrator cannot be seen: " in told
    assert code not in told


def endless(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 40)


IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a link to what never ends": lambda place: place.symlink_to("/dev/zero"),
    "a terabyte of nothing": endless,
}


@pytest.mark.parametrize("puts", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_nothing_that_the_daemons_user_writes_keeps_a_device_from_starting(
    puts: Callable[[Path], None], places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.root / "var/lib/visavis").mkdir(parents=True)
    puts(places.root / "var/lib/visavis/credentials.toml.claimed")
    assert not prepare(places, lambda _: "")
    told = capsys.readouterr().out
    assert "Whether this device has an administrator cannot be seen: " in told
    assert not (places.boot / "claim-code.txt").exists()
