# SPDX-License-Identifier: Apache-2.0
"""Logins on the real appliance: docs/how-to/home-network.md as it stands there, and the page in a real Chromium."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from tests.e2e.clients import Answer, PeakMemory, post
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import daemon_pid
from tests.e2e.test_page import CAMERA, QUIET, chromium, complaints_of, keep_picture, until_all_move
from tests.repo.pages import Block, blocks
from tests.unit.command import PROGRAM
from tests.unit.face_pictures import gocv_paths
from tests.waiting import HANG_S, until

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody
WRONG = "wrong horse battery"
# Whether anything but black is on the page's first picture.
BRIGHT = """() => {
  const canvas = document.querySelector(".picture canvas");
  const { data } = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
  return data.some((value, i) => i % 4 < 3 && value > 0);
}"""
SEEN_BY_ALL_MS = 4000  # the status is asked for each second, a picture's connection anew after half a second
MORE = (
    'file = "credentials.toml"\n[device]\nid = "porch"\n[mqtt]\nurl = ""\n'
    '[gateway]\naccount_rate = 0.1\ndeadline_ms = 20000\n[detector]\nbackend = "fake"\n'
    + CAMERA.replace("demo{n}", "door")
    + CAMERA.replace("{n}", "2")
)


def how_to(kind: str, word: str) -> Block:
    """The one block of the page that holds a word."""
    (found,) = (one for one in blocks(kind) if one.page.name == "home-network.md" and word in one.text)
    return found


class Locked:
    """An appliance that wants logins, and what the page tells people to type there."""

    def __init__(self, appliance: RunningAppliance) -> None:
        self.appliance = appliance
        self.url = f"http://127.0.0.1:{appliance.http_port}"

    def type(self, line: str) -> str:
        """Run one line of the page: against this configuration, this port, and with a password on standard input."""
        words = shlex.split(line, comments=True)
        words = [str(self.appliance.file) if word == "config.toml" else word for word in words]
        words = [word.replace("http://porch.local:8080", self.url) for word in words]
        if Path(words[0]).name == "visavis":
            words[0] = str(PROGRAM)
        else:
            words[1:1] = ["-H", "Host: porch.local"]
        answer = subprocess.run(words, input=f"{PASSWORD}\n", capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert PASSWORD not in answer.stdout + answer.stderr
        return answer.stdout

    def status_code(self, token: str) -> int:
        request = urllib.request.Request(f"{self.url}/api/v1/status", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=HANG_S) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Locked]:
    """The how-to's own configuration and first login, on a free port, claimed by its owner before."""
    listen = how_to("toml", ':8080"\n\n[auth]').text.replace(":8080", ":{http_port}")
    with running(tmp_path_factory.mktemp("locked"), listen + MORE) as appliance:
        made = Locked(appliance)
        claim(browser, made)
        made.type(first_line(how_to("sh", "auth add anna")))
        yield made
    said = appliance.log.read_text()
    assert "online" in said
    assert PASSWORD not in said
    assert "vis_" not in said


def claim(browser: Browser, locked: Locked) -> None:
    """Open the page of a device that was just started, and become its administrator."""
    (code,) = re.findall(r"open /claim .* code=(\S+)", locked.appliance.log.read_text())
    page, complaints = opened(browser, locked)
    page.wait_for_url("**/claim")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    keep_picture(page, "claim.png")
    page.get_by_label("Code").fill(code)
    page.get_by_label("Your name").fill("owner")
    page.get_by_label("A new password").fill(PASSWORD)
    page.get_by_role("button", name="Become its administrator").click()
    page.wait_for_selector(".camera canvas")
    assert complaints == []


def first_line(block: Block) -> str:
    return block.text.splitlines()[0]


