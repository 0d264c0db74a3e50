# SPDX-License-Identifier: Apache-2.0
"""The image for PCs, from the first start to the factory reset: the real firmware, GRUB, kernel and systemd."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image import build, root
from image.boards import BOARDS, SUITE
from image.packages import read_lock
from visavis import __version__
from visavis.update.boot.grub import MOST_TRIES

from deb.build import SYSTEMS, commit_time_s, current_version, package
from deb.pinned import sum_of
from tests.vm import image_update
from tests.vm.image_lab import (
    PC,
    SETTINGS,
    Flashed,
    a_face_comes_over_mqtt,
    ask,
    codes_for_nobody,
    everything_runs,
    first_start,
    flashed,
    slow_down,
    the_list_of_parts_is_inside_and_beside,
)
from tests.vm.inside import retry

# QEMU's chipset has Intel's watchdog, which is off until the board wires it so.
CHIPSETS_WATCHDOG = ("-global", "ICH9-LPC.noreboot=false", "-action", "watchdog=reset")
pytestmark = [pytest.mark.vm, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def stick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that was flashed for another device and stays plugged in."""
    copy = tmp_path_factory.mktemp("stick") / "disk.img"
    subprocess.run(["cp", "--sparse=always", str(PC.image), str(copy)], check=True)
    return copy


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, stick: Path) -> Iterator[Flashed]:
    yield from flashed(PC, tmp_path_factory.mktemp("flashed"), stick)


def identity(device: Flashed) -> dict[str, str]:
    """What two devices never share."""
    files = {
        "machine": "/etc/machine-id",
        "key": "/etc/ssh/ssh_host_ed25519_key.pub",
        "code": "/etc/visavis/claim-code",
    }
    return {name: device.run(f"cat {file}").strip() for name, file in files.items()}


def test_the_first_start_ends_with_everything_running(device: Flashed, measured: Callable[[str], None]) -> None:
    measured(first_start(device))


def test_the_settings_were_taken_and_removed(device: Flashed) -> None:
    assert device.run("hostname").strip() == "porch"
    assert "Passphrase=not a real one" in device.run("cat '/var/lib/iwd/porch wifi.psk'")
    assert "was applied and removed" in device.run("cat /boot/efi/visavis-status.txt")
    assert device.try_to_run("ls /boot/efi/visavis.toml").returncode != 0
    assert device.said("visavis.toml was applied and removed")


def test_programs_in_the_network_are_told_which_device_this_is(device: Flashed) -> None:
    told = device.run("cat /etc/avahi/services/visavis-device.service")
    assert "<txt-record>id=porch</txt-record>" in told
    assert f"<txt-record>ver={__version__}</txt-record>" in told
    device.run(retry("journalctl -b -u avahi-daemon -o cat | grep -q 'visavis on porch.*successfully established'", 60))


def test_names_of_the_network_are_found(device: Flashed) -> None:
    """By avahi, which hears nobody else in this network: so it is asked for the device itself."""
    assert "mdns4_minimal [NOTFOUND=return]" in device.run("grep ^hosts: /etc/nsswitch.conf")
    device.run(retry("getent -s mdns4_minimal ahostsv4 porch.local", 60))


def test_the_system_cannot_be_written_and_what_is_kept_lies_on_the_rest_of_the_disk(device: Flashed) -> None:
    assert device.try_to_run("touch /usr/bin/x").returncode != 0
    assert device.run("findmnt -no FSTYPE,OPTIONS /").startswith("squashfs ro")
    kept = json.loads(device.run("findmnt -J -b -o TARGET,FSTYPE,SIZE /data"))["filesystems"][0]
    assert kept["fstype"] == "ext4"
    assert int(kept["size"]) > 2 << 30
    free, for_all = device.run("stat -f -c '%f %a' /data").split()
    assert int(for_all) < int(free), "nothing is left for root on a disk that the daemon has filled"
    for folder in ("/etc", "/var"):
        assert device.run(f"findmnt -no FSTYPE {folder}").strip() == "overlay"


def test_everything_lies_on_the_disk_that_it_was_started_from(device: Flashed) -> None:
    mounted = device.run("ls /boot/efi >/dev/null; findmnt -rno SOURCE -t squashfs,ext4,vfat").split()
    slots = device.run("readlink -f /dev/disk/own/visavis-*").split()
    assert {name.rstrip("1234") for name in (*mounted, *slots)} == {"/dev/vda"}
    assert (len(set(mounted)), len(slots)) == (3, 4)


