# SPDX-License-Identifier: Apache-2.0
"""Engines on disk: found when they are exactly what is wanted, built otherwise. `<cache_dir>/engines/`.

An engine is loaded only if this device sealed it for this model, TensorRT, GPU, precision and profile.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from visavis.atomic import lock_file, room_or
from visavis.detections import Frame
from visavis.engines.api import TensorRT, major
from visavis.engines.builder import Recipe, build, stopped
from visavis.engines.key import ONE_PICTURE, EngineKey, Gpu, Precision, Profile
from visavis.engines.progress import ELSEWHERE, Report
from visavis.engines.vault import Vault
from visavis.errors import ModelError
from visavis.models.cache import Prepared

if TYPE_CHECKING:
    from visavis.engines.forms import Watch

# Gives (1, H, W, 3) uint8 BGR for a model and the size of its input.
Pictures = Callable[[Prepared, tuple[int, int]], Iterable[Frame]]

log = logging.getLogger(__name__)

FOLDER = "engines"
# Of all engines together: some dozens, of models, sizes and releases of TensorRT that were once in use.
MOST_BYTES = 1 << 30
# Of the timings of every TensorRT and GPU that has built here.
TIMINGS_MOST_BYTES = 64 << 20
TURN_PERIOD_S = 0.5


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What engines of this process are for: the TensorRT module, the GPU, and where they are kept."""

    trt: TensorRT
    gpu: Gpu
    cache_dir: Path


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that somebody needs. `pictures` calibrate int8; without them `by_hand` is the command that does it."""

    prepared: Prepared
    precision: Precision = "fp16"
    profile: Profile = ONE_PICTURE
    workspace_mib: int | None = None
    pictures: Pictures | None = None
    by_hand: str = "visavis engine build --precision int8"


def of_files(paths: list[Path]) -> Pictures:
    """Pictures, videos, and folders of them; read when they are needed."""

    def read(_model: Prepared, size_px: tuple[int, int]) -> Iterable[Frame]:
        from visavis.engines.int8 import frames_of  # noqa: PLC0415 (takes a second)

        return frames_of(paths, size_px)

    return read


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about an engine; `outputs` in the order that the model's family decodes."""

    key: EngineKey
    outputs: list[str]
    layers: int
    took_s: float


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A sound engine: give `plan` to TensorRT, never the file again."""

    record: Record
    plan: bytes
    path: Path


def key_of(wanted: Wanted, here: Here) -> EngineKey:
    """What the engine depends on."""
    return EngineKey(
        model=wanted.prepared.name,
        model_sha256=hashlib.sha256(wanted.prepared.content).hexdigest(),
        tensorrt=str(here.trt.__version__),
        gpu=here.gpu,
        precision=wanted.precision,
        profile=wanted.profile,
    )


def find(wanted: Wanted, here: Here) -> Engine | None:
    """Return the engine if a sound one is kept, else None; a few milliseconds.

    Raises:
        ModelError: the folder cannot be read or made.
    """
    key = key_of(wanted, here)
    with _readable(here) as vault:
        opened = vault.unseal(key.file_name)
        if opened is None:
            return None
        record = _record(opened[0])
        # The name is a short hash: the record, which the seal covers, has the last word.
        if record is None or record.key != key:
            return None
        vault.used(key.file_name)
        return Engine(record=record, plan=opened[1], path=vault.folder / key.file_name)


def engine_for(
    wanted: Wanted,
    here: Here,
    report: Report,
    *,
    must_keep: bool = True,
    usable: Callable[[Engine], bool] = lambda _kept: True,
) -> Engine:
    """Return the kept engine, or build and keep one; of several processes one builds at a time.

    Args:
        must_keep: whether one that cannot be kept is of no use. Otherwise there is a warning.
        usable: whether the kept engine will do; otherwise another one takes its place.

    Raises:
        ModelError: it cannot be built or kept.
    """
    with _readable(here) as vault, _turn(vault.folder / "build.lock", wanted, report):
        found = find(wanted, here)
        if found is not None and usable(found):
            return found
        engine, timings = _built(wanted, here, vault, report)
        _keep(engine, vault, report, must_keep=must_keep)
        _keep_timings(timings, _timing_name(here), vault)
        return engine


def kept(cache_dir: Path) -> Iterator[tuple[Path, Record | None]]:
    """Every engine file; None for one that this device would not load.

    Raises:
        ModelError: the folder cannot be read.
    """
    folder = cache_dir / FOLDER
    if not folder.is_dir():
        return
    with _saying(folder):
        vault = Vault(folder)
        for path in sorted(folder.glob("*.engine")):
            opened = vault.unseal(path.name)
            yield path, _record(opened[0]) if opened else None


def _record(content: bytes) -> Record | None:
    """None for what another release of visavis wrote."""
    try:
        return msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError:
        return None


def _built(wanted: Wanted, here: Here, vault: Vault, report: Report) -> tuple[Engine, bytes]:
    """A new engine, and TensorRT's timings; nothing is kept yet."""
    report(0.0, "Reading the model")
    # onnx takes 150 ms and 30 MB to import: only a build pays that.
    from visavis.engines import rewrite  # noqa: PLC0415

    key = key_of(wanted, here)
    model = _in_precision(wanted, here.trt, report)
    outputs = rewrite.output_names(model)
    if wanted.profile != ONE_PICTURE:
        model = rewrite.for_many_pictures(model)
    recipe = Recipe(
        name=key.model,
        precision=key.precision,
        profile=key.profile,
        workspace_mib=wanted.workspace_mib,
        timing_cache=(vault.unseal(_timing_name(here)) or (b"", b""))[1],
    )
    log.info("building %s in %s for %s with TensorRT %s", key.model, key.precision, key.gpu, key.tensorrt)
    built = build(here.trt, model, recipe, report)
    record = Record(key=key, outputs=outputs, layers=built.layers, took_s=built.took_s)
    return Engine(record=record, plan=built.plan, path=vault.folder / key.file_name), built.timing_cache


