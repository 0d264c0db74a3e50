# SPDX-License-Identifier: Apache-2.0
"""What `visavis check` tells root of files that the users of the package's services may not read."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from visavis import service_users, worker_unit
from visavis.cli import check
from visavis.daemon import daemon_program, effective_config

from tests.repo.test_laws import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can run programs as another user")
NOBODY = "nobody"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a device's configuration, whose services run as nobody, who may enter it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv("VISAVIS_CAPTURE", str(shutil.copy(daemon_program(), name)))
        monkeypatch.setattr(check, "DEVICE_CONFIG", folder / "config.toml")
        monkeypatch.setattr(check, "UNIT", ROOT / "systemd" / worker_unit.WORKER)
        monkeypatch.setattr(check, "SYSTEM_CACHE", folder / "cache")
        monkeypatch.setattr(worker_unit, "DROP_INS", (folder / "units",))
        for constant, value in {
            "UNIT": ROOT / "systemd" / worker_unit.WORKER,
            "DAEMON_UNIT": ROOT / "systemd" / "visavis-capture.service",
            "DAEMON": NOBODY,
            "WORKERS": NOBODY,
            "SYSTEM_CACHE": folder / "cache",
            "CREDENTIALS": folder / "credentials.toml",
        }.items():
            monkeypatch.setattr(service_users, constant, value)
        yield folder


def said(folder: Path, text: str) -> list[str]:
    file = folder / "config.toml"
    file.write_text(text)
    return list(check.warnings(effective_config(file, {}), file))


def put(path: Path, mode: int, text: str = "some text\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_that_root_alone_may_read_is_named_with_its_setting_and_what_helps(device: Path) -> None:
    key = put(device / "web.key", 0o600)
    put(device / "web.pem", 0o644)
    text = '[web]\ncert = "web.pem"\nkey = "web.key"\n'
    (words,) = said(device, text)
    assert f"config.toml:3: web.key: {key} cannot be read: permission denied" in words
    assert words.startswith(f"{NOBODY}, whom the daemon runs as: ")
    assert "`sudo chgrp nogroup FILE`" in words
    shutil.chown(key, group=pwd.getpwnam(NOBODY).pw_gid)
    key.chmod(0o640)
    assert said(device, text) == []


def test_a_folder_that_it_may_not_enter_and_settings_that_it_may_not_read_are_named(device: Path) -> None:
    put(device / "closed" / "ca.pem", 0o644)
    (device / "closed").chmod(0o700)
    put(device / "conf.d" / "broker.toml", 0o600, '[mqtt]\nuser = "porch"\n')
    first, second = said(device, '[mqtt]\nurl = "mqtts://broker.example"\nca = "closed/ca.pem"\n')
    assert "conf.d/broker.toml: cannot be read: permission denied" in first
    assert "config.toml:3: mqtt.ca: " in second


def test_what_systemd_hands_over_is_not_asked_for(device: Path) -> None:
    put(device / "secrets" / "mqtt.password", 0o600)
    file = put(device / "config.toml", 0o644, '[mqtt]\nuser = "porch"\npassword_file = "credential:mqtt.password"\n')
    settings = effective_config(file, {"CREDENTIALS_DIRECTORY": str(device / "secrets")})
    assert list(check.warnings(settings, file)) == []


def test_a_group_that_a_drop_in_of_the_unit_adds_counts(device: Path) -> None:
    shutil.chown(put(device / "ca.pem", 0o640), group="adm")
    text = '[mqtt]\nurl = "mqtts://broker.example"\nca = "ca.pem"\n'
    assert len(said(device, text)) == 1
    added = "[Service]\nSupplementaryGroups=adm\n"
    put(device / "units" / "visavis-capture.service.d" / "group.conf", 0o644, added)
    assert said(device, text) == []


def test_logins_clips_and_models_are_asked_for_too(device: Path) -> None:
    settings = {
        "auth.file": put(device / "credentials.toml", 0o600),
        "camera[0].source": put(device / "clip.mp4", 0o600),
        "detector.model": put(device / "cache" / "originals" / "centerface-1.onnx", 0o600),
    }
    text = '[auth]\n[[camera]]\nid = "clip"\nsource = "file:clip.mp4"\n'
    for words, (setting, file) in zip(said(device, text), settings.items(), strict=True):
        assert words.startswith(setting)
        assert f"{NOBODY} may not read {file}: `sudo chown {NOBODY} FILE`" in words
    for file in settings.values():
        shutil.chown(file, NOBODY)
    assert said(device, text) == []


def test_only_the_device_s_own_configuration_is_asked_about(device: Path) -> None:
    put(device / "ca.pem", 0o600)
    copy = put(device / "draft" / "config.toml", 0o600, f'[mqtt]\nurl = "mqtts://b.example"\nca = "{device}/ca.pem"\n')
    assert list(check.warnings(effective_config(copy, {}), copy)) == []
