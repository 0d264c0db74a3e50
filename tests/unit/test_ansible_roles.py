# SPDX-License-Identifier: Apache-2.0
"""What the roles do to a device and to a broker's host, as far as a test may: the real Ansible on a folder."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]

from tests.ansible_programs import PLAYBOOKS, Ansible, Played
from tests.e2e.brokers import self_signed
from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.unit.test_ansible import plugin, rendered

# A play takes a minute where three are at work.
pytestmark = pytest.mark.timeout(600)

# Where a run ends that is told so, as by a setting that is refused or a line that breaks.
CUT_OFF = {"name": "End here", "ansible.builtin.fail": {"msg": "cut off"}, "when": "cut_off | default(false)"}


def tasks(file: Path) -> list[dict[str, Any]]:
    """The tasks in a file of a role, whose files belong to us in a test."""
    text = re.sub("owner: root|group: (root|mosquitto)", "", file.read_text())
    found: list[dict[str, Any]] = yaml.safe_load(text)
    return found


def of_the_halves(step: dict[str, Any], halves: tuple[str, ...]) -> bool:
    """Whether a step of settings.yml takes one of these files, or has to do with the restart that they ask for."""
    included = step.get("ansible.builtin.include_tasks", "")
    return included in halves or "ansible.builtin.meta" in step or "_owed" in str(step) or "_pair_" in str(step)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The folder of a device, and of the role as far as it gives secrets to the daemon; its handler only speaks."""
    role, whole = tmp_path / "visavis", PLAYBOOKS / "roles" / "visavis"
    for part in ("tasks", "handlers"):
        (role / part).mkdir(parents=True)
    for part in ("defaults", "filter_plugins", "templates", "vars"):
        (role / part).symlink_to(whole / part)
    halves = ("secrets.yml", "handing.yml")
    for name in halves:
        (role / "tasks" / name).write_text(yaml.safe_dump(tasks(whole / "tasks" / name)))
    steps = [step for step in tasks(whole / "tasks" / "settings.yml") if of_the_halves(step, halves)]
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump([steps[0], CUT_OFF, *steps[1:]]))
    restart = [{"name": "Restart visavis", "ansible.builtin.debug": {"msg": "restarted"}}]
    (role / "handlers" / "main.yml").write_text(yaml.safe_dump(restart))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"visavis": {"hosts": {"porch": {}}}}))
    return tmp_path


def handed(ansible: Ansible, device: Path, secrets: dict[str, str], *words: str, **variables: Any) -> Played:
    """Let the device have these secrets."""
    places = {
        "visavis_owed": device / "owed",
        "visavis_credstore": device / "store",
        "visavis_credentials_unit": device / "drop-ins" / "50-ansible.conf",
        "visavis_worker_credentials_unit": device / "worker" / "50-ansible.conf",
    }
    given = variables | {name: str(place) for name, place in places.items()} | {"visavis_secrets": secrets}
    return rendered(ansible, device, device, device / "hosts.yml", *words, **given)


def provisioned(device: Path, *names: str) -> None:
    """Put these secrets there as the role has done, and one of the owner."""
    (device / "store").mkdir(mode=0o700)
    for name in ("own.password", *names):
        (device / "store" / name).touch(0o600)
        (device / "store" / name).write_text(f"{name}\n")
    if names:
        (device / "drop-ins").mkdir()
        (device / "drop-ins" / "50-ansible.conf").write_text("\n".join(["[Service]", *loads(device, *names)]))


def loads(device: Path, *names: str) -> list[str]:
    return [f"LoadCredential={name}:{device}/store/{name}" for name in names]


def kept(device: Path) -> tuple[dict[str, str], list[str]]:
    """The secrets that the device has, and what its unit hands over."""
    unit = device / "drop-ins" / "50-ansible.conf"
    lines = unit.read_text().splitlines() if unit.exists() else []
    files = {file.name: file.read_text() for file in (device / "store").iterdir()}
    return files, [line for line in lines if line.startswith("LoadCredential=")]


NONE, ONE, BOTH = (), ("mqtt.password",), ("gate.password", "mqtt.password")


