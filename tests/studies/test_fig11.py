"""Fig. 11: summaries beside no thinking and full thinking, by hand arithmetic."""

import pytest

from raml.efficiency import build_frontiers
from raml.efficiency.table import write_json
from raml.store import Run
from raml.studies import fig11
from raml.studies.plan import SCALES, load_setup
from raml.studies.verdict import judge
from tests.efficiency import made_up
from tests.efficiency.made_up import make_attempt, make_questions

SETUP = load_setup("fig11", "tiny")


def make_full(*arguments, reasoning_len=100, **changes):
    """A trajectory whose text has a letter a token, so that it can be read again."""
    n = reasoning_len + 10
    told = {"text": "x" * n, "token_ends": tuple(range(1, n + 1))}
    return made_up.make_full(*arguments, reasoning_len=reasoning_len, **told, **changes)


def write(home, trajectories, attempts):
    """What `raml compress` leaves behind."""
    run = Run(home / "probe")
    questions = make_questions(*dict.fromkeys(t.question_id for t in trajectories))
    run.write_questions(questions)
    run.write_trajectories(trajectories)
    run.write_attempts(attempts)
    frontiers = build_frontiers(questions, trajectories, attempts, n_resamples=99)
    (run.path / "compress.json").write_text(write_json(frontiers))
    return home


def summarize(trajectory, correct, n_thinking, **changes):
    return make_attempt(trajectory, correct, "summary", 0.0, n_thinking, variant="writer", **changes)


@pytest.fixture
def home(tmp_path):
    """Full: a, b right, c wrong. Summaries: a right, b one of two right, c wrong. Without thinking: a right alone."""
    full = [make_full(name, correct=name != "c") for name in "abc"]
    without = [make_full(name, correct=name == "a", mode="nothink", reasoning_len=5) for name in "abc"]
    attempts = [
        summarize(full[0], True, 20),
        summarize(full[1], True, 30, draw=0),
        summarize(full[1], False, 50, draw=1, leaked=True),
        summarize(full[2], False, 60),
        make_attempt(full[0], True),
    ]
    return write(tmp_path, full + without, attempts)


def test_points_are_those_of_the_same_questions(home):
    """Summaries 1, 1/2, 0; without thinking 1, 0, 0; full 1, 1, 0. Tokens 20 + 40 + 60 of 300: 60 % saved."""
    outcome = fig11.conclude(SETUP, home)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    expected = {"beside no-thinking": 100 * 0.5 / 3, "saved": 60, "beside thinking": -100 * 0.5 / 3}
    assert values == pytest.approx(expected)
    assert {measure.estimate.n_questions for measure in outcome.measures.values()} == {3}
    assert set(outcome.figures) == {"", "beside-paper"}
    told = " ".join(outcome.remarks)
    assert "4 answers from summaries of 3 trajectories count; 0 are left out" in told
    assert "From 1 summaries sentences were taken out" in told


def test_only_questions_with_a_summary_that_counts_are_compared(tmp_path):
    """b has none: a's summary is wrong where no thinking is right, −100 points on one question."""
    full = [make_full(name) for name in "ab"]
    without = [make_full(name, correct=name == "a", mode="nothink") for name in "ab"]
    failed = summarize(full[1], None, 0, answer=None, error="Nothing was left.")
    write(tmp_path, full + without, [summarize(full[0], False, 20), failed])
    made = fig11.conclude(SETUP, tmp_path).measures["beside no-thinking"].estimate
    assert (made.value, made.n_questions) == (-100, 1)


def test_without_summaries_that_count_nothing_is_decided(tmp_path):
    full = [make_full(name) for name in "ab"]
    failed = [summarize(t, None, 0, answer=None, error="Nothing was left.") for t in full]
    outcome = fig11.conclude(SETUP, write(tmp_path, full, failed))
    assert {measure.note for measure in outcome.measures.values()} == {"No summary gave an answer that counts."}
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"


def test_without_no_thinking_that_part_alone_is_missing(tmp_path):
    full = [make_full(name) for name in "ab"]
    outcome = fig11.conclude(SETUP, write(tmp_path, full, [summarize(t, True, 20) for t in full]))
    missing = [name for name, measure in outcome.measures.items() if measure.estimate is None]
    assert missing == ["beside no-thinking"]
    assert outcome.measures["beside no-thinking"].note == "No question has both summaries and no-thinking responses."


def test_other_ways_of_shortening_are_not_drawn(home):
    run = Run(home / "probe")
    trajectories = run.read_trajectories()
    attempts = [*run.read_attempts(), make_attempt(trajectories[-1], True, "prune", 0.5)]
    write(home, trajectories, attempts)
    labels = [text.get_text() for text in fig11.conclude(SETUP, home).figures[""].legends[0].get_texts()]
    assert not any("prune" in label for label in labels)
    assert any("summary" in label for label in labels)


def test_the_paper_s_model_has_a_run_of_its_own():
    steps = fig11.plan(load_setup("fig11", "paper"))
    assert {step.folder for step in steps} == {"fig11"}
    assert [step.words[0] for step in steps] == ["questions", "sample", "sample", "compress"]
    assert steps[2].words[-2:] == ("--mode", "nothink")
    assert [steps[i].needs for i in (1, 2, 3)] == [(steps[i].name,) for i in (0, 1, 2)]


@pytest.mark.parametrize("scale", SCALES)
def test_numbers_for_the_cost_are_those_of_the_words(scale):
    setup = load_setup("fig11", scale)
    *_, compress = fig11.plan(setup)
    options, own = setup.options, setup.options["own"] or setup.shared["probe"]
    assert int(compress.words[compress.words.index("--runs") + 1]) == options["n_runs"]
    assert int(own["sample"][own["sample"].index("--n") + 1]) == own["n"]
    n_written = own["n_questions"] * own["n"] * options["n_runs"] * options["summary_tokens"]
    assert compress.cost.generated == n_written
