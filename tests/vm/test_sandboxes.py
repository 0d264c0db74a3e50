# SPDX-License-Identifier: Apache-2.0
"""What their sandboxes let our programs do, under Debian 13's systemd in systemd-nspawn.

The package is installed there, and beside it what an image adds: its services, and a boot partition that is mounted
when somebody looks at it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deb.build import SYSTEMS, package
from tests.repo.test_laws import ROOT
from tests.unit.test_device_settings import KEY, WHOLE
from tests.unit.test_units import UNITS, bar_of, instance_of
from tests.vm.busy import posting, watching
from tests.vm.conftest import installed
from tests.vm.container import Container, missing_for_containers
from tests.vm.inside import INSIDE, retry
from tests.vm.lab import DEBIAN_13, Machine
from tests.waiting import until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

API = "http://127.0.0.1:8080/api/v1"
STATUS = f"curl -sf {API}/status"
WATCH = f"curl {API}/cameras/demo/stream.mjpeg"
POST = f"curl {API}/detect -H 'Content-Type: image/jpeg' --data-binary @/usr/share/visavis/demo/face.jpg"
FIRST_BOOT, EMERGENCY = "visavis-first-boot", "visavis-emergency"
SYSTEM = Path("/usr/lib/systemd/system")
PROGRAM = "/usr/lib/visavis/lib/python3.13/site-packages"
# How much faster it is than fp32 is for `make bench` to say.
QUANTIZE = f"""
cat >/tmp/quantize.py <<'END'
import sys
from visavis.cli.program import main
from visavis.models import quantize
quantize.judge = lambda *_, **__: None
sys.exit(main(["model", "quantize", "centerface", "--pictures", "/usr/share/visavis/demo"]))
END
VISAVIS_CACHE_DIR=/var/cache/visavis PYTHONPATH={PROGRAM} python3 /tmp/quantize.py
"""
INT8 = """
[detector]
backend = "onnxruntime"
precision = "int8"
input = [640, 480]
"""
# A folder stands for the FAT partition. It is put away five seconds after the last look at it, as an image's is.
PARTITION, BOOT = "/srv/boot-partition", "/boot/efi"
FSTAB = f"{PARTITION} {BOOT} none bind,noauto,x-systemd.automount,x-systemd.idle-timeout=5s,nofail 0 0"
MOUNT_WHEN_LOOKED_AT = f"""
mkdir -p {PARTITION} {BOOT} && echo '{FSTAB}' >/etc/fstab
systemctl daemon-reload && systemctl start boot-efi.automount
"""
# What the first start of a device finds: no name, no keys and no code of its own; nobody has looked at the partition.
WAIT_UNTIL_PUT_AWAY = "/usr/local/bin/wait-until-put-away"
PUT_AWAY = retry(f"! grep ' {BOOT} ' /proc/self/mounts | grep -qv ' autofs '", 60, "cat /proc/self/mounts")
AS_NEW = f"""
systemctl stop {FIRST_BOOT}
rm -f /etc/hostname /etc/ssh/ssh_host_* /etc/visavis/claim-code && hostname nobody
{WAIT_UNTIL_PUT_AWAY}
"""
START = f"systemctl start {FIRST_BOOT} || {{ journalctl -n 30 --no-pager -u {FIRST_BOOT}; exit 1; }}"
# It ends well at once, and starts nothing anew.
TAMED = """
[Unit]
SuccessAction=none
FailureAction=none
[Service]
ExecStart=
ExecStart=/bin/sleep 0
"""


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    missing = missing_for_containers()
    assert not missing, f"containers need {', '.join(missing)}: `make test-vm` as root"
    file = package(SYSTEMS[DEBIAN_13.suite, DEBIAN_13.architecture], "0.1.0")
    with Container(DEBIAN_13, "sandboxes", tmp_path_factory.mktemp("sandboxes"), ("--bind=/dev/autofs",)) as machine:
        machine.run(f"mkdir -p {INSIDE}")
        machine.send(file, f"{INSIDE}/0.1.0.deb")
        yield installed(machine, "dpkg -i")


def write(machine: Machine, content: str, file: Path | str) -> None:
    subprocess.run([*machine.ssh(), f"mkdir -p $(dirname {file}) && cat >{file}"], input=content.encode(), check=True)


def crew(device: Machine) -> list[dict[str, Any]]:
    """The workers that are connected, as the status tells them."""
    found: list[dict[str, Any]] = json.loads(device.try_to_run(STATUS).stdout or '{"workers": []}')["workers"]
    return found


def workers(device: Machine) -> dict[str, int]:
    """Those that are connected, and how many frames each has answered."""
    return {worker["name"]: worker["frames"] for worker in crew(device)}


@pytest.fixture
def patient(device: Machine) -> Iterator[Machine]:
    """The device, on which no picture waits too long: two workers on a slow machine are no reason to refuse one."""
    settings = "/etc/visavis/conf.d/zz-patient.toml"
    write(device, "[gateway]\ndeadline_ms = 60000\n", settings)
    device.run("systemctl restart visavis-capture")
    until(lambda: set(workers(device)) == {"worker-1"}, "no worker comes back", 180)
    yield device
    device.run(f"rm {settings} && systemctl restart visavis-capture")


@pytest.mark.vm_long  # two minutes
def test_a_second_worker_joins_works_and_is_counted(patient: Machine, measured: Callable[[str], None]) -> None:
    """Neither a client nor a viewer notices that it comes and goes."""
    both = {"worker-1", "worker-2"}
    with posting(patient, POST), watching(patient, WATCH, measured):
        patient.run("systemctl enable -q --now visavis-infer@2")
        until(lambda: {name for name, frames in workers(patient).items() if frames} == both, "two do not work", 180)
        patient.run(retry("systemctl show -P StatusText visavis-capture | grep -q ' 2 workers, '", 60, STATUS))
        patient.run("systemctl disable -q --now visavis-infer@2")
        until(lambda: set(workers(patient)) == {"worker-1"}, "the second one is still counted", 60)


@pytest.mark.vm_long  # a minute
def test_a_worker_takes_the_int8_model_that_was_made_in_a_shell(device: Machine) -> None:
    """Both must call the processor the same, whatever the sandbox hides."""
    device.run(QUANTIZE, 300)
    settings = "/etc/visavis/conf.d/zz-int8.toml"
    write(device, INT8, settings)
    journal = "journalctl -n 30 --no-pager -u 'visavis-infer@*'"
    device.run(f"systemctl restart visavis-capture 'visavis-infer@*' || {{ {journal}; exit 1; }}")
    until(lambda: [one["precision"] for one in crew(device)] == ["int8"], lambda: device.run(journal), 120)
    # Without it onnxruntime takes slower code, and says so.
    assert "cpuinfo" not in device.run(journal)
    device.run(f"rm {settings} && systemctl restart visavis-capture 'visavis-infer@*'")


def test_the_sockets_own_service_starts(device: Machine) -> None:
    device.run("systemctl start visavis-frames.service && systemctl is-active visavis-frames.service")


@pytest.fixture(scope="module")
def image(device: Machine) -> Machine:
    """The device with an image's services and boot partition."""
    pack = ["tar", "-C", str(ROOT / "firmware-image/device"), "--exclude=__pycache__", "-c", "visavis_device"]
    packed = subprocess.run(pack, capture_output=True, check=True).stdout
    subprocess.run([*device.ssh(), f"tar -C {PROGRAM} --no-same-owner -x"], input=packed, check=True)
    for name in (FIRST_BOOT, EMERGENCY):
        (file,) = (file for file in UNITS if file.stem == name)
        write(device, file.read_text(), SYSTEM / file.name)
    settings = "etc/visavis/conf.d/10-image.toml"
    write(device, (ROOT / "firmware-image/rootfs" / settings).read_text(), f"/{settings}")
    write(device, f"#!/bin/sh\n{PUT_AWAY}\n", WAIT_UNTIL_PUT_AWAY)
    device.run(f"chmod 755 {WAIT_UNTIL_PUT_AWAY}; {MOUNT_WHEN_LOOKED_AT}")
    return device