@pytest.mark.parametrize(
    ("before", "after", "words", "changed"),
    [(NONE, BOTH, [], 3), (BOTH, ONE, ["--check"], 2), (BOTH, ONE, [], 2), (BOTH, NONE, [], 2)],
)
def test_a_secret_goes_with_its_name_and_those_of_the_owner_stay(
    before: tuple[str, ...], after: tuple[str, ...], words: list[str], changed: int, todays: Ansible, device: Path
) -> None:
    provisioned(device, *before)
    secrets = {name: name for name in after}
    played = handed(todays, device, secrets, *words)
    assert (played.code, played.changed) == (0, {"porch": changed}), played.said
    assert '"msg": "restarted"' in played.said
    left = before if words else after
    assert kept(device) == ({name: f"{name}\n" for name in ("own.password", *left)}, loads(device, *left))
    if not words:
        again = handed(todays, device, secrets)
        assert (again.code, again.changed) == (0, {"porch": 0}), again.said
        assert all(stat.S_IMODE((device / "store" / name).stat().st_mode) == 0o600 for name in after)


def test_a_secret_that_the_settings_need_does_not_go(ansible: Ansible, device: Path) -> None:
    provisioned(device, "mqtt.password")
    before = kept(device)
    mqtt = {"mqtt": {"user": "porch", "password_file": "credential:mqtt.password"}}
    refused = handed(ansible, device, {"gate.password": "b"}, visavis_settings=mqtt)
    assert refused.code != 0
    assert "the settings of porch name credential:mqtt.password, but visavis_secrets no longer" in refused.said
    assert kept(device) == before


def test_workers_are_handed_what_is_for_them(todays: Ansible, device: Path) -> None:
    unit, names = device / "worker" / "50-ansible.conf", ("engine.key", "kserve.token", "mqtt.password")
    for secrets, for_workers in ((names, names[:2]), (names[2:], ())):
        played = handed(todays, device, dict.fromkeys(secrets, "secret"))
        assert played.code == 0, played.said
        assert '"msg": "restarted"' in played.said
        assert kept(device)[1] == loads(device, *secrets)
        lines = unit.read_text().splitlines() if unit.exists() else []
        assert [line for line in lines if line.startswith("LoadCredential=")] == loads(device, *for_workers)
    assert not unit.exists()


def test_a_restart_that_a_run_did_not_come_to_is_made_by_the_next(todays: Ansible, device: Path) -> None:
    secrets = {"mqtt.password": "new"}
    failed = handed(todays, device, secrets, cut_off=True)
    assert failed.code != 0
    assert '"msg": "restarted"' not in failed.said
    for words in (["--check"], []):
        again = handed(todays, device, secrets, *words)
        assert again.code == 0, again.said
        assert '"msg": "restarted"' in again.said
    last = handed(todays, device, secrets)
    assert (last.code, last.changed) == (0, {"porch": 0}), last.said
    assert '"msg": "restarted"' not in last.said


def spoil(role: Path, template: str, line: str) -> None:
    """Give the role a template that has this line too."""
    whole = (role / "templates").resolve()
    (role / "templates").unlink()
    shutil.copytree(whole, role / "templates")
    with (role / "templates" / template).open("a") as file:
        file.write(f"{line}\n")


def test_a_unit_that_systemd_would_read_otherwise_does_not_land(todays: Ansible, device: Path) -> None:
    provisioned(device, "mqtt.password")
    before = kept(device)[1]
    refused = handed(todays, device, {"gate.password": "a", "mqtt.password": "b", "two words": "c"})
    assert refused.code != 0
    assert "not to be handed over: LoadCredential=two words:" in refused.said
    assert kept(device)[1] == before
    spoil(device / "visavis", "credentials.conf.j2", "LoadCredentials=a:/b")
    refused = handed(todays, device, {"gate.password": "a", "mqtt.password": "b"})
    assert refused.code != 0
    assert "not to be handed over: LoadCredentials=a:/b" in refused.said
    assert kept(device)[1] == before


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    """The folder of a broker's host, and of the role as far as it lets other machines in; its handler only speaks."""
    role, whole = tmp_path / "broker", PLAYBOOKS / "roles" / "broker"
    for part in ("tasks", "handlers"):
        (role / part).mkdir(parents=True)
    for part in ("defaults", "files", "filter_plugins", "templates", "vars"):
        (role / part).symlink_to(whole / part)
    halves = ("encrypted.yml", "closed.yml")
    for name in halves:
        (role / "tasks" / name).write_text(yaml.safe_dump(tasks(whole / "tasks" / name)))
    steps = [step for step in tasks(whole / "tasks" / "settings.yml") if of_the_halves(step, halves)]
    last = next(number for number, step in enumerate(steps) if "ansible.builtin.meta" in step)
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump([*steps[:last], CUT_OFF, *steps[last:]]))
    restart = [{"name": "Restart mosquitto", "ansible.builtin.debug": {"msg": "restarted"}}]
    (role / "handlers" / "main.yml").write_text(yaml.safe_dump(restart))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["broker"]}]))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"house": {}}}}))
    (tmp_path / "open").mkdir()
    return tmp_path


