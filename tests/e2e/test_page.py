# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium, on the real appliance."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, sync_playwright

from tests.e2e.brokers import publish
from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S
from tests.e2e.test_events import PLACES
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # limits within a test add up to more than the usual one

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NO_BROKER = '[device]\nid = "box"\n[web]\nlisten = "127.0.0.1:{http_port}"\n[mqtt]\nurl = ""\n'
CAMERA = '[[camera]]\nid = "demo{n}"\nsource = "demo:"\nsize = [640, 480]\nfps = 10\n'
# Longer than the page waits for a picture before it takes a connection for dead.
STILL_MS = 7000
# The least size of what is to be touched, by WCAG 2.2.
THUMB_PX = 24

LOOK = "canvas => canvas.toDataURL('image/jpeg', .3)"
BOX_PIXELS = """() => {
  const canvas = document.querySelector(".camera canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) found += data[i] === 0x5f && data[i + 1] === 0xf0 && data[i + 2] === 0xd8;
  return found;
}"""
# Zones and lines are white over what PAINT_OVER has made black; boxes have a colour.
GREY_PIXELS = BOX_PIXELS.replace(
    "data[i] === 0x5f && data[i + 1] === 0xf0 && data[i + 2] === 0xd8",
    "data[i] > 80 && data[i] === data[i + 1] && data[i] === data[i + 2]",
)
# Playwright keeps every page visible, so the page is told otherwise in the browser's words.
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Looks away while the connections of the look before are still being made.
GLANCE = f"() => {{ for (const hidden of [true, false, true, false]) ({HIDE})(hidden); }}"
ANNOUNCE = """async () => {
  const { Announcer } = await import("/announcer.js");
  const announcer = new Announcer(document.createElement("p"), 0);
  const door = { id: "door", state: "online", detecting: true, faces: 1 };
  const seen = { id: "yard", state: "online", detecting: true, faces: 2, fps_inferred: 9 };
  const yards = [{ id: "yard", state: "lost" }, seen];
  return [...yards, { ...seen, fps_inferred: 12 }].map((yard) => {
    announcer.hear([door, yard]);
    return announcer.node.textContent;
  });
}"""
# One problem stays, with another figure, one goes and one comes before it.
SHOW_TWICE = """async () => {
  const { showProblems } = await import("/problems.js");
  const place = document.createElement("div");
  showProblems(place, [["broker", "8 wait"], ["camera", ""]]);
  const first = place.firstChild;
  showProblems(place, [["hot", ""], ["broker", "9 wait"]]);
  return [place.lastChild === first, [...place.children].map((node) => node.textContent)];
}"""
# A build that began a minute ago by the clock of a device that has no battery.
BUILD = """async () => {
  const { showEngine } = await import("/engine.js");
  const engine = { state: "building", model: "m", precision: "", percent: 1, phase: "", since: "2020-01-01T00:00:00Z" };
  const place = document.createElement("div");
  showEngine(place, { engine, workers: [] }, Date.parse("2020-01-01T00:00:50Z"));
  return place.lastChild.textContent;
}"""
# What Safari 15 lacks, so that an older tablet on a wall is played by a new browser.
AS_SAFARI_15 = "delete AbortSignal.timeout; delete Array.prototype.at;"
# Every picture looks the same from now on, as at night.
PAINT_OVER = (
    "() => { CanvasRenderingContext2D.prototype.drawImage = function () { this.fillRect(0, 0, 9999, 9999); }; }"
)


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is missing: `make setup-test`, or apt install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=[*QUIET, *more])
        yield started
        started.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def opened(
    browser: Browser, appliance: RunningAppliance, width: int, height: int, before: str = ""
) -> tuple[Page, list[str]]:
    """The page at a size, in which the script `before` has run first, and what its console complains about."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.add_init_script(before)
    complaints = complaints_of(page)
    page.goto(f"http://127.0.0.1:{appliance.http_port}/", wait_until="domcontentloaded")
    page.wait_for_selector(".camera canvas")
    return page, complaints


def complaints_of(page: Page, *expected: str) -> list[str]:
    """What the console of a page will complain about, beside lines with these words."""
    complaints: list[str] = []
    by_us = "willReadFrequently"  # of the tests that look at pixels

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(words in message.text for words in (by_us, *expected)):
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def test_the_page_shows_a_moving_picture_and_living_figures(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 1280, 800)
    until_all_move(page, 1)
    until(lambda: "demo" in page.inner_text("body"), "the camera is not named")
    words = page.inner_text("body")
    until(lambda: page.inner_text("body") != words, "the figures stand still")
    until(lambda: "faces\n2now" in page.inner_text(".camera"), "the page never tells of both faces", SCRIPT_LIMIT_S)
    until(lambda: page.evaluate(BOX_PIXELS) > 100, "no box is drawn")
    keep_picture(page, "page.png")
    page.set_viewport_size({"width": 360, "height": 740})
    assert_fits(page)
    keep_picture(page, "phone.png")
    assert complaints == []


def test_zones_and_lines_are_drawn_and_counted(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(DEMO + PLACES)
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 1280, 800)
    page.evaluate(PAINT_OVER)
    until(lambda: page.evaluate(GREY_PIXELS) > 100, "no zone is drawn")
    until(lambda: appliance.camera("demo")["zones"][0]["entered"] > 0, "nobody enters the zone", SCRIPT_LIMIT_S)
    until(lambda: crossed(appliance) > 0, "nobody goes over the line", SCRIPT_LIMIT_S)

    def told() -> bool:
        demo = appliance.camera("demo")
        (zone,), (line,) = demo["zones"], demo["lines"]
        entered, crossed = f"{zone['entered']} entered, {zone['left']} left", f"mat: {line['in']} in, {line['out']} out"
        text = page.inner_text(".places")
        return entered in text and crossed in text

    until(told, lambda: f"the page says {page.inner_text('.places')} of {appliance.camera('demo')}")
    one = json.loads(appliance.get("/api/v1/cameras/demo"))
    assert one["zones"][0]["polygon"] == [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    assert one["lines"][0]["start"] == [0.32, 1]
    assert complaints == []


def crossed(appliance: RunningAppliance) -> int:
    (line,) = appliance.camera("demo")["lines"]
    return int(line["in"] + line["out"])


def test_what_was_ordered_is_said_and_the_picture_goes_on_hidden(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 1280, 800)
    publish(appliance.mqtt_port, "visavis/box/demo/set/detect", "OFF")
    # It may have said so before, while no result had come yet.
    hidden = "all pixelated: detection is off"
    until(lambda: hidden in page.inner_text("body"), "the page does not say that detection is off")
    assert "not detecting" in page.inner_text("body")
    canvas = page.locator(".camera canvas")
    until_it_moves(canvas, canvas.evaluate(LOOK))
    publish(appliance.mqtt_port, "visavis/box/demo/set/enabled", "OFF")
    until(lambda: "switched off" in page.inner_text(".over"), "the picture does not say that it is switched off")
    assert complaints == []


def test_a_browser_that_lacks_newer_calls_shows_the_same(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(NO_BROKER + CAMERA.replace("{n}", "1"), "--backend", "fake")
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 2560, 1440, AS_SAFARI_15)
    until_all_move(page, 1)
    until(lambda: "live" in page.inner_text(".camera"), lambda: page.inner_text("body"))
    page.wait_for_timeout(STILL_MS / 2)
    until(lambda: page.inner_text("#problems") == "", lambda: page.inner_text("#problems"))
    assert complaints == []


@pytest.fixture
def wall(start_appliance: Callable[..., RunningAppliance]) -> RunningAppliance:
    """Nine cameras; the worker invents a face, so that each camera is inferred at its full rate."""
    cameras = "".join(CAMERA.replace("{n}", str(n)) for n in range(1, 10))
    appliance = start_appliance(NO_BROKER + cameras, "--backend", "fake")
    appliance.wait_ready()
    return appliance


def test_nine_cameras_all_move_on_a_wall(wall: RunningAppliance, browser: Browser) -> None:
    page, complaints = opened(browser, wall, 1920, 1080)
    until_all_move(page, 9)
    until(lambda: page.evaluate(BOX_PIXELS) > 100, "no box is drawn")
    assert_fits(page)
    bottom = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.camera')].map(c => c.getBoundingClientRect().bottom))"
    )
    assert bottom <= 1080, "a wall has nobody who scrolls"
    keep_picture(page, "wall.png")
    assert complaints == []


def test_a_phone_loads_what_it_shows_at_the_width_it_shows_it(wall: RunningAppliance, browser: Browser) -> None:
    page, complaints = opened(browser, wall, 360, 740)
    until(lambda: 0 < wall.status()["viewers"] < 9, lambda: f"{wall.status()['viewers']} pictures load")
    assert_fits(page)
    for n in range(9):
        canvas = page.locator(".camera canvas").nth(n)
        canvas.scroll_into_view_if_needed()
        until_it_moves(canvas, canvas.evaluate(LOOK))
        assert canvas.evaluate("canvas => canvas.width") in (320, 480)
    until(lambda: wall.status()["viewers"] < 9, "what is out of sight loads")
    assert complaints == []


def test_names_that_are_one_long_word_are_not_scrolled_to(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 320, 640)
    word = "w" * 32

    def renamed(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        route.fulfill(response=answer, json={**told, "device": word, "version": word})

    page.route("**/api/v1/status", renamed)
    until(lambda: page.inner_text("#device") == word, lambda: page.inner_text("header"))
    page.evaluate("word => { leave.hidden = false; who.textContent = word; }", word)
    assert_fits(page)


def test_a_hidden_page_loads_nothing_and_goes_on_when_it_is_seen(wall: RunningAppliance, browser: Browser) -> None:
    page, complaints = opened(browser, wall, 1920, 1080)
    until(lambda: wall.status()["viewers"] == 9, "the pictures do not load")
    page.evaluate(HIDE, True)
    until(lambda: wall.status()["viewers"] == 0, "a hidden page loads pictures")
    page.evaluate(HIDE, False)
    until_all_move(page, 9)
    assert complaints == []


def test_a_short_look_leaves_no_connection_behind(wall: RunningAppliance, browser: Browser) -> None:
    page, complaints = opened(browser, wall, 1920, 1080)
    until(lambda: wall.status()["viewers"] == 9, "the pictures do not load")
    page.evaluate(GLANCE)
    until_all_move(page, 9)
    until(lambda: wall.status()["viewers"] == 9, lambda: f"{wall.status()['viewers']} viewers for 9 pictures")
    assert complaints == []


def test_a_lost_camera_and_a_lost_broker_are_said_with_the_remedy(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    lost = '[[camera]]\nid = "gone"\nsource = "v4l2:/dev/video99"\n'
    text = NO_BROKER.replace('url = ""', 'url = "mqtt://127.0.0.1:1"') + CAMERA.replace("{n}", "1") + lost
    appliance = start_appliance(text, "--backend", "fake")
    appliance.wait_ready()
    page, _ = opened(browser, appliance, 1280, 800)
    until(lambda: "Camera gone is lost" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    assert "/dev/video99" in page.inner_text("#problems")
    assert "/dev/video99" in page.inner_text("section[aria-label='Camera gone'] .picture")
    assert "camera lost" in page.inner_text("section[aria-label='Camera gone'] .picture")
    until(lambda: "check mqtt.url" in page.inner_text("#problems"), lambda: page.inner_text("#problems"))
    until_all_move(page, 1)
    gone = page.locator("section[aria-label='Camera gone']")
    assert "empty" not in gone.inner_text(), "who sees nothing cannot say that nobody is there"
    assert gone.locator(".figures .faces dd").inner_text() == "–now"
    assert gone.locator(".figures .total dd").inner_text() == "–ms"
    assert "pixelated" not in gone.inner_text(), "there is no picture"


def test_one_broker_of_two_that_is_away_is_said_of_that_one(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(DEMO + '[mqtt_second]\nurl = "mqtt://127.0.0.1:1"\n', "--backend", "fake")
    appliance.wait_ready()
    page, _ = opened(browser, appliance, 1280, 800)
    problems = page.locator("#problems")
    until(lambda: "MQTT: 1 of 2 brokers" in page.inner_text("#parts"), lambda: page.inner_text("#parts"))
    until(lambda: "check mqtt_second.url" in problems.inner_text(), problems.inner_text)
    assert "MQTT broker mqtt_second is not connected" in problems.inner_text()
    assert "reach this page only" not in problems.inner_text(), "the first broker gets everything"


def test_a_disk_that_cannot_be_used_is_said_for_as_long_as_it_cannot(
    start_appliance: Callable[..., RunningAppliance], browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_STATE_DIR", str(tmp_path / "state"))
    blocked = tmp_path / "state" / "history"
    blocked.parent.mkdir()
    blocked.write_text("a file where the folder should be: nobody, not even root, can write into it")
    appliance = start_appliance(NO_BROKER + CAMERA.format(n=1))
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 800, 600)
    said = page.get_by_text("Something is wrong with the history")
    said.wait_for()
    assert "recent events stay in memory: " in page.inner_text("#problems")
    assert 'visavis_part_fault{part="history"} 1' in appliance.get("/metrics").decode()
    blocked.unlink()
    said.wait_for(state="detached")
    assert 'visavis_part_fault{part="history"} 0' in appliance.get("/metrics").decode()
    assert not complaints, complaints


def test_a_page_that_is_open_since_last_year_becomes_that_of_the_update(
    wall: RunningAppliance, browser: Browser
) -> None:
    page, _ = opened(browser, wall, 800, 600)
    loads: list[str] = []
    page.on("domcontentloaded", lambda _: loads.append(page.url))

    def updated(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "version": "9.9.9"})

    page.route("**/api/v1/status", updated)
    page.get_by_text("visavis 9.9.9").wait_for()
    page.wait_for_timeout(STILL_MS / 2)
    assert len(loads) == 1, "it is loaded again, and no more than once"
    page.unroute_all(behavior="wait")


def test_a_camera_that_is_put_before_others_is_shown_before_them(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 800, 600)
    page.locator("summary").first.focus()

    def with_one_more(route: Route) -> None:
        answer = route.fetch()
        status = answer.json()
        cameras = [{**status["cameras"][0], "id": "attic"}, *status["cameras"]]
        route.fulfill(response=answer, json={**status, "cameras": cameras})

    page.route("**/api/v1/status", with_one_more)
    page.get_by_role("heading", name="attic").wait_for()
    assert page.locator("h2").all_inner_texts() == ["attic", *(f"demo{n}" for n in range(1, 10))]
    focus = "document.activeElement.closest('.camera').getAttribute('aria-label')"
    assert page.evaluate(focus) == "Camera demo1", "what is there already was moved"
    page.unroute_all(behavior="wait")


def test_a_model_server_that_is_lost_is_said_with_what_that_cost(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 800, 600)
    figures = {"server": {"losses": 1, "local_frames": 301}}
    backends = ["kserve"]

    def served(route: Route) -> None:
        answer = route.fetch()
        status = answer.json()
        workers = [{**worker, **figures, "backend": backends[-1]} for worker in status["workers"]]
        route.fulfill(response=answer, json={**status, "workers": workers})

    page.route("**/api/v1/status", served)
    page.get_by_text("on kserve").wait_for()
    assert "model server" not in page.inner_text("#problems")
    backends.append("onnxruntime")
    page.get_by_text("The model server is lost").wait_for()
    assert "lost it 1 time and inferred 301 frames here" in page.inner_text("#problems")
    page.unroute_all(behavior="wait")


def test_looking_away_and_back_leaves_one_question_a_second(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 800, 600)
    for _ in range(5):
        page.evaluate(GLANCE)
    asked: list[str] = []
    began_s = time.monotonic()
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/status") else None)
    page.wait_for_timeout(STILL_MS)
    passed_s = time.monotonic() - began_s
    assert 1 <= len(asked) <= passed_s + 2, f"{len(asked)} questions in {passed_s:.1f} s"


def test_readers_of_the_screen_hear_what_is_new_and_nothing_twice(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 1280, 800)
    assert page.evaluate(ANNOUNCE) == ["door: 1 face; yard: lost", "yard: 2 faces", "yard: 2 faces"]
    kept, words = page.evaluate(SHOW_TWICE)
    assert kept, "it would be read aloud each time"
    assert words == ["hot", "broker9 wait"]


def test_what_a_silent_device_said_is_no_longer_told(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 390, 844)
    card, parts = page.locator("section.camera").first, page.locator("#parts")
    until(lambda: "live" in card.inner_text(), card.inner_text)
    page.context.set_offline(True)
    until(lambda: "unknown" in card.inner_text(), card.inner_text)
    assert not {"live", "occupied", "empty"} & set(card.inner_text().split())
    assert card.locator(".figures dd").all_inner_texts() == ["–now", "–fps", "–fps", "–ms"]
    assert parts.inner_text() == "no connection"
    page.context.set_offline(False)
    until(lambda: "live" in card.inner_text() and "worker" in parts.inner_text(), card.inner_text)


def test_the_time_of_a_build_is_by_the_devices_clock(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 800, 600)
    assert page.evaluate(BUILD) == "for 50 s"


def test_links_are_large_enough_for_a_thumb(wall: RunningAppliance, browser: Browser) -> None:
    page, _ = opened(browser, wall, 320, 568)
    for thing in page.locator("a:visible, button:visible, summary:visible").all():
        box = thing.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= THUMB_PX, f"{thing.inner_text()}: {box}"


def test_a_still_scene_is_no_error(start_appliance: Callable[..., RunningAppliance], browser: Browser) -> None:
    appliance = start_appliance(NO_BROKER + CAMERA.replace("{n}", "1"), "--backend", "fake")
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 1280, 800)
    opened_sockets: list[str] = []
    page.on("websocket", lambda socket: opened_sockets.append(socket.url))
    until_all_move(page, 1)
    before = len(opened_sockets)
    page.evaluate(PAINT_OVER)
    page.wait_for_timeout(STILL_MS)
    assert len(opened_sockets) == before, "a picture that looks the same was taken for a dead connection"
    until(lambda: page.locator(".picture.old").count() == 0, "it is taken for old")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_about(wall: RunningAppliance, browser: Browser, scheme: str) -> None:
    page, _ = opened(browser, wall, 1280, 800)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    until_all_move(page, 1)
    page.locator("summary").first.press("Enter")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def until_all_move(page: Page, count: int) -> None:
    """Wait until `count` canvases, from the first on, have changed what they show."""
    canvases = [page.locator(".camera canvas").nth(n) for n in range(count)]
    first = [canvas.evaluate(LOOK) for canvas in canvases]
    for canvas, before in zip(canvases, first, strict=True):
        until_it_moves(canvas, before)


def until_it_moves(canvas: Locator, before: str) -> None:
    """Wait until a canvas no longer shows what it showed `before`."""
    until(lambda: canvas.evaluate(LOOK) != before, f"{canvas.get_attribute('aria-label')} stands still")


def assert_fits(page: Page) -> None:
    cut = "[...document.querySelectorAll('.about')].filter(about => about.scrollWidth > about.clientWidth).length"
    assert page.evaluate(cut) == 0, "figures are cut off"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "one must scroll sideways"


def keep_picture(page: Page, name: str) -> None:
    """Save what the page shows when VISAVIS_PICTURES names a folder: so the README's picture is made."""
    folder = os.environ.get("VISAVIS_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / name)
