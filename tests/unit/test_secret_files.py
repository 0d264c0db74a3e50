# SPDX-License-Identifier: Apache-2.0
"""Files of secrets: what they say, and that who gives a secret in place of a path finds it in no message and no log."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from visavis.client import Device, broker_at
from visavis.client.connection import _password
from visavis.errors import VisavisError
from visavis.openinference.endpoint import endpoint
from visavis.secret_files import NoSecret, secret_in

from tests.repo.test_laws import ROOT

# The daemon's tests read it, too.
EXAMPLES: list[dict[str, Any]] = json.loads((ROOT / "contracts/secret-files.json").read_text())


def password(file: Path) -> None:
    """Take the password of a user at a broker out of a file."""
    next(Device("porch", broker_at("box", user="anna", password_file=file)).faces("door"))


def token(file: Path) -> None:
    """Take the token for a model server out of a file."""
    endpoint("https://triton", "faces", None, file).token()


@pytest.mark.parametrize("read", [password, token])
@pytest.mark.parametrize("given", ["hunter2", "some/hunter2", "hunter2" * 100])
def test_what_may_be_the_secret_is_not_repeated(given: str, read: Callable[[Path], None]) -> None:
    with pytest.raises(VisavisError, match=r"cannot read .*: it is not repeated here") as refused:
        read(Path(given))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("read", [password, token])
def test_a_path_is_named(read: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VisavisError, match=f"{tmp_path}/none, No such file"):
        read(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VisavisError, match="folder, Is a directory"):
        read(Path("folder"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["hex"])
def test_a_file_says_the_same_to_all(example: dict[str, Any], tmp_path: Path) -> None:
    content, refused = bytes.fromhex(example["hex"]), "refused" in example
    with pytest.raises(NoSecret) if refused else nullcontext():
        assert secret_in(content) == example["secret"]
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(VisavisError, match=f"the password in {file} ") if refused else nullcontext():
        assert _password(file) == example["secret"]
    with pytest.raises(VisavisError, match=f"{file} holds no token") if refused else nullcontext():
        assert endpoint("https://triton", "faces", None, file).token() == example["secret"].strip()


@pytest.mark.parametrize("content", [b"\nsecret\n", b" secret \n\n", b"\tsecret"])
def test_a_token_stands_between_blanks_and_empty_lines(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert endpoint("https://triton", "faces", None, tmp_path / "file").token() == "secret"


@pytest.mark.parametrize("content", [b" \n", b"two words\n"])
def test_what_is_no_token_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(VisavisError, match="holds no token: write the token and nothing else"):
        token(tmp_path / "file")


@pytest.mark.parametrize("read", [password, token])
@pytest.mark.parametrize("content", ["secret\n".encode("utf-16"), b"caf\xe9", "secret".encode("utf-16-be")])
def test_what_an_editor_saved_otherwise_is_told_with_the_remedy(
    content: bytes, read: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(VisavisError, match=f"{tmp_path}/file .*(is not UTF-8|a zero byte): save the file as UTF-8$"):
        read(tmp_path / "file")
