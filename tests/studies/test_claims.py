"""The committed results are those of the rules as they stand, and the page of claims says what they say."""

import importlib.util
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from raml.records import Finding, Rule, StudyResult
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


def test_a_folder_s_results_go_to_their_own_scale_and_figures_to_the_documentation(tmp_path, monkeypatch):
    """The package has a result of another scale of the same study, which stays as it is."""
    finding = Finding("fall", -1.0, -1.5, -0.5, 0.95, 64, (), "supported")
    rule = Rule("fall", "how far it falls", "nats", below=0.0)
    made = StudyResult(
        "fig3", "tiny", "Fig. 3", "It falls.", (rule,), (finding,), "supported", "It would have to fall.",
        (), ("none",), (0,), ("fig3.png",), {}, 1.0, {}, None,
    )  # fmt: skip
    monkeypatch.setattr(
        sys.modules["raml.studies.conclusion"],
        "read_packaged",
        lambda scale: [replace(made, scale="small")] if scale == "small" else [],
    )
    own = tmp_path / "home" / "results" / "fig3"
    own.mkdir(parents=True)
    (own / "fig3.json").write_bytes(msgspec.json.encode(made))
    (own / "fig3.png").write_bytes(b"a picture")
    spec = importlib.util.spec_from_file_location("claims", ROOT / "recipes" / "claims.py")
    claims = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(claims)
    places = {"ROOT": tmp_path, "PAGE": tmp_path / "claims.md", "IMAGES": tmp_path / "images"}
    for name, place in places.items():
        monkeypatch.setattr(claims, name, place)
    monkeypatch.setattr(sys, "argv", ["claims.py", str(tmp_path / "home")])
    claims.main()
    taken = {path.relative_to(tmp_path / "src/raml/studies/results") for path in tmp_path.glob("src/**/*.json")}
    assert taken == {Path("tiny/fig3.json")}
    assert (tmp_path / "images" / "tiny-fig3.png").read_bytes() == b"a picture"
