# SPDX-License-Identifier: Apache-2.0
"""Engines on disk: found when they are exactly what is wanted, else built again and never loaded."""

from __future__ import annotations

import errno
import logging
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from visavis.engines import cache
from visavis.engines.builder import Built, Recipe
from visavis.engines.cache import Engine, Here, Wanted, engine_for, find, kept
from visavis.engines.key import Gpu, Profile
from visavis.engines.progress import Report
from visavis.engines.vault import MAGIC, SECRET_BYTES, Vault
from visavis.errors import ModelError

from tests.tensorrt import core
from tests.tensorrt.models import prepared_tiny

ORIN = Gpu("Orin", (8, 7))
TINY = Wanted(prepared=prepared_tiny(), precision="fp32")


class Builds:
    """A report that counts how many builds came to their end, and notes what they said."""

    def __init__(self) -> None:
        self.count = 0
        self.phases: list[str] = []

    def __call__(self, fraction: float, phase: str) -> bool:
        self.phases.append(phase)
        self.count += fraction == 1.0 and phase == "Kept"
        return True


@pytest.fixture
def here(trt: Any, tmp_path: Path) -> Here:
    return Here(trt=trt, gpu=ORIN, cache_dir=tmp_path)


@pytest.fixture
def engine(here: Here) -> Engine:
    return engine_for(TINY, here, Builds())


def test_an_engine_is_built_once_and_found_afterwards(here: Here) -> None:
    builds = Builds()
    assert find(TINY, here) is None
    first = engine_for(TINY, here, builds)
    again = engine_for(TINY, here, builds)
    assert builds.count == 1
    assert again.plan == first.plan
    assert again.record.outputs == ["heat"]
    assert builds.phases[0] == "Reading the model", "what comes before TensorRT's first word takes long in int8"
    assert again.path.parent == here.cache_dir / "engines"


def test_engines_that_nobody_uses_any_more_make_room(
    here: Here, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 1)
    newer = engine_for(replace(TINY, precision="fp16"), here, Builds())
    assert newer.path.exists(), "the one that was just built"
    assert not engine.path.exists()


@pytest.mark.parametrize(
    "other",
    [
        replace(TINY, prepared=prepared_tiny(channels=5)),
        replace(TINY, precision="fp16"),
        replace(TINY, profile=Profile(1, 2, 4)),
    ],
    ids=["model", "precision", "profile"],
)
def test_another_wish_is_another_engine(here: Here, engine: Engine, other: Wanted) -> None:
    assert find(other, here) is None
    assert engine_for(other, here, Builds()).path != engine.path
    assert find(TINY, here) is not None


@pytest.mark.parametrize("gpu", [Gpu("Thor", (8, 7)), Gpu("Orin", (11, 0))], ids=["name", "capability"])
def test_an_engine_of_another_gpu_is_not_found(here: Here, engine: Engine, gpu: Gpu) -> None:
    assert engine.path.exists()
    assert find(TINY, replace(here, gpu=gpu)) is None


def test_a_build_is_told_how_much_memory_it_may_take(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int | None] = []

    def refuse(_trt: Any, _model: bytes, recipe: Recipe, _report: Report) -> Built:
        told.append(recipe.workspace_mib)
        raise ModelError("not now")

    monkeypatch.setattr(cache, "build", refuse)
    with pytest.raises(ModelError, match="not now"):
        engine_for(replace(TINY, workspace_mib=7), here, Builds())
    assert told == [7]


class OtherVersion:
    """The real module, but a day older."""

    def __init__(self, trt: Any) -> None:
        self._trt = trt
        self.__version__ = "11.4.0.105"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trt, name)


def test_an_engine_of_another_tensorrt_is_built_again(here: Here, engine: Engine) -> None:
    older = replace(here, trt=OtherVersion(here.trt))
    assert find(TINY, older) is None
    built = engine_for(TINY, older, Builds())
    assert built.record.key.tensorrt == "11.4.0.105"
    assert built.path != engine.path


def test_a_renamed_engine_is_not_what_its_name_says(here: Here, engine: Engine) -> None:
    other = engine_for(replace(TINY, precision="fp16"), here, Builds())
    other.path.replace(engine.path)
    assert find(TINY, here) is None


def test_one_changed_byte_anywhere_and_it_is_built_again(here: Here, engine: Engine) -> None:
    sound = engine.path.read_bytes()
    for at in (0, len(MAGIC), len(MAGIC) + 32, len(MAGIC) + 40, len(sound) // 2, len(sound) - 1):
        changed = bytearray(sound)
        changed[at] ^= 1
        engine.path.write_bytes(changed)
        assert find(TINY, here) is None, f"byte {at} was changed"
    builds = Builds()
    assert engine_for(TINY, here, builds).plan
    assert builds.count == 1


@pytest.mark.parametrize("length", [0, 1, len(MAGIC), len(MAGIC) + 32, 500])
def test_a_shortened_engine_is_not_loaded(here: Here, engine: Engine, length: int) -> None:
    engine.path.write_bytes(engine.path.read_bytes()[:length])
    assert find(TINY, here) is None


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_at_all_are_believed(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, begun: bool) -> None:
    vault = Vault(tmp_path_factory.getbasetemp() / "vault")
    (vault.folder / "x").write_bytes(MAGIC * begun + rubbish)
    assert vault.unseal("x") is None


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_what_was_sealed_comes_back(tmp_path_factory: pytest.TempPathFactory, record: bytes, content: bytes) -> None:
    vault = Vault(tmp_path_factory.getbasetemp() / "vault")
    vault.seal("y", record, content)
    assert vault.unseal("y") == (record, content)


def test_an_engine_of_another_device_is_not_loaded(here: Here, engine: Engine, tmp_path: Path) -> None:
    elsewhere = replace(here, cache_dir=tmp_path / "other")
    theirs = engine_for(TINY, elsewhere, Builds())
    engine.path.write_bytes(theirs.path.read_bytes())
    assert find(TINY, here) is None
    assert find(TINY, elsewhere) is not None


def test_the_secret_is_this_users_alone(here: Here, engine: Engine) -> None:
    secret = engine.path.parent / "device.key"
    assert len(secret.read_bytes()) == SECRET_BYTES
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path.name for path in secret.parent.glob("device.*")] == ["device.key"]


