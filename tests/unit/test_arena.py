# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys

LEAST_SPARED_KB, MOST_LEFT_KB = 3_000, 12_000
# Prints by how much one picture lets the memory of a bare session grow, and of our detector, and what each leaves.
FIGURES = """
import gc, json
import numpy as np, onnxruntime
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.heap import give_back
from visavis.models.cache import prepared_model
from visavis.settings import DetectorSettings

settings = DetectorSettings(threads=1)
model = prepared_model(settings.model, settings.input_width, settings.input_height)
picture = np.full((settings.input_height, settings.input_width, 3), 128, np.uint8)

def anonymous_kb():
    gc.collect()
    give_back()
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

def bare():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(model.content, options, providers=["CPUExecutionProvider"])
    session._model_bytes = None
    session.run(None, {"image": picture[None]})
    return session

def ours():
    detector = OnnxRuntime(settings, model)
    detector.warm_up()
    return detector

def growth_kb(make):
    before_kb = anonymous_kb()
    kept = make()
    grown_kb = anonymous_kb() - before_kb
    del kept
    return grown_kb, anonymous_kb() - before_kb

growth_kb(bare)  # what both load once
print(json.dumps([growth_kb(bare), growth_kb(ours)]))
"""


def test_the_memory_of_a_network_is_no_larger_than_it_needs_and_goes_with_it() -> None:
    said = subprocess.run([sys.executable, "-c", FIGURES], capture_output=True, text=True, check=True).stdout
    (bare_kb, _), (ours_kb, left_kb) = json.loads(said)
    assert ours_kb < bare_kb - LEAST_SPARED_KB
    assert left_kb < MOST_LEFT_KB
