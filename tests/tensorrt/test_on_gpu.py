# SPDX-License-Identifier: Apache-2.0
"""The script for a machine with a GPU, run on the double: that it comes to its end, not what it measures."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from visavis.models.cache import prepared_model
from visavis.models.manifest import original
from visavis.models.prepare import prepare

from tests.tensorrt import core
from tests.tensorrt.models import face_pictures

SCRIPT = Path(__file__).with_name("on_gpu.py")
SIZE = (320, 256)


def test_it_comes_to_its_end_and_writes_every_table(real_core: None, tmp_path: Path) -> None:
    network, out = tmp_path / "network.onnx", tmp_path / "gpu.md"
    network.write_bytes(prepare(original("centerface"), *SIZE, batch=0))
    words = ["--frames", "1", "--input", *map(str, SIZE), "--batches", "1", "2", "--out", str(out)]
    words += ["--pictures", *map(str, face_pictures()[:2])]
    environment = core.environment(VISAVIS_TEST_NETWORK=str(network))
    answer = subprocess.run(
        [sys.executable, SCRIPT, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert out.exists(), answer.stderr
    written = out.read_text()
    assert "GPU Double (sm_87)" in written
    assert re.search(
        r"visavis \d\S+, onnxruntime \d\S+, numpy \d\S+\. Command: `python .*on_gpu\.py --frames 1 ", written
    )
    for head in ("Engines", "Same faces", "Upload, infer", "ways to the GPU", "Parts of", "Others with", "Checks"):
        assert f"## {head}" in written or head in written
    assert "ok   fp32 finds onnxruntime's faces" in answer.stdout
    for rival in ("onnxruntime-gpu fp32", "torch fp16"):
        assert f"| fp16: ours / {rival} | not measured: " in written, "a bar that goes without a word"
    # The double has no graphs: a check that cannot hold makes the exit code.
    assert "FAIL a CUDA graph was recorded" in answer.stdout
    assert answer.returncode == 1


def test_the_rival_in_torch_knows_every_operator_of_the_network() -> None:
    """Only a machine with a GPU can run it, at the end of a long run: what it does not know must not be found there."""
    tree = ast.parse(SCRIPT.with_name("torch_rival.py").read_text())
    (table,) = (node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.value)
    assert isinstance(table, ast.Dict)
    known = {key.value for key in table.keys if isinstance(key, ast.Constant)}
    nodes = onnx.load_model_from_string(prepared_model("centerface").content).graph.node
    assert {node.op_type for node in nodes} <= known
    for node in nodes:
        told = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        assert set(told) <= {"to", "perm", "pads", "strides", "group", "kernel_shape", "dilations"}, node
        assert set(told.get("dilations", [1])) == {1}, node
        assert node.op_type != "ConvTranspose" or not any(told.get("pads", [])), node


@pytest.mark.parametrize("gpu", ["none"])
def test_without_a_gpu_it_writes_nothing_and_says_why(real_core: None, tmp_path: Path, gpu: str) -> None:
    out = tmp_path / "gpu.md"
    answer = subprocess.run(
        [sys.executable, SCRIPT, "--out", str(out)],
        env=core.environment(VISAVIS_TEST_GPU=gpu),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "not run: no NVIDIA GPU can be used here" in answer.stderr
    assert not out.exists()