def opened(browser: Browser, locked: Locked) -> tuple[Page, list[str]]:
    """The page without any cookie, and what its console complains about beside refused logins, which Chromium notes."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints = complaints_of(page, "status of 401")
    page.goto(f"{locked.url}/")
    return page, complaints


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_person_logs_in_sees_the_picture_and_logs_out(locked: Locked, browser: Browser) -> None:
    page, complaints = opened(browser, locked)
    assert page.url == f"{locked.url}/login"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    keep_picture(page, "login.png")
    assert complaints == []
    log_in(page, "anna", WRONG)
    until(lambda: "name or the password is wrong" in page.inner_text("body"), "a wrong password is not told")
    log_in(page, "Anna", PASSWORD)
    page.wait_for_selector(".camera canvas")
    until_all_move(page, 2)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["name"]) == (True, "Strict", "visavis_porch")
    assert page.evaluate("document.cookie") == ""
    assert complaints == []
    assert_comes_back_from_the_login_by_itself(page, locked)
    assert_who_could_not_log_out_is_told(page, locked)
    page.get_by_role("button", name="Log out anna").click()
    page.wait_for_url("**/login")
    page.goto(f"{locked.url}/")
    assert page.url == f"{locked.url}/login"
    page.context.add_cookies([{"name": "visavis_porch", "value": cookie["value"], "url": locked.url}])
    page.goto(f"{locked.url}/")
    assert page.url == f"{locked.url}/login", "the cookie of a session that was left lets somebody in"


def assert_comes_back_from_the_login_by_itself(page: Page, locked: Locked) -> None:
    """As a page on a wall must where the device could not read its logins for a moment."""
    nobody = {"name": "", "required": True, "claim": False, "logins": True, "role": "", "cameras": []}
    page.route("**/api/v1/session", lambda route: route.fulfill(json=nobody))
    page.route("**/api/v1/status", lambda route: route.fulfill(status=401, json={}))
    page.wait_for_url("**/login")
    page.get_by_label("Name").fill("anna")
    page.unroute("**/api/v1/status")
    page.unroute("**/api/v1/session")
    page.wait_for_url(f"{locked.url}/")
    page.wait_for_selector(".camera canvas")


def assert_who_could_not_log_out_is_told(page: Page, locked: Locked) -> None:
    leave = page.get_by_role("button", name="Log out anna")
    told = page.get_by_role("alert").filter(has_text="You are still logged in")
    for answer in (lambda route: route.fulfill(status=502, body="Bad Gateway"), lambda route: route.abort()):
        page.route("**/api/v1/logout", answer)
        page.evaluate("document.querySelectorAll('[role=alert]').forEach((alert) => alert.replaceChildren())")
        leave.click()
        told.wait_for()
        assert page.url == f"{locked.url}/"
        page.unroute("**/api/v1/logout")


@pytest.mark.parametrize("way", [("/", "Try your own camera"), ("/try", "Cameras")], ids=["dashboard", "try"])
def test_back_shows_nothing_of_whoever_has_logged_out(locked: Locked, browser: Browser, way: tuple[str, str]) -> None:
    address, link = way
    with keeping_pages(browser) as keeping:
        page, _ = opened(keeping, locked)
        name, _, value = session_of(locked, "anna", f"127.0.3.{len(link)}").partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": locked.url}])
        page.goto(f"{locked.url}{address}")
        if address == "/try":
            page.set_input_files("#file", gocv_paths()[0])
        until(lambda: page.evaluate(BRIGHT), "there is no picture")
        page.evaluate("window.kept = true")
        page.get_by_role("link", name=link).click()
        page.get_by_role("button", name="Log out anna").click()
        page.wait_for_url("**/login*")
        page.context.set_offline(True)
        page.evaluate("history.back()")
        page.wait_for_url(f"{locked.url}{address}", wait_until="commit")
        assert page.evaluate("window.kept"), "the browser has not kept the page"
        assert not page.evaluate(BRIGHT), "a picture of before is shown"
        page.context.set_offline(False)
        page.wait_for_url("**/login*")


# A device that has another version once the page is left; Playwright's routes do not reach a page that was kept.
UPDATED_WHEN_LEFT = """() => {
  const ask = window.fetch;
  let left = false;
  addEventListener("pagehide", () => { left = true; });
  window.fetch = async (address, ...more) => {
    const answer = await ask(address, ...more);
    if (!left || !answer.ok || !String(address).endsWith("/status")) return answer;
    const headers = { Date: answer.headers.get("Date") };
    return Response.json({ ...(await answer.json()), version: "999.0.0" }, { headers });
  };
}"""


def test_a_page_that_one_goes_back_to_notices_an_update(locked: Locked, browser: Browser) -> None:
    with keeping_pages(browser) as keeping:
        page, _ = opened(keeping, locked)
        name, _, value = session_of(locked, "anna", "127.0.3.9").partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": locked.url}])
        page.goto(f"{locked.url}/")
        page.wait_for_selector(".camera canvas")
        page.evaluate(UPDATED_WHEN_LEFT)
        page.get_by_role("link", name="Try your own camera").click()
        page.wait_for_url("**/try")
        with page.expect_event("domcontentloaded"):  # it loads itself; a page that was kept does not
            page.evaluate("history.back()")
        assert page.url == f"{locked.url}/"


@contextmanager
def keeping_pages(browser: Browser) -> Iterator[Browser]:
    """One more browser, which keeps the pages that one leaves, as all do but those of tests."""
    kind, off = browser.browser_type, ["--disable-back-forward-cache"]
    started = kind.launch(executable_path=shutil.which("chromium"), args=QUIET, ignore_default_args=off)
    yield started
    started.close()


def test_a_link_from_another_site_finds_whoever_is_logged_in(locked: Locked, browser: Browser) -> None:
    page, _ = opened(browser, locked)
    log_in(page, "anna", PASSWORD)
    page.wait_for_selector(".camera canvas")
    page.set_content(f'<a href="{locked.url}/">to the camera</a>')
    page.goto("data:text/html,elsewhere")
    page.set_content(f'<a href="{locked.url}/">to the camera</a>')
    page.get_by_role("link").click()
    page.wait_for_selector(".camera canvas")


def test_a_neighbour_sees_one_camera_until_they_are_revoked(locked: Locked, browser: Browser) -> None:
    add, listing, revoke = how_to("sh", "auth add neighbour").text.splitlines()
    locked.type(add)
    assert "neighbour" in locked.type(listing)
    page, _ = opened(browser, locked)
    assert_led_back_to_where_one_wanted_to_go(page, locked)
    page.wait_for_selector(".camera canvas")
    until_all_move(page, 1)
    assert page.locator(".camera").count() == 1
    assert "demo2" not in page.inner_text("body")
    asked: list[Route] = []
    page.route(f"{locked.url}/login", lambda route: asked.append(route))  # noqa: PLW0108 - Playwright marks it
    with page.expect_request(f"{locked.url}/login"):
        locked.type(revoke)
    page.wait_for_timeout(SEEN_BY_ALL_MS)
    assert len(asked) == 1, "the parts of the page break off each other's way to the login"
    asked[0].continue_()
    page.wait_for_url("**/login")


def assert_led_back_to_where_one_wanted_to_go(page: Page, locked: Locked) -> None:
    """Who wants to send pictures comes there by a login, and is told what is missing; none leads to other sites."""
    page.goto(f"{locked.url}/try")
    assert page.url == f"{locked.url}/login?to=%2Ftry"
    log_in(page, "neighbour", PASSWORD)
    page.wait_for_url("**/try")
    until(lambda: "neighbour may look at cameras" in page.inner_text("#problems"), lambda: page.inner_text("body"))
    assert "“visavis auth add neighbour --role operator --camera door”" in page.inner_text("#problems")
    page.goto(f"{locked.url}/login?to=https://evil.example/")
    page.wait_for_url(f"{locked.url}/")


@pytest.mark.parametrize(
    ("name", "words", "cameras", "source"),
    [
        ("all", "", ["*"], "127.0.2.1"),
        ("one", "--camera door", ["door"], "127.0.2.2"),
        ("two", "--camera demo2 --camera door", ["demo2", "door"], "127.0.2.3"),
        ("none", "--no-camera", [], "127.0.2.4"),
    ],
)
def test_a_viewer_who_becomes_an_operator_sees_no_more_cameras(
    locked: Locked, browser: Browser, name: str, words: str, cameras: list[str], source: str
) -> None:
    locked.type(f"visavis auth add {name} --role viewer {words} --config config.toml")
    page, _ = opened(browser, locked)
    page.context.set_extra_http_headers({"Cookie": session_of(locked, name, source)})
    page.goto(f"{locked.url}/try")
    page.wait_for_selector(f"#problems :text('{name} may look at cameras')")
    for line in re.findall("“(visavis .*?)”", page.inner_text("#problems")):
        locked.type(f"{line} --config config.toml")
    accounts = json.loads(locked.type("visavis auth list --json --config config.toml"))["accounts"]
    (found,) = (one for one in accounts if one["name"] == name)
    assert (found["role"], found["cameras"]) == ("operator", cameras)


@pytest.fixture
def unclaimed(start_appliance: Callable[..., RunningAppliance]) -> Locked:
    """An appliance of the test's own, with a login and without an administrator."""
    listen = how_to("toml", ':8080"\n\n[auth]').text.replace(":8080", ":{http_port}")
    made = Locked(start_appliance(listen + MORE))
    made.appliance.wait_ready()
    made.type(first_line(how_to("sh", "auth add neighbour")))
    return made


