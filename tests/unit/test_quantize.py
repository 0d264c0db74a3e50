# SPDX-License-Identifier: Apache-2.0
"""`visavis model quantize`: what is kept, what is refused, and how workers come to it. How fast it is: `make bench`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from visavis.backends import load_detector
from visavis.cli import worker
from visavis.cli.program import parser_for
from visavis.config_gen import Detector
from visavis.daemon import ConfigRefused, effective_config
from visavis.detections import Frame
from visavis.engines.int8 import Calibrated, spread
from visavis.errors import ModelError
from visavis.gpu_losses import MOST_LOST, GpuLosses
from visavis.models import quantize as making
from visavis.models.configured import check_model
from visavis.models.manifest import original
from visavis.models.processor import has_dot_products, processor_name
from visavis.models.quantize import Made, Plan, judge, quantize
from visavis.models.quantized import Measured, Record, file_name, quantized_model, quantized_path, record_of
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings
from visavis.worker_command import worker_command

from tests.unit.command import visavis
from tests.unit.engine_files import sealed_engine
from tests.unit.face_pictures import gocv_pictures
from tests.unit.test_model_cli import model

SIZE = (320, 256)
BLACK: Frame = np.zeros((1, SIZE[1], SIZE[0], 3), np.uint8)
COMMAND = "visavis model quantize centerface --input 320x256 --pictures FOLDER"


def silent(_what: str, _done: int, _of: int) -> None:
    """Nobody watches."""


def frames() -> list[Frame]:
    return [letterboxed(picture, SIZE)[0][None] for picture in gocv_pictures().values()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """CenterFace in int8, kept however fast it is here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "FASTER", 0.0)
        patch.setattr(making, "LITTLE_FASTER", 0.0)
        plan = Plan(model="centerface", size=SIZE, loss=0.01, cache_dir=tmp_path_factory.mktemp("cache"))
        return quantize(plan, frames(), silent)


def settings(cache: Path, backend: str = "onnxruntime") -> DetectorSettings:
    width, height = SIZE
    return DetectorSettings(backend=backend, precision="int8", input_width=width, input_height=height, cache_dir=cache)


@pytest.fixture
def cache(kept: Made, tmp_path: Path) -> Path:
    """A cache of one's own that holds it."""
    shutil.copytree(kept.path.parent, tmp_path / "models")
    return tmp_path


def test_a_worker_with_precision_int8_runs_it_and_finds_the_faces(cache: Path) -> None:
    detector = load_detector(settings(cache))
    operators = quantized_model("centerface", *SIZE, cache).content
    assert b"QuantizeLinear" in operators
    assert detector.precision == "int8"
    for frame in frames():
        assert detector.detect(frame[0]).size == 1


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "kserve"])
def test_check_warns_of_an_int8_form_that_was_not_made(backend: str, cache: Path) -> None:
    file = cache / "config.toml"
    server = 'kserve_url = "http://127.0.0.1:1"\n' if backend == "kserve" else ""
    width, height = SIZE
    file.write_text(f'[detector]\nprecision = "int8"\ninput = [{width}, {height}]\nbackend = "{backend}"\n{server}')
    assert warned(file, cache) == ""
    path = quantized_path(original("centerface"), *SIZE, cache)
    path.unlink()
    said = f"{file}: detector.precision: centerface is not quantised for 320x256 on this processor"
    assert said in warned(file, cache)
    sealed_engine(cache, "centerface", SIZE)
    assert said in warned(file, cache), "there is no TensorRT to run it"
    (cache / "site" / "tensorrt").mkdir(parents=True)
    (cache / "site" / "tensorrt" / "__init__.py").touch()
    with_tensorrt = warned(file, cache, PYTHONPATH=str(cache / "site"))
    assert (with_tensorrt == "") == (backend == "auto"), "only there a GPU may run it"


