"""Links lead somewhere: files exist in the repository, addresses are whole, the site has no dead end."""

import re
from urllib.parse import urlsplit

import pytest

from tests.docs.reading import FENCE, PAGES

LINK = re.compile(r"\]\(([^)\s]+)\)")


def list_links(page):
    """Targets of links and pictures, outside of code."""
    prose = re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    return LINK.findall(prose)


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_each_relative_link_and_picture_exists(page):
    for target in list_links(page):
        if "://" not in target:
            path = target.split("#")[0]
            assert not path or (page.parent / path).exists(), target


@every_page
def test_each_anchor_is_a_heading_as_a_repository_names_it(page):
    for target in list_links(page):
        if "://" not in target and "#" in target:
            path, anchor = target.split("#")
            assert anchor in name_headings(page.parent / path if path else page), target


@every_page
def test_each_address_is_whole(page):
    for target in list_links(page):
        if "://" in target:
            parts = urlsplit(target)
            assert parts.scheme == "https"
            assert re.fullmatch(r"(\w[\w-]*\.)+[a-z]{2,}", parts.netloc)
            assert not parts.netloc.endswith(".")


def name_headings(page):
    """Anchors of a page's headings: small letters, blanks as hyphens, without other marks."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
