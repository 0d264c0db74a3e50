# SPDX-License-Identifier: Apache-2.0
"""Two plain machines, Debian 12 and 13, become devices and are updated by the playbooks, over ssh.

They are containers that run systemd, or with VISAVIS_FLEET=machines virtual machines, which take two hours.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from visavis.client import Broker, Detections, Device

from deb import beside
from deb.build import SYSTEMS, package
from deb.packing import OUT
from tests.ansible_programs import Ansible, Played
from tests.e2e.brokers import end_mosquitto
from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.vm.container import Container, missing_for_containers
from tests.vm.inside import be_patient, retry
from tests.vm.lab import DEBIAN_12, DEBIAN_13, Machine, running
from tests.vm.payload import broker_with_other_settings
from tests.waiting import until

BOARDS = {"porch": DEBIAN_12, "workshop": DEBIAN_13}
MACHINES = os.environ.get("VISAVIS_FLEET", "") == "machines"
# An emulated machine is some thirty times slower, and there are two of them.
SLOWER = 10 if MACHINES else 1
WAIT_S = 120 * SLOWER
LIMIT_S = 3000 * SLOWER
pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(3600 * SLOWER)]
PASSWORDS = {"porch": "from the porch", "workshop": "from the workshop", "viewer": "looks on"}
HOST_SEEN_FROM_INSIDE = "10.0.2.2"
# Inference is slow without the host's help: smaller pictures, and seldom.
SETTINGS = {
    "detector": {"input": [160, 128] if MACHINES else [320, 256]},
    "worker": {"lease_ms": 60000},
    "tracker": {"hits": 1, "lost_ms": 5000},
}
# Who may log in; a file of the owner's, made where the playbooks are.
LOGINS = "logins/credentials.toml"
# What a host does that cannot live with a new version: the daemon, or the broker, does not start.
FAULT = "/etc/systemd/system/{unit}.service.d/fault.conf"
BREAK = f"""mkdir -p $(dirname {FAULT}) && cat >{FAULT} <<'EOF' && systemctl daemon-reload
[Service]
ExecStartPre=/bin/sh -c '! dpkg -s {{package}} | grep -q "^Version: 0.2.0"'
EOF"""
MEND = f"rm {FAULT} && systemctl daemon-reload"
DAEMON = {"unit": "visavis-capture", "package": "visavis"}
BROKER = {"unit": "mosquitto", "package": "visavis-broker"}
ENVIRONMENT = {"ANSIBLE_HOST_KEY_CHECKING": "False", "ANSIBLE_TIMEOUT": "120"}
NEW_BROKER = "broker_version=0.2.0"
TIME_IS_UP = 28  # curl's code
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"  # by which systemd's journal says that a unit is being started
# How long a new version has before it is taken back; one that never starts costs all of it.
READY = f"visavis_ready_s={420 if MACHINES else 90}"


class Fleet:
    """Both machines, the broker of the house, and the playbooks that know them."""

    def __init__(self, machines: dict[str, Machine], broker: Broker, folder: Path) -> None:
        self.machines, self.broker, self.folder = machines, broker, folder
        self.ansible = {name: Ansible(name, folder / name, ENVIRONMENT) for name in ("ansible", "ansible-oldest")}
        # Set-up has none for a Python that it does not know.
        self.oldest = next(name for name in ("ansible-oldest", "ansible") if self.ansible[name].there)

    def play(self, *words: str, version: str = "0.1.0", release: str = "ansible") -> Played:
        """Run a playbook with everything that an owner would give it."""
        given: list[str | Path] = ["-i", self.folder / "inventory", "--vault-password-file", self.folder / "vault.word"]
        return self.ansible[release].play(*given, "-e", f"visavis_version={version}", *words, limit_s=LIMIT_S)

    def versions(self) -> dict[str, str]:
        """What dpkg says on each machine, and the running daemon agrees with."""
        found = {}
        for name, machine in self.machines.items():
            found[name] = self.status(name)["version"]
            installed = machine.run("dpkg-query -W -f '${Version}' visavis")
            assert installed.startswith(f"{found[name]}+"), f"{name}: {installed} is installed, {found[name]} runs"
        return found

    def broker_version(self) -> str:
        """The workshop's; its mosquitto runs."""
        return self.machines["workshop"].run(
            "systemctl is-active -q mosquitto && dpkg-query -W -f '${Version}' visavis-broker"
        )

    def status(self, name: str) -> dict[str, Any]:
        return self.asked(name, "status")

    def asked(self, name: str, what: str) -> dict[str, Any]:
        """What a device answers to root; without logins there is no token."""
        as_root = "Authorization: Bearer $(cat /run/visavis-capture/token)"
        ask = f"""curl -sf -H "{as_root}" 'http://127.0.0.1:8080/api/v1/{what}'"""
        found: dict[str, Any] = json.loads(self.machines[name].run(ask))
        return found


