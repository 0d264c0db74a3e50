# SPDX-License-Identifier: Apache-2.0
"""`visavis-inventory` beside a real broker with what three devices have left there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from visavis.broker import managed_broker

from tests.ansible_programs import PLAYBOOKS, Ansible
from tests.chaos.outboxload import Broker
from tests.e2e.brokers import publish
from tests.ports import free_port

PROGRAM = PLAYBOOKS / "visavis-inventory"
INFO = {
    **{"schema": 1, "version": "0.1.0", "model": "centerface", "backend": "onnxruntime", "precision": "fp32"},
    **{"fallback": False, "workers": 1, "cameras": ["door"], "url": "", "brokers": {"mqtt": True}},
}
RETAINED = {
    "porch/status": "online",
    "porch/info": json.dumps(INFO | {"url": "http://192.0.2.11:8080/"}),
    "porch/door/status": "online",
    "garden/status": "online",
    "garden/info": json.dumps(INFO | {"version": "0.2.0", "cameras": ["door", "yard"]}),
    "garden/door/status": "online",  # and nothing is heard of the one in the yard
    "attic/status": "offline",
    "attic/info": json.dumps(INFO),
    "attic/door/status": "offline",
}
LISTED = """
[device.porch]
site = "home"
[device.garden]
address = "192.0.2.12"
site = "home"
domain = "outside"
[device.new]
site = "work shop"
"""


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VISAVIS_FLEET": str(folder / "fleet.toml")}
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a fleet.toml; its broker holds what the devices told."""
    folder, port = tmp_path_factory.mktemp("house"), free_port()
    (folder / "fleet.toml").write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n{LISTED}')
    with managed_broker(port, folder):
        for topic, payload in RETAINED.items():
            publish = ["mosquitto_pub", "-p", str(port), "-r", "-q", "1", "-t", f"visavis/{topic}", "-m", payload]
            subprocess.run(publish, check=True)
        yield folder


@pytest.fixture(scope="module")
def listed(house: Path) -> dict[str, Any]:
    said = ask(house, "--list")
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


TEMPLATE = "{{lookup('pipe','reboot')}}"


@pytest.mark.parametrize("url", ["http://-oProxyCommand=reboot:22/", "http://[", "http://a b/", f"http://{TEMPLATE}/"])
def test_what_a_device_tells_cannot_steer_ansible_or_hide_the_others(url: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "fleet.toml").write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n[device.porch]\n')
    hostile = dict.fromkeys(("version", "model", "backend"), TEMPLATE) | {"cameras": [TEMPLATE], "url": url}
    with managed_broker(port, tmp_path):
        for topic, payload in (("info", json.dumps(INFO | hostile)), ("status", "online")):
            command = ["mosquitto_pub", "-p", str(port), "-r", "-q", "1", "-t", f"visavis/attic/{topic}", "-m", payload]
            subprocess.run(command, check=True)
        said = ask(tmp_path, "--list")
    assert (said.returncode, said.stderr, "{{" in said.stdout) == (0, "", False)
    hosts = json.loads(said.stdout)["_meta"]["hostvars"]
    assert {name: one.get("ansible_host") for name, one in hosts.items()} == {"attic": None, "porch": "porch.local"}
    assert hosts["attic"]["visavis_seen"]["version"] is None


def test_devices_are_grouped_by_site_version_and_health(listed: dict[str, Any]) -> None:
    assert {name: group["hosts"] for name, group in listed.items() if name != "_meta"} == {
        "visavis": ["garden", "new", "porch"],
        "visavis_unlisted": ["attic"],
        "site_home": ["garden", "porch"],
        "site_work_shop": ["new"],
        "version_0_1_0": ["attic", "porch"],
        "version_0_2_0": ["garden"],
        "health_ok": ["porch"],
        "health_degraded": ["garden"],
        "health_offline": ["attic"],
        "health_unknown": ["new"],
    }


def test_the_address_is_the_listed_one_or_the_name_and_never_what_a_device_says(listed: dict[str, Any]) -> None:
    hosts = listed["_meta"]["hostvars"]
    assert {name: one.get("ansible_host") for name, one in hosts.items()} == {
        **{"porch": "porch.local", "garden": "192.0.2.12", "attic": None, "new": "new.local"}
    }
    assert hosts["attic"].keys() == {"visavis_seen"}
    domains = {name: one["visavis_domain"] for name, one in hosts.items() if "visavis_domain" in one}
    assert domains == {"porch": "home", "garden": "outside", "new": "work shop"}
    assert hosts["garden"]["visavis_seen"]["cameras_offline"] == ["yard"]


