# SPDX-License-Identifier: Apache-2.0
"""The network that a worker needs for a model server: what the pages say, and what `visavis check` says without it."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from visavis import worker_unit
from visavis.cli import check, worker
from visavis.daemon import effective_config
from visavis.errors import ModelError
from visavis.models.imported import keep
from visavis.models.manifest import Entry, original

from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT

PAGES = [ROOT / "docs" / "how-to" / "triton.md", ROOT / "docs" / "design" / "services.md"]
FORBIDS = r"^(\w*Network\w*|IPAddress\w+|RestrictAddressFamilies|SocketBind\w+)="
KSERVE = '[detector]\nbackend = "kserve"\nkserve_url = "https://triton.example.org"\nmodel = "centerface"\n'


# Nobody by name, and without what lets root into every folder.
ORDINARY = ("unshare", "-U") if os.geteuid() == 0 else ()
ROOT_USER = ("unshare", "-m" if os.geteuid() == 0 else "-rm")
# What `visavis doctor` and `visavis check` find of a device's models: each word is a model, a precision and a folder.
LOOK = """
import json, os, sys
from pathlib import Path
from visavis import settings
from visavis.cli import check
from visavis.config_gen import Config, Detector
from visavis.doctor import model_of_device
model, precision, place = sys.argv[1:]
check.DEVICE_CONFIG = Path(place, "config.toml")
check.UNIT = Path(place)
check.SYSTEM_CACHE = settings.SYSTEM_CACHE = Path(place, "cache")
configured = Config(detector=Detector(model=model, precision=precision, backend="onnxruntime"))
found = [[one.subject, one.state, one.words, one.remedy] for one in model_of_device(configured.detector)]
print(json.dumps([*found, *check.warnings(configured, check.DEVICE_CONFIG)]))
"""


def drop_in(page: Path) -> str:
    (found,) = (block.text for block in blocks("ini", among=[page]) if "PrivateNetwork" in block.text)
    return found


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with the package's unit, configuration and cache; the folder of its drop-ins."""
    monkeypatch.setattr(check, "DEVICE_CONFIG", tmp_path / "config.toml")
    monkeypatch.setattr(check, "UNIT", ROOT / "systemd" / worker_unit.WORKER)
    monkeypatch.setattr(check, "SYSTEM_CACHE", tmp_path / "cache")
    monkeypatch.setattr(worker_unit, "DROP_INS", (tmp_path,))
    return tmp_path / f"{worker_unit.WORKER}.d"


