# SPDX-License-Identifier: Apache-2.0
"""What `make chaos` does to the gateway: load that hurts in full size; writes figures into docs/design/resilience.md.

Two demo cameras are at work all the time. Everything is on loopback and ends by itself. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chaos import attacks, grpc_attacks  # noqa: E402 (the root must be on the path first)
from tests.chaos.attacks import GIANTS_S, Reply  # noqa: E402
from tests.chaos.bars import Bar, exit_code, told, write  # noqa: E402
from tests.chaos.gateway_scenarios import (  # noqa: E402
    CREDIT,
    FPS,
    LARGER,
    PATIENT,
    PICTURE,
    SPARE,
    Device,
    Levels,
    Span,
    attacked,
    enough_descriptors,
    kills,
    odd,
    refusals,
    statuses,
    while_calling,
    while_honest,
)
from tests.chaos.grpc_attacks import Told  # noqa: E402
from tests.e2e.bombs import Bomb, all_bombs  # noqa: E402
from tests.e2e.clients import PeakMemory  # noqa: E402
from tests.e2e.clients import post as post_once  # noqa: E402
from tests.e2e.openapi_run import MORE_PHASES, described_device, judge  # noqa: E402

PAGE = ROOT / "docs" / "design" / "resilience.md"
MIB = 2**20
EXTRA_MIB, REFUSAL_MS, LOST_PERCENT = 64, 5.0, 1.0
CAPTURED_PERCENT, INFERRED_PERCENT = 99.0, 50.0
SHARE_PERCENT = 20.0  # gateway.share leaves two cameras 25 % each of the time
THROWS = 5  # of each bomb
BODIES_MIB = 64  # gateway.picture_mb, four times: what all bodies together may take
SMALL_BODY = 1 << 20  # a larger one takes the time of sending it
LEFT_MIB = 16  # Go gives memory back slowly
EXAMPLES = 40
IDLE_S = 10.0
Attack = Callable[[Device], Iterator[Bar]]


def main() -> int:
    """Do it all, write the page, and say which bars hold."""
    if missing := enough_descriptors():
        print(f"gateway_report: {missing}", file=sys.stderr)
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, attacked(Path(folder), gateway=PATIENT) as device:
        bars = list(told(bombs(device)))
        bars += told(measured(device, "all of this", ATTACKS))
    with tempfile.TemporaryDirectory() as folder, attacked(Path(folder)) as device:
        bars += told(measured(device, "the same", KILLS))
    with tempfile.TemporaryDirectory() as folder:
        bars += told(judged(Path(folder)))
    took_s = time.monotonic() - began
    bars += told([Bar("all of this took", f"{took_s:.0f} s", "≤ 300 s", took_s <= 300)])
    write(PAGE, bars, "clients, daemon and workers on one machine")
    return exit_code(bars)


def measured(device: Device, when: str, attacks: Mapping[str, Attack]) -> Iterator[Bar]:
    """The bars, one attack after another; what cameras lost `when` they went on, and what is left, come last."""
    before, spans = device.levels(), {}
    with device.watched() as whole:
        for name, attack in attacks.items():
            with device.watched() as one:
                yield from attack(device)
            spans[name] = one[0]
    for bar in (*cameras(whole[0], spans), *left(device, before)):
        yield bar._replace(what=f"{when}: {bar.what}")


def only_fine(what: str, replies: list[Reply], *, may_close: bool = False) -> Bar:
    """Every answer is of a kind that a client can expect, and each refusal is a problem.

    Args:
        may_close: whether these clients ask nothing whole, so that they need no answer.
    """
    counts = ", ".join(f"{count} × {status or 'closed'}" for status, count in sorted(statuses(replies).items()))
    told = [one for one in replies if one.status or not may_close]
    fine = f"200, 4xx, 429, 503{' or closed' if may_close else ''}; refusals as problem JSON"
    return Bar(f"{what}: answers", counts, fine, not odd(told))


def honest(what: str, seen: list[Reply]) -> Bar:
    answered = sum(one.status == 200 for one in seen)
    slowest = max((one.took_s for one in seen), default=0.0)
    value = f"{answered} of {len(seen)} answered, the slowest after {1000 * slowest:.0f} ms"
    return Bar(f"{what}: a client that behaves", value, "≥ 99 % answered", answered >= 0.99 * len(seen) > 0)


def bombs(device: Device) -> Iterator[Bar]:
    """Every picture that is not what it seems, one after the other."""
    thrown = all_bombs()
    with PeakMemory(device.pid) as memory:
        took_ms = {name: thrown_ms(device, bomb) for name, bomb in thrown.items()}
    extra = memory.extra / MIB
    yield Bar(f"{len(thrown)} image bombs: extra memory", f"{extra:.0f} MiB", f"≤ {EXTRA_MIB} MiB", extra <= EXTRA_MIB)
    refused = {name: took_ms[name] for name, one in thrown.items() if one.status != 200 and len(one.body) < SMALL_BODY}
    slowest = max(refused, key=refused.__getitem__)
    what = f"the same: refused, with the connection, the slowest of {len(refused)} below 1 MiB, median of {THROWS}"
    value = f"{refused[slowest]:.1f} ms ({slowest}); half of them within {statistics.median(refused.values()):.1f} ms"
    yield Bar(what, value, f"≤ {REFUSAL_MS:.0f} ms", refused[slowest] <= REFUSAL_MS)


def thrown_ms(device: Device, bomb: Bomb) -> float:
    """How long an answer takes, in the median."""
    headers = {name.replace("-", "_"): value for name, value in bomb.headers.items()}
    answers = [post_once(device.appliance, bomb.body, bomb.content_type, **headers) for _ in range(THROWS)]
    return 1000 * statistics.median(one.took_s for one in answers)


def slow_clients(device: Device) -> Iterator[Bar]:
    replies, seen = while_honest(device, lambda: attacks.slow_loris(device.port, 600))
    what = "600 clients that send a few bytes a second"
    yield only_fine(what, replies, may_close=True)
    slowest = max(one.took_s for one in replies)
    yield Bar("the same: all are gone after", f"{slowest:.1f} s", "≤ 15 s", slowest <= 15)
    yield honest("the same", seen)


def idle_clients(device: Device) -> Iterator[Bar]:
    open_now: list[int] = []

    def look() -> None:
        time.sleep(IDLE_S)
        open_now.append(int(device.appliance.status()["clients"]["streams"]))

    replies, seen = while_honest(device, lambda: attacks.idle_websockets(device.port, 1000, look))
    yield only_fine("1,000 WebSockets that say nothing", replies)
    yield Bar("the same: open at once", f"{open_now[0]}", "1000", open_now[0] == 1000)
    yield honest("the same", seen)


def giant_clients(device: Device) -> Iterator[Bar]:
    with PeakMemory(device.pid) as memory:
        replies, beside_requests = while_honest(device, lambda: attacks.giants(device.port, 16))
        messages, beside_messages = while_honest(device, lambda: attacks.giant_messages(device.port, 16))
    yield only_fine(f"16 clients with requests of 1 GiB for {GIANTS_S:.0f} s, announced, in chunks, as JSON", replies)
    yield honest("the same", beside_requests)
    closed = ", ".join(f"{count} × {status or 'closed'}" for status, count in sorted(statuses(messages).items()))
    fine = all(one.status in (0, 1009) for one in messages)
    what = f"16 clients with WebSocket messages of 1 GiB for {GIANTS_S:.0f} s"
    yield Bar(what, closed, "1009 (too big) or closed", fine)
    yield honest("the same", beside_messages)
    extra = memory.extra / MIB
    most = BODIES_MIB + EXTRA_MIB
    yield Bar("both: extra memory", f"{extra:.0f} MiB", f"≤ {most} MiB, of which bodies {BODIES_MIB}", extra <= most)


def departed_clients(device: Device) -> Iterator[Bar]:
    _, seen = while_honest(device, lambda: attacks.departures(device.port, 1400, PICTURE))
    yield honest("1,400 clients that go in the middle", seen)


def killed_workers(device: Device) -> Iterator[Bar]:
    clients, count = 64, 8
    with device.watched() as spans:
        replies = kills(device, clients, count, 4.0)
    what = f"{clients} clients, {count} × `kill -9` of a worker"
    yield only_fine(what, replies)
    answered, refused = statuses(replies)[200], refusals(replies)
    yield Bar(
        "the same: both kinds occur",
        f"{answered:,} answered, {refused:,} refused",
        "some of each",
        min(answered, refused) > 0,
    )
    lost, most = spans[0].together.lost, CREDIT * count
    yield Bar("the same: camera frames that killed workers had", f"{lost}", f"≤ {most}", lost <= most)


def only_codes(what: str, told: list[Told], fine: set[str]) -> Bar:
    counts = ", ".join(f"{count} × {code}" for code, count in sorted(Counter(one.code for one in told).items()))
    return Bar(f"{what}: answers", counts, ", ".join(sorted(fine)), {one.code for one in told} <= fine)


def honest_call(what: str, seen: list[Told]) -> Bar:
    answered = sum(one.code == "OK" for one in seen)
    value = f"{answered} of {len(seen)} answered, the slowest after {1000 * max(one.took_s for one in seen):.0f} ms"
    return Bar(f"{what}: a client of gRPC that behaves", value, "≥ 99 % answered", answered >= 0.99 * len(seen))


def slow_calls(device: Device) -> Iterator[Bar]:
    (told, calling), seen = while_honest(
        device, lambda: while_calling(device, lambda: grpc_attacks.slow_calls(device.grpc_port, 200))
    )
    what = "200 clients of gRPC that send a few bytes a second"
    yield only_codes(what, told, {grpc_attacks.CLOSED, "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
    slowest = max(one.took_s for one in told)
    yield Bar("the same: all are gone after", f"{slowest:.1f} s", "≤ 15 s", slowest <= 15)
    yield honest("the same", seen)
    yield honest_call("the same", calling)


def scattered_calls(device: Device) -> Iterator[Bar]:
    addresses, each = 16, 8
    told, seen = while_calling(device, lambda: grpc_attacks.scattered_calls(device.grpc_port, addresses, each), LARGER)
    calls = addresses * each * grpc_attacks.CALLS_MOST
    what = (
        f"{calls:,} calls at a time of gRPC from {addresses} addresses, with a few bytes a second, for {GIANTS_S:.0f} s"
    )
    # The oldest messages of whoever has the most give way: RESOURCE_EXHAUSTED.
    yield only_codes(what, told, {grpc_attacks.CLOSED, "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
    yield honest_call("the same", seen)


def idle_calls(device: Device) -> Iterator[Bar]:
    count, most = 300, grpc_attacks.CONNECTIONS_MOST
    let_in, seen = while_calling(
        device, lambda: grpc_attacks.idle_connections(device.grpc_port, count, lambda: time.sleep(IDLE_S))
    )
    yield Bar(f"{count} connections of gRPC that say nothing: let in", f"{let_in}", f"≤ {most}", let_in <= most)
    yield honest_call("the same", seen)


def giant_calls(device: Device) -> Iterator[Bar]:
    with PeakMemory(device.pid) as memory:
        told, seen = while_calling(device, lambda: grpc_attacks.giant_calls(device.grpc_port, 16))
    fine = {grpc_attacks.CLOSED, "INVALID_ARGUMENT"}
    yield only_codes(f"16 clients with messages of 1 GiB over gRPC for {GIANTS_S:.0f} s", told, fine)
    yield honest_call("the same", seen)
    extra = memory.extra / MIB
    yield Bar("the same: extra memory", f"{extra:.0f} MiB", f"≤ {EXTRA_MIB} MiB", extra <= EXTRA_MIB)


ATTACKS = {
    "slow clients": slow_clients,
    "idle clients": idle_clients,
    "giant requests": giant_clients,
    "slow calls of gRPC": slow_calls,
    "slow calls of gRPC from many addresses": scattered_calls,
    "idle connections of gRPC": idle_calls,
    "giant calls of gRPC": giant_calls,
    "clients that go": departed_clients,
}
KILLS = {"killed workers": killed_workers}


def cameras(whole: Span, spans: dict[str, Span]) -> Iterator[Bar]:
    """Cameras deliver at their pace, lose next to nothing, and are looked at whatever clients do."""
    all_frames = whole.together
    value = (
        f"{all_frames.lost_percent:.2f} % of {all_frames.captured:,} ({all_frames.superseded:,} replaced by newer ones)"
    )
    fine = all_frames.lost_percent < LOST_PERCENT
    yield Bar("frames that cameras lost", value, f"< {LOST_PERCENT:.0f} %", fine)
    least = min(whole.captured_percent(name) for name in whole.cameras)
    what = f"frames that the slower camera captured, of {FPS} a second for {whole.seconds:.0f} s"
    yield Bar(what, f"{least:.1f} %", f"≥ {CAPTURED_PERCENT:.0f} %", least >= CAPTURED_PERCENT)
    yield worst_looked_at(spans)


def worst_looked_at(spans: dict[str, Span]) -> Bar:
    """The camera and the attack with the fewest results: most of what it captured, or, on a slow machine, its share."""
    met = {(attack, name): how_far(span, name) for attack, span in spans.items() for name in span.cameras}
    attack, name = min(met, key=met.__getitem__)
    span = spans[attack]
    value = (
        f"{span.cameras[name].inferred_percent:.0f} % of its own, {span.share_percent(name):.0f} % of what workers did"
    )
    what = "frames that were inferred, of the camera and the attack with the fewest"
    bar = f"≥ {INFERRED_PERCENT:.0f} % of its own, or ≥ {SHARE_PERCENT:.0f} % of what workers did"
    return Bar(what, f"{value} (camera {name}, {attack})", bar, met[attack, name] >= 1)


def how_far(span: Span, name: str) -> float:
    """1 and more when the camera is looked at often enough."""
    return max(span.cameras[name].inferred_percent / INFERRED_PERCENT, span.share_percent(name) / SHARE_PERCENT)


def left(device: Device, before: Levels) -> Iterator[Bar]:
    """What is still held a minute later at the most."""
    open_pictures, now = device.open_pictures(), device.settled(before)
    for what, then, held in zip(("descriptors", "goroutines"), before, now, strict=False):
        yield Bar(f"{what} afterwards", f"{held}, {then} before", f"≤ {SPARE} more", held <= then + SPARE)
    more = (now.memory_bytes - before.memory_bytes) / MIB
    yield Bar("memory afterwards", f"{more:+.1f} MiB", f"≤ +{LEFT_MIB} MiB", more <= LEFT_MIB)
    yield Bar(
        "pictures of which no client was told", f"{open_pictures}", "0, and every account adds up", open_pictures == 0
    )


def judged(folder: Path) -> Iterator[Bar]:
    with described_device(folder) as device:
        found = judge(device, *MORE_PHASES, "--max-examples", str(EXAMPLES))
    value = f"{', '.join(found.faults) or 'none'} in {found.requests:,} requests"
    yield Bar("schemathesis: answers that are not as described", value, "none", not found.faults)


if __name__ == "__main__":
    sys.exit(main())