def inventory(machines: dict[str, Machine], broker_port: int) -> dict[str, Any]:
    """What an owner writes. The workshop has a broker of its own beside that of the house, the porch wants logins."""
    house = {
        "url": f"mqtt://{HOST_SEEN_FROM_INSIDE}:{broker_port}",
        "user": "{{ visavis_device_id }}",
        "password_file": "credential:mqtt.password",
    }
    own = {"url": "mqtt://127.0.0.1:1883", "user": "workshop", "password_file": "credential:mqtt.password"}
    hosts = {
        name: {
            "ansible_host": "127.0.0.1",
            "ansible_port": machine.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(machine.image / "key"),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null",
            "visavis_domain": name,
            "visavis_host_settings": {"mqtt": house, "auth": {"enabled": True}}
            if name == "porch"
            else {"mqtt": own, "mqtt_second": house},
        }
        for name, machine in machines.items()
    }
    of_all = {
        "visavis_packages": str(OUT),
        "visavis_ready_s": 900 * SLOWER,
        "visavis_settings": SETTINGS,
        "visavis_credentials_file": "{{ inventory_dir }}/" + LOGINS,
        "visavis_secrets": {"mqtt.password": "{{ vault_passwords[visavis_device_id] }}"},
        "visavis_cameras": [{"id": "demo", "source": "demo:", "size": [640, 480], "detect_fps": 1.0}],
        "broker_packages": str(OUT),
        "broker_version": "0.1.0",
        "broker_users": "{{ vault_passwords }}",
    }
    groups = {"visavis": {"hosts": hosts}, "brokers": {"hosts": {"workshop": {}}}}
    return {"all": {"vars": of_all, "children": groups}}


@contextmanager
def house_broker(port: int, folder: Path) -> Iterator[Broker]:
    """A mosquitto of this host with the rights that broker/ gives; yields it as who looks on sees it."""
    (folder / "passwords").write_text("".join(f"{user}:{password}\n" for user, password in PASSWORDS.items()))
    subprocess.run(["mosquitto_passwd", "-U", str(folder / "passwords")], check=True)
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder / 'passwords'}\n"
        f"acl_file {ROOT / 'broker' / 'visavis.acl'}\nmax_queued_messages 40000\nuser root\n"
    )
    (folder / "viewer").write_text(PASSWORDS["viewer"])
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    command = ["mosquitto", "-c", str(folder / "mosquitto.conf")]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield Broker("127.0.0.1", port, user="viewer", password_file=folder / "viewer")
        finally:
            end_mosquitto(process)


