# SPDX-License-Identifier: Apache-2.0
"""The flows that we ship, in a real Node-RED without a screen."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.programs import SHIPPED, Program, changed, installed, program, shown
from tests.e2e.brokers import publish
from tests.e2e.conftest import RunningAppliance
from tests.e2e.speaking import event
from tests.e2e.subscriber import Message, Subscriber, subscribed
from tests.ports import free_port
from tests.waiting import until

pytestmark = [pytest.mark.adapters, pytest.mark.timeout(600)]

LONG_AGO = "2026-01-01T00:00:00.000Z"
MANY = 5  # changes while nobody follows them
SCENE_LIMIT_S = 180  # faces of the demo come and go every few seconds; the machine may be busy
SETTINGS = """\
module.exports = { uiHost: "127.0.0.1", uiPort: PORT, flowFile: "flows.json", credentialSecret: false,
                   telemetry: { enabled: false }, logging: { console: { level: "info" } } };
"""


@contextmanager
def node_red(folder: Path, broker: int) -> Iterator[Program]:
    """Run the flows while the block runs, with the address changed as the page says."""
    flows = changed((SHIPPED / "node-red-flows.json").read_text(), broker__example="127.0.0.1")
    (folder / "flows.json").write_text(changed(flows, **{'"1883"': f'"{broker}"'}))
    (folder / "settings.js").write_text(SETTINGS.replace("PORT", str(free_port())))
    red = installed("node-red/node_modules/node-red/red.js")
    command = ["node", red, "--userDir", str(folder), "--settings", str(folder / "settings.js")]
    with program(command, folder / "said.log") as running:
        running.wait_for("Connected to broker: node-red-visavis")
        yield running


def events(seen: Subscriber, kind: str) -> list[Message]:
    return [message for message in seen.all("porch/events") if message.json()["type"] == kind]


def ids(messages: list[Message]) -> list[str]:
    return [message.json()["id"] for message in messages]


def lights_follow(seen: Subscriber) -> bool:
    """As many as there were, the light got what the camera said, in the same order."""
    lights = [message.json()["state"] for message in seen.all("zigbee2mqtt/hall/set")]
    told = [message.payload.decode() for message in seen.all("porch/door/occupied")]
    return len(lights) >= 4 and told[-len(lights) :] == lights


def test_the_flows_do_what_the_page_says(device: RunningAppliance, tmp_path: Path) -> None:
    with subscribed(device.mqtt_port, "#") as seen:
        with node_red(tmp_path, device.mqtt_port) as running:
            until(lambda: lights_follow(seen), lambda: f"{seen.all('hall/set')}", SCENE_LIMIT_S)
            until(lambda: seen.all("home/notify"), "nobody is told that somebody came", SCENE_LIMIT_S)
            told_s = seen.all("home/notify")[0].arrived_s
            until(lambda: later(events(seen, "appeared"), told_s), "somebody else comes", SCENE_LIMIT_S)
            until(lambda: seen.all("home/visits"), "no visit is told", SCENE_LIMIT_S)
            running.kill()
        assert len(seen.all("home/notify")) == 1, "who came later was told too"
        assert seen.all("home/notify")[0].payload.decode().startswith("Somebody is at the door since 20")
        assert_visits_are_whole(seen)
        ended_s = time.monotonic()
        publish(device.mqtt_port, "visavis/porch/events", event(1, started_at=LONG_AGO), "-q", "1")
        missed = until(lambda: events(seen, "gone")[len(seen.all("home/visits")) :], "somebody goes", SCENE_LIMIT_S)
        changes = until(lambda: since(seen.all("door/occupied"), ended_s)[MANY:], "people come and go", SCENE_LIMIT_S)
        with node_red(tmp_path, device.mqtt_port):
            until(lambda: set(ids(missed)) <= set(ids(seen.all("home/visits"))), "what was missed comes", SCENE_LIMIT_S)
            until(lambda: since(seen.all("hall/set"), ended_s), "the light follows again", SCENE_LIMIT_S)
            until(lambda: since(seen.all("home/notify"), ended_s), "nobody is told that somebody came", SCENE_LIMIT_S)
        told = since(seen.all("door/occupied"), changes[0].arrived_s)
        assert len(since(seen.all("hall/set"), ended_s)) <= len(told) + 1, "the light does again what was missed"
        news = [message.payload.decode() for message in seen.all("home/notify")]
        assert [words for words in news if LONG_AGO in words] == [], "what was missed is told as now"


def since(messages: list[Message], began_s: float) -> list[Message]:
    return [message for message in messages if message.arrived_s > began_s]


def later(messages: list[Message], than_s: float) -> bool:
    return any(message.arrived_s > than_s for message in messages)


def assert_visits_are_whole(seen: Subscriber) -> None:
    """Each visit that was told is one that there was, with its length."""
    gone: dict[str, Any] = {message.json()["id"]: message.json() for message in events(seen, "gone")}
    for message in seen.all("home/visits"):
        visit = message.json()
        assert visit["camera"] == "door"
        assert visit["seconds"] == pytest.approx(gone[visit["id"]]["dwell_ms"] / 1000)


def test_the_pages_function_tells_of_visits_of_half_a_minute_and_more(tmp_path: Path) -> None:
    file = tmp_path / "function.js"
    body = json.dumps(shown("node-red.md", "js", "function"))
    calls = "console.log(JSON.stringify(JSON.parse(process.argv[2]).map(made)));"
    file.write_text(f"const made = new Function('msg', {body});\n{calls}\n")
    gone = [json.loads(event(number, type="gone", dwell_ms=dwell)) for number, dwell in enumerate((29_000, 41_200))]
    messages = json.dumps([{"payload": payload} for payload in (*gone, json.loads(event(3)))])
    said = subprocess.run(["node", str(file), messages], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [None, {"payload": "door: 41 s"}, None]


OFF_NOW, ON_NOW = [[{"payload": "OFF"}, {"reset": True}], [{"payload": "ON"}, {"reset": True}]]
OFF_LATER, WAIT = [None, {"payload": "OFF"}], [None, {"reset": True}]


@pytest.mark.parametrize(
    ("told", "light"),
    [
        (["occupied ON", "detecting online", "occupied OFF"], [ON_NOW, WAIT, OFF_NOW]),
        (["detecting online", "occupied OFF", "occupied ON"], [WAIT, OFF_NOW, ON_NOW]),
        (["occupied ON", "detecting offline", "occupied OFF", "detecting online"], [ON_NOW, WAIT, WAIT, OFF_LATER]),
        (["occupied OFF", "detecting online", "occupied ON"], [WAIT, OFF_LATER, ON_NOW]),
    ],
)
def test_the_light_goes_off_only_where_somebody_looks(told: list[str], light: list[object], tmp_path: Path) -> None:
    words = (one.split() for one in told)
    messages = [{"topic": f"visavis/porch/door/{name}", "payload": payload} for name, payload in words]
    assert made_by("vis-looks", messages, tmp_path) == light


def test_what_waited_while_nobody_listened_is_no_news(tmp_path: Path) -> None:
    times = [datetime.now(timezone.utc) - timedelta(seconds=age) for age in (8 * 3600, 70, 20, 0)]
    came = [{"payload": json.loads(event(number, started_at=f"{at:%FT%T}.000Z"))} for number, at in enumerate(times)]
    assert made_by("vis-now", came, tmp_path) == [None, None, *came[2:]]


def made_by(node: str, messages: list[Any], folder: Path) -> object:
    """What a function node of the flows makes of messages, one after another."""
    flows = json.loads((SHIPPED / "node-red-flows.json").read_text())
    (function,) = (one["func"] for one in flows if one["id"] == node)
    file = folder / "function.js"
    kept = "const kept = new Map(), context = { get: (name) => kept.get(name), set: (name, to) => kept.set(name, to) };"
    calls = "console.log(JSON.stringify(JSON.parse(process.argv[2]).map((msg) => made(msg, context))));"
    file.write_text(f"{kept}\nconst made = new Function('msg', 'context', {json.dumps(function)});\n{calls}\n")
    run = ["node", str(file), json.dumps(messages)]
    return json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
