import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import AnswerComparer, extract_answer, same_answer
from raml.answers.worker import Request, compare
from raml.errors import DataError, TimedOutError, UndecidedError


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{42}", "42"),
        ("first \\boxed{1}, no: \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("<think>\\boxed{1}</think>\n\\boxed{2}", "2"),
        ("<think>\\boxed{1}</think>\nforgot", None),
        ("<think>still thinking \\boxed{3}", "3"),
        ("cut off \\boxed{7} and \\boxed{8", "7"),
        ("\\boxed{ }", None),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("no box: 42", None),
        ("", None),
    ],
)
def test_the_last_closed_box_after_the_thinking_is_the_answer(text, answer):
    assert extract_answer(text) == answer


@given(st.text(alphabet="ab{}\\ ", max_size=20))
def test_extracting_from_any_text_returns_text_or_nothing(content):
    answer = extract_answer("\\boxed{" + content)
    assert answer is None or answer in content


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("42", "42", True),
        ("42", "042", True),
        ("-7", "7", False),
        ("1/2", "0.5", True),
        ("\\frac{1}{2}", "\\frac{2}{4}", True),
        ("3", "3.0", True),
        ("x^2+1", "1+x^2", True),
        ("[1,2,3]", "[1, 2, 3]", True),
        ("[1,2,3]", "[3,2,1]", False),
        ("C", "(C)", True),
        ("12", "twelve", False),
    ],
)
def test_answers_are_compared_as_mathematics(gold, answer, equal):
    assert same_answer(gold, answer) is equal


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_the_short_cut_for_integers_agrees_with_math_verify(gold, answer):
    for pair in ((gold, answer), (gold, gold)):
        assert same_answer(*map(str, pair)) == compare(Request(*map(str, pair))).equal


@pytest.mark.parametrize(
    "answer", ["9^{9^{9^{9}}}", "(10^{10^{10}})!", "(" * 5000 + "1" + ")" * 5000], ids=["tower", "factorial", "nested"]
)
def test_a_hostile_expression_is_undecided_and_the_next_one_is_decided(answer):
    comparer = AnswerComparer(timeout_s=1.0)
    try:
        started = time.monotonic()
        with pytest.raises(UndecidedError, match="not decided"):
            comparer.compare("1/2", answer)
        assert time.monotonic() - started < 60
        assert comparer.compare("1/2", "0.5") == "same"
    finally:
        comparer.close()


def test_the_message_of_a_time_out_names_the_seconds():
    comparer = AnswerComparer(timeout_s=0.5)
    try:
        with pytest.raises(TimedOutError, match=r"not decided in 0\.5 s"):
            comparer.compare("9^{9^{9^9}}", "9^{9^{9^8}}")
    finally:
        comparer.close()


@pytest.mark.parametrize("gold", ["", "$"])
def test_a_gold_answer_that_cannot_be_parsed_is_an_error_of_the_question(gold):
    with pytest.raises(DataError, match="Gold answer") as caught:
        same_answer(gold, "3")
    assert not isinstance(caught.value, UndecidedError)


def test_a_worker_that_was_killed_from_outside_is_replaced_without_a_word():
    comparer = AnswerComparer()
    try:
        assert comparer.compare("1/2", "0.5") == "same"
        comparer._process.kill()
        comparer._process.wait()
        assert comparer.compare("1/2", "0.5") == "same"
    finally:
        comparer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
def test_the_worker_ends_with_its_parent_even_in_the_middle_of_a_hostile_expression():
    code = (
        "from raml.answers import AnswerComparer\n"
        "comparer = AnswerComparer(timeout_s=60)\n"
        "comparer.compare('1/2', '0.5')\n"
        "print(comparer._process.pid, flush=True)\n"
        "comparer.compare('9^{9^{9^9}}', '9^{9^{9^8}}')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    worker = Path("/proc", parent.stdout.readline().decode().strip(), "stat")
    assert worker.exists()
    time.sleep(0.5)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while worker.exists() and worker.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)


def test_an_interrupt_at_the_terminal_does_not_reach_the_worker():
    comparer = AnswerComparer()
    try:
        comparer.compare("1/2", "0.5")
        assert os.getpgid(comparer._process.pid) != os.getpgid(0)
    finally:
        comparer.close()


def test_threads_share_a_comparer_without_mixing_replies():
    comparer = AnswerComparer()
    wrong = []

    def ask(n):
        wrong.extend(i for i in range(20) if comparer.compare(f"{n}/2", f"{n}/2") != "same")
        wrong.extend(i for i in range(20) if comparer.compare(f"{n}/2", f"{n + i + 1}/2") != "different")

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    comparer.close()
    assert wrong == []