def _keep(engine: Engine, vault: Vault, report: Report, *, must_keep: bool) -> None:
    try:
        vault.seal(engine.path.name, msgspec.json.encode(engine.record), engine.plan)
        for gone in vault.let_go("*.engine", MOST_BYTES, engine.path.name):
            log.info(
                "engine %s was not used for longest and is removed: all take %d MB at most", gone, MOST_BYTES >> 20
            )
    except OSError as error:
        if must_keep:
            raise
        log.warning("cannot keep engine %s, %s: it is built again at every start", engine.path, error.strerror)
    else:
        report(1.0, "Kept")


def _keep_timings(timings: bytes, name: str, vault: Vault) -> None:
    """They only make the next build shorter."""
    try:
        if timings:
            vault.seal(name, b"", timings)
            vault.let_go("timing-*.cache", TIMINGS_MOST_BYTES, name)
    except OSError as error:
        log.warning("cannot keep the timings of the build, %s: the next one takes as long", error.strerror)


def _in_precision(wanted: Wanted, trt: TensorRT, report: Report) -> bytes:
    if wanted.precision == "fp32":
        return wanted.prepared.content
    from visavis.engines import forms  # noqa: PLC0415 (takes a second)

    if wanted.precision == "fp16":
        return forms.half(wanted.prepared)
    # What is not quantised is in half precision too; TensorRT 8 cannot read that, and is told by a flag.
    return forms.int8(wanted.prepared, *_frames(wanted, report), rest_in_half=major(trt) >= 10)


def _frames(wanted: Wanted, report: Report) -> tuple[list[Frame], Watch]:
    """The frames that calibrate and compare int8, and what tells of each of them when it is taken."""
    name = wanted.prepared.name
    if wanted.pictures is None:
        raise ModelError(
            f"an int8 engine of {name} is not here and cannot be built without pictures",
            f"run `{wanted.by_hand} --from-camera ID`, or with --pictures FOLDER",
        )
    from visavis.engines import int8, rewrite  # noqa: PLC0415 (takes a second)

    def told(frames: Iterable[Frame], phase: str) -> Iterator[Frame]:
        for number, frame in enumerate(frames, 1):
            if not report(0.0, f"{phase} {number}"):
                raise stopped(name)
            yield frame

    size_px = rewrite.input_size(wanted.prepared.content)
    return int8.spread(told(wanted.pictures(wanted.prepared, size_px), "Reading picture")), told


def _timing_name(here: Here) -> str:
    """Timings are a GPU's and a TensorRT's own."""
    of = f"{here.trt.__version__} {here.gpu}"
    return f"timing-{hashlib.sha256(of.encode()).hexdigest()[:16]}.cache"


@contextlib.contextmanager
def _readable(here: Here) -> Iterator[Vault]:
    folder = here.cache_dir / FOLDER
    with _saying(folder):
        yield Vault(folder)


@contextlib.contextmanager
def _saying(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = room_or(error, "set VISAVIS_CACHE_DIR to a folder of this user")
        raise ModelError(f"cannot use the engines in {folder}, {error}", remedy) from error


@contextlib.contextmanager
def _turn(path: Path, wanted: Wanted, report: Report) -> Iterator[None]:
    """Wait until no other process builds; asking again and again, so that the wait can be stopped."""
    with lock_file(path) as lock:
        while not _taken(lock):
            if not report(0.0, ELSEWHERE):
                raise stopped(wanted.prepared.name)
            time.sleep(TURN_PERIOD_S)
        yield


def _taken(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
