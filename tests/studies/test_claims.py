"""The committed results are those of the rules as they stand, and the page of claims says what they say."""

import runpy
from pathlib import Path

import pytest

from raml.studies import STUDIES, load_setup, read_packaged
from raml.studies.plan import SCALES

ROOT = Path(__file__).parents[2]
RESULTS = [pytest.param(result, id=f"{scale}-{result.name}") for scale in SCALES for result in read_packaged(scale)]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_was_judged_by_the_rules_and_the_claim_that_stand(result):
    setup = load_setup(result.name, result.scale)
    assert (result.rules, result.claim, result.source) == (setup.rules, setup.claim, setup.source)


@pytest.mark.parametrize("result", RESULTS)
def test_the_figures_of_a_result_are_in_the_documentation(result):
    for name in result.figures:
        if name.endswith(".png"):
            assert (ROOT / "docs" / "images" / "claims" / f"{result.scale}-{name}").is_file()


def test_the_page_of_claims_is_written_from_the_results():
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert page == runpy.run_path(str(ROOT / "recipes" / "claims.py"))["write_page"]()
    assert all(f"| {name} |" in page for name in STUDIES)
