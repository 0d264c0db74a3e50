# SPDX-License-Identifier: Apache-2.0
"""KServe's own model server with prepared models. Arguments: HTTP_PORT GRPC_PORT MOOD_FILE NAME=FILE...

The mood file is read at each request: "fail" answers with an error, "wrong" with a tensor of another shape, "many" with
a tensor of more pictures than were asked for, "token T" lets in who brings T and repeats to others what they brought.
$TEST_TLS is a folder with cert.pem and key.pem for HTTPS and gRPC.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import grpc
import kserve.protocol.grpc.server as grpc_server
import numpy as np
import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.errors import InferenceError
from kserve.model_server import app
from starlette.responses import JSONResponse

HTTP_PORT, GRPC_PORT, MOOD = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
TLS = os.environ.get("TEST_TLS")


def mood() -> list[str]:
    return MOOD.read_text().split() or ["well"]


def lets_in(authorization: str | None) -> bool:
    now = mood()
    return now[0] != "token" or authorization == f"Bearer {now[1]}"


class Prepared(Model):  # type: ignore[misc]  # no types
    """One ONNX file."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        return [declared(one, "UINT8") for one in self._session.get_inputs()]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [declared(one, "FP32") for one in self._session.get_outputs()]

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> InferResponse:
        if mood()[0] == "fail":
            raise InferenceError("out of order")
        names = [one.name for one in self._session.get_outputs()]
        found = self._session.run(names, {"image": payload.inputs[0].as_numpy()})
        if mood()[0] == "wrong":
            found[0] = found[0][..., :-1].copy()
        if mood()[0] == "many":
            found = [np.concatenate([one, one]) for one in found]
        return InferResponse(
            "",
            self.name,
            [output(name, value) for name, value in zip(names, found, strict=True)],
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


def declared(one: Any, datatype: str) -> dict[str, Any]:
    return {"name": one.name, "datatype": datatype, "shape": [s if isinstance(s, int) else -1 for s in one.shape]}


def output(name: str, value: Any) -> InferOutput:
    made = InferOutput(name, list(value.shape), "FP32")
    made.set_data_from_numpy(value)
    return made


@app.middleware("http")  # type: ignore[untyped-decorator]
async def guard(request: Any, proceed: Any) -> Any:
    if not lets_in(authorization := request.headers.get("authorization")):
        return JSONResponse({"error": f"who are you, {authorization}"}, 401)
    return await proceed(request)


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # no types
    async def intercept_service(self, proceed: Any, details: Any) -> Any:
        authorization = dict(details.invocation_metadata).get("authorization")
        if lets_in(authorization):
            return await proceed(details)

        async def refuse(_: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"who are you, {authorization}")

        return grpc.unary_unary_rpc_method_handler(refuse)


def guarded_server(*args: Any, interceptors: Any = (), make: Any = grpc.aio.server, **kwargs: Any) -> Any:
    """KServe's gRPC server has no TLS and no guard of its own: in a cluster, what stands before it has them."""
    server = make(*args, interceptors=(Guard(), *interceptors), **kwargs)
    at = f"127.0.0.1:{GRPC_PORT}"
    plain = server.add_insecure_port
    server.add_insecure_port = lambda _: server.add_secure_port(at, credentials()) if TLS else plain(at)
    return server


def credentials() -> Any:
    folder = Path(str(TLS))
    return grpc.ssl_server_credentials([((folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes())])


if __name__ == "__main__":
    grpc_server.aio.server = guarded_server
    files = {"ssl_certfile": f"{TLS}/cert.pem", "ssl_keyfile": f"{TLS}/key.pem"} if TLS else {}
    models = [Prepared(*pair.split("=", 1)) for pair in sys.argv[4:]]
    ModelServer(http_port=HTTP_PORT, grpc_port=GRPC_PORT, enable_latency_logging=False, **files).start(models)
