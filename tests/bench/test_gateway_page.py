# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench.curves import Curves, svg
from tests.bench.gateway.article import claims
from tests.bench.gateway.bars import TIMES, bars, different
from tests.bench.gateway.figures import SHARES, CheapRun, ClosedRun, Figures, InTurns, OpenRun
from tests.bench.gateway.frames import SIZES, Latency
from tests.bench.gateway.live import BROADCAST, TUTORIAL, LiveRun
from tests.bench.gateway.live import VISAVIS as LIVE_VISAVIS
from tests.bench.gateway.load import Answers, Cheap, Spread, wrk_figures
from tests.bench.gateway.page import Found, sections
from tests.bench.gateway.servers import FLASK, PATIENT_VISAVIS, RIVALS, VISAVIS
from tests.bench.gateway.tables import cheap_words, floor_words, load_plots, most_of_two, turns_table
from tests.bench.gateway.workers import Spent, WorkersRun
from tests.bench.page import parts
from tests.bench.tree import Memory

DRIFT = (1.0, 0.8, 1.2)  # the machine's speed in the rounds
FACE = {"box": [10.0, 10.0, 20.0, 20.0], "score": 0.9}
WRK = """\
    Latency     5.00ms    9.00ms 200.00ms   91.50%
    Req/Sec     4.78k     3.87k   15.42k    77.99%
  Latency Distribution
     50%  812.00us
     99%    1.50s
  9000 requests in 2.00s, 5.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 4
  Non-2xx or 3xx responses: 3
Requests/sec:   4500.25
"""


def answers(per_second: float, p50_ms: float, refused: int = 0) -> Answers:
    count = int(per_second)
    took = Spread(count, p50_ms, False, 2 * p50_ms, False, 2 * p50_ms)
    quick = Spread(refused, 1.0, False, 2.0, False, 2.0)
    statuses = {"200": count, "429": refused}
    probes = Spread(9, 0.3, False, 1, False, 1)
    return Answers(1.0, count + refused, count, count, 1.0, statuses, 0, took, quick, refused, 0, probes)


def figures(name: str, requests: float, pictures: float, refused: int = 0) -> Figures:
    def cheap(connections: int) -> CheapRun:
        rounds = [Cheap(drift * requests, 1.0, 2.0, int(requests), 0) for drift in DRIFT]
        return CheapRun(connections, rounds, 1e6 / requests)

    closed = [
        ClosedRun(n, answers(pictures, 100.0 if refused else 1e3 * n / pictures, refused), 50.0, Memory(200.0, 50.0))
        for n in (1, 16, 64, 256)
    ]
    opened = [
        OpenRun(share, share * pictures, answers(min(1, share) * pictures, 99.0, refused if share > 1 else 0))
        for share in SHARES
    ]
    rates = [drift * pictures for drift in DRIFT]
    turns = InTurns([cheap(1), cheap(64)], cheap(64), rates, rates)
    return Figures(name, turns, [FACE], closed, opened, 40.0, 3)


SERVERS = {kind.name: figures(kind.name, 1000.0, 40.0) for kind in RIVALS} | {
    PATIENT_VISAVIS.name: figures(PATIENT_VISAVIS.name, 50_000.0, 41.0)._replace(
        turns=InTurns([], None, [drift * 41.0 for drift in DRIFT], []), opened=[]
    ),
    VISAVIS.name: figures(VISAVIS.name, 50_000.0, 40.0, refused=20),
}
LIVE = {
    TUTORIAL: [LiveRun(1, 20, 20, 0, 1, 0, 0, 100), LiveRun(64, 1, 1, 0, 2, 0, 0, 900)],
    BROADCAST: [LiveRun(1, 21, 21, 0, 1, 0, 0, 100), LiveRun(256, 13, 13, 0, 2, 0, 0, 120)],
    LIVE_VISAVIS: [
        LiveRun(1, 30, 30, 0, 1, 0.1, 50, 200),
        LiveRun(256, 29.9, 30, 0, 1.2, 0.3, 60, 210),
        LiveRun(500, 29.6, 30, 0, 1.4, 0.6, 110, 260),  # more than the bars of 256 allow
    ],
}
RATES = {"1": [20.0, 20.0, 16.0], "2": [39.0, 31.2, 31.2], "INT8": [70.0, 56.0, 56.0]}
WORKERS = {name: WorkersRun(rates, Spent(40.0, 4.0), 200.0, {"a": [FACE]}) for name, rates in RATES.items()}


LEAST = InTurns(figures("", 60_000.0, 1.0).turns.health, figures("", 80_000.0, 1.0).turns.status, [], [])


def test_all_bars_hold_for_figures_as_they_are_wanted() -> None:
    assert [bar.row() for bar in bars(SERVERS, LIVE, WORKERS, 250) if not bar.holds] == []


