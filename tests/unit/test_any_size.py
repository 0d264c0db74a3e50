# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from visavis.backends import any_size
from visavis.backends.any_size import AnySize
from visavis.errors import ModelError
from visavis.models.manifest import original
from visavis.settings import DetectorSettings

MOST_GROWTH_KB = 200_000
# Prints how much anonymous memory a picture of 1920 pixels leaves behind.
GROWTH = """
import numpy as np
from visavis.backends.any_size import AnySize
from visavis.settings import DetectorSettings

def anonymous_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

detector = AnySize(DetectorSettings())
detector.detect(np.zeros((480, 640, 3), np.uint8))
before_kb = anonymous_kb()
detector.detect(np.zeros((1088, 1920, 3), np.uint8))
print(anonymous_kb() - before_kb)
"""


def test_a_model_is_loaded_when_it_is_needed_and_takes_every_size() -> None:
    AnySize(DetectorSettings(model="no-such-model")).warm_up()
    with pytest.raises(ModelError):
        AnySize(DetectorSettings(model="no-such-model")).detect(np.zeros((32, 32, 3), np.uint8))
    detector = AnySize(DetectorSettings(backend="tensorrt", precision="int8", batch=8))
    for width, height in ((64, 32), (96, 128), (64, 32)):
        assert len(detector.detect(np.zeros((height, width, 3), np.uint8))) == 0


def test_a_model_that_cannot_be_loaded_is_not_tried_with_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, picture = tmp_path / "own.onnx", np.zeros((32, 32, 3), np.uint8)
    detector = AnySize(DetectorSettings(model=str(file), cache_dir=tmp_path))
    with pytest.raises(ModelError) as first:
        detector.detect(picture)
    file.write_bytes(original("centerface", "", None).content)
    with pytest.raises(ModelError) as again:
        detector.detect(picture)
    assert str(again.value) == str(first.value)
    monkeypatch.setattr(any_size, "REST_S", 0.0)
    other = AnySize(DetectorSettings(model=str(tmp_path / "later.onnx"), cache_dir=tmp_path))
    with pytest.raises(ModelError):
        other.detect(picture)
    file.rename(tmp_path / "later.onnx")
    assert len(other.detect(picture)) == 0


def test_the_memory_of_a_large_picture_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True).stdout
    assert int(said) < MOST_GROWTH_KB