def test_who_has_a_login_uses_it_while_nobody_is_administrator(unclaimed: Locked, browser: Browser) -> None:
    page, complaints = opened(browser, unclaimed)
    page.get_by_role("link", name="becomes that").click()
    page.wait_for_url("**/claim")
    page.get_by_role("link", name="use it").click()
    page.wait_for_url("**/login")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    log_in(page, "neighbour", PASSWORD)
    page.wait_for_selector(".camera canvas")
    page.goto(f"{unclaimed.url}/login")  # as by a link from another site, which comes without the cookie
    page.wait_for_url(f"{unclaimed.url}/")
    assert complaints == []


def test_who_logs_out_where_the_disk_does_not_take_it_is_told(unclaimed: Locked, browser: Browser) -> None:
    page, _ = opened(browser, unclaimed)
    log_in(page, "neighbour", PASSWORD)
    page.wait_for_selector(".camera canvas")
    sessions = Path(os.environ["VISAVIS_STATE_DIR"]) / "sessions" / "porch.json"
    until(sessions.exists, "sessions are not kept")
    sessions.unlink()
    (sessions / "stuck").mkdir(parents=True)  # can be neither written nor removed
    page.get_by_role("button", name="Log out neighbour").click()
    until(lambda: "after a restart your old session holds again" in page.inner_text("body"), "nobody is told")


