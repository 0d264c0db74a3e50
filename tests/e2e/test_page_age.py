# SPDX-License-Identifier: Apache-2.0
"""The page never shows a picture of before as one of now, in a real Chromium on the real appliance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Route

from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_page import CAMERA, GLANCE, HIDE, NO_BROKER, chromium, opened, until_all_move
from tests.waiting import until

# No connection stands any more, as behind a proxy that passes no WebSockets.
REFUSE_SOCKETS = """() => {
  const Real = window.WebSocket;
  window.WebSocket = function (address) {
    return new Real(WebSocket.refused ? address.replace("/live", "/none") : address);
  };
  Object.assign(WebSocket, { CONNECTING: Real.CONNECTING, OPEN: Real.OPEN, refused: true });
}"""
# Looks away and back to such connections.
NO_SOCKETS = f"() => {{ ({REFUSE_SOCKETS})(); ({GLANCE})(); }}"
# What is seen in the very moment in which a hidden page is looked at again.
COME_BACK = f"""() => {{
  ({HIDE})(false);
  return [document.querySelector(".picture").className, document.querySelector(".camera").innerText];
}}"""
# What is seen in the very moment in which a machine wakes that has slept for an hour, and nothing answers it yet.
WAKE = f"""async () => {{
  ({REFUSE_SOCKETS})();
  const clock = await import("/clock.js");
  const before = document.querySelector(".picture").className;
  const real = Date.now;
  Date.now = () => real() + 3.6e6;
  clock.look();
  return [before, document.querySelector(".picture").className, document.querySelector(".camera").innerText];
}}"""
# Whether a page wakes that was out of sight for an hour, in which no timer of it went off.
SEEN_AGAIN = f"""async () => {{
  const clock = await import("/clock.js");
  let woken = false;
  clock.onWake(() => {{ woken = true; }});
  const real = Date.now;
  ({HIDE})(true);
  Date.now = () => real() + 3.6e6;
  ({HIDE})(false);
  clock.look();
  return woken;
}}"""
# Connections that stand can be cut, and no new one stands: what an outage is to the page.
TRACKED = """
const Real = window.WebSocket;
window.sockets = [];
window.WebSocket = function (address) {
  sockets.push(new Real(WebSocket.refused ? address.replace("/live", "/none") : address));
  return sockets[sockets.length - 1];
};
Object.assign(WebSocket, { CONNECTING: Real.CONNECTING, OPEN: Real.OPEN });
"""
# Connections end before a picture is through, as over a slow line; keeps which widths were asked for.
STARVED = """
const Real = window.WebSocket;
window.widths = [];
window.WebSocket = function (address) {
  const socket = new Real(address);
  if (!window.starves) return socket;
  widths.push(Number(new URL(address).searchParams.get("width")));
  socket.addEventListener("open", () => socket.close());
  socket.addEventListener("message", (event) => event.stopImmediatePropagation());
  return socket;
};
Object.assign(WebSocket, { CONNECTING: Real.CONNECTING, OPEN: Real.OPEN });
window.starves = true;
"""
BUILD = {
    "state": "building",
    "model": "m",
    "precision": "",
    "percent": 42,
    "phase": "",
    "since": "2020-01-01T00:00:00Z",
}
CUT = "() => { WebSocket.refused = true; for (const socket of sockets) socket.close(); }"
# How bright a canvas is that shows white: plainly, of a camera that went, once faces are hidden, with the next picture.
ORDER_PRIVACY = """async () => {
  const { Picture } = await import("/picture.js");
  const picture = new Picture("door");
  const white = await createImageBitmap(new ImageData(new Uint8ClampedArray(64 * 48 * 4).fill(255), 64, 48));
  const after = (step) => { step(); return picture.pen.getImageData(10, 10, 1, 1).data[0]; };
  picture.show({ state: "online", privacy: "none" });
  return [
    after(() => picture.draw(white, null)),
    after(() => picture.show({ state: "lost", privacy: "none" })),
    after(() => picture.show({ state: "lost", privacy: "pixelate" })),
    after(() => picture.draw(white, null)),
    after(() => picture.show({ state: "lost", privacy: "blur" })),
  ];
}"""

# How bright it is after a plain picture that was under way when faces were to be hidden from now on.
LATE_PICTURE = """async () => {
  const { Picture } = await import("/picture.js");
  const picture = new Picture("door");
  const white = new OffscreenCanvas(64, 48);
  const pen = white.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, 64, 48);
  picture.want({ width: 640, fps: 1 });
  const { socket } = picture.live;
  const come = async () => {
    await picture.live.take(socket, await white.convertToBlob(), { number: picture.live.shown + 1, detections: null });
    return picture.pen.getImageData(10, 10, 1, 1).data[0];
  };
  picture.show({ state: "online", privacy: "none" });
  const before = await come();
  picture.show({ state: "off", privacy: "pixelate" });
  return [before, await come()];
}"""


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def device(start_appliance: Callable[..., RunningAppliance]) -> RunningAppliance:
    """One camera; the worker invents a face, so that it is inferred at its full rate."""
    appliance = start_appliance(NO_BROKER + CAMERA.replace("{n}", "1"), "--backend", "fake")
    appliance.wait_ready()
    return appliance


@pytest.mark.parametrize(
    ("answer", "why"),
    [(426, "passes no WebSockets"), (503, "Too many viewers. Close one.")],
    ids=["a proxy", "a refusal"],
)
def test_a_picture_that_does_not_reach_the_browser_is_not_taken_for_live(
    device: RunningAppliance, browser: Browser, answer: int, why: str
) -> None:
    page, _ = opened(browser, device, 800, 600)
    shown = page.locator(".picture").first
    until_all_move(page, 1)
    problem = {"title": "Too many viewers", "detail": "Close one."}
    page.route("**/live*", lambda route: route.fulfill(status=answer, json=problem))
    page.evaluate(NO_SOCKETS)
    until(lambda: "no picture reaches this browser" in shown.inner_text(), shown.inner_text)
    until(lambda: why in shown.inner_text(), shown.inner_text)
    assert "old" in (shown.get_attribute("class") or "").split()
    page.evaluate("WebSocket.refused = false")
    until(lambda: page.locator(".picture.old").count() == 0, shown.inner_text)
    assert "browser" not in shown.inner_text()


def test_a_picture_of_before_the_page_was_hidden_is_not_taken_for_live(
    device: RunningAppliance, browser: Browser
) -> None:
    page, _ = opened(browser, device, 800, 600)
    shown = page.locator(".picture").first
    until_all_move(page, 1)
    page.evaluate(HIDE, True)
    page.evaluate(REFUSE_SOCKETS)
    page.wait_for_timeout(4000)
    marks, words = page.evaluate(COME_BACK)
    assert "old" in marks.split()
    assert "waiting for a picture" in words
    assert "unknown" in words, "nobody has asked the device for seconds"
    until(lambda: "live" in page.locator(".camera").first.inner_text(), shown.inner_text)
    assert "old" in (shown.get_attribute("class") or "").split(), "the device is there, its picture is not"
    page.evaluate("WebSocket.refused = false")
    until(lambda: page.locator(".picture.old").count() == 0, shown.inner_text)
    assert "waiting" not in shown.inner_text()


def test_a_picture_of_before_the_machine_slept_is_not_taken_for_live(
    device: RunningAppliance, browser: Browser
) -> None:
    page, _ = opened(browser, device, 800, 600)
    shown = page.locator(".picture").first
    until_all_move(page, 1)
    page.route("**/api/v1/status", lambda _: None)  # no answer: the network is not there yet
    before, marks, words = page.evaluate(WAKE)
    assert "old" not in before.split()
    assert "old" in marks.split()
    assert "waiting for a picture" in words
    assert "unknown" in words
    page.unroute("**/api/v1/status")
    page.evaluate("WebSocket.refused = false")
    until(lambda: page.locator(".picture.old").count() == 0, shown.inner_text)


def test_a_page_that_was_out_of_sight_does_not_begin_anew_twice(device: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, device, 800, 600)
    assert page.evaluate(SEEN_AGAIN) is False


def test_a_picture_of_before_an_outage_is_not_taken_for_live(device: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, device, 800, 600, TRACKED)
    shown = page.locator(".picture").first
    until_all_move(page, 1)
    page.route("**/api/v1/status", lambda route: route.abort())
    page.evaluate(CUT)
    until(lambda: "no connection" in page.inner_text("#parts"), lambda: page.inner_text("#parts"))
    page.unroute("**/api/v1/status")
    until(lambda: "worker" in page.inner_text("#parts"), lambda: page.inner_text("#parts"))
    assert "old" in (shown.get_attribute("class") or "").split(), "the device is there, its picture is of before"
    assert "waiting for a picture" in shown.inner_text()
    page.evaluate("WebSocket.refused = false")
    until(lambda: page.locator(".picture.old").count() == 0, shown.inner_text)


def test_figures_and_a_build_of_before_an_outage_are_not_told(device: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, device, 800, 600)

    def building(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "engine": BUILD})

    page.route("**/api/v1/status", building)
    card, build = page.locator(".camera"), page.get_by_text("is being built: 42 %")
    build.wait_for()
    figures = card.locator(".stages td, .frames dd, .figures dd span")
    until(lambda: "–" not in figures.all_inner_texts(), lambda: str(figures.all_inner_texts()))
    page.unroute_all(behavior="wait")
    page.route("**/api/v1/status", lambda route: route.abort())
    until(lambda: "no connection" in page.inner_text("#parts"), lambda: page.inner_text("#parts"))
    assert not build.is_visible()
    assert set(figures.all_inner_texts()) == {"–"}
    assert card.locator(".size").inner_text() == ""


def test_a_line_that_carries_no_large_picture_is_asked_for_smaller_ones(
    device: RunningAppliance, browser: Browser
) -> None:
    page, complaints = opened(browser, device, 800, 600, STARVED)
    until(lambda: len(set(page.evaluate("widths"))) >= 3, lambda: str(page.evaluate("widths")), 120)
    asked = page.evaluate("widths")
    assert asked == sorted(asked, reverse=True)
    page.evaluate("starves = false")
    until(lambda: page.locator(".picture.old").count() == 0, page.locator(".picture").first.inner_text)
    assert page.evaluate("document.querySelector('.camera canvas').width") <= min(asked)
    assert complaints == []


def test_a_face_that_was_seen_goes_when_it_is_to_be_hidden(device: RunningAppliance, browser: Browser) -> None:
    """Also of a camera that is away, from which no picture comes that hides it."""
    page, _ = opened(browser, device, 800, 600)
    assert page.evaluate(ORDER_PRIVACY) == [255, 255, 0, 255, 255]


def test_a_plain_picture_that_was_under_way_is_not_shown(device: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, device, 800, 600)
    assert page.evaluate(LATE_PICTURE) == [255, 0]


def test_a_camera_of_few_pictures_is_not_taken_for_lost(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    slow = CAMERA.replace("{n}", "1") + "detect_fps = 0.25\n"
    appliance = start_appliance(NO_BROKER + slow, "--backend", "fake")
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 800, 600)
    until(lambda: page.locator(".picture.old").count() == 0, "no picture comes")
    seen = []
    for _ in range(20):
        seen.append(page.locator(".picture").first.get_attribute("class"))
        page.wait_for_timeout(500)
    assert set(seen) == {"picture"}
    assert complaints == []
