# SPDX-License-Identifier: Apache-2.0
"""What is installed beside the package: a broker with users, secrets that only the daemon sees, the GPU's door."""

from __future__ import annotations

import json
import re

import pytest

from tests.vm.inside import CONFIG, INSIDE, retry
from tests.vm.lab import Machine

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(1800)]

DAEMON, WORKER = "visavis-capture.service", "visavis-infer@1.service"
SECRET = f"/run/credentials/{DAEMON}/mqtt.password"
STORED = "/etc/credstore/mqtt.password"
CONNECTED = 'curl -sf http://127.0.0.1:8080/api/v1/status | grep -qE \'"broker": ?\\{[^}]*"connected": ?true\''
READY = "curl -sf http://127.0.0.1:8080/readyz"
JOURNAL = "journalctl -n 60 --no-pager"
# Stands for a build, which needs a GPU. A worker that starts asks for one, too: there is nothing to build for it then.
PLAYED, SAID = "/run/systemd/system/visavis-engine.service.d", "/usr/share/said"
PLAYED_BUILD = f"""\
[Unit]
ConditionPathExists=
[Service]
ExecStart=
ExecStart=/bin/cp {SAID} %t/visavis-engine/said
ExecStopPost=+/bin/sh -c 'echo kept >{SAID}'
"""
WORKERS = (WORKER, "visavis-infer@2.service")
# A worker is ready later than the TimeoutStopSec of the service that builds.
LATE, LATE_WORKERS = "/run/systemd/system/visavis-infer@.service.d", "[Service]\nExecStartPre=/bin/sleep 20\n"
NO_JOB = """[ -z "$(systemctl list-jobs --no-legend 'visavis-*')" ]"""
CHANGED_OVER = f"{NO_JOB} && systemctl show -P ActiveState visavis-engine | grep -qxE 'inactive|failed'"


@pytest.fixture(scope="module")
def broker(device: Machine) -> Machine:
    """The device after visavis-broker came, with a user who looks on."""
    device.run(f"dpkg -i {INSIDE}/visavis-broker.deb", 300)
    device.run("mosquitto_passwd -b /etc/mosquitto/visavis.passwd viewer look")
    # The test before has started it oftener than systemd lets by itself.
    device.run("systemctl reset-failed mosquitto && systemctl restart mosquitto")
    device.run(retry(CONNECTED, 120, JOURNAL))
    return device


def test_an_owners_broker_on_our_port_runs_on(device: Machine) -> None:
    """First of all, while the package is not there; apt hears that it is not in force."""
    own, up = "/etc/mosquitto/conf.d/own.conf", "systemctl is-active mosquitto"
    device.run(f"printf 'listener 1883\\nallow_anonymous true\\n' >{own} && systemctl restart mosquitto")
    pid = device.run("systemctl show -P MainPID mosquitto")
    refused = device.try_to_run(f"dpkg -i {INSIDE}/visavis-broker.deb", 300)
    assert refused.returncode != 0
    assert f'"listener 1883" stands in {own}' in refused.stdout + refused.stderr
    assert device.run(up).strip() == "active"
    assert device.run("systemctl show -P MainPID mosquitto") == pid
    device.run("systemctl restart mosquitto")
    device.run("dpkg --purge visavis-broker", 300)
    assert device.run(up).strip() == "active"
    device.run(
        f"echo 'max_connections 9' >{own}"
    )  # of the listener that is there without any: nothing looks out for it
    assert device.try_to_run(f"dpkg -i {INSIDE}/visavis-broker.deb", 300).returncode != 0
    assert device.run(up).strip() == "active"
    device.run(f"rm {own} && dpkg --configure -a && systemctl is-active mosquitto", 300)
    device.run("test -e /etc/mosquitto/conf.d/visavis.conf && dpkg --purge visavis-broker", 300)
    device.run(f"{up} && ! ls /etc/mosquitto/conf.d/visavis*")
    device.run(retry(CONNECTED, 120, JOURNAL))


def test_mosquitto_asks_who_comes_and_the_device_is_a_user_of_it(broker: Machine) -> None:
    nameless = broker.try_to_run("mosquitto_sub -t visavis/test/info -C 1 -W 20")
    assert "not authorised" in nameless.stderr
    message = json.loads(broker.run("mosquitto_sub -u viewer -P look -t visavis/test/demo/detections -C 1 -W 240"))
    assert message["device"] == "test"
    denied = broker.try_to_run("mosquitto_pub -u viewer -P look -t visavis/test/demo/set/detect -m OFF -q 1")
    assert denied.returncode == 0  # MQTT 3.1.1 has no answer for a refused message
    assert broker.run("mosquitto_sub -u viewer -P look -t visavis/test/demo/state/detect -C 1 -W 20").strip() == "ON"