@pytest.mark.parametrize("harm", ["readable", "short"])
def test_a_secret_that_is_none_any_more_is_replaced(
    here: Here, engine: Engine, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = engine.path.parent / "device.key"
    before = secret.read_bytes()
    if harm == "readable":
        secret.chmod(0o644)
    else:
        secret.write_bytes(before[:-1])
    with caplog.at_level(logging.WARNING):
        assert find(TINY, here) is None
    assert "a new one is made" in caplog.text
    assert secret.read_bytes() != before
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_timing_cache_is_kept_beside_and_sealed_too(here: Here, engine: Engine) -> None:
    (timing,) = engine.path.parent.glob("timing-*.cache")
    assert Vault(timing.parent).unseal(timing.name)
    timing.write_bytes(b"rubbish")
    assert engine_for(replace(TINY, precision="fp16"), here, Builds()).plan


def test_timings_of_another_tensorrt_make_room(here: Here, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "TIMINGS_MOST_BYTES", 1)
    (before,) = here.cache_dir.rglob("timing-*.cache")
    engine_for(TINY, replace(here, gpu=Gpu("Another", (8, 7))), Builds())
    (after,) = here.cache_dir.rglob("timing-*.cache")
    assert after.name != before.name


def test_the_engine_is_kept_before_the_timings_and_without_them(
    here: Here, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sealed, seal = list[str](), Vault.seal

    def full_at_the_second(vault: Vault, name: str, record: bytes, content: bytes) -> Path:
        sealed.append(name)
        if len(sealed) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return seal(vault, name, record, content)

    monkeypatch.setattr(Vault, "seal", full_at_the_second)
    engine = engine_for(TINY, here, Builds())
    assert sealed[0] == engine.path.name
    assert find(TINY, here) is not None
    assert "cannot keep the timings of the build, No space left on device" in caplog.text


def test_every_engine_is_listed_also_the_ones_that_would_not_be_loaded(here: Here, engine: Engine) -> None:
    (engine.path.parent / "stranger.engine").write_bytes(b"from the internet")
    listed = dict(kept(here.cache_dir))
    assert listed[engine.path] == engine.record
    assert listed[engine.path.parent / "stranger.engine"] is None


def test_a_folder_that_cannot_be_used_is_named(here: Here) -> None:
    (here.cache_dir / "engines").write_text("a file")
    with pytest.raises(ModelError, match=r"cannot use the engines in .*VISAVIS_CACHE_DIR"):
        find(TINY, here)


def test_int8_without_pictures_says_where_they_go(here: Here) -> None:
    with pytest.raises(ModelError, match="--pictures FOLDER"):
        engine_for(replace(TINY, precision="int8"), here, Builds())


# Builds the engine of `TINY` in the cache folder argv[1]; prints a line when the build has come to the writing.
SLOW_WRITER = """
import sys, time
from pathlib import Path
import tensorrt
from tests.tensorrt.test_cache import ORIN, TINY
from visavis.engines.cache import Here, engine_for
from visavis import atomic as files
def slow_fsync(handle, fsync=files.os.fsync):
    print("writing", flush=True)
    time.sleep(60)
files.os.fsync = slow_fsync
engine_for(TINY, Here(trt=tensorrt, gpu=ORIN, cache_dir=Path(sys.argv[1])), lambda fraction, phase: True)
"""


def test_a_build_that_is_killed_leaves_nothing_that_is_loaded(here: Here) -> None:
    environment = core.environment()
    command = [sys.executable, "-c", SLOW_WRITER, str(here.cache_dir)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    folder = here.cache_dir / "engines"
    assert list(folder.glob(".*")), "it was killed before it began to write: the test proves nothing"
    assert not list(folder.glob("*.engine"))
    assert find(TINY, here) is None
    assert engine_for(TINY, here, Builds()).plan
    assert not list(folder.glob(".*")), "the rest of the killed one is still there"


def test_a_build_that_is_killed_at_any_moment_leaves_nothing_that_is_loaded(here: Here, real_core: None) -> None:
    environment = core.environment()
    program = SLOW_WRITER.replace("files.os.fsync = slow_fsync", "print('begun', flush=True)")
    for after_ms in (0, 20, 60, 120):
        command = [sys.executable, "-c", program, str(here.cache_dir)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            time.sleep(after_ms / 1_000)
            process.kill()
        for path, record in kept(here.cache_dir):
            assert record is not None, f"{path} is half written"
            path.unlink()
    assert engine_for(TINY, here, Builds()).plan
