# SPDX-License-Identifier: Apache-2.0
"""No secret is ever said: each one that there is, looked for in everything that a device tells anybody."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from visavis.cli.program import COMMANDS

from tests.e2e.canaries import (
    ADMIN,
    CLAIM_CODE,
    IN_ADDRESS,
    JSON,
    KEYS,
    TEXTS,
    Device,
    Said,
    device,
    file_settings,
    overheard,
    secret_settings,
)
from tests.e2e.test_services import DAEMON
from tests.ports import free_port
from tests.unit.command import visavis
from tests.waiting import HANG_S, until

# Of a certificate anybody may see it; of credentials there are hashes, which are looked for.
NO_SECRET = {"web.cert", "mqtt.ca", "mqtt.cert", "mqtt_second.ca", "mqtt_second.cert", "detector.kserve_ca"}
NO_SECRET |= {"auth.file", "thermal.folder"}
SECRET = "canary-of-a-mistake"  # noqa: S105 - of nobody
# What people write when they look for where the password goes.
MISTAKES = [
    f'[mqtt]\npassword = "{SECRET}"\n',
    f"[mqtt]\npassword = {SECRET}\n",
    f"[mqtt]\nuser = porch, {SECRET}\n",
    f'[mqtt]\nurl = "mqtts://porch:{SECRET}@plant.example:8883"\n',
    f'[mqtt]\nurl = "mqtts://plant.example:8883?password={SECRET}"\n',
    f'[mqtt]\nurl = "plant:{SECRET}@plant.example"\n',
    f'[mqtt_second]\npassword = ["{SECRET}"]\n',
    f'[mqtt_second]\nurl = "wss://porch:{SECRET}@plant.example/mqtt"\n',
    f'[detector]\nbackend = "kserve"\nkserve_url = "https://token:{SECRET}@triton:8000"\n',
    f'[detector]\nbackend = "kserve"\nkserve_url = "https://triton:8000?token={SECRET}"\n',
    f'[detector]\nkserve_token = "{SECRET}"\n',
    f'[web]\npassword = "{SECRET}"\n',
    f'[auth]\npassword = "{SECRET}"\nowner = "{SECRET}"\n',
    f'[[camera]]\nid = "door"\nsource = "rtsp://porch:{SECRET}@192.0.2.7/stream"\n',
    f'[[camera]]\nid = "door"\nsource = "rtsps://porch:{SECRET}@[::1/stream"\n',
    f'[[camera]]\nid = "door"\nsource = "http://porch:{SECRET}@192.0.2.7/stream"\n',
    f'[[camera]]\nid = "door"\nsource = "rtsp://192.0.2.7/stream"\nuser = "porch"\npassword = "{SECRET}"\n',
    f"{SECRET}\n",
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with device(tmp_path_factory.mktemp("house")) as started:
        yield started


def found(house: Device, everything: list[Said]) -> list[str]:
    return [f"{said.where}: {leak}" for said in everything for leak in house.leaks(said)]


def test_every_setting_that_names_a_file_is_a_secret_to_look_for_or_none() -> None:
    assert file_settings() == secret_settings() | NO_SECRET
    assert secret_settings() == {*TEXTS, *KEYS}


def test_the_log_tells_of_every_peer_and_holds_no_secret(house: Device) -> None:
    log = house.log
    assert "request answered" in log
    assert all(f"camera lost, trying again camera={camera}" in log for camera in ("shed", "gate"))
    assert house.leaks(Said("log", log)) == []
    assert IN_ADDRESS not in log


def test_no_answer_to_anybody_holds_one(house: Device) -> None:
    admin = {"Authorization": f"Bearer {house.token}"}
    paths = ["/", "/login", "/claim", "/try", *json.load(house.ask("/openapi.json", headers=admin))["paths"]]
    everything = [
        house.said(path.replace("{id}", camera).replace("{model}", "centerface"), headers=headers)
        for path in paths
        for camera in ("door", "shed", "gate")[: 3 if "{id}" in path else 1]
        for headers in ({}, admin)
    ]
    assert len(everything) > 40
    assert sum(said.where.endswith(" 200") for said in everything) > 15
    assert found(house, everything) == []
    assert [said.where for said in everything if IN_ADDRESS in said.words] == []


def test_no_refusal_repeats_one(house: Device) -> None:
    login, claim = "/api/v1/login", "/api/v1/claim"
    bearer = {"Authorization": f"Bearer {house.token}x"}
    everything = [
        house.said(login, "POST", json.dumps({"name": ADMIN, "password": "wrong"}), JSON),
        house.said(login, "POST", json.dumps({"name": "owner", "password": f"{ADMIN}x"}), JSON),
        house.said(login, "POST", json.dumps({"name": "owner", "pasword": ADMIN}), JSON),
        house.said(login, "POST", f'{{"name": "owner", "password": "{ADMIN}', JSON),
        house.said(login, "POST", f"name=owner&password={ADMIN}"),
        house.said(claim, "POST", json.dumps({"code": CLAIM_CODE, "name": "other", "password": ADMIN}), JSON),
        house.said(claim, "POST", json.dumps({"code": CLAIM_CODE, "name": "no/name", "password": ADMIN}), JSON),
        house.said("/api/v1/status", headers=bearer),
        house.said("/api/v1/status", headers={"Cookie": f"{house.cookie}x"}),
        house.said(f"/api/v1/status?token={house.token}"),
        house.said(f"/api/v1/detect?token={house.token}", "POST", house.token, bearer),
        house.said("/api/v1/cameras/door/push", headers=bearer),
        house.said("/v2/models/centerface/infer", "POST", house.token, JSON | bearer),
    ]
    assert {said.where[-3] for said in everything} == {"4"}
    assert found(house, [*everything, Said("log", house.log)]) == []


def test_no_message_at_a_broker_holds_one(house: Device) -> None:
    port = int(house.appliance.file.read_text().partition('[mqtt]\nurl = "mqtts://127.0.0.1:')[2].partition('"')[0])
    with overheard(house, port) as heard:
        until(lambda: b"/info" in heard.read_bytes(), "nothing is retained at the broker")
        until(lambda: b"/stats" in heard.read_bytes(), "no figures come")
    assert found(house, [Said("MQTT", heard.read_bytes().decode(errors="replace"))]) == []


def test_no_command_prints_one(house: Device) -> None:
    file = house.appliance.file
    asked = (["-check"], ["-effective"], ["-effective", "-for-worker"], ["-help"])
    answers = [
        visavis("check", file),
        visavis("doctor", "--config", file),
        visavis("doctor", "--config", file, "--json"),
        visavis("auth", "list", "--config", file),
        *(visavis(command, "--help") for command in COMMANDS),
        *(daemon("-config", str(file), *words) for words in asked),
    ]
    everything = [Said(" ".join(map(str, answer.args)), answer.stdout + answer.stderr) for answer in answers]
    assert all(said.words for said in everything)
    assert found(house, everything) == []


def daemon(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["env", *(f"{name}={value}" for name, value in variables.items()), str(DAEMON), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("text", MISTAKES)
def test_a_refused_configuration_is_refused_without_the_password_in_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    for answer in (daemon("-config", str(file), "-check"), visavis("run", "--config", file)):
        assert answer.returncode == 2
        assert "config.toml:" in answer.stderr
        assert SECRET not in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"VISAVIS_MQTT__PASSWORD": SECRET},
        {"VISAVIS_MQTT__URL": f"mqtt://porch:{SECRET}@plant.example"},
        {"VISAVIS_DETECTOR__KSERVE_URL": f"https://token:{SECRET}@triton"},
        {"VISAVIS_CAMERA__0__SOURCE": f"rtsp://porch:{SECRET}@192.0.2.7/"},
        {"VISAVIS_CAMERA__0__PASSWORD": SECRET},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_a_refused_environment_is_refused_without_the_password_in_it(variables: dict[str, str]) -> None:
    answer = daemon("-check", **variables)
    assert answer.returncode == 2
    assert next(iter(variables)) in answer.stderr
    assert SECRET not in answer.stdout + answer.stderr


def spoiled(name: str, house: Device, folder: Path) -> Path:
    """The house's configuration, on a port of its own, with a file called `name` in which nothing but a secret is."""
    (folder / name).write_text(f"{SECRET}\n")
    text = house.appliance.file.read_text().replace(f"{house.folder}/{name}", f"{folder}/{name}")
    text = text.replace(f"{house.folder}/auth.file", f"{folder}/auth.file")
    file = folder / "config.toml"
    file.write_text(text.replace(f":{house.appliance.http_port}", f":{free_port()}"))
    return file


