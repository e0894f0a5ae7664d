"""The site is built without a warning, reads without network, and holds what the package offers."""

import re
import subprocess
import sys

import pytest

import raml
from raml.cli import app
from tests.docs.reading import ROOT
from tests.report.browsing import ARGUMENTS, CHROMIUM, needs_browser

LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)")
OUTSIDE_OF_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; `--strict` makes a missing page, anchor, picture or name an error."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    return folder


def test_a_browser_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    assert {(page.name, address) for page in pages for address in LOADED.findall(page.read_text("utf-8"))} == set()
    for style in site.rglob("*.css"):
        assert not OUTSIDE_OF_CSS.search(style.read_text("utf-8")), style


def test_the_reference_has_every_public_name(site):
    anchors = {
        name
        for page in site.glob("reference/*.html")
        for name in re.findall(r'\bid="(raml[\w.]+)"', page.read_text("utf-8"))
    }
    homes = raml._HOMES
    assert {
        name for name in raml.__all__ if not name.startswith("_") and f"{homes[name]}.{name}" not in anchors
    } == set()


def test_the_reference_has_every_command(site):
    text = (site / "reference" / "commands.html").read_text("utf-8")
    commands = [name for name in app if not name.startswith("-")]
    assert len(commands) > 15
    assert {name for name in commands if f'id="raml-{name}"' not in text} == set()
    assert text.count("--debug") == 1


def test_names_of_functions_lead_to_the_reference(site):
    text = (site / "paper-index.html").read_text("utf-8")
    assert re.search(
        r'href="reference/raml\.updates\.html#raml\.updates\.measure_alignment"[^>]*><code>raml\.measure_alignment<',
        text,
    )


def test_a_link_out_of_the_documentation_is_the_path_itself(site):
    text = (site / "real-model.html").read_text("utf-8")
    assert "<code>examples/word_problems.jsonl</code>" in text
    assert "../examples" not in text


@needs_browser
def test_the_search_finds_pages_that_are_opened_as_files(site):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        addresses = []
        page.on("request", lambda request: addresses.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.locator("[data-md-component=search-query]").fill("down projection")
        found = page.locator(".md-search-result__item a").first
        found.wait_for()
        assert "updates.html" in (found.get_attribute("href") or "")
        assert [address for address in addresses if not address.startswith(("file:", "blob:", "data:", "about:"))] == []
        browser.close()
