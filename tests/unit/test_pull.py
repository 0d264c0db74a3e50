# SPDX-License-Identifier: Apache-2.0
"""A model is fetched from a real server, over connections that end early, and only the exact file is kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from visavis.errors import ModelError
from visavis.models import pull as fetching
from visavis.models.identify import identified
from visavis.models.manifest import Entry, pulled_path
from visavis.models.pull import pull

from tests.unit.model_files import scrfd_like

CONTENT = scrfd_like()
SIZE = len(CONTENT)


@dataclass
class Site:
    """What the server has and how it misbehaves; `asked` holds the Range of each request."""

    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    wrong_range: bool = False
    status: int = 200
    tells_length: bool = True
    length: str = ""
    meeting: threading.Barrier | None = None
    asked: list[str | None] = field(default_factory=list)
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *args: object) -> None:
        self.site = site
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.site.asked.append(wanted)
        if self.site.meeting is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.site.meeting.wait(timeout=0.3)
        start = int(re.findall(r"bytes=(\d+)-", wanted)[0]) if wanted and self.site.knows_ranges else 0
        if self.site.status != 200 or start > len(self.site.content):
            self.send_error(self.site.status if self.site.status != 200 else 416)
            return
        rest = self.site.content[start:]
        self.send_response(206 if start else 200)
        if start:
            told = start + 1 if self.site.wrong_range else start
            self.send_header("Content-Range", f"bytes {told}-{len(self.site.content) - 1}/{len(self.site.content)}")
        if self.site.tells_length:
            self.send_header("Content-Length", self.site.length or str(len(rest)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who has seen enough hangs up
            self.wfile.write(rest[: self.site.cut_after.pop(0)] if self.site.cut_after else rest)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, served)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.address = f"http://127.0.0.1:{server.server_port}/mine.onnx"
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def entry(monkeypatch: pytest.MonkeyPatch) -> Entry:
    made = msgspec.structs.replace(identified(CONTENT, Path("mine.onnx")), url="http://127.0.0.1:9/not-used")
    monkeypatch.setattr(fetching, "entries", lambda: {"mine": made})
    return made


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "originals").iterdir() if path.suffix != ".lock")


def test_a_model_is_fetched_and_progress_reaches_the_end(site: Site, tmp_path: Path, entry: Entry) -> None:
    seen: list[tuple[int, int]] = []
    path = pull("mine", tmp_path, site.address, lambda *now: seen.append(now))
    assert path == pulled_path("mine", entry, tmp_path)
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == (SIZE, SIZE)
    assert len(seen) > 3
    assert left_over(tmp_path) == [path.name]


def test_what_is_here_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    pull("mine", tmp_path, site.address)
    pull("mine", tmp_path, site.address)
    assert len(site.asked) == 1


def test_a_changed_byte_is_fetched_again(site: Site, tmp_path: Path) -> None:
    path = pull("mine", tmp_path, site.address)
    path.write_bytes(b"x" + CONTENT[1:])
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_connections_that_end_early_are_gone_on_with(site: Site, tmp_path: Path) -> None:
    site.cut_after = [100_000, 150_000]
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", "bytes=250000-"]


def test_a_later_run_goes_on_where_the_last_one_gave_up(site: Site, tmp_path: Path) -> None:
    site.cut_after = [100_000, 0, 0, 0]
    with pytest.raises(ModelError, match=f"goes on after 100000 of {SIZE} bytes"):
        pull("mine", tmp_path, site.address)
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=100000-"


def test_a_server_without_ranges_starts_again(site: Site, tmp_path: Path) -> None:
    site.cut_after, site.knows_ranges = [100_000], False
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT


def test_a_server_that_answers_another_range_is_asked_for_everything(site: Site, tmp_path: Path) -> None:
    site.cut_after, site.wrong_range = [100_000], True
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", None]


def test_a_part_that_is_longer_than_the_file_starts_again(site: Site, tmp_path: Path, entry: Entry) -> None:
    part = pulled_path("mine", entry, tmp_path).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"z" * (SIZE + 5))
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT


def test_another_file_of_the_same_length_is_refused_and_nothing_kept(site: Site, tmp_path: Path) -> None:
    site.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match=f"expected {hashlib.sha256(CONTENT).hexdigest()}"):
        pull("mine", tmp_path, site.address)
    assert left_over(tmp_path) == []


def test_a_file_without_end_is_refused_before_it_fills_the_disk(site: Site, tmp_path: Path) -> None:
    site.content, site.tells_length = CONTENT + b"\0" * 5_000_000, False
    with pytest.raises(ModelError, match=f"more than the {SIZE} bytes"):
        pull("mine", tmp_path, site.address)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", CONTENT + b"!"])
def test_an_answer_of_another_length_is_refused_and_what_came_before_is_kept(
    content: bytes, site: Site, tmp_path: Path, entry: Entry
) -> None:
    part = pulled_path("mine", entry, tmp_path).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    site.content, site.knows_ranges = content, False
    with pytest.raises(ModelError, match=f"has {len(content)} bytes, not the {SIZE}"):
        pull("mine", tmp_path, site.address)
    assert part.read_bytes() == CONTENT[:1000]


def test_a_length_that_is_none_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.length = "9" * 5_000  # more digits than Python reads
    assert pull("mine", tmp_path, site.address).read_bytes() == CONTENT


def test_an_address_of_another_kind_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"cannot fetch ftp://host/mine\.onnx, only http and https are supported: choose"
    ):
        pull("mine", tmp_path, "ftp://host/mine.onnx")


def test_the_servers_refusal_is_told(site: Site, tmp_path: Path) -> None:
    site.status = 404
    with pytest.raises(ModelError, match=r"404 Not Found.*--from"):
        pull("mine", tmp_path, site.address)
    assert len(site.asked) == 1


def test_no_server_is_an_error_that_names_the_address(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot fetch http://127\.0\.0\.1:9/not-used.*refused"):
        pull("mine", tmp_path)


def test_an_address_may_be_what_a_browser_shows(site: Site, tmp_path: Path) -> None:
    assert pull("mine", tmp_path, site.address.replace("mine", "mod\u00e8les/le mien")).read_bytes() == CONTENT


def test_what_is_no_address_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot fetch http://\[, Invalid IPv6 URL: choose another source"):
        pull("mine", tmp_path, "http://[")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://küche..example/y.onnx", "label empty or too long"),
        ("http://a..b/x", "label empty or too long"),
        (f"http://127.0.0.1:{10**20}/x", "too large"),
    ],
)
def test_an_address_that_urllib_cannot_take_is_said_too(address: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"cannot fetch {address}, .*{reason}.*: choose another source"):
        pull("mine", tmp_path, address)


def test_a_disk_without_room_is_no_fault_of_the_server(site: Site, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, before[1]))
    try:
        with pytest.raises(ModelError, match=r"cannot keep model mine in .*, File too large"):
            pull("mine", tmp_path, site.address)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(site.asked) == 1


def test_a_file_on_a_stick_will_do(tmp_path: Path) -> None:
    stick = tmp_path / "stick.onnx"
    stick.write_bytes(CONTENT)
    assert pull("mine", tmp_path, str(stick)).read_bytes() == CONTENT
    stick.write_bytes(CONTENT[1:])
    with pytest.raises(ModelError, match="is not the mine that the manifest names"):
        pull("mine", tmp_path / "other", str(stick))
    with pytest.raises(ModelError, match="No such file"):
        pull("mine", tmp_path / "other", str(tmp_path / "missing"))


def test_a_file_whose_outputs_the_manifest_does_not_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, site: Site, tmp_path: Path, entry: Entry
) -> None:
    other = msgspec.structs.replace(entry, input=[1, 3, 640, 640])
    monkeypatch.setattr(fetching, "entries", lambda: {"mine": other})
    with pytest.raises(ModelError, match=r"its input \[1, 3, 0, 0\] should be \[1, 3, 640, 640\]"):
        pull("mine", tmp_path, site.address)
    assert left_over(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "originals").write_text("in the way")
    with pytest.raises(ModelError, match="originals, File exists"):
        pull("mine", tmp_path)


def test_a_name_that_nobody_knows_is_refused_with_the_choice(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="choose from mine"):
        pull("yours", tmp_path)


def test_two_who_fetch_at_once_fetch_once(site: Site, tmp_path: Path) -> None:
    site.meeting = threading.Barrier(2)  # long enough for a second one to come, if it may
    threads = [threading.Thread(target=pull, args=("mine", tmp_path, site.address)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.asked) == 1


@pytest.mark.parametrize("planted", [".lock", ".part"])
@pytest.mark.parametrize("kind", ["a link", "a link to as much", "a pipe"])
@pytest.mark.parametrize("from_file", [False, True])
def test_a_link_in_the_place_of_a_file_leads_nowhere_and_a_pipe_holds_nobody_up(
    planted: str, kind: str, from_file: bool, site: Site, tmp_path: Path, entry: Entry
) -> None:
    """The folder is the workers', and `sudo` may have asked: what the link leads to may be anybody's."""
    victim, given = tmp_path / "victim", tmp_path / "given.onnx"
    victim.write_bytes(b"x" * (SIZE if kind == "a link to as much" else 10))
    given.write_bytes(CONTENT)
    kept = pulled_path("mine", entry, tmp_path)
    kept.parent.mkdir(parents=True)
    if kind == "a pipe":
        os.mkfifo(kept.with_suffix(planted))
    else:
        kept.with_suffix(planted).symlink_to(victim)
    before = victim.read_bytes()
    with pytest.raises(ModelError) as refused:
        pull("mine", tmp_path, str(given) if from_file else site.address)
    there = kept.with_suffix(planted)
    assert str(refused.value).endswith(f"it is no plain file: remove {there}")
    assert os.path.lexists(there)
    assert victim.read_bytes() == before
    assert len(site.asked) <= 1
