"""The model's own answers in the page, in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.report.browsing import curve_point, needs_browser
from tests.report.conftest import make_readout, make_run

pytestmark = needs_browser
OUTCOMES = ("true", "false", "none", "null")


def read_answer(page):
    """What the page says at the cursor: answer with verdict, confidence, margin."""
    return [
        page.locator(f"#read-{name}").inner_text().replace("\n", " ") for name in ("answer", "confidence", "margin")
    ]


def areas_of_strip(page):
    """Area of the strip under the curve by outcome, in square pixels."""
    marks = page.locator("#curve .answers rect").evaluate_all(
        "marks => marks.map((m) => [m.getAttribute('class'), m.width.baseVal.value * m.height.baseVal.value])"
    )
    return {outcome: sum(area for name, area in marks if name == f"answer-{outcome}") for outcome in OUTCOMES}


def colours_of_strip(page):
    return page.locator("#curve .answers rect").evaluate_all(
        "marks => marks.map((m) => [m.getAttribute('class'), getComputedStyle(m).fill])"
    )


def test_the_own_answer_follows_pointer_keyboard_and_curve(visit, read_run):
    # After 1…7 tokens: 3 5 – 5 5 5 5; confidence from 0.25 by 0.5 / 7, margin from 0.5 by 1.5 / 7.
    opened = visit(read_run)
    page = opened.page
    page.locator('.token[data-i="0"]').hover()
    assert read_answer(page) == ["3 ✕ wrong", "32.1%", "0.71"]
    page.locator("#tokens").focus()
    page.keyboard.press("ArrowRight")
    assert read_answer(page) == ["5 ✓ right", "39.3%", "0.93"]
    assert page.locator("#live").inner_text().endswith(", own answer 5, right, confidence 39.3%")
    page.keyboard.press("ArrowRight")
    assert read_answer(page)[0] == "∅ no answer"
    page.locator("#curve").scroll_into_view_if_needed()
    page.mouse.move(*curve_point(page, 0.99))
    assert read_answer(page) == ["5 ✓ right", "75.0%", "2.00"]
    assert opened.problems == []


def test_the_strip_under_the_curve_can_be_pointed_at_and_touched(visit, read_run):
    opened = visit(read_run, width=390, height=844, has_touch=True)
    page = opened.page
    page.locator("#curve").scroll_into_view_if_needed()
    box = page.locator("#curve .over").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 2 / 7, box["y"] + box["height"] + 8)
    assert opened.index() == 1
    assert read_answer(page)[0] == "5 ✓ right"


def test_beyond_what_was_read_there_is_no_own_answer(visit, read_run):
    page = visit(read_run, fragment="#t=sum-0&i=8").page
    assert read_answer(page) == ["–", "–", "–"]


def test_coarser_answers_say_after_which_token_they_were_given(visit, read_run):
    page = visit(read_run, fragment="#t=sum-1&i=3").page
    assert page.locator("#read-answer-label").inner_text() == "Own answer after token 5"
    assert read_answer(page)[0] == "6 ✕ wrong"
    page.locator('.token[data-i="5"]').hover()
    assert page.locator("#read-answer-label").inner_text() == "Own answer after it"


def test_facts_name_first_right_last_change_and_overthinking_and_lead_there(visit, read_run):
    opened = visit(read_run)
    page = opened.page
    facts = [text.replace("\n", " ") for text in page.locator("#answer-facts > div").all_inner_texts()]
    assert facts == ["▲ First right token 1", "◆ Last change token 3", "Overthinking 43% 3 of 7 tokens"]
    page.locator("#answer-facts button").first.click()
    assert opened.index() == 1
    page.locator("#answer-facts button").last.click()
    assert opened.index() == 3


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["5"] * 8, ["from the start", "none", "100% 7 of 7 tokens"]),
        (["4"] * 7 + [None], ["never", "token 6", "0% 0 of 7 tokens"]),
    ],
)
def test_facts_of_answers_that_never_change_or_are_never_right(visit, answers, expected):
    page = visit(make_run().but(readouts=(make_readout("sum-0", answers, "5"),))).page
    facts = [text.replace("\n", " ") for text in page.locator("#answer-facts dd").all_inner_texts()]
    assert facts == expected


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_strip_tells_outcomes_apart_by_colour_and_height(visit, read_run, theme):
    # Seven steps of one width: wrong, right, none, then four right; right is full, wrong half, none a fifth as high.
    page = visit(read_run, color_scheme=theme).page
    areas = areas_of_strip(page)
    assert areas["true"] / areas["false"] == pytest.approx(5 / 0.5, rel=0.2)
    assert areas["true"] / areas["none"] == pytest.approx(5 / 0.2, rel=0.2)
    assert len(set(map(tuple, colours_of_strip(page)))) == 3
    assert len({colour for _, colour in colours_of_strip(page)}) == 3


def test_a_changing_answer_is_cut_by_notches(visit):
    same, changing = ["4"] * 8, ["4", "6", "7", "8", "4", "6", "7", "8"]
    written_otherwise = ["4", "4.0", "$4$", "4", "4.", "4", "4.0", "4"]
    run = make_run()
    areas = [
        areas_of_strip(visit(run.but(readouts=(make_readout("sum-0", answers, "5"),))).page)["false"]
        for answers in (same, changing, written_otherwise)
    ]
    assert areas[1] < areas[0]
    assert areas[2] == areas[0]  # the diamond of the last change counts these as one answer, and so do the notches


def test_a_run_without_readouts_looks_as_before_and_says_how_to_get_them(visit, run, read_run):
    page = visit(run).page
    assert page.locator(".answers-missing").inner_text().endswith("raml trace RUN --readout does that.")
    assert not page.locator("#read-answer").is_visible()
    assert not page.locator("#answer-facts").is_visible()
    assert page.locator("#overview .tile").count() == 8
    assert page.locator("#curve .answers").count() == 0
    page = visit(read_run).page
    assert not page.locator(".answers-missing").is_visible()
    assert page.locator("#overview .tile").count() == 11
    page.locator("#questions button").nth(1).click()
    assert page.locator(".answers-missing").is_visible()


def test_medians_stand_in_the_overview(visit, read_run):
    page = visit(read_run, fragment="#v=overview").page
    names = ("first_right", "last_change", "overthinking")
    tiles = [page.locator(f'[data-key="median_{name}"]') for name in names]
    texts = [f"{tile.locator('.value').inner_text()} {tile.locator('.fine').inner_text()}" for tile in tiles]
    assert texts == ["2 tokens, median of 1", "4 tokens, median of 1", "43% median of 1"]


def test_hostile_answers_are_inert_short_and_keep_their_verdict_in_sight(visit, hostile_run):
    opened = visit(hostile_run)
    page = opened.page
    for i in (1, 3, 9):  # after these tokens it answers with markup, with a forced direction, and endlessly
        page.locator(f'.token[data-i="{i}"]').hover()
        pane = page.locator(".curve-pane").bounding_box()
        verdict = page.locator("#read-answer .verdict").bounding_box()
        assert verdict["x"] + verdict["width"] <= pane["x"] + pane["width"]
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page.locator("#read-answer").inner_text())
    assert opened.problems == []
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed").count() == 0


def test_an_endless_margin_is_not_a_number_to_show(visit, read_run):
    readout = read_run.readouts[0]
    endless = replace(readout, margin=readout.margin + float("inf"))
    page = visit(read_run.but(readouts=(endless,))).page
    assert read_answer(page)[2] == "–"
