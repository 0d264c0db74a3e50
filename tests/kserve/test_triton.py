# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's Triton itself: what it makes of our configuration, puts together, refuses, and how it dies.

That it finds the same faces is in test_faces.py. It runs the network by Python's onnxruntime, not by its own.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from visavis.detections import Detections, Frame
from visavis.models.manifest import entries, original
from visavis.openinference.endpoint import ServerUnfit
from visavis.openinference.triton import export

from tests.kserve.certificates import authority, signed_server
from tests.kserve.conftest import MODEL, PATIENT_MS, SIZE, Asking, assert_same
from tests.kserve.servers import Triton
from tests.kserve.test_loss import HURRIED_MS, SCHEMES, back
from tests.unit.model_files import original_file, provided
from tests.waiting import HANG_S, until

MOST = 8  # the batch of `exported`


def said(url: str, body: bytes | None = None) -> str:
    """What it answers to a question, or to a wish."""
    with urllib.request.urlopen(url, body, HANG_S) as answer:  # noqa: S310 (this machine)
        content: bytes = answer.read()
    return content.decode()


def waiting(triton: Triton) -> int:
    """How many requests wait for the model."""
    metrics = said(f"http://127.0.0.1:{triton.metrics_port}/metrics")
    found = re.search(r"^nv_inference_pending_request_count{.*} (\d+)", metrics, re.MULTILINE)
    assert found, metrics
    return int(found[1])


def load(triton: Triton, change: str) -> None:
    """Let it "load" or "unload" the model, as its operators do."""
    said(f"{triton.url()}/v2/repository/models/{MODEL}/{change}", b"{}")


@pytest.fixture
def one_of_each_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """What `export-triton` writes of a model of each family, as far as this machine has their files."""
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    here = {entry.family: name for name, entry in entries().items() if has_file(name)}
    written = {name: export(provided(name, tmp_path), tmp_path / "written", SIZE, 4, 500) for name in here.values()}
    return {name: place / "1" / "model.onnx" for name, place in written.items()}


def has_file(model: str) -> bool:
    try:
        return original_file(model).is_file()
    except pytest.skip.Exception:
        return False


def test_it_takes_what_is_written_for_each_family(
    one_of_each_family: dict[str, Path], tmp_path: Path, asking: Asking
) -> None:
    assert MODEL in one_of_each_family
    with Triton(tmp_path, one_of_each_family) as triton:
        for name in one_of_each_family:
            assert asking(triton.url("grpc"), model=name, batch=4).name == "kserve", name


