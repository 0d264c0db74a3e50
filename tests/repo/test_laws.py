# SPDX-License-Identifier: Apache-2.0
"""The laws of the house, as tests: who may import what, and what no file may hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = "visavis/capture/internal/"
OPENCV_FOLDERS = {"source", "preprocess", "jpeg", "gateway/decode"}
# What is written in C or stands on it.
IN_C = {"gocv.io/x/gocv", MODULE + "libjpeg"}
STRANGERS = {"source", "web", "mqtt"}  # never import each other
WIRING = {"pipeline"}
SMALL_CASE_NAMES = ("utils", "helpers", "common", "manager", "misc")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, or would know, matching any of `patterns`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def go_files(*, tests: bool = False) -> list[Path]:
    """Go sources; test files only when asked for."""
    return [path for path in tracked("go-capture/*.go") if tests or not path.name.endswith("_test.go")]


def room(path: Path) -> str:
    """The package folder under internal/, or "" for cmd."""
    parts = path.relative_to(ROOT / "go-capture").parts
    return parts[1] if parts[0] == "internal" else ""


def folder(path: Path) -> str:
    """The package's whole folder under internal/."""
    return "/".join(path.relative_to(ROOT / "go-capture").parts[1:-1])


def imports(path: Path) -> set[str]:
    """What a Go file imports."""
    head = re.split(r"^(?:func|type|var|const) ", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r'^\s*(?:import\s+)?(?:[\w.]+\s+)?"([^"]+)"', head, re.MULTILINE))


def test_opencv_is_imported_in_four_folders_only() -> None:
    users = {folder(path) for path in go_files(tests=True) if any("gocv" in name for name in imports(path))}
    assert users, "no file imports gocv: this test looks in the wrong place"
    assert users <= OPENCV_FOLDERS


def test_parts_of_mats_are_taken_by_preprocess_alone() -> None:
    """GoCV's own Region ends the process when the part reaches outside."""
    taken = re.compile(r"(?<!preprocess)\.(Region|RowRange|ColRange)\(")
    users = {path.name for path in go_files() if taken.search(path.read_text())}
    assert users == {"region.go"}


def test_what_touches_neither_opencv_nor_libjpeg_builds_without_a_c_compiler() -> None:
    go = ROOT / "go-capture"
    template = '{{.ImportPath}} {{join .Deps " "}}'
    tags = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio"
    listed = subprocess.run(
        ["go", "list", "-tags", tags, "-f", template, "./..."], cwd=go, capture_output=True, text=True, check=True
    )
    packages = [line.split() for line in listed.stdout.splitlines()]
    pure = [package for package, *needs in packages if not IN_C & {package, *needs}]
    assert {MODULE + name for name in ("ring", "dispatch", "hub", "mqtt", "web", "v4l2", "track", "outbox")} <= set(
        pure
    )
    build = ["go", "build", "-tags", tags, "-o", "/dev/null", *pure]
    done = subprocess.run(
        build, cwd=go, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_source_web_and_mqtt_do_not_know_each_other() -> None:
    for path in go_files():
        others = {name.removeprefix(MODULE).split("/")[0] for name in imports(path) if name.startswith(MODULE)}
        if room(path) in STRANGERS:
            assert not others & (STRANGERS - {room(path)}), f"{path} imports {others}"


def test_only_pipeline_and_cmd_see_everything() -> None:
    for path in go_files():
        others = {name.removeprefix(MODULE).split("/")[0] for name in imports(path) if name.startswith(MODULE)}
        if room(path) not in WIRING | {""}:
            assert "pipeline" not in others, f"{path} imports the wiring"


def test_every_go_program_but_the_daemon_lies_among_the_test_programs() -> None:
    programs = {path.parent for path in go_files() if re.search(r"^package main$", path.read_text(), re.MULTILINE)}
    assert {str(program.parent.relative_to(ROOT / "go-capture")) for program in programs} == {
        "cmd",
        "internal/testprogram",
    }


def test_no_go_file_has_an_init_function() -> None:
    written = [path for path in go_files(tests=True) if "_gen." not in path.name]  # protoc writes some
    guilty = [path for path in written if re.search(r"^func init\(\)", path.read_text(), re.MULTILINE)]
    assert not guilty


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("tensorrt", "backends/tensorrt.py"),
        ("pycuda", "backends/tensorrt.py"),
        ("paho", "client/connection.py"),
        ("grpc", "openinference/over_grpc.py"),
    ],
)
def test_heavy_packages_have_one_door(module: str, allowed: str) -> None:
    for path in tracked("trt-infer/*.py"):
        if any(name.split(".")[0] == module for name in python_imports(path)):
            assert str(path).endswith(allowed), f"{path} imports {module}"