SLOW = figures("", 3_000.0, 20.0).turns


@pytest.mark.parametrize(
    ("name", "change", "missed"),
    [
        (VISAVIS.name, {"health": SLOW.health}, "`/healthz`, 64 connections"),
        (VISAVIS.name, {"status": SLOW.status}, "status, 64 connections"),
        (PATIENT_VISAVIS.name, {"pictures": SLOW.pictures}, "pictures a second, 16 connections"),
        (VISAVIS.name, {"overload": SLOW.overload}, "answers a second at 2"),
    ],
)
def test_a_figure_that_is_too_low_in_turns_misses_its_bar(name: str, change: dict[str, Any], missed: str) -> None:
    one = SERVERS[name]
    names = missed_bars(SERVERS | {name: one._replace(turns=one.turns._replace(**change))})
    assert any(name.startswith(missed) for name in names), names


def with_run(name: str, change: Callable[[Answers], Answers]) -> dict[str, Figures]:
    """All servers, of which one got other answers in all closed and open loops."""
    one = SERVERS[name]
    closed = [run._replace(found=change(run.found)) for run in one.closed]
    opened = [run._replace(found=change(run.found)) for run in one.opened]
    return SERVERS | {name: one._replace(closed=closed, opened=opened)}


def test_rivals_that_have_failed_are_not_beaten() -> None:
    dead = [CheapRun(n, [Cheap(0.0, 0.0, 0.0, 0, 9) for _ in DRIFT], 0.0) for n in (1, 64)]
    servers = {
        name: one._replace(turns=one.turns._replace(health=dead, status=dead[1])) if name in TIMES else one
        for name, one in SERVERS.items()
    }
    assert len(missed_bars(servers)) == 2 * len(TIMES)


def test_an_error_is_no_quick_answer() -> None:
    def broken(found: Answers) -> Answers:
        return found._replace(statuses={"0": 5, "500": 3})

    runs = len(SERVERS[PATIENT_VISAVIS.name].closed)
    missed = {bar.what: bar.value for bar in bars(with_run(PATIENT_VISAVIS.name, broken), LIVE, WORKERS, 250)}
    assert missed["pictures in closed loops with neither an answer nor a refusal"] == 8 * runs
    health = [CheapRun(n, [Cheap(drift * 5e4, 1.0, 2.0, 9, 9) for drift in DRIFT], 1.0) for n in (1, 64)]
    ours = SERVERS[VISAVIS.name]
    failing = SERVERS | {VISAVIS.name: ours._replace(turns=ours.turns._replace(health=health))}
    assert missed_bars(failing) == ["cheap requests to visavis without an answer of status 200"]


def test_who_refuses_everything_answers_nobody_in_time() -> None:
    def refuses(found: Answers) -> Answers:
        return found._replace(statuses={"503": found.sent}, answered=Spread(0, 0.0, False, 0.0, False, 0.0))

    missed = missed_bars(with_run(VISAVIS.name, refuses))
    assert [name.partition(" at ")[0] for name in missed] == ["accepted pictures"] * len(SHARES) + ["answers"]


@pytest.mark.parametrize(
    ("probes", "failed", "missed"),
    [
        pytest.param(Spread(9, 0.1, True, 0.1, True, 0.1), 9, ["p50", "p99", "without an answer"], id="all failed"),
        pytest.param(Spread(0, 0.0, False, 0.0, False, 0.0), 0, ["p50", "p99"], id="none was asked"),
        pytest.param(Spread(999, 0.1, False, 0.2, False, 9.0), 1, ["without an answer"], id="one failed"),
    ],
)
def test_a_probe_that_fails_is_no_quick_answer(probes: Spread, failed: int, missed: list[str]) -> None:
    servers = with_run(PATIENT_VISAVIS.name, lambda found: found._replace(probes=probes, failed=failed))
    assert missed_bars(servers) == [f"`/healthz` while 16 clients send pictures, {name}" for name in missed]


def test_a_face_that_only_one_finds_misses_its_bar() -> None:
    blind = SERVERS[VISAVIS.name]._replace(faces=[])
    assert missed_bars(SERVERS | {VISAVIS.name: blind})[0].startswith("faces that a server finds")


def missed_bars(servers: Mapping[str, Figures]) -> list[str]:
    return [bar.what for bar in bars(servers, LIVE, WORKERS, 250) if not bar.holds]


def test_verdicts_follow_the_figures() -> None:
    text = "\n".join(claims(SERVERS, LIVE))
    assert "True of requests without a picture: 1,000 and 50,000 a second, 50 times" in text
    assert "With a picture it is 1.02 times" in text
    assert "256 ÷ 41.0/s = 6,244 ms" in text
    assert "True: the slowest viewer sees 30.0 pictures a second with 1 and 29.6 with 500" in text
    assert "Python falls behind from 256 viewers on" in text
    slow = SERVERS | {VISAVIS.name: figures(VISAVIS.name, 5_000.0, 40.0, refused=20)}
    assert "Not true here of requests without a picture" in "\n".join(claims(slow, LIVE))


