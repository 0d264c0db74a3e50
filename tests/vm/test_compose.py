# SPDX-License-Identifier: Apache-2.0
"""compose.yaml under Debian's own Docker and Compose: the demo, workers that die or are scaled, devices, a server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from containers.build import TARGETS, archive, base, save
from tests.repo.test_containers import COMPOSE
from tests.vm.busy import posting, watching
from tests.vm.docker_lab import LIMIT_S, MACHINES, PROJECT, with_docker
from tests.vm.inside import INSIDE, retry
from tests.vm.lab import CONTAINERS, Machine
from tests.waiting import until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7200)]

DEMO = {"broker": 1, "daemon": 1, "worker": 2}
CLUSTER = {"balancer", "gateway-1", "gateway-2", "gateway-worker-1", "gateway-worker-2", "inference"}
# The broker's image is built inside, by Docker; the others would take hours there.
BUILT_INSIDE = "broker"
JAR, API = "/tmp/jar", "http://127.0.0.1:8080/api/v1"  # noqa: S108 (of a throw-away machine)
# Of the demo, by its first account.
ASK = f"curl -b {JAR} {API}"
PICTURE = f"--data-binary @{INSIDE}/photo.jpg -H 'Content-Type: image/jpeg'"
PASSWORD = "correct horse battery"  # noqa: S105 (of a throw-away machine)
# All that an emulated machine needs to be told: it is some thirty times slower than one with a processor of its own.
SLOW = {"healthcheck": {"timeout": "120s", "start_period": "900s"}}
PATIENT = {"environment": {"VISAVIS_WORKER__LEASE_MS": "60000", "VISAVIS_GATEWAY__DEADLINE_MS": "60000"}}


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with Docker, the repository's files, and the images."""
    archives = [archive(target, CONTAINERS.architecture) for target in TARGETS if target != BUILT_INSIDE]
    archives.append(save(base(CONTAINERS.suite, CONTAINERS.architecture), "docker.io/library/debian:trixie-slim"))
    for machine in with_docker(archives, tmp_path_factory.mktemp("docker")):
        machine.run(f"chmod -R go= {PROJECT}")  # as a checkout with a umask of 077
        if MACHINES:
            override(machine, patience())
        yield machine


def override(machine: Machine, services: dict[str, Any]) -> None:
    """Change something of compose.yaml."""
    file = json.dumps({"services": services})
    machine.run(f"cat >{PROJECT}/compose.override.yaml <<'EOF'\n{file}\nEOF")


def patience() -> dict[str, Any]:
    """What is changed of compose.yaml where everything is slow."""
    daemons = {name for name in COMPOSE["services"] if "gateway" in name or name == "daemon"}
    return {name: SLOW | (PATIENT if name in daemons else {}) for name in COMPOSE["services"]}


def compose(machine: Machine, words: str) -> str:
    """Run `docker compose`."""
    return machine.run(f"cd {PROJECT} && docker compose --ansi never {words} 2>&1", LIMIT_S)


def containers(machine: Machine) -> dict[str, list[dict[str, Any]]]:
    """What Docker knows of each container, by service."""
    ids = machine.run("docker ps -aq").split()
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(machine.run(f"docker inspect {' '.join(ids)}")) if ids else []:
        found.setdefault(one["Config"]["Labels"]["com.docker.compose.service"], []).append(one)
    return found


def wait_until_healthy(machine: Machine, count: int) -> None:
    """Every container that should be there is, and its health check says that it is well."""
    well = f'[ "$(docker ps -q --filter health=healthy | wc -l)" = {count} ]'
    machine.run(retry(well, LIMIT_S, f"cd {PROJECT}; docker ps -a; docker compose logs --tail 20"), LIMIT_S + 60)


@pytest.fixture(scope="module")
def demo(docker: Machine) -> Machine:
    """`docker compose up -d`, without any argument, from images and a Dockerfile."""
    compose(docker, f"build {BUILT_INSIDE}")
    compose(docker, "up -d")
    wait_until_healthy(docker, sum(DEMO.values()))
    return docker


def test_up_shows_the_demo(demo: Machine) -> None:
    assert {name: len(some) for name, some in containers(demo).items()} == DEMO
    assert "<title>" in demo.run("curl -sfL http://127.0.0.1:8080/")
    demo.run("curl -sf http://127.0.0.1:8080/readyz")
    topic = "visavis/compose/demo/detections"
    seen = demo.run(f"mosquitto_sub -t {topic} -W 600 | grep -m1 -F '\"faces\":[{{'", 700)
    assert json.loads(seen)["camera"] == "demo"


