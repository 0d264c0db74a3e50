# SPDX-License-Identifier: Apache-2.0
"""TensorRT 8.6 as far as the product builds with it: its names alone, over the real core of a newer one.

A name that 8.6 does not have is an AttributeError, on the module and on what it makes. What 8.6 has and the core no
longer does stands here: networks with an explicit batch, and the flags without which 8.6 builds nothing in half
precision or INT8 ("fp16 precision has been set for a layer or layer output, but fp16 is not configured"). It parses and
builds with the core: what 8.6's own parser and builder would say or make, it cannot show.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from tests.tensorrt.test_api import Api, members

# Enumerations whose members the core has no longer.
GONE = ("BuilderFlag", "NetworkDefinitionCreationFlag")
# What is subclassed, or holds nothing that differs.
PLAIN = ("ILogger", "DataType", "Dims", "IHostMemory")


class Restricted:
    """A value of TensorRT's with the names that 8.6 has of its kind."""

    def __init__(self, api: Api, kind: str, real: Any, **own: Callable[..., Any]) -> None:
        vars(self).update(_api=api, _kind=kind, _real=real, _own=own)

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        return self._own[name] if name in self._own else self._wrapped(getattr(self._real, name))

    def __setattr__(self, name: str, value: object) -> None:
        self._check(name)
        setattr(self._real, name, _bare(value))

    def _check(self, name: str) -> None:
        if name not in members(self._api, self._kind):
            raise AttributeError(f"TensorRT 8.6 has no {self._kind}.{name}")

    def _wrapped(self, value: Any) -> Any:
        kind = type(value).__name__
        if callable(value):
            return lambda *words, **more: self._wrapped(value(*map(_bare, words), **more))
        described = kind in self._api and kind not in PLAIN and "enum" not in self._api[kind]
        return Restricted(self._api, kind, value) if described else value


def _bare(value: Any) -> Any:
    return vars(value)["_real"] if isinstance(value, Restricted) else value


class Older:
    """The module.

    Attributes:
        flags: what the last configuration was told.
        networks: those that were built, as the core has them.
    """

    __version__ = "8.6.1"

    def __init__(self, trt: Any, api: Api) -> None:
        self._trt, self._api = trt, api
        self.flags: set[str] = set()
        self.networks: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name not in self._api:
            raise AttributeError(f"TensorRT 8.6 has no {name}")
        if name in GONE:
            return IntEnum(name, self._api[name]["enum"], start=0)
        if name in PLAIN:
            return getattr(self._trt, name)
        return Restricted(self._api, name, getattr(self._trt, name))

    def OnnxParser(self, network: Restricted, logger: Any) -> Restricted:
        """The core's."""
        return Restricted(self._api, "OnnxParser", self._trt.OnnxParser(_bare(network), logger))

    def Builder(self, logger: Any) -> Restricted:
        """One that knows 8.6's networks and flags."""
        real = self._trt.Builder(logger)

        def network(flags: int = 0) -> Restricted:
            explicit = 1 << int(self.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
            assert flags == explicit, "8.6's parser only takes networks with an explicit batch"
            strongly_typed = 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            return Restricted(self._api, "INetworkDefinition", real.create_network(strongly_typed))

        def config() -> Restricted:
            self.flags = set()
            made = real.create_builder_config()
            return Restricted(self._api, "IBuilderConfig", made, set_flag=lambda flag: self.flags.add(flag.name))

        def build(network: Restricted, config: Restricted) -> Any:
            self.networks.append(_bare(network))
            refusal = self._refusal(_bare(network))
            if refusal:
                logger.log(self._trt.ILogger.Severity.ERROR, refusal)
                return None
            return real.build_serialized_network(_bare(network), _bare(config))

        return Restricted(
            self._api,
            "Builder",
            real,
            create_network=network,
            create_builder_config=config,
            build_serialized_network=build,
        )

    def _refusal(self, network: Any) -> str:
        """What 8.6 says of a network that asks for more than the flags allow."""
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        kinds = {layer.get_output(index).dtype for layer in layers for index in range(layer.num_outputs)}
        for kind, flag in ((self._trt.DataType.HALF, "FP16"), (self._trt.DataType.INT8, "INT8")):
            if kind in kinds and flag not in self.flags:
                return f"{flag} precision has been set for a layer, but {flag} is not configured in the builder"
        return ""
