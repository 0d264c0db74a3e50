# SPDX-License-Identifier: Apache-2.0
"""Builds an engine from an ONNX file: parse, profile, configure, build; in that order here.

One code for TensorRT 8.6 to 11. Where the API differs, the branch asks `major`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec

from visavis.engines.api import (
    Builder,
    IBuilderConfig,
    ILogger,
    INetworkDefinition,
    OnnxParser,
    ParserError,
    TensorRT,
    major,
)
from visavis.engines.complaints import MOST_SENTENCES, Complaints, sentence
from visavis.engines.key import Precision, Profile
from visavis.engines.progress import LayerCount, Phases, Report, monitor
from visavis.errors import ModelError, Stopped

# What TensorRT may take while it builds, if nobody says. With a GPU there, CenterFace asked for up to 221 bytes a pixel
# (with 8 pictures, if not with 32), and what does not fit ends the build. It is a limit and not taken unless needed.
LEAST_WORKSPACE_MIB = 512
WORKSPACE_BYTES_PER_PIXEL = 256

log = logging.getLogger(__name__)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to build: the ONNX is already in `precision`; `timing_cache` is what an earlier build returned.

    `workspace_mib` None allows what the largest batch needs.
    """

    name: str
    precision: Precision
    profile: Profile
    workspace_mib: int | None = None
    timing_cache: bytes = b""


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A finished engine; `layers` counts the network's before fusing."""

    plan: bytes
    layers: int
    took_s: float
    timing_cache: bytes


def build(trt: TensorRT, model: bytes, recipe: Recipe, report: Report) -> Built:
    """Build an engine for the GPU of this process.

    Args:
        trt: the module.
        model: an ONNX file that was verified; input (pictures, height, width, 3) uint8, pictures free unless 1.
        recipe: precision, profile and limits.
        report: told how far it is; its answer False ends the build.

    Raises:
        ModelError: TensorRT cannot read the model or cannot build it; its own words are in it.
        Stopped: it was told to stop.
    """
    began_s = time.monotonic()
    progress = _Progress(report)
    # TensorRT 8 tells how far it is in its log alone, newer ones have a monitor.
    each_line = progress.layers.line if major(trt) < 10 else log.debug
    complaints = Complaints(trt, each_line)
    builder: Builder = complaints.start(trt.Builder)
    network: INetworkDefinition = _parsed(trt, builder, model, recipe, complaints.logger)
    progress.layers.expect(network.num_layers)
    config = _config(trt, builder, network, recipe)
    _watch(trt, config, progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise stopped(recipe.name) if progress.stopped else _failed(trt, config, recipe, complaints)
    return Built(
        plan=bytes(plan),
        layers=network.num_layers,
        took_s=time.monotonic() - began_s,
        timing_cache=_timing_cache(config),
    )


class _Progress:
    """What the log and the monitor of one build say."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.stopped = False
        self.phases, self.layers = Phases(self._ask), LayerCount(self._ask)

    def _ask(self, fraction: float, phase: str) -> bool:
        if not self._report(fraction, phase):
            self.stopped = True
        return not self.stopped


def _parsed(trt: TensorRT, builder: Builder, model: bytes, recipe: Recipe, logger: ILogger) -> INetworkDefinition:
    if major(trt) >= 10:
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    else:
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise ModelError(
            f"TensorRT {trt.__version__} cannot read {recipe.name}, {_parser_words(trt, parser)}",
            "run it with onnxruntime, or prepare it again with `visavis model prepare`",
        )
    return network


def _parser_words(trt: TensorRT, parser: OnnxParser) -> str:
    errors = [parser.get_error(index) for index in range(min(parser.num_errors, MOST_SENTENCES))]
    return sentence([_error_words(trt, error) for error in errors])


def _error_words(trt: TensorRT, error: ParserError) -> str:
    if error.node() < 0:
        return str(error.desc())
    operation = f" ({error.node_operator()})" if major(trt) >= 10 else ""
    return f"node {error.node()}{operation}: {error.desc()}"


def _config(trt: TensorRT, builder: Builder, network: INetworkDefinition, recipe: Recipe) -> IBuilderConfig:
    config = builder.create_builder_config()
    image = network.get_input(0)
    workspace_mib = recipe.workspace_mib or _workspace_mib(image.shape, recipe.profile)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    config.set_timing_cache(config.create_timing_cache(recipe.timing_cache), ignore_mismatch=False)
    if major(trt) < 10:
        # Networks of TensorRT 8 are weakly typed: flags allow what the file asks for.
        if recipe.precision != "fp32":
            config.set_flag(trt.BuilderFlag.FP16)
        if recipe.precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
    profile = builder.create_optimization_profile()
    least, best, most = ((count, *image.shape[1:]) for count in _counts(recipe.profile))
    profile.set_shape(image.name, least, best, most)
    if config.add_optimization_profile(profile) < 0:
        raise ModelError(f"TensorRT refuses batches of {recipe.profile} pictures for {recipe.name}")
    return config


def _workspace_mib(image: Sequence[int], profile: Profile) -> int:
    _, height, width, _ = image
    return max(LEAST_WORKSPACE_MIB, profile.most * height * width * WORKSPACE_BYTES_PER_PIXEL >> 20)


def _counts(profile: Profile) -> tuple[int, int, int]:
    return profile.least, profile.best, profile.most


def _watch(trt: TensorRT, config: IBuilderConfig, progress: _Progress) -> None:
    if major(trt) >= 10:
        config.progress_monitor = monitor(trt, progress.phases)


def _failed(trt: TensorRT, config: IBuilderConfig, recipe: Recipe, complaints: Complaints) -> ModelError:
    workspace_mib = config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) >> 20
    others = "" if recipe.precision == "fp32" else ", or choose --precision fp32"
    return ModelError(
        f"TensorRT {trt.__version__} cannot build {recipe.name} in {recipe.precision}, {complaints.sentence()}",
        f"allow more memory than --workspace-mib {workspace_mib}, name a smaller --batch or --input{others}",
    )


def stopped(model: str) -> Stopped:
    """What a build that was told to stop ends with."""
    return Stopped(f"the build of an engine for {model} was stopped", "start it again, nothing was kept")


def _timing_cache(config: IBuilderConfig) -> bytes:
    cache = config.get_timing_cache()
    return bytes(cache.serialize()) if cache is not None else b""
