# SPDX-License-Identifier: Apache-2.0
"""The examinations of `visavis doctor`: each looks at one subject and says ok, warn or fail with the remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from visavis import programs
from visavis.addresses import MQTT_PORTS, host_of
from visavis.atomic import NO_ROOM
from visavis.broker import BrokerFailed, mosquitto
from visavis.broker_rights import denied
from visavis.config_gen import Config, Detector
from visavis.daemon import ask_daemon, device_config, effective_config, last_words
from visavis.engines import probe
from visavis.engines.at_hand import has_int8_engine
from visavis.errors import INSTALL_AGAIN, ModelError, VisavisError
from visavis.gpu_losses import may_use_gpu
from visavis.handed_back import FOLDERS
from visavis.system_files import text_of
from visavis.worker_unit import CLOSED, OPEN, WORKERS, closed, filled

if TYPE_CHECKING:
    from visavis.models.cache import Prepared

KERNEL_WITH_FUTURE_WRITE = (5, 1)
# A few models in a few sizes.
CACHE_FREE_LEAST_MB = 50
BROKER_WAIT_S = 2.0
LOAD_LIMIT_S = 60.0
LOADED = "import onnxruntime as o; print(f'{o.__version__}, providers {o.get_available_providers()}')"
# Of cards, of which a container may see any one, of Jetsons, of which some sleep, and of Linux inside Windows.
GPU_NODES = ("nvidia[0-9]*", "nvhost-gpu", "nvgpu/igpu0/ctrl", "nvgpu/igpu0/power", "nvhost-power-gpu", "dxg")
NO_INT8_ENGINE = "{} has no engine in int8, so workers run on the processor, and only pictures make one"
INT8_ENGINE = (
    "`visavis engine build {} --input {}x{} --precision int8 --from-camera ID`, "
    "with --batch where worker.credit is more than 1"
)
CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")
NO_LIMITS = (
    "add cgroup_enable=memory to the kernel's command line, on a Raspberry Pi in /boot/firmware/cmdline.txt, and "
    f"restart; {CONTROLLERS} then names memory"
)
FULL = "make room there"
FAILS = "see `sudo dmesg`: a worn card or disk must be replaced, else mount it writable"


class Finding(msgspec.Struct, frozen=True):
    """What one examination found."""

    subject: str
    state: Literal["ok", "warn", "fail"]
    words: str
    remedy: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Run all examinations, one finding after another, the quick ones first.

    The device's own configuration is read as its units do: the daemon's secrets are not there for who looks.
    """
    for examination in EXAMINATIONS:
        yield examination()
    of_device = config is not None and config == device_config()
    try:
        settings = effective_config(config, os.environ, for_worker=of_device)
    except VisavisError as error:
        yield Finding("model", "warn", "not looked at, the configuration cannot be read", "mend what fails here")
        if config is not None:
            yield Finding("config", "fail", str(error), "correct what is named there")
        return
    yield from model_of_device(settings.detector) if of_device else (model(settings.detector),)
    if of_device:
        yield limits()
    if config is not None:
        yield from configured_brokers(settings)
        yield from (Finding("mqtt", "warn", lost.sentence, lost.remedy) for lost in denied(settings, config))
        yield Finding("config", "ok", str(config))


def kernel() -> Finding:
    """Sealed rings need F_SEAL_FUTURE_WRITE."""
    release = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers >= KERNEL_WITH_FUTURE_WRITE:
        return Finding("kernel", "ok", f"Linux {release}, {os.sysconf('SC_PAGE_SIZE')} byte pages")
    return Finding("kernel", "fail", f"Linux {release} cannot seal frames against workers", "use Linux 5.1 or newer")


def daemon() -> Finding:
    """The Go program and, through it, OpenCV's libraries."""
    try:
        answer = ask_daemon("-effective", capture_output=True)
    except VisavisError as error:
        return Finding("daemon", "fail", error.sentence, error.remedy)
    if answer.returncode == 0:
        return Finding("daemon", "ok", f"{answer.args[0]} starts, OpenCV's libraries are there")
    said = last_words(answer).splitlines()[-1]
    return Finding("daemon", "fail", said, INSTALL_AGAIN)


def cameras() -> Finding:
    """Which cameras there are, and whether this user may open them."""
    from visavis.hardware.cameras import cameras as all_of_them  # noqa: PLC0415 (ctypes, wanted only here)

    devices = sorted(Path("/dev").glob("video*"))
    closed = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        return Finding("cameras", "fail", f"no permission for {', '.join(closed)}", "add the user to group video")
    found = all_of_them()
    broken = [f"{one['node']}, {one['error']}" for one in found if "error" in one]
    if broken:
        return Finding("cameras", "warn", "; ".join(broken), "plug it in again, or restart; `sudo dmesg` may say why")
    there = [f"{one['card']}: v4l2:{lasting_name(one['node'])}" for one in found if not one["part"]]
    if there:
        return Finding("cameras", "ok", ", ".join(there))
    beside = f" but {len(devices)} of an image processor, which csi: reads" if devices else ""
    return Finding(
        "cameras", "warn", f"no camera at /dev/video*{beside}", "plug one in, or use rtsp://, file: or demo:"
    )


