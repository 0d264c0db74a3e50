# SPDX-License-Identifier: Apache-2.0
"""What `visavis model export-triton` writes is what Triton reads.

The schema is Triton's own, from the package tritonclient; that the model itself is sound is shown by the other tests
here, whose servers serve it. What Triton itself makes of it is in test_triton.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from visavis.cli import main
from visavis.families import FAMILIES
from visavis.models.cache import prepared_model
from visavis.models.manifest import entries
from visavis.openinference.triton import export

from tests.kserve.conftest import MODEL, SIZE
from tests.kserve.servers import site
from tests.unit.model_files import provided, scrfd_like

READER = """
import sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
print(json_format.MessageToJson(config, preserving_proto_field_name=True))
"""
TYPES = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}


def as_triton_reads(config: Path) -> dict[str, Any]:
    """Parse config.pbtxt with Triton's schema; an unknown field or value is an error."""
    surroundings = {**os.environ, "PYTHONPATH": str(site("mlserver"))}
    answer = subprocess.run(
        [sys.executable, "-c", READER, str(config)], capture_output=True, text=True, check=False, env=surroundings
    )
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def sides(value: onnx.ValueInfoProto) -> list[int]:
    return [side.dim_value or -1 for side in value.type.tensor_type.shape.dim]


@pytest.fixture
def closed_umask() -> Iterator[None]:
    """What is made is for its owner alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, int]:
    """Of a folder and all in it, and whose group new files have."""
    return {str(one.relative_to(folder)): one.stat().st_mode & 0o7777 for one in (folder, *folder.rglob("*"))}


@pytest.mark.usefixtures("closed_umask")
def test_another_user_may_read_what_was_written(tmp_path: Path) -> None:
    export(MODEL, tmp_path / "srv" / "triton" / "repository", SIZE, batch=2, wait_us=1)
    assert rights(tmp_path / "srv") == {
        ".": 0o755,
        "triton": 0o755,
        "triton/repository": 0o755,
        f"triton/repository/{MODEL}": 0o755,
        f"triton/repository/{MODEL}/config.pbtxt": 0o644,
        f"triton/repository/{MODEL}/1": 0o755,
        f"triton/repository/{MODEL}/1/model.onnx": 0o644,
    }


@pytest.mark.usefixtures("closed_umask")
def test_a_folder_that_was_there_keeps_the_rights_that_its_owner_gave_it(tmp_path: Path) -> None:
    repository, place = tmp_path / "repository", tmp_path / "repository" / MODEL
    place.mkdir(parents=True)
    repository.chmod(0o700)
    place.chmod(0o2770)
    export(MODEL, repository, SIZE, batch=2, wait_us=1)
    wanted = {
        ".": 0o700,
        MODEL: 0o2770,
        f"{MODEL}/config.pbtxt": 0o644,
        f"{MODEL}/1": 0o2755,  # new, and of the group
        f"{MODEL}/1/model.onnx": 0o644,
    }
    assert rights(repository) == wanted
    (place / "1").chmod(0o2770)
    export(MODEL, repository, SIZE, batch=2, wait_us=1)
    assert rights(repository) == wanted | {f"{MODEL}/1": 0o2770}


@pytest.mark.parametrize("model", list(entries()))
def test_the_configuration_says_what_the_model_has(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = provided(model, tmp_path)
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    words = ["model", "export-triton", source, str(tmp_path / "repository"), "--input", "320x256", "--batch", "4"]
    assert main([*words, "--json"]) == 0
    place = Path(json.loads(capsys.readouterr().out)["path"])
    config = as_triton_reads(place / "config.pbtxt")
    graph = onnx.load(place / "1" / "model.onnx").graph
    assert (config["name"], config["backend"], config["max_batch_size"]) == (place.name, "onnxruntime", 4)
    for said, there in ((config["input"], graph.input), (config["output"], graph.output)):
        assert [one["name"] for one in said] == [one.name for one in there]
        assert [TYPES[one["data_type"]] for one in said] == [one.type.tensor_type.elem_type for one in there]
        # With a max_batch_size Triton puts the pictures' axis in front by itself, and it must be free in the file.
        assert [[-1, *map(int, one["dims"])] for one in said] == [sides(one) for one in there]
    assert config["dynamic_batching"] == {"max_queue_delay_microseconds": "500"}


def test_the_exported_model_answers_several_pictures_as_the_prepared_one_answers_each(exported: Path) -> None:
    pictures = np.random.default_rng(3).integers(0, 255, (3, SIZE[1], SIZE[0], 3), np.uint8)
    prepared = prepared_model(MODEL, *SIZE)
    one = onnxruntime.InferenceSession(prepared.content, providers=["CPUExecutionProvider"])
    many = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    together = many.run(None, {"image": pictures})
    for position, picture in enumerate(pictures):
        alone = one.run(None, {"image": picture[None]})
        for all_of_them, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_of_them[position : position + 1], single)
    assert [value.shape[1:] for value in together] == [shape[1:] for shape in FAMILIES[MODEL].shapes(*SIZE)]


def test_a_model_without_landmarks_says_the_outputs_that_it_has(tmp_path: Path) -> None:
    file = tmp_path / "boxes.onnx"
    file.write_bytes(scrfd_like(landmarks=False, batched=True))
    place = export(str(file), tmp_path / "repository", (64, 32), 4, 500)
    graph = onnx.load(place / "1" / "model.onnx").graph
    said = as_triton_reads(place / "config.pbtxt")["output"]
    assert [one["name"] for one in said] == [one.name for one in graph.output]
    assert [[-1, *map(int, one["dims"])] for one in said] == [sides(one) for one in graph.output]
    assert len(said) == 6


def test_exporting_again_replaces_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("320x256", "640x480"):
        assert main(["model", "export-triton", MODEL, str(tmp_path), "--input", size]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{MODEL}  {tmp_path / MODEL}"
    config = as_triton_reads(tmp_path / MODEL / "config.pbtxt")
    assert config["input"][0]["dims"] == ["480", "640", "3"]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        f"{MODEL}/1/model.onnx",
        f"{MODEL}/config.pbtxt",
    ]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["model", "export-triton", MODEL, str(tmp_path / "file")]) == 1
    assert "name another folder" in capsys.readouterr().err


def test_a_size_that_the_model_cannot_take_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "export-triton", MODEL, str(tmp_path), "--input", "300x200"]) == 1
    assert "use multiples of 32" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
