# SPDX-License-Identifier: Apache-2.0
"""Who the server is, who we are, and whether it serves our model: checked before a frame is sent."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from visavis.backends import load_detector
from visavis.detections import Detections, Frame
from visavis.errors import ModelError
from visavis.openinference.endpoint import ServerLost, ServerUnfit, endpoint

from tests.kserve.certificates import authority, signed_server
from tests.kserve.conftest import MODEL, Asking, asked, assert_same
from tests.kserve.servers import ROOT, KServeServer, Served

SCHEMES = pytest.mark.parametrize("scheme", ["http", "grpc"])
SECURE = pytest.mark.parametrize("scheme", ["https", "grpcs"])


@pytest.fixture
def token(tmp_path: Path, kserve: Served) -> Path:
    """The file with the token that the server wants."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    kserve.mood.write_text("token s3cret")
    return file


@SCHEMES
def test_who_brings_the_token_is_let_in(
    scheme: str, kserve: Served, token: Path, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detector = asking(kserve.url(scheme), kserve_token_file=token)
    assert_same([detector.detect(pictures[0])], found_here[:1])
    assert detector.remote_frames == 1


@SCHEMES
@pytest.mark.parametrize("content", [None, "another"])
def test_who_does_not_is_told_which_setting_to_mend(
    scheme: str, content: str | None, kserve: Served, token: Path, asking: Asking
) -> None:
    token.write_text(content or "")
    with pytest.raises(ServerUnfit, match=r"who are you.*detector\.kserve_token_file") as caught:
        asking(kserve.url(scheme), kserve_token_file=token if content else None)
    assert "another" not in str(caught.value), "the server repeats the token, and we repeat it too"


@SCHEMES
def test_a_renewed_token_is_read_without_a_restart(
    scheme: str, kserve: Served, token: Path, asking: Asking, pictures: list[Frame]
) -> None:
    detector = asking(kserve.url(scheme), kserve_token_file=token)
    token.write_text("renewed")
    kserve.mood.write_text("token renewed")
    detector.detect(pictures[0])
    assert (detector.remote_frames, detector.losses) == (1, 0)


def test_a_token_never_travels_in_clear_to_another_machine(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret")
    for url in ("http://triton:8000", "grpc://192.0.2.7:8001"):
        with pytest.raises(ServerUnfit, match=r"in clear: use https:// or grpcs://"):
            endpoint(url, MODEL, None, file).token()
    for url in ("https://triton", "grpcs://192.0.2.7", "http://127.0.0.1:8000", "grpc://[::1]:8001"):
        assert endpoint(url, MODEL, None, file).token() == "s3cret"


@pytest.mark.parametrize("content", [b"", b"two words", b"line\r\nX-Evil: 1", b"\xff"])
def test_a_file_that_holds_no_token_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ServerUnfit, match="holds no token"):
        endpoint("https://triton", MODEL, None, file).token()


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerLost, match=r"cannot read .*nothere.*kserve_token_file"):
        endpoint("https://triton", MODEL, None, tmp_path / "nothere").token()


@pytest.fixture(scope="module")
def tls(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a certificate that the authority `ours` has signed; `other` has not."""
    folder = tmp_path_factory.mktemp("tls")
    signed_server(folder, authority(folder, "ours"))
    authority(folder, "other")
    with KServeServer(folder, {MODEL: exported}, tls=folder) as server:
        yield server


@SECURE
def test_a_server_whose_authority_we_know_is_asked(
    scheme: str, tls: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detector = asking(tls.url(scheme, "localhost"), kserve_ca=tls.folder / "ours.pem")
    assert_same([detector.detect(picture) for picture in pictures], found_here)
    assert detector.remote_frames == len(pictures)


@SECURE
@pytest.mark.parametrize("known", ["other.pem", None])
def test_a_server_whose_authority_we_do_not_know_gets_no_picture(
    scheme: str, known: str | None, tls: Served, asking: Asking
) -> None:
    with pytest.raises(ServerUnfit, match=r"certificate is refused.*detector\.kserve_ca"):
        asking(tls.url(scheme, "localhost"), kserve_ca=tls.folder / known if known else None)


@SECURE
def test_a_file_without_certificates_is_named(scheme: str, asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no certificate\n")
    with pytest.raises(ServerUnfit, match=r"certificates in .*notes.*detector\.kserve_ca"):
        asking(f"{scheme}://localhost:1", kserve_ca=tmp_path / "notes")


@SECURE
def test_a_file_that_is_missing_while_it_is_renewed_costs_no_detection(
    scheme: str, asking: Asking, tmp_path: Path, pictures: list[Frame], caplog: pytest.LogCaptureFixture
) -> None:
    detector = asking(f"{scheme}://localhost:1", kserve_ca=tmp_path / "nothere")
    assert detector.detect(pictures[0]).size >= 0
    assert (detector.name, detector.losses) == ("onnxruntime", 1)
    assert "nothere, No such file or directory" in caplog.text


def test_grpc_is_loaded_only_where_it_is_used_and_its_package_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = "import sys, visavis.backends.kserve; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delitem(sys.modules, "visavis.openinference.over_grpc", raising=False)
    with pytest.raises(ServerUnfit, match=r"cannot speak grpc.*pip install grpcio"):
        load_detector(asked("grpc://localhost:8001"))


def test_the_how_tos_table_holds_what_we_say() -> None:
    page = (ROOT / "docs" / "how-to" / "triton.md").read_text().partition("## When it does not start")[2]
    said = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    folders = (ROOT / "trt-infer" / "visavis" / name for name in ("openinference", "backends"))
    sources = "\n".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    assert said
    assert [words for words in said if words.replace(" grpc", " {where.scheme}") not in sources] == []


@SCHEMES
def test_a_model_made_for_another_size_is_refused_with_what_there_is(
    scheme: str, kserve: Served, asking: Asking
) -> None:
    with pytest.raises(ServerUnfit, match=r"\[-1, 256, 320, 3\]; wanted are image UINT8 \[1, 480, 640, 3\].*--input"):
        asking(kserve.url(scheme), input_width=640, input_height=480)


@SCHEMES
def test_a_model_that_the_server_does_not_have_is_named(
    scheme: str, kserve: Served, asking: Asking, exported: Path, tmp_path: Path
) -> None:
    from visavis.models.manifest import original  # noqa: PLC0415

    file = tmp_path / "nobody.onnx"
    file.write_bytes(original(MODEL).content)
    with pytest.raises(ServerUnfit, match=r"refuses the request.*nobody"):
        asking(kserve.url(scheme), model=str(file))


def test_a_page_that_is_no_model_server_is_refused(kserve: Served, asking: Asking) -> None:
    with pytest.raises(ServerUnfit, match="refuses the request, 404"):
        asking(f"{kserve.url()}/somewhere/ëlse")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "triton:8000",
        "ftp://triton",
        "http://",
        "http://me:pw@triton",
        "http://a:b",
        "http://a..b",
        f"http://{64 * 'a'}",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ModelError, match=r"detector\.kserve_url") as caught:
        load_detector(asked(url))
    assert "pw" not in str(caught.value)