def lasting_name(node: str, links: Path = Path("/dev/v4l")) -> str:
    """The name of a camera's node that it has after the next start too: by its serial number, or by its socket.

    Of cameras that share a serial number udev names only one by it.
    """
    names = (link for by in ("by-id", "by-path") for link in sorted((links / by).glob("*")))
    return next((str(name) for name in names if name.resolve() == Path(node).resolve()), node)


def broker() -> Finding:
    """mosquitto, for who has no broker."""
    try:
        program = mosquitto()
    except BrokerFailed as error:
        return Finding("broker", "warn", error.sentence, error.remedy)
    return Finding("broker", "ok", f"{program} can be started when no broker is configured")


def configured_brokers(settings: Config) -> Iterator[Finding]:
    """Whether each broker of the configuration can be reached, by the name of its section."""
    for section, url in (("mqtt", settings.mqtt.url), ("mqtt_second", settings.mqtt_second.url)):
        if url not in ("", "managed"):
            yield reached(section, url)


def reached(section: str, url: str) -> Finding:
    """Whether something listens where a broker should be."""
    broker = urlsplit(url)
    try:
        socket.create_connection((host_of(broker), broker.port or MQTT_PORTS[broker.scheme]), BROKER_WAIT_S).close()
    except (OSError, UnicodeError) as error:  # a host may be no name at all
        words = f"{url} is not there: {getattr(error, 'strerror', None) or error}; detection goes on, events wait"
        return Finding(section, "warn", words, f"start the broker, or correct {section}.url")
    return Finding(section, "ok", f"{url} is there")


def limits(controllers: Path = CONTROLLERS) -> Finding:
    """Whether MemoryMax= of the package's units is in force: systemd says nothing where the kernel cannot do it.

    A Raspberry Pi's firmware turns that off (cgroup_disable=memory in its device tree), Debian's kernels have it on.
    """
    if "memory" in text_of(controllers).split():
        return Finding("limits", "ok", "a worker that takes too much memory is ended alone")
    words = "this kernel limits no service's memory: a worker that takes too much takes it from all"
    return Finding("limits", "warn", words, NO_LIMITS)


def onnxruntime() -> Finding:
    """The backend that works everywhere."""
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding("onnxruntime", "fail", "the Python package is missing", INSTALL_AGAIN)
    answer = programs.asked([sys.executable, "-c", LOADED], LOAD_LIMIT_S)  # a library may take its process down
    if answer.why:
        return Finding("onnxruntime", "fail", f"it cannot be loaded, {answer.why}", INSTALL_AGAIN)
    return Finding("onnxruntime", "ok", str(answer))


def tensorrt() -> Finding:
    """TensorRT and pycuda, for who has an NVIDIA GPU: tried, since their being there says little."""
    missing = [name for name in ("tensorrt", "pycuda") if importlib.util.find_spec(name) is None]
    if missing:
        words = f"{' and '.join(missing)} missing: onnxruntime on the CPU is used"
        return Finding("tensorrt", "warn", words, "on a Jetson install python3-libnvinfer and pycuda")
    answer = probe.asked()
    return Finding("tensorrt", "ok" if answer.usable else "warn", answer.words, answer.remedy)


def cuda() -> Finding:
    """An NVIDIA GPU and its driver."""
    nodes = [str(node) for pattern in GPU_NODES for node in sorted(Path("/dev").glob(pattern))]
    if nodes:
        return Finding("cuda", "ok", f"GPU driver is loaded ({nodes[0]})")
    return Finding("cuda", "ok", "no NVIDIA GPU here: the CPU infers")


def cache() -> Finding:
    """A folder for prepared models that can be written."""
    from visavis.settings import default_cache_dir  # noqa: PLC0415

    folder = default_cache_dir()
    elsewhere = "set VISAVIS_CACHE_DIR to a folder of this user"
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:
        return Finding("cache", "fail", f"{folder} cannot be looked at, {error.strerror}", elsewhere)
    refusal = refused(existing)
    if refusal:
        return Finding("cache", "fail", f"{folder} cannot be written, {refusal.strerror}", elsewhere)
    free_mb = shutil.disk_usage(existing).free // 10**6
    if free_mb < CACHE_FREE_LEAST_MB:
        return Finding("cache", "fail", f"{folder} has {free_mb} MB free", f"make room, or {elsewhere}")
    return Finding("cache", "ok", f"{folder}, {free_mb} MB free")


def units_cache() -> Path | None:
    """Where the device's workers keep models; None, the usual place, if this user names another or there is none."""
    from visavis.settings import SYSTEM_CACHE  # noqa: PLC0415

    named = os.environ.get("VISAVIS_CACHE_DIR")
    return SYSTEM_CACHE if not named and SYSTEM_CACHE.exists() else None