def test_what_the_client_takes_is_said_beside_the_rates() -> None:
    text = " ".join(cheap_words(SERVERS, 2))
    assert "wrk leaves visavis 1.0 of 2 processors, and uvicorn 1.0." in text
    assert "costs uvicorn 50.0 times" in text


def test_what_nobody_on_net_http_comes_below_is_said_with_the_run_s_own_figures() -> None:
    text = " ".join(floor_words(SERVERS, LEAST))
    assert "takes 0.83 and 0.62 of visavis's processor time" in text
    assert "answers 60 and 80 times as many a second as uvicorn: 4 times are within reach" in text
    slow = InTurns(figures("", 3_990.0, 1.0).turns.health, LEAST.status, [], [])
    assert "answers 3.99 and 80 times as many a second as uvicorn: 4 times are out of reach" in " ".join(
        floor_words(SERVERS, slow)
    )


def test_the_table_of_turns_tells_the_ratios_of_the_rounds() -> None:
    uneven = SERVERS[FLASK.name].turns._replace(pictures=[40.0, 20.5, 49.2])
    servers = SERVERS | {FLASK.name: SERVERS[FLASK.name]._replace(turns=uneven)}
    text = "\n".join(turns_table(servers))
    same = "1,000 (50 times: 50 to 50)"
    assert f"| {FLASK.name} | {same} | {same} | 40 (1.02 times: 1 to 1.6) |" in text
    assert f"| {PATIENT_VISAVIS.name} |  |  | 41 |" in text


def test_the_page_has_every_part_and_each_only_once() -> None:
    latencies = {"ring": {size: Latency(204.0, 307.0) for size in SIZES}}
    found = Found(SERVERS, LEAST, LIVE, latencies, WORKERS, deadline_ms=250, took_s=700)
    assert all(bar.holds for bar in found.bars)
    lines = parts(sections(found))
    assert len([line for line in lines if line.startswith("## ")]) == len(sections(found)) == 8
    for row in (
        "| ring | 204 | 307 | 204 | 307 |",
        "| 2 | 31.2 | 40.0 | 4.0 | 200 | 1 |",
        "| visavis | 256 | 29.9 | 30.0 | 1.20 |",
    ):
        assert sum(line.startswith(row) for line in lines) == 1, row


@pytest.mark.parametrize(("processors", "said"), [(2, ["2 × 42.0 ÷ (44.0 + 4.0) = 1.75 times"]), (4, [])])
def test_two_workers_are_compared_with_what_there_can_be(
    processors: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    text = "\n".join(most_of_two(Spent(42.0, 3.0), Spent(44.0, 4.0)))
    assert re.findall(r"2 × .* times", text) == said


def test_faces_are_the_same_when_they_lie_in_the_same_place() -> None:
    moved = {**FACE, "box": [10.2, 10.0, 20.0, 20.0]}
    away = {**FACE, "box": [40.0, 10.0, 20.0, 20.0]}
    assert different([FACE], [moved]) == 0
    assert different([FACE], [away]) == 2
    assert different([FACE], []) == 1


def test_a_plot_shows_every_known_point() -> None:
    picture = ElementTree.fromstring(svg([Curves("a < b", "n", [1, 64], {"x": [3.0, 900.0], "y": [5.0, None]})]))  # noqa: S314
    assert len(picture.findall(".//{http://www.w3.org/2000/svg}circle")) == 3
    assert {"a < b", "x", "y", "1,000"} <= set(picture.itertext())
    ElementTree.fromstring(load_plots(SERVERS))  # noqa: S314


def test_what_wrk_prints_is_read() -> None:
    assert wrk_figures(WRK) == Cheap(per_second=4500.25, p50_ms=0.812, p99_ms=1500.0, requests=9000, errors=10)


def test_a_server_that_answers_nothing_has_a_page_all_the_same() -> None:
    nothing = answers(0.0, 1.0)
    flask = SERVERS[FLASK.name]
    turns = flask.turns._replace(pictures=[0.0 for _ in DRIFT])
    silent = flask._replace(turns=turns, closed=[run._replace(found=nothing, cpu_ms=0.0) for run in flask.closed])
    servers = SERVERS | {FLASK.name: silent}
    assert "With a picture it is nan times" in "\n".join(claims(servers, LIVE))
    assert missed_bars(servers) == ["pictures a second, 16 connections, visavis / the best rival"]
    ElementTree.fromstring(load_plots(servers))  # noqa: S314
