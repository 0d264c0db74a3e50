# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/how-to/own-model.md as they stand there: networks of PyTorch and TensorFlow come in as ONNX.

Both packages take gigabytes, so they are installed on demand: `scripts/export_tools.sh torch`, or `tensorflow`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest
from visavis.models.cache import prepared_model

from tests.arrays import Array
from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT
from tests.unit.test_model_cli import model

WIDTH, HEIGHT = 640, 480

TORCH = """
import torch

class FaceNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        halves = [
            (torch.nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), torch.nn.BatchNorm2d(b), torch.nn.ReLU())
            for a, b in ((3, 8), (8, 16))
        ]
        self.body = torch.nn.Sequential(*(part for half in halves for part in half))
        self.heads = torch.nn.ModuleList(torch.nn.Conv2d(16, count, 1) for count in (1, 2, 2, 10))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1))

    def forward(self, image):
        seen = self.body(image)
        heat, size, offset, points = (head(seen) for head in self.heads)
        return torch.sigmoid(heat), size, offset, points
"""
TORCH_ANSWERS = """
import numpy as np
given = torch.from_numpy(np.load("planes.npy"))
np.savez("answers.npz", *(value.detach().numpy() for value in model(given)))
"""
KERAS = """
import keras

def face_net():
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    seen = image
    for count in (8, 16):
        seen = keras.layers.Conv2D(count, 3, strides=2, padding="same", use_bias=False)(seen)
        seen = keras.layers.ReLU()(keras.layers.BatchNormalization()(seen))
    heads = [keras.layers.Conv2D(count, 1)(seen) for count in (1, 2, 2, 10)]
    return keras.Model(image, [keras.activations.sigmoid(heads[0]), *heads[1:]])
"""
KERAS_ANSWERS = """
import numpy as np
given = np.load("planes.npy").transpose(0, 2, 3, 1)
np.savez("answers.npz", *(np.asarray(value).transpose(0, 3, 1, 2) for value in network(tf.constant(given))))
"""


class Recipe(NamedTuple):
    """What a page shows (by a word of it), the network that it exports with a package, and how it answers itself."""

    package: str
    word: str
    network: str
    answers: str

    def normalising(self, plain: str, inside: str) -> Recipe:
        """The same with a network that takes bytes and normalises them by itself."""
        assert self.network.count(plain) == 1
        return self._replace(network=self.network.replace(plain, inside))


PYTORCH = Recipe("torch", "torch.onnx.export", TORCH, TORCH_ANSWERS)
TENSORFLOW = Recipe("tensorflow", "tf2onnx.convert", KERAS, KERAS_ANSWERS)
RECIPES = {
    "torch": PYTORCH,
    "torch, image / 255": PYTORCH.normalising("self.body(image)", "self.body(image / 255)"),
    "torch, mean and deviation": PYTORCH.normalising(
        "self.body(image)", "self.body((image / 255 - self.mean) / self.std)"
    ),
    "tensorflow": TENSORFLOW,
    "tensorflow, rescaling": TENSORFLOW.normalising(
        "seen = image", "seen = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)"
    ),
}


def python_with(package: str) -> Path:
    folder = ROOT / "build" / "export" / package
    if not (folder / "installed").is_file():
        pytest.skip(f"{package} is not in {folder.relative_to(ROOT)}: `make test-export` installs it")
    return folder / "bin" / "python"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_makes_a_file_that_is_imported_and_answers_as_the_network_does(recipe: Recipe, tmp_path: Path) -> None:
    python = python_with(recipe.package)
    picture = np.random.default_rng(3).integers(0, 255, (1, HEIGHT, WIDTH, 3), np.uint8)
    np.save(tmp_path / "planes.npy", picture[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))
    (tmp_path / "my_network.py").write_text(recipe.network)
    (shown,) = (block.text for block in blocks("python") if recipe.word in block.text)
    (tmp_path / "recipe.py").write_text(shown + recipe.answers)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    made = subprocess.run(
        [str(python), "recipe.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]
    kept = model(tmp_path, "import", str(tmp_path / "retrained.onnx"), "--family", "centerface", "--json")
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["family"] == "centerface"
    same_answers(prepared_model("retrained", WIDTH, HEIGHT, tmp_path).content, picture, tmp_path / "answers.npz")
    assert prepared_model("retrained", 320, 256, tmp_path).content, "the file is for one size only"


def same_answers(prepared: bytes, picture: Array, file: Path) -> None:
    session = onnxruntime.InferenceSession(prepared, providers=["CPUExecutionProvider"])
    expected = np.load(file)
    for ours, name in zip(session.run(None, {"image": picture}), expected.files, strict=True):
        np.testing.assert_allclose(ours, expected[name], rtol=1e-3, atol=1e-3)