def said(file: Path, text: str = KSERVE) -> list[str]:
    file.write_text(text)
    return list(check.warnings(effective_config(file, {}), file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_undoes_every_line_of_the_unit_that_keeps_a_worker_from_the_network(page: Path) -> None:
    unit = (ROOT / "systemd" / worker_unit.WORKER).read_text()
    undone = set(re.findall(FORBIDS, drop_in(page), re.MULTILINE))
    assert undone == set(re.findall(FORBIDS, unit, re.MULTILINE))
    assert "AF_INET" in drop_in(page)


def test_check_tells_of_a_worker_that_cannot_reach_its_server(installed: Path) -> None:
    file = installed.parent / "config.toml"
    (words,) = said(file)
    assert words.startswith(f"detector.backend: the service {worker_unit.WORKER} has no network")
    assert f"sudo systemctl edit {worker_unit.WORKER}" in words
    installed.mkdir()
    for page in PAGES:
        (installed / "override.conf").write_text(drop_in(page))
        assert said(file) == []
    (installed / "override.conf").write_text("[Service]\nPrivateNetwork=no\n")
    assert len(said(file)) == 1


def test_it_says_nothing_where_no_worker_of_the_package_needs_it(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(installed.parent / "config.toml", "") == []
    assert said(tmp_path / "other.toml") == []
    monkeypatch.setattr(check, "UNIT", tmp_path / "none")
    assert said(installed.parent / "config.toml") == []


def test_a_model_that_another_user_has_imported_is_missed_by_check(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, device = tmp_path / "own", tmp_path / "cache"
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(own))
    content = b"a network"
    entry = Entry(
        family="centerface",
        licence="own",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        input=[1, 3, 0, 0],
        outputs={},
    )
    keep("retrained", entry, content, own)
    text = '[detector]\nmodel = "retrained"\n'
    assert said(tmp_path / "other.toml", text) == []
    (words,) = said(installed.parent / "config.toml", text)
    assert words.startswith("detector.model: no model is called 'retrained'")
    assert f"look into {device}, which `sudo -u visavis-infer visavis model ...` fills" in words
    shutil.copytree(own, device)
    assert said(installed.parent / "config.toml", text) == []


@pytest.mark.parametrize(
    ("model", "precision", "missed"),
    [("centerface", "auto", 0), ("centerface", "int8", 1), ("yunet-n", "auto", 1), ("mine", "auto", 1)],
)
def test_what_workers_keep_for_themselves_is_not_missed_by_another_user(
    model: str, precision: str, missed: int, tmp_path: Path
) -> None:
    """Their unit's UMask makes these folders."""
    for kept in ("models", "originals"):
        (tmp_path / "cache" / kept).mkdir(parents=True)
        (tmp_path / "cache" / kept).chmod(0)
    found, *warnings = look(ORDINARY, tmp_path, model, precision)
    words = f"not looked at, what the device's workers keep in {tmp_path}/cache is closed to this user"
    assert found == ["model", "warn", words, "run it with sudo"]
    assert warnings == [f"detector.model: {words}: run it with sudo"] * missed


def test_doctor_and_check_say_whose_cache_a_missing_model_belongs_into(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (_, state, words, remedy), warning = look((), tmp_path, "mine", "auto")
    assert (state, words) == ("fail", "no model is called 'mine'")
    into = f"the device's workers look into {tmp_path}/cache, which `sudo -u visavis-infer visavis model ...` fills"
    assert remedy.endswith(f" or `visavis model import FILE.onnx`; {into}")
    assert warning == f"detector.model: {words}: {remedy}"


def test_a_worker_of_the_package_says_it_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "UNIT", ROOT / "systemd" / worker_unit.WORKER)
    monkeypatch.setattr(worker, "SYSTEM_CACHE", tmp_path)
    args = argparse.Namespace(name="worker-1", backend="onnxruntime", cache_dir=tmp_path)
    with pytest.raises(ModelError) as missing:
        original("mine", cache_dir=tmp_path)
    worker.told(args, missing.value)
    into = f"the device's workers look into {tmp_path}, which `sudo -u visavis-infer visavis model ...` fills"
    assert caplog.messages == [f"worker-1: model: {missing.value}; {into}"]


READ_ONLY, NO_ROOM = "Read-only file system", "No space left on device"
# What becomes of "$1", the cache in the folder "$2"; then the rest of the words is started.
DISKS = {
    "mounted read-only": ('mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"', READ_ONLY),
    "as on a flashed device, whose /var is an overlay on its disk": (
        'mount -t tmpfs disk "$2" && mkdir "$2/upper" "$2/work"'
        ' && mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$1"'
        ' && mount -o remount,ro "$2"',
        READ_ONLY,
    ),
    "without an inode": ('mount -t tmpfs -o nr_inodes=1 disk "$1"', NO_ROOM),
}
ADVICE = {READ_ONLY: "a worn card or disk must be replaced", NO_ROOM: "make room"}


@pytest.mark.parametrize("disk", DISKS)
def test_root_is_told_of_a_disk_that_takes_nothing(disk: str, tmp_path: Path) -> None:
    cache, below = tmp_path / "cache", tmp_path / "below"
    below.mkdir()
    (cache / "models").mkdir(parents=True)
    (cache / "models").chmod(0o700)
    mount, reason = DISKS[disk]
    script = f'{mount} && shift 2 && exec "$@"'
    found, model = look((*ROOT_USER, "sh", "-c", script, "sh", str(cache), str(below)), tmp_path, "centerface", "auto")
    assert found[:3] == ["cache", "warn", f"{cache}, where the device's workers keep models, takes no file, {reason}"]
    assert ADVICE[reason] in found[3]
    assert model == ["model", "warn", "centerface can be prepared but not kept", "see cache above"]


def look(as_whom: tuple[str, ...], place: Path, model: str, precision: str) -> list[Any]:
    """What is found by a user of a device's models in `place`/cache, and by `visavis check` after that."""
    environment = {name: value for name, value in os.environ.items() if name != "VISAVIS_CACHE_DIR"}
    command = [*as_whom, sys.executable, "-c", LOOK, model, precision, str(place)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found: list[Any] = json.loads(said.stdout)
    return found