def test_a_file_that_is_replaced_meanwhile_has_no_int8_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the weights of before ran under the name of the new ones."""
    file = tmp_path / "mine.onnx"
    before = original("centerface").content
    another = onnx.load_model_from_string(before)
    another.doc_string = "another"
    after = another.SerializeToString()
    file.write_bytes(before)
    monkeypatch.setattr(making, "judge", lambda *_, **__: None)
    monkeypatch.setattr(making, "turn_by_turn", lambda *_: file.write_bytes(after) and {"fp32": 2.0, "int8": 1.0})
    plan = Plan(model=str(file), size=SIZE, loss=1.0, cache_dir=tmp_path / "cache")
    made = quantize(plan, frames(), silent)
    assert made.record.original_sha256 == hashlib.sha256(before).hexdigest()
    with pytest.raises(ModelError, match="not quantised"):
        quantized_model(str(file), *SIZE, tmp_path / "cache")


def test_check_warns_of_an_int8_engine_that_was_not_built(cache: Path) -> None:
    file = cache / "config.toml"
    file.write_text('[detector]\nprecision = "int8"\nbackend = "tensorrt"\n')
    assert f"`visavis engine build --config {file} --from-camera ID`" in warned(file, cache)
    sealed_engine(cache, "centerface", SIZE)
    assert "centerface has no engine in int8" in warned(file, cache), "it is for another size"
    sealed_engine(cache, "centerface", Detector().input)
    assert warned(file, cache) == ""


def warned(file: Path, cache: Path, **variables: str) -> str:
    """What `visavis check` says of a good configuration for workers with this cache."""
    answer = visavis("check", file, variables={"VISAVIS_CACHE_DIR": str(cache), **variables})
    assert (answer.returncode, answer.stdout) == (0, "ok\n"), answer.stderr
    return answer.stderr


def test_int8_that_was_not_made_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"^detector\.precision: centerface is not quantised for 320x256"):
        check_model(Detector(precision="int8", backend="onnxruntime", input=SIZE), tmp_path)


def test_the_record_says_what_was_made_of_what_and_what_it_is_worth(kept: Made) -> None:
    record = msgspec.json.decode(kept.path.with_suffix(".json").read_bytes(), type=Record)
    assert record == kept.record
    assert record.original_sha256 == original("centerface").sha256
    assert (record.width, record.height, record.processor) == (*SIZE, processor_name())
    measured = record.measured
    assert (measured.calibrated, measured.compared, measured.faces, measured.different) == (1, 1, 1, 0)
    assert measured.speed > 0


def test_a_changed_byte_is_refused_with_the_command_that_mends_it(cache: Path) -> None:
    path = quantized_path(original("centerface"), *SIZE, cache)
    spoiled = bytearray(path.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    path.write_bytes(spoiled)
    with pytest.raises(ModelError, match=f"not what was written: {COMMAND}"):
        load_detector(settings(cache))


def test_a_model_without_its_record_is_refused(cache: Path) -> None:
    quantized_path(original("centerface"), *SIZE, cache).with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="not what was written"):
        load_detector(settings(cache))


def told(cache: Path, *words: str) -> list[dict[str, Any]]:
    """The lines of `visavis model ...  --json`."""
    return [json.loads(line) for line in model(cache, *words, "--json").stdout.splitlines()]


def test_the_list_has_int8_forms_below_their_model(kept: Made, cache: Path) -> None:
    path = quantized_path(original("centerface"), *SIZE, cache)
    (form,) = next(line["int8"] for line in told(cache, "list") if line["model"] == "centerface")
    speed = round(kept.record.measured.speed, 2)
    assert form == {
        "path": str(path),
        "bytes": path.stat().st_size,
        "input": [320, 256],
        "runs_on": "here",
        "speed": speed,
    }
    first, second = model(cache, "list").stdout.splitlines()[:2]
    assert first.startswith("centerface ")
    assert second.split() == ["int8", "320x256", f"{form['bytes'] / 2**20:.1f}", "MiB", f"{speed:.2f}", "times", "here"]


def copied(cache: Path, **changes: Any) -> None:
    """Put a copy beside the int8 model, with another record, as if it had been made so."""
    path = quantized_path(original("centerface"), *SIZE, cache)
    record = record_of(path)
    assert record is not None
    record = msgspec.structs.replace(record, **changes)
    copy = path.with_name(file_name(record, "centerface"))
    copy.write_bytes(path.read_bytes())
    copy.with_suffix(".json").write_bytes(msgspec.json.encode(record))


def test_forms_of_other_processors_and_files_are_told_as_such(cache: Path) -> None:
    copied(cache, processor="x86_64 another")
    copied(cache, name="gone")
    lines = told(cache, "list")
    assert [form["runs_on"] for form in lines[0]["int8"]] in (["here", "x86_64 another"], ["x86_64 another", "here"])
    assert (lines[-1]["model"], lines[-1]["source"]) == ("gone", "a file of one's own")
    shown = model(cache, "list").stdout
    assert "for x86_64 another" in shown


def test_verify_looks_at_int8_forms_by_their_record(cache: Path) -> None:
    assert model(cache, "prepare", "centerface", "--input", "320x256").returncode == 0
    plain, form = told(cache, "verify", "centerface", "--input", "320x256")
    assert "prepared" in plain
    path = quantized_path(original("centerface"), *SIZE, cache)
    assert (form["precision"], form["input"], form["runs_on"]) == ("int8", "320x256", "here")
    assert (form["quantized"], form["original_sha256"]) == (str(path), plain["original_sha256"])
    assert len(told(cache, "verify", "centerface", "--input", "96x64")) == 1, "int8 of another size than asked for"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    answer = model(cache, "verify", "centerface", "--input", "320x256")
    assert answer.returncode == 1
    assert f"quantised model {path} is not what was written: {COMMAND}" in answer.stderr


def test_verify_without_a_size_looks_at_int8_of_every_size(cache: Path) -> None:
    _, form = told(cache, "verify", "centerface")
    assert form["input"] == "320x256"


@pytest.mark.parametrize("record", [b"{", b"", None], ids=["spoiled", "empty", "of another size"])
def test_an_int8_form_without_a_record_of_its_own_is_told(record: bytes | None, cache: Path) -> None:
    path = quantized_path(original("centerface"), *SIZE, cache)
    if record is None:
        record = path.with_suffix(".json").read_bytes().replace(b'"width": 320', b'"width": 640')
    path.with_suffix(".json").write_bytes(record)
    answer = model(cache, "verify", "centerface", "--input", "320x256")
    assert answer.returncode == 1
    assert f"quantised model {path} has no record of its own: remove it, and quantise again" in answer.stderr
    assert f"no record of its own: {path}" in model(cache, "list").stdout


def test_a_model_of_another_processor_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.models.quantized.processor_name", lambda: "another")
    with pytest.raises(ModelError, match="not quantised for 320x256 on this processor"):
        load_detector(settings(cache))


def test_without_it_the_worker_says_which_command_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"not quantised.*: {COMMAND}"):
        load_detector(settings(tmp_path))


def test_backend_auto_goes_on_in_fp32_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        detector = load_detector(settings(tmp_path, "auto"))
    assert detector.detect(frames()[0][0]).size == 1
    assert COMMAND in caplog.text
    assert "detection goes on in fp32" in caplog.text


def weakened(calibrated: Calibrated) -> bytes:
    """What a quantiser gone wrong would make: half of every weight."""
    network = onnx.load_model_from_string(calibrated.model)
    for item in network.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) / 2, item.name))
    return bytes(network.SerializeToString())


def test_a_model_that_loses_faces_is_refused_and_nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "for_cpu", weakened)
    plan = Plan(model="centerface", size=SIZE, loss=0.01, cache_dir=tmp_path)
    with pytest.raises(ModelError, match=r"differs on 1 of 1 faces \(100\.0%\), 1\.0% is allowed, fp32 stays"):
        quantize(plan, frames(), silent)
    assert not list((tmp_path / "models").glob("*int8*"))


def test_pictures_without_faces_or_too_few_of_them_are_refused(tmp_path: Path) -> None:
    plan = Plan(model="centerface", size=SIZE, loss=0.01, cache_dir=tmp_path)
    with pytest.raises(ModelError, match="no face is on the 1 pictures held out"):
        quantize(plan, [BLACK, BLACK], silent)
    with pytest.raises(ModelError, match="with 1 pictures"):
        quantize(plan, [BLACK], silent)


def measured(*, different: int = 0, speed: float = 2.0) -> Measured:
    return Measured(calibrated=30, compared=10, faces=50, different=different, allowed_loss=0.02, speed=speed)


def test_what_is_lost_and_gained_decides() -> None:
    judge("m", measured(), dot_products=True)
    judge("m", measured(different=1), dot_products=True)
    judge("m", measured(speed=1.3), dot_products=False)
    with pytest.raises(ModelError, match=r"differs on 2 of 50 faces \(4\.0%\), 2\.0% is allowed"):
        judge("m", measured(different=2), dot_products=True)
    with pytest.raises(ModelError, match=r"1\.70 times as fast as fp32 here, 1\.8 is wanted of a processor with dot"):
        judge("m", measured(speed=1.7), dot_products=True)
    with pytest.raises(ModelError, match=r"1\.10 times as fast as fp32 here, 1\.2 is wanted of a processor without"):
        judge("m", measured(speed=1.1), dot_products=False)


def test_of_many_pictures_some_are_taken_evenly() -> None:
    numbered = [np.full((1, 1, 1, 3), number % 256, np.uint8) for number in range(100)]
    assert [frame[0, 0, 0, 0] for frame in spread(numbered[:5], 8)] == [0, 1, 2, 3, 4]
    taken = [int(frame[0, 0, 0, 0]) for frame in spread(numbered, 8)]
    assert taken == [0, 16, 32, 48, 64, 80, 96]


def test_the_processor_is_known_by_its_first_block() -> None:
    intel = "processor : 0\nmodel name\t: Xeon\nflags\t\t: fpu avx512_vnni\n\nprocessor : 1\nmodel name : other\n"
    arm = "processor : 0\nFeatures : fp asimd asimddp\nCPU implementer : 0x41\nCPU part : 0xd0b\n"
    assert processor_name(intel).endswith(" Xeon")
    assert processor_name(arm).endswith(" 0x41 0xd0b")
    assert has_dot_products(intel)
    assert has_dot_products(arm)
    assert not has_dot_products(intel.replace("avx512_vnni", "avx2"))
    assert not has_dot_products("")


def test_the_command_says_why_it_refuses(tmp_path: Path) -> None:
    answer = model(tmp_path, "quantize", "centerface", "--pictures", str(tmp_path), "--input", "320x256")
    assert answer.returncode == 1
    assert "holds no picture" in answer.stderr
    for words in (["centerface"], ["centerface", "--pictures", "a", "--from-camera", "b"]):
        assert model(tmp_path, "quantize", *words).returncode == 2
    wrong = model(tmp_path, "quantize", "centerface", "--pictures", "a", "--loss", "much")
    assert "'much' is not a percentage" in wrong.stderr


def test_the_command_ends_with_what_to_write_into_the_configuration(tmp_path: Path) -> None:
    for name, picture in zip(("a.png", "b.png"), gocv_pictures().values(), strict=True):
        cv2.imwrite(str(tmp_path / name), picture)
    words = ("quantize", "centerface", "--pictures", str(tmp_path), "--input", "320x256")
    answer = model(tmp_path / "cache", *words)
    if answer.returncode == 1:
        # This processor, or whatever else runs on it now, leaves int8 no gain: then that is said.
        assert "times as fast as fp32 here" in answer.stderr
        return
    assert answer.stdout.splitlines()[-1] == 'precision = "int8"'
    again = json.loads(model(tmp_path / "cache", *words, "--loss", "5", "--json").stdout or "{}")
    assert again.get("different", 0) == 0


def test_bench_measures_int8_for_the_sizes_for_which_it_was_made(cache: Path) -> None:
    words = ("bench", "centerface", "--threads", "1", "--rounds", "1", "--fps", "0.01", "--input")
    answer = model(cache, *words, "96x64", "320x256", "--json")
    rows = [json.loads(line) for line in answer.stdout.splitlines()[:-1]]
    measured = [(line["precision"], line["input"]) for line in rows]
    assert measured == [("fp32", [96, 64]), ("fp32", [320, 256]), ("int8", [320, 256])], answer.stderr
    missing = model(cache, *words, "96x64", "--precision", "int8")
    assert (missing.returncode, "is not quantised for 96x64" in missing.stderr) == (1, True)


def test_auto_runs_what_was_recommended_in_the_precision_in_which_it_was_measured(cache: Path) -> None:
    words = ("--input", "320x256", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(cache, "bench", "centerface", "--precision", "int8", *words)
    assert answer.stdout.splitlines()[-1] == 'precision = "int8"', answer.stderr
    auto = msgspec.structs.replace(settings(cache), model="auto", precision="auto")
    assert load_detector(auto).precision == "int8"
    assert load_detector(msgspec.structs.replace(auto, precision="fp32")).precision == "fp32"
    other_size = msgspec.structs.replace(auto, input_width=96, input_height=64)
    assert load_detector(other_size).precision == "fp32", "a device must detect, though another size was measured"
    assert load_detector(msgspec.structs.replace(auto, model="centerface")).precision == "fp32"


def test_a_worker_that_lost_its_gpu_goes_on_without_an_int8_model_for_the_cpu(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[detector]\nprecision = "int8"\ninput = [320, 256]\n[[camera]]\nid = "demo"\nsource = "demo:"\n')
    config = effective_config(file, os.environ)
    words = [*worker_command(config)[3:], "--cache-dir", str(tmp_path)]
    args = parser_for(words).parse_args(words)
    losses = GpuLosses(tmp_path, args.name)
    for _ in range(MOST_LOST):
        losses.begin()
        losses.lost()
    assert worker.must_do_without_gpu(args, losses)
    told = worker.settings(args, fallback=True).detector
    assert told.backend == "onnxruntime"
    assert load_detector(told).detect(frames()[0][0]).size == 1
