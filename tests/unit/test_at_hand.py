# SPDX-License-Identifier: Apache-2.0
"""What is said of engines by those who load none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import onnx
from visavis.engines.at_hand import has_int8_engine
from visavis.engines.cache import FOLDER, Record
from visavis.engines.key import EngineKey, Gpu
from visavis.engines.vault import Vault
from visavis.models.cache import prepared_model
from visavis.models.manifest import original

SIZE = (64, 64)


def test_an_int8_engine_is_one_of_the_model_that_is_there_now(tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    model = onnx.load_from_string(original("centerface").content)
    own.write_bytes(model.SerializeToString())
    assert not has_int8_engine(str(own), SIZE, tmp_path)
    content = prepared_model(str(own), *SIZE, cache_dir=tmp_path).content
    keep_engine_of(hashlib.sha256(content).hexdigest(), tmp_path)
    assert has_int8_engine(str(own), SIZE, tmp_path)
    assert not has_int8_engine(str(own), (96, 64), tmp_path)
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 1.01, weights.name))
    own.write_bytes(model.SerializeToString())
    prepared_model(str(own), *SIZE, cache_dir=tmp_path)
    assert not has_int8_engine(str(own), SIZE, tmp_path)
    own.unlink()
    assert not has_int8_engine(str(own), SIZE, tmp_path)


def keep_engine_of(model_sha256: str, cache_dir: Path) -> None:
    gpu = Gpu("Double", (8, 7))
    key = EngineKey(model="mine", model_sha256=model_sha256, tensorrt="10", gpu=gpu, precision="int8")
    record = Record(key=key, outputs=[], layers=1, took_s=1)
    (cache_dir / FOLDER).mkdir()
    Vault(cache_dir / FOLDER).seal(key.file_name, msgspec.json.encode(record), b"plan")
