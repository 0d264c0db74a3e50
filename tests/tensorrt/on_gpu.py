# SPDX-License-Identifier: Apache-2.0
"""Check and time the TensorRT backend on a machine with an NVIDIA GPU, and write docs/reference/gpu.md.

    .venv/bin/python tests/tensorrt/on_gpu.py [--frames 300] [--out docs/reference/gpu.md]

It needs `tensorrt` and `pycuda`; where `tensorrt` is missing, the core of tests/tensorrt serves. onnxruntime-gpu and
torch are measured beside it if they are installed. Every check must hold, or the exit code is 1.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import importlib.util
import mmap
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import visavis  # noqa: E402
from visavis.backends import cuda_driver, load_detector, tensorrt  # noqa: E402
from visavis.detections import Detections, Frame  # noqa: E402
from visavis.engines.cache import Here, engine_for, of_files  # noqa: E402
from visavis.engines.key import Precision  # noqa: E402
from visavis.errors import ModelError  # noqa: E402
from visavis.families import FAMILIES  # noqa: E402
from visavis.models.cache import prepared_model  # noqa: E402
from visavis.pictures import letterboxed, pictures_of  # noqa: E402
from visavis.settings import DetectorSettings  # noqa: E402

from tests.tensorrt import core  # noqa: E402

PICTURES = ROOT.parent / "shared" / "data" / "faces"
BATCHES = (1, 8, 32)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
# How far a score may be from onnxruntime's in float, and how much a box must overlap.
SCORE = {"fp32": 0.02, "fp16": 0.02, "int8": 0.05}
OVERLAP = 0.9
WARM = 30
# Of these rivals' time ours may take half at most.
HALVED = ("onnxruntime-gpu fp32", "torch fp16")
# What a figure depends on, beside TensorRT.
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "pycuda", "torch", "numpy")
Rows = list[tuple[str, ...]]


class Bench:
    """What all parts need: settings, pictures, and the verdicts of the checks."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.frames: int = args.frames
        self.width, self.height = args.input
        self.settings = DetectorSettings(
            backend="tensorrt", input_width=self.width, input_height=self.height, cache_dir=folder, threads=1
        )
        self.pictures = [letterboxed(next(pictures_of(str(p)))[1], args.input)[0] for p in sorted(args.pictures)]
        self.paths = sorted(args.pictures)
        self.batches: list[int] = args.batches
        self.checks: Rows = []

    def check(self, what: str, measured: str, holds: bool) -> None:
        """Note a verdict and say it."""
        self.checks.append((what, measured, "yes" if holds else "**NO**"))
        print(f"{'ok  ' if holds else 'FAIL'} {what}: {measured}", flush=True)

    def leave_out(self, what: str, why: str) -> None:
        """Note a verdict that nobody can give here: it is neither kept nor missed."""
        self.checks.append((what, why, "–"))
        print(f"left {what}: {why}", flush=True)

    def detector(self, precision: str, batch: int = 1) -> tensorrt.TensorRt:
        """Load a detector whose engine was built before."""
        made = tensorrt.TensorRt(replace(self.settings, precision=precision, batch=batch))
        made.warm_up()
        return made


def built(bench: Bench, trt: Any, cuda: Any) -> Iterator[tuple[str, ...]]:
    """Build every engine: precision, batch, layers, megabytes, seconds."""
    here = Here(trt=trt, gpu=tensorrt.gpu_here(cuda), cache_dir=bench.settings.cache_dir)
    for precision in PRECISIONS:
        for batch in bench.batches:
            wanted = tensorrt.wanted_engine(replace(bench.settings, precision=precision, batch=batch))
            engine = engine_for(replace(wanted, pictures=of_files(bench.paths)), here, tensorrt.LoggedProgress())
            record = engine.record
            size = f"{len(engine.plan) / 1e6:.1f}"
            yield precision, str(batch), str(record.layers), size, f"{record.took_s:.1f}"


