# SPDX-License-Identifier: Apache-2.0
"""How much memory is said to be free, and what is refused for want of it."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper
from visavis import free_memory
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.cli import main
from visavis.cli.detect import Eye
from visavis.detections import Detections, Frame, no_detections
from visavis.errors import PictureError
from visavis.free_memory import BYTES_PER_PIXEL, check_room, free
from visavis.models import cache
from visavis.models.cache import prepared_model
from visavis.models.memory import bytes_per_pixel
from visavis.settings import DetectorSettings

GIB = 1 << 30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 8 GiB free; the process is in a unit inside a slice, neither limited."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 99 kB\nMemAvailable:  {8 * GIB // 1024} kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/a.slice/b.service\n")
    for group in ("a.slice", "a.slice/b.service"):
        write(tmp_path / "groups" / group / "memory.max", "max\n")
        write(tmp_path / "groups" / group / "memory.current", f"{GIB}\n")
    return tmp_path


def free_of(machine: Path) -> int:
    return free(machine / "proc", machine / "groups")


def test_the_machine_and_each_group_around_the_process_bound_what_is_free(machine: Path) -> None:
    assert free_of(machine) == 8 * GIB
    write(machine / "groups/a.slice/memory.max", f"{4 * GIB}\n")
    assert free_of(machine) == 3 * GIB
    write(machine / "groups/a.slice/b.service/memory.max", f"{GIB // 2}\n")
    assert free_of(machine) == 0
    files = f"anon 1\ninactive_file {GIB}\nactive_file {GIB}\n"  # the kernel gives those up for whoever wants memory
    write(machine / "groups/a.slice/b.service/memory.stat", files)
    assert free_of(machine) == GIB


def test_where_nothing_is_told_everything_is_free(tmp_path: Path) -> None:
    assert free_of(tmp_path) == 1 << 62


def test_this_machine_says_how_much_it_has() -> None:
    assert 0 < free() < 1 << 62


def test_the_refusal_names_a_size_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: GIB)
    check_room("--input 2368x2368", 2368, 2368)
    with pytest.raises(PictureError, match=r"--input 8192x8192 takes about 12160 MiB.* 1024 MiB .* at most 2368x2368"):
        check_room("--input 8192x8192", 8192, 8192)
    monkeypatch.setattr(free_memory, "free", lambda: 0)
    with pytest.raises(PictureError, match="free some memory"):
        check_room("--input 32x32", 32, 32)


def test_what_a_run_has_taken_is_free_again_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: 400 << 20)
    check_room("first", 1344, 1344)
    with pytest.raises(PictureError, match="second takes about 667 MiB"):
        check_room("second", 1920, 1920)


def test_detect_refuses_an_input_for_which_there_is_no_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: GIB)
    assert main(["detect", "build/demo/face.jpg", "--input", "8192x8192"]) == 2
    assert "--input 8192x8192 takes about 12160 MiB" in capsys.readouterr().err


def test_detect_refuses_a_picture_for_which_there_is_no_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: 1 << 20)
    assert main(["detect", "build/demo/face.jpg"]) == 1
    assert "build/demo/face.jpg" in (said := capsys.readouterr().err)
    assert "at most 64x64 fits, by --input" in said


def network_of(*nodes: onnx.NodeProto) -> bytes:
    """One that takes a picture of any size."""
    picture = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "network", [picture], [output])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


class Careful:
    """A detector that finds nothing, and takes only what there is memory for."""

    name, model_id, precision, input_size = "none", "none", "fp32", (0, 0)

    def __init__(self) -> None:
        self.sides: list[int] = []

    def warm_up(self) -> None:
        """Nothing to warm."""

    def detect(self, frame: Frame) -> Detections:
        height, width = frame.shape[:2]
        check_room("a picture", width, height)
        self.sides.append(max(width, height))
        return no_detections()

    def close(self) -> None:
        """Nothing to close."""


def test_a_wide_picture_is_looked_at_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: 400 << 20)
    detector = Careful()
    assert len(Eye(detector, None).looks("wide.jpg", np.zeros((1900, 5000, 3), np.uint8))) > 2
    assert max(detector.sides[1:]) <= 1472


def test_a_network_takes_what_is_alive_at_once() -> None:
    """Each value has three numbers of four bytes for a pixel."""
    chain = network_of(
        helper.make_node("Cast", ["image"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
    )
    assert bytes_per_pixel(chain) == 2 * 12
    skipping = network_of(
        helper.make_node("Cast", ["image"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["d"]),
    )
    assert bytes_per_pixel(skipping) == 3 * 12


def test_what_an_operator_takes_within_counts_at_its_turn() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 16, 16], np.zeros(3 * 3 * 16 * 16, np.float32))
    nodes = [
        helper.make_node("Cast", ["image"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 3, 1, 2]),
        helper.make_node("ConvTranspose", ["b", "w"], ["c"], strides=[4, 4], pads=[6, 6, 6, 6]),
    ]
    network = onnx.load_model_from_string(network_of(*nodes))
    network.graph.initializer.append(weights)
    made = 4 * 4 * 3 * 4
    laid_out = 3 * 16 * 16 * 4
    assert bytes_per_pixel(network.SerializeToString()) == pytest.approx(12 + made + laid_out, rel=0.01)


def test_a_model_that_was_prepared_before_is_reckoned_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = prepared_model("centerface", 0, 0, tmp_path)
    assert now.path is not None
    beside = now.path.with_suffix(".json")
    record = json.loads(beside.read_bytes())
    del record["bytes_per_pixel"]
    beside.write_text(json.dumps(record))

    def refuses(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as read_only:
        read_only.setattr(cache, "locked", refuses)
        assert prepared_model("centerface", 0, 0, tmp_path).bytes_per_pixel == now.bytes_per_pixel
    assert prepared_model("centerface", 0, 0, tmp_path).bytes_per_pixel == now.bytes_per_pixel
    assert json.loads(beside.read_bytes())["bytes_per_pixel"] == now.bytes_per_pixel, "and again at the next start"


def test_a_heavy_model_is_refused_a_picture_that_a_light_one_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = prepared_model("centerface", 0, 0, tmp_path)
    assert light.bytes_per_pixel == pytest.approx(BYTES_PER_PIXEL, rel=0.1), "measured, and reckoned from its graph"
    heavy = replace(light, bytes_per_pixel=10 * light.bytes_per_pixel)
    settings = DetectorSettings(input_width=0, input_height=0)
    picture = np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr(free_memory, "free", lambda: 1 << 20)
    assert OnnxRuntime(settings, light).detect(picture).size == 0
    with pytest.raises(PictureError, match=r"a picture of 64x64 takes about 7 MiB of memory, 1 MiB are available"):
        OnnxRuntime(settings, heavy).detect(picture)