@contextmanager
def started(name: str, folder: Path) -> Iterator[Machine]:
    """One machine that knows nothing of visavis."""
    if MACHINES:
        for machine in running(BOARDS[name], lambda _: None, folder):
            be_patient(machine)
            yield machine
        return
    missing = missing_for_containers()
    assert not missing, f"containers need {', '.join(missing)}: `make test-vm` as root, or VISAVIS_FLEET=machines"
    with Container(BOARDS[name], name, folder) as machine:
        yield machine


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two machines that know nothing of visavis, both packages for each on this host, and a broker."""
    folder = tmp_path_factory.mktemp("fleet")
    beside.broker("0.1.0")
    broker_with_other_settings("0.2.0")  # or mosquitto would run on, and none of its faults be seen
    for board in BOARDS.values():
        for version in ("0.1.0", "0.2.0"):
            package(SYSTEMS[board.suite, board.architecture], version)
    with ExitStack() as stack:
        broker = stack.enter_context(house_broker(free_port(), folder))
        machines = {name: stack.enter_context(started(name, tmp_path_factory.mktemp(name))) for name in BOARDS}
        (folder / "vault.word").write_text("open\n")
        written = folder / "inventory"
        (written / "group_vars" / "all").mkdir(parents=True)
        (written / "hosts.yml").write_text(yaml.safe_dump(inventory(machines, broker.port)))
        add_login(written / LOGINS)
        one = Fleet(machines, broker, folder)
        vault = one.ansible["ansible"].run(
            *("ansible-vault", "encrypt", "--vault-password-file", folder / "vault.word"),
            *("--output", written / "group_vars" / "all" / "vault.yml"),
            stdin=yaml.safe_dump({"vault_passwords": PASSWORDS}),
        )
        assert vault.returncode == 0, vault.stderr
        yield one


def add_login(file: Path) -> None:
    """As the how-to does it: a configuration that names the file, and the command."""
    file.parent.mkdir()
    (file.parent / "logins.toml").write_text(f'[auth]\nfile = "{file.name}"\n')
    command = [sys.executable, "-m", "visavis.cli", "auth", "add", "grafana", "--role", "viewer", "--token"]
    subprocess.run([*command, "--config", file.parent / "logins.toml"], check=True, stdout=subprocess.DEVNULL)


class Ear:
    """Collects every event of the house's broker as a program with a session does, and every message of a frame."""

    def __init__(self, broker: Broker) -> None:
        self.heard: set[str] = set()
        self.frames: dict[str, list[Detections]] = {name: [] for name in BOARDS}
        self.stop = threading.Event()
        devices = Device("+", broker)
        self.threads = [threading.Thread(target=one, args=(devices,)) for one in (self.listen, self.look)]

    def listen(self, devices: Device) -> None:
        for event in devices.events("ear", self.stop):
            self.heard.add(event.id)

    def look(self, devices: Device) -> None:
        for message in devices.detections(stop=self.stop):
            self.frames[message.device].append(message)

    def __enter__(self) -> Ear:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="module")
def ear(fleet: Fleet) -> Iterator[Ear]:
    with Ear(fleet.broker) as one:
        yield one


def connected(fleet: Fleet, name: str) -> bool:
    """Whether a device is at all brokers that it has."""
    return all(one["connected"] for one in fleet.status(name)["brokers"])


def test_a_dry_run_tells_what_new_hosts_would_get_and_changes_nothing(fleet: Fleet) -> None:
    played = fleet.play("site.yml", "--check", "--diff")
    assert played.code == 0, played.said
    assert all(played.changed.values()), played.said
    assert 'source = "demo:"' in played.said.replace('\\"', '"')
    for machine in fleet.machines.values():
        assert machine.try_to_run("dpkg -s visavis").returncode != 0
        assert machine.try_to_run("ls /etc/visavis").returncode != 0


def test_plain_hosts_become_devices(fleet: Fleet, ear: Ear) -> None:
    """The one with Debian 12 by the Ansible of Debian 12, which is the oldest and knows no newer system's Python."""
    said = ""
    for name, release in {"porch": fleet.oldest, "workshop": "ansible"}.items():
        played = fleet.play("site.yml", "--limit", name, release=release)
        assert played.code == 0, played.said
        said += played.said
    assert fleet.versions() == {"porch": "0.1.0", "workshop": "0.1.0"}
    for name in BOARDS:
        assert connected(fleet, name), fleet.status(name)["brokers"]
        logins = "/var/lib/visavis/credentials.toml"
        assert fleet.machines[name].run(f"stat -c '%a %U' {logins}; grep -c grafana {logins}").split() == [
            "600",
            "visavis",
            "1",
        ]
    assert not [password for password in PASSWORDS.values() if password in said]


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    played = fleet.play("site.yml", "--diff")
    assert (played.code, played.changed) == (0, {"porch": 0, "workshop": 0}), played.said


def test_the_porch_wants_logins_and_only_root_is_let_in_without(fleet: Fleet) -> None:
    porch = fleet.machines["porch"]
    assert porch.run("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/api/v1/status") == "401"
    assert fleet.status("porch")["version"] == "0.1.0"
    places = "/run/visavis-capture /run/visavis-capture/token"
    assert porch.run(f"stat -c '%U %a' {places}").splitlines() == ["visavis 700", "visavis 600"]
    refused = porch.try_to_run("setpriv --reuid visavis-infer --clear-groups cat /run/visavis-capture/token")
    assert "Permission denied" in refused.stderr


def test_a_device_that_runs_another_version_than_is_installed_is_found_out(fleet: Fleet) -> None:
    played = fleet.play("site.yml", "-e", "visavis_gate_version=0.2.0")
    assert played.code != 0
    found = re.findall(
        r"^fatal: \[(\w+)\]: FAILED! => {[^}]*version 0\.1\.0, 0\.2\.0 is ins", played.said, re.MULTILINE
    )
    assert sorted(found) == ["porch", "workshop"], played.said


