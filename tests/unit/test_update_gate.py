# SPDX-License-Identifier: Apache-2.0
"""When a new system is kept, and what an image is told for that."""

from __future__ import annotations

import argparse
import configparser
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from visavis.cli import update
from visavis.errors import UpdateError
from visavis.update.boards import BOARDS
from visavis.update.boot import loader_of
from visavis.update.boot.grub import Grub, fresh_environment
from visavis.update.boot.tryboot import SYMBOLS
from visavis.update.gate import wait_until_healthy, what_is_wrong
from visavis.update.keys import CA, make_keys
from visavis.update.system import System, read_system, running_slot

from tests.repo.test_laws import ROOT
from tests.unit.served import address_of, answering

INTO = ROOT / "firmware-image" / "update" / "into"


class Appliance:
    """A web server that answers with the codes it is told."""

    def __init__(self, codes: dict[str, int], server: ThreadingHTTPServer) -> None:
        self.codes, self.server, self.url = codes, server, address_of(server)


@pytest.fixture
def appliance() -> Iterator[Appliance]:
    codes = {"/healthz": 200, "/readyz": 200}
    with answering(lambda path: codes.get(path, 404)) as server:
        yield Appliance(codes, server)


@pytest.mark.parametrize(
    ("path", "code", "wrong"),
    [("/healthz", 503, "/healthz answers 503"), ("/readyz", 503, "/readyz answers 503"), ("/readyz", 200, "")],
)
def test_healthy_is_healthz_and_readyz(appliance: Appliance, path: str, code: int, wrong: str) -> None:
    appliance.codes[path] = code
    assert what_is_wrong(appliance.url) == wrong


