# SPDX-License-Identifier: Apache-2.0
"""The keys of Ubuntu's archive, from an archive that gives something else: nothing of it is unpacked or kept."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deb import kept, pinned, ubuntu


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose package of keys is another."""
    (tmp_path / "keys.deb").write_bytes(b"keys of somebody else")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys.deb"
        server.shutdown()


def test_a_package_with_another_sum_is_refused(archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ubuntu, "PACKAGE", archive)
    monkeypatch.setattr(kept, "CACHE", tmp_path / "cache")
    with pytest.raises(pinned.PinnedError, match=f"has the sum [0-9a-f]{{64}}, not {ubuntu.SHA256}"):
        ubuntu.keyring()
    assert list((tmp_path / "cache").iterdir()) == []


def test_debian_needs_no_other_keys() -> None:
    assert ubuntu.options("trixie") == []
