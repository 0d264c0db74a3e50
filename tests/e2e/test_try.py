# SPDX-License-Identifier: Apache-2.0
"""The page /try in a real Chromium, whose camera is a film of a known face, on the real appliance and model."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from tests.e2e.clients import ALONE
from tests.e2e.conftest import READY_LIMIT_S, RunningAppliance, running
from tests.e2e.test_appliance import without_a_worker
from tests.e2e.test_gateway import pixels, turned
from tests.e2e.test_gateway_stream import stream
from tests.e2e.test_page import AS_SAFARI_15, HIDE, QUIET, assert_fits, chromium, complaints_of, keep_picture
from tests.unit.face_pictures import gocv_paths
from tests.waiting import until

SETTINGS = (
    ALONE
    + """
[gateway]
deadline_ms = 20000
streams = 2
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 2
"""
)
USUAL = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WIDTH, HEIGHT = 640, 480
# Where CenterFace finds the face of gocv's face.jpg at its own size, as in go-capture/internal/demo.
FACE = (262.5, 139.0, 190.5, 254.5)
TOLERANCE_PX = 8
# A connection on which nothing moves for so long is taken for dead, then twice as long; the large picture takes 25 s of
# the page's time.
DEAD_S = 10
UPLINK_BYTES_S = 40_000
# The page's clock, and with it the line, so many times as fast as ours: over a minute of patience is not waited for.
FASTER = 5
FAST_CLOCK = f"""{{
  const now = performance.now.bind(performance);
  performance.now = () => {FASTER} * now();
}}"""
SLOW_S = 90
# The corners of all that has the boxes' colour, in parts of the canvas.
DRAWN = """() => {
  const canvas = document.getElementById("drawn");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== 0x5f || data[i + 1] !== 0xf0 || data[i + 2] !== 0xd8) continue;
    const [x, y] = [(i / 4) % width, Math.floor(i / 4 / width)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  return right > left ? [left, top, right + 1, bottom + 1] : null;
}"""
# Counts in the page what goes out and comes back, and the most that is under way.
COUNT = """() => {
  const { send } = WebSocket.prototype;
  window.counted = { sent: 0, answered: 0, most: 0, bytes: 0 };
  WebSocket.prototype.send = function (data) {
    if (!this.counts) this.addEventListener("message", ({ data }) => {
      counted.answered += 1 + JSON.parse(data).dropped_frames.length;
    });
    this.counts = true;
    counted.sent += 1;
    counted.bytes += data.size;
    counted.most = Math.max(counted.most, counted.sent - counted.answered);
    send.call(this, data);
  };
}"""
# The round trip as it stands above the table, and the table's means; all of one instant.
FIGURES = """() =>
  [...document.querySelectorAll("#trip, #figures tbody tr td:nth-child(2)")].map((node) => node.innerText)"""
# Keeps what the page says is wrong, also when that is over before the test looks.
LISTEN = """() => {
  window.said = "";
  const problems = document.getElementById("problems");
  new MutationObserver(() => { said += problems.innerText; }).observe(problems, { childList: true });
}"""
# The browser tells how much of a picture it still holds, as over a line on which this picture takes a minute.
SLOW_LINE = """async () => {
  const { Asking } = await import("/asking.js");
  let opened = 0;
  const asking = new Asking({ again: () => {}, told: () => {} });
  asking.open = () => { opened += 1; };
  asking.socket = { bufferedAmount: 60, close: () => {} };
  asking.underWay.set(0, { picture: null, sentAt: performance.now() });
  const now = performance.now.bind(performance);
  let ahead = 0;
  performance.now = () => now() + ahead;
  const second = (sent) => {
    ahead += 1000;
    asking.socket.bufferedAmount -= sent;
    asking.check();
  };
  for (let s = 0; s < 60; s++) second(1);
  const travelling = opened;
  for (let s = 0; s < 11; s++) second(0);
  return [travelling, opened];
}"""
# For the picture in docs: whoever is in the film need not be known to every reader.
PIXELATE = """() => {
  const { strokeRect } = CanvasRenderingContext2D.prototype;
  const tiny = new OffscreenCanvas(9, 12);
  CanvasRenderingContext2D.prototype.strokeRect = function (x, y, w, h) {
    tiny.getContext("2d").drawImage(video, x, y, w, h, 0, 0, 9, 12);
    this.imageSmoothingEnabled = false;
    this.drawImage(tiny, x, y, w, h);
    strokeRect.call(this, x, y, w, h);
  };
}"""
DROP = """([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  document.getElementById("drawn").dataset.boxes = ""; // of what was shown before
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


def film_of_a_face(file: Path) -> None:
    """Two frames in the format y4m of the known picture, brought to 640 x 480 as it is."""
    picture = cv2.imread(str(gocv_paths()[0]))
    assert picture is not None
    canvas = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    rows, columns = min(HEIGHT, picture.shape[0]), min(WIDTH, picture.shape[1])
    canvas[:rows, :columns] = picture[:rows, :columns]
    planes = cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420).tobytes()
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F20:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(head + 2 * (b"FRAME\n" + planes))


class Lab(NamedTuple):
    """An appliance, and a browser whose only camera shows the film."""

    appliance: RunningAppliance
    browser: Browser
    film: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    film = tmp_path_factory.mktemp("try") / "face.y4m"
    film_of_a_face(film)
    with running(film.parent, SETTINGS) as appliance, chromium(*with_film(film)) as browser:
        yield Lab(appliance, browser, film)


def with_film(film: Path) -> list[str]:
    return [*USUAL, f"--use-file-for-fake-video-capture={film}", "--host-resolver-rules=MAP box.local 127.0.0.1"]


def opened(
    browser: Browser,
    appliance: RunningAppliance,
    width: int = 1280,
    height: int = 800,
    host: str = "127.0.0.1",
    before: str = "",
) -> tuple[Page, list[str]]:
    """The page alone, earlier ones are closed, in which `before` has run first; and its console's complaints."""
    for context in browser.contexts:
        context.close()
    page = browser.new_page(viewport={"width": width, "height": height})
    page.add_init_script(before)
    complaints = complaints_of(page, "Cross-Origin-Opener-Policy header has been ignored")  # without encryption
    page.goto(f"http://{host}:{appliance.http_port}/try")
    return page, complaints


def another(browser: Browser, *switches: str) -> Browser:
    """One more browser; there is one Playwright in a process."""
    return browser.browser_type.launch(executable_path=shutil.which("chromium"), args=[*QUIET, *switches])


def start_camera(page: Page) -> None:
    page.get_by_role("button", name="Start camera").click()


def until_a_face_is_drawn(page: Page) -> None:
    until(lambda: page.evaluate("drawn.dataset.boxes") == "1", lambda: page.inner_text("body"), READY_LIMIT_S)


def drawn_box(page: Page) -> tuple[float, float, float, float]:
    """x, y, w, h of what is drawn, in pixels of the canvas."""
    left, top, right, bottom = until(lambda: page.evaluate(DRAWN), lambda: page.inner_text("body"))
    return left, top, right - left, bottom - top


def drop(page: Page, name: str, content: bytes, kind: str = "image/jpeg") -> None:
    page.evaluate(DROP, [name, kind, base64.b64encode(content).decode()])


def test_the_browsers_own_camera_is_shown_with_the_face_where_it_is(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    page.evaluate(COUNT)
    assert "Drop a picture here" in page.inner_text("#stage")
    start_camera(page)
    until_a_face_is_drawn(page)
    until(lambda: page.evaluate("counted.answered") > 8, "the answers stop")
    assert drawn_box(page) == pytest.approx(FACE, abs=TOLERANCE_PX)
    assert page.evaluate("counted.most") <= 2
    keep_the_how_tos_picture(page)
    page.get_by_role("button", name="Stop camera").click()
    assert page.evaluate("video.srcObject") is None
    assert "Drop a picture here" in page.inner_text("#stage")
    assert complaints == []


def keep_the_how_tos_picture(page: Page) -> None:
    """Keep the picture of the how-to, when somebody wants it."""
    page.evaluate(PIXELATE)
    before = page.evaluate("counted.answered")
    until(lambda: page.evaluate("counted.answered") > before + 3, "the answers stop")
    keep_picture(page, "try.png")


def test_a_dropped_picture_is_shown_upright_with_its_face(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())
    until_a_face_is_drawn(page)
    assert drawn_box(page) == pytest.approx(FACE, abs=TOLERANCE_PX)
    lying = cv2.rotate(pixels(gocv_paths()[0].read_bytes()), cv2.ROTATE_90_COUNTERCLOCKWISE)
    drop(page, "photo.jpg", turned(cv2.imencode(".jpg", lying)[1].tobytes(), 6))
    until_a_face_is_drawn(page)
    assert drawn_box(page) == pytest.approx(FACE, abs=TOLERANCE_PX)
    assert "nothing is stored" in page.inner_text("main")
    assert complaints == []


def test_a_chosen_picture_of_any_kind_is_made_as_large_as_is_needed(lab: Lab, tmp_path: Path) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    picture = pixels(gocv_paths()[0].read_bytes())
    times = 5
    file = tmp_path / "large.bmp"
    cv2.imwrite(str(file), cv2.resize(picture, None, fx=times, fy=times))
    page.set_input_files("#file", file)
    until_a_face_is_drawn(page)
    width, height = page.evaluate("[drawn.width, drawn.height]")
    assert max(width, height) == 1920
    scale = width / picture.shape[1]
    assert drawn_box(page) == pytest.approx([side * scale for side in FACE], abs=TOLERANCE_PX * scale)
    drop(page, "notes.txt", b"no picture", "text/plain")
    until(lambda: "no picture that the browser can read" in page.inner_text("#problems"), "it is not said")
    assert complaints == []


def test_the_stages_add_up_to_the_round_trip(lab: Lab) -> None:
    page, _ = opened(lab.browser, lab.appliance)
    start_camera(page)
    until_a_face_is_drawn(page)
    page.get_by_role("button", name="Stop camera").click()
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())
    until_a_face_is_drawn(page)
    until(lambda: page.inner_text("#trip") != "–", "there are no figures")
    shown, *stages, whole = page.evaluate(FIGURES)
    rounded_ms = sum(map(half_a_digit, [*stages, whole]))
    assert sum(map(float, stages)) == pytest.approx(float(whole), abs=rounded_ms)
    assert whole == shown


def half_a_digit(figure: str) -> float:
    """The most by which a figure that is shown differs from what was measured."""
    return 0.5 / 10.0 ** len(figure.partition(".")[2])


@pytest.mark.parametrize(
    ("switches", "told"),
    [
        (["--use-fake-ui-for-media-stream=deny"], "The browser does not lend its camera"),
        (["--use-fake-device-for-media-stream=device-count=0"], "This browser finds no camera"),
    ],
    ids=["refused", "none"],
)
def test_a_camera_that_does_not_start_is_said_in_a_sentence_of_its_own(
    lab: Lab, switches: list[str], told: str
) -> None:
    with another(lab.browser, *USUAL, *switches) as browser:
        page, complaints = opened(browser, lab.appliance)
        start_camera(page)
        until(lambda: told in page.inner_text("#problems"), lambda: page.inner_text("body"))
        assert page.get_by_role("button", name="Start camera").is_enabled()
        assert complaints == []


def test_a_camera_that_another_program_has_is_said_too(lab: Lab) -> None:
    page, _ = opened(lab.browser, lab.appliance)  # the film cannot be taken by anybody, so the words are asked for
    busy = "async () => (await import('/lens.js')).refusalOf(new DOMException('', 'NotReadableError'))"
    what, remedy = page.evaluate(busy)
    assert (what, "Another program may have it" in remedy) == ("The camera cannot be read", True)


def test_a_page_without_encryption_says_what_the_browser_wants(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance, host="box.local")
    assert "only over HTTPS, or to localhost" in page.inner_text("#problems")
    assert "HTTP from box.local" in page.inner_text("#problems")
    assert "visavis serve --https" in page.inner_text("#problems")
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())
    until_a_face_is_drawn(page)
    assert complaints == []