def test_the_password_is_seen_by_the_daemon_alone(broker: Machine) -> None:
    assert broker.run(f"stat -c '%a %U' {STORED}").split() == ["600", "root"]
    assert broker.run(f"runuser -u visavis -- cat {SECRET}") == broker.run(f"cat {STORED}")
    for who in ("visavis-infer", "mosquitto", "nobody"):
        for file in (SECRET, STORED):
            assert broker.try_to_run(f"runuser -u {who} -- cat {file}").returncode != 0
    worker = f"nsenter -t $(systemctl show -P MainPID {WORKER}) -m -S $(id -u visavis-infer)"
    assert broker.try_to_run(f"{worker} cat {SECRET}").returncode != 0
    assert broker.try_to_run(f"{worker} cat {CONFIG}").returncode == 0


def test_a_device_with_another_name_is_a_user_of_that_name(broker: Machine) -> None:
    renamed = "/etc/visavis/conf.d/zz-renamed.toml"  # the last one counts
    broker.run(f"printf '[device]\\nid = \"hall\"\\n' >{renamed} && systemctl restart {DAEMON}")
    broker.run(retry(CONNECTED, 120, JOURNAL))
    message = json.loads(broker.run("mosquitto_sub -u viewer -P look -t visavis/hall/demo/detections -C 1 -W 240"))
    assert message["device"] == "hall"
    assert broker.run("cut -d: -f1 /etc/mosquitto/visavis.passwd").split() == ["viewer", "hall"]
    still_there = "mosquitto_sub -u viewer -P look -t 'visavis/test/#' -F %t --retained-only -W 3 | grep -q ."
    broker.run(retry(f"! {still_there}", 120, JOURNAL))
    broker.run(f"rm {renamed} && systemctl restart {DAEMON}")
    broker.run(retry(CONNECTED, 120, JOURNAL))
    assert broker.run("cut -d: -f1 /etc/mosquitto/visavis.passwd").split() == ["viewer", "test"]


def test_a_worker_starts_though_it_may_not_read_the_daemons_secret(broker: Machine) -> None:
    broker.run(f"systemctl restart {WORKER}", 600)
    broker.run(retry(f"systemctl is-active -q {WORKER} && {READY}", 300, JOURNAL))


def test_the_password_may_be_encrypted_on_disk(broker: Machine) -> None:
    if broker.try_to_run("command -v systemd-creds").returncode != 0:
        pytest.skip("systemd is older than 250 here, as docs/how-to/secrets.md says of Ubuntu 22.04")
    password = broker.run(f"cat {STORED}").strip()
    folder = "/etc/credstore.encrypted"
    broker.run(f"install -d -m 0700 {folder}")
    broker.run(f"systemd-creds encrypt --name=mqtt.password {STORED} {folder}/mqtt.password && mv {STORED} /root/plain")
    drop_in = f"[Service]\nLoadCredentialEncrypted=mqtt.password:{folder}/mqtt.password\n"
    broker.run(f"printf '{drop_in}' >/etc/systemd/system/{DAEMON}.d/secret.conf")
    broker.run(f"systemctl daemon-reload && systemctl restart {DAEMON}")
    broker.run(retry(CONNECTED, 120, JOURNAL))
    assert broker.run(f"runuser -u visavis -- cat {SECRET}").strip() == password
    assert broker.try_to_run(f"runuser -u visavis-infer -- cat {SECRET}").returncode != 0
    assert broker.try_to_run(f"grep -rqF -- '{password}' {folder}").returncode == 1
    broker.run(f"mv /root/plain {STORED}; rm -r {folder} /etc/systemd/system/{DAEMON}.d/secret.conf")


def test_an_upgrade_restarts_mosquitto_only_for_other_settings(broker: Machine) -> None:
    pid = "systemctl show -P MainPID mosquitto"
    before = broker.run(pid)
    broker.run(f"dpkg -i {INSIDE}/visavis-broker.deb", 300)
    assert broker.run(pid) == before
    broker.run(f"dpkg -i {INSIDE}/visavis-broker-0.2.0.deb", 300)
    after = broker.run(pid)
    assert after != before
    broker.run("echo '# mine' >>/etc/mosquitto/conf.d/visavis.conf")  # stays, and the newer file is not taken
    broker.run(f"dpkg --force-confold -i {INSIDE}/visavis-broker.deb", 300)
    assert broker.run(pid) == after
    broker.run(retry(CONNECTED, 120, JOURNAL))