def test_a_device_that_is_called_like_a_group_is_no_target_of_its_playbooks(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "fleet.toml").write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n')
    with managed_broker(port, tmp_path):
        for name in ("visavis", "brokers", "localhost", "attic"):
            command = ["mosquitto_pub", "-p", str(port), "-r", "-q", "1", "-t", f"visavis/{name}/info", "-m"]
            subprocess.run([*command, json.dumps(INFO | {"cameras": []})], check=True)
        said = ask(tmp_path, "--list")
    found = json.loads(said.stdout)
    assert list(found["_meta"]["hostvars"]) == found["visavis_unlisted"]["hosts"] == ["attic"]
    assert found["visavis"]["hosts"] == []
    assert "a device called brokers is left out" in said.stderr


def test_one_host_is_what_the_list_says_of_it(house: Path, listed: dict[str, Any]) -> None:
    assert json.loads(ask(house, "--host", "porch").stdout) == listed["_meta"]["hostvars"]["porch"]
    assert json.loads(ask(house, "--host", "nobody").stdout) == {}


def test_ansible_itself_reads_it(house: Path, tmp_path: Path) -> None:
    ansible = Ansible.installed("ansible", tmp_path, {"VISAVIS_FLEET": str(house / "fleet.toml")})
    said = ansible.run("ansible-inventory", "-i", PROGRAM, "--list", "--limit", "site_home:&health_ok")
    assert list(json.loads(said.stdout)["_meta"]["hostvars"]) == ["porch"], said.stderr


def test_without_its_broker_the_listed_devices_are_there(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{free_port()}"\n{LISTED}')
    said = ask(tmp_path, "--list")
    assert said.returncode == 0
    assert json.loads(said.stdout)["health_unknown"]["hosts"] == ["garden", "new", "porch"]
    assert "nothing is known of what runs" in said.stderr


def test_a_broker_that_is_slow_to_answer_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "fleet.toml").write_text(f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n')
    with Broker(tmp_path, port) as broker:
        for topic in ("attic/info", "attic/door/status", "attic/status"):
            publish(port, f"visavis/{topic}", RETAINED[topic], "-r", "-q", "1")
        broker.freeze()  # the kernel connects all the same
        later = threading.Timer(5, broker.thaw)
        later.start()
        said = ask(tmp_path, "--list")
        later.join()
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout)["visavis_unlisted"]["hosts"] == ["attic"]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + LISTED.encode(), LISTED.replace("\n", "\r\n").encode()])
def test_editors_of_other_systems_are_understood(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_bytes(content)
    said = ask(tmp_path, "--list")
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout)["visavis"]["hosts"] == ["garden", "new", "porch"]


def test_another_encoding_is_said(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_bytes("# Küche\n".encode("latin-1"))
    assert "fleet.toml: not UTF-8: save it as UTF-8, which" in ask(tmp_path, "--list").stderr


def test_each_device_gets_a_password_of_its_own_each_time(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(LISTED)
    made = [json.loads(ask(tmp_path, "--new-passwords").stdout)["vault_mqtt_passwords"] for _ in range(2)]
    assert list(made[0]) == ["garden", "new", "porch", "homeassistant", "viewer"]
    assert len({*made[0].values(), *made[1].values()}) == 10
    assert all(len(password) >= 24 for password in made[0].values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[device.porch]\nadress = 1", "unknown field `adress`"),
        ("[device", "fleet.toml: "),
        ('[broker]\nurl = "porch:mqtt"', "fleet.toml: broker.url: "),
        ('[broker]\nurl = "porch"\nprefix = "a/b"', "fleet.toml: broker.prefix 'a/b' cannot be one level of a topic"),
        ('[broker]\nurl = "porch"\npassword_file = "a"', "fleet.toml: broker.password_file has no use without user"),
        (
            '[device.desk]\nsite = "Büro"\n[device.door]\nsite = "Bäro"',
            "fleet.toml: the sites 'Bäro' and 'Büro' would both be the group site_B_ro: let them differ in letters",
        ),
        (None, "fleet.toml cannot be read"),
    ],
)
def test_a_wrong_file_is_told(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "fleet.toml").write_text(text)
    said = ask(tmp_path, "--list")
    assert (said.returncode, said.stdout) == (2, "")
    assert words in said.stderr


def test_what_cannot_take_the_answer_is_said_and_a_reader_who_has_enough_is_not(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(LISTED)
    environment = {**os.environ, "VISAVIS_FLEET": str(tmp_path / "fleet.toml")}
    command = [sys.executable, str(PROGRAM), "--list"]
    reading, writing = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("wb") as full, os.fdopen(writing, "wb") as unread:
        for stdout, words in ((full, "visavis-inventory: No space left on device\n"), (unread, "")):
            said = subprocess.run(
                command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
            )
            assert (said.returncode, said.stderr) == (1, words)
