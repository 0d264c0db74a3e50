# SPDX-License-Identifier: Apache-2.0
"""What tritonclient does, one call a line: JSON in, JSON out. It runs beside tritonclient's packages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

WIRES = {"http": tritonclient.http, "grpc": tritonclient.grpc}


class Caller:
    """One client on one wire."""

    def __init__(self, wire: str, address: str, token: str, certificate: str) -> None:
        self._wire, self._module = wire, WIRES[wire]
        name = "authorization" if wire == "grpc" else "Authorization"
        self._headers = {name: f"Bearer {token}"} if token else {}
        secure: dict[str, Any] = {}
        if certificate and wire == "grpc":
            secure = {"ssl": True, "root_certificates": certificate}
        elif certificate:
            secure = {"ssl": True, "ssl_options": {"ca_certs": certificate}}
        self._client = self._module.InferenceServerClient(address, **secure)

    def ask(self, method: str, *arguments: str) -> Any:
        """What a method about server or model says."""
        more = {"as_json": True} if self._wire == "grpc" and "metadata" in method else {}
        return getattr(self._client, method)(*arguments, headers=self._headers, **more)

    def infer(self, call: dict[str, Any]) -> dict[str, Any]:
        """Send one picture: the tensors that come back, by name."""
        tensor, datatype = read(call)
        given = self._module.InferInput(call["input"], list(tensor.shape), datatype)
        wanted, output = call.get("outputs", {}), self._module.InferRequestedOutput
        classes = {"class_count": call.get("classes", 0)}
        if self._wire == "grpc":
            given.set_data_from_numpy(tensor)
            outputs = [output(name, **classes) for name in wanted]
        else:
            given.set_data_from_numpy(tensor, binary_data=call.get("binary", True))
            outputs = [output(name, binary_data=binary, **classes) for name, binary in wanted.items()]
        more = call.get("more", {})
        headers = {**self._headers, **call.get("headers", {})}
        found = self._client.infer(call["model"], [given], outputs=outputs or None, headers=headers, **more)
        return self._tensors(found)

    def stream(self, call: dict[str, Any]) -> dict[str, Any]:
        """Send pictures over one stream, each as soon as the client takes it: what came back, in that order."""
        told: list[dict[str, Any]] = []

        def came(result: Any, error: Any) -> None:
            told.append({"refused": error.message()} if error else self._tensors(result))

        self._client.start_stream(came, headers=self._headers)
        for number, file in enumerate(call["files"]):
            picture = self._module.InferInput("image", [1], "BYTES")
            picture.set_data_from_numpy(np.array([Path(file).read_bytes()], dtype=np.object_))
            try:
                self._client.async_stream_infer(call["model"], [picture], request_id=str(number))
            except InferenceServerException:
                break  # it was refused so soon that nothing more can be sent: `came` hears why
        self._client.stop_stream()  # waits for the answers
        return {"told": told}

    def _tensors(self, found: Any) -> dict[str, Any]:
        response = found.get_response()
        listed = response.outputs if self._wire == "grpc" else response["outputs"]
        names = [one.name if self._wire == "grpc" else one["name"] for one in listed]
        said = {"model": response.model_name, "id": response.id} if self._wire == "grpc" else response
        return {"tensors": {name: found.as_numpy(name).tolist() for name in names}, "said": str(said)}


def read(call: dict[str, Any]) -> tuple[np.ndarray[Any, Any], str]:
    """The input of a call, from its file."""
    if call["input"] == "pixels":
        return np.load(call["file"]), "UINT8"
    return np.array([Path(call["file"]).read_bytes()], dtype=np.object_), "BYTES"


def answer(callers: dict[tuple[str, ...], Caller], call: dict[str, Any]) -> dict[str, Any]:
    """Do one call; a refusal is an answer too."""
    key = (call["wire"], call["address"], call.get("token", ""), call.get("certificate", ""))
    try:
        if key not in callers:
            callers[key] = Caller(*key)
        if call["method"] in ("infer", "stream"):
            found: dict[str, Any] = getattr(callers[key], call["method"])(call)
            return found
        return {"said": callers[key].ask(call["method"], *call.get("arguments", []))}
    except InferenceServerException as refused:
        return {"refused": refused.message(), "status": str(refused.status())}


def main() -> None:
    """Answer each line until there are no more."""
    callers: dict[tuple[str, ...], Caller] = {}
    for line in sys.stdin:
        print(json.dumps(answer(callers, json.loads(line))), flush=True)


main()