def test_the_first_start_writes_all_that_the_owner_wants(image: Machine) -> None:
    write(image, WHOLE, f"{PARTITION}/visavis.toml")
    image.run(f"{AS_NEW}{START}")
    assert image.run("hostname; cat /etc/hostname").split() == ["porch"] * 2
    assert image.run("cat /etc/ssh/authorized_keys.d/root").strip() == KEY
    assert (
        image.run("stat -c '%a %U %G' /etc/visavis/mqtt.password /etc/visavis/claim-code").splitlines()
        == ["640 root visavis"] * 2
    )
    assert "Country=DE" in image.run("cat /etc/iwd/main.conf")
    assert "Passphrase" in image.run("cat /var/lib/iwd/*.psk")
    assert image.run("ls /etc/ssh").count("ssh_host_") >= 4
    assert image.run(f"ls {PARTITION}").split() == ["claim-code.txt", "visavis-status.txt"]
    assert "ABCD-EFGH" in image.run("cat /run/issue.d/visavis.issue")


def test_a_boot_partition_that_is_put_away_meanwhile_is_written_too(image: Machine) -> None:
    """As where the keys take long to make."""
    drop_in = f"/run/systemd/system/{FIRST_BOOT}.service.d/slow.conf"
    write(image, f"[Service]\nExecStartPre={WAIT_UNTIL_PUT_AWAY}\n", drop_in)
    image.run(f"rm {PARTITION}/claim-code.txt; systemctl daemon-reload; {AS_NEW}{START}")
    code = image.run("cat /etc/visavis/claim-code").strip()
    assert image.run(f"cat {PARTITION}/claim-code.txt").strip() == code
    image.run(f"rm {drop_in} && systemctl daemon-reload")


