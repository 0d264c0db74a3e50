# SPDX-License-Identifier: Apache-2.0
"""What no real server says: answers that are cut, absurd, slow on purpose, or no answers at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from google.protobuf.internal import decoder, encoder
from hypothesis import given
from hypothesis import strategies as st
from visavis.families import FAMILIES
from visavis.openinference import over_http, protobuf
from visavis.openinference.endpoint import Deadline, ServerLost, ServerUnfit, endpoint
from visavis.openinference.over_grpc import _tensors as of_grpc
from visavis.openinference.over_http import Http, _Reply
from visavis.openinference.over_http import _tensors as of_http
from visavis.openinference.tensors import Metadata, Pictures, Spec, check_fits

PICTURE: Pictures = np.zeros((1, 32, 32, 3), np.uint8)
DEADLINE_MS = 300
UNHURRIED_MS = 20_000
SIP_BYTES = 1 << 16
OUTPUT = {"name": "a", "datatype": "FP32", "shape": [2]}


@contextmanager
def saying(speak: Callable[[socket.socket], object], at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[str]:
    """The address of something that listens, and does `speak` with each connection until the block ends."""
    listener = socket.create_server(at)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIP_BYTES)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    speak(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    def speak(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        # A connection closed with something unread is reset, and the answer may be lost on the way.
        while connection.recv(1 << 20):
            pass

    return speak


def infer(url: str, limit_ms: float = UNHURRIED_MS) -> None:
    http = Http(endpoint(url, "m"), ["a"])
    http.binary = True
    try:
        http.infer(PICTURE, Deadline.after(limit_ms))
    finally:
        http.close()


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_server_that_trickles_is_left_at_the_deadline(start: bytes) -> None:
    given_up = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(start)
        # Each byte comes long before a time-out of its own would end the wait.
        while not given_up.wait(DEADLINE_MS / 20 / 1_000):
            connection.sendall(b"x")

    with saying(trickle) as url:
        with pytest.raises(ServerLost, match="did not answer in time"):
            infer(url, DEADLINE_MS)
        given_up.set()


class Asked(Deadline):
    """A deadline that counts how often someone asks what is left, and passes at the tenth time."""

    def __init__(self) -> None:
        super().__init__(0)
        self.times = 0

    def left_s(self) -> float:
        self.times += 1
        if self.times == 10:
            raise ServerLost("the tenth time")
        return 60.0


def test_a_server_that_reads_a_little_now_and_then_is_left_at_the_deadline() -> None:
    def sip(connection: socket.socket) -> None:
        while connection.recv(SIP_BYTES):
            pass

    with saying(sip) as url:
        http = Http(endpoint(url, "m"), ["a"])
        http.binary = True
        # Far more than fits on the way: it is sent in many parts, and each must ask.
        with pytest.raises(ServerLost, match="the tenth time"):
            http.infer(np.zeros((1, 8_192, 4_096, 3), np.uint8), Asked())
        http.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection to"),
        (b"hello\r\n\r\n", "the connection to"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "cut, or too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "cut, or too long"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "the connection to"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n{}", "the connection to"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "does not follow"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + b'{"outputs":[]}', "left out a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b'{"x":'.ljust(9_999, b"["), "does not follow"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait", "the server failed, 503: wait"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n\x1b[31m\nbad", r"the server failed, 500: \\x1b\[31m bad"),
    ],
)
def test_an_answer_that_is_none_is_a_loss_with_a_reason(answer: bytes, words: str) -> None:
    with saying(answering(answer)) as url, pytest.raises(ServerLost, match=words):
        infer(url)


@pytest.mark.parametrize("head", ["Transfer-Encoding: chunked\r\n\r\n-1\r\n", "\r\n"])
def test_an_answer_that_never_ends_is_read_up_to_the_limit(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "MOST_ANSWER_BYTES", 4 * SIP_BYTES)
    monkeypatch.setattr(over_http, "HEAD_BYTES", SIP_BYTES)
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head.encode())
        while sent < 4_096 * SIP_BYTES:
            sent += connection.send(bytes(SIP_BYTES))

    with saying(pour) as url, pytest.raises(ServerLost, match="cut, or too long"):
        infer(url)
    assert sent < 4_096 * SIP_BYTES, "all of it was read"


def test_a_proxy_that_hangs_up_on_the_handshake_is_a_loss() -> None:
    """As one does that has no server behind it: it closes with what it was sent unread, which resets the connection."""

    def hang_up(connection: socket.socket) -> None:
        connection.recv(10)

    with saying(hang_up) as url, pytest.raises(ServerLost, match="the connection to") as caught:
        infer(url.replace("http://", "https://"))
    assert caught.value.again


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 Busy", b"504 Late", b"429 Slow Down", b"401 Who"])
def test_a_failure_for_another_reason_says_nothing_about_bytes(status: bytes) -> None:
    with saying(answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) as url:
        http = Http(endpoint(url, "m"), ["a"])
        with pytest.raises((ServerLost, ServerUnfit)):
            http.infer(PICTURE, Deadline.after(UNHURRIED_MS))
        http.close()
    assert http.binary is None


@pytest.mark.parametrize("status", [b"301 Moved", b"307 Temporary Redirect", b"400 Bad", b"422 No"])
def test_a_redirect_or_a_refusal_is_for_a_person_to_mend(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    with saying(answering(answer)) as url, pytest.raises(ServerUnfit, match="refuses the request"):
        infer(url)


@pytest.mark.parametrize(
    ("changed", "rest"),
    [
        ({"parameters": {"binary_data_size": 8}}, b"1234"),
        ({"parameters": {"binary_data_size": 4}}, b"1234"),
        ({"parameters": {"binary_data_size": -8}}, b"1234567812345678"),
        ({"parameters": {"binary_data_size": "8"}}, b"12345678"),
        ({"parameters": {"binary_data_size": 8}, "datatype": "INT64"}, b"12345678"),
        ({"parameters": {"binary_data_size": 8}, "shape": [-1, -2]}, b"12345678"),
        ({"data": [1.0]}, b""),
        ({"data": ["x", "y"]}, b""),
        ({"data": None}, b""),
    ],
)
def test_an_output_that_is_no_tensor_is_refused(changed: dict[str, object], rest: bytes) -> None:
    head = json.dumps({"outputs": [OUTPUT | changed]}).encode()
    with pytest.raises(ServerLost, match="the server's output a"):
        of_http(_Reply(200, str(len(head)), head + rest))


def test_outputs_come_as_bytes_as_numbers_and_nested_as_each_server_likes() -> None:
    outputs = [
        OUTPUT | {"parameters": {"binary_data_size": 8}},
        OUTPUT | {"name": "b", "data": [1.5, 2]},
        OUTPUT | {"name": "c", "shape": [2, 1], "data": [[1.5], [2]]},
        OUTPUT | {"name": "d", "parameters": {"binary_data_size": 8}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    rest = np.array([1.5, 2, 3, 4], "<f4").tobytes()
    found = of_http(_Reply(200, str(len(head)), head + rest))
    assert [found[name].ravel().tolist() for name in "abcd"] == [[1.5, 2], [1.5, 2], [1.5, 2], [3, 4]]
    assert found["c"].shape == (2, 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_a_message_or_refused(message: bytes) -> None:
    with suppress(protobuf.Malformed, ServerLost, UnicodeDecodeError, TypeError, IndexError):
        of_grpc(message)


@given(st.integers(-(2**63), 2**64 - 1))
def test_numbers_are_written_as_protobuf_writes_them(value: int) -> None:
    assert protobuf.varint(value) == encoder._VarintBytes(value & (2**64 - 1))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_are_read_as_protobuf_reads_them(values: list[int]) -> None:
    packed = protobuf.numbers(3, values)
    ((number, content),) = protobuf.fields(memoryview(packed))
    assert (number, protobuf.signed([content])) == (3, values)
    length, at = decoder._DecodeVarint(packed, 1)
    assert isinstance(content, memoryview)
    assert (length, packed[at:]) == (len(content), bytes(content))


@pytest.mark.parametrize("message", [b"\x80" * 20, b"\x0a\x05abc", b"\x0b", b"\x09123"])
def test_a_message_that_is_cut_is_refused(message: bytes) -> None:
    with pytest.raises(protobuf.Malformed):
        list(protobuf.fields(memoryview(message)))


def metadata(**changed: object) -> Metadata:
    """What a server says that serves CenterFace for 64x32; `changed` replaces the first output's fields."""
    shapes = FAMILIES["centerface"].shapes(64, 32)
    outputs = [Spec(name, "FP32", [-1, *shape[1:]]) for name, shape in zip("abcd", shapes, strict=True)]
    first = {"name": "a", "datatype": "FP32", "shape": outputs[0].shape} | changed
    return Metadata([Spec("image", "UINT8", [-1, 32, 64, 3])], [Spec(**first), *outputs[1:]])  # type: ignore[arg-type]


