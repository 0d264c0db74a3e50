# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium, behind a real nginx that asks the device by another name than the page was asked by."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.brokers import is_open
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_page import CAMERA, NO_BROKER, chromium, until_all_move
from tests.e2e.test_two_gateways import nginx_command
from tests.ports import free_port
from tests.waiting import until

SETTINGS = NO_BROKER.replace("[mqtt]", 'hosts = ["porch.example.org"]\nproxies = ["127.0.0.1"]\n[mqtt]')
NGINX = """
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{device};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            {more}
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("device"), SETTINGS + CAMERA.format(n="")) as appliance:
        yield appliance


@contextmanager
def behind_nginx(device: RunningAppliance, folder: Path, more: str = "") -> Iterator[int]:
    """The port of an nginx in front of the device, with more directives than the least."""
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, device=device.http_port, more=more))
    with subprocess.Popen(nginx_command(file)) as nginx:
        try:
            until(lambda: is_open(port), "nginx does not serve")
            yield port
        finally:
            nginx.terminate()


@contextmanager
def named(port: int) -> Iterator[Browser]:
    """A browser for which nginx is at two names, at the usual port: one of the device's, and a stranger's."""
    rules = ",".join(f"MAP {name}:80 127.0.0.1:{port}" for name in ("porch.example.org", "evil.example"))
    with chromium(f"--host-resolver-rules={rules}") as browser:
        yield browser


def until_it_says(page: Page, *words: str) -> None:
    shown = page.locator(".picture").first
    until(lambda: all(word in shown.inner_text() for word in words), shown.inner_text)


def test_a_proxy_that_changes_the_host_is_named_as_the_reason(device: RunningAppliance, tmp_path: Path) -> None:
    with behind_nginx(device, tmp_path) as port, named(port) as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        until_it_says(page, f"http://127.0.0.1:{port}", f"127.0.0.1:{device.http_port}", "proxy_set_header Host")
        assert "Upgrade" not in page.inner_text("body")
        page.goto("http://evil.example/")
        until_it_says(page, "http://evil.example")
        page.goto("http://porch.example.org/")
        page.wait_for_selector(".camera canvas")
        until_all_move(page, 1)


def test_a_proxy_that_tells_the_host_beside_its_own_is_believed(device: RunningAppliance, tmp_path: Path) -> None:
    told = "proxy_set_header X-Forwarded-Host $http_host;"
    with behind_nginx(device, tmp_path, told) as port, chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector(".camera canvas")
        until_all_move(page, 1)


def test_a_proxy_that_tells_the_host_without_its_port_is_no_obstacle(device: RunningAppliance, tmp_path: Path) -> None:
    told = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Host $host;"
    rule = "--host-resolver-rules=MAP porch.example.org 127.0.0.1"
    with behind_nginx(device, tmp_path, told) as port, chromium(rule) as browser:
        page = browser.new_page()
        page.goto(f"http://porch.example.org:{port}/")
        page.wait_for_selector(".camera canvas")
        until_all_move(page, 1)
