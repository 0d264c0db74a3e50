# SPDX-License-Identifier: Apache-2.0
"""The Open Inference Protocol against the real appliance, spoken by NVIDIA's own tritonclient."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.clients import FAKE_WORKERS, PeakMemory, metrics, post
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import daemon_pid
from tests.e2e.test_gateway import SETTINGS, assert_pictures_add_up, crowd, photos, pixels
from tests.e2e.test_requests import PARENT, TRACE, line_of
from tests.e2e.triton import TritonClient, run_beside_tritonclient, triton_client
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.unit.command import visavis
from tests.waiting import until

MODEL = "centerface"
Infer = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def grpc_address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, grpc_address: str) -> Iterator[RunningAppliance]:
    """One appliance for all tests that leave it as it was."""
    settings = SETTINGS.replace("[gateway]\n", f'[gateway]\ngrpc_listen = "{grpc_address}"\n')
    settings = settings.replace("[web]\n", '[web]\nlog_requests = "all"\n')
    with running(tmp_path_factory.mktemp("box"), settings) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def triton() -> Iterator[TritonClient]:
    with triton_client() as client:
        yield client


@pytest.fixture(scope="module")
def ask(box: RunningAppliance, triton: TritonClient) -> Callable[..., dict[str, Any]]:
    """A call over HTTP."""
    return lambda method, **more: triton.call("http", f"127.0.0.1:{box.http_port}", method, **more)


@pytest.fixture(scope="module")
def ask_grpc(box: RunningAppliance, triton: TritonClient, grpc_address: str) -> Callable[..., dict[str, Any]]:
    """A call over gRPC."""
    return lambda method, **more: triton.call("grpc", grpc_address, method, **more)


@pytest.fixture(scope="module")
def infer_grpc(ask_grpc: Callable[..., dict[str, Any]]) -> Infer:
    """One picture over gRPC."""
    return lambda file, **more: ask_grpc("infer", **{"model": MODEL, "input": "image", "file": str(file), **more})


@pytest.fixture(scope="module")
def infer(ask: Callable[..., dict[str, Any]]) -> Infer:
    """One picture over HTTP."""
    return lambda file, **more: ask("infer", **{"model": MODEL, "input": "image", "file": str(file), **more})


def tensors_of(faces: list[dict[str, Any]]) -> dict[str, Any]:
    """The faces of POST /api/v1/detect as tensors: the same figures, in FP32."""
    shapes = {"boxes": (-1, 4), "scores": (-1,), "landmarks": (-1, 5, 2)}
    keys = {"boxes": "box", "scores": "score", "landmarks": "landmarks"}
    return {
        name: np.array([face[keys[name]] for face in faces], np.float32).reshape(shape).tolist()
        for name, shape in shapes.items()
    }


def as_base64(tmp_path: Path, picture: bytes) -> Path:
    """A file that holds what JSON holds of a picture."""
    file = tmp_path / "picture.base64"
    file.write_bytes(base64.b64encode(picture))
    return file


def as_pixels(tmp_path: Path, picture: bytes) -> Path:
    """A file of (1, H, W, 3) uint8, red first."""
    file = tmp_path / "pixels.npy"
    np.save(file, pixels(picture)[None, :, :, ::-1])
    return file


@pytest.mark.parametrize("wire", ["ask", "ask_grpc"])
def test_server_and_model_are_as_tritonclient_expects(
    box: RunningAppliance, request: pytest.FixtureRequest, wire: str
) -> None:
    ask: Callable[..., dict[str, Any]] = request.getfixturevalue(wire)
    for method in ("is_server_live", "is_server_ready"):
        assert ask(method) == {"said": True}
    for version in ("", "1"):
        assert ask("is_model_ready", arguments=[MODEL, version]) == {"said": True}
        described = ask("get_model_metadata", arguments=[MODEL, version])["said"]
        assert described["name"] == MODEL
        assert [one["name"] for one in described["inputs"]] == ["image", "pixels"]
        assert [one["name"] for one in described["outputs"]] == ["boxes", "scores", "landmarks"]
    server = ask("get_server_metadata")["said"]
    assert (server["name"], server["version"]) == ("visavis", box.status()["version"])
    unknown = ask("is_model_ready", arguments=["resnet"])
    assert unknown == {"said": False} or unknown["status"] == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("path", photos(), ids=lambda path: path.name)
def test_tensors_are_the_faces_of_detect_whatever_the_form(
    box: RunningAppliance, infer: Infer, path: Path, tmp_path: Path
) -> None:
    picture = path.read_bytes()
    expected = tensors_of(post(box, picture).json["faces"])
    assert expected["scores"]
    text = as_base64(tmp_path, picture)
    in_json = dict.fromkeys(expected, False)
    for found in (
        infer(path),
        infer(path, outputs=dict.fromkeys(expected, True)),
        infer(path, outputs=in_json),
        infer(text, binary=False),
        infer(text, binary=False, outputs=in_json),
        infer(path, more={"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}),
        infer(path, more={"request_compression_algorithm": "deflate"}),
        infer(path, more={"model_version": "1", "request_id": "shop-17", "timeout": 20_000_000}),
    ):
        assert found.get("tensors") == expected, found
    assert "'shop-17'" in found["said"]


@pytest.mark.parametrize("path", photos(), ids=lambda path: path.name)
def test_tensors_over_grpc_are_the_faces_of_detect(
    box: RunningAppliance, infer_grpc: Infer, path: Path, tmp_path: Path
) -> None:
    expected = tensors_of(post(box, path.read_bytes()).json["faces"])
    assert expected["scores"]
    for more in (
        {},
        {"outputs": dict.fromkeys(expected, True)},
        {"more": {"compression_algorithm": "gzip"}},
        {"more": {"compression_algorithm": "deflate"}},
        {"more": {"model_version": "1", "request_id": "shop-17", "parameters": {"score": 0.6}}},
    ):
        found = infer_grpc(path, **more)
        assert found.get("tensors") == expected, found
    assert "'shop-17'" in found["said"]
    file = tmp_path / "lossless.png"
    file.write_bytes(cv2.imencode(".png", pixels(path.read_bytes()))[1].tobytes())
    found = infer_grpc(as_pixels(tmp_path, path.read_bytes()), input="pixels")
    assert found["tensors"] == tensors_of(post(box, file.read_bytes(), "image/png").json["faces"])


def test_a_refusal_over_grpc_has_its_code(
    box: RunningAppliance, infer_grpc: Infer, ask_grpc: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    text = tmp_path / "no.jpg"
    text.write_bytes(b"hello")
    large = tmp_path / "large.jpg"
    large.write_bytes(photos()[0].read_bytes() + bytes(17 * 2**20))
    for found, status, words in (
        (infer_grpc(photos()[0], model="resnet"), "NOT_FOUND", "detector.model"),
        (infer_grpc(text), "INVALID_ARGUMENT", "no JPEG"),
        (infer_grpc(large), "INVALID_ARGUMENT", "gateway.picture_mb"),
        (infer_grpc(photos()[0], more={"parameters": {"scor": 1}}), "INVALID_ARGUMENT", "scor"),
        (infer_grpc(photos()[0], outputs={"scores": True}, classes=2), "INVALID_ARGUMENT", "classification"),
        (infer_grpc(photos()[0], more={"timeout": 1}), "DEADLINE_EXCEEDED", "timeout"),
        (ask_grpc("get_model_repository_index"), "UNIMPLEMENTED", "ModelInfer"),
    ):
        assert found["status"] == f"StatusCode.{status}", found
        assert words in found["refused"], found
    until(lambda: metrics(box, "visavis_client_pictures_open")[""] == 0, "a picture stays open")
    assert_pictures_add_up(box)


@pytest.mark.parametrize(("model", "status"), [(MODEL, "OK"), ("resnet", "NotFound")])
def test_a_call_over_grpc_is_found_again_in_the_log(
    box: RunningAppliance, infer_grpc: Infer, model: str, status: str
) -> None:
    request_id = f"shop:{status}"
    infer_grpc(photos()[0], model=model, headers={"x-request-id": request_id, "traceparent": f"00-{TRACE}-{PARENT}-01"})
    line = line_of(box, request_id)
    asked = f"path=/inference.GRPCInferenceService/ModelInfer status={status} client=127.0.0.1:"
    assert asked in line, line
    assert f"trace_id={TRACE} parent_id={PARENT}" in line, line


def test_a_stream_answers_each_picture_in_turn(
    box: RunningAppliance, ask_grpc: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    text = tmp_path / "no.jpg"
    text.write_bytes(b"hello")
    sent = [*photos(), text] * 10
    expected = {path: tensors_of(post(box, path.read_bytes()).json["faces"]) for path in photos()}
    before = metrics(box, "visavis_client_pictures_total")
    told = ask_grpc("stream", model=MODEL, files=[str(path) for path in sent])["told"]
    assert len(told) == len(sent)
    for number, (path, answer) in enumerate(zip(sent, told, strict=True)):
        if path == text:
            assert "no JPEG" in answer["refused"], answer
        else:
            assert answer["tensors"] == expected[path], answer
            assert f"'{number}'" in answer["said"]
    # Back-pressure: as fast as a client can send, nothing is refused because too much came.
    after = metrics(box, "visavis_client_pictures_total")
    assert {kind: after[kind] - before[kind] for kind in after if after[kind] != before[kind]} == {
        'outcome="answered"': 10 * len(photos()),
        'outcome="invalid"': 10,
    }
    until(lambda: box.status()["clients"]["streams"] == 0, "the stream stays open")
    assert_pictures_add_up(box)


def test_pixels_are_inferred_as_they_are(box: RunningAppliance, infer: Infer, tmp_path: Path) -> None:
    picture = photos()[0].read_bytes()
    small = cv2.imencode(".png", cv2.resize(pixels(picture), (160, 120), interpolation=cv2.INTER_AREA))[1].tobytes()
    for sent, forms in ((picture, (True,)), (small, (True, False))):
        file = tmp_path / "lossless.png"
        file.write_bytes(cv2.imencode(".png", pixels(sent))[1].tobytes())
        expected = tensors_of(post(box, file.read_bytes(), "image/png").json["faces"])
        assert expected["scores"]
        for binary in forms:
            found = infer(as_pixels(tmp_path, sent), input="pixels", binary=binary)
            assert found.get("tensors") == expected, found


def test_parameters_choose_score_and_size(box: RunningAppliance, infer: Infer, tmp_path: Path) -> None:
    assert infer(photos()[0], more={"parameters": {"score": 0.999}})["tensors"]["boxes"] == []
    file = tmp_path / "crowd.png"
    cv2.imwrite(str(file), crowd(20, 13, 48, 36))
    answer = infer(file, more={"parameters": {"input": "full"}})
    assert "tensors" in answer, answer
    full = answer["tensors"]
    assert full == tensors_of(post(box, file.read_bytes(), "image/png", "?input=full").json["faces"])
    assert len(full["scores"]) > len(infer(file)["tensors"]["scores"])


def test_a_refusal_reaches_the_client_in_its_own_words(infer: Infer, tmp_path: Path) -> None:
    text = tmp_path / "no.jpg"
    text.write_bytes(b"hello")
    large = tmp_path / "large.jpg"
    large.write_bytes(photos()[0].read_bytes() + bytes(17 * 2**20))
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((1, 8, 8000, 3), np.uint8))
    for found, status, words in (
        (infer(photos()[0], model="resnet"), "404", "detector.model"),
        (infer(photos()[0], more={"model_version": "2"}), "404", "version 2"),
        (infer(text), "422", "no JPEG"),
        (infer(large), "413", "gateway.picture_mb"),
        (infer(wide, input="pixels"), "422", "longer side"),
        (infer(photos()[0], more={"parameters": {"scor": 1}}), "400", "scor"),
        (infer(photos()[0], outputs={"scores": True}, classes=2), "400", "classification"),
        (infer(photos()[0], more={"parameters": {"score": 0.1}}), "400", "detector.score"),
        (infer(photos()[0], more={"sequence_id": 7}), "400", "sequence_"),
        (infer(photos()[0], outputs={"faces": True}), "400", "boxes, scores or landmarks"),
    ):
        assert status in found["status"], found
        assert words in found["refused"], found


def test_a_deadline_of_the_client_counts(box: RunningAppliance, infer: Infer) -> None:
    found = infer(photos()[0], more={"timeout": 1})
    assert found["status"] == "503", found
    assert "timeout" in found["refused"], found
    until(lambda: metrics(box, "visavis_client_pictures_open")[""] == 0, "the picture stays open")
    assert_pictures_add_up(box)


def test_requests_are_counted_and_described_like_all_others(
    box: RunningAppliance, infer: Infer, infer_grpc: Infer
) -> None:
    def answered() -> float:
        return metrics(box, "visavis_client_pictures_total")['outcome="answered"']

    before = answered()
    assert infer(photos()[0])["tensors"]["scores"]
    assert answered() == before + 1
    until(partial(asked_for, box, 'code="200",route="/v2/models/{model}/infer"'), "the request is not counted")
    assert infer_grpc(photos()[0])["tensors"]["scores"]
    assert answered() == before + 2
    until(partial(asked_for, box, 'code="OK",route="/inference.GRPCInferenceService/ModelInfer"'), "nor is the call")
    described = json.loads(box.get("/openapi.json"))["paths"]
    assert set(described["/v2/models/{model}/infer"]) == {"post"}
    assert_pictures_add_up(box)


def asked_for(box: RunningAppliance, request: str) -> bool:
    """Whether such a request is counted, which it is when its answer is out."""
    return metrics(box, "visavis_requests_total").get(request, 0) >= 1


def test_a_device_that_wants_logins_answers_only_those_who_may(
    tmp_path_factory: pytest.TempPathFactory, triton: TritonClient
) -> None:
    folder = tmp_path_factory.mktemp("locked")
    over_grpc = f"127.0.0.1:{free_port()}"
    locked = FAKE_WORKERS + '[auth]\nenabled = true\nfile = "credentials.toml"\n'
    locked += f'[gateway]\ngrpc_listen = "{over_grpc}"\ndeadline_ms = 20000\n'
    photo = str(photos()[0])
    with running(folder, locked) as appliance:
        address = f"127.0.0.1:{appliance.http_port}"

        def call(method: str, token: str = "", **more: Any) -> dict[str, Any]:
            return triton.call("http", address, method, token=token, **more)

        tokens = {role: new_token(appliance, role) for role in ("viewer", "operator")}
        assert call("is_server_ready") == {"said": True}
        assert call("is_model_ready", arguments=[MODEL]) == {"said": False}
        sent = {"model": MODEL, "input": "image", "file": photo}
        for token, status in (("", "401"), ("vis_aaaaaaaa_bbbb", "401"), (tokens["viewer"], "403")):
            found = call("infer", token, **sent)
            assert found["status"] == status, found
        for token, status in (("", "UNAUTHENTICATED"), (tokens["viewer"], "PERMISSION_DENIED")):
            found = triton.call("grpc", over_grpc, "infer", token=token, **sent)
            assert found["status"] == f"StatusCode.{status}", found
        found = triton.call("grpc", over_grpc, "infer", token=tokens["operator"], **sent)
        assert len(found["tensors"]["scores"]) == 1
        for role, words in (("viewer", "needs the role operator"), ("operator", None)):
            streamed = triton.call("grpc", over_grpc, "stream", token=tokens[role], model=MODEL, files=[photo])["told"]
            assert [words in one.get("refused", "") if words else one["tensors"] for one in streamed] == [
                words is not None or found["tensors"]
            ]
        assert call("get_model_metadata", tokens["viewer"], arguments=[MODEL])["said"]["name"] == MODEL
        assert len(call("infer", tokens["operator"], **sent)["tensors"]["scores"]) == 1


def new_token(appliance: RunningAppliance, role: str) -> str:
    """A token that `visavis auth add` makes."""
    said = visavis("auth", "add", f"a-{role}", "--role", role, "--no-camera", "--token", "--config", appliance.file)
    return next(word for word in said.stdout.split() if word.startswith("vis_"))


def test_a_packed_bomb_is_not_unpacked_beyond_the_limit(box: RunningAppliance) -> None:
    bomb = gzip.compress(bytes(200 * 2**20), 1)
    with PeakMemory(daemon_pid(box)) as memory:
        answer = post(box, bomb, "application/json", path=f"/v2/models/{MODEL}/infer", Content_Encoding="gzip")
    assert answer.status == 413, answer
    assert "gateway.picture_mb" in answer.json["error"]
    assert memory.extra < 64 * 2**20


def test_what_the_how_to_shows_works(box: RunningAppliance, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photos()[0].read_bytes())
    expected = tensors_of(post(box, photos()[0].read_bytes()).json["faces"])

    def shown(kind: str) -> str:
        text = "".join(block.text for block in blocks(kind) if block.page.name == "open-inference.md")
        return text.replace("localhost:8080", f"localhost:{box.http_port}")

    said = run_beside_tritonclient("-c", shown("python"), folder=tmp_path)
    assert said.splitlines() == [
        f"{np.array(one, np.float32)} {np.float32(score)!s}"
        for one, score in zip(expected["boxes"], expected["scores"], strict=True)
    ]
    described = subprocess.run(["bash", "-c", shown("sh")], capture_output=True, text=True, check=True).stdout
    assert json.loads(described)["name"] == MODEL
