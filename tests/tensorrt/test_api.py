# SPDX-License-Identifier: Apache-2.0
"""Every TensorRT name that the product uses exists in 8.6, 10.3, 10.16 and 11.4, or stands in a version branch.

The lists beside the repository were taken from the official modules. The source is walked with types: `trt` is the
module, parameters have the names in `engines/api.py` as annotations, and what a call returns is in the lists.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tensorrt.core import ROOT

LISTS = ROOT.parent / "shared" / "data" / "tensorrt-api"
VERSIONS = ("8.6", "10.3", "10.16", "11.4")
PRODUCT = ROOT / "trt-infer" / "visavis"
MODULE = "TensorRT"
Api = dict[str, Any]


def api_of(version: str) -> Api:
    path = LISTS / f"api-{version}.json.gz"
    if not path.exists():
        pytest.skip(f"the list of TensorRT {version}'s names is not at {path}")
    with gzip.open(path) as file:
        api: Api = json.load(file)["api"]
    return api


def sources() -> list[Path]:
    """Every module of the product that has TensorRT in its hands."""
    mark = re.compile(r"^\s*import tensorrt|from visavis\.engines\.api import", re.MULTILINE)
    return [path for path in sorted(PRODUCT.rglob("*.py")) if mark.search(path.read_text())]


def members(api: Api, kind: str) -> set[str]:
    described = api.get(kind, {})
    return set(described.get("enum", ())) | set(described)


class Walk:
    """Reads one module with the eyes of one version. `found` are names that are there, `missing` those that are not."""

    def __init__(self, api: Api, major: int) -> None:
        self._api, self._major = api, major
        self._fields: dict[str, str] = {}
        self.found: set[str] = set()
        self.missing: set[str] = set()

    def module(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                self._fields[node.target.attr] = ast.unparse(node.annotation)
        self._block(tree.body, {})

    def _block(self, statements: list[ast.stmt], names: dict[str, str]) -> None:
        for statement in statements:
            if isinstance(statement, ast.If) and (holds := self._branch(statement.test)) is not None:
                taken = statement.body if holds else statement.orelse
                self._block(taken, names)
                if holds and isinstance(taken[-1], ast.Return | ast.Raise):
                    return
            else:
                self._statement(statement, names)

    def _statement(self, statement: ast.stmt, names: dict[str, str]) -> None:
        if isinstance(statement, ast.FunctionDef):
            inner = dict(names)
            for argument in [*statement.args.args, *statement.args.kwonlyargs]:
                if argument.annotation is not None:
                    inner[argument.arg] = ast.unparse(argument.annotation)
            self._block(statement.body, inner)
            return
        for expression in direct_expressions(statement):
            self._look(expression, names)
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            names[statement.targets[0].id] = self._type(statement.value, names)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names[statement.target.id] = ast.unparse(statement.annotation)
        for block in inner_blocks(statement):
            self._block(block, names)

    def _branch(self, test: ast.expr) -> bool | None:
        """`major(trt) >= 10` for this version; None for every other condition."""
        text = re.fullmatch(r"major\(trt\) (>=|<) (\d+)", ast.unparse(test))
        if text is None:
            return None
        return (self._major >= int(text[2])) == (text[1] == ">=")

    def _look(self, expression: ast.expr, names: dict[str, str]) -> None:
        for node in ast.walk(expression):
            if isinstance(node, ast.IfExp) and (holds := self._branch(node.test)) is not None:
                self._look(node.body if holds else node.orelse, names)
                return
            if isinstance(node, ast.Attribute):
                self._attribute(node, names)

    def _attribute(self, node: ast.Attribute, names: dict[str, str]) -> None:
        owner = self._type(node.value, names)
        if owner == MODULE:
            known = node.attr in self._api or node.attr == "__version__"
            (self.found if known else self.missing).add(f"tensorrt.{node.attr}")
        elif owner in self._api:
            known = node.attr in members(self._api, owner)
            (self.found if known else self.missing).add(f"{owner}.{node.attr}")

    def _type(self, node: ast.expr, names: dict[str, str]) -> str:
        """The TensorRT type of an expression, "TensorRT" for the module, "" for everything else."""
        if isinstance(node, ast.Name):
            return names.get(node.id, MODULE if node.id in ("trt", "tensorrt") else "")
        if isinstance(node, ast.Call):
            return self._called(node.func, names)
        return self._attribute_type(node, names) if isinstance(node, ast.Attribute) else ""

    def _attribute_type(self, node: ast.Attribute, names: dict[str, str]) -> str:
        if node.attr == "trt":
            return MODULE
        owner = self._type(node.value, names)
        inner_class = owner in self._api and node.attr in self._api  # such as ILogger.Severity
        if owner == MODULE or inner_class:
            return node.attr
        return self._fields.get(node.attr, "") if ast.unparse(node.value) == "self" else ""

    def _called(self, function: ast.expr, names: dict[str, str]) -> str:
        if not isinstance(function, ast.Attribute):
            return ""
        owner = self._type(function.value, names)
        if owner == MODULE:
            return function.attr
        signature = " ".join(self._api.get(owner, {}).get(function.attr, ())) if owner in self._api else ""
        returned = re.search(r"-> [\w.]*?tensorrt\.(\w+)", signature)
        return returned[1] if returned else ""


def direct_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    for _, value in ast.iter_fields(statement):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr):
                yield item
            elif isinstance(item, ast.withitem):
                yield item.context_expr


def inner_blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for handler in getattr(statement, "handlers", []):
        yield handler.body


def walked(text: str, version: str) -> Walk:
    walk = Walk(api_of(version), int(version.split(".", maxsplit=1)[0]))
    walk.module(ast.parse(text))
    return walk


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_that_is_used_exists_in_each_tensorrt(version: str) -> None:
    found: set[str] = set()
    for path in sources():
        walk = walked(path.read_text(), version)
        assert not walk.missing, f"{path} uses what TensorRT {version} has not: {sorted(walk.missing)}"
        found |= walk.found
    expected = {
        "tensorrt.Builder",
        "Builder.build_serialized_network",
        "IBuilderConfig.set_memory_pool_limit",
        "ICudaEngine.get_tensor_dtype",
        "IExecutionContext.execute_async_v3",
        "INetworkDefinition.get_input",
        "IOptimizationProfile.set_shape",
        "OnnxParser.parse",
        "ParserError.desc",
        "Runtime.deserialize_cuda_engine",
        "TensorIOMode.INPUT",
    }
    assert expected <= found, f"not seen, so the walk is blind: {sorted(expected - found)}"


# Names that only TensorRT has: on a value whose type the walk cannot tell, they would go by unseen.
OWNERS = ("Builder", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "INetworkDefinition", "OnnxParser")


def test_the_walk_sees_every_use_of_a_tensorrt_name() -> None:
    apis = {version: api_of(version) for version in VERSIONS}
    names = {name for api in apis.values() for owner in OWNERS for name in api.get(owner, {})}
    theirs = {name for name in names if "_" in name.strip("_")}
    for path in sorted([*PRODUCT.glob("engines/*.py"), *PRODUCT.glob("backends/*.py")]):
        text = path.read_text()
        used = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)} & theirs
        seen: set[str] = set()
        for version in VERSIONS:
            seen |= {name.partition(".")[2] for name in walked(text, version).found}
        assert used <= seen, f"{path}: the walk cannot tell whose {sorted(used - seen)} these are: annotate"


@pytest.mark.parametrize(
    ("line", "missing_in"),
    [
        ("engine.get_binding_index('x')", {"10.3", "10.16", "11.4"}),
        ("engine.num_io_tensors", set()),
        ("trt.BuilderFlag.FP16", {"11.4"}),
        ("trt.Builder(log).create_builder_config().max_workspace_size", {"10.3", "10.16", "11.4"}),
        ("trt.IProgressMonitor", {"8.6"}),
        ("trt.NoSuchThing", set(VERSIONS)),
    ],
)
def test_the_walk_sees_what_is_missing(line: str, missing_in: set[str]) -> None:
    text = f"def f(trt: TensorRT, log: ILogger, engine: ICudaEngine):\n    {line}\n"
    assert {version for version in VERSIONS if walked(text, version).missing} == missing_in


def test_the_walk_understands_version_branches() -> None:
    text = (
        "def f(trt: TensorRT):\n"
        "    if major(trt) >= 10:\n        trt.IProgressMonitor\n"
        "    else:\n        trt.BuilderFlag.STRICT_TYPES\n"
        "    if major(trt) < 10:\n        return None\n"
        "    trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED\n"
    )
    assert not any(walked(text, version).missing for version in VERSIONS)
    assert walked(text.replace(">= 10", ">= 8"), "8.6").missing == {"tensorrt.IProgressMonitor"}
