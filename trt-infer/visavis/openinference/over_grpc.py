# SPDX-License-Identifier: Apache-2.0
"""The protocol over gRPC: grpcio carries the bytes of four small messages, which are written and read here."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from visavis.families.family import Floats
from visavis.openinference.endpoint import (
    Deadline,
    Endpoint,
    ServerLost,
    ServerUnfit,
    bad_certificate,
    cleaned,
    refused_token,
    too_late,
)
from visavis.openinference.protobuf import Malformed, field, fields, head, numbers, signed
from visavis.openinference.tensors import INPUT, MOST_ANSWER_BYTES, Metadata, Pictures, Spec, floats, in_order

SERVICE = "/inference.GRPCInferenceService"
OPTIONS = (
    ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
    ("grpc.enable_retries", 0),  # a frame's second attempt is ours to decide
    ("grpc.enable_http_proxy", 0),
    # Or else a fresh channel would share the waits of the one that failed.
    ("grpc.use_local_subchannel_pool", 1),
)
CODE = grpc.StatusCode
TOKEN_REFUSED = {CODE.UNAUTHENTICATED, CODE.PERMISSION_DENIED}
REFUSED = {CODE.NOT_FOUND, CODE.INVALID_ARGUMENT, CODE.UNIMPLEMENTED, CODE.FAILED_PRECONDITION, CODE.OUT_OF_RANGE}


class Grpc:
    """A server over grpc:// or grpcs://; see `visavis.openinference.tensors.Server`.

    Args:
        where: the server and its model.
        outputs: the names of the outputs that are wanted, in order.

    Raises:
        ServerUnfit: the file with certificates cannot be used.
    """

    def __init__(self, where: Endpoint, outputs: Sequence[str]) -> None:
        self._where, self._outputs = where, list(outputs)
        target = f"[{where.host}]:{where.port}" if ":" in where.host else f"{where.host}:{where.port}"
        if where.encrypted:
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(_certificates(where)), OPTIONS)
        else:
            self._channel = grpc.insecure_channel(target, OPTIONS)
        self._metadata, self._infer = (
            self._channel.unary_unary(f"{SERVICE}/{name}") for name in ("ModelMetadata", "ModelInfer")
        )

    def metadata(self, deadline: Deadline) -> Metadata:
        """See `Server.metadata`."""
        answer = self._call(self._metadata, field(1, self._where.model), deadline)
        try:
            found = _collected(answer)
            return Metadata([_spec(one) for one in found.get(4, [])], [_spec(one) for one in found.get(5, [])])
        except (Malformed, UnicodeDecodeError, TypeError) as error:
            raise ServerUnfit(f"{self._where} does not speak the Open Inference Protocol, {error}") from error

    def infer(self, pictures: Pictures, deadline: Deadline) -> list[Floats]:
        """See `Server.infer`."""
        answer = self._call(self._infer, _request(self._where.model, pictures, self._outputs), deadline)
        try:
            return in_order(_tensors(answer), self._outputs)
        except (Malformed, UnicodeDecodeError, TypeError, IndexError) as error:
            raise ServerLost(f"the server's answer does not follow the protocol, {error}") from error

    def close(self) -> None:
        """See `Server.close`."""
        self._channel.close()

    def _call(self, method: Any, request: bytes, deadline: Deadline) -> bytes:
        token = self._where.token()
        words = [("authorization", f"Bearer {token}")] if token else []
        try:
            answer: bytes = method(request, timeout=deadline.left_s(), metadata=words)
        except grpc.RpcError as error:
            raise self._meaning(error, token) from error
        return answer

    def _meaning(self, error: Any, token: str) -> ServerLost | ServerUnfit:
        code, said = error.code(), f"{error.code().name}: {error.details()}"
        words = cleaned(said.replace(token, "...") if token else said)  # careless servers repeat it
        if code == CODE.DEADLINE_EXCEEDED:
            return too_late()
        if code in TOKEN_REFUSED:
            return refused_token(words)
        if code in REFUSED:
            return ServerUnfit(
                f"the server refuses the request, {words}", "check detector.kserve_url and detector.model"
            )
        # grpcio has no other sign of it.
        if "CERTIFICATE_VERIFY_FAILED" in error.details():
            return bad_certificate(words)
        return ServerLost(f"the server at {self._where} failed, {words}", again=code == CODE.UNAVAILABLE)


def _certificates(where: Endpoint) -> bytes | None:
    """The file of `where`, else the system's: grpcio's own choice would be a list that it brings itself."""
    where.trust()  # grpcio takes any file, and then fails at each connection without a word about it
    path = where.ca or ssl.get_default_verify_paths().cafile
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise ServerUnfit(
            f"cannot read the certificates in {path}, {error.strerror}", "check detector.kserve_ca"
        ) from error


def _request(model: str, pictures: Pictures, outputs: Sequence[str]) -> bytes:
    """ModelInferRequest with the picture as raw_input_contents; the pixels are copied once."""
    said = field(1, INPUT) + field(2, "UINT8") + numbers(3, pictures.shape)
    wanted = [field(6, field(1, name)) for name in outputs]
    return b"".join([field(1, model), field(5, said), *wanted, head(7, pictures.nbytes), pictures.tobytes()])


def _tensors(answer: bytes) -> dict[str, Floats]:
    """ModelInferResponse: outputs with the raw contents beside them, or with numbers inside."""
    found = _collected(answer)
    raw = found.get(6, [])
    tensors = {}
    for position, one in enumerate(found.get(5, [])):
        said = _spec(one)
        content = raw[position] if raw else _numbers(one)
        tensors[said.name] = floats(said.name, said.datatype, said.shape, content)
    return tensors


def _numbers(output: Any) -> bytes:
    """fp32_contents (6) of contents (5): packed, or one by one."""
    contents = _collected(output).get(5, [])
    return b"".join(value for one in contents for value in _collected(one).get(6, []))


def _spec(message: Any) -> Spec:
    """TensorMetadata and InferOutputTensor begin alike: name (1), datatype (2), shape (3)."""
    found = _collected(message)
    name, datatype = (str(found.get(number, [b""])[-1], "utf-8") for number in (1, 2))
    return Spec(name, datatype, signed(found.get(3, [])))


def _collected(message: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, value in fields(memoryview(message)):
        found.setdefault(number, []).append(value)
    return found