def test_it_works_in_a_browser_that_lacks_newer_calls(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance, before=AS_SAFARI_15)
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())
    until_a_face_is_drawn(page)
    until(lambda: page.inner_text("#trip") != "–", "there are no figures")
    page.wait_for_timeout(1000)
    until(lambda: page.inner_text("#problems") == "", lambda: page.inner_text("#problems"))
    assert complaints == []


def test_it_works_on_a_phone(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance, 360, 740)
    start_camera(page)
    until_a_face_is_drawn(page)
    assert_fits(page)
    assert drawn_box(page) == pytest.approx(FACE, abs=TOLERANCE_PX)
    assert complaints == []


def test_two_cameras_can_be_switched(lab: Lab) -> None:
    started = "start.getAttribute('aria-disabled') === 'false'"
    which = "video.srcObject?.getVideoTracks()[0].getSettings().deviceId"
    with another(lab.browser, USUAL[1], "--use-fake-device-for-media-stream=device-count=2") as browser:
        page, complaints = opened(browser, lab.appliance)
        start_camera(page)
        page.get_by_role("button", name="Other camera").wait_for()
        until(lambda: page.evaluate(started), "the camera does not start")
        first = page.evaluate(which)
        page.get_by_role("button", name="Other camera").click()
        until(lambda: page.evaluate(which) not in (None, first), "the camera is still the same")
        until(lambda: page.evaluate(started), "the camera does not start")
        page.get_by_role("button", name="Other camera").click()
        until(lambda: page.evaluate(which) == first, "the first camera does not come back")
        until(lambda: page.evaluate(started), "the camera does not start")
        page.evaluate(LISTEN)
        page.evaluate("other.click(), other.click()")
        until(lambda: page.evaluate(which) not in (None, first), "who clicks twice gets no other camera")
        page.evaluate(COUNT)
        until(lambda: page.evaluate("counted.sent") > 0, "nothing is sent")
        assert page.evaluate("said") == "", "one start has broken off the other"
        assert complaints == []