def test_a_user_of_the_broker_comes_and_goes_and_nobody_else_is_cut_off(fleet: Fleet) -> None:
    workshop = fleet.machines["workshop"]
    process = "systemctl show -P MainPID mosquitto"
    before = workshop.run(process)
    more = json.dumps({"broker_users": {**PASSWORDS, "guest": "comes and goes"}})
    for words, comes_in in ((["-e", more], True), ([], False)):
        played = fleet.play("site.yml", "--limit", "workshop", *words)
        assert (played.code, played.changed) == (0, {"workshop": 2}), played.said
        # Who is let in waits in vain for a message: the time is up.
        curl = "curl -s --max-time 3 -o /dev/null 'mqtt://guest:comes%20and%20goes@127.0.0.1/nothing'"
        assert (workshop.try_to_run(curl).returncode == TIME_IS_UP) == comes_in
        assert workshop.run(process) == before
        assert connected(fleet, "workshop"), fleet.status("workshop")["brokers"]


def test_debian_12s_own_ansible_changes_nothing_either(fleet: Fleet, tmp_path: Path) -> None:
    Ansible.installed("ansible-oldest", tmp_path)
    played = fleet.play("site.yml", "--limit", "porch", release="ansible-oldest")
    assert (played.code, played.changed) == (0, {"porch": 0}), played.said


def test_a_wrong_setting_never_reaches_a_device(fleet: Fleet) -> None:
    porch = fleet.machines["porch"]
    before = porch.run("sha256sum /etc/visavis/config.toml; systemctl show -P MainPID visavis-capture")
    wrong = json.dumps({"visavis_settings": {**SETTINGS, "detector": {"score": 7}}})
    played = fleet.play("site.yml", "--limit", "porch", "-e", wrong)
    assert played.code != 0
    assert "detector.score: 7 is outside 0 to 1" in played.said
    assert porch.run("sha256sum /etc/visavis/config.toml; systemctl show -P MainPID visavis-capture") == before
    assert porch.run("curl -sf http://127.0.0.1:8080/readyz")


def events_kept(fleet: Fleet, name: str) -> set[str]:
    """Ids of all events that a device has ever told."""
    ids: set[str] = set()
    cursor = ""
    while True:
        page = fleet.asked(name, f"events?limit=500{cursor}")
        ids |= {event["id"] for event in page["events"]}
        if not page["more"]:
            return ids
        cursor = f"&since={page['events'][-1]['id']}"


def test_a_device_that_does_not_work_before_stops_the_update_untouched(fleet: Fleet, ear: Ear) -> None:
    porch, workshop = fleet.machines["porch"], fleet.machines["workshop"]
    started = workshop.run("systemctl show -P MainPID visavis-capture")
    porch.run("systemctl stop visavis-capture")
    played = fleet.play("update.yml", "-e", "visavis_ready_s=30", version="0.2.0")
    assert played.code != 0
    assert not any(played.changed.values()), played.said
    assert workshop.run("systemctl show -P MainPID visavis-capture") == started
    porch.run("systemctl start visavis-capture")
    porch.run(retry("curl -sf http://127.0.0.1:8080/readyz", 5 * WAIT_S, "journalctl -n 60 --no-pager"), 6 * WAIT_S)
    assert fleet.versions() == {"porch": "0.1.0", "workshop": "0.1.0"}


def test_an_update_stops_at_the_device_that_fails_and_takes_that_one_back(fleet: Fleet, ear: Ear) -> None:
    started = fleet.machines["workshop"].run("systemctl show -P MainPID visavis-capture")
    fleet.machines["porch"].run(BREAK.format(**DAEMON))
    played = fleet.play("update.yml", "-e", READY, version="0.2.0")
    assert played.code != 0
    assert "porch did not work with 0.2.0+bookworm" in played.said, played.said
    assert fleet.versions() == {"porch": "0.1.0", "workshop": "0.1.0"}
    assert fleet.machines["workshop"].run("systemctl show -P MainPID visavis-capture") == started


