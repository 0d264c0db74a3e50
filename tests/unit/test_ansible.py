# SPDX-License-Identifier: Apache-2.0
"""The playbooks' own code, and what the real Ansible makes of the templates: the real daemon must find it right."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from visavis.broker import wait_until_up

from tests.ansible_programs import PLAYBOOKS, Ansible, Played
from tests.e2e.brokers import end_mosquitto
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.unit.command import visavis

# A play takes a minute where three are at work.
pytestmark = pytest.mark.timeout(600)

ROLES = ("visavis", "broker", "card")
PASSWORD = "väry secret"  # noqa: S105 (of a broker that lives for one test)
SECRETS = {
    "vault_mqtt_passwords": {"porch": "a", "garden": "b", "bench": "c"},
    "vault_gate_password": "d",
    "vault_broker_certificate": "e",
}
RENDER = """
- name: Render what a device would get
  ansible.builtin.template:
    src: config.toml.j2
    dest: "{{ lookup('ansible.builtin.env', 'RENDERED') }}/{{ inventory_hostname }}.toml"
    mode: "0644"
"""


def plugin(path: str) -> ModuleType:
    """Code of the playbooks, which is in no package."""
    loader = SourceFileLoader(Path(path).stem.replace("-", "_"), str(PLAYBOOKS / path))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


settings = plugin("roles/visavis/filter_plugins/visavis_settings.py")
passwords = plugin("roles/broker/filter_plugins/mosquitto_passwords.py")
rollout = plugin("filter_plugins/rollout.py").rollout

plain = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    plain | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(plain, values, max_size=4))
def test_what_is_written_as_toml_is_read_back_the_same(given_settings: dict[str, Any]) -> None:
    text = "".join(f"{settings._key(name)} = {settings.visavis_toml(one)}\n" for name, one in given_settings.items())
    assert msgspec.toml.decode(text) == given_settings


@pytest.mark.parametrize("value", [None, {1, 2}, object()])
def test_what_toml_has_not_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="cannot be written in TOML"):
        settings.visavis_toml({"key": value})


@pytest.mark.parametrize(
    ("web", "page"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"listen": "0.0.0.0:80"}, "http://127.0.0.1:80"),
        ({"listen": ":81", "https": True}, "https://127.0.0.1:81"),
        ({"listen": "[::]:82", "cert": "page.pem"}, "https://[::1]:82"),
        ({"listen": "192.0.2.1:83"}, "http://192.0.2.1:83"),
    ],
)
def test_the_device_finds_its_own_page(web: dict[str, Any], page: str) -> None:
    assert settings.visavis_page({"web": web}) == page


def test_a_camera_that_lost_a_frame_is_named() -> None:
    frames = {"captured": 10, "inferred": 6, "in_flight": 1, "dropped": {"superseded": 2, "no_slot": 1}}
    status = [{"id": "good", "frames": frames}, {"id": "bad", "frames": {**frames, "captured": 11}}]
    assert settings.visavis_unaccounted(status) == ["bad"]


def test_no_batch_of_an_update_holds_two_failure_domains() -> None:
    domains = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "alone": ""}
    order = rollout(["b1", "a3", "alone", "a1", "a2"], domains, 2)
    assert order == {"devices": ["alone", "a1", "a2", "a3", "b1"], "sizes": [1, 2, 1, 1]}
    assert rollout(domains, domains)["sizes"] == [1] * 5
    with pytest.raises(ValueError, match="at least one"):
        rollout(domains, domains, 0)


@pytest.mark.parametrize(("is_old", "code"), [(True, 0), (False, 1)])
def test_lint_says_in_one_line_that_it_leaves_the_playbooks_out(is_old: bool, code: int, tmp_path: Path) -> None:
    script, python = tmp_path / "scripts" / "ansible.sh", tmp_path / ".venv" / "bin" / "python"
    for folder in (script.parent, python.parent, tmp_path / "ansible"):
        folder.mkdir(parents=True)
    shutil.copy(PLAYBOOKS.parent / "scripts" / "ansible.sh", script)
    python.write_text(f"#!/bin/sh\nexit {int(not is_old)}\n")  # what the script asks: whether it is an old one
    python.chmod(0o755)
    said = subprocess.run([str(script), "lint"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr.count("\n")) == (code, 1), said.stderr
    assert said.stderr.startswith("lint: ansible/ is left out: ansible-lint needs Python 3.11") == is_old


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """The port of the real one, which lets in porch alone, by the password as the role writes it."""
    port = free_port()
    (tmp_path / "passwords").write_text(f"porch:{passwords.mosquitto_password(PASSWORD, 'porch', 'hub')}\n")
    (tmp_path / "conf").write_text(f"listener {port} 127.0.0.1\npassword_file {tmp_path}/passwords\nuser root\n")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    command = ["mosquitto", "-c", str(tmp_path / "conf")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_up(process, port)
            yield port
        finally:
            end_mosquitto(process)


def test_the_real_mosquitto_takes_the_passwords(mosquitto: int) -> None:
    hashed = passwords.mosquitto_password(PASSWORD, "porch", "hub")
    assert hashed == passwords.mosquitto_password(PASSWORD, "porch", "hub")
    assert hashed.split("$")[3] != passwords.mosquitto_password(PASSWORD, "bench", "hub").split("$")[3]
    publish = ["mosquitto_pub", "-p", str(mosquitto), "-t", "a", "-m", "b", "-u", "porch", "-P"]
    assert subprocess.run([*publish, PASSWORD], check=False).returncode == 0
    assert subprocess.run([*publish, "vary secret"], check=False, stderr=subprocess.DEVNULL).returncode == 5


def lets_in(port: int, **user: object) -> subprocess.CompletedProcess[str]:
    """What the playbooks ask of a broker."""
    command = [sys.executable, str(PLAYBOOKS / "roles/broker/files/lets_in.py"), str(port), "0"]
    return subprocess.run(command, input=json.dumps(user), capture_output=True, text=True, check=False)


def test_a_broker_works_when_it_lets_in_who_may(mosquitto: int) -> None:
    assert lets_in(mosquitto, user="porch", password=PASSWORD).returncode == 0
    assert lets_in(mosquitto).returncode == 0, "without users it is enough that it answers"
    for user, password in (("porch", "x" * 300), ("porch", 7), ("bench", PASSWORD)):
        said = lets_in(mosquitto, user=user, password=password)
        assert (said.returncode, said.stderr) == (1, f"it refuses the user {user} (code 5)\n")
    said = lets_in(free_port(), user="porch", password=PASSWORD)
    assert said.returncode == 1
    assert "nobody answers" in said.stderr


@pytest.mark.parametrize("role", ROLES)
def test_every_choice_of_a_role_is_described_and_has_a_default(role: str) -> None:
    described = yaml.safe_load((PLAYBOOKS / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    defaults = yaml.safe_load((PLAYBOOKS / f"roles/{role}/defaults/main.yml").read_text())
    options = described["main"]["options"]
    required = {name for name, option in options.items() if option.get("required")}
    assert options.keys() - required == defaults.keys() - {"visavis_effective", "visavis_base"}
    assert all(option["description"] for option in options.values())
    assert {name for name, option in options.items() if option.get("no_log")} <= set(options)


# What a program of the device reads is checked by `validate`, but for what is no file of settings, or looked at before.
UNCHECKED = {
    "Write the secrets": "a secret may be anything",
    "Write the certificate": "broker_pair_fault, before anything is touched",
    "Write its key": "broker_pair_fault, before anything is touched",
    "Hold its services back until its settings are there": "a constant",
}


def test_what_is_written_on_a_device_is_checked_before_it_lands() -> None:
    files = [yaml.safe_load(file.read_text()) for file in PLAYBOOKS.glob("roles/*/tasks/*.yml")]
    written = {step["name"]: options for steps in files for step in steps for options in writes(step)}
    assert {name for name, options in written.items() if "%s" not in options.get("validate", "")} == UNCHECKED.keys()
    assert len(written) > len(UNCHECKED)


def writes(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a step, or one within it, writes that is made of variables; packages are files of their own."""
    for inner in (*step.get("block", ()), *step.get("rescue", ())):
        yield from writes(inner)
    if "ansible.builtin.template" in step:
        yield step["ansible.builtin.template"]
    if "content" in step.get("ansible.builtin.copy", ()):
        yield step["ansible.builtin.copy"]


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The role with its own defaults, filters, templates and description, that only renders."""
    folder = tmp_path_factory.mktemp("roles")
    (folder / "visavis" / "tasks").mkdir(parents=True)
    for part in ("defaults", "filter_plugins", "meta", "templates", "vars"):
        (folder / "visavis" / part).symlink_to(PLAYBOOKS / "roles" / "visavis" / part)
    (folder / "visavis" / "tasks" / "main.yml").write_text(RENDER)
    return folder


def rendered(ansible: Ansible, roles: Path, out: Path, inventory: Path | str, *words: str, **variables: Any) -> Played:
    """Let every device of an inventory have its settings written to `out`, on this machine."""
    play = [{"hosts": "visavis", "gather_facts": False, "roles": ["visavis"]}]
    (out / "play.yml").write_text(yaml.safe_dump(play))
    given = json.dumps({**SECRETS, "ansible_connection": "local", **variables})
    environment = {"ANSIBLE_ROLES_PATH": str(roles), "RENDERED": str(out), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    one = Ansible(ansible.name, ansible.home, environment)
    return one.play("-i", inventory, out / "play.yml", "-e", given, *words)


def test_the_daemon_finds_right_what_the_example_gives_to_each_device(
    ansible: Ansible, roles: Path, tmp_path: Path
) -> None:
    played = rendered(ansible, roles, tmp_path, "inventory/example")
    assert played.code == 0, played.said
    for name in ("mqtt.password", "gate.password", "broker.crt"):
        (tmp_path / name).write_text("secret\n")
    for device, cameras in (("porch", ["door"]), ("garden", ["gate"]), ("bench", ["demo"])):
        said = visavis("check", tmp_path / f"{device}.toml", variables={"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert said.returncode == 0, said.stderr
        made = msgspec.toml.decode((tmp_path / f"{device}.toml").read_text())
        assert made["device"]["id"] == made["mqtt"]["user"] == device
        assert [camera["id"] for camera in made.get("camera", [{"id": "demo"}])] == cameras
    assert msgspec.toml.decode((tmp_path / "garden.toml").read_text())["detector"] == {"input": [320, 256]}


def test_a_section_without_keys_is_written(ansible: Ansible, roles: Path, tmp_path: Path) -> None:
    hosts = {"visavis": {"hosts": {"porch": {"visavis_version": "0.1.0"}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    played = rendered(ansible, roles, tmp_path, tmp_path / "hosts.yml", visavis_settings={"auth": {}, "web": None})
    assert played.code == 0, played.said
    made = msgspec.toml.decode((tmp_path / "porch.toml").read_text())
    assert made == {"device": {"id": "porch"}, "auth": {}, "web": {}}


def test_a_wrong_variable_is_named_before_anything_is_done(ansible: Ansible, roles: Path, tmp_path: Path) -> None:
    wrong = {"visavis_workers": "many", "visavis_cameras": "door", "visavis_secrets": "mqtt.password"}
    hosts = {name.replace("_", "-"): {name: value, "visavis_version": "0.1.0"} for name, value in wrong.items()}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"visavis": {"hosts": hosts}}))
    played = rendered(ansible, roles, tmp_path, tmp_path / "hosts.yml")
    assert played.code != 0
    for name in wrong:
        assert f"argument '{name}' is of type <class 'str'>" in played.said or f"'{name}'" in played.said
    assert not list(tmp_path.glob("*.toml"))


def test_every_playbook_is_understood(ansible: Ansible) -> None:
    played = ansible.play("-i", "inventory/example", "--syntax-check", *sorted(PLAYBOOKS.glob("*.yml")))
    assert played.code == 0, played.said


HOW_TO = [block for block in blocks("text", "toml", "yaml", "sh") if block.page.name == "fleet.md"]


def shown() -> list[str]:
    """The lines in which the how-to calls one of Ansible's programs."""
    lines = [line for block in HOW_TO for line in block.text.splitlines() if block.kind == "text"]
    return [line for line in lines if "ansible-" in line]


