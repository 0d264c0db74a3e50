# SPDX-License-Identifier: Apache-2.0
"""The page's certificate is renewed as the how-to says, and by halves."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.brokers import self_signed
from tests.e2e.conftest import RunningAppliance, Start
from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT
from tests.waiting import HANG_S, until

PAGE = ROOT / "docs" / "how-to" / "secrets.md"
MORE = 'listen = "127.0.0.1:{http_port}"\n[mqtt]\nurl = ""\n'
# Where the programs of the page write; each gets a folder of the test's in front.
FOLDERS = r"(?<![\w/])/etc/(?=letsencrypt|credstore|visavis)"


def shown(kind: str, word: str) -> str:
    (found,) = (block.text for block in blocks(kind, among=[PAGE]) if word in block.text)
    return found


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device's folders, with a systemctl that has nothing to restart yet."""
    etc = tmp_path / "etc"
    for name in ("letsencrypt/live/porch.example.org", "letsencrypt/archive", "credstore", "visavis", "bin"):
        (etc / name).mkdir(parents=True)
    (etc / "bin" / "systemctl").symlink_to(str(shutil.which("true")))
    monkeypatch.setenv("PATH", f"{etc}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(etc / "credstore"))
    return etc


def in_place(text: str, etc: Path) -> str:
    return re.sub(FOLDERS, f"{etc}/", text)


def renew(etc: Path, number: int) -> Path:
    """What certbot does: new files in the archive, and links to them."""
    archive, live = etc / "letsencrypt" / "archive", etc / "letsencrypt" / "live" / "porch.example.org"
    self_signed(archive / f"fullchain{number}.pem", archive / f"privkey{number}.pem")
    for name in ("fullchain", "privkey"):
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(archive / f"{name}{number}.pem")
    return live / "fullchain.pem"


def run_hook(etc: Path) -> None:
    hook = etc / "hook"
    hook.write_text(in_place(shown("text", "#!/bin/sh"), etc))
    hook.chmod(0o755)
    subprocess.run([hook], check=True)


def status(appliance: RunningAppliance, trusted: ssl.SSLContext) -> dict[str, Any]:
    address = f"https://127.0.0.1:{appliance.http_port}/api/v1/status"
    with urllib.request.urlopen(address, timeout=HANG_S, context=trusted) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def fault(appliance: RunningAppliance, trusted: ssl.SSLContext) -> str:
    """What is wrong with the page's certificate, of a device that is up."""
    until(lambda: "serving" in appliance.log.read_text(), appliance.log.read_text)
    parts = {part["name"]: part.get("error", "") for part in status(appliance, trusted)["parts"]}
    return str(parts["certificate of the page"])


def test_a_renewed_pair_is_used_after_the_hook(start_appliance: Start, etc: Path) -> None:
    settings = "camera = []\n" + in_place(shown("toml", "web.key"), etc) + MORE
    for number in (1, 2):
        trusted = ssl.create_default_context(cafile=str(renew(etc, number)))
        run_hook(etc)
        appliance = start_appliance(settings)
        assert fault(appliance, trusted) == ""
        appliance.stop()
    assert (etc / "credstore" / "web.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_renewed_alone_costs_the_page_and_not_the_device(start_appliance: Start, etc: Path) -> None:
    renew(etc, 1)
    run_hook(etc)
    renew(etc, 2)
    shutil.copy(etc / "letsencrypt" / "archive" / "privkey2.pem", etc / "credstore" / "web.key")
    appliance = start_appliance("camera = []\n" + in_place(shown("toml", "web.key"), etc) + MORE)
    anybody = ssl._create_unverified_context()  # noqa: S323 - the device signs by itself
    said = fault(appliance, anybody)
    assert "cannot be used" in said, said
    assert "install web.cert and web.key of one renewal" in said, said
