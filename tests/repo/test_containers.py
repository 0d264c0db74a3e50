# SPDX-License-Identifier: Apache-2.0
"""compose.yaml is what the Compose specification allows, and no container may do more than it has to."""

from __future__ import annotations

import json
import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from containers.build import TARGETS
from tests.repo.test_laws import ROOT
from tests.unit.command import visavis

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "containers" / "Dockerfile").read_text()
# The reference implementation's own schema, by Go's module proxy and its sum.
SPECIFICATION = "github.com/compose-spec/compose-go/v2@v2.4.9"
SUM = "h1:2K4TDw+1ba2idiR6empXHKRXvWYpnvAKoNQy93/sSOs="


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = ["go", "mod", "download", "-json", SPECIFICATION]
    said = subprocess.run(command, cwd=tmp_path_factory.mktemp("go"), capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    module = json.loads(said.stdout)
    assert module["Sum"] == SUM
    found: dict[str, Any] = json.loads((Path(module["Dir"]) / "schema" / "compose-spec.json").read_text())
    return found


def test_it_is_what_the_specification_allows(schema: dict[str, Any]) -> None:
    specification = jsonschema.Draft7Validator(schema)
    specification.validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        specification.validate(COMPOSE | {"services": {"daemon": {"readonly": True}}})


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_as_little_as_possible(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["healthcheck"]["test"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert service.get("network_mode") in (None, "none")


@pytest.mark.parametrize("name", SERVICES)
def test_a_check_of_health_asks_no_proxy(name: str) -> None:
    check = " ".join(SERVICES[name]["healthcheck"]["test"])
    assert "http://" not in check or re.search(r"wget -Y off|ProxyHandler\(\{\}\)|curl --noproxy \*", check)


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_a_port(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_demo_comes_up_without_a_profile_and_the_cluster_with_one() -> None:
    assert {name for name in SERVICES if "profiles" not in SERVICES[name]} == {"broker", "daemon", "worker"}
    cluster = {name for name in SERVICES if "cluster" in SERVICES[name].get("profiles", [])}
    assert {"balancer", "gateway-1", "gateway-2", "inference"} <= cluster
    assert {name for name in SERVICES if "triton" in SERVICES[name].get("profiles", [])} == {"triton"}
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


def stages() -> dict[str, str]:
    """What follows each FROM of the Dockerfile, by the stage's name."""
    found = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {re.split(r" AS ", stage.splitlines()[0])[1]: stage for stage in found}


def test_every_image_of_ours_is_a_target_and_none_is_run_by_root() -> None:
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    users = {name: re.search(r"^USER (\S+)", stage, re.MULTILINE) for name, stage in stages().items()}
    assert targets == set(TARGETS)
    assert all(users[target] for target in targets)
    ours = {f"visavis-{target}" for target in targets}
    assert {service["image"] for service in SERVICES.values() if not service["image"].startswith("$")} == ours


def test_who_may_read_a_file_does_not_depend_on_the_checkout() -> None:
    """COPY and a mount keep modes, and with a umask of 077 there nobody but root could read it."""
    for target in TARGETS:
        assert not re.findall(r"^(?:COPY|ADD) (?!--from=).*", stages()[target], re.MULTILINE), target
    assert re.findall(r"^RUN (.*)", stages()["checkout"], re.MULTILINE) == ["chmod -R u=rwX,go=rX /checkout"]
    mounted = {name for name in SERVICES for volume in SERVICES[name].get("volumes", []) if volume.startswith(".")}
    assert mounted == {"triton"}  # what its owner has exported


def bases() -> dict[str, str]:
    """What each stage of the Dockerfile is made from."""
    made_from = re.compile(r"(?:--platform=\S+ )?(\S+) AS ")
    return {name: found[1] for name, stage in stages().items() if (found := made_from.match(stage))}


def test_no_image_is_made_from_what_trusts_whom_its_builder_trusts() -> None:
    assert {bases()[target] for target in TARGETS} == {"${BASE}", "${OLDER_BASE}", "scratch"}
    fetching = {name for name, stage in stages().items() if re.search(r"pip install|go mod download", stage)}
    assert fetching == {"compile", "python", "model", "older-python"}
    assert {bases()[name] for name in fetching} == {"${BUILD_BASE}", "${FETCH_BASE}", "${OLDER_FETCH_BASE}"}


def test_what_takes_long_is_done_by_the_processor_of_the_builder() -> None:
    """An emulated one compiles GoCV for a quarter of an hour."""
    on_the_builders = re.findall(
        r"^FROM --platform=\$\{BUILDPLATFORM:-linux\} \$\{BUILD_BASE\} AS (\S+)$", DOCKERFILE, re.MULTILINE
    )
    assert on_the_builders == ["compile", "checkout", "model"]
    (daemon,) = re.findall(r"^FROM scratch AS daemon\n((?:.+\n)+)", DOCKERFILE, re.MULTILINE)
    assert "RUN" not in daemon


@pytest.mark.parametrize("file", ["daemon.toml", "gateway.toml"])
def test_the_configurations_are_right(file: str) -> None:
    said = visavis("check", ROOT / "containers" / file)
    assert said.returncode == 0, said.stderr


def test_both_gateways_share_the_credentials_and_their_clients_are_behind_nginx() -> None:
    text = (ROOT / "containers" / "gateway.toml").read_text()
    for number in (1, 2):
        for name in ("nginx.conf", "nginx-tcp.conf"):
            assert f"server gateway-{number}:8080 " in (ROOT / "containers" / name).read_text()
        mounts = [volume.split(":")[1] for volume in SERVICES[f"gateway-{number}"]["volumes"]]
        assert any(f'file = "{mount}/' in text for mount in mounts)


def test_nginx_finds_the_gateways_while_one_is_stopped_and_only_nginx_is_believed_by_them() -> None:
    addresses = {name: SERVICES[name]["networks"]["cluster"]["ipv4_address"] for name in ("gateway-1", "gateway-2")}
    assert SERVICES["balancer"]["extra_hosts"] == addresses
    (network,) = COMPOSE["networks"]["cluster"]["ipam"]["config"]
    balancer = SERVICES["balancer"]["networks"]["cluster"]["ipv4_address"]
    for address in (*addresses.values(), balancer):
        assert ip_address(address) in ip_network(network["subnet"])
    assert f'proxies = ["{balancer}"]' in (ROOT / "containers" / "gateway.toml").read_text()


def test_a_picture_has_the_time_in_which_a_silent_model_server_is_noticed() -> None:
    """And is answered or refused while a device that stops still answers."""
    (waits,) = re.findall(r"kserve-deadline-ms=.*:-(\d+)}", " ".join(SERVICES["gateway-worker-1"]["command"]))
    (deadline,) = re.findall(r"^deadline_ms = (\d+)$", (ROOT / "containers" / "gateway.toml").read_text(), re.MULTILINE)
    assert 2 * int(waits) < int(deadline) < 4_000
