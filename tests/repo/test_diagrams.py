# SPDX-License-Identifier: Apache-2.0
"""Each diagram of the pages is drawn by the real Mermaid, in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.repo.pages import Block, blocks
from tests.repo.test_laws import ROOT, tracked

MERMAID = ROOT / "build/mermaid/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"
DIAGRAMS = blocks("mermaid", among=tracked("*.md"))
DRAW = "async (text) => (await mermaid.render('diagram', text)).svg"


@pytest.fixture(scope="module")
def sheet() -> Iterator[Page]:
    """An empty page with Mermaid."""
    if not MERMAID.exists():
        pytest.skip("Mermaid is not here: `make setup-test` installs it where there is npm")
    program = shutil.which("chromium")
    assert program, "chromium is missing: `make setup-test`, or apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(path=MERMAID)
        yield page
        browser.close()


def test_there_are_diagrams() -> None:
    assert len(DIAGRAMS) > 5, "they are not where this test looks"


@pytest.mark.parametrize("diagram", DIAGRAMS, ids=str)
def test_every_diagram_can_be_drawn(diagram: Block, sheet: Page) -> None:
    assert sheet.evaluate(DRAW, diagram.text).startswith("<svg")


def test_what_is_no_diagram_is_refused(sheet: Page) -> None:
    with pytest.raises(Error, match="Parse error"):
        sheet.evaluate(DRAW, "flowchart LR\n    a[the fence is open --> b\n")
