# SPDX-License-Identifier: Apache-2.0
"""`visavis detect` as a person or a script uses it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from visavis.albums import BLOCKS, anonymise
from visavis.detections import no_detections
from visavis.pictures import decode_still, letterboxed
from visavis.tiles import parts_of

from tests.unit.command import PROGRAM, complaints, visavis
from tests.unit.face_pictures import gocv_paths
from tests.unit.model_files import provided
from tests.unit.served import address_of, served

FRAMES = 12
JPEG_NOISE = 6
ODD_ADDRESSES = [
    "http://127.0.0.1:9/modèles/a.jpg",
    "http://küche..b/a.jpg",
    "http://a..b/a.jpg",
    f"http://127.0.0.1:{10**20}/a.jpg",
]


def detect(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return visavis("detect", *words)


def json_lines(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.fixture(scope="module")
def face() -> Path:
    """640x480 with one face."""
    return gocv_paths()[0]


@pytest.fixture(scope="module")
def film(face: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FRAMES frames of that face, each with other noise; the index comes first, so that half of it is half a film."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    command = ["ffmpeg", "-v", "error", "-loop", "1", "-framerate", "10", "-i", str(face), "-frames:v", str(FRAMES)]
    command += ["-vf", "scale=320:240,noise=alls=8:allf=t", "-c:v", "libx264", "-g", "1", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-movflags", "+faststart", str(path)], check=True)
    return path


def test_a_picture_shrinks_by_means_of_areas_as_the_daemons_frames_do() -> None:
    chequered = np.indices((160, 320)).sum(0) % 2 * np.uint8(255)
    small, _ = letterboxed(np.repeat(chequered[..., None], 3, 2).astype(np.uint8), (64, 32))
    assert 115 < small.min() <= small.max() < 140


@pytest.mark.parametrize(
    ("picture", "size", "inner"),
    [
        ((2487, 1450), (640, 480), (640, 373)),  # 2487 * (640 / 2487) is less than 640
        ((1837, 1578), (320, 256), (298, 256)),
        ((2487, 1450), None, (1920, 1119)),
        ((3840, 2113), None, (1920, 1057)),  # half a pixel above what 32 divides
        ((2113, 3840), None, (1057, 1920)),
        ((1000, 333), (640, 640), (640, 213)),
        ((333, 477), (640, 960), (640, 917)),
        ((1280, 333), (640, 640), (640, 167)),
    ],
)
def test_a_picture_fills_the_input_to_the_nearest_pixel_as_the_daemons_frames_do(
    picture: tuple[int, int], size: tuple[int, int] | None, inner: tuple[int, int]
) -> None:
    boxed, scales = letterboxed(np.full((picture[1], picture[0], 3), 255, np.uint8), size)
    rows, columns, _ = boxed.nonzero()
    assert (columns.max() + 1, rows.max() + 1) == inner
    assert np.multiply(picture, scales) == pytest.approx(inner), "its far corner is found where it is drawn"


def test_a_picture_is_one_line_with_its_faces(face: Path) -> None:
    answer = detect(face)
    assert answer.returncode == 0
    first, second = answer.stdout.splitlines()
    assert first == f"{face}: 1 face"
    assert re.fullmatch(r"  0\.\d\d at \[\d+\.\d, \d+\.\d, \d+\.\d, \d+\.\d\]", second)
    assert answer.stderr == ""


def test_json_says_what_the_contract_says(face: Path) -> None:
    (line,) = json_lines(detect("--json", face))
    assert list(line) == ["file", "width", "height", "model", "faces"]
    assert (line["file"], line["width"], line["height"], line["model"]) == (str(face), 640, 480, "centerface")
    (found,) = line["faces"]
    assert list(found) == ["box", "score", "landmarks"]
    assert len(found["box"]) == 4
    assert np.shape(found["landmarks"]) == (5, 2)


def test_a_model_without_landmarks_tells_and_draws_none(face: Path, tmp_path: Path) -> None:
    cache = {"VISAVIS_CACHE_DIR": str(tmp_path)}
    name = provided("ultraface-slim-320", tmp_path)
    answer = visavis("detect", face, "--json", "--model", name, "--draw", tmp_path / "drawn", variables=cache)
    (line,) = json_lines(answer)
    assert {tuple(found) for found in line["faces"]} == {("box", "score")}
    before, after = (decode_still(path.read_bytes(), "face") for path in (face, tmp_path / "drawn" / "face.jpg"))
    assert np.abs(before[:8, :8].astype(int) - after[:8, :8]).max() < 40, "a point was drawn at 0, 0"


@pytest.mark.parametrize("order", ["before", "between", "after"])
def test_options_and_files_come_in_any_order(order: str, face: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["--json", "--draw", tmp_path]
    files: list[str | Path] = [face, gocv_paths()[1]]
    words = {"before": options + files, "after": files + options, "between": [files[0], *options, files[1]]}
    answer = detect(*words[order])
    assert answer.returncode == 0, answer.stderr
    assert [line["file"] for line in json_lines(answer)] == [str(path) for path in files]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face-detect.jpg", "face.jpg"]


def test_after_two_dashes_everything_is_a_file(face: Path, tmp_path: Path) -> None:
    (tmp_path / "-a.jpg").write_bytes(face.read_bytes())
    command = [str(PROGRAM), "detect", "--json", "--", "-a.jpg"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert [line["file"] for line in json_lines(answer)] == ["-a.jpg"]


def test_a_folder_gives_its_pictures_and_videos_by_name(face: Path, film: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(film.read_bytes())
    (tmp_path / "a.jpg").write_bytes(face.read_bytes())
    (tmp_path / "notes.txt").write_text("not looked at")
    answer = detect("--json", tmp_path)
    assert answer.returncode == 0, answer.stderr
    names = [Path(line["file"]).name for line in json_lines(answer)]
    assert names == ["a.jpg"] + ["b.mp4"] * FRAMES


def test_a_folder_without_pictures_is_said(tmp_path: Path) -> None:
    answer = detect(tmp_path)
    assert answer.returncode == 1
    assert complaints(answer) == [f"visavis: folder {tmp_path} holds no picture or video that can be read"]


def test_a_video_is_one_line_and_one_picture_for_each_frame(film: Path, tmp_path: Path) -> None:
    answer = detect("--json", film, "--draw", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert [len(line["faces"]) for line in json_lines(answer)] == [1] * FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"film-{number:06d}.jpg" for number in range(FRAMES)]


def test_drawn_output_has_the_box_and_is_else_the_picture(face: Path, tmp_path: Path) -> None:
    answer = detect("--json", face, "--draw", tmp_path)
    before, after = (decode_still(path.read_bytes(), path.name).astype(int) for path in (face, tmp_path / "face.jpg"))
    x, y, width, height = (round(value) for value in json_lines(answer)[0]["faces"][0]["box"])
    middle = np.abs(before - after)[y + height // 8 : y + height // 4, x + width // 4 : x + width // 2]
    edge = after[y : y + 2, x + width // 4 : x + width // 2]
    assert middle.mean() < 5
    assert (edge[..., 1] > edge[..., 0]).mean() > 0.9, "the upper edge of the box is green"


def test_anonymised_output_hides_the_face_and_nothing_else(face: Path, tmp_path: Path) -> None:
    answer = detect("--json", face, "--anonymize", tmp_path)
    assert answer.returncode == 0, answer.stderr
    x, y, width, height = (round(value) for value in json_lines(answer)[0]["faces"][0]["box"])
    before, after = (decode_still(path.read_bytes(), path.name).astype(int) for path in (face, tmp_path / "face.jpg"))
    area = (slice(y, y + height), slice(x, x + width))
    for axis in (0, 1):
        flat = [
            (np.abs(np.diff(picture[area], axis=axis)) <= JPEG_NOISE).all(axis=2).mean() for picture in (before, after)
        ]
        assert flat[0] < 0.8, "the face itself has more in it than a few blocks"
        assert flat[1] > 1 - 1.2 * BLOCKS / (height, width)[axis], "only between blocks the colour changes"
    beside = np.ones(before.shape[:2], bool)
    beside[max(0, y - height // 5) : y + height * 6 // 5, max(0, x - width // 5) : x + width * 6 // 5] = False
    assert np.abs(before - after)[beside].mean() < 0.5


def test_small_and_large_faces_in_a_large_picture_are_all_hidden_and_told_once(face: Path, tmp_path: Path) -> None:
    """Looked at as a whole it would be a quarter as large, and most of its faces of 9 pixels, which nobody finds."""
    picture = np.full((512, 7680, 3), 90, np.uint8)
    head = decode_still(face.read_bytes(), "face")[108:424, 232:484]
    places = [(left, 40, 28, 35) for left in range(100, 7600, 500)]
    places += [(left, 300, 44, 56) for part in parts_of(7680, 512, 1920) for left in (part[1].start - 22,) if left > 0]
    places += [(2400, 80, 330, 414)]
    for left, top, wide, high in places:
        picture[top : top + high, left : left + wide] = cv2.resize(head, (wide, high), interpolation=cv2.INTER_AREA)
    large = tmp_path / "large.png"
    assert cv2.imwrite(str(large), picture)
    answer = detect("--json", large, "--anonymize", tmp_path / "out")
    hidden = decode_still((tmp_path / "out/large.jpg").read_bytes(), "hidden").astype(int)
    for left, top, wide, high in places:
        middle = (slice(top + high // 4, top + 3 * high // 4), slice(left + wide // 4, left + 3 * wide // 4))
        change = np.abs(picture[middle] - hidden[middle]).mean()
        assert change > 8, f"the face of {wide}x{high} at {left}, {top} is plain"
    assert len(json_lines(answer)[0]["faces"]) == len(places)


def test_a_face_that_the_edge_cuts_is_hidden_as_coarsely_as_a_whole_one() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (400, 600, 3), np.uint8)
    found = no_detections(2)
    for face, left in zip(found, (-160, 300), strict=True):
        face["x1"], face["y1"], face["x2"], face["y2"] = left, 100, left + 255, 291
    hidden = anonymise(picture, found)
    for begin, end in ((0, 146), (249, 600)):
        row = hidden[200, begin:end].astype(int)
        changes = np.flatnonzero(np.diff(row, axis=0).any(axis=1)) + 1
        assert np.diff([0, *changes, end - begin]).min() >= 357 // BLOCKS, "of the longer side of what is hidden"


def test_a_score_that_tells_of_no_face_hides_it_all_the_same(face: Path, tmp_path: Path) -> None:
    for folder, score in (("usual", "0.5"), ("strict", "1")):
        answer = detect("--json", face, "--anonymize", tmp_path / folder, "--score", score)
        assert len(json_lines(answer)[0]["faces"]) == (folder == "usual")
    assert (tmp_path / "usual/face.jpg").read_bytes() == (tmp_path / "strict/face.jpg").read_bytes()


def test_two_pictures_of_one_name_become_two_files(face: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes(face.read_bytes())
    assert detect(tmp_path / "a", tmp_path / "b", "--draw", tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x-2.jpg", "x.jpg"]


def test_a_given_picture_is_never_overwritten(face: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jpg"
    mine.write_bytes(face.read_bytes())
    answer = detect(mine, "--anonymize", tmp_path)
    assert answer.returncode == 1
    assert complaints(answer) == [f"visavis: {mine} would overwrite a picture that was given: choose another folder"]
    assert mine.read_bytes() == face.read_bytes()


@pytest.mark.parametrize(("width", "height"), [(66_000, 10), (10, 66_000)])
def test_a_picture_too_long_for_a_jpeg_is_named_and_the_others_are_done(
    width: int, height: int, face: Path, tmp_path: Path
) -> None:
    long, out = tmp_path / "long.png", tmp_path / "out"
    assert cv2.imwrite(str(long), np.zeros((height, width, 3), np.uint8))
    answer = detect(long, face, "--draw", out)
    assert answer.returncode == 1
    reason = f"{width}x{height} is too long for a JPEG, of which a side has at most 65500 pixels"
    assert complaints(answer) == [
        f"visavis: {long}: cannot write {out / 'long.jpg'}, {reason}: make the picture smaller"
    ]
    assert [path.name for path in out.iterdir()] == ["face.jpg"]


def test_draw_and_anonymize_into_one_folder_is_wrong_use(face: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for spelling in (tmp_path, tmp_path / "none" / "..", tmp_path / "link"):
        answer = detect(face, "--draw", tmp_path, "--anonymize", spelling)
        assert answer.returncode == 2
        assert complaints(answer) == ["visavis: --draw and --anonymize need a folder each"]
    assert [file.name for file in tmp_path.iterdir()] == ["link"]


def test_what_was_written_before_stays_when_the_disk_is_full(face: Path, tmp_path: Path) -> None:
    old = tmp_path / "face.jpg"
    old.write_bytes(b"of yesterday")
    # Room for 4 KiB in a file: less than any drawn picture, as on a full disk.
    answer = visavis("detect", face, "--draw", tmp_path, before=("prlimit", "--fsize=4096"))
    assert answer.returncode == 1
    assert complaints(answer) == [f"visavis: {face}: cannot write {old}, File too large"]
    assert old.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [old]


def vast_video(folder: Path) -> bytes:
    """One black frame."""
    file = folder / "vast.avi"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=size=16000x2560:rate=1:duration=1", "-c:v", "mjpeg"]
    subprocess.run([*command, str(file)], check=True)
    return file.read_bytes()


def bad_files(face: Path, film: Path, folder: Path) -> dict[str, tuple[bytes, str]]:
    """Name -> content and what is said about it."""
    picture, video = face.read_bytes(), film.read_bytes()
    middle = len(video) // 2
    noise = np.random.default_rng(1).integers(0, 256, 4000, np.uint8).tobytes()
    lost = "cannot read video {}: it is damaged, cut off, or no video that FFmpeg knows"
    huge = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d49484452000186a0000186a00802000000")
    return {
        "text.jpg": (b"no picture at all", "{} is not a JPEG, PNG, WebP or BMP picture"),
        "cut.jpg": (picture[: len(picture) // 2], "{} is damaged"),
        "huge.png": (huge, "{} has 100000x100000 pixels: the limit is 40 million"),
        "noise.mp4": (noise, lost),
        "headless.mp4": (video[middle:], lost),
        "vast.avi": (vast_video(folder), "{} has 16000x2560 pixels: the limit is 40 million"),
        "cut.mp4": (video[:middle], r"{} ends after frame \d of 12: it is damaged or cut off"),
    }


def test_bad_files_are_named_with_their_reason_and_the_others_are_done(face: Path, film: Path, tmp_path: Path) -> None:
    bad = bad_files(face, film, tmp_path)
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    names = [*bad, "missing.png"]
    answer = detect("--json", *(tmp_path / name for name in names), face, "--draw", out)
    lines = json_lines(answer)
    errors = {Path(line["file"]).name: line["error"] for line in lines if "error" in line}
    assert answer.returncode == 1
    assert list(errors) == names
    for name, (_, words) in bad.items():
        assert re.fullmatch(words.replace("{}", re.escape(str(tmp_path / name))), errors[name])
    assert errors["missing.png"] == f"cannot read {tmp_path / 'missing.png'}, No such file or directory"
    assert len(lines[-1]["faces"]) == 1, "the good picture came last and was done"
    assert answer.stderr == ""
    written = {path.name for path in out.iterdir()}
    assert {name for name in written if not name.startswith("cut-")} == {"face.jpg"}
    assert all(decode_still(path.read_bytes(), path.name) is not None for path in out.iterdir())


def test_the_bar_counts_frames_of_videos_not_files(face: Path, film: Path) -> None:
    code, seen = on_a_terminal("detect", str(film), str(face))
    assert code == 0, seen
    assert f"{FRAMES + 1}/{FRAMES + 1}" in seen, seen
    assert "frame/s" in seen


def test_the_bar_ends_full_after_a_cut_off_video_too(face: Path, film: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    content = film.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    code, seen = on_a_terminal("detect", str(cut), str(face))
    assert code == 1, seen
    assert "cut.mp4 ends after frame" in seen
    assert f"{FRAMES + 1}/{FRAMES + 1}" in seen, seen


def on_a_terminal(*words: str) -> tuple[int, str]:
    """Exit code, and what the program writes to stderr when that is a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [str(PROGRAM), *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return process.returncode, seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: the other end is closed
        return b""


def test_a_reader_that_has_enough_is_no_traceback(film: Path) -> None:
    command = f"{PROGRAM} detect --json {film} | head -n 1"
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 (a pipe)
    assert len(answer.stdout.splitlines()) == 1
    assert answer.stderr == ""


def test_an_address_may_be_what_a_browser_shows(face: Path) -> None:
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_response(200)
        request.end_headers()
        request.wfile.write(face.read_bytes())

    with served(answer) as server:
        shown = f"{address_of(server)}/T\u00fcr%20und Tor.jpg?an=K\u00fcche"
        told = detect(shown, "--json")
    assert (told.returncode, told.stderr, json.loads(told.stdout)["file"]) == (0, "", shown)
    assert asked == ["/T%C3%BCr%20und%20Tor.jpg?an=K%C3%BCche"]


def test_an_address_without_a_picture_is_named_with_its_reason() -> None:
    def babble(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4_096)
            connection.sendall(b"no answer of HTTP\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.jpg"
        threading.Thread(target=babble, args=(server,)).start()
        answer = detect(address, "http://[", "http://a host/a.jpg", *ODD_ADDRESSES)
    assert answer.returncode == 1
    refused, malformed, spaced, *odd = complaints(answer)
    assert refused == f"visavis: cannot read {address}, no answer of HTTP"
    assert malformed == "visavis: cannot read http://[, Invalid IPv6 URL"
    assert spaced.startswith("visavis: cannot read http://a host/a.jpg, ")
    for address, words in zip(ODD_ADDRESSES, odd, strict=True):
        assert words.startswith(f"visavis: cannot read {address}, ")
