# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from deb import cross, rauc


def test_the_packages_name_an_address_of_their_source_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rauc, "PLACES", ("http://mirror.internal/debian",))
    for package in rauc.described(cross.UBUNTU_22, ("libc6",), Path("debian")):
        assert package.description.endswith(f"The source:\nhttps://snapshot.debian.org/package/rauc/{rauc.VERSION}/")
        assert "mirror.internal" not in package.description