def test_nobody_can_log_in_with_a_password(device: Flashed) -> None:
    effective = device.run("sshd -T")
    assert {"passwordauthentication no", "kbdinteractiveauthentication no"} <= set(effective.splitlines())
    secrets = [line.split(":")[1] for line in device.run("cat /etc/shadow").splitlines()]
    assert {secret[:1] for secret in secrets} <= {"*", "!"}
    assert device.run("systemctl list-units --all --no-legend 'sshd-*.socket'").strip() == ""
    assert not device.said("systemd-ssh-generator")


@pytest.mark.parametrize("user", ["visavis", "visavis-infer", "mosquitto"])
def test_updates_are_roots_alone(device: Flashed, user: str) -> None:
    """RAUC's own policy would let each program of the device install an old release, or give the running one up."""
    rauc = "de.pengutronix.rauc"
    asked = f"busctl --timeout=300 call {rauc} / org.freedesktop.DBus.Properties GetAll s {rauc}.Installer"
    assert '"BootSlot"' in device.run(asked)
    refused = device.run(f"setpriv --reuid={user} --clear-groups {asked} 2>&1 || true")
    assert "Rejected send message" in refused or "Access denied" in refused, refused


def test_the_card_is_told_which_blocks_of_the_kept_are_free(device: Flashed) -> None:
    device.run("systemctl start fstrim")
    assert re.search("^/data: .* trimmed", device.run("journalctl -u fstrim -o cat"), re.MULTILINE)


@pytest.mark.parametrize("unit", ["avahi-daemon", "iwd", "mosquitto"])
def test_what_a_device_is_reached_by_comes_back(device: Flashed, unit: str) -> None:
    device.run(f"systemctl kill -s KILL {unit}")
    device.run(retry(f"systemctl is-active -q {unit} && [ $(systemctl show -P NRestarts {unit}) -ge 1 ]", 300))
    assert device.run(f"systemctl show -P StartLimitIntervalUSec {unit}").strip() == "0"


def test_a_face_comes_over_mqtt(device: Flashed) -> None:
    slow_down(device)
    a_face_comes_over_mqtt(device)


def test_the_list_of_parts_is_inside_and_beside(device: Flashed) -> None:
    the_list_of_parts_is_inside_and_beside(device)


def test_nobody_is_let_in_anywhere_before_it_is_claimed(device: Flashed) -> None:
    """Neither where its own description wants a login nor where it says nothing; the page leads to the login."""
    token = device.run("visavis auth add reader --role viewer --token").strip()
    described = json.loads(ask(device, "/openapi.json", token=token)[1])["paths"]
    device.run("visavis auth revoke reader")
    routes = [(method.upper(), path, operation) for path, one in described.items() for method, operation in one.items()]
    closed = [(method, re.sub(r"{\w+}", "demo", path)) for method, path, how in routes if "security" in how]
    assert ("GET", "/api/v1/cameras/demo/snapshot.jpg") in closed, closed
    answered = codes_for_nobody(device, [*closed, ("GET", "/nothing"), ("GET", "/")])
    assert answered.pop(("GET", "/")) == 303
    assert {one: code for one, code in answered.items() if code != 401} == {}
    assert ask(device, "/api/v1/status", token=token)[0] == 401


def test_the_owner_claims_it_with_the_code_from_the_console(device: Flashed) -> None:
    code = identity(device)["code"]
    assert device.said(f"type {code}")
    assert device.run("cat /boot/efi/claim-code.txt").strip() == code
    first = {"name": "anna", "password": "correct horse battery staple"}
    assert ask(device, "/api/v1/claim", {"code": "AAAA-AAAA", **first})[0] == 401
    assert ask(device, "/api/v1/claim", {"code": code, **first})[0] in (200, 204)
    assert ask(device, "/api/v1/claim", {"code": code, **first})[0] == 410


@pytest.mark.vm_long  # for the time of `make test-vm`
def test_a_device_stays_the_same_over_a_power_cut(device: Flashed) -> None:
    before = identity(device)
    device.stop()
    assert device.boot_file("visavis.toml") is None
    device.switch_on()
    device.wait_until_it_answers()
    assert identity(device) == before
    device.run(retry("[ ! -e /boot/efi/claim-code.txt ]", 60))
    assert not device.said(f"type {before['code']}")


