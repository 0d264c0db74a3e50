# SPDX-License-Identifier: Apache-2.0
"""Real releases of Home Assistant, without a screen and without a login.

Each release lives in a small Debian of its own with the Python that it wants, made once by mmdebstrap and kept under
the hash of its recipe. It runs there in a mount namespace of its own. Tests see what it believes over MQTT: it tells
every change of a state by itself, all states when it is asked, and does what it is ordered to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.e2e.brokers import publish
from tests.e2e.subscriber import Subscriber, subscribed
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "ha"
MIRROR = "http://deb.debian.org/debian"
# Compilers only for the few packages that bring no wheel.
PACKAGES = (
    *("python3-venv", "python3-dev", "build-essential", "libffi-dev", "libssl-dev"),
    *("libturbojpeg0", "libjpeg-dev", "zlib1g-dev", "ca-certificates"),
)
# What a machine behind a gateway needs to reach the registries, taken from it.
BORROWED = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt")
INSTALL = """\
mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc"
chroot "$1" python3 -m venv /opt/ha
exec chroot "$1" /opt/ha/bin/pip install --quiet --disable-pip-version-check --root-user-action ignore --no-compile \
    --require-hashes -r /root/requirements.txt
"""
RUN = """\
mount --bind "$2" "$1/config" && mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc"
exec chroot "$1" /opt/ha/bin/hass -c /config --skip-pip
"""
START_LIMIT_S = 300
ENTRY = {
    "entry_id": "0123456789abcdef0123456789abcdef", "version": 1, "minor_version": 1, "domain": "mqtt", "title": "mqtt",
    "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user",
    "unique_id": None, "disabled_by": None, "discovery_keys": {},
    "created_at": "2025-01-01T00:00:00+00:00", "modified_at": "2025-01-01T00:00:00+00:00",
}  # fmt: skip
# Since 2026.11 the address belongs into this file; one from configuration.yaml is only tried for five minutes.
HTTP = {
    "server_host": ["127.0.0.1"], "cors_allowed_origins": [], "login_attempts_threshold": -1, "ip_ban_enabled": True,
    "ssl_profile": "intermediate_v6", "use_x_frame_options": True, "created_at": "2025-01-01T00:00:00+00:00",
    "error": None, "error_message": None,
}  # fmt: skip
CONFIGURATION = """\
homeassistant:
  {name: test, latitude: 0, longitude: 0, elevation: 0, unit_system: metric, time_zone: UTC,
   allowlist_external_dirs: [/config/pictures]}
logger: {default: warning}
mqtt_statestream: {base_topic: ha}
automation shown: !include shown.yaml
automation:
  - id: order
    mode: queued
    triggers: [{trigger: mqtt, topic: test/order}]
    actions:
      - action: "{{ trigger.payload_json.action }}"
        data: "{{ trigger.payload_json.data }}"
  - id: ask
    mode: queued
    triggers: [{trigger: mqtt, topic: test/ask}]
    actions:
      - action: mqtt.publish
        data:
          topic: test/states
          payload: >-
            {% set found = namespace(all={}) %}
            {%- for id in integration_entities('mqtt') -%}
            {%- set found.all = dict(found.all, **{id: states(id)}) -%}
            {%- endfor -%}
            {{ {"asked": trigger.payload, "states": found.all} | to_json }}
  - id: describe
    mode: queued
    triggers: [{trigger: mqtt, topic: test/describe}]
    actions:
      - action: mqtt.publish
        data:
          topic: test/described
          payload: >-
            {% set of = trigger.payload_json %}
            {{ {"asked": of.asked, "attribute": state_attr(of.entity, of.attribute),
                "url": device_attr(of.entity, "configuration_url")} | to_json }}
  - id: registry
    mode: queued
    max: 1000
    triggers: [{trigger: event, event_type: entity_registry_updated}]
    actions:
      - action: mqtt.publish
        data: {topic: "test/registry/{{ trigger.event.data.action }}", payload: "{{ trigger.event.data.entity_id }}"}