def test_mosquitto_is_started_again_for_as_long_as_it_fails(broker: Machine) -> None:
    """Debian's gives up after five times: a full disk for a minute would end a fleet's broker for ever."""
    assert set(broker.run("systemctl show -P Restart -P StartLimitIntervalUSec mosquitto").split()) == {"always", "0"}
    pid = broker.run("systemctl show -P MainPID mosquitto").strip()
    broker.run("systemctl kill -s KILL mosquitto")
    broker.run(retry(f'[ "$(systemctl show -P MainPID mosquitto)" -gt 0 ] && ! kill -0 {pid}', 60, JOURNAL))
    broker.run(retry(CONNECTED, 120, JOURNAL))


def test_without_its_settings_mosquitto_serves_as_before(broker: Machine) -> None:
    broker.run("dpkg --purge visavis-broker", 300)
    broker.run(retry(CONNECTED, 120, JOURNAL))
    assert json.loads(broker.run("mosquitto_sub -t visavis/test/demo/detections -C 1 -W 240"))["device"] == "test"
    left = broker.run("find /etc /usr /var/lib -xdev -name '*visavis-broker*' -o -path '/etc/mosquitto/*visavis*'")
    assert [path for path in left.split() if "/dpkg/info/" not in path] == []
    assert broker.try_to_run(f"ls {STORED} /etc/visavis/conf.d/broker.toml").stdout == ""


def test_the_gpus_drop_in_opens_nothing_else(device: Machine) -> None:
    device.run(f"dpkg -i {INSIDE}/visavis-tensorrt.deb", 600)
    device.run(retry(f"systemctl is-active -q {WORKER} && {READY}", 300, JOURNAL))
    assert device.run(f"systemctl show -P PrivateDevices {WORKER}").strip() == "no"
    group = device.run(f"systemctl show -P ControlGroup {WORKER}").strip()
    for node, may in (("/dev/vda", False), ("/dev/urandom", True)):
        tried = device.try_to_run(f"echo $$ >'/sys/fs/cgroup{group}/cgroup.procs' && head -c 1 {node} | wc -c")
        assert tried.stdout.strip() == ("1" if may else "0"), tried.stderr
    verdict = device.run(f"systemd-analyze security --no-pager {WORKER} | tail -1")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", verdict)
    assert found, verdict
    assert float(found[1]) <= 1.0, device.run(f"systemd-analyze security --no-pager {WORKER}")
    opened = [device.run(f"systemctl show -P DeviceAllow {unit}").split() for unit in (WORKER, "visavis-engine")]
    assert opened[0] == opened[1] != []
    told = device.run("systemctl show -p ConditionResult -p Result visavis-engine").split()
    assert sorted(told) == ["ConditionResult=no", "Result=success"]


def test_workers_change_over_one_by_one_when_an_engine_is_built(device: Machine) -> None:
    device.run(f"systemctl start {WORKERS[1]}")
    for folder, words in ((PLAYED, PLAYED_BUILD), (LATE, LATE_WORKERS)):
        device.run(f"mkdir -p {folder} && cat >{folder}/played.conf <<'EOF'\n{words}EOF\nsystemctl daemon-reload")
    for state, change_over in (("kept", False), ("built", True)):
        device.run(f"""echo '{{"state": "{state}"}}' >{SAID}""")
        before = shown(device, "MainPID", *WORKERS)
        device.run("systemctl start visavis-engine")
        device.run(retry(CHANGED_OVER, 300, JOURNAL))
        ended = shown(device, "Result", "visavis-engine", "visavis-change-over")
        assert ended == ["success", "success"], device.run(JOURNAL)
        assert shown(device, "ActiveState", *WORKERS) == ["active", "active"], device.run(JOURNAL)
        after = shown(device, "MainPID", *WORKERS)
        assert [one != other for one, other in zip(before, after, strict=True)] == [change_over] * 2
    (back,) = shown(device, "ActiveEnterTimestampMonotonic", WORKERS[0])
    (gone,) = shown(device, "ActiveExitTimestampMonotonic", WORKERS[1])
    assert int(back) < int(gone)
    device.run(f"systemctl stop {WORKERS[1]}; rm -r {PLAYED} {LATE} {SAID} && systemctl daemon-reload")


def shown(device: Machine, setting: str, *units: str) -> list[str]:
    """What systemd says of each unit."""
    return device.run(f"systemctl show -P {setting} {' '.join(units)}").split()


def test_without_the_package_workers_see_no_device(device: Machine) -> None:
    device.run("dpkg --purge visavis-tensorrt", 600)
    device.run(retry(f"systemctl is-active -q {WORKER} && {READY}", 300, JOURNAL))
    assert device.run(f"systemctl show -P PrivateDevices {WORKER}").strip() == "yes"