@pytest.mark.vm_long
def test_a_system_that_hangs_is_started_anew_by_the_hardware(device: Flashed, measured: Callable[[str], None]) -> None:
    device.stop()
    device.more = CHIPSETS_WATCHDOG
    device.switch_on()
    device.wait_until_it_answers()
    device.run(retry("grep -q ^active /sys/class/watchdog/watchdog0/state", 300, "cat /sys/class/watchdog/*/*"))
    assert device.run("sysctl -n kernel.panic_on_oops").strip() == "1"
    before, hung_s = device.boot_id(), time.monotonic()
    device.try_to_run("echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze")
    device.wait_for_another_start(before)
    device.more = ()
    measured(f"it answered again {time.monotonic() - hung_s:.0f} s after its first process had stopped")


@pytest.mark.vm_long  # for the time of `make test-vm`
def test_settings_that_cannot_be_used_are_said_on_the_console(device: Flashed) -> None:
    device.switch_off()
    device.put("visavis.toml", '[mqtt]\nurl = "http://broker"\n')
    device.switch_on()
    device.wait_until_it_answers()
    device.wait_until_it_says("Nothing of visavis.toml was applied")
    assert device.said("mqtt.url")
    assert device.try_to_run("ls /etc/visavis/conf.d/50-broker.toml").returncode != 0
    device.run(retry("systemctl is-active -q visavis-capture", 900, "systemctl --failed"))
    assert ask(device, "/healthz")[0] == 200
    device.run("rm /boot/efi/visavis.toml && systemctl reset-failed visavis-first-boot")


@pytest.mark.vm_long
def test_updates_lead_to_the_other_slot_and_back(device: Flashed, tmp_path: Path) -> None:
    slow_down(device)
    everything_runs(device)
    parcel = image_update.parcel(PC, tmp_path)
    image_update.it_trusts(device, parcel)
    image_update.it_refuses_what_strangers_signed(device, parcel)
    image_update.an_update_leads_to("B", device, parcel)
    image_update.an_update_leads_to("A", device, parcel)


@pytest.mark.vm_long
def test_a_new_system_whose_daemon_does_not_run_is_given_up_after_three_starts(device: Flashed, tmp_path: Path) -> None:
    parcel = image_update.parcel(PC, tmp_path, image_update.without_a_daemon)
    image_update.it_trusts(device, parcel, image_update.SICK_S)
    image_update.a_system_that_is_not_healthy_is_given_up(device, parcel)


@pytest.mark.vm_long
def test_a_new_system_that_nobody_can_reach_is_given_up_too(device: Flashed, tmp_path: Path) -> None:
    parcel = image_update.parcel(PC, tmp_path, image_update.without_a_network)
    image_update.it_trusts(device, parcel, image_update.ALONE_S)
    image_update.a_system_that_is_not_healthy_is_given_up(device, parcel)
    told = device.run("journalctl -u visavis-mark-good -o cat")
    assert told.count("has no network any more") == MOST_TRIES


@pytest.mark.vm_long  # for the time of `make test-vm`
def test_a_factory_reset_makes_another_device_of_it(device: Flashed) -> None:
    before = identity(device)
    device.run("touch /data/mine /var/lib/visavis/mine /etc/mine")
    device.try_to_run("visavis reset --factory --yes")
    device.wait_until_it_says("everything that this device kept is removed")
    device.wait_until_it_says("Nobody is its administrator yet", after="everything that this device kept is removed")
    device.stop()
    assert device.boot_file("factory-reset") is None
    device.put("visavis.toml", SETTINGS.format(key=(device.folder / "key.pub").read_text().strip()))
    device.switch_on()
    device.wait_until_it_answers()
    after = identity(device)
    assert all(after[name] != value for name, value in before.items())
    for file in ("/data/mine", "/var/lib/visavis/mine", "/etc/mine", "/etc/visavis/conf.d/90-slow.toml"):
        assert device.try_to_run(f"ls {file}").returncode != 0


def test_a_stick_with_another_devices_image_was_left_as_it_is(device: Flashed, stick: Path) -> None:
    device.stop()
    assert sum_of(stick) == sum_of(PC.image)


@pytest.mark.vm_long
@pytest.mark.parametrize("name", BOARDS)
def test_two_builds_are_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on the root that is kept, the other on one for which Debian's packages are unpacked and configured anew."""
    board, version = BOARDS[name], current_version()
    product = package(SYSTEMS[SUITE, board.architecture], version)
    recipe = root.Recipe(board, read_lock(board.lock), product, version, commit_time_s())
    kept = build.make(recipe, tmp_path / "one")
    (root.change if board.like else root.install)(board, recipe.lock, tmp_path)
    anew = tmp_path / "root.tar"
    monkeypatch.setattr(root, "base", lambda *_: anew)
    assert sum_of(build.make(recipe, tmp_path / "two")) == sum_of(kept)
