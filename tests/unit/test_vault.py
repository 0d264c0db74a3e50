# SPDX-License-Identifier: Apache-2.0
"""The secret that engines are sealed with may come from systemd; tests/tensorrt/test_cache.py has the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from visavis.engines import vault
from visavis.engines.vault import CREDENTIAL, SECRET_BYTES, Vault


def credentials(folder: Path, secret: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / CREDENTIAL).write_bytes(secret)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))


def test_a_credential_is_the_secret_and_none_is_left_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path / "given", b"x" * SECRET_BYTES, monkeypatch)
    Vault(tmp_path / "engines").seal("one", b"record", b"content")
    assert Vault(tmp_path / "engines").unseal("one") == (b"record", b"content")
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["one"]
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert Vault(tmp_path / "engines").unseal("one") is None


def test_who_may_read_the_credential_seals_by_hand_as_services_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path / "given", b"x" * SECRET_BYTES, monkeypatch)
    Vault(tmp_path / "cache").seal("a.engine", b"", b"plan")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.setattr(vault, "CREDSTORE", tmp_path / "given")
    assert Vault(tmp_path / "cache").unseal("a.engine") == (b"", b"plan")
    assert not (tmp_path / "cache" / "device.key").exists()


def test_a_service_without_that_credential_keeps_a_secret_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    Vault(tmp_path / "engines")
    assert (tmp_path / "engines" / "device.key").exists()


def test_a_short_credential_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(tmp_path / "given", b"short", monkeypatch)
    with pytest.raises(OSError, match="fewer than 32 bytes"):
        Vault(tmp_path / "engines")


def test_what_was_not_used_for_longest_is_let_go(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "engines")
    for age, name in enumerate(("newest.engine", "old.engine", "older.engine", "oldest.engine")):
        path = vault.seal(name, b"", bytes(1000))
        os.utime(path, (1e9 - age, 1e9 - age))
    vault.seal("timing.cache", b"", bytes(1000))
    assert vault.let_go("*.engine", 10_000, "newest.engine") == []
    vault.used("older.engine")
    gone = {path.name for path in vault.let_go("*.engine", 2500, "oldest.engine")}
    assert gone == {"old.engine", "newest.engine"}
    assert {path.name for path in vault.folder.iterdir()} >= {"oldest.engine", "older.engine", "timing.cache"}
