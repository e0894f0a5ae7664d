"""Eq. 4: what a study makes of alignments, by hand arithmetic."""

import pytest

from raml.records import Question
from raml.store import Journal, Run
from raml.studies import eq4
from raml.studies.plan import SCALES, load_setup
from raml.studies.verdict import judge
from raml.updates.alignment_summary import summarize_alignments
from raml.updates.alignment_table import write_json
from tests.updates.test_alignment_summary import make_alignment

SETUP = load_setup("eq4", "tiny")


@pytest.fixture
def write_alignments(tmp_path, make_trajectory):
    """A function that lets a run hold alignments: for each question whether it is right, and its cosine's two ends."""

    def write(*texts):
        run = Run(tmp_path / "thinking")
        run.write_questions([Question(f"q{i}", f"What is {i}?", "2") for i in range(len(texts))])
        own = [make_trajectory(question_id=f"q{i}", correct=right) for i, (right, _) in enumerate(texts)]
        run.write_trajectories(own)
        made = [make_alignment(t.id, **changes) for t, (_, changes) in zip(own, texts, strict=True)]
        made += [make_alignment(t.id, 0.01, "shuffled") for t in own]
        with Journal(run.alignments_journal_path) as journal:
            journal.append(made)
        run.close_alignments()
        (run.path / "alignment.json").write_text(write_json([summarize_alignments(own, made)]))
        return tmp_path

    return write


def test_cosines_and_signs_are_averaged_over_the_questions_with_right_trajectories(write_alignments):
    """Steps of 0.2 and 0.4, and of 0.7 and 0.7: (0.3 + 0.7) / 2; one of two changes has the sign predicted."""
    home = write_alignments(
        (True, {"step_cosine": [0.2, 0.4]}),
        (True, {"step_cosine": [0.7, 0.7], "predicted": [1, 1]}),
        (False, {"step_cosine": [1, 1]}),
    )
    outcome = eq4.conclude(SETUP, home)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx({"step cosine": 0.5, "agreement": 50})
    ends = outcome.measures["agreement"].estimate
    assert (ends.low, ends.high) == (0, 100)
    assert set(outcome.figures) == {"", "loss"}


def test_steps_that_go_down_the_gradient_are_found(write_alignments):
    texts = [(True, {"step_cosine": [one, one]}) for one in (0.95, 0.96, 0.97, 0.98)]
    findings, _ = judge(SETUP.rules, eq4.conclude(SETUP, write_alignments(*texts)).measures)
    assert findings[0].verdict == "supported"


def test_small_cosines_do_not_support_it(write_alignments):
    texts = [(True, {"step_cosine": [one, one]}) for one in (0.001, 0.002, 0.003)]
    findings, verdict = judge(SETUP.rules, eq4.conclude(SETUP, write_alignments(*texts)).measures)
    assert (findings[0].verdict, verdict) == ("not supported", "not supported")


def test_without_right_trajectories_nothing_is_measured(write_alignments):
    outcome = eq4.conclude(SETUP, write_alignments((False, {}), (False, {})))
    assert {measure.note for measure in outcome.measures.values()} == {"No right trajectory was measured."}
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"


@pytest.mark.parametrize("scale", SCALES)
def test_gradients_have_32_bits_and_only_thinking_trajectories_are_measured(scale):
    *_, take, align = eq4.plan(load_setup("eq4", scale))
    assert align.words[:2] == ("align", "thinking")
    assert align.needs == (take.name,) == ("thinking/take",)
    assert scale == "tiny" or align.words[align.words.index("--dtype") + 1] == "float32"


def test_each_text_is_paid_for():
    """64 questions × 2 trajectories × 4 texts; 8 prefixes with a gradient over 50 tokens each."""
    *_, align = eq4.plan(SETUP)
    assert align.cost.trained == 512 * 8 * 50
    assert align.cost.scored == 512 * (80 + 8 * 2 * 12)
