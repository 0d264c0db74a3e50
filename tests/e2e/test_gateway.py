# SPDX-License-Identifier: Apache-2.0
"""Pictures that clients post to the real appliance: the faces of `visavis detect`, and an answer to everything."""

from __future__ import annotations

import base64
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from visavis.detections import Frame
from visavis.pictures import decode_still

from tests.e2e.bombs import black, png
from tests.e2e.clients import ALONE, Answer, PeakMemory, post, values
from tests.e2e.conftest import RunningAppliance, Start, running
from tests.e2e.test_appliance import daemon_pid, schema
from tests.repo.pages import blocks
from tests.unit.command import visavis
from tests.unit.face_pictures import LABELLED, gocv_paths
from tests.unit.test_bad_cache import changed_package
from tests.waiting import until

SETTINGS = (
    ALONE
    + """
[gateway]
deadline_ms = 20000
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
fps = 5
"""
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """One appliance for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("gateway"), SETTINGS) as appliance:
        yield appliance


def photos() -> list[Path]:
    return gocv_paths()


def pixels(picture: bytes) -> Frame:
    return decode_still(picture, "a picture of this test")


def iou(a: list[float], b: list[float]) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def assert_same_faces(found: list[dict[str, Any]], expected: list[dict[str, Any]], least_iou: float = 0.9) -> None:
    assert len(found) == len(expected), (found, expected)
    for face in expected:
        twin = max(found, key=lambda one: iou(one["box"], face["box"]))
        assert iou(twin["box"], face["box"]) >= least_iou, (twin, face)
        assert twin["score"] == pytest.approx(face["score"], abs=0.02)
        assert np.allclose(twin["landmarks"], face["landmarks"], atol=0.05 * face["box"][2])


def by_command(path: Path) -> list[dict[str, Any]]:
    answer = visavis("detect", "--json", "--input", "640x480", path)
    faces: list[dict[str, Any]] = json.loads(answer.stdout)["faces"]
    return faces


def encoded(path: Path, kind: str, *options: int) -> bytes:
    return cv2.imencode(kind, pixels(path.read_bytes()), list(options))[1].tobytes()


def turned(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with EXIF's orientation in front of it."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


@pytest.mark.parametrize("path", [*photos(), *sorted(LABELLED.glob("*.jpg"))], ids=lambda path: path.name)
def test_the_faces_are_those_of_visavis_detect(gateway: RunningAppliance, path: Path) -> None:
    answer = post(gateway, path.read_bytes())
    assert answer.status == 200, answer
    jsonschema.validate(answer.json, schema("detected"))
    assert answer.json["faces"]
    assert_same_faces(answer.json["faces"], by_command(path))
    stages = answer.json["latency_ms"]
    total = stages.pop("total")
    assert sum(stages.values()) == pytest.approx(total, abs=0.01)
    assert total / 1000 <= answer.took_s


def test_every_format_gives_the_same_faces(gateway: RunningAppliance) -> None:
    path = photos()[0]
    expected = post(gateway, path.read_bytes()).json["faces"]
    wrapped = json.dumps({"image": base64.b64encode(path.read_bytes()).decode(), "score": 0.5}).encode()
    for answer in (
        post(gateway, encoded(path, ".png"), "image/png"),
        post(gateway, encoded(path, ".webp"), "image/webp"),
        post(gateway, encoded(path, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        post(gateway, wrapped, "application/json"),
    ):
        assert answer.status == 200, answer
        assert_same_faces(answer.json["faces"], expected, 0.95)


def test_a_large_photo_is_decoded_smaller_and_its_faces_are_in_its_own_pixels(gateway: RunningAppliance) -> None:
    path = photos()[0]
    large = cv2.resize(pixels(path.read_bytes()), None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    answer = post(gateway, cv2.imencode(".jpg", large)[1].tobytes())
    assert (answer.json["width"], answer.json["height"]) == (large.shape[1], large.shape[0])
    expected = post(gateway, path.read_bytes()).json["faces"]
    faces = answer.json["faces"]
    for face in faces:
        face["box"] = [side / 8 for side in face["box"]]
        face["landmarks"] = [[x / 8, y / 8] for x, y in face["landmarks"]]
    assert_same_faces(faces, expected)


def test_a_large_photo_may_end_anywhere(gateway: RunningAppliance) -> None:
    """Decoded at 1/8 it ends in whole pixels, which reach beyond its edge where its sides are no multiples of 8."""
    scene = np.zeros((3848, 5128, 3), np.uint8)
    people = crowd(3, 2, 600, 700)
    scene[-people.shape[0] :, -people.shape[1] :] = people
    whole = post(gateway, cv2.imencode(".jpg", scene)[1].tobytes()).json["faces"]
    cut = post(gateway, cv2.imencode(".jpg", scene[:-7, :-7])[1].tobytes()).json["faces"]
    assert len(whole) == len(cut) == 6
    twins = [(face, max(cut, key=lambda one: iou(one["box"], face["box"]))) for face in whole]
    moved = np.mean([np.subtract(twin["landmarks"], face["landmarks"]).mean(0) for face, twin in twins], axis=0)
    assert np.abs(moved).max() < 2, f"by {moved} pixels"


def crowd(columns: int, rows: int, width: int, height: int) -> Frame:
    """A picture of many pictures with a face each."""
    one = cv2.resize(pixels(photos()[0].read_bytes()), (width, height), interpolation=cv2.INTER_AREA)
    return np.tile(one, (rows, columns, 1))


def test_a_picture_in_its_own_size_has_the_faces_of_visavis_detect(gateway: RunningAppliance, tmp_path: Path) -> None:
    file = tmp_path / "crowd.png"
    cv2.imwrite(str(file), crowd(20, 13, 48, 36))
    expected = json.loads(visavis("detect", "--json", file).stdout)["faces"]
    assert len(expected) > len(post(gateway, file.read_bytes(), "image/png").json["faces"]), "they are not small"
    answer = post(gateway, file.read_bytes(), "image/png", "?input=full")
    assert answer.status == 200, answer
    jsonschema.validate(answer.json, schema("detected"))
    assert (answer.json["width"], answer.json["height"]) == (960, 468)
    assert_same_faces(answer.json["faces"], expected)
    hidden = post(gateway, file.read_bytes(), "image/png", "?input=full&anonymize=1")
    assert (hidden.status, hidden.headers["Content-Type"]) == (200, "image/jpeg")
    assert_pictures_add_up(gateway)


def test_a_picture_larger_than_the_longest_side_is_drawn_smaller(gateway: RunningAppliance, tmp_path: Path) -> None:
    file = tmp_path / "wide.png"
    cv2.imwrite(str(file), crowd(7, 1, 320, 240))
    answer = post(gateway, file.read_bytes(), "image/png", "?input=full")
    assert (answer.json["width"], answer.json["height"]) == (2240, 240)
    assert_same_faces(answer.json["faces"], json.loads(visavis("detect", "--json", file).stdout)["faces"])


def test_boxes_are_in_the_upright_picture(gateway: RunningAppliance) -> None:
    upright = pixels(photos()[0].read_bytes())
    lying = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    answer = post(gateway, turned(lying, 6))
    assert (answer.json["width"], answer.json["height"]) == (upright.shape[1], upright.shape[0])
    assert_same_faces(answer.json["faces"], post(gateway, photos()[0].read_bytes()).json["faces"])


def test_the_picture_comes_back_drawn_or_anonymised(gateway: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    faces = post(gateway, picture).json["faces"]
    original = pixels(picture).astype(np.int16)
    x, y, wide, high = (int(side) for side in faces[0]["box"])
    changed = {}
    for name, answer in {
        "drawn": post(gateway, picture, Accept="image/jpeg"),
        "hidden": post(gateway, picture, query="?anonymize=1"),
    }.items():
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
        shown = pixels(answer.body)
        assert shown.shape == original.shape
        changed[name] = np.abs(shown - original).mean(axis=2)
    inside = (slice(y + 8, y + high - 8), slice(x + 8, x + wide - 8))
    assert changed["hidden"][inside].mean() > 4 * changed["drawn"][inside].mean()
    assert changed["drawn"][y, x + 8 : x + wide - 8].mean() > 30, "there is no box"
    assert changed["hidden"][:20, :20].mean() < 5, "a corner without a face is changed"


def test_a_score_that_tells_of_no_face_hides_it_all_the_same(gateway: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    strict = json.dumps({"image": base64.b64encode(picture).decode(), "score": 1}).encode()
    assert post(gateway, strict, "application/json").json["faces"] == []
    usual, hidden = (
        post(gateway, body, kind, "?anonymize=1")
        for body, kind in ((picture, "image/jpeg"), (strict, "application/json"))
    )
    assert usual.status == hidden.status == 200
    assert usual.body == hidden.body


def test_a_picture_that_comes_back_takes_no_more_memory_than_decoding_may(gateway: RunningAppliance) -> None:
    picture = png(4000, 4000, black(4000, 4000))  # decode_mb has no room for its pixels twice
    with PeakMemory(daemon_pid(gateway)) as memory:
        answers = [post(gateway, picture, "image/png", "?anonymize=1") for _ in range(3)]
    assert [one.status for one in answers] == [200] * 3
    assert pixels(answers[0].body).shape == (4000, 4000, 3)
    assert memory.extra < (48 + 16) * 2**20


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    jsonschema.validate(answer.json, schema("problem"))
    assert answer.json["status"] == status
    assert answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "query", "status", "words"),
    [
        (b"{", "application/json", "", 400, "base64"),
        (b'{"picture": ""}', "application/json", "", 400, "picture"),
        (b'{"score": 0.5}', "application/json", "", 400, "no image in it"),
        (b'{"image": "", "score": 2}', "application/json", "", 400, "from 0 to 1"),
        (b'{"image": "", "score": 0.1}', "application/json", "", 422, "no JPEG"),
        (b'{"image": "/9j/"}', "application/json", "", 422, "header"),
        (b"", "image/jpeg", "", 422, "Content-Type"),
        (b"", "image/jpeg", "?anonymize=maybe", 400, "0 or 1"),
        (b"", "image/jpeg", "?input=640", 400, "detector.input"),
        (b"GIF89a", "image/gif", "", 415, "image/webp"),
        (b"x=1", "application/x-www-form-urlencoded", "", 415, "image/jpeg"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(
    gateway: RunningAppliance, body: bytes, content_type: str, query: str, status: int, words: str
) -> None:
    answer = post(gateway, body, content_type, query)
    assert_problem(answer, status)
    assert words in answer.json["detail"]


def test_a_score_that_workers_do_not_report_is_refused(gateway: RunningAppliance) -> None:
    wrapped = {"image": base64.b64encode(photos()[0].read_bytes()).decode(), "score": 0.3}
    answer = post(gateway, json.dumps(wrapped).encode(), "application/json")
    assert_problem(answer, 400)
    assert "detector.score" in answer.json["detail"]
    strict = post(gateway, json.dumps(wrapped | {"score": 0.999}).encode(), "application/json")
    assert strict.json["faces"] == []


def test_other_methods_and_other_sites_are_refused(gateway: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    assert post(gateway, picture, Origin="http://evil.example").status == 403
    assert post(gateway, picture, Host="evil.example").status == 421
    assert not gateway.answers("/api/v1/detect")
    described = json.loads(gateway.get("/openapi.json"))["paths"]["/api/v1/detect"]
    assert set(described) == {"post"}


def test_answers_are_as_the_description_says(gateway: RunningAppliance) -> None:
    document = json.loads(gateway.get("/openapi.json"))
    operations = [(path, verbs["get"]) for path, verbs in document["paths"].items() if "get" in verbs]
    checked = set()
    for path, operation in operations:
        if described := operation["responses"].get("200", {}).get("content", {}).get("application/json"):
            answered = json.loads(gateway.get(path.format(id="demo", model="centerface", version="1")))
            jsonschema.validate(answered, described["schema"] | {"components": document["components"]})
            checked.add(path)
    wanted = {"/api/v1/status", "/api/v1/cameras", "/api/v1/cameras/{id}", "/api/v1/events", "/v2/models/{model}"}
    assert checked >= wanted, checked


def test_without_a_worker_the_answer_is_503_at_once(
    start_appliance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(changed_package(tmp_path)))  # with a model that no worker takes
    appliance = start_appliance(SETTINGS)
    until(lambda: appliance.answers("/healthz"), "the daemon does not answer")
    answer = post(appliance, photos()[0].read_bytes())
    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1


def test_clients_that_go_away_leave_nothing_behind(gateway: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    head = (
        f"POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(picture)}\r\n\r\n"
    ).encode()
    for sent in [head, head + picture[:999], head + picture] * 8:
        with socket.create_connection(("127.0.0.1", gateway.http_port)) as client:
            client.sendall(sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: nobody_is_there(gateway), "a place is lost")
    assert post(gateway, picture).status == 200
    assert_pictures_add_up(gateway)


def nobody_is_there(appliance: RunningAppliance) -> bool:
    """Whether no client's picture has a place or waits for one."""
    text = appliance.get("/metrics").decode()
    return not any(values(text, f"visavis_client_{name}")[""] for name in ("places_busy", "pictures_waiting"))


def assert_pictures_add_up(appliance: RunningAppliance) -> None:
    """Every picture that was drawn into the ring has ended in exactly one way."""

    def settled() -> str:
        text = appliance.get("/metrics").decode()
        return "" if values(text, "visavis_client_frames_in_flight")[""] else text

    text = until(settled, "pictures stay in the ring")
    fates = values(text, "visavis_client_frames_total")
    assert values(text, "visavis_client_frames_taken_total")[""] == sum(fates.values()), fates
    assert fates['fate="superseded"'] == fates['fate="no_slot"'] == 0


def how_to(kind: str) -> str:
    return "".join(block.text for block in blocks(kind) if block.page.name == "gateway.md")


def test_what_the_how_to_shows_works(gateway: RunningAppliance, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photos()[0].read_bytes())
    here = f"localhost:{gateway.http_port}"
    script = "set -e\n" + how_to("sh").replace("localhost:8080", here)
    said = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    jsonschema.validate(json.loads(said.stdout), schema("detected"))
    for name in ("drawn.jpg", "hidden.jpg"):
        assert pixels((tmp_path / name).read_bytes()).shape == pixels((tmp_path / "photo.jpg").read_bytes()).shape
    code = how_to("python").replace("localhost:8080", here)
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert [line.split()[0] for line in said.stdout.splitlines()] == ["0", "1", "2"]
    shown = json.loads(how_to("json"))
    jsonschema.validate(shown, schema("detected"))
    stages = shown["latency_ms"]
    assert stages["total"] == pytest.approx(sum(value for stage, value in stages.items() if stage != "total"))
