# SPDX-License-Identifier: Apache-2.0
"""The Debian package on a plain Debian 12 and 13: installed, watched, upgraded, purged by the real apt and systemd."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deb import beside
from deb.build import SYSTEMS, USUAL, package
from deb.packing import git
from deb.pinned import sum_of
from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT
from tests.vm.inside import CONFIG, INSIDE, UNITS, VIVID_BY_PATH, camera_table, message_with_a_face, retry
from tests.vm.lab import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

BROKER_PORT, SSH_PORT = 1883, 22
WORKER_MEMORY = 2 << 30
DOCUMENTS = "usr/share/doc/visavis"
MOST_EXPOSED = {"visavis-capture.service": 2.0, "visavis-infer@1.service": 1.0}


class Built(NamedTuple):
    """A package as `make deb` makes it, and how to make it again."""

    make: Callable[[], Path]
    file: Path


# The first for each Debian and architecture and for Ubuntu on amd64, those beside it for all.
MADE = [(suite, architecture) for suite, architecture in SYSTEMS if suite in USUAL or architecture == "amd64"]
PACKAGES: dict[str, Callable[[], Path]] = {
    **{"-".join(("visavis", *key)): partial(package, SYSTEMS[key], "0.1.0") for key in MADE},
    "visavis-broker": partial(beside.broker, "0.1.0"),
    "visavis-tensorrt": partial(beside.tensorrt, "0.1.0"),
}


# For the time of `make test-vm` not all.
OTHERS = ["-".join(("visavis", *key)) for key in MADE if key != ("bookworm", "amd64")]


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.vm_long] * (name in OTHERS)) for name in PACKAGES]
)
def built(request: pytest.FixtureRequest) -> Built:
    make = PACKAGES[request.param]
    return Built(make, make())


def test_the_same_commit_makes_the_same_bytes(built: Built) -> None:
    before = hashlib.sha256(built.file.read_bytes()).hexdigest()
    assert hashlib.sha256(built.make().read_bytes()).hexdigest() == before


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the first package."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--extract", str(PACKAGES["visavis-bookworm-amd64"]()), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def parts(unpacked: Path) -> dict[str, Any]:
    """Its list of parts."""
    return dict(json.loads((unpacked / DOCUMENTS / "sbom.cdx.json").read_text()))


def test_the_package_lists_its_parts(unpacked: Path, parts: dict[str, Any]) -> None:
    commit = parts["metadata"]["component"]["pedigree"]["commits"][0]["uid"]
    assert commit.removesuffix("-dirty") == git("rev-parse", "HEAD")
    assert {"pkg:pypi", "pkg:golang"} < {part["purl"].split("/")[0] for part in parts["components"]}
    listed = {one["content"] for part in parts["components"] for one in part.get("hashes", ())}
    libraries = [*unpacked.glob("usr/lib/visavis/lib/python*/site-packages/*.libs/*")]
    assert libraries
    assert {sum_of(file) for file in libraries} < listed
    assert {"centerface", "shtab"} < {part["name"] for part in parts["components"]}


def test_the_package_has_the_licences_of_what_is_in_it(unpacked: Path, parts: dict[str, Any]) -> None:
    said = (unpacked / DOCUMENTS / "licences.txt").read_text()
    modules = [part for part in parts["components"] if part["purl"].startswith("pkg:golang/")]
    assert not [one for one in modules if f"\n{one['name'].replace('stdlib', 'go')} {one['version']}: " not in said]
    files = [str(file.relative_to(unpacked)) for file in unpacked.rglob("*")]
    patterns = re.findall(r"^Files: (.+)$", (unpacked / DOCUMENTS / "copyright").read_text(), re.MULTILINE)
    assert len(patterns) > 5
    assert not [one for line in patterns for one in line.split() if not fnmatch.filter(files, one)]


def test_lintian_finds_no_error(built: Built) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(built.file)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def of(machine: Machine, unit: str, name: str) -> str:
    return machine.run(f"systemctl show -P {name} {unit}").strip()


def test_everything_runs_and_a_face_comes_over_mqtt(device: Machine) -> None:
    runs_and_sends_a_face(device)


def runs_and_sends_a_face(device: Machine) -> None:
    """All services are active, and what the demo shows arrives."""
    for unit in UNITS:
        assert of(device, unit, "ActiveState") == "active"
    assert device.run("curl -sf http://127.0.0.1:8080/healthz")
    message = message_with_a_face(device, "visavis/test/demo/detections")
    assert (message["device"], message["camera"], message["width"]) == ("test", "demo", 640)
    status = "1 of 1 cameras, 1 workers, [0-9.]+ frames/s inferred"
    device.run(
        retry(f"systemctl show -P StatusText {UNITS[1]} | grep -qE '{status}'", 60, f"systemctl status {UNITS[1]}")
    )


@pytest.mark.vm_long
@pytest.mark.timeout(7200)
def test_it_runs_on_arm64_with_large_pages_too(pi_device: Machine) -> None:
    assert pi_device.run("uname -m; getconf PAGESIZE").split() == ["aarch64", "16384"]
    assert pi_device.run("dpkg-query -W -f '${Architecture} ${db:Status-Status}' visavis") == "arm64 installed"
    runs_and_sends_a_face(pi_device)


@pytest.mark.vm_long
@pytest.mark.timeout(7200)
def test_an_upgrade_on_arm64_keeps_the_settings_and_a_downgrade_is_refused(pi_device: Machine) -> None:
    is_upgraded_and_never_back(pi_device)


@pytest.mark.vm_long
@pytest.mark.timeout(7200)
def test_apt_purges_it_on_arm64_too(pi_device: Machine) -> None:
    pi_device.run("apt-get purge -y -q visavis", 900)
    nothing_is_left(pi_device)


def test_nobody_is_root_and_the_sandboxes_are_tight(device: Machine) -> None:
    assert device.run("ps -o user= -C visavis-capture").strip() == "visavis"
    assert device.run("ps -o user= -p $(systemctl show -P MainPID visavis-infer@1)").strip() == "visavis-infer"
    for unit, most in MOST_EXPOSED.items():
        verdict = device.run(f"systemd-analyze security --no-pager {unit} | tail -1")
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", verdict)
        assert found, verdict
        assert float(found[1]) <= most, device.run(f"systemd-analyze security --no-pager {unit}")


def test_the_daemons_limits_are_in_force(device: Machine) -> None:
    """As systemd holds its group to them, and the kernel its process."""
    asked = ("MemoryMax", "TasksMax", "LimitNOFILE")
    assert [int(of(device, UNITS[1], name)) for name in asked] == [1 << 30, 512, 65536]
    # In a container systemd may give no more than it has.
    most = min(65536, int(device.run("awk '/^Max open files/ { print $5 }' /proc/1/limits")))
    limits = device.run(f"cat /proc/{of(device, UNITS[1], 'MainPID')}/limits")
    assert re.search(rf"(?m)^Max open files +{most} +{most} ", limits), limits


def test_a_crash_would_hold_no_memory(device: Machine) -> None:
    for unit in UNITS[1:]:
        assert int(device.run(f"cat /proc/{of(device, unit, 'MainPID')}/coredump_filter"), 16) == 0


@pytest.mark.own_kernel
def test_a_worker_has_a_network_of_its_own_with_nobody_in_it(device: Machine) -> None:
    inside = f"nsenter --net --target {of(device, UNITS[2], 'MainPID')}"
    assert device.run(f"{inside} ip -br link | cut -d' ' -f1").split() == ["lo"]
    own = device.run("ip -4 -br address show scope global | awk '{print $3}' | cut -d/ -f1").split()
    assert own
    for address, port in (("127.0.0.1", BROKER_PORT), *((one, SSH_PORT) for one in own)):
        connect = f"""python3 -c 'import socket; socket.create_connection(("{address}", {port}), 10)'"""
        device.run(connect)
        refused = device.try_to_run(f"{inside} {connect}")
        assert refused.returncode != 0, f"a worker reaches {address}:{port}"
        assert re.search(r"Connection refused|Network is unreachable", refused.stderr), refused.stderr


@pytest.mark.own_kernel
def test_a_worker_opens_no_disk(device: Machine) -> None:
    """Whatever file it finds: the kernel refuses its group what root outside may read."""
    group = device.run(f"systemctl show -P ControlGroup {UNITS[2]}").strip()
    disk = device.run("findmnt -no SOURCE /").strip()
    assert disk.startswith("/dev/")
    for node, inside in ((disk, "0"), ("/dev/urandom", "1")):
        read = f"head -c 1 {node} | wc -c"
        assert device.run(read).strip() == "1"
        tried = device.try_to_run(f"echo $$ >'/sys/fs/cgroup{group}/cgroup.procs' && {read}")
        assert tried.stdout.strip() == inside, tried.stderr


@pytest.mark.own_kernel
def test_a_worker_that_takes_too_much_memory_is_ended_alone_and_comes_back(device: Machine) -> None:
    """A program in its group takes it, for no model that may be used does."""
    daemon, worker = (of(device, unit, "MainPID") for unit in UNITS[1:])
    group = shlex.quote(f"/sys/fs/cgroup{of(device, UNITS[2], 'ControlGroup')}")
    assert device.run(f"cat {group}/memory.max").strip() == str(WORKER_MEMORY) == of(device, UNITS[2], "MemoryMax")
    assert device.run(f"cat {group}/memory.swap.max").strip() == "0", "pictures may be written to a disk"
    take = f"python3 -c 'b\"x\" * {WORKER_MEMORY}'"
    assert device.try_to_run(f"echo $$ >{group}/cgroup.procs && exec {take}").returncode != 0
    anew = f'[ "$(systemctl show -P MainPID {UNITS[2]})" != {worker} ] && systemctl is-active -q {UNITS[2]}'
    device.run(retry(anew, 180, f"systemctl status {UNITS[2]}"))
    device.run(retry("curl -sf http://127.0.0.1:8080/readyz", 120, "journalctl -n 60 --no-pager"))
    assert device.run(f"journalctl -u {UNITS[2]} --no-pager | grep oom-kill")
    assert of(device, UNITS[1], "MainPID") == daemon


@pytest.mark.own_kernel
@pytest.mark.vm_long  # for the time of `make test-vm`: its cameras are read by a program of root
def test_a_camera_that_is_plugged_in_is_read_without_root(device: Machine) -> None:
    table = camera_table("vivid", f"v4l2:{VIVID_BY_PATH}")
    device.run(f"cat >/etc/visavis/conf.d/vivid.toml <<'EOF'\n{table}\nEOF\nsystemctl restart visavis-capture")
    device.run(retry(told("vivid", "lost"), 180, "journalctl -n 60 --no-pager"))
    device.run("modprobe vivid n_devs=1 && udevadm settle")
    device.run(retry(told("vivid", "online"), 180, "journalctl -n 60 --no-pager"))
    assert device.run(f"stat -Lc '%U:%G %a' {VIVID_BY_PATH}").strip() == "root:video 660"
    assert device.run("ps -o user= -C visavis-capture").strip() == "visavis"
    device.run("rm /etc/visavis/conf.d/vivid.toml && systemctl restart visavis-capture && rmmod vivid")


def told(camera: str, word: str) -> str:
    """A condition for the shell: the status says this of the camera."""
    look = f"import json,sys;print({{c['id']:c['state'] for c in json.load(sys.stdin)['cameras']}}['{camera}'])"
    return f'[ "$(curl -sf http://127.0.0.1:8080/api/v1/status | python3 -c "{look}")" = {word} ]'


def test_a_worker_keeps_its_process_while_the_daemon_is_restarted(
    device: Machine, measured: Callable[[str], None]
) -> None:
    worker, daemon = (of(device, unit, "MainPID") for unit in (UNITS[2], UNITS[1]))
    device.run("systemctl restart visavis-capture")
    inferred = "curl -sf http://127.0.0.1:8080/api/v1/status | grep -qE '\"inferred\": ?[1-9]' && cat /proc/uptime"
    first_s = float(device.run(retry(inferred, 120, "journalctl -n 60 --no-pager")).split()[0])
    assert of(device, UNITS[2], "MainPID") == worker
    assert of(device, UNITS[1], "MainPID") != daemon
    started_s = int(of(device, UNITS[1], "ExecMainStartTimestampMonotonic")) / 1e6
    assert started_s < first_s
    measured(f"the kept worker had inferred {first_s - started_s:.1f} s after the daemon's start, asked every 0.2 s")
    device.run(retry("curl -sf http://127.0.0.1:8080/readyz", 120, "journalctl -n 60 --no-pager"))


@pytest.mark.parametrize("unit", UNITS[1:])
def test_who_is_killed_comes_back(unit: str, device: Machine) -> None:
    before = of(device, unit, "MainPID")
    device.run(f"kill -9 {before}")
    changed = f'[ "$(systemctl show -P MainPID {unit})" != {before} ] && systemctl is-active -q {unit}'
    device.run(retry(changed, 120, f"systemctl status {unit}"))
    device.run(retry("curl -sf http://127.0.0.1:8080/readyz", 120, "journalctl -n 60 --no-pager"))


def test_a_daemon_that_is_stuck_is_ended_by_the_watchdog(device: Machine) -> None:
    before = of(device, UNITS[1], "MainPID")
    device.run(f"kill -STOP {before}")
    changed = f'[ "$(systemctl show -P MainPID {UNITS[1]})" != {before} ] && systemctl is-active -q {UNITS[1]}'
    device.run(retry(changed, 180, f"systemctl status {UNITS[1]}"))
    assert "Watchdog timeout" in device.run(f"journalctl -u {UNITS[1]} --no-pager | grep -i watchdog")


def test_the_journal_has_fields_and_explanations(device: Machine) -> None:
    line = json.loads(
        device.run("journalctl VISAVIS_CAMERA=demo MESSAGE_ID=2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d02 -n 1 -o json")
    )
    assert line["MESSAGE"].startswith("camera delivers camera=demo")
    assert "Camera demo delivers pictures" in device.run("journalctl VISAVIS_CAMERA=demo -x -n 1 --no-pager")
    assert device.run("journalctl VISAVIS_WORKER=worker-1 -n 1 -o cat").strip()


def test_a_worker_whose_settings_are_refused_is_waited_for_by_nobody(device: Machine) -> None:
    """As a boot waits for all that is being started, and apt for what it starts anew."""
    worker, wrong = "visavis-infer@1.service", "/etc/visavis/conf.d/wrong.toml"
    device.run(f"printf '[detector]\\nscore = 7\\n' >{wrong} && timeout 120 systemctl restart {worker}", 180)
    assert of(device, worker, "StatusText") == "waits until the configuration is mended"
    assert worker not in device.run("systemctl list-jobs --no-legend")
    assert "detector.score: 7 is outside 0 to 1" in device.run(f"journalctl -u {worker} -n 5 -o cat")
    device.run(f"rm {wrong}")
    mended = f'[ "$(systemctl show -P StatusText {worker})" = "centerface on onnxruntime" ]'
    device.run(retry(mended, 180, f"systemctl status {worker}"))


@pytest.mark.own_kernel
def test_after_a_restart_of_the_machine_it_runs_by_itself(device: Machine) -> None:
    start = "cat /proc/sys/kernel/random/boot_id"
    before = device.run(start)
    device.try_to_run("systemctl reboot")
    device.socket = device.socket.with_name("ssh-again")  # the old connection may hang
    device.wait_for(lambda: device.try_to_run(start).stdout not in ("", before), "no other start")
    device.run(
        retry("curl -sf http://127.0.0.1:8080/readyz", 900, "systemctl --failed; journalctl -n 60 --no-pager"), 1200
    )
    assert [device.run(f"systemctl is-active {unit}").strip() for unit in UNITS] == ["active"] * len(UNITS)


def test_a_copy_is_put_back(device: Machine) -> None:
    """As the page says, onto a machine that has gone on since."""
    page = ROOT / "docs/how-to/backup.md"
    copy, put_back = (block.text.replace("sudo ", "") for block in blocks("text", among=[page]))
    ready = retry("curl -sf http://127.0.0.1:8080/readyz", 180, "journalctl -n 60 --no-pager")
    kept = "find /etc/visavis /var/lib/visavis -name '*.toml' -exec md5sum {} + -exec stat -c '%U %a' {} +"
    device.run(f"set -e; cd /root\n{copy}\n{ready}", 600)
    before = device.run(kept)
    device.run("rm /etc/visavis/config.toml; touch /var/lib/visavis/since")
    device.run(f"set -e; cd /root\n{put_back}\n{ready}", 600)
    assert device.run(kept) == before
    assert CONFIG in before
    assert device.run("stat -c '%U %a' /root/visavis.tar.gz /var/lib/visavis").splitlines() == [
        "root 600",
        "visavis 700",
    ]
    assert "since" not in device.run("ls /var/lib/visavis")


def test_an_upgrade_keeps_the_settings_and_a_downgrade_is_refused(device: Machine) -> None:
    is_upgraded_and_never_back(device)


def is_upgraded_and_never_back(device: Machine) -> None:
    """A newer version takes over with the owner's settings, an older one changes nothing."""
    device.run(f"dpkg -i {INSIDE}/0.2.0.deb", 900)
    assert "detect_fps = 1.0" in device.run(f"cat {CONFIG}")
    device.run(retry("curl -sf http://127.0.0.1:8080/readyz", 180, "journalctl -n 60 --no-pager"))
    status = json.loads(device.run("curl -sf http://127.0.0.1:8080/api/v1/status"))
    assert status["version"] == "0.2.0"
    refused = device.try_to_run(f"dpkg -i {INSIDE}/0.0.1.deb", 900)
    assert refused.returncode != 0
    assert "is older: remove it first, or set VISAVIS_DOWNGRADE=1" in refused.stdout + refused.stderr
    assert json.loads(device.run("curl -sf http://127.0.0.1:8080/api/v1/status"))["version"] == "0.2.0"


