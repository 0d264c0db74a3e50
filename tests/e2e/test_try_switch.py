# SPDX-License-Identifier: Apache-2.0
"""The page /try in a real Chromium when something else is chosen before what was chosen is there, or was answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute

from tests.e2e.clients import FAKE_WORKERS
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_page import HIDE, chromium
from tests.e2e.test_try import USUAL, drop, opened, start_camera
from tests.unit.face_pictures import gocv_paths
from tests.waiting import until

# What the browser gives by this call, with all tracks that it ever gave, comes only when it is let go.
HOLD = """(call) => {
  const { mediaDevices } = navigator;
  const { getUserMedia } = mediaDevices;
  Object.assign(window, { tracks: [], held: 0, go: new Promise((done) => { window.letGo = done; }) });
  mediaDevices.getUserMedia = async (wanted) => {
    const stream = await getUserMedia.call(mediaDevices, wanted);
    tracks.push(...stream.getVideoTracks());
    return stream;
  };
  const given = mediaDevices[call];
  mediaDevices[call] = async (wanted) => {
    const found = await given.call(mediaDevices, wanted);
    held += 1;
    await go;
    return found;
  };
}"""
LIVE = "tracks.filter((track) => track.readyState === 'live').length"
FOCUS = "document.activeElement.id"
# Keeps what readers of the screen hear.
HEAR = """() => {
  const announcer = document.getElementById("announcer");
  window.heard = [];
  new MutationObserver(() => heard.push(announcer.textContent)).observe(announcer, { childList: true });
}"""
# What is drawn in the very moment in which a phone is turned.
TURN = """() => {
  video.dispatchEvent(new Event("resize"));
  return drawn.dataset.boxes;
}"""
UNPLUG = "video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"


class Pair(NamedTuple):
    """An appliance that invents a face for each picture, and a browser with two cameras."""

    appliance: RunningAppliance
    browser: Browser

    def opened(self) -> Page:
        return opened(self.browser, self.appliance)[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("switch")
    two = [USUAL[1], "--use-fake-device-for-media-stream=device-count=2"]
    with running(folder, FAKE_WORKERS) as appliance, chromium(*two) as browser:
        yield Pair(appliance, browser)


def drop_a_picture(page: Page) -> None:
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())


def until_boxes_are_drawn(page: Page) -> None:
    until(lambda: page.evaluate("drawn.dataset.boxes"), lambda: page.inner_text("body"))


def until_it_runs(page: Page) -> None:
    page.get_by_role("button", name="Stop camera", disabled=False).wait_for()


def test_a_camera_that_starts_while_the_page_is_hidden_rests(pair: Pair) -> None:
    page = pair.opened()
    page.evaluate(HOLD, "getUserMedia")
    start_camera(page)
    until(lambda: page.evaluate("held"), "no camera is asked for")
    page.evaluate(HIDE, True)
    page.evaluate("letGo()")
    until_it_runs(page)
    assert page.evaluate("tracks[0].enabled") is False
    page.evaluate(HIDE, False)
    assert page.evaluate("tracks[0].enabled") is True


@pytest.mark.parametrize("call", ["getUserMedia", "enumerateDevices"])
def test_a_picture_that_is_chosen_while_a_camera_starts_is_what_is_shown(pair: Pair, call: str) -> None:
    page = pair.opened()
    page.evaluate(HOLD, call)
    start_camera(page)
    until(lambda: page.evaluate("held"), "no camera is asked for")
    drop_a_picture(page)
    until_boxes_are_drawn(page)
    page.evaluate("letGo()")
    until(lambda: page.evaluate(LIVE) == 0, "a camera that is not shown stays on")
    assert page.inner_text("#start") == "Start camera"
    assert page.is_hidden("#video")
    assert page.is_hidden("#other")
    assert page.evaluate("drawn.dataset.boxes") != ""
    assert page.inner_text("#problems") == ""


def test_a_camera_that_is_started_again_before_it_came_runs_once(pair: Pair) -> None:
    page = pair.opened()
    page.evaluate(HOLD, "getUserMedia")
    start_camera(page)
    until(lambda: page.evaluate("held") == 1, "no camera is asked for")
    drop_a_picture(page)
    until_boxes_are_drawn(page)
    start_camera(page)
    until(lambda: page.evaluate("held") == 2, "no camera is asked for")
    page.evaluate("letGo()")
    until_it_runs(page)
    until_boxes_are_drawn(page)
    assert page.evaluate(LIVE) == 1
    assert page.inner_text("#problems") == ""


def test_a_file_that_is_no_picture_leaves_the_camera_on(pair: Pair) -> None:
    page = pair.opened()
    start_camera(page)
    until_it_runs(page)
    drop(page, "notes.txt", b"no picture", "text/plain")
    page.get_by_text("no picture that the browser can read").wait_for()
    until_boxes_are_drawn(page)
    assert page.inner_text("#start") == "Stop camera"


def test_an_answer_about_one_camera_is_not_drawn_over_the_next(pair: Pair) -> None:
    page = pair.opened()
    held: list[tuple[WebSocketRoute, str | bytes]] = []

    def hold(route: WebSocketRoute) -> None:
        route.connect_to_server().on_message(lambda message: held.append((route, message)))

    page.route_web_socket("**/detect/stream", hold)
    start_camera(page)
    until(lambda: page.is_visible("#other") and held, "no picture is under way")
    page.get_by_role("button", name="Other camera").click()
    until_it_runs(page)
    before = len(held)
    for route, message in held[:before]:
        route.send(message)
    until(lambda: page.evaluate("true") and len(held) > before, "the next camera's picture is not sent")
    assert page.evaluate("drawn.dataset.boxes") == ""
    for route, message in held[before:]:
        route.send(message)
    until_boxes_are_drawn(page)


def test_boxes_of_before_a_phone_was_turned_go(pair: Pair) -> None:
    page = pair.opened()
    start_camera(page)
    until_boxes_are_drawn(page)
    assert page.evaluate(TURN) == ""


def test_the_next_picture_is_told_to_readers_of_the_screen_though_it_has_as_many_faces(pair: Pair) -> None:
    page = pair.opened()
    page.evaluate(HEAR)
    drop_a_picture(page)
    until(lambda: page.evaluate("heard.length") == 1, "the first picture is not told")
    drop_a_picture(page)
    until(lambda: page.evaluate("heard.length") == 3, lambda: f"heard: {page.evaluate('heard')}")
    first, between, second = page.evaluate("heard")
    assert first == second
    assert between == ""
    assert page.get_attribute("#drawn", "aria-label") == f"What you sent: {second}"
    start_camera(page)
    until_it_runs(page)
    page.get_by_role("button", name="Stop camera").click()
    assert page.get_attribute("#drawn", "aria-label") == "What you sent", "of before"


def test_the_keyboards_focus_stays_on_the_button_that_was_pressed(pair: Pair) -> None:
    page = pair.opened()
    page.get_by_role("button", name="Start camera").press("Enter")
    until_it_runs(page)
    assert page.evaluate(FOCUS) == "start"
    page.get_by_role("button", name="Other camera").press("Enter")
    until_it_runs(page)
    assert page.evaluate(FOCUS) == "other"
    page.evaluate(UNPLUG)
    page.get_by_text("The camera has gone").wait_for()
    assert page.evaluate(FOCUS) == "start", "the other one is hidden"
    page.keyboard.press("Enter")
    until_it_runs(page)


def test_a_camera_that_opens_and_gives_nothing_does_not_keep_the_page_waiting(pair: Pair) -> None:
    faster = "const later = setTimeout; window.setTimeout = (call, ms) => later(call, ms / 20);"
    nothing = "HTMLMediaElement.prototype.play = () => new Promise(() => {});"
    page, complaints = opened(pair.browser, pair.appliance, before=faster + nothing)
    start_camera(page)
    until(lambda: "The camera gives no pictures" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    assert page.get_by_role("button", name="Start camera", disabled=False).is_visible()
    assert complaints == []


def test_a_camera_that_pauses_is_not_shown_as_live(pair: Pair) -> None:
    page = pair.opened()
    start_camera(page)
    until_it_runs(page)
    page.evaluate("video.pause()")
    until(lambda: "The camera gives no pictures" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    assert page.evaluate("getComputedStyle(video).visibility") == "hidden"
    page.evaluate("video.play()")
    until(lambda: page.inner_text("#problems") == "", lambda: page.inner_text("body"))
    assert page.evaluate("getComputedStyle(video).visibility") == "visible"
