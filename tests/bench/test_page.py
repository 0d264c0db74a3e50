# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.bench import overhead
from tests.bench.child import Child
from tests.bench.page import Bar, Section, page
from tests.bench.plot import Plot, marked, rounded_up, svg
from tests.bench.run import verdict

KEPT = [Bar("at most", 2, 2), Bar("at least", 2, 2, most=False)]
MISSED = [Bar("above the most", 2.1, 2, "ms"), Bar("below the least", 1.9, 2, most=False)]


def test_bars_that_hold_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([Section("a", [], KEPT)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("bar", MISSED)
def test_a_missed_bar_is_named_and_fails_the_run(bar: Bar, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([Section("a", [], KEPT), Section("b", [], [bar])]) == 1
    assert bar.what in capsys.readouterr().err
    assert f"{bar.row()}" in page([Section("b", [], [bar])])
    assert bar.row().endswith("| NO |")


def test_a_picture_shows_every_point() -> None:
    plot = Plot("a < b", "cameras", [(1, 2.0), (2, 4.1), (8, 16)])
    picture = ElementTree.fromstring(svg([[plot, plot], [plot]]))  # noqa: S314 (our own text)
    assert len(picture.findall(".//{http://www.w3.org/2000/svg}circle")) == 9
    assert "a < b" in "".join(picture.itertext())


def test_labels_have_room_and_axes_end_at_round_numbers() -> None:
    assert marked([1, 10, 50, 200]) == [200, 50, 10]
    assert [rounded_up(value) for value in (0.03, 16, 21, 100)] == pytest.approx([0.05, 20, 25, 100])


def a_tenth(value: float) -> float:
    return value / 10


def fails() -> None:
    raise SystemExit(3)


def test_a_child_answers() -> None:
    with Child(a_tenth, 5.0) as child:
        assert child.answer(30) == 0.5


def test_a_child_that_dies_is_not_waited_for() -> None:
    with pytest.raises(ChildProcessError, match="fails"), Child(fails) as child:
        child.answer(30)


def test_a_frame_in_the_worker_is_timed_beside_its_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "TURNS", 14)
    monkeypatch.setattr(overhead, "WARM_UP", 0)
    found = overhead.found_here()
    assert found["faces"] >= found["pictures"] >= 2
    assert found["p50_ms"] > 0