class Pair(NamedTuple):
    """A certificate and its key as PEM."""

    certificate: str = ""
    key: str = ""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Two that fit, each by itself."""
    folder = tmp_path_factory.mktemp("pairs")
    files = [(folder / f"{name}.pem", folder / f"{name}.key") for name in ("one", "two")]
    for pem, key in files:
        self_signed(pem, key)
    return [Pair(pem.read_text(), key.read_text()) for pem, key in files]


def let_in(ansible: Ansible, broker: Path, pair: Pair, **variables: Any) -> Played:
    """Give the broker this certificate, or none."""
    place = broker / "open"
    given = {"broker_certs": str(place), "broker_encrypted": str(place / "tls.conf"), "ansible_connection": "local"}
    given |= {"broker_certificate": pair.certificate, "broker_key": pair.key, "broker_owed": str(broker / "owed")}
    environment = {"ANSIBLE_ROLES_PATH": str(broker), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    one = Ansible(ansible.name, ansible.home, environment)
    return one.play("-i", broker / "hosts.yml", broker / "play.yml", "-e", json.dumps(given | variables))


def opened(broker: Path) -> dict[str, str]:
    """What lets other machines in."""
    return {file.name: file.read_text() for file in (broker / "open").iterdir()}


def test_a_certificate_goes_with_its_variable_and_so_does_the_port(
    todays: Ansible, broker: Path, pairs: list[Pair]
) -> None:
    played = let_in(todays, broker, pairs[0])
    assert (played.code, played.changed) == (0, {"house": 3}), played.said
    shipped = (ROOT / "broker/visavis-tls.conf").read_text()
    before = opened(broker)
    assert before == {"tls.conf": before["tls.conf"], "visavis.crt": pairs[0].certificate, "visavis.key": pairs[0].key}
    assert before["tls.conf"].startswith(shipped)
    refused = let_in(todays, broker, Pair(pairs[0].certificate, pairs[1].key))
    assert refused.code != 0
    assert "broker_key does not belong to broker_certificate" in refused.said
    assert "PRIVATE KEY" not in refused.said
    assert opened(broker) == before
    closed = let_in(todays, broker, Pair())
    assert (closed.code, closed.changed) == (0, {"house": 1}), closed.said
    assert '"msg": "restarted"' in closed.said
    assert opened(broker) == {}


@pytest.mark.parametrize("spoilt", ["keyfile", "certfile", "listener"])
def test_a_port_is_opened_encrypted_or_not_at_all(
    todays: Ansible, broker: Path, pairs: list[Pair], spoilt: str
) -> None:
    files = broker / "broker" / "files"
    files.unlink()
    files.mkdir()
    shipped = (ROOT / "broker/visavis-tls.conf").read_text()
    (files / "visavis-tls.conf").write_text(shipped.replace(f"\n{spoilt} ", f"\n#{spoilt} "))
    played = let_in(todays, broker, pairs[0])
    assert played.code != 0
    assert "failed to validate" in played.said
    assert "tls.conf" not in opened(broker)


def let_users_in(ansible: Ansible, broker: Path, users: dict[str, str]) -> tuple[int, str]:
    """Give the broker these users alone: how that ends, and the names that it then has."""
    steps = tasks(PLAYBOOKS / "roles" / "broker" / "tasks" / "settings.yml")
    (step,) = (one for one in steps if one.get("ansible.builtin.template", {}).get("src") == "visavis.passwd.j2")
    step["ansible.builtin.template"] = {
        name: value for name, value in step["ansible.builtin.template"].items() if name not in ("owner", "group")
    }
    del step["notify"]
    (broker / "broker" / "tasks" / "main.yml").write_text(yaml.safe_dump([step]))
    file = broker / "passwords"
    played = let_in(ansible, broker, Pair(), broker_users=users, broker_passwords=str(file))
    return played.code, re.sub(r":.*", "", file.read_text()) if file.exists() else ""


def test_users_whom_mosquitto_would_not_understand_do_not_land(todays: Ansible, broker: Path) -> None:
    assert let_users_in(todays, broker, {"porch": "a", "väry": "b"}) == (0, "porch\nväry\n")
    for name in ("two:names", "two\nlines", "", "#hash", " lead", "trail "):
        assert let_users_in(todays, broker, {name: "c"}) == (2, "porch\nväry\n"), name
    spoil(broker / "broker", "visavis.passwd.j2", "workshop:open")
    assert let_users_in(todays, broker, {"porch": "a"}) == (2, "porch\nväry\n")


def self_made(key: Any, days: int) -> str:
    """A certificate that ends in so many days."""
    x509, name = import_module("cryptography.x509"), import_module("cryptography.x509.oid").NameOID.COMMON_NAME
    house, end = x509.Name([x509.NameAttribute(name, "house")]), datetime.now(timezone.utc) + timedelta(days=days)
    unsigned = x509.CertificateBuilder(house, house, key.public_key(), 7, end - timedelta(days=9), end)
    signed = unsigned.sign(key, import_module("cryptography.hazmat.primitives.hashes").SHA256())
    return str(signed.public_bytes(import_module("cryptography.hazmat.primitives.serialization").Encoding.PEM), "ascii")


def test_what_mosquitto_could_not_use_is_told(
    todays: Ansible, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(todays.site)])
    fault = plugin("roles/broker/filter_plugins/broker_pair.py").broker_pair_fault
    one, two = pairs
    assert fault(one.certificate + two.certificate, one.key) == ""
    assert fault(one.key, one.key).startswith("broker_certificate holds no certificate as PEM")
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    key = serialization.load_pem_private_key(one.key.encode(), None)
    kept = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    locked = key.private_bytes(*kept, serialization.BestAvailableEncryption(b"word")).decode()
    for wrong in ("", one.certificate, locked):
        assert fault(one.certificate, wrong).startswith("broker_key holds no key as PEM, or one with a password")
    assert fault(one.certificate, two.key).startswith("broker_key does not belong to broker_certificate")
    assert fault(self_made(key, 1), one.key) == ""
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    assert (
        fault(self_made(key, -1), one.key) == f"broker_certificate was valid until {yesterday:%Y-%m-%d}: make a new one"
    )


def test_a_broker_too_is_restarted_by_the_next_run(todays: Ansible, broker: Path, pairs: list[Pair]) -> None:
    failed = let_in(todays, broker, pairs[0], cut_off=True)
    assert failed.code != 0
    assert '"msg": "restarted"' not in failed.said
    again = let_in(todays, broker, pairs[0])
    assert (again.code, again.changed) == (0, {"house": 1}), again.said
    assert '"msg": "restarted"' in again.said


def test_the_shipped_port_reads_what_the_role_writes() -> None:
    folder = yaml.safe_load((PLAYBOOKS / "roles/broker/vars/main.yml").read_text())["broker_certs"]
    lines = (ROOT / "broker/visavis-tls.conf").read_text().splitlines()
    assert {f"certfile {folder}/visavis.crt", f"keyfile {folder}/visavis.key"} <= set(lines)


def test_a_port_that_the_owner_has_opened_stays(todays: Ansible, broker: Path) -> None:
    own = {"tls.conf": (ROOT / "broker/visavis-tls.conf").read_text(), "visavis.crt": "own", "visavis.key": "own"}
    for name, text in own.items():
        (broker / "open" / name).write_text(text)
    closed = let_in(todays, broker, Pair())
    assert (closed.code, closed.changed) == (0, {"house": 0}), closed.said
    assert opened(broker) == own


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """The playbook that updates, on this machine, with a role that only leaves word."""
    for name in ("update.yml", "filter_plugins"):
        (tmp_path / name).symlink_to(PLAYBOOKS / name)
    role = tmp_path / "roles" / "visavis" / "tasks"
    role.mkdir(parents=True)
    word = {"path": f"{tmp_path}/{{{{ inventory_hostname }}}}.updated", "state": "touch"}
    (role / "update.yml").write_text(yaml.safe_dump([{"name": "Leave word", "ansible.builtin.file": word}]))
    return tmp_path


def test_a_device_that_cannot_be_reached_stops_the_update_like_one_that_fails(ansible: Ansible, street: Path) -> None:
    here = {"ansible_connection": "local", "ansible_become": False, "visavis_domain": "a"}
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port()}
    hosts = {"attic": here, "bench": here | gone, "cellar": here | {"visavis_domain": "b"}}
    (street / "hosts.yml").write_text(yaml.safe_dump({"visavis": {"hosts": hosts}}))
    one = Ansible(ansible.name, ansible.home, {"ANSIBLE_PYTHON_INTERPRETER": sys.executable})
    played = one.play("-i", street / "hosts.yml", street / "update.yml", "-e", "visavis_at_once=2")
    assert played.code != 0
    assert "bench cannot be reached any more" in played.said
    assert {file.name for file in street.glob("*.updated")} == {"attic.updated"}
