# SPDX-License-Identifier: Apache-2.0
"""The packages beside `visavis`, one for every system each: a broker that keeps what it acknowledged, and the GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deb.kept import REPOSITORY, one_at_a_time
from deb.packing import OUT, Package, empty, pack, put

BROKER_SETTINGS = ("etc/mosquitto/conf.d/visavis.conf",)
BROKER = """\
mosquitto that keeps the events of visavis
Settings for mosquitto: what it acknowledged is on disk within two seconds, it
holds an hour of messages for a subscriber that is away, nobody comes in
without a password, and a device writes below its own name only. Where visavis
is installed too, it is made a user of this broker. An example shows TLS."""
TENSORRT = """\
workers of visavis on an NVIDIA GPU
Lets the workers open the GPU, and nothing else of the hardware, and builds
the engine that they look for while they serve with the processor. NVIDIA's
driver, its TensorRT for Python (python3-libnvinfer, in JetPack and in NVIDIA's
own repository) and pycuda are not in here: how they come onto a device stands
in README of this package. Without them workers go on with the processor.
Not run on a Jetson yet."""


def packages(version: str, out: Path = OUT) -> list[Path]:
    """Make them and return their files."""
    return [broker(version, out), tensorrt(version, out)]


@one_at_a_time("packages")
def broker(version: str, out: Path = OUT) -> Path:
    """mosquitto's settings, and the user of this device."""
    made = Package(
        name="visavis-broker",
        architecture="all",
        version=version,
        section="net",
        description=BROKER,
        depends=("mosquitto (>= 2.0)",),
        recommends=("mosquitto-clients",),
        settings=BROKER_SETTINGS,
        woken_by=("visavis-configured",),
    )
    return pack(made, filled(made, fill_broker, out), out)


def fill_broker(root: Path) -> None:
    for file in BROKER_SETTINGS:
        put(REPOSITORY / "broker" / Path(file).name, root / file)
    # postinst makes /etc/mosquitto/visavis.acl of it. No setting of dpkg's: a device that is renamed changes it.
    put(REPOSITORY / "broker/visavis.acl", root / "usr/share/visavis-broker/visavis.acl")
    put(REPOSITORY / "broker/visavis-tls.conf", root / "usr/share/doc/visavis-broker/examples/visavis-tls.conf")
    put(REPOSITORY / "docs/how-to/broker.md", root / "usr/share/doc/visavis-broker/broker.md")
    put(REPOSITORY / "deb/broker/join.py", root / "usr/lib/visavis-broker/join.py")
    # Not broker.conf: a file of that name in /etc, which join.py writes, would take its place.
    units = root / "usr/lib/systemd/system"
    put(REPOSITORY / "deb/broker/follow.conf", units / "visavis-capture.service.d/visavis-broker.conf")
    restart = REPOSITORY / "firmware-image/rootfs/etc/systemd/system/mosquitto.service.d/visavis.conf"
    put(restart, units / "mosquitto.service.d/visavis-broker.conf")


@one_at_a_time("packages")
def tensorrt(version: str, out: Path = OUT) -> Path:
    """The workers' door to the GPU."""
    made = Package(
        name="visavis-tensorrt",
        architecture="all",
        version=version,
        section="video",
        description=TENSORRT,
        depends=("visavis",),
        recommends=("python3-libnvinfer",),
        suggests=("python3-pycuda",),
    )
    return pack(made, filled(made, fill_tensorrt, out), out)


def fill_tensorrt(root: Path) -> None:
    ours, units = REPOSITORY / "deb/tensorrt", root / "usr/lib/systemd/system"
    for unit in ("visavis-gpu.service", "visavis-engine.service", "visavis-change-over.service"):
        put(ours / unit, units / unit)
    for unit in ("visavis-infer@.service", "visavis-engine.service"):
        put(ours / "gpu.conf", units / f"{unit}.d/gpu.conf")
    put(ours / "engine.conf", units / "visavis-infer@.service.d/engine.conf")
    for program in ("build-done", "change-over"):
        put(ours / program, root / "usr/lib/visavis-tensorrt" / program)
    put(ours / "README", root / "usr/share/doc/visavis-tensorrt/README")


def filled(package: Package, fill: Callable[[Path], None], out: Path) -> Path:
    root = empty(package.name, out)
    fill(root)
    return root
