# SPDX-License-Identifier: Apache-2.0
"""Who gives a secret where the path of its file belongs does not find it in a message, and so in no log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from visavis.client import Device, broker_at
from visavis.errors import VisavisError
from visavis.openinference.endpoint import endpoint


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