def compared(bench: Bench) -> Iterator[tuple[str, ...]]:
    """The same faces as onnxruntime in float, for each precision."""
    reference = load_detector(replace(bench.settings, backend="onnxruntime"))
    expected = [reference.detect(picture).copy() for picture in bench.pictures]
    for precision in PRECISIONS:
        detector = bench.detector(precision)
        found = [detector.detect(picture).copy() for picture in bench.pictures]
        counts = f"{sum(f.size for f in found)} of {sum(e.size for e in expected)}"
        score, overlap = worst(expected, found)
        holds = len({(e.size, f.size) for e, f in zip(expected, found, strict=True) if e.size != f.size}) == 0
        bench.check(
            f"{precision} finds onnxruntime's faces",
            f"{counts}, score ± {score:.3f}, overlap ≥ {overlap:.3f}",
            holds and score <= SCORE[precision] and overlap >= OVERLAP,
        )
        yield precision, counts, f"{score:.4f}", f"{overlap:.3f}"


def worst(expected: list[Detections], found: list[Detections]) -> tuple[float, float]:
    """The largest difference of scores and the least overlap of the faces that both have."""
    scores, overlaps = [0.0], [1.0]
    for theirs, ours in zip(expected, found, strict=True):
        for face in theirs:
            if ours.size:
                values = [intersection_over_union(face, other) for other in ours]
                best = int(np.argmax(values))
                overlaps.append(values[best])
                scores.append(abs(float(face["score"]) - float(ours[best]["score"])))
    return max(scores), min(overlaps)


def intersection_over_union(a: Any, b: Any) -> float:
    width = max(0.0, min(a["x2"], b["x2"]) - max(a["x1"], b["x1"]))
    height = max(0.0, min(a["y2"], b["y2"]) - max(a["y1"], b["y1"]))
    areas = [(box["x2"] - box["x1"]) * (box["y2"] - box["y1"]) for box in (a, b)]
    return float(width * height / max(sum(areas) - width * height, 1e-9))


def percentiles(run: Callable[[], object], frames: int) -> tuple[float, float]:
    """p50 and p99 of a call, milliseconds, after it is warm."""
    for _ in range(WARM):
        run()
    times_ms = []
    for _ in range(frames):
        began_s = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - began_s) * 1_000)
    return float(np.percentile(times_ms, 50)), float(np.percentile(times_ms, 99))


def bare_ms(detector: tensorrt.TensorRt, cuda: Any, frames: int) -> float:
    """What the engine alone takes on the GPU, as events see it: the floor of everything else."""
    session = detector._session
    stream, context = session._stream, session._context
    times_ms = []
    for _ in range(frames):
        before, after = cuda.Event(), cuda.Event()
        before.record(stream)
        context.execute_async_v3(stream.handle)
        after.record(stream)
        stream.synchronize()
        times_ms.append(float(before.time_till(after)))
    return float(np.median(times_ms))


def timed(bench: Bench, cuda: Any) -> Iterator[tuple[str, ...]]:
    """Upload, infer, decode: per precision and batch."""
    for precision in PRECISIONS:
        for batch in bench.batches:
            detector = bench.detector(precision, batch)
            frames = [bench.pictures[index % len(bench.pictures)] for index in range(batch)]
            p50, p99 = percentiles(lambda d=detector, f=frames: d.detect_many(f), bench.frames)  # type: ignore[misc]
            floor = bare_ms(detector, cuda, bench.frames)
            if precision == "fp16" and batch == 1:
                ratio = p50 / floor
                bench.check("fp16, one picture: whole / bare engine", f"{ratio:.2f} (≤ 1.3)", ratio <= 1.3)
            yield precision, str(batch), f"{p50:.3f}", f"{p99:.3f}", f"{p50 / batch:.3f}", f"{floor:.3f}"


def ways(bench: Bench, cuda: Any) -> Iterator[tuple[str, ...]]:
    """One picture in fp16: with and without graph, from a registered ring."""
    frame = bench.pictures[0]
    detector = bench.detector("fp16")
    expected = detector.detect(frame).copy()
    yield ("CUDA graph, copied to page-locked memory", *ms(percentiles(lambda: detector.detect(frame), bench.frames)))
    slot = frame.copy()
    before = detector.detect(slot).copy()
    slot.fill(0)
    bench.check("the slot may be written as soon as the answer is there", "same faces", same(before, expected))
    graph, detector._session._graph = detector._session._graph, None
    bench.check("a CUDA graph was recorded", "yes" if graph else "no", graph is not None)
    bench.check("same faces without the graph", "same", same(detector.detect(frame), expected))
    yield ("no graph", *ms(percentiles(lambda: detector.detect(frame), bench.frames)))
    detector._session._graph = graph
    yield from _registered(bench, cuda, detector, expected)