@SCHEMES
def test_as_many_pictures_as_the_configuration_allows_travel_in_one_request(
    scheme: str, triton: Triton, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detector = asking(triton.url(scheme), batch=MOST)
    before = len(triton.ran())
    many, wanted = (2 * pictures)[:MOST], (2 * found_here)[:MOST]
    assert_same(detector.detect_many(many), wanted)
    assert (detector.remote_frames, detector.losses) == (MOST, 0)
    assert triton.ran()[before:] == [MOST]


@SCHEMES
def test_more_than_that_is_refused_with_the_setting_to_change(scheme: str, triton: Triton, asking: Asking) -> None:
    with pytest.raises(ServerUnfit, match=r"does not take 9 pictures at once.*must be <= 8.*worker\.credit.*--batch 9"):
        asking(triton.url(scheme), batch=MOST + 1)


@SCHEMES
def test_pictures_of_several_boxes_are_put_together_and_each_box_gets_its_own(
    scheme: str, triton: Triton, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detectors = [asking(triton.url(scheme)) for _ in pictures]
    before = len(triton.ran())
    triton.mood.write_text("wait")
    with ThreadPoolExecutor(len(pictures)) as boxes:
        first = boxes.submit(detectors[0].detect, pictures[0])
        until(triton.holds, "the model holds nothing")
        found = boxes.map(lambda detector, picture: detector.detect(picture), detectors[1:], pictures[1:])
        until(lambda: waiting(triton) == len(pictures) - 1, lambda: f"{waiting(triton)} requests wait")
        triton.mood.write_text("well")
        assert_same([first.result(), *found], found_here)
    assert [detector.remote_frames for detector in detectors] == [1] * len(detectors)
    ran = triton.ran()[before:]
    assert sum(ran) == len(pictures)
    assert max(ran) > 1, "each picture was inferred alone"


@SCHEMES
def test_a_model_that_it_does_not_have_is_named(scheme: str, triton: Triton, asking: Asking, tmp_path: Path) -> None:
    file = tmp_path / "nobody.onnx"
    file.write_bytes(original(MODEL).content)
    with pytest.raises(ServerUnfit, match=r"refuses the request.*unknown model: 'nobody'.*detector\.model"):
        asking(triton.url(scheme), model=str(file))


@SCHEMES
def test_a_frame_waits_for_a_busy_model_no_longer_than_the_deadline(
    scheme: str, triton: Triton, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detector = asking(triton.url(scheme), kserve_deadline_ms=HURRIED_MS)
    triton.mood.write_text("wait")
    assert_same([detector.detect(pictures[0])], found_here[:1])
    assert (detector.name, detector.losses) == ("onnxruntime", 1)
    assert "the server did not answer in time" in caplog.text
    triton.mood.write_text("well")
    back(detector)
    detector._deadline_ns = PATIENT_MS * 1_000_000
    assert_same([detector.detect(pictures[0])], found_here[:1])
    assert detector.remote_frames == 1


@pytest.fixture
def mortal(exported: Path, tmp_path: Path) -> Iterator[Triton]:
    """One to kill, with a certificate for gRPC."""
    signed_server(tmp_path, authority(tmp_path, "ours"))
    server = Triton(tmp_path, {MODEL: exported}, tls=tmp_path)
    with server:
        yield server


def test_a_server_killed_while_requests_are_under_way_costs_no_frame(
    mortal: Triton, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    urls = [mortal.url(scheme, "localhost") for scheme in ("http", "grpcs")]
    detectors = [asking(url, kserve_ca=mortal.folder / "ours.pem") for url in urls]
    mortal.mood.write_text("wait")
    with ThreadPoolExecutor(len(detectors)) as boxes:
        held = boxes.submit(detectors[0].detect, pictures[0])
        until(mortal.holds, "the model holds nothing")
        behind = boxes.submit(detectors[1].detect, pictures[0])
        until(lambda: waiting(mortal) == 1, lambda: f"{waiting(mortal)} requests wait")
        mortal.kill()
        assert_same([held.result(), behind.result()], 2 * found_here[:1])
    for url, detector in zip(urls, detectors, strict=True):
        assert (detector.name, detector.losses) == ("onnxruntime", 1)
        assert (detector.remote_frames, detector.local_frames) == (0, 1)
        assert f"{url} is lost (loss 1)" in caplog.text
    mortal.mood.write_text("well")
    mortal.start()
    for detector in detectors:
        back(detector)
        assert_same([detector.detect(pictures[0])], found_here[:1])
        assert detector.remote_frames == 1


def test_a_model_that_is_loaded_anew_costs_no_frame(
    triton: Triton, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detectors = [asking(triton.url(scheme)) for scheme in ("http", "grpc")]

    def infer_here() -> bool:
        for detector in detectors:
            assert_same([detector.detect(pictures[0])], found_here[:1])
        return [detector.name for detector in detectors] == ["onnxruntime"] * 2

    load(triton, "unload")
    until(infer_here, "the server still infers")
    assert "has no available versions" in caplog.text
    load(triton, "load")
    for detector in detectors:
        back(detector)
        before = detector.remote_frames
        assert_same([detector.detect(pictures[0])], found_here[:1])
        assert detector.remote_frames == before + 1