@pytest.mark.parametrize("line", shown())
def test_what_the_how_to_shows_is_there(line: str) -> None:
    for word in shlex.split(line):
        if (word.endswith(".yml") and "/" not in word) or word.startswith("./"):
            assert (PLAYBOOKS / word).exists(), word
        name, given, _ = word.partition("=")
        if given:
            described = [PLAYBOOKS / f"roles/{role}/meta/argument_specs.yml" for role in ROLES]
            assert any(f"{name}:" in one.read_text() for one in described) or name == "visavis_at_once", name


def followed(ansible: Ansible, house: Path) -> Path:
    """The folder of the playbooks after all that the how-to lets its reader type before the first play."""
    own = shutil.ignore_patterns(".ansible", "home", "private", "fleet.toml")
    shutil.copytree(PLAYBOOKS, house / "ansible", ignore=own)
    (house / "word").write_text("open\n")
    fleet = next(block.text for block in HOW_TO if block.note == "fleet.toml")
    (house / "ansible" / "fleet.toml").write_text(fleet)
    typed = [block.text for block in HOW_TO if block.kind == "text"]
    until_played = typed[: next(number for number, text in enumerate(typed) if "site.yml" in text)]
    environment = {"ANSIBLE_VAULT_PASSWORD_FILE": str(house / "word")}
    one = Ansible(ansible.name, ansible.home, environment)
    said = one.run("bash", "-ec", f"cd {house}\n" + "".join(until_played))
    assert said.returncode == 0, said.stdout + said.stderr
    return house / "ansible"


def test_the_how_to_can_be_followed_word_by_word(ansible: Ansible, tmp_path: Path) -> None:
    there = followed(ansible, tmp_path)
    home, vault = there / "inventory" / "home", ("--vault-password-file", tmp_path / "word")
    wanted = "{{ [broker_key, broker_certificate, hostvars['garden'].visavis_secrets] }}"
    show = ("-m", "ansible.builtin.debug", "-a", f"msg={wanted}", "-e", "visavis_device_id=garden")
    said = ansible.run("ansible", "hub", "-i", home, *vault, *show)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("-----BEGIN ") == 3, said.stdout
    listed = ansible.run("ansible-inventory", "-i", home, *vault, "--list")
    assert sorted(json.loads(listed.stdout)["_meta"]["hostvars"]) == ["bench", "garden", "hub", "porch"]
    assert "WARNING" not in listed.stderr, "something in the inventory's folder is none"
    both = ("-i", there / "visavis-inventory", "-i", home, *vault)
    garden = json.loads(ansible.run("ansible-inventory", *both, "--host", "garden").stdout)
    assert (garden["ansible_host"], garden["visavis_domain"]) == ("192.0.2.12", "home")