def test_the_code_is_gone_when_the_daemons_own_folder_has_accounts(image: Machine) -> None:
    accounts = "/var/lib/visavis/credentials.toml"
    image.run(f"echo '# nobody' | install -o visavis -g visavis -m 0600 /dev/stdin {accounts}")
    image.run(f"systemctl restart {FIRST_BOOT}")
    assert "type" not in image.run("cat /run/issue.d/visavis.issue")
    assert "claim-code.txt" not in image.run(f"ls {PARTITION}")
    image.run(f"rm {accounts}")


def test_what_the_daemon_refuses_is_told_and_not_applied(image: Machine) -> None:
    write(image, '[mqtt]\nurl = "http://broker"\n', f"{PARTITION}/visavis.toml")
    before = image.run("cat /etc/visavis/conf.d/50-broker.toml")
    assert image.try_to_run(f"systemctl restart {FIRST_BOOT}").returncode != 0
    assert "mqtt.url" in image.run(f"cat {PARTITION}/visavis-status.txt")
    assert image.run("cat /etc/visavis/conf.d/50-broker.toml") == before
    image.run(f"rm {PARTITION}/visavis.toml")


def test_a_boot_partition_that_cannot_be_mounted_keeps_nothing_from_starting(image: Machine) -> None:
    image.run(f"{AS_NEW}mv {PARTITION} {PARTITION}.away; {START}")
    assert image.run("hostname").strip() == image.run("cat /etc/hostname").strip() != "nobody"
    image.run(f"mv {PARTITION}.away {PARTITION}; systemctl reset-failed")


def test_a_system_that_does_not_come_up_waits_and_ends_well(image: Machine) -> None:
    write(image, TAMED, f"/run/systemd/system/{EMERGENCY}.service.d/tamed.conf")
    image.run(f"systemctl daemon-reload && systemctl start {EMERGENCY}")
    assert image.run(f"systemctl show -P Result {EMERGENCY}").strip() == "success"


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_this_systemd_finds_them_tight_too(file: Path, device: Machine) -> None:
    unit = f"/root/judged/{instance_of(file)}"
    write(device, file.read_text(), unit)
    said = device.run(f"systemd-analyze security --offline=true --no-pager {unit}")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    assert float(found[1]) <= bar_of(file), said