def parts(bench: Bench) -> Iterator[tuple[str, ...]]:
    """What one picture in fp16 is made of, each part by itself; together they take less, or a little more."""
    detector, picture = bench.detector("fp16"), bench.pictures[0]
    session = detector._session
    outputs = session.infer([picture])

    def upload() -> None:
        session._upload([picture])
        session._stream.synchronize()

    def network() -> None:
        session._start(1)
        session._stream.synchronize()

    def decode() -> None:
        detector._family.decode_batch(outputs, detector.input_size, bench.settings.score, bench.settings.iou)

    found = detector.detect(picture).size
    named = (("copy and upload", upload), ("network and fetch", network), (f"decoding {found} faces", decode))
    for name, part in named:
        yield (name, *ms(percentiles(part, bench.frames)))


def _registered(
    bench: Bench, cuda: Any, detector: tensorrt.TensorRt, expected: Detections
) -> Iterator[tuple[str, ...]]:
    frame = bench.pictures[0]
    ring = read_only(frame)
    slot = ring[4096 : 4096 + frame.nbytes].reshape(frame.shape)
    if detector.share_ring(ring):
        bench.check("same faces from registered memory", "same", same(detector.detect(slot), expected))
        times = percentiles(lambda: detector.detect(slot), bench.frames)
        yield ("registered memory, no copy", *ms(times))
        ratio = times[0] / bare_ms(detector, cuda, bench.frames)
        bench.check("the same with a registered ring", f"{ratio:.2f} (≤ 1.3)", ratio <= 1.3)
        detector.unshare_ring(ring)
    else:
        able = cuda_driver.can_register(cuda_driver.load_driver(), 0)
        yield ("registered memory", f"not here ({'refused' if able else 'no attribute'})", "")


def read_only(frame: Frame) -> Frame:
    """A mapping like a worker's of a ring, which it may not write, with the frame behind the first page."""
    file = os.memfd_create("ring")
    os.ftruncate(file, 1 << 23)
    os.pwrite(file, frame.tobytes(), 4096)
    mapping = mmap.mmap(file, 1 << 23, mmap.MAP_SHARED, mmap.PROT_READ)
    os.close(file)
    return np.frombuffer(mapping, np.uint8)


def rivals(bench: Bench) -> Iterator[tuple[str, ...]]:
    """The same weights by others, one picture, upload to decoded faces."""
    frame, size = bench.pictures[0], (bench.width, bench.height)
    detector = bench.detector("fp16")
    expected = detector.detect(frame).copy()
    ours, _ = percentiles(lambda: detector.detect(frame), bench.frames)
    yield "TensorRT fp16", f"{ours:.3f}", "1.00"
    missing = set(HALVED)
    for name, infer in _rival_networks(bench, frame):

        def whole(infer: Callable[[], Any] = infer) -> Detections:
            return FAMILIES["centerface"].decode(infer(), size, bench.settings.score, bench.settings.iou)

        score, overlap = worst([expected], [whole()])
        bench.check(f"{name} finds the same faces", f"score ± {score:.3f}", score <= 0.02 and overlap >= OVERLAP)
        p50, _ = percentiles(whole, bench.frames)
        yield name, f"{p50:.3f}", f"{p50 / ours:.2f}"
        if name in HALVED:
            missing.remove(name)
            bench.check(f"fp16: ours / {name}", f"{ours / p50:.2f} (≤ 0.5)", ours / p50 <= 0.5)
    for name in sorted(missing):
        bench.leave_out(f"fp16: ours / {name}", "not measured: it is not here, or cannot use the GPU")


def _rival_networks(bench: Bench, frame: Frame) -> Iterator[tuple[str, Callable[[], Any]]]:
    model = prepared_model("centerface", bench.width, bench.height, bench.settings.cache_dir).content
    import onnxruntime  # noqa: PLC0415

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        session = onnxruntime.InferenceSession(model, providers=["CUDAExecutionProvider"])
        yield "onnxruntime-gpu fp32", lambda: session.run(None, {"image": frame[None]})
    if importlib.util.find_spec("torch") is not None:
        from tests.tensorrt.torch_rival import Network, Recorded  # noqa: PLC0415

        for half in (False, True):
            network, name = Network(model, half=half), f"torch fp{16 if half else 32}"
            yield name, partial(network, frame[None])
            yield f"{name} as a CUDA graph", partial(Recorded(network, frame[None].shape), frame[None])