def test_an_older_one_runs_after_the_newer_was_removed(device: Machine) -> None:
    device.run(f"dpkg --remove visavis && dpkg -i {INSIDE}/0.0.1.deb", 900)
    for path in ("healthz", "readyz"):
        device.run(retry(f"curl -sf http://127.0.0.1:8080/{path}", 180, "journalctl -n 60 --no-pager"))
    assert [device.run(f"systemctl is-enabled {unit}").strip() for unit in UNITS] == ["enabled"] * len(UNITS)
    assert json.loads(device.run("curl -sf http://127.0.0.1:8080/api/v1/status"))["version"] == "0.0.1"


def test_purge_leaves_nothing_but_the_users(device: Machine) -> None:
    device.run("dpkg --remove visavis && dpkg --purge visavis", 300)
    nothing_is_left(device)


def nothing_is_left(device: Machine) -> None:
    """But the users, of a package that was purged."""
    left = device.run(
        "find / -xdev -iname '*visavis*' -not -path '/opt/*' -not -path '/proc/*' -not -path '/sys/*'"
        " -not -path '/var/log/*' -not -path '/tmp/*' -not -path '/run/credentials/*'"
        " -not -path '*/initramfs-tools/*'"  # the lab's own
    )
    assert left.split() == [], left
    assert device.run("systemctl list-units --all 'visavis*' --no-legend").strip() == ""