"""
YAML_HTTP = "http: {{server_host: 127.0.0.1, server_port: {port}}}\n"


@dataclass(frozen=True)
class Release:
    """One Home Assistant: the pins in requirements/, and the Debian whose Python it runs on."""

    name: str
    suite: str
    http_in_storage: bool

    @property
    def pins(self) -> Path:
        return REPOSITORY / "requirements" / f"ha-{self.name}.txt"

    @property
    def root(self) -> Path:
        """Where it is, or will be."""
        recipe = repr((self.suite, PACKAGES, INSTALL)) + self.pins.read_text()
        return CACHE / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


CURRENT = Release("current", "forky", http_in_storage=True)
OLDER = Release("older", "trixie", http_in_storage=False)


def installed(release: Release) -> Path:
    """The folder with the release, built on first use: that takes some minutes and 1.6 GB."""
    assert os.geteuid() == 0, "Home Assistant runs in a chroot: `make test-ha` needs root"
    assert shutil.which("mmdebstrap"), "mmdebstrap is missing: run `make test-ha`, which installs it"
    if not release.root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=CACHE, prefix="building-"))
        try:
            install(release, draft)
        except BaseException:
            shutil.rmtree(draft)
            raise
        draft.rename(release.root)
    return release.root


def install(release: Release, root: Path) -> None:
    """Make a Debian with the release in an empty folder."""
    print(f"installing Home Assistant ({release.name}), once, into {root.parent}")
    # The suites here are rebuilt all the time; a mirror that is a few weeks behind is fine for a test.
    late = '--aptopt=Acquire::Check-Valid-Until "false"'
    command = ["mmdebstrap", "--quiet", late, "--variant=apt", f"--include={','.join(PACKAGES)}"]
    subprocess.run([*command, release.suite, str(root), MIRROR], check=True)
    for name in BORROWED:
        shutil.copyfile(f"/{name}", root / name)
    shutil.copyfile(release.pins, root / "root/requirements.txt")
    (root / "config").mkdir()
    subprocess.run(apart(INSTALL, root), check=True)


def apart(script: str, *folders: Path) -> list[str]:
    """The command for a script whose mounts nobody else sees, and which ends with us."""
    names = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh")
    return [*names, *map(str, folders)]


class Home:
    """A Home Assistant that runs."""

    def __init__(self, port: int, seen: Subscriber, folder: Path) -> None:
        self.seen = seen
        self.folder = folder
        self._port = port
        self._asked = 0

    def states(self) -> dict[str, str]:
        """Every entity that came over MQTT, with its state."""
        number = self._next()
        publish(self._port, "test/ask", number)
        return self._answer("test/states", number)["states"] or {"none": ""}

    def described(self, entity: str, attribute: str) -> dict[str, Any]:
        """An attribute of an entity, and the `url` of its device."""
        number = self._next()
        publish(self._port, "test/describe", json.dumps({"asked": number, "entity": entity, "attribute": attribute}))
        return self._answer("test/described", number)

    def _next(self) -> str:
        self._asked += 1
        return str(self._asked)

    def _answer(self, topic: str, number: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            answers = [message.json() for message in self.seen.all(topic)]
            return [answer for answer in answers if str(answer["asked"]) == number]

        answer: dict[str, Any] = until(found, f"Home Assistant answers on {topic}", 60)[0]
        return answer

    def told(self, entity: str) -> list[str]:
        """The states that an entity has had, in order."""
        kind, name = entity.split(".")
        return [message.payload.decode() for message in self.seen.all(f"ha/{kind}/{name}/state")]

    def registry(self, action: str) -> list[str]:
        """The entities that were created, updated or removed."""
        return [message.payload.decode() for message in self.seen.all(f"test/registry/{action}")]

    def order(self, action: str, entity: str, **data: Any) -> None:
        """Call an action on an entity."""
        self.call(action, entity_id=entity, **data)

    def call(self, action: str, **data: Any) -> None:
        """Call an action."""
        publish(self._port, "test/order", json.dumps({"action": action, "data": data}))


@contextmanager
def home(release: Release, broker: int, folder: Path) -> Iterator[Home]:
    """Run a release with a fresh configuration while the block runs."""
    root = installed(release)
    configure(release, broker, folder)
    log = (folder / "output.log").open("w")
    with (
        log,
        subscribed(broker, "#") as seen,
        subprocess.Popen(apart(RUN, root, folder), stdout=log, stderr=log) as process,
    ):
        try:
            until(lambda: has_started(seen), (folder / "output.log").read_text, START_LIMIT_S)
            yield Home(broker, seen, folder)
        finally:
            process.kill()  # unshare heeds nothing else, and ends what it started


def has_started(seen: Subscriber) -> bool:
    return any(message.payload == b"online" for message in seen.all("homeassistant/status"))


def configure(release: Release, broker: int, folder: Path) -> None:
    """Write what a person would have clicked together."""
    port = free_port()
    storage = folder / ".storage"
    storage.mkdir(parents=True)
    text = CONFIGURATION + ("" if release.http_in_storage else YAML_HTTP.format(port=port))
    (folder / "configuration.yaml").write_text(text)
    (folder / "shown.yaml").write_text(yaml.safe_dump(shown_automations()))
    (folder / "pictures").mkdir()
    entry = {**ENTRY, "data": {"broker": "127.0.0.1", "port": broker}}
    keep(storage, "core.config_entries", 1, {"entries": [entry]})
    if release.http_in_storage:
        stable = {"server_port": port, **HTTP}
        keep(storage, "http", 3, {"stable": stable, "pending": None, "yaml_migration_done": True})


def shown_automations() -> list[dict[str, Any]]:
    """The automations of our pages, for the camera of the tests."""
    found: list[dict[str, Any]] = []
    for block in blocks("yaml"):
        if block.page.name in ("home-assistant.md", "frigate.md"):
            shown = yaml.safe_load(block.text.replace("porch_door", "box_demo"))
            found += shown if isinstance(shown, list) else shown["automation"]
    return [{"id": f"shown_{number}", "alias": f"shown {number}"} | one for number, one in enumerate(found)]


def keep(storage: Path, name: str, version: int, data: Any) -> None:
    content = {"version": version, "minor_version": 1, "key": name, "data": data}
    (storage / name).write_text(json.dumps(content))