def endured(bench: Bench, cuda: Any) -> None:
    """Ten times as many frames, then the GPU's free memory is what it was."""
    detector = bench.detector("fp16")
    detector.detect(bench.pictures[0])
    gc.collect()
    before, _ = cuda.mem_get_info()
    for index in range(bench.frames * 10):
        detector.detect(bench.pictures[index % len(bench.pictures)])
    after, _ = cuda.mem_get_info()
    lost = (before - after) / 2**20
    bench.check(f"GPU memory after {bench.frames * 10} frames", f"{lost:+.1f} MiB (≤ 1)", lost <= 1)


def ms(pair: tuple[float, float]) -> tuple[str, str]:
    return f"{pair[0]:.3f}", f"{pair[1]:.3f}"


def same(a: Detections, b: Detections) -> bool:
    return a.size == b.size and bool(np.allclose(a["score"], b["score"], atol=1e-3))


def table(heads: tuple[str, ...], rows: Rows) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(bench: Bench, trt: Any, cuda: Any) -> str:
    """Run everything, in an order where a failure comes early; answer the page."""
    gpu = tensorrt.gpu_here(cuda)
    sections = [
        "# TensorRT on a GPU\n\nThe last run of `make bench-gpu`, written by it.\n",
        f"GPU {gpu}, driver CUDA {cuda.get_driver_version()}, TensorRT {trt.__version__}, {platform.machine()}, "
        f"Python {platform.python_version()}; CenterFace {bench.width}x{bench.height}, {bench.frames} frames each.\n",
        f"visavis {visavis.__version__}{versions()}. Command: `{command(sys.argv[1:])}`\n",
        "## Engines\n",
        table(("precision", "most pictures", "layers", "MB", "built in s"), list(built(bench, trt, cuda))),
        "## Same faces as onnxruntime in float on the CPU\n",
        table(("precision", "faces", "largest difference of a score", "least overlap"), list(compared(bench))),
        "## Upload, infer, fetch, decode; ms\n",
        table(("precision", "pictures", "p50", "p99", "a picture", "bare engine"), list(timed(bench, cuda))),
        "## One picture in fp16, ways to the GPU; ms\n",
        table(("way", "p50", "p99"), list(ways(bench, cuda))),
        "## Parts of one picture in fp16; ms\n",
        table(("part", "p50", "p99"), list(parts(bench))),
        "## Others with the same weights, one picture; ms\n",
        table(("what", "p50", "times ours"), list(rivals(bench))),
    ]
    endured(bench, cuda)
    return "\n".join([*sections, "## Checks\n", table(("what", "measured", "holds"), bench.checks)])


def command(words: list[str]) -> str:
    """This run as others would type it; where its page went says nothing about its figures."""
    if "--out" in words:
        at = words.index("--out")
        words = words[:at] + words[at + 2 :]
    return shlex.join(["python", "tests/tensorrt/on_gpu.py", *words])


def versions() -> str:
    """Of the packages that are here: ", numpy 2.1, torch 2.9"."""
    here = [name for name in PACKAGES if any(importlib.metadata.distributions(name=name))]
    return "".join(f", {name} {importlib.metadata.version(name)}" for name in here)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="for each timing (default: %(default)s)")
    parser.add_argument("--input", type=int, nargs=2, default=(640, 480), metavar=("W", "H"))
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), metavar="N")
    parser.add_argument("--pictures", type=Path, nargs="+", default=sorted(PICTURES.glob("*.jpg")), metavar="FILE")
    parser.add_argument(
        "--engines", type=Path, metavar="DIR", help="keep what is built here for the next run (default: build all anew)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reference" / "gpu.md")
    return parser.parse_args()


def main() -> int:
    """Exit 0 when every check holds that can be made here; 1 when one does not, or nothing can be run."""
    args = arguments()
    if importlib.util.find_spec("tensorrt") is None and not core.why_not():
        core.build_shim()
        core.take_part()
    try:
        trt, cuda = tensorrt.modules()
        tensorrt.gpu_here(cuda)
    except ModelError as error:
        print(f"not run: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="visavis-") as folder:
        bench = Bench(args, args.engines or Path(folder))
        args.out.write_text(page(bench, trt, cuda), encoding="utf-8")
    print(f"written: {args.out}")
    return 0 if all(verdict in ("yes", "–") for _, _, verdict in bench.checks) else 1


if __name__ == "__main__":
    sys.exit(main())