def test_a_programs_token_is_shown_once_and_counts_until_it_is_revoked(locked: Locked) -> None:
    add, curl = how_to("sh", "grafana").text.splitlines()
    token = locked.type(add).strip()
    assert "visavis_frames_captured_total" in locked.type(curl.replace("vis_...", token))
    assert locked.status_code(token) == 200
    locked.type(f"visavis auth revoke grafana --config {locked.appliance.file}")
    assert locked.status_code(token) == 401


def test_a_token_that_sends_too_much_is_slowed_down_and_another_one_is_not(locked: Locked) -> None:
    picture = gocv_paths()[0].read_bytes()
    add = f"visavis auth add {{}} --role operator --no-camera --token --config {locked.appliance.file}"
    tokens = {name: locked.type(add.format(name)).strip() for name in ("greedy", "polite")}

    def send(name: str) -> Answer:
        return post(locked.appliance, picture, Authorization=f"Bearer {tokens[name]}")

    def refused() -> Answer | None:
        answer = send("greedy")
        return answer if answer.status == 429 else None

    problem = until(refused, "one token may send as fast as it likes")
    assert problem.json["title"] == "Too many pictures come with this login"
    assert int(problem.headers["Retry-After"]) >= 1
    assert send("polite").status == 200


def test_a_device_encrypts_with_a_certificate_of_its_own(start_appliance: Callable[..., RunningAppliance]) -> None:
    appliance = start_appliance(how_to("toml", "https").text.replace(":8080", ":{http_port}") + MORE)
    until(lambda: "online" in appliance.log.read_text(), appliance.log.read_text, 60)  # run's own figures cross it too
    made = Path(os.environ["VISAVIS_STATE_DIR"]) / "certificates" / "porch.pem"
    trusted = ssl.create_default_context(cafile=str(made))
    with urllib.request.urlopen(
        f"https://127.0.0.1:{appliance.http_port}/login", timeout=HANG_S, context=trusted
    ) as page:
        assert page.status == 200
    (told,) = re.findall(r"sha256=([0-9A-F:]{95})", appliance.log.read_text())
    certificate = ssl.PEM_cert_to_DER_cert(made.read_text().partition("-----BEGIN PRIVATE")[0])
    assert told.replace(":", "").lower() == hashlib.sha256(certificate).hexdigest()
    assert f"https://127.0.0.1:{appliance.http_port}/" in appliance.log.read_text()