def python_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


BROAD = {"Exception", "BaseException"}


def test_broad_excepts_live_in_the_workers_outermost_loop_only() -> None:
    found = [(path.name, name) for path in tracked("trt-infer/*.py") for name in broad_excepts(path)]
    assert found == [("worker.py", "answer"), ("worker.py", "infer_together")]


def broad_excepts(path: Path) -> Iterator[str]:
    """The innermost function around each `except` or `suppress` that takes whatever comes."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler | ast.Call) and is_broad(node):
            around = [one for one in functions if one.lineno <= node.lineno <= (one.end_lineno or 0)]
            yield max(around, key=lambda one: one.lineno).name if around else ""


def is_broad(node: ast.ExceptHandler | ast.Call) -> bool:
    if isinstance(node, ast.ExceptHandler):
        return node.type is None or bool(BROAD & names_in(node.type))
    return ast.unparse(node.func).endswith("suppress") and any(BROAD & names_in(one) for one in node.args)


def names_in(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


@pytest.mark.parametrize("broad", ["except:", "except Exception:", "except (OSError, BaseException) as error:"])
def test_the_law_sees_every_form_of_a_broad_except(broad: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"def f():\n    try:\n        pass\n    {broad}\n        pass\n")
    (tmp_path / "b.py").write_text("def g():\n    with contextlib.suppress(KeyError, Exception):\n        pass\n")
    (tmp_path / "c.py").write_text("try:\n    pass\nexcept OSError:\n    raise Exception\n")
    assert [list(broad_excepts(tmp_path / name)) for name in ("a.py", "b.py", "c.py")] == [["f"], ["g"], []]


def test_threads_are_started_where_a_refusal_is_an_error_of_the_system() -> None:
    """Python's own start raises RuntimeError, which nobody around a thread expects."""
    home = ROOT / "trt-infer/visavis"
    starters = {path for path in tracked("trt-infer/*.py") if any(map(is_start, ast.walk(ast.parse(path.read_text()))))}
    # The latter starts a process.
    assert starters == {home / "threads.py", home / "hardware/capture.py"}, "use threads.start"


def is_start(node: ast.AST) -> bool:
    """Whether it is `something.start()`; what takes an argument is no thread's."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "start"
        and not (node.args or node.keywords)
    )


def test_what_programs_say_is_read_whatever_its_bytes_are() -> None:
    """They say names of files, and those need not be UTF-8; `visavis.programs.ran` reads what they say."""
    found = [(path.name, line) for path in tracked("trt-infer/*.py") for line in strict_streams(path.read_text())]
    assert not found


def strict_streams(source: str) -> Iterator[int]:
    """The lines of calls that let Python decode a program's output, and end in a traceback where it cannot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            given = {one.arg for one in node.keywords}
            starts = given & {"capture_output", "stdout", "stderr"}
            if starts and given & {"text", "universal_newlines", "encoding"} and "errors" not in given:
                yield node.lineno


def test_the_law_sees_a_strict_stream() -> None:
    assert list(strict_streams("run(a, stdout=b, text=True)\nrun(a, capture_output=True, encoding='utf-8')")) == [1, 2]
    assert not list(strict_streams("run(a, stdout=b, text=True, errors='replace')\nrun(a, stdout=b)"))


def test_python_modules_import_each_other_without_a_cycle() -> None:
    root = ROOT / "trt-infer"
    files = {module_name(path, root): path for path in tracked("trt-infer/*.py")}
    graph = {name: top_level_imports(path) & files.keys() for name, path in files.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"import cycle: {' -> '.join((*way, name))}"
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def top_level_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_source_file_names_its_licence() -> None:
    silent = [
        path
        for path in tracked("*.py", "*.go", "*.sh", "*.js", "*.css")
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(path.read_text().splitlines()[:4])
    ]
    assert not silent


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path in tracked("*.py", "*.go") if path.stem in SMALL_CASE_NAMES]


def test_no_binary_is_committed() -> None:
    allowed = {".png", ".svg", ".bin", ".jpg", ".ico"}
    binary = [path for path in tracked() if b"\0" in path.read_bytes()[:8_000] and path.suffix not in allowed]
    assert not binary
    assert not [path for path in tracked() if path.stat().st_size > 1_000_000]


def test_no_private_key_is_committed() -> None:
    """Commands that make some take the current folder for theirs when they are tried out."""
    begins = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)
    assert not [path for path in tracked() if begins.search(path.read_bytes())]


def test_requirements_are_pinned_by_hash_and_name_no_index() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|index-url|find-links", text), path
