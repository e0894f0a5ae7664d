"""Reading in the page: long trajectories, search, filter and order, two side by side, sentences, files."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from raml.records import Question
from raml.report import build_report
from tests.report.browsing import curve_point, needs_browser, wait_until
from tests.report.conftest import Run, make_readout, make_run, make_trace, make_trajectory

pytestmark = needs_browser


@pytest.fixture
def long_run():
    """One trajectory of 32,000 tokens in lines of ten, with a word that stands at two places only."""
    pieces = [f" word{i}" if i % 10 else f"\nline{i}" for i in range(32_000)]
    pieces[7], pieces[30_123] = " NEEDLE", " needle"
    trajectory = make_trajectory("long-0", "q-sum", tuple(pieces), 32_000, correct=True)
    rng = np.random.default_rng(0)
    trace = make_trace("long-0", np.linspace(4, 0.5, 32_001) + rng.random(32_001))
    run = make_run()
    return Run(run.questions[:1], (trajectory,), (trace,), run.manifest)


@pytest.fixture
def many_run():
    """Four questions: always right and long, always wrong, right and wrong, undecided; two trajectories each."""
    outcomes = {"alpha": (True, True), "beta": (False, False), "gamma": (True, False), "delta": (None, None)}
    lens = {"alpha": 6, "beta": 3, "gamma": 4, "delta": 5}
    ends = {"alpha": 1.0, "beta": 3.5, "gamma": 0.5, "delta": 2.0}
    questions = tuple(Question(id=name, prompt=f"Prompt {name}", answer=str(n)) for n, name in enumerate(outcomes))
    trajectories = tuple(
        make_trajectory(f"{name}-{i}", name, ("x",) * lens[name], lens[name], correct=correct, answer="x")
        for name, pair in outcomes.items()
        for i, correct in enumerate(pair)
    )
    traces = tuple(make_trace(t.id, np.linspace(3, ends[t.question_id], lens[t.question_id] + 1)) for t in trajectories)
    return make_run().but(questions=questions, trajectories=trajectories, traces=traces)


def list_questions(page):
    return [text.split()[-1] for text in page.locator("#questions .item-prompt").all_inner_texts()]


def test_of_a_long_trajectory_only_what_is_near_is_in_the_page(visit, long_run):
    opened = visit(long_run, fragment="#t=long-0&i=2")
    page = opened.page
    assert page.locator(".token").count() < 4000
    page.locator("#tokens").focus()
    page.keyboard.press("End")
    assert opened.index() == 31_999
    pane, token = (page.locator(name).bounding_box() for name in ("#tokens", ".token.current"))
    assert pane["y"] <= token["y"] <= pane["y"] + pane["height"]
    page.wait_for_timeout(300)
    assert page.locator('.token[data-i="5"]').count() == 0
    assert page.locator(".token").count() < 4000
    page.keyboard.press("Home")
    assert opened.index() == 0
    assert opened.problems == []


def test_the_curve_of_a_long_trajectory_has_a_few_points_a_pixel_and_keeps_its_extremes(visit, long_run):
    page = visit(long_run).page
    d = page.locator("#curve .line-raw").get_attribute("d")
    points = [tuple(map(float, part.split(","))) for part in d[1:].split("L")]
    width = page.locator("#curve .over").bounding_box()["width"]
    assert len(points) <= 4 * (width + 2)
    height = page.locator("#curve .over").bounding_box()["height"]
    values = long_run.traces[0].mean_nll
    top = 1.05 * values.max()
    assert min(y for _, y in points) == pytest.approx(height * (1 - values.max() / top), abs=0.2)
    assert max(y for _, y in points) == pytest.approx(height * (1 - values.min() / top), abs=0.2)


def test_search_in_the_trajectory_finds_what_is_out_of_sight(visit, long_run):
    opened = visit(long_run)
    page = opened.page
    page.locator("#tokens").focus()
    page.keyboard.press("/")
    page.keyboard.type("needle")
    assert page.locator("#find-count").inner_text() == "2 found"
    page.keyboard.press("Enter")
    first = opened.index()
    page.keyboard.press("Enter")
    assert {first, opened.index()} == {7, 30_123}
    assert page.locator("#find-count").inner_text() in ("1 of 2", "2 of 2")
    page.locator("#find").fill("nowhere")
    assert page.locator("#find-count").inner_text() == "not found"


def test_slash_searches_questions_and_escape_leaves_the_field(visit, many_run):
    page = visit(many_run).page
    page.keyboard.press("/")
    page.keyboard.type("GAM")
    assert list_questions(page) == ["gamma"]
    assert page.locator("#question-count").inner_text() == "1 of 4"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")
    page.locator("#question-search").fill("zzz")
    assert page.locator("#questions").inner_text() == "No question is like that."


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("all", "alpha beta gamma delta"),
        ("right", "alpha"),
        ("mixed", "gamma"),
        ("wrong", "beta"),
        ("undecided", "delta"),
    ],
)
def test_questions_are_filtered_by_outcome(visit, many_run, outcome, expected):
    page = visit(many_run).page
    page.locator("#question-outcome").select_option(outcome)
    assert list_questions(page) == expected.split()


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("right", "beta gamma alpha delta"),  # 0, ½, 1, unknown
        ("length", "alpha delta gamma beta"),  # 6, 5, 4, 3 tokens
        ("fall", "gamma alpha delta beta"),  # −2.5, −2, −1, +0.5 nats
        ("first", "gamma alpha beta delta"),  # 1, 3, unknown twice
    ],
)
def test_questions_are_sorted(visit, many_run, sort, expected):
    readouts = (
        make_readout("alpha-0", ["9", "9", "9", "0", "0", "0", "0"], "0"),
        make_readout("gamma-0", ["9", "2", "2", "2", "2"], "2"),
    )
    page = visit(many_run.but(readouts=readouts)).page
    page.locator("#question-sort").select_option(sort)
    assert list_questions(page) == expected.split()


def test_sorted_questions_say_by_what_and_arrows_follow_the_list(visit, many_run):
    page = visit(many_run).page
    page.locator("#question-sort").select_option("fall")
    assert page.locator("#questions .tag").all_inner_texts() == ["ΔL̂ −2.50", "ΔL̂ −2.00", "ΔL̂ −1.00", "ΔL̂ +0.50"]
    page.locator("#questions button").first.click()
    page.locator("#questions button").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == "alpha"


# --- two side by side -----------------------------------------------------------------------------------------------


@pytest.fixture
def paired_run(run):
    quick = replace(make_trajectory("sum-3", "q-sum", ("5", ".", " Done"), 2, answer="5", correct=True), mode="nothink")
    traces = (*run.traces, make_trace("sum-3", [3.0, 0.5, 0.25]))
    return run.but(trajectories=(*run.trajectories, quick), traces=traces)


def test_a_trajectory_without_thinking_stands_beside_one_with(visit, paired_run):
    opened = visit(paired_run)
    page = opened.page
    assert not page.locator("#compared-pane").is_visible()
    assert page.locator("#compare optgroup").evaluate_all("groups => groups.map((g) => g.label)") == [
        "Thinking",
        "No thinking",
    ]
    page.locator("#compare").select_option("sum-3")
    assert page.locator("#compared-title").inner_text().startswith("Beside it: #3 ✓ right · no thinking · 3 tokens")
    assert page.locator("#compared-tokens .token").all_inner_texts() == ["5", ".", " Done"]
    own, other = (page.locator(name).bounding_box() for name in ("#tokens", "#compared-tokens"))
    assert own["x"] + own["width"] <= other["x"]
    assert page.locator("#curve .line-compared").count() == 1
    assert opened.problems == []


def test_the_other_cursor_is_as_far_along_its_reasoning(visit, paired_run):
    # 7 tokens of reasoning beside 2: after the 7th token the other has read its 2nd, after the 3rd its 1st.
    page = visit(paired_run).page
    page.locator("#compare").select_option("sum-3")
    for i, expected in ((6, "1"), (2, "0")):
        page.locator(f'#tokens .token[data-i="{i}"]').click()
        assert page.locator("#compared-tokens .token.current").get_attribute("data-i") == expected
    assert page.locator("#compared-readout").inner_text().startswith("Token 0: 5, L̂ 0.500 (−2.500)")
    page.locator('#compared-tokens .token[data-i="1"]').hover()
    assert page.locator("#compared-readout").inner_text().startswith("Token 1: 5., L̂ 0.250 (−0.250)")


def test_an_address_names_the_trajectory_beside_it(visit, paired_run):
    opened = visit(paired_run, fragment="#q=q-sum&t=sum-0&i=3&c=sum-3")
    assert opened.page.locator("#compared-pane").is_visible()
    opened.page.locator("#questions button").nth(1).click()
    assert not opened.page.locator("#compared-pane").is_visible()
    assert visit(paired_run, fragment="#t=sum-0&c=gone").page.locator("#status").is_visible()


# --- sentences ------------------------------------------------------------------------------------------------------


def test_sentences_say_what_each_did_and_lead_to_their_ends(visit, run):
    # "Two and three make five." and the blank line after it: from 3.0 to 0.25 or 0.5, whichever ends it.
    opened = visit(run)
    amounts = opened.page.locator("#sentences .number").all_text_contents()
    assert sum(float(text.replace("−", "-")) for text in amounts) == pytest.approx(0.125 - 3.0, abs=0.01)
    opened.page.locator("#sentences button").last.click()
    assert opened.index() == 6
    opened.page.locator("#trajectories button").nth(2).click()
    assert not opened.page.locator("#sentences-box").is_visible()  # it has no trace


# --- files ----------------------------------------------------------------------------------------------------------


def download(page, button):
    with page.expect_download() as started:
        button.click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes().decode()


def test_the_curve_downloads_as_svg_with_its_colours_and_as_csv(visit, read_run):
    opened = visit(read_run)
    page = opened.page
    name, svg = download(page, page.locator("#curve-downloads button", has_text="SVG"))
    root = ElementTree.fromstring(svg)
    assert (name, root.tag) == ("curve.svg", "{http://www.w3.org/2000/svg}svg")
    strokes = {path.get("stroke") for path in root.iter("{http://www.w3.org/2000/svg}path")}
    assert page.evaluate("getComputedStyle(document.querySelector('.line-smooth')).stroke") in strokes
    assert "var(" not in svg
    assert "class=" not in svg
    names = [text.text for text in root.findall("{http://www.w3.org/2000/svg}text")]  # of the legend under the curve
    assert names == ["own answer right", "wrong", "undecided", "no answer", "L̂", "smoothed", "other trajectories"]
    name, text = download(page, page.locator("#curve-downloads button", has_text="CSV"))
    rows = list(csv.reader(io.StringIO(text)))
    assert name == "curve.csv"
    assert rows[0] == ["trajectory", "tokens read", "L-hat, nats", "smoothed", "own answer", "own answer is right"]
    own = [row for row in rows if row[0] == "sum-0"]
    assert [float(row[2]) for row in own] == [3.0, 2.75, 2.5, 2.0, 1.0, 0.25, 0.5, 0.125]
    assert [row[4] for row in own] == ["3", "3", "5", "", "5", "5", "5", "5"]
    assert {row[0] for row in rows[1:]} == {"sum-0", "sum-1"}
    page.locator("#siblings").uncheck()
    _, alone = download(page, page.locator("#curve-downloads button", has_text="SVG"))
    assert "other trajectories" not in alone
    assert opened.problems == []
    assert all(url.split("#")[0] == opened.address or url.startswith("blob:") for url in opened.requests)


def test_words_are_explained_without_a_pointer_too(visit, read_run):
    page = visit(read_run).page
    page.locator("summary", has_text="What these words mean").click()
    said = dict(
        zip(page.locator("#terms dt").all_inner_texts(), page.locator("#terms dd").all_inner_texts(), strict=True)
    )
    assert list(said) == [
        "Shading", "Probability", "Own answer", "Confidence", "Margin", "Overthinking", "Smoothing", "Beside",
    ]  # fmt: skip
    assert page.locator("#scale").get_attribute("title") == said["Shading"]
    assert page.locator("#alpha").get_attribute("title") == said["Smoothing"]
    assert page.get_by_text("Confidence", exact=True).first.get_attribute("title") == said["Confidence"]


def test_a_file_s_ground_is_that_of_the_page_and_nothing_in_it_is_transparent_by_css_only(visit, read_run):
    """Programs that do not know rgba() take it for black, and light text on no ground is lost on paper."""
    page = visit(read_run, color_scheme="dark").page
    _, svg = download(page, page.locator("#curve-downloads button", has_text="SVG"))
    assert "rgba(0, 0, 0, 0)" not in svg
    ground = ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}rect").get("fill")
    assert ground == page.evaluate("getComputedStyle(document.querySelector('.curve-pane')).backgroundColor")


def test_text_that_a_spreadsheet_would_run_is_quoted(visit, read_run):
    evil = replace(read_run.readouts[0], answers=("=HYPERLINK(1)", "3", '5,"', None, "5", "5", "5", "5"))
    page = visit(read_run.but(readouts=(evil, read_run.readouts[1]))).page
    _, text = download(page, page.locator("#curve-downloads button", has_text="CSV"))
    answers = [row[4] for row in csv.reader(io.StringIO(text)) if row[0] == "sum-0"]
    assert answers[0] == "'=HYPERLINK(1)"
    assert answers[2] == '5,"'


# --- size and paper -------------------------------------------------------------------------------------------------


def test_32_trajectories_of_2000_tokens_stay_below_eight_megabytes(large_run):
    readouts = tuple(make_readout(t.id, ["5", "6"] * 1000 + ["5"], "5") for t in large_run.trajectories)
    assert len(build_report(*large_run.records, readouts=readouts).encode()) < 8e6 - 1.8e6  # Plotly's share


def test_paper_gets_all_tokens_in_light_colours_and_the_screen_its_own_back(visit, long_run):
    page = visit(long_run, color_scheme="dark").page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".token").count() == 32_000
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme ?? null") is None


def test_paper_gets_the_trajectory_beside_it_too_and_the_screen_only_what_is_near(visit, long_run):
    first = long_run.trajectories[0]
    second = replace(first, id="long-1", repeat=1)
    trace = replace(long_run.traces[0], id="other", trajectory_id="long-1")
    page = visit(
        long_run.but(trajectories=(first, second), traces=(*long_run.traces, trace)), fragment="#t=long-0&c=long-1"
    ).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#compared-tokens .token").count() == 32_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    wait_until(page, "document.querySelectorAll('.token').length < 8000")


def test_on_paper_the_curve_has_room_and_choices_are_gone(visit, read_run):
    page = visit(read_run, width=1300).page
    page.emulate_media(media="print")
    bottom, key = page.evaluate(
        """["#curve svg", ".curve-key.of-answers"].map((name) => document.querySelector(name).getBoundingClientRect())
            .map((box, n) => (n ? box.top : box.bottom))"""
    )
    assert bottom <= key
    assert not page.locator("#alpha").is_visible()
    assert not page.locator("#compare").is_visible()


def test_paper_gets_what_is_folded(visit, run):
    page = visit(run, fragment="#v=manifest").page
    opened = "document.querySelectorAll('#manifest details[open]').length"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(opened) == 1
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(opened) == 0


def test_pointing_at_the_curve_of_a_long_trajectory_shows_its_token(visit, long_run):
    opened = visit(long_run)
    opened.page.locator("#curve").scroll_into_view_if_needed()
    opened.page.mouse.move(*curve_point(opened.page, 0.9))
    assert opened.index() == pytest.approx(0.9 * 32_000, abs=120)
    assert opened.page.locator(".token.current").is_visible()
