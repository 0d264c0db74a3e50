# SPDX-License-Identifier: Apache-2.0
"""The faces that a server finds are those that this machine finds, whatever the wire."""

from __future__ import annotations

import pytest
from visavis.backends.kserve import KServe
from visavis.detections import Detections, Frame
from visavis.errors import ModelError
from visavis.openinference.over_http import Http

from tests.kserve.conftest import SIZE, Asking, assert_same
from tests.kserve.servers import Served

WIRES = [(server, scheme) for server in ("kserve", "mlserver", "triton") for scheme in ("http", "grpc")]


@pytest.fixture(params=WIRES, ids="-".join)
def detector(request: pytest.FixtureRequest, asking: Asking) -> KServe:
    package, scheme = request.param
    server: Served = request.getfixturevalue(package)
    return asking(server.url(scheme))


def test_the_server_finds_the_same_faces_bit_for_bit(
    detector: KServe, pictures: list[Frame], found_here: list[Detections]
) -> None:
    assert_same([detector.detect(picture) for picture in pictures], found_here)
    assert (detector.remote_frames, detector.local_frames) == (len(pictures), 0)


def test_two_pictures_in_one_request_give_what_each_gives(
    detector: KServe, pictures: list[Frame], found_here: list[Detections]
) -> None:
    found = detector.detect_many(pictures[:2])
    assert_same(found, found_here[:2])
    assert (detector.remote_frames, detector.local_frames) == (2, 0)


def test_it_is_the_server_that_goes_by_the_name_kserve(detector: KServe) -> None:
    assert (detector.name, detector.model_id, detector.input_size) == ("kserve", "centerface", SIZE)


@pytest.mark.parametrize("package", ["kserve", "triton"])
def test_bytes_travel_behind_the_json_where_the_server_takes_them(
    package: str, request: pytest.FixtureRequest, asking: Asking
) -> None:
    wire = asking(request.getfixturevalue(package).url())._server
    assert isinstance(wire, Http)
    assert wire.binary is True


def test_numbers_travel_inside_the_json_where_it_does_not(mlserver: Served, asking: Asking) -> None:
    wire = asking(mlserver.url())._server
    assert isinstance(wire, Http)
    assert wire.binary is False


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_model_that_takes_any_size_is_refused_by_a_server_with_one_size(
    scheme: str, kserve: Served, asking: Asking
) -> None:
    with pytest.raises(ModelError, match=r"image UINT8 \[-1, 256, 320, 3\]; wanted are image UINT8 \[1, 64, 64, 3\]"):
        asking(kserve.url(scheme), input_width=0, input_height=0)


def test_one_connection_serves_all_frames(kserve: Served, asking: Asking, pictures: list[Frame]) -> None:
    detector = asking(kserve.url())
    wire = detector._server
    assert isinstance(wire, Http)
    before = wire._connection.sock.getsockname()
    for picture in pictures[:5]:
        detector.detect(picture)
        detector.detect_until(picture, 0)  # too old to be sent
    assert wire._connection.sock.getsockname() == before
