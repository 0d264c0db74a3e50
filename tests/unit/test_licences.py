# SPDX-License-Identifier: Apache-2.0
"""Whatever is compiled into the daemon, or lies beside it, has the text of its licence in the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deb import beside, cross, golang, licences, packing
from deb.bundled import PartError
from deb.kept import REPOSITORY
from deb.licences import Compiled, must_be_with_python, one_text

MODULE = golang.Module("example.org/a", "v1.0.0")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A module with a package that holds another's source, and one that is not compiled."""
    for name, text in {
        "LICENSE": "ours",
        "NOTICE.txt": "notice",
        "license.go": "package a",
        "third/COPYING": "theirs",
        "third/inside/code.go": "package inside",
        "unused/LICENSE": "unused",
    }.items():
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_text(text)
    (tmp_path / "LICENSE").write_text("of another module")
    return tmp_path / "a"


def test_the_texts_are_those_of_the_compiled_folders_and_above_them(root: Path) -> None:
    said = one_text([MODULE], [Compiled(*MODULE, root, root / "third/inside")])
    for text in ("ours", "notice", "theirs", "example.org/a v1.0.0: third/COPYING"):
        assert text in said
    for text in ("package a", "unused", "of another module"):
        assert text not in said


def test_a_text_that_two_modules_have_stands_once(root: Path, tmp_path: Path) -> None:
    other = golang.Module("example.org/b", "v2.0.0")
    shutil.copytree(root, tmp_path / "b")
    compiled = [Compiled(*MODULE, root, root), Compiled(*other, tmp_path / "b", tmp_path / "b")]
    said = one_text([other, MODULE], compiled)
    assert said.count("\nours\n") == 1
    assert "example.org/a v1.0.0: LICENSE\nexample.org/b v2.0.0: LICENSE\n" in said


def test_a_module_without_a_licence_ends_the_build(root: Path) -> None:
    for file in (root / "LICENSE", root / "NOTICE.txt"):
        file.unlink()
    with pytest.raises(PartError, match=r"example\.org/a v1\.0\.0 has no text of its licence"):
        one_text([MODULE], [Compiled(*MODULE, root, root)])


def test_another_version_than_that_in_the_program_is_not_taken(root: Path) -> None:
    with pytest.raises(PartError, match=r"v1\.0\.0 has no text"):
        one_text([MODULE], [Compiled(MODULE.path, "v0.9.0", root, root)])


def test_a_licence_of_what_a_module_has_taken_over_is_not_its_own(root: Path) -> None:
    (root / "LICENSE").unlink()
    (root / "NOTICE.txt").unlink()
    with pytest.raises(PartError, match="has no text of its licence"):
        one_text([MODULE], [Compiled(*MODULE, root, root / "third/inside")])


def test_debians_go_has_its_licence_in_its_copyright(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those of what Go has taken over lie in Debian's GOROOT."""
    (root / "LICENSE").unlink()
    (root / "NOTICE.txt").unlink()
    monkeypatch.setattr(licences, "DOCUMENTS", tmp_path)
    compiled = [Compiled("go", "", root, root / "third/inside")]
    with pytest.raises(PartError, match=r"go 1\.24\.4 has no text"):
        one_text([golang.Module("go", "1.24.4")], compiled)
    text = tmp_path / "golang-1.24-src/copyright"
    text.parent.mkdir()
    text.write_text("Go's")
    said = one_text([golang.Module("go", "1.24.4")], compiled)
    assert "go 1.24.4: copyright\n" in said
    assert "go 1.24.4: third/COPYING\n" in said


def test_the_daemon_has_those_of_go_and_of_every_module() -> None:
    program = REPOSITORY / "build/visavis-capture"
    said = licences.of_daemon(program, {**golang.environment(), "CGO_ENABLED": "1"}, cross.TAGS)
    for module in golang.modules(program):
        assert f"\n{module.path} {module.version}: " in said
    for name in (": PATENTS", ": edl-v10", "client_golang v1.23.2: NOTICE", "gddo/LICENSE", "The Hybrid Group"):
        assert name in said


def of_python(site: Path, name: str) -> Path:
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return metadata


def test_a_python_package_without_a_licence_ends_the_build(tmp_path: Path) -> None:
    (of_python(tmp_path, "good") / "licenses/src").mkdir(parents=True)
    (tmp_path / "good-1.0.dist-info/licenses/src/COPYING").write_text("free")
    (of_python(tmp_path, "british") / "LICENCE").write_text("free")
    must_be_with_python(tmp_path)
    of_python(tmp_path, "bad")
    with pytest.raises(PartError, match="bad has no text of its licence"):
        must_be_with_python(tmp_path)


def test_a_licence_that_lies_elsewhere_must_lie_there(tmp_path: Path) -> None:
    of_python(tmp_path, "onnxruntime")
    with pytest.raises(PartError, match="onnxruntime has no text"):
        must_be_with_python(tmp_path)
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/LICENSE").write_text("free")
    must_be_with_python(tmp_path)


def test_only_the_package_that_holds_what_others_made_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: dict[str, str] = {}
    monkeypatch.setattr("deb.kept.CACHE", tmp_path / "cache")  # else it waits for a `make deb`
    monkeypatch.setattr(
        beside, "pack", lambda package, *_: made.update({package.name: packing.copyright_of(package).read_text()})
    )
    beside.packages("1.0", tmp_path)
    assert set(made) == {"visavis-broker", "visavis-tensorrt"}
    assert not [name for name, text in made.items() if "site-packages" in text]
