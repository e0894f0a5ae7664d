import pytest

from raml.answers import REWARDS, has_format, reward_answer

PAPER = "<think>\n2+2=4\n</think>\n<conclusion>\nTwo and two. The answer is \\boxed{4}\n</conclusion>"
BOXED = "<think>\n2+2=4\n</think>\n\n**Final Answer**\n\\boxed{4}"


def test_the_paper_s_reward_has_four_values():
    # Eq. 21: right and in format 1, wrong and in format 0, right without 0.5 off, both wrong -1.
    assert REWARDS == {(True, True): 1, (False, True): 0, (True, False): -0.5, (False, False): -1}
    assert reward_answer(PAPER, True, "conclusion").value == 1
    assert reward_answer(PAPER, False, "conclusion").value == 0
    assert reward_answer(BOXED, True, "conclusion").value == -0.5
    assert reward_answer(BOXED, False, "conclusion").value == -1


def test_an_undecided_answer_has_no_reward():
    assert reward_answer(PAPER, None, "conclusion").value is None
    assert reward_answer(PAPER, None, "conclusion").formatted


def test_without_a_format_only_the_answer_counts():
    assert reward_answer("4", True, "none").value == 1
    assert reward_answer("5", False, "none").value == 0


@pytest.mark.parametrize("text", [PAPER, " " + PAPER + "\n", PAPER.replace("4}", "\\frac{1}{2}}")])
def test_the_conclusion_format_is_recognised(text):
    assert has_format(text, "conclusion")


@pytest.mark.parametrize(
    "text",
    [
        BOXED,
        PAPER.removeprefix("<think>"),
        PAPER.replace("</think>", ""),
        PAPER.replace("The answer is ", ""),
        PAPER.replace("\\boxed{4}", "4"),
        PAPER.replace("\\boxed{4}", "\\boxed{4"),
        PAPER + " And so on.",
        PAPER.replace("2+2=4", "</think><think>"),
        "Well: " + PAPER,
        PAPER.replace("\n</conclusion>", " no wait \\boxed{5}</conclusion>"),
        PAPER.replace("</think>\n", "</think>\nSo "),
        "",
    ],
)
def test_whatever_departs_from_the_conclusion_format_is_refused(text):
    assert not has_format(text, "conclusion")


def test_the_boxed_format_wants_a_closed_box_after_the_thinking():
    assert has_format(BOXED, "boxed")
    assert not has_format("<think>\n\\boxed{4}\n</think>\nFour.", "boxed")
    assert not has_format(BOXED[:-1], "boxed")
    assert not has_format(BOXED.replace("<think>\n", ""), "boxed")


def test_a_response_that_repeats_itself_is_judged_at_once():
    import time

    text = "<think></think><conclusion>" + "The answer is \\boxed{4}. " * 20_000
    start = time.perf_counter()
    assert not has_format(text, "conclusion")
    assert not has_format(text + "</think>", "conclusion")
    assert has_format(text + "</conclusion>", "conclusion")
    assert time.perf_counter() - start < 5  # a matter of milliseconds; an expression that backtracks takes days