def test_a_broker_that_fails_is_taken_back_before_any_device_is_touched(fleet: Fleet, ear: Ear) -> None:
    workshop = fleet.machines["workshop"]
    started = workshop.run("systemctl show -P MainPID visavis-capture")
    workshop.run(BREAK.format(**BROKER))
    played = fleet.play("update.yml", "-e", NEW_BROKER, "-e", f"broker_ready_s={10 * SLOWER}", version="0.2.0")
    assert played.code != 0
    assert "workshop did not work with visavis-broker 0.2.0 (" in played.said
    assert "mosquitto does not start with our settings" in played.said  # of the package, through apt
    assert (fleet.broker_version(), fleet.versions()) == ("0.1.0", {"porch": "0.1.0", "workshop": "0.1.0"})
    assert workshop.run("systemctl show -P MainPID visavis-capture") == started
    workshop.run(MEND.format(**BROKER))


def test_an_update_goes_through_all_when_each_works(fleet: Fleet, ear: Ear) -> None:
    fleet.machines["porch"].run(MEND.format(**DAEMON))
    played = fleet.play("update.yml", "-e", NEW_BROKER, version="0.2.0")
    assert played.code == 0, played.said
    assert (fleet.broker_version(), fleet.versions()) == ("0.2.0", {"porch": "0.2.0", "workshop": "0.2.0"})
    until(partial(connected, fleet, "workshop"), "the workshop does not reach its own broker again", WAIT_S)


def test_an_update_passes_over_who_has_the_version(fleet: Fleet, ear: Ear) -> None:
    main_pid = "systemctl show -P MainPID visavis-capture mosquitto"
    started = {name: machine.run(main_pid) for name, machine in fleet.machines.items()}
    played = fleet.play("update.yml", "-e", NEW_BROKER, version="0.2.0")
    assert (played.code, played.changed) == (0, {"porch": 0, "workshop": 0}), played.said
    assert {name: machine.run(main_pid) for name, machine in fleet.machines.items()} == started


def test_no_event_was_lost_on_the_way_and_every_frame_is_accounted_for(fleet: Fleet, ear: Ear) -> None:
    for name in BOARDS:
        kept = events_kept(fleet, name)
        assert kept, f"nothing ever happened at {name}: this test shows nothing"
        until(
            partial(kept.issubset, ear.heard), f"some of {len(kept)} events of {name} never came to the broker", WAIT_S
        )
        for camera in fleet.status(name)["cameras"]:
            frames = camera["frames"]
            told = frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
            assert frames["captured"] == told, frames


def lives(fleet: Fleet, ear: Ear, name: str) -> list[list[Detections]]:
    """What each start of a device's daemon has told of frames, of those that have told anything."""
    ask = f"journalctl -o json MESSAGE_ID={STARTING} UNIT=visavis-capture.service"
    starts = [json.loads(line) for line in fleet.machines[name].run(ask).splitlines()]
    begun = [int(one["__REALTIME_TIMESTAMP"]) / 1e6 for one in starts]
    told: list[list[Detections]] = [[] for _ in begun]
    for message in ear.frames[name]:
        told[bisect_right(begun, message.captured_at.timestamp()) - 1].append(message)
    return [life for life in told if life]


def test_no_detection_was_lost_but_at_the_restarts_of_a_daemon(fleet: Fleet, ear: Ear) -> None:
    """Each message tells how many frames since the one before were not inferred, so none can be missing in between."""
    for name in BOARDS:
        told = lives(fleet, ear, name)
        assert len(told) > 1, f"{name} did not tell of frames both before a restart and after it"
        for before, after in (pair for life in told for pair in pairwise(life)):
            assert after.frame - before.frame == 1 + sum(msgspec.structs.astuple(after.dropped)), (before, after)


def test_the_fleet_report_shows_both(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "visavis.cli", "fleet", "--host", f"127.0.0.1:{fleet.broker.port}", "--json"]
    command += ["--user", "viewer", "--password-file", str(fleet.broker.password_file), "--wait", "60"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert said.returncode == 0, said.stdout + said.stderr
    report = {one["device"]: (one["version"], one["online"], one["cameras"]) for one in json.loads(said.stdout)}
    assert report == {name: ("0.2.0", True, ["demo"]) for name in BOARDS}


def test_debian_12s_own_ansible_updates_a_device_too(fleet: Fleet, tmp_path: Path) -> None:
    Ansible.installed("ansible-oldest", tmp_path)
    package(SYSTEMS[DEBIAN_12.suite, DEBIAN_12.architecture], "0.3.0")
    played = fleet.play("update.yml", "--limit", "porch", version="0.3.0", release="ansible-oldest")
    assert played.code == 0, played.said
    assert fleet.versions() == {"porch": "0.3.0", "workshop": "0.2.0"}
