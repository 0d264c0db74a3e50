# SPDX-License-Identifier: Apache-2.0
"""A server that goes away, or answers badly, costs no frame: this machine infers until it is back."""

from __future__ import annotations

import gc
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from visavis.backends.kserve import KServe
from visavis.detections import Detections, Frame
from visavis.errors import DetectorError
from visavis.openinference import over_http

from tests.kserve.conftest import MODEL, Asking, assert_same, warmed_up
from tests.kserve.servers import KServeServer, Served
from tests.kserve.test_wires import saying
from tests.no_threads import no_threads
from tests.waiting import until

SCHEMES = pytest.mark.parametrize("scheme", ["http", "grpc"])
HURRIED_MS = 1_000
BACK_LIMIT_S = 60
SENSELESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"


def back(detector: KServe) -> None:
    """Wait until the server infers again."""
    until(lambda: detector.name == "kserve", lambda: f"{detector.losses} losses", BACK_LIMIT_S)


@pytest.fixture(scope="module")
def mortal(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that these tests kill; each leaves it running. It takes seconds to start: both wires share a death."""
    with KServeServer(tmp_path_factory.mktemp("mortal"), {MODEL: exported}) as server:
        yield server


def test_a_killed_server_costs_no_frame_and_is_used_again_when_it_is_back(
    mortal: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detectors = {url: asking(url) for url in (mortal.url("http"), mortal.url("grpc"))}
    for detector in detectors.values():
        assert_same([detector.detect(pictures[0])], found_here[:1])
    mortal.kill()
    for url, detector in detectors.items():
        assert_same([detector.detect(picture) for picture in pictures], found_here)
        assert (detector.name, detector.losses) == ("onnxruntime", 1)
        assert (detector.remote_frames, detector.local_frames) == (1, len(pictures))
        assert f"{url} is lost (loss 1)" in caplog.text
    mortal.start()
    for url, detector in detectors.items():
        back(detector)
        assert_same([detector.detect(picture) for picture in pictures], found_here)
        assert (detector.remote_frames, detector.local_frames) == (1 + len(pictures), len(pictures))
        assert re.search(rf"{url} answers again after .* s; {len(pictures)} frames were inferred here", caplog.text)


def test_a_kept_connection_that_the_server_closed_is_made_again_for_the_same_frame(
    mortal: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    http, grpc = asking(mortal.url("http")), asking(mortal.url("grpc"))
    mortal.kill()
    mortal.start()
    for detector in (http, grpc):
        assert_same([detector.detect(pictures[0])], found_here[:1])
        assert (detector.remote_frames, detector.losses) == (1, 0)
    # A channel of gRPC may notice by itself.
    assert (http.second_attempts, grpc.second_attempts) in {(1, 0), (1, 1)}


def test_a_server_that_is_not_there_at_the_start_is_used_when_it_comes(
    mortal: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    mortal.kill()
    detectors = asking(mortal.url("http")), asking(mortal.url("grpc"))
    for detector in detectors:
        assert_same([detector.detect(pictures[0])], found_here[:1])
        assert (detector.name, detector.local_frames) == ("onnxruntime", 1)
    mortal.start()
    for detector in detectors:
        back(detector)
        assert_same([detector.detect(pictures[0])], found_here[:1])
        assert detector.remote_frames == 1


@SCHEMES
def test_a_frame_waits_for_a_frozen_server_no_longer_than_the_deadline(
    scheme: str, kserve: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detector = asking(kserve.url(scheme), kserve_deadline_ms=HURRIED_MS)
    kserve.freeze()
    # The server is frozen while this returns, and the frame would have an hour: only the deadline can end the wait.
    an_hour_ns = time.monotonic_ns() + 3_600 * 10**9
    assert_same([detector.detect_until(picture, an_hour_ns) for picture in pictures], found_here)
    assert (detector.name, detector.losses, detector.second_attempts) == ("onnxruntime", 1, 0)
    assert "the server did not answer in time" in caplog.text
    kserve.thaw()
    back(detector)


@SCHEMES
def test_a_server_that_is_lost_while_no_thread_is_free_is_sought_and_costs_no_frame(
    scheme: str, kserve: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detector = asking(kserve.url(scheme))
    with no_threads():
        kserve.mood.write_text("fail")
        assert_same([detector.detect(picture) for picture in pictures], found_here)
        assert (detector.name, detector.losses) == ("onnxruntime", 1)
        kserve.mood.write_text("well")
    back(detector)


@SCHEMES
@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("fail", "out of order"),
        ("wrong", "does not fit"),
        ("many", "answered 2 of 1 pictures"),
        ("token secret", "check the token in detector.kserve_token_file"),
    ],
)
def test_a_server_that_answers_badly_is_left_until_it_answers_well(
    scheme: str, mood: str, words: str, *, kserve: Served, asking: Asking, pictures: list[Frame],
    found_here: list[Detections], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detector = asking(kserve.url(scheme))
    kserve.mood.write_text(mood)
    assert_same([detector.detect(picture) for picture in pictures], found_here)
    assert (detector.name, detector.losses, detector.remote_frames) == ("onnxruntime", 1, 0)
    assert words in caplog.text
    kserve.mood.write_text("well")
    back(detector)


class Relay:
    """Stands before the server and passes everything on, or answers what no server should."""

    def __init__(self, server: Served) -> None:
        self.senseless, self.answered = False, 0
        self._server = server

    def speak(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._server.http_port)) as upstream:
            while True:
                for ready in select.select([connection, upstream], [], [])[0]:
                    if not (said := ready.recv(1 << 20)):
                        return
                    if self.senseless:
                        connection.sendall(SENSELESS)
                        self.answered += 1
                        return
                    (upstream if ready is connection else connection).sendall(said)


@pytest.fixture
def relay(kserve: Served) -> Iterator[tuple[Relay, str]]:
    """A relay before the server, and its address."""
    made = Relay(kserve)
    with saying(made.speak) as url:
        yield made, url


def test_an_answer_that_makes_no_sense_is_a_loss_and_the_server_is_used_again(
    relay: tuple[Relay, str], asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    between, url = relay
    detector = asking(url)
    assert_same([detector.detect(pictures[0])], found_here[:1])
    between.senseless = True
    assert_same([detector.detect(picture) for picture in pictures], found_here)
    assert (detector.name, detector.losses, detector.remote_frames) == ("onnxruntime", 1, 1)
    # Twice for the frame; what comes then has the thread asked that seeks the server.
    until(lambda: between.answered >= 4, lambda: f"{between.answered} answers", BACK_LIMIT_S)
    between.senseless = False
    back(detector)
    assert_same([detector.detect(pictures[0])], found_here[:1])


def test_a_server_that_makes_no_sense_at_the_start_is_used_when_it_does(
    relay: tuple[Relay, str], asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    between, url = relay
    between.senseless = True
    detector = asking(url)
    assert_same([detector.detect(picture) for picture in pictures], found_here)
    assert (detector.name, detector.losses) == ("onnxruntime", 1)
    between.senseless = False
    back(detector)
    assert_same([detector.detect(pictures[0])], found_here[:1])


@pytest.mark.parametrize("warm", [True, False])
def test_what_nobody_thought_of_is_a_loss_too(
    warm: bool, kserve: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detector = asking(kserve.url(), warm=warm)
    tries: list[object] = []

    def surprise(response: object) -> None:
        tries.append(response)
        raise RuntimeError("who would have thought")

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(over_http, "_content", surprise)
        if not warm:
            warmed_up(detector)
        assert_same([detector.detect(picture) for picture in pictures], found_here)
        assert (detector.name, detector.losses) == ("onnxruntime", 1)
        assert "makes no sense, RuntimeError who would have thought; onnxruntime infers here" in caplog.text
        # The first was the loss; the others are of the thread that seeks.
        until(lambda: len(tries) >= 3, lambda: f"{len(tries)} tries", BACK_LIMIT_S)
    back(detector)


@SCHEMES
def test_an_old_frame_is_inferred_here_and_the_server_is_not_blamed(
    scheme: str, kserve: Served, asking: Asking, pictures: list[Frame], found_here: list[Detections]
) -> None:
    detector = asking(kserve.url(scheme))
    kserve.freeze()
    for limit_ns in (0, time.monotonic_ns() + detector._local_ns + 50_000_000):
        assert_same([detector.detect_until(pictures[0], limit_ns)], found_here[:1])
    assert (detector.name, detector.losses, detector.local_frames) == ("kserve", 0, 2)
    kserve.thaw()


@pytest.mark.parametrize(("frames", "local_s"), [(1, 30), (4, 6)])
def test_a_device_too_slow_for_the_lease_still_asks_the_server(
    frames: int, local_s: int, *, kserve: Served, asking: Asking, pictures: list[Frame],
    found_here: list[Detections], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    detector = asking(kserve.url(), batch=frames)
    for _ in range(2):
        detector._local_ns = local_s * 10**9
        found = detector.detect_many(pictures[:frames], time.monotonic_ns() + 20 * 10**9)
        assert_same(found, found_here[:frames])
    assert (detector.remote_frames, detector.local_frames) == (2 * frames, 0)
    assert caplog.text.count("raise worker.lease_ms, lower worker.credit or choose a smaller detector.input") == 1
    detector.detect_until(pictures[0], 0)
    assert detector._local_ns < local_s * 0.9e9  # a sample of its own


@pytest.mark.parametrize(("local_s", "frames"), [(3.0, 1), (1.1, 2)])
def test_a_device_too_slow_for_a_whole_deadline_notices_a_frozen_server(
    local_s: float, frames: int, *, kserve: Served, asking: Asking, pictures: list[Frame]
) -> None:
    detector = asking(kserve.url())
    detector._deadline_ns = 1_000_000_000  # to open a server in that time is too much for a busy machine
    kserve.freeze()
    for number in range(frames):
        assert (detector.losses, detector.local_frames) == (0, number)
        detector._local_ns = int(local_s * 1e9)
        detector.detect_until(pictures[0], time.monotonic_ns() + 2 * 10**9)
    assert (detector.name, detector.losses) == ("onnxruntime", 1)


@SCHEMES
def test_a_frame_of_another_size_is_an_error_of_that_frame_and_no_loss(
    scheme: str, kserve: Served, asking: Asking
) -> None:
    detector = asking(kserve.url(scheme))
    with pytest.raises(DetectorError, match="cannot infer a picture of shape"):
        detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert (detector.name, detector.losses) == ("kserve", 0)


@SCHEMES
def test_no_view_of_a_picture_is_kept_when_the_server_fails(
    scheme: str, kserve: Served, asking: Asking, pictures: list[Frame]
) -> None:
    detector = asking(kserve.url(scheme))
    frame = pictures[0].copy()
    kserve.mood.write_text("fail")
    holders = sys.getrefcount(frame)
    found = detector.detect(frame)
    gc.collect()
    assert detector.losses == 1
    assert sys.getrefcount(frame) == holders
    assert not np.shares_memory(found, frame)
