"""The page in a real browser, headless and without network."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.report.browsing import curve_point, needs_browser, wait_until

pytestmark = needs_browser


def test_page_opens_from_a_file_silently_and_asks_for_nothing_else(visit, run):
    opened = visit(run)
    opened.page.locator("#scale").select_option("own")
    opened.page.locator("#alpha").select_option("0.01")
    opened.page.locator("#siblings").uncheck()
    opened.page.locator("#sentences-box summary").click()
    assert opened.problems == []
    assert [url.split("#")[0] for url in opened.requests] == [opened.address]


def test_choosing_a_question_and_a_trajectory_shows_its_tokens(visit, run):
    page = visit(run).page
    page.locator("#questions button").nth(1).click()
    assert page.locator("#prompt").inner_text() == "What is 2 × 4?\nShow each step."
    assert page.locator(".token").all_inner_texts() == ["Eight", "."]
    page.locator("#questions button").nth(0).click()
    page.locator("#trajectories button").nth(1).click()
    assert "".join(page.locator(".token").all_inner_texts()) == run.trajectories[1].text
    assert page.locator("#trajectory-title").inner_text() == "Trajectory #1 ✕ wrong"


def test_questions_and_cards_say_in_words_what_is_right(visit, run):
    page = visit(run).page
    assert page.locator("#questions .score").all_inner_texts() == ["1 of 3 right", "1 of 1 right"]
    assert page.locator("#trajectories .verdict").all_inner_texts() == ["✓ right", "✕ wrong", "? undecided"]


def test_first_view_is_the_largest_fall(visit, run):
    # L̂ falls from 2.0 to 1.0 over token 3.
    opened = visit(run)
    assert opened.index() == 3
    assert opened.page.locator("#read-nll").inner_text() == "1.000"
    assert opened.page.locator("#read-change").inner_text() == "−1.000"


def test_tokens_are_blue_where_the_answer_became_more_likely_and_plain_after_the_reasoning(visit, run):
    page = visit(run).page
    kinds = page.locator(".token").evaluate_all("spans => spans.map(s => s.className.split(' ')[1])")
    # Changes: −.25 −.25 −.5 −1 −.75 +.25 −.375, then two tokens of the final statement.
    assert kinds == ["fall"] * 5 + ["rise", "fall", "untraced", "untraced"]
    assert page.locator(".statement").inner_text() == "Final answer statement, not traced"
    assert page.evaluate("document.querySelector('.statement').nextElementSibling.dataset.i") == "7"


def test_pointing_at_a_token_moves_the_cursor_and_the_readout(visit, run):
    opened = visit(run)
    opened.page.locator('.token[data-i="1"]').hover()
    assert opened.index() == 1
    early = opened.marker_left()
    assert opened.page.locator("#read-token .context-token").text_content() == " and"
    assert opened.page.locator("#read-nll").inner_text() == "2.500"
    opened.page.locator('.token[data-i="5"]').hover()
    assert opened.index() == 5
    assert opened.page.locator("#read-change").inner_text() == "+0.250"
    width = opened.page.locator("#curve .over").bounding_box()["width"]
    # Tokens 1 and 5 are the second and sixth of seven traced ones.
    assert early == pytest.approx(width * 2 / 7, abs=1)
    assert opened.marker_left() == pytest.approx(width * 6 / 7, abs=1)


def test_pointing_at_the_curve_marks_the_token_read_last_there(visit, run):
    opened = visit(run)
    opened.page.locator("#curve .over").scroll_into_view_if_needed()
    for n_read, expected in [(2, 1), (6, 5), (7, 6), (0, 0)]:
        opened.page.mouse.move(*curve_point(opened.page, min(n_read / 7, 0.99)))
        assert opened.index() == expected


def test_pointing_at_the_curve_scrolls_the_token_into_sight(visit, large_run):
    opened = visit(large_run)
    page = opened.page
    page.locator("#curve .over").scroll_into_view_if_needed()
    page_scroll = page.evaluate("scrollY")
    for share in (0.98, 0.02):
        page.mouse.move(*curve_point(page, share))
        pane = page.locator("#tokens").bounding_box()
        token = page.locator(".token.current").bounding_box()
        assert pane["y"] <= token["y"] <= pane["y"] + pane["height"]
    assert page.evaluate("scrollY") == page_scroll


def test_arrow_keys_move_along_tokens_and_between_trajectories(visit, run):
    opened = visit(run)
    page = opened.page
    page.locator("#tokens").focus()
    page.keyboard.press("Home")
    assert opened.index() == 0
    page.keyboard.press("ArrowLeft")
    assert opened.index() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert opened.index() == 2
    page.keyboard.press("End")
    assert opened.index() == 8
    page.keyboard.press("Shift+ArrowLeft")
    assert opened.index() == 0
    page.keyboard.press("ArrowDown")
    assert opened.current_card() == "sum-1"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert opened.current_card() == "sum-2"
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    assert opened.current_card() == "sum-0"


def test_whole_page_works_by_keyboard_from_the_first_tab(visit, run):
    opened = visit(run)
    page = opened.page
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", seen[-1]
        if seen[-1] == "curve":
            break
    assert seen[0] == "skip"
    assert {"theme", "item", "card", "scale", "tokens", "curve"} <= set(seen)
    page.keyboard.press("Home")
    assert page.locator("#curve").get_attribute("aria-valuenow") == "0"
    assert page.locator("#curve").get_attribute("aria-valuetext") == "Token 0, Two, L-hat 2.75, change −0.25"
    assert page.locator("#live").inner_text() == "Token 0, Two, L-hat 2.75, change −0.25"


def test_the_skip_link_leads_to_the_content_of_the_tab_that_is_open(visit, run):
    page = visit(run, fragment="#v=manifest").page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until(page, "document.activeElement.id === 'main'")
    page.wait_for_url(re.compile("v=manifest"))
    assert page.locator("#view-manifest").is_visible()


def test_the_slider_never_says_more_than_its_end(visit, run):
    # The last two tokens are the final statement, beyond the curve.
    page = visit(run, fragment="#t=sum-0").page
    page.locator("#curve").focus()
    page.keyboard.press("End")
    values = [page.locator("#curve").get_attribute(f"aria-value{name}") for name in ("now", "max")]
    assert values == ["8", "8"]


def test_another_trajectory_is_told_to_a_screen_reader(visit, run):
    page = visit(run).page
    page.locator("#tokens").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#live").inner_text() == "Trajectory 1, wrong"


@pytest.mark.parametrize("key", ["ArrowDown", "j"])
def test_keys_step_over_a_question_without_trajectories(visit, run, key):
    empty = replace(run.questions[0], id="q-none", prompt="Who knows?")
    opened = visit(run.but(questions=(run.questions[0], empty, run.questions[1])))
    page = opened.page
    page.locator("#questions button").first.focus()
    for number in (2, 3):
        page.keyboard.press(key)
        assert page.locator("#question-title").inner_text() == f"Question {number}"
    page.locator("#questions button").nth(1).click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question-search"
    assert opened.problems == []


def test_what_the_numbers_of_the_overview_are_can_be_read_without_a_pointer(visit, run):
    page = visit(run, fragment="#v=overview").page
    page.locator("#view-overview summary").focus()
    page.keyboard.press("Enter")
    assert "Trajectories whose final answer equals the gold answer" in page.locator("#definitions").inner_text()


def test_up_and_down_in_the_question_list_choose_questions(visit, run):
    page = visit(run).page
    page.locator("#questions button").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == "q-product"
    assert page.locator("#question-title").inner_text() == "Question 2"


def test_address_names_the_view_and_restores_it(visit, run):
    opened = visit(run)
    opened.page.locator("#trajectories button").nth(1).click()
    opened.page.locator('.token[data-i="4"]').click()
    opened.page.wait_for_url(re.compile("i=4$"))
    fragment = opened.page.evaluate("location.hash")
    assert fragment == "#q=q-sum&t=sum-1&i=4"
    again = visit(run, fragment=fragment)
    assert again.current_card() == "sum-1"
    assert again.index() == 4


@pytest.mark.parametrize("fragment", ["#q=gone", "#q=q-sum&t=gone&i=3", "#t=sum-0&i=99999", "#i=-1", "#%E0%A4%A"])
def test_address_that_names_nothing_here_still_opens(visit, run, fragment):
    opened = visit(run, fragment=fragment)
    assert opened.page.locator(".token").count() == 9
    assert opened.page.locator("#status").is_visible() == ("gone" in fragment)
    assert opened.problems == []


def test_trajectory_without_trace_shows_note_error_and_plain_tokens(visit, run):
    opened = visit(run, fragment="#t=sum-2")
    assert opened.page.locator("#trajectory-note").inner_text().startswith("L̂ was not measured")
    assert opened.page.locator("#trajectory-error").inner_text() == "Error: The comparison of 5 and V took over 5 s."
    assert opened.page.locator(".token.untraced").count() == 3
    assert not opened.page.locator("#curve").is_visible()
    assert opened.problems == []


def test_trajectory_without_tokens_opens(visit, run):
    empty = replace(run.trajectories[2], token_ids=(), text="", token_ends=(), reasoning_len=0)
    opened = visit(run.but(trajectories=(empty,), traces=()))
    assert opened.page.locator(".token").count() == 0
    opened.page.keyboard.press("ArrowRight")
    assert opened.problems == []


def test_trace_of_every_third_prefix_shares_the_change_among_its_tokens(visit, run, retrace):
    opened = visit(run.but(traces=(retrace("sum-0", [3.0, 1.5, 0.75], [0, 3, 6]),)), fragment="#t=sum-0&i=1")
    assert opened.page.locator("#read-change").inner_text() == "−0.500"
    assert opened.page.locator("#read-nll").inner_text() == "1.500"
    assert opened.page.locator(".token.fall").count() == 6


def test_hostile_text_is_inert_everywhere(visit, hostile_run):
    opened = visit(hostile_run)
    page = opened.page
    for token in page.locator(".token").all():
        token.hover()
    page.locator('#tabs [data-view="manifest"]').click()
    page.locator("#manifest summary").click()
    page.wait_for_timeout(300)
    assert opened.problems == []
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed, body a:not(.skip, #tabs a)").count() == 0
    assert page.locator("script").count() == 3
    assert [url.split("#")[0] for url in opened.requests] == [opened.address]


def test_invisible_characters_are_named_and_never_emitted(visit, hostile_run):
    page = visit(hostile_run).page
    shown = page.locator(".token").all_text_contents()
    assert shown[4] == "abcU+202EdcbaU+2066"
    assert shown[5] == "\\x1b[31mred\\x1b[0m"
    assert shown[6] == "nul\\x00nul"
    assert shown[7:9] == ["\ufffd", "half\ufffd"]
    assert shown[9] == "a⏎\nb⏎\nc"
    assert re.fullmatch(r"x{400}… 99,600 more characters", shown[10])
    assert shown[11:14] == ["∅", "⏎\n", "\\r⏎\n⇥\t"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page.locator("body").inner_text())


def test_line_break_token_shows_a_mark_and_breaks_the_line(visit, run):
    page = visit(run).page
    before, after = (page.locator(f'.token[data-i="{i}"]').bounding_box() for i in (5, 7))
    assert page.locator('.token[data-i="6"]').text_content() == "⏎\n⏎\n"
    assert after["y"] > before["y"] + 2 * before["height"]


def test_content_policy_stops_scripts_styles_and_requests_that_are_not_the_pages_own(visit, run):
    opened = visit(run)
    opened.page.evaluate(
        """() => {
            const script = document.createElement("script");
            try { script.text = "window.hacked = 1"; document.body.append(script); } catch { window.stopped = 1; }
            try { document.body.innerHTML += "<b>x</b>"; } catch { window.stoppedHtml = 1; }
        }"""
    )
    fetched = opened.page.evaluate("fetch('https://example.invalid/').then(() => 'sent', () => 'stopped')")
    assert opened.page.evaluate("[window.hacked, window.stopped, window.stoppedHtml]") == [None, 1, 1]
    assert fetched == "stopped"
    assert len(opened.requests) == 1


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_theme_follows_the_system_and_the_button_turns_it(visit, run, system, other):
    page = visit(run, color_scheme=system).page

    def lightness():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    assert (lightness() > 128) == (system == "light")
    assert page.locator("#theme-name").inner_text().lower() == system
    page.locator("#theme").click()
    assert (lightness() > 128) == (other == "light")
    assert page.locator("#theme-name").inner_text().lower() == other
    assert page.locator("#curve .over").count() == 1


CONTRAST_PAIRS = [
    *[("ink", ground) for ground in ("ground", "surface", "accent-soft", "fall", "rise")],
    *[("muted", ground) for ground in ("ground", "surface", "accent-soft")],
    *[(name, ground) for name in ("right", "wrong", "undecided") for ground in ("surface", "accent-soft")],
    *[(name, "surface") for name in ("fall-ink", "rise-ink", "accent")],
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(visit, run, theme):
    page = visit(run, color_scheme=theme).page

    def luminance(name):
        text = page.evaluate(f"readColourOf('--{name}')")
        parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]  # WCAG 2.2, relative luminance

    page.evaluate(
        """() => { window.readColourOf = (name) => {
            document.body.style.color = `var(${name})`;
            return getComputedStyle(document.body).color;
        }; }"""
    )
    for text, ground in CONTRAST_PAIRS:
        low, high = sorted((luminance(text), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("width", [390, 700, 1000, 1400])
def test_page_never_scrolls_sideways(visit, hostile_run, width):
    page = visit(hostile_run, width=width).page
    for view in ("overview", "manifest", "explorer"):
        page.locator(f'#tabs [data-view="{view}"]').click()
        if view == "manifest":
            page.locator("#manifest summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_32_trajectories_of_2000_tokens_open_with_only_the_chosen_ones_tokens(visit, large_run):
    opened = visit(large_run)
    assert opened.page.locator("#trajectories button").count() == 32
    assert opened.page.locator(".token").count() == 2000
    opened.page.locator("#tokens").focus()
    opened.page.keyboard.press("j")
    assert opened.current_card() == "large-1"
    assert opened.page.locator(".token").count() == 2000
    assert opened.problems == []