def test_a_container_may_do_nothing_else(demo: Machine) -> None:
    for name, some in containers(demo).items():
        for one in some:
            host = one["HostConfig"]
            assert (host["Privileged"], host["ReadonlyRootfs"], host["CapDrop"]) == (False, True, ["ALL"]), name
            status = demo.run(f"cat /proc/{one['State']['Pid']}/status")
            assert re.search(r"^Uid:\t[1-9]\d*\t[1-9]\d*\t", status, re.MULTILINE), status
            assert set(re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\t(\S+)", status, re.MULTILINE)) == {"0" * 16}, status
            assert "NoNewPrivs:\t1" in status
            root = demo.run(f"grep ' / / ' /proc/{one['State']['Pid']}/mountinfo | head -1")
            assert re.search(r" / / ro,", root), root
    assert demo.try_to_run(f"cd {PROJECT} && docker compose exec -T worker touch /opt/file").returncode != 0


def sign_in(machine: Machine, by: str, **more: str) -> None:
    """Keep the cookie of a claim or a login."""
    asked = json.dumps({"name": "anna", "password": PASSWORD} | more)
    machine.run(f"curl -sf -c {JAR} -H 'Content-Type: application/json' -d '{asked}' {API}/{by}")


@pytest.fixture(scope="module")
def claimed(demo: Machine) -> Machine:
    """The demo once somebody has made its first account."""
    (code,) = re.findall(r"open /claim .*code=(\S+)", compose(demo, "logs --no-log-prefix daemon"))
    sign_in(demo, "claim", code=code)
    return demo


def test_a_worker_that_is_killed_comes_back_and_nobody_has_to_connect_again(claimed: Machine) -> None:
    claimed.start("viewer", f"{ASK}/cameras/demo/stream.mjpeg -sfN -o /tmp/stream")
    claimed.run(retry("[ -s /tmp/stream ]", 300, "cat /tmp/viewer.log"))
    before = containers(claimed)
    claimed.run(f"kill -9 {before['worker'][0]['State']['Pid']}")
    name = before["worker"][0]["Name"]
    claimed.run(retry(f"[ $(docker inspect -f '{{{{.RestartCount}}}}' {name}) = 1 ]", LIMIT_S), LIMIT_S)
    wait_until_healthy(claimed, sum(DEMO.values()))
    two = f'{ASK}/status -sf | grep -q \'"service_ms":.*"service_ms":\''
    claimed.run(retry(two, 600, "docker ps -a"), 700)
    size = int(claimed.run("stat -c %s /tmp/stream"))
    claimed.run(retry(f"[ $(stat -c %s /tmp/stream) -gt {size} ]", 300))
    claimed.run("kill $(cat /tmp/viewer.pid)")  # it has been the same connection all the time
    (now,) = containers(claimed)["daemon"]
    assert (now["RestartCount"], now["State"]["StartedAt"]) == (0, before["daemon"][0]["State"]["StartedAt"])


def test_a_worker_that_hangs_ends_itself_and_is_started_again(claimed: Machine) -> None:
    hanging = "--backend fake --model fake --fake-service-ms 3600000 --watchdog-s 5"
    like_ours = "--restart unless-stopped --network none --read-only --cap-drop ALL -v visavis_frames:/run/visavis"
    claimed.run(f"docker run -d --name hanging {like_ours} visavis-worker {hanging}")
    again = "[ $(docker inspect -f '{{.RestartCount}}' hanging) -gt 0 ]"
    claimed.run(retry(again, LIMIT_S, "docker logs hanging"), LIMIT_S)
    assert "this worker hangs and ends itself" in claimed.run("docker logs hanging 2>&1")
    claimed.run("docker rm -f hanging")


@pytest.fixture
def patient(claimed: Machine) -> Iterator[Machine]:
    """The demo, in which no picture waits too long: four workers on a busy host are no reason to refuse one."""
    if MACHINES:  # it is anyway
        yield claimed
        return
    override(claimed, {"daemon": PATIENT})
    compose(claimed, "up -d")
    wait_until_healthy(claimed, sum(DEMO.values()))
    yield claimed
    claimed.run(f"rm {PROJECT}/compose.override.yaml")


def test_workers_are_scaled_and_nobody_notices(patient: Machine, measured: Callable[[str], None]) -> None:
    def at_work() -> int:
        status = json.loads(patient.run(f"{ASK}/status -sf"))
        return sum(worker["frames"] > 0 for worker in status["workers"])

    sign_in(patient, "login")
    posts, watches = f"{ASK}/detect {PICTURE}", f"{ASK}/cameras/demo/stream.mjpeg"
    with posting(patient, posts), watching(patient, watches, measured):
        for count in (4, 1):
            compose(patient, f"up -d --scale worker={count}")
            until(lambda: at_work() == count, lambda: f"{at_work()} workers instead of {count}", LIMIT_S)  # noqa: B023


def test_down_leaves_nothing_and_up_again_knows_everybody(claimed: Machine, measured: Callable[[str], None]) -> None:
    began = time.monotonic()
    compose(claimed, "down")
    measured(f"down after {time.monotonic() - began:.1f} s")
    assert containers(claimed) == {}
    assert "visavis_state" in claimed.run("docker volume ls -q").split()
    began = time.monotonic()
    compose(claimed, "up -d")
    wait_until_healthy(claimed, sum(DEMO.values()))
    measured(f"up again and healthy after {time.monotonic() - began:.1f} s")
    sign_in(claimed, "login")


@pytest.fixture(scope="module")
def cluster(demo: Machine) -> tuple[Machine, str]:
    """Two devices behind nginx with one model server, and a token; what plays the demo rests."""
    compose(demo, "--profile cluster up -d")
    compose(demo, "stop worker daemon")
    wait_until_healthy(demo, len(CLUSTER) + 1)
    command = "/usr/bin/visavis-capture auth add -config /etc/visavis/gateway.toml -role operator client"
    said = compose(demo, f"exec -T gateway-1 {command}")
    (token,) = re.findall(r"vis_\w+", said)
    return demo, token


def ask(token: str, path: str, more: str = "") -> str:
    return f"curl -s -m 600 -H 'Authorization: Bearer {token}' {more} http://127.0.0.1:8081{path}"


def devices_that_answer(machine: Machine, token: str) -> set[str]:
    """A few requests in a row go to either device."""
    said = [machine.try_to_run(ask(token, "/api/v1/status", "-f")) for _ in range(16)]
    return {json.loads(one.stdout)["device"] for one in said if one.returncode == 0}


def test_the_devices_of_the_cluster_ask_the_same_model_server(cluster: tuple[Machine, str]) -> None:
    machine, token = cluster
    assert set(containers(machine)) >= CLUSTER
    seen: set[str] = set()

    def both() -> bool:
        status = json.loads(machine.run(ask(token, "/api/v1/status")))
        if any("kserve" in json.dumps(worker) for worker in status["workers"]):
            seen.add(status["device"])
        return seen == {"gateway-1", "gateway-2"}

    until(both, "a gateway's worker does not ask the model server", LIMIT_S)


def test_requests_go_on_while_a_device_stops(cluster: tuple[Machine, str]) -> None:
    machine, token = cluster
    post = ask(token, "/api/v1/detect", PICTURE)
    answers = f"""[ "$({post} -o /dev/null -w '%{{http_code}}')" = 200 ]"""
    machine.run(retry(answers, LIMIT_S), LIMIT_S)
    logs = f"cd {PROJECT} && docker compose logs --tail 30 gateway-2 gateway-worker-2 inference balancer"
    with posting(machine, post, logs):
        compose(machine, "stop gateway-1")


def test_nginx_starts_again_while_a_device_is_stopped(cluster: tuple[Machine, str]) -> None:
    machine, token = cluster
    compose(machine, "stop gateway-1")
    compose(machine, "restart balancer")

    def answering(names: set[str]) -> None:
        logs = f"cd {PROJECT} && docker ps -a && docker compose logs --tail 20 balancer"
        until(lambda: devices_that_answer(machine, token) == names, lambda: machine.run(logs), LIMIT_S)

    answering({"gateway-2"})
    compose(machine, "start gateway-1")
    answering({"gateway-1", "gateway-2"})


def test_everything_goes_with_down(cluster: tuple[Machine, str]) -> None:
    machine, _ = cluster
    compose(machine, "--profile cluster down")
    assert containers(machine) == {}
    assert "visavis_credentials" in machine.run("docker volume ls -q").split()
