"""What the tests in a real browser share: where it is, and a page that is open in it."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page

CHROMIUM = os.environ.get("RAML_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and "RAML_REQUIRE_BROWSER" not in os.environ,
    reason="no chromium, chromium-browser or google-chrome on PATH; RAML_CHROMIUM may name one",
)


@dataclass
class Visit:
    """An open page, and what it did that it should not."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def index(self):
        """Index of the token at the cursor, as the text and the readout agree."""
        (in_text,) = self.page.locator(".token.current").evaluate_all("spans => spans.map(s => s.dataset.i)")
        assert self.page.locator("#read-index").inner_text() == in_text
        return int(in_text)

    def marker_left(self):
        line, over = (
            self.page.locator(f"#curve {name}").bounding_box() for name in (".marker-own .marker-line", ".over")
        )
        return line["x"] + line["width"] / 2 - over["x"]

    def current_card(self):
        return self.page.locator("#trajectories [aria-current]").get_attribute("data-id")


def wait_until(page, expression, seconds=30):
    """Wait for an expression to be true. Playwright's own way lets the page run it, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, f"not true in {seconds} s: {expression}"
        page.wait_for_timeout(50)


def curve_point(page, share, height=0.5):
    """Screen place at a share of the curve's width."""
    box = page.locator("#curve .over").bounding_box()
    return box["x"] + box["width"] * share, box["y"] + box["height"] * height