def test_a_proxy_for_other_machines_is_not_asked_about_this_one(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert what_is_wrong(appliance.url) == ""


@pytest.mark.parametrize("url", ["porch", "http://[::1"])
def test_what_is_no_address_is_not_healthy(url: str) -> None:
    assert what_is_wrong(url).startswith("/healthz does not answer: ")


def test_who_does_not_answer_is_not_healthy(appliance: Appliance) -> None:
    appliance.server.server_close()
    assert what_is_wrong(appliance.url).startswith("/healthz does not answer: ")


def test_what_was_wrong_last_is_said_when_the_time_is_over(appliance: Appliance) -> None:
    appliance.codes["/readyz"] = 503
    with pytest.raises(UpdateError, match="not healthy within -1 s: /readyz answers 503: look into `journalctl -b`"):
        wait_until_healthy(appliance.url, -1)
    appliance.codes["/readyz"] = 200
    wait_until_healthy(appliance.url, -1)


class Device:
    """Slot B runs, after an update if `tried`; notes which programs of the system are asked to do what."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, tried: bool) -> None:
        (folder / "grubenv").write_bytes(fresh_environment())
        self.loader = Grub(folder / "grubenv")
        self.loader.set_primary("B")
        if not tried:
            self.loader.set_good("B")
        monkeypatch.setattr(update, "read_system", lambda: System("visavis-x86", "1.0"))
        monkeypatch.setattr(update, "running_slot", lambda: "B")
        monkeypatch.setattr(update, "loader_of", lambda _: self.loader)
        self._asked = folder / "asked"
        for program in ("rauc", "systemctl"):
            (folder / program).write_text(f'#!/bin/sh\necho "{program} $*" >> {self._asked}\n')
            (folder / program).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []


def gate(url: str) -> int:
    return update.run(argparse.Namespace(action="gate", url=url, wait=-1))


def test_a_new_system_that_is_healthy_is_kept(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    device = Device(tmp_path, monkeypatch, tried=True)
    assert gate(appliance.url) == 0
    assert capsys.readouterr().out == "slot B has proved itself: it is kept\n"
    assert device.asked == ["rauc status mark-good booted"]


def test_a_new_system_that_is_not_healthy_is_restarted_and_not_marked(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appliance.codes["/readyz"] = 503
    device = Device(tmp_path, monkeypatch, tried=True)
    with pytest.raises(UpdateError, match="/readyz answers 503"):
        gate(appliance.url)
    assert device.asked == ["systemctl reboot --no-block"]


def test_a_new_system_that_has_lost_what_the_device_keeps_is_restarted_and_not_marked(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It plays the demo then, which is healthy, without a network, a name or logins."""
    device = Device(tmp_path, monkeypatch, tried=True)
    monkeypatch.setattr("visavis.update.gate.DATA_LOST", tmp_path / "lost")
    (tmp_path / "lost").touch()
    with pytest.raises(UpdateError, match="cannot use the data partition"):
        gate(appliance.url)
    assert device.asked == ["systemctl reboot --no-block"]


def test_a_new_system_without_the_network_that_the_old_one_had_is_restarted_and_not_marked(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could send it another one."""
    device = Device(tmp_path, monkeypatch, tried=True)
    monkeypatch.setattr("visavis.update.chosen.NOTE", tmp_path / "note")
    monkeypatch.setattr("visavis.update.chosen.ROUTES", tmp_path / "routes")
    monkeypatch.setattr("visavis.update.chosen.ADDRESSES", tmp_path / "addresses")
    (tmp_path / "note").write_text("network=yes\n")
    with pytest.raises(UpdateError, match="has no network any more"):
        gate(appliance.url)
    assert device.asked == ["systemctl reboot --no-block"]
    (tmp_path / "note").write_text("network=no\n")  # it never had one
    assert gate(appliance.url) == 0


@pytest.mark.parametrize(("slot", "in_memory"), [("A", False), ("B", False), ("B", True)])
def test_a_new_system_that_cannot_read_the_boot_partition_is_given_up_and_a_proved_one_stays(
    slot: str, in_memory: bool, appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is on trial, only the note of the system that chose it says."""
    device = Device(tmp_path, monkeypatch, tried=True)
    monkeypatch.setattr("visavis.update.chosen.NOTE", tmp_path / "note")
    (tmp_path / "note").write_text(f"slot={slot}\nnetwork=no\n")
    (tmp_path / "grubenv").unlink()
    if in_memory:  # nothing would count the boots
        monkeypatch.setattr("visavis.update.gate.IN_MEMORY", tmp_path)
    with pytest.raises(UpdateError, match="see whether the boot partition is mounted"):
        gate(appliance.url)
    assert device.asked == (["systemctl reboot --no-block"] if slot == "B" and not in_memory else [])


def test_a_device_whose_disk_can_only_be_read_is_not_restarted_for_ever(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its boot loader counts nothing any more; it has its settings and can be reached."""
    device = Device(tmp_path, monkeypatch, tried=True)
    monkeypatch.setattr("visavis.update.gate.IN_MEMORY", tmp_path / "in-memory")
    (tmp_path / "in-memory").touch()
    (tmp_path / "rauc").write_text("#!/bin/sh\necho 'Read-only file system' >&2\nexit 1\n")
    with pytest.raises(UpdateError, match="cannot mark the slot good"):
        gate(appliance.url)
    assert device.asked == []


def test_a_new_system_that_cannot_be_kept_is_restarted(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path, monkeypatch, tried=True)
    (tmp_path / "rauc").write_text("#!/bin/sh\necho 'the service does not start' >&2\nexit 1\n")
    with pytest.raises(UpdateError, match="cannot mark the slot good"):
        gate(appliance.url)
    assert device.asked == ["systemctl reboot --no-block"]


def test_a_proved_system_is_kept_whatever_its_cameras_do(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    appliance.codes["/readyz"] = 503
    device = Device(tmp_path, monkeypatch, tried=False)
    assert gate(appliance.url) == 0
    assert capsys.readouterr().out == "slot B has proved itself before\n"
    assert device.asked == ["rauc status mark-good booted"]


@pytest.mark.parametrize("healthy", [True, False])
def test_an_older_system_that_is_not_healthy_makes_way_for_the_newer_one_that_power_cuts_took_away(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy: bool
) -> None:
    appliance.codes["/readyz"] = 200 if healthy else 503
    device = Device(tmp_path, monkeypatch, tried=False)
    monkeypatch.setattr(update, "running_slot", lambda: "A")
    file = tmp_path / "grubenv"
    file.write_bytes(file.read_bytes().replace(b"A_OK=0", b"A_OK=1").replace(b"B_TRY=0", b"B_TRY=3"))
    device.loader.set_good("A")  # what rauc has done by our handler
    if healthy:
        assert gate(appliance.url) == 0
    else:
        with pytest.raises(UpdateError, match="not healthy"):
            gate(appliance.url)
    restarted = "systemctl reboot --no-block" in device.asked
    assert restarted is not healthy


INFO = '{"compatible": "visavis-x86", "version": "1.1", "build": "today"}'


@pytest.mark.parametrize(
    ("folder", "keep", "code", "left"),
    [("data", False, 0, False), ("data", True, 0, True), ("stick", False, 0, True), ("data", False, 1, True)],
)
def test_a_bundle_that_is_installed_leaves_the_room_that_it_took_of_the_devices(
    folder: str, keep: bool, code: int, left: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Device(tmp_path, monkeypatch, tried=False)
    (tmp_path / "rauc").write_text(f"#!/bin/sh\n[ $1 = info ] || exit {code}\necho '{INFO}'\n")
    monkeypatch.setattr(update, "DATA", tmp_path / "data")
    bundle = tmp_path / folder / "next.raucb"
    bundle.parent.mkdir()
    bundle.touch()
    wanted = argparse.Namespace(action="install", file=bundle, restart=False, keep=keep)
    with pytest.raises(UpdateError, match="is refused by rauc") if code else nullcontext():
        assert update.run(wanted) == 0
    assert bundle.exists() == left


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_does_not_look_as_if_the_installation_had_ended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Device(tmp_path, monkeypatch, tried=False)
    script = f"#!/bin/sh\n[ $1 = install ] && kill -{name} $PPID && exec sleep 60\necho '{INFO}'\n"
    (tmp_path / "rauc").write_text(script)
    bundle = tmp_path / "next.raucb"
    bundle.touch()
    number = signal.Signals[f"SIG{name}"]
    before = signal.signal(number, signal.default_int_handler if name == "INT" else without_a_word)
    gc.disable()  # Hypothesis is told of collections, and what is raised while it is goes no further
    try:
        with pytest.raises(KeyboardInterrupt):
            update.run(argparse.Namespace(action="install", file=bundle, restart=True, keep=False))
    finally:
        gc.enable()
        signal.signal(number, before)
    assert "the device goes on writing" in capsys.readouterr().err


def without_a_word(number: int, _: object) -> None:
    """What a signal does by itself, so that the tests outlive it."""
    pytest.fail(f"signal {number} ends the command")


def test_what_has_to_prove_itself_writes_nothing_over_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path, monkeypatch, tried=True)
    with pytest.raises(UpdateError, match=r"slot B has to prove itself yet, .*: wait until .*`visavis update good`"):
        update.run(argparse.Namespace(action="install", file=tmp_path / "next.raucb", restart=False, keep=False))
    assert device.asked == []


def test_a_gate_that_begins_after_a_rollback_still_asks_for_health(
    appliance: Appliance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appliance.codes["/readyz"] = 503
    device = Device(tmp_path, monkeypatch, tried=True)
    device.loader.set_primary("A")
    with pytest.raises(UpdateError, match="/readyz answers 503"):
        gate(appliance.url)
    assert device.asked == ["systemctl reboot --no-block"]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("0.0.0.0:443", "https://127.0.0.1:443"),
        ("[::]:443", "https://127.0.0.1:443"),
        (":443", "https://127.0.0.1:443"),
    ],
)
def test_the_page_is_where_the_configuration_puts_it(listen: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_WEB__LISTEN", listen)
    monkeypatch.setenv("VISAVIS_WEB__HTTPS", "true")
    monkeypatch.setenv("VISAVIS_AUTH__ENABLED", "true")
    assert update.appliance_url() == url


def test_the_page_is_found_without_the_secrets_that_the_gate_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for name, value in (("WEB__HTTPS", "true"), ("AUTH__ENABLED", "true"), ("WEB__LISTEN", ":8443")):
        monkeypatch.setenv(f"VISAVIS_{name}", value)
    monkeypatch.setenv("VISAVIS_MQTT__USER", "box")
    monkeypatch.setenv("VISAVIS_MQTT__PASSWORD_FILE", "credential:mqtt.password")
    assert update.appliance_url() == "https://127.0.0.1:8443"


def test_the_page_is_at_the_usual_place_where_the_configuration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_WEB__LISTEN", "nonsense")
    assert update.appliance_url() == "http://127.0.0.1:8080"


def test_the_running_slot_is_what_the_kernel_was_told(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_text("root=PARTLABEL=visavis-b ro rauc.slot=B quiet\n")
    assert running_slot(tmp_path / "cmdline") == "B"
    (tmp_path / "cmdline").write_text("root=/dev/sda1 ro\n")
    with pytest.raises(UpdateError, match="was not booted from a slot"):
        running_slot(tmp_path / "cmdline", tmp_path / "slot")
    (tmp_path / "slot").write_text("rauc.slot=A\n")  # what the first stage has found out
    assert running_slot(tmp_path / "cmdline", tmp_path / "slot") == "A"


def test_a_system_without_slots_or_with_a_strange_configuration_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(
        UpdateError, match="has no slots to update: a system installed from packages is updated with apt"
    ):
        read_system(tmp_path / "none")
    (tmp_path / "system.conf").write_text("[system]\ncompatible=visavis-rpi5\n")
    with pytest.raises(UpdateError, match="min-bundle-version"):
        read_system(tmp_path / "system.conf")


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    make_keys(folder)
    return folder / CA


def put(root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([INTO, root, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("board", BOARDS)
def test_an_image_gets_its_configuration_keyring_and_units(board: str, keyring: Path, tmp_path: Path) -> None:
    done = put(tmp_path, board, "1.4.0", keyring)
    assert done.returncode == 0, done.stderr
    system = read_system(tmp_path / "etc/rauc/system.conf")
    assert (system.board, system.version) == (board, "1.4.0")
    assert (tmp_path / "etc/rauc/keyring.pem").read_bytes() == keyring.read_bytes()
    assert (tmp_path / "usr/lib/systemd/system/multi-user.target.wants/visavis-mark-good.service").resolve().exists()
    assert loader_of(system)
    conf = configparser.ConfigParser()
    conf.read(tmp_path / "etc/rauc/system.conf")
    assert conf["system"]["bundle-formats"] == "verity"
    assert {conf[f"slot.rootfs.{at}"]["bootname"] for at in (0, 1)} == {"A", "B"}
    assert ("slot.boot.1" in conf) == board.startswith(("rpi", "jetson"))
    assert (tmp_path / "usr/lib/systemd/system/visavis-try-slot.service").exists() == board.startswith("rpi")
    handler = conf["handlers"]["bootloader-custom-backend"]
    assert (tmp_path / handler.lstrip("/")).stat().st_mode & 0o111


def test_an_image_without_a_keyring_or_for_no_board_is_refused(keyring: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert (
        "make keys with `visavis update keys DIR`" in put(tmp_path / "root", "rpi5", "1.0", tmp_path / "empty").stderr
    )
    refused = put(tmp_path / "root", "toaster", "1.0", keyring)
    assert (refused.returncode, "there is no board toaster" in refused.stderr) == (2, True)
    assert not (tmp_path / "root").exists()


def test_what_rauc_runs_starts_quickly_and_says_what_is_wrong() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "visavis.update.boot", "get-primary"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/etc/rauc/system.conf cannot be read" in done.stderr
    for heavy in ("argparse", "json", "ssl", "msgspec", "numpy", "urllib.request"):
        assert not re.search(rf"\| +{heavy}\b", done.stderr), f"it imports {heavy}"


def test_the_gate_waits_for_nothing_that_a_sick_system_never_reaches() -> None:
    """A worker that builds its engine is starting for long, and so are the targets that wait for it."""
    text = (INTO.parent / "units" / "visavis-mark-good.service").read_text()
    waited_for = {word for line in re.findall(r"^After=(.*)$", text, re.MULTILINE) for word in line.split()}
    assert waited_for == {"visavis-first-boot.service", "rauc.service"}


def test_who_asks_for_a_trial_sees_what_the_kernel_can_do() -> None:
    """With that line systemd hides /proc/kallsyms, and no slot was ever tried."""
    assert str(SYMBOLS) == "/proc/kallsyms"
    assert "\nProtectKernelTunables=" not in (INTO.parent / "units" / "visavis-try-slot.service").read_text()


def test_it_needs_no_package_that_a_damaged_system_may_lack() -> None:
    command = [sys.executable, "-S", "-m", "visavis.cli", "update", "gate", "--help"]
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "trt-infer")}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