def check(said: Metadata, size: tuple[int, int] = (64, 32), most: int = 1) -> None:
    width, height = size
    check_fits(said, FAMILIES["centerface"], "abcd", (most, height, width, 3), endpoint("http://triton", "m"))


def test_a_model_with_the_names_types_and_shapes_of_ours_fits() -> None:
    check(metadata())
    check(metadata(shape=[-1, 1, -1, -1]))
    check(metadata(shape=[1, 1, 8, 16]))


@pytest.mark.parametrize(
    "changed", [{"name": "z"}, {"datatype": "FP16"}, {"shape": [-1, 1, 8, 8]}, {"shape": [1, 8, 16]}, {"shape": []}]
)
def test_a_model_with_another_output_does_not(changed: dict[str, object]) -> None:
    with pytest.raises(ServerUnfit, match="has the outputs"):
        check(metadata(**changed))


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [Spec("image", "FP32", [-1, 32, 64, 3])],
        [Spec("image", "UINT8", [-1, 64, 32, 3])],
        [Spec("picture", "UINT8", [-1, 32, 64, 3])],
        [Spec("image", "UINT8", [-1, 32, 64, 3]), Spec("more", "FP32", [1])],
    ],
)
def test_a_model_with_another_input_does_not(inputs: list[Spec]) -> None:
    with pytest.raises(ServerUnfit, match="has the inputs"):
        check(Metadata(inputs, metadata().outputs))


def test_a_model_that_takes_one_picture_at_a_time_does_not_fit_a_batch() -> None:
    check(metadata(), most=4)
    single = metadata()
    check(Metadata([Spec("image", "UINT8", [1, 32, 64, 3])], single.outputs))
    with pytest.raises(ServerUnfit, match="wanted are image UINT8"):
        check(Metadata([Spec("image", "UINT8", [1, 32, 64, 3])], single.outputs), most=4)
    with pytest.raises(ServerUnfit, match="has the outputs"):
        check(metadata(shape=[1, 1, 8, 16]), most=4)


def test_any_size_fits_a_model_that_says_so_only() -> None:
    free = [Spec(name, "FP32", [-1, channels, -1, -1]) for name, channels in zip("abcd", (1, 2, 2, 10), strict=True)]
    check(Metadata([Spec("image", "UINT8", [-1, -1, -1, 3])], free), (0, 0))
    with pytest.raises(ServerUnfit):
        check(metadata(), (0, 0))