def test_a_file_that_cannot_be_used_is_named_and_not_shown(house: Device, tmp_path: Path) -> None:
    name = "auth.claim_code_file"
    file = spoiled(name, house, tmp_path)
    answer = daemon("-config", str(file), VISAVIS_STATE_DIR=str(tmp_path), VISAVIS_WORKER__SOCKET=f"{tmp_path}/frames")
    assert answer.returncode == 1
    assert name in answer.stdout + answer.stderr
    assert SECRET not in answer.stdout + answer.stderr


def test_a_key_that_cannot_be_used_is_named_and_not_shown(house: Device, tmp_path: Path) -> None:
    """It costs the page its certificate, not the device its cameras."""
    file, log = spoiled("web.key", house, tmp_path), tmp_path / "log"
    variables = {"VISAVIS_STATE_DIR": str(tmp_path), "VISAVIS_WORKER__SOCKET": f"{tmp_path}/frames"}
    command = [str(DAEMON), "-config", str(file)]
    with log.open("w") as out:
        running = subprocess.Popen(command, env={**os.environ, **variables}, stdout=out, stderr=out)
    try:
        until(lambda: "web.key" in log.read_text(), log.read_text)
        until(lambda: "serving" in log.read_text(), log.read_text)
    finally:
        running.terminate()
        running.wait(HANG_S)
    assert SECRET not in log.read_text()