def test_run_shows_its_figures_and_nobody_else_gets_them_without_a_login(locked: Locked) -> None:
    until(lambda: "online" in locked.appliance.log.read_text(), locked.appliance.log.read_text)
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        locked.appliance.get("/api/v1/status")
    problem = json.load(refused.value)
    assert problem["title"] == "This needs a login"
    assert refused.value.headers["WWW-Authenticate"].startswith("Bearer")


def session_of(locked: Locked, name: str, source: str) -> str:
    """The cookie of a login from one of loopback's addresses: the browser's own may log in five times a minute."""
    (answer,) = logins(locked, source, [(name, PASSWORD)])
    assert answer.status == 200
    return answer.headers["Set-Cookie"].partition(";")[0]


def try_to_log_in(locked: Locked, source: str) -> list[int]:
    """Guess ten passwords of strangers from one of loopback's addresses; the status of each answer."""
    return [answer.status for answer in logins(locked, source, [(f"{source}-{n}", WRONG) for n in range(10)])]


def logins(locked: Locked, source: str, tries: list[tuple[str, str]]) -> Iterator[http.client.HTTPResponse]:
    """Try names with passwords from an address."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", locked.appliance.http_port, timeout=30, source_address=(source, 0))
    ) as connection:
        for name, password in tries:
            body = json.dumps({"name": name, "password": password})
            connection.request("POST", "/api/v1/login", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            yield answer


def test_a_flood_of_logins_takes_little_memory_and_only_hurts_itself(locked: Locked) -> None:
    sources = [f"127.0.1.{n}" for n in range(1, 33)]
    with PeakMemory(daemon_pid(locked.appliance)) as memory, ThreadPoolExecutor(len(sources)) as attackers:
        codes = [
            code for found in attackers.map(lambda source: try_to_log_in(locked, source), sources) for code in found
        ]
    assert set(codes) <= {401, 429, 503}
    assert {401, 429} <= set(codes)
    assert memory.extra < 96 << 20, f"{memory.extra >> 20} MiB more"


def test_who_comes_to_claim_a_device_that_has_an_administrator_is_told(locked: Locked, browser: Browser) -> None:
    page, complaints = opened(browser, locked)
    page.goto(f"{locked.url}/claim")
    page.wait_for_selector("#over")
    assert not page.is_visible("#claim")
    fields = {"code": "AAAA-AAAA", "name": "ben", "password": PASSWORD}
    refused = page.request.post(f"{locked.url}/api/v1/claim", data=fields)
    assert (refused.status, refused.json()["detail"] in page.inner_text("#over")) == (410, True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url("**/login")
    assert complaints == []


def test_who_may_see_no_camera_is_not_told_that_there_is_none(locked: Locked, browser: Browser) -> None:
    locked.type("visavis auth add nell --role viewer --camera dor --config config.toml")
    page, complaints = opened(browser, locked)
    log_in(page, "nell", PASSWORD)
    page.wait_for_selector("#given")
    assert not page.is_visible("#bare")
    assert complaints == []


def test_a_login_that_gets_no_answer_is_given_up_and_said(locked: Locked, browser: Browser) -> None:
    page, _ = opened(browser, locked)
    page.add_init_script("const later = setTimeout; window.setTimeout = (call, ms) => later(call, ms / 20);")
    page.route("**/api/v1/login", lambda _: None)  # as where a proxy in between has lost the device
    page.goto(f"{locked.url}/login")
    log_in(page, "anna", PASSWORD)
    page.get_by_role("alert").filter(has_text="The device does not answer").wait_for()
    assert page.get_by_role("button", name="Log in").is_enabled()
