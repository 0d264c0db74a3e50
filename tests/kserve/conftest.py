# SPDX-License-Identifier: Apache-2.0
"""Servers that live as long as the session, and detectors that ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from visavis.backends import kserve as kserve_backend
from visavis.backends.kserve import KServe
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.detections import Detections, Frame
from visavis.openinference.triton import export
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings

from tests.kserve.servers import KServeServer, MLServer, Served, Triton
from tests.unit.face_pictures import all_pictures

SIZE = (320, 256)
MODEL = "centerface"
# Long enough for a machine with other work; the tests that let it pass set their own.
PATIENT_MS = 20_000

Asking = Callable[..., KServe]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as `visavis model export-triton` writes it: what the servers serve."""
    return export(MODEL, tmp_path_factory.mktemp("repository"), SIZE, 8, 500) / "1" / "model.onnx"


@pytest.fixture(scope="session")
def kserve_process(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with KServeServer(tmp_path_factory.mktemp("kserve"), {MODEL: exported}) as server:
        yield server


@pytest.fixture
def kserve(kserve_process: Served) -> Iterator[Served]:
    """KServe's model server, in a good mood; whatever a test did to it is mended afterwards."""
    yield kserve_process
    kserve_process.mood.write_text("well")
    kserve_process.thaw()


@pytest.fixture(scope="session")
def mlserver(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with MLServer(tmp_path_factory.mktemp("mlserver"), {MODEL: exported}) as server:
        yield server


@pytest.fixture(scope="session")
def triton_process(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    server = Triton(tmp_path_factory.mktemp("triton"), {MODEL: exported})
    with server:
        yield server


@pytest.fixture
def triton(triton_process: Triton) -> Iterator[Triton]:
    """NVIDIA's Triton, which answers; whatever a test did to it is mended afterwards."""
    yield triton_process
    triton_process.mood.write_text("well")


@pytest.fixture
def asking() -> Iterator[Asking]:
    """Makes detectors that ask the server at an address; `warm=False` leaves the opening to the test."""
    with ExitStack() as made:

        def make(url: str, *, warm: bool = True, **settings: Any) -> KServe:
            detector = KServe(replace(asked(url), **settings))
            made.callback(detector.close)
            if warm:
                warmed_up(detector)
            return detector

        yield make


def warmed_up(detector: KServe) -> None:
    """Also where the machine has other work: a server that is too slow to be opened would count as lost once."""
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(kserve_backend, "OPEN_MS", PATIENT_MS)
        patience.setattr(detector, "_deadline_ns", PATIENT_MS * 1_000_000)
        detector.warm_up()


def asked(url: str) -> DetectorSettings:
    """The settings of a detector that asks a server."""
    return DetectorSettings(
        model=MODEL,
        backend="kserve",
        input_width=SIZE[0],
        input_height=SIZE[1],
        kserve_url=url,
        kserve_deadline_ms=PATIENT_MS,
    )


@pytest.fixture(scope="session")
def pictures() -> list[Frame]:
    """Pictures with faces, fitted into the network's input."""
    return [letterboxed(picture, SIZE)[0] for picture in all_pictures().values()]


@pytest.fixture(scope="session")
def found_here(pictures: list[Frame]) -> list[Detections]:
    """What the local backend finds on each picture."""
    here = OnnxRuntime(replace(asked(""), backend="onnxruntime"))
    found = [here.detect(picture) for picture in pictures]
    assert sum(map(len, found)) > len(pictures) / 2, "these pictures show too few faces to compare anything"
    return found


def assert_same(found: list[Detections], wanted: list[Detections]) -> None:
    """Bit for bit."""
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