def test_a_hidden_page_sends_nothing_and_goes_on_when_it_is_seen(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    start_camera(page)
    until_a_face_is_drawn(page)
    page.evaluate(HIDE, True)
    until(lambda: lab.appliance.status()["clients"]["streams"] == 0, "a hidden page asks on")
    assert page.evaluate("video.srcObject.getVideoTracks()[0].enabled") is False
    page.evaluate(HIDE, False)
    page.evaluate(COUNT)
    until(lambda: page.evaluate("counted.answered") > 2, "it does not go on")
    until_a_face_is_drawn(page)
    assert complaints == []


def test_too_many_streams_are_said_and_it_goes_on_when_there_is_room(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    until(lambda: lab.appliance.status()["clients"]["streams"] == 0, "streams of other tests stay")
    with stream(lab.appliance), stream(lab.appliance):
        start_camera(page)
        until(lambda: "Too many streams are open" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    until_a_face_is_drawn(page)
    until(lambda: page.inner_text("#problems") == "", "what is over is still said")
    assert all("429" in words or "426" in words for words in complaints), complaints


def test_a_stream_that_ends_between_a_refusal_and_the_question_why_is_no_proxy(lab: Lab) -> None:
    page, _ = opened(lab.browser, lab.appliance)
    until(lambda: lab.appliance.status()["clients"]["streams"] == 0, "streams of other tests stay")
    asked: list[str] = []

    def there_is_room(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=426)

    def blamed_after_the_second() -> bool:
        blamed = "passes no WebSockets" in page.inner_text("#problems")
        assert not blamed or len(asked) > 1
        return blamed

    with stream(lab.appliance), stream(lab.appliance):
        start_camera(page)
        until(lambda: "Too many streams are open" in page.inner_text("#problems"), lambda: page.inner_text("body"))
        page.route("**/detect/stream", there_is_room)
        until(blamed_after_the_second, lambda: page.inner_text("body"))


def test_an_outage_that_is_over_is_no_longer_said_of_a_picture_that_is_answered(lab: Lab) -> None:
    page, _ = opened(lab.browser, lab.appliance)
    drop(page, "face.jpg", gocv_paths()[0].read_bytes())
    until_a_face_is_drawn(page)
    page.route("**/detect/stream", lambda route: route.abort())
    page.evaluate("""async () => {
      const { Asking } = await import("/asking.js");
      const { open } = Asking.prototype;
      Asking.prototype.open = function () { window.asking = this; open.call(this); };
    }""")
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    until(lambda: page.evaluate("asking.free"), "there is no connection")
    page.evaluate("asking.lost()")
    page.evaluate("clearTimeout(asking.timer)")
    until(lambda: "The device does not answer" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    page.evaluate("asking.open()")
    until(lambda: page.inner_text("#problems") == "", "what is over is still said")


def slow_down(page: Page, upload_bytes_s: float) -> None:
    """Let what the page sends travel so slowly from now on, WebSockets included."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload_bytes_s},
    )


def large_picture(file: Path) -> None:
    """A face with so much noise that some 1 MB of it is sent."""
    picture = cv2.imread(str(gocv_paths()[0]))
    assert picture is not None
    large = cv2.resize(picture, None, fx=3, fy=3)
    noise = np.random.default_rng(1).normal(0, 12, large.shape)
    cv2.imwrite(str(file), np.clip(large + noise, 0, 255).astype(np.uint8))


def test_a_large_picture_over_a_slow_uplink_is_answered_in_the_end(lab: Lab, tmp_path: Path) -> None:
    page, complaints = opened(lab.browser, lab.appliance, before=FAST_CLOCK)
    page.evaluate(COUNT)
    page.evaluate(LISTEN)
    slow_down(page, FASTER * UPLINK_BYTES_S)
    large_picture(tmp_path / "large.png")
    page.set_input_files("#file", tmp_path / "large.png")
    until(lambda: page.evaluate("drawn.dataset.boxes") == "1", lambda: page.inner_text("body"), SLOW_S)
    assert page.evaluate("counted.bytes / counted.sent") > DEAD_S * UPLINK_BYTES_S, "it needs no patience"
    assert page.evaluate("counted.sent") in (3, 4)  # the fourth time where the machine has no time to spare
    assert "The connection to the device may be too slow" in page.evaluate("said")
    assert page.inner_text("#problems") == "", "what is over is still said"
    assert all("429" in words for words in complaints), complaints  # given up, they are streams until they have closed


def test_a_picture_that_travels_is_not_sent_again(lab: Lab) -> None:
    page, _ = opened(lab.browser, lab.appliance)
    assert page.evaluate(SLOW_LINE) == [0, 1], "openings while it travels, and after a silence of eleven seconds"


def test_a_missing_worker_is_said_and_the_picture_is_looked_at_when_there_is_one(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    page.evaluate(LISTEN)
    with without_a_worker(lab.appliance):
        drop(page, "face.jpg", gocv_paths()[0].read_bytes())
        until(lambda: "No worker is ready" in page.evaluate("said"), lambda: page.inner_text("body"))
    until_a_face_is_drawn(page)
    until(lambda: page.inner_text("#problems") == "", "what is over is still said")
    assert complaints == []


def test_the_dashboard_leads_there_and_back_by_keyboard(lab: Lab) -> None:
    page, complaints = opened(lab.browser, lab.appliance)
    page.get_by_role("link", name="Cameras").press("Enter")
    page.wait_for_selector(".camera canvas")
    page.get_by_role("link", name="Try your own camera").press("Enter")
    page.wait_for_url("**/try")
    page.get_by_role("button", name="Start camera").press("Space")
    until_a_face_is_drawn(page)
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_about(lab: Lab, scheme: str) -> None:
    page, _ = opened(lab.browser, lab.appliance)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    start_camera(page)
    until_a_face_is_drawn(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