def model_of_device(detector: Detector) -> Iterator[Finding]:
    """The configured model where the device's workers keep it, for who may do there what they do: look and keep."""
    cache_dir = units_cache()
    if cache_dir is None or detector.backend == "fake":
        yield model(detector, cache_dir)
        return
    yield from takes_nothing(cache_dir)
    if closed(cache_dir, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("model", "warn", CLOSED.format(cache_dir), OPEN)
    else:
        yield from of_others(cache_dir)
        with as_owner_of(cache_dir):
            found = model(detector, cache_dir)
        yield replace(found, remedy=filled(found.remedy, cache_dir))


def takes_nothing(cache_dir: Path) -> Iterator[Finding]:
    """A folder that takes no file, as after Linux has made the file system of a disk that fails read-only."""
    refusal = refused(cache_dir)
    if refusal and not isinstance(refusal, PermissionError):  # that is of who looks
        words = f"{cache_dir}, where the device's workers keep models, takes no file, {refusal.strerror}"
        yield Finding("cache", "warn", words, FULL if refusal.errno in NO_ROOM else FAILS)


def of_others(cache_dir: Path) -> Iterator[Finding]:
    """Folders in which the device's workers can keep nothing, as root may have made them."""
    owner = cache_dir.stat().st_uid
    for part in (cache_dir / name for name in FOLDERS):
        if part.exists() and part.stat().st_uid != owner:
            words = f"{part} is another user's, so the device's workers can keep nothing there"
            yield Finding("cache", "warn", words, f"sudo chown -R {WORKERS}: {cache_dir}")


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Let the block see and make what the folder's owner would: what root makes there shuts that one out."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def refused(folder: Path) -> OSError | None:
    """Why a folder takes no file, tried with one that has no name.

    What its file system says of itself is not sure: an overlay does not know of the one below it, and ext4 of newer
    kernels counts as writable after a fault that has made it read-only.
    """
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error
    return None


def model(detector: Detector, cache_dir: Path | None = None) -> Finding:
    """The configured model, as a worker would load it; `cache_dir` None is the usual place."""
    if detector.backend == "fake":
        return Finding("model", "ok", 'none is loaded, backend = "fake" invents faces')
    name, unmeasured = named(detector.model, cache_dir)
    try:
        prepared = _prepared(name, detector.input, cache_dir)
    except VisavisError as error:
        return Finding("model", "fail", error.sentence, error.remedy or "set detector.model to another")
    if detector.precision == "int8":
        return int8(name, detector, cache_dir)
    if unmeasured:
        return Finding("model", "warn", f'"auto" is {name}, {unmeasured}', "run `visavis model bench`")
    if prepared.path is None:
        return Finding("model", "warn", f"{name} can be prepared but not kept", "see cache above")
    return Finding("model", "ok", f"{name} is prepared: {prepared}")


def named(configured: str, cache_dir: Path | None) -> tuple[str, str]:
    """The model that a setting means; and for "auto", why it is not a measured one, if it is not."""
    from visavis.models.auto import AUTO, recommended  # noqa: PLC0415 (slow to import, wanted only here)
    from visavis.settings import default_cache_dir  # noqa: PLC0415

    return recommended(cache_dir or default_cache_dir()) if configured == AUTO else (configured, "")


def _prepared(name: str, size_px: tuple[int, int], cache_dir: Path | None) -> Prepared:
    from visavis.models.cache import prepared_model  # noqa: PLC0415 (slow to import, wanted only here)

    try:
        return prepared_model(name, *size_px, cache_dir)
    except OSError as error:
        raise ModelError(f"{name} cannot be looked at, {error.strerror}", "see cache above") from error


def int8(name: str, detector: Detector, cache_dir: Path | None) -> Finding:
    """An engine of the model in int8, or its form for the processor; only backend = "onnxruntime" must have that."""
    from visavis.models.quantized import quantized_model  # noqa: PLC0415 (slow to import, wanted only here)
    from visavis.settings import default_cache_dir  # noqa: PLC0415

    if may_use_gpu(detector.backend) and has_int8_engine(name, detector.input, cache_dir or default_cache_dir()):
        words = f"{name} has an engine in int8; a worker sees when it starts whether that is for its TensorRT and GPU"
        return Finding("model", "ok", words)
    if detector.backend == "tensorrt":
        return Finding("model", "warn", NO_INT8_ENGINE.format(name), INT8_ENGINE.format(name, *detector.input))
    try:
        found = quantized_model(name, *detector.input, cache_dir)
    except VisavisError as error:
        if detector.backend == "auto":
            return Finding("model", "warn", f"{error.sentence}, so it runs in fp32", error.remedy)
        return Finding("model", "fail", error.sentence, error.remedy)
    return Finding("model", "ok", f"{name} in int8: {found}")


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    kernel, daemon, cameras, cuda, tensorrt, onnxruntime, broker, cache,
)  # fmt: skip
