"""What is said about many alignments, against hand arithmetic."""

import math
from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError
from raml.records import Alignment, AlignmentSettings, ModelIdentity
from raml.updates.alignment_summary import (
    RANDOM,
    average_layers,
    judge_equation,
    label_texts,
    measure_text,
    summarize_alignments,
)
from raml.updates.alignment_table import list_differences, list_rows, write_json, write_markdown

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")
SETTINGS = AlignmentSettings(n_prefixes=2, n_directions=2)


def make_alignment(trajectory_id, total=0.5, text="trajectory", **changes):
    """Two prefixes, two layers; steps of cosine ± 0.1, layers of similarity 0 and 0.2, span ± 0.1 around 0.01."""
    values = {
        "base_loss": 2.0,
        "prefix_lens": [3, 6],
        "loss": [1.5, 1.0],
        "norm": [1, 2],
        "cosine": [[0, 0], [total, -total]],
        "total_cosine": [0.9, total],
        "predicted": [-9, -4 * total],
        "step_cosine": [total - 0.1, total + 0.1],
        "step_predicted": [-1, -1],
        "similarity": [[0.9, 0.9], [0.0, 0.2]],
        "span_cosine": [[0.9, 0.9], [0.11, -0.09]],
        "ceiling": [0.9, 0.6],
    } | changes
    arrays = {k: np.array(v, dtype=np.int32 if k == "prefix_lens" else np.float32) for k, v in values.items()}
    arrays["base_loss"] = values["base_loss"]
    return Alignment(f"{trajectory_id} {text}", trajectory_id, MODEL, SETTINGS, text, **arrays)


def make_run(make_trajectory, n_questions, cosine, null, right=True):
    """A trajectory a question, and its three nulls; both cosines get some variation between questions."""
    trajectories, alignments = [], []
    for i in range(n_questions):
        trajectory = make_trajectory(question_id=f"q{i}", correct=right)
        trajectories.append(trajectory)
        spread = 0.01 * (i - (n_questions - 1) / 2) / n_questions
        alignments.append(make_alignment(trajectory.id, cosine + spread))
        nulls = ("other question", "shuffled", "random tokens")
        alignments += [make_alignment(trajectory.id, null - spread, text) for text in nulls]
    return trajectories, alignments


def test_the_values_of_a_text_are_those_at_its_end_and_the_mean_of_its_steps():
    values = measure_text(make_alignment("t", 0.5, cosine=[[0, 0], [0.4, -0.2]], step_cosine=[0.25, np.nan]))
    expected = {"cosine": 0.5, "layer cosine": 0.1, "step cosine": 0.25, "similarity": 0.1, "predicted": -2}
    expected |= {"true": -1, RANDOM: 0.01}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["agreement"] == 1
    assert measure_text(make_alignment("t", predicted=[0, 0.1]))["agreement"] == 0
    assert math.isnan(measure_text(make_alignment("t", step_cosine=[np.nan, np.nan]))["step cosine"])


def test_trajectories_are_averaged_within_their_question_first(make_trajectory):
    """Question a has cosines 0.1, 0.2, 0.3, question b 0.6: the mean over questions is (0.2 + 0.6) / 2 = 0.4."""
    trajectories = [make_trajectory(question_id="a", repeat=i) for i in range(3)] + [make_trajectory(question_id="b")]
    alignments = [make_alignment(t.id, c) for t, c in zip(trajectories, (0.1, 0.2, 0.3, 0.6), strict=True)]
    right = summarize_alignments(trajectories, alignments).find_row("right")
    assert right.means["cosine"].value == pytest.approx(0.4)
    assert right.means["cosine"].n_questions == 2
    assert right.n_texts == 4
    texts = label_texts(trajectories, alignments)
    np.testing.assert_allclose(average_layers(texts, "right", "cosine"), [[0.2, -0.2], [0.6, -0.6]], atol=1e-7)


def test_groups_differences_and_correlations_are_as_computed_by_hand(make_trajectory):
    trajectories, alignments = make_run(make_trajectory, 8, cosine=0.4, null=0.1)
    wrong = [make_trajectory(question_id=f"q{i}", repeat=1, correct=False) for i in range(4)]
    alignments += [make_alignment(t.id, 0.3, loss=[2, 3]) for t in wrong]
    summary = summarize_alignments(trajectories + wrong, alignments)
    assert [row.text for row in summary.rows] == [
        "right", "wrong", "other question", "shuffled", "random tokens", RANDOM,
    ]  # fmt: skip
    assert [row.n_texts for row in summary.rows] == [8, 4, 8, 8, 8, 8]
    values = {row.text: row.means["cosine"].value for row in summary.rows}
    expected = {"right": 0.4, "wrong": 0.3, "other question": 0.1, "shuffled": 0.1, "random tokens": 0.1, RANDOM: 0.01}
    assert values == pytest.approx(expected)
    assert summary.find_row("right").means["agreement"].value == 1
    assert summary.find_row("wrong").means["agreement"].value == 0
    assert summary.ceiling == pytest.approx(0.6)
    assert summary.spread == pytest.approx(math.sqrt((0.11**2 + 0.09**2) / 2))
    differences = {made.against: made for made in summary.differences if made.measure == "cosine"}
    # Right ones of questions 0 to 3 have 0.4 + 0.01 (i − 3.5) / 8, in the mean 0.3975.
    assert differences["wrong"].difference.value == pytest.approx(0.0975, abs=1e-6)
    assert differences["wrong"].difference.n_questions == 4
    assert differences["shuffled"].difference.value == pytest.approx(0.3)
    # All 8 differences are positive: 2 of 2^8 ways of signs are as extreme.
    assert differences["shuffled"].p == pytest.approx(2 / 256)
    n_tests = len(summary.differences)
    assert n_tests == 4 * 4
    assert RANDOM not in {made.against for made in summary.differences}
    assert differences["shuffled"].p_holm == pytest.approx(n_tests * 2 / 256)
    # Of right ones the true change is −1 throughout.
    assert summary.find_row("right").pearson is None


def test_random_directions_are_a_scale(make_trajectory):
    """Spans of ± 0.1 or so: of question a 0.2 and 0.05 lie outside and inside, of b −0.3 outside: (1/2 + 1) / 2."""
    trajectories = [make_trajectory(question_id="a", repeat=i) for i in range(2)] + [make_trajectory(question_id="b")]
    wrong = make_trajectory(question_id="b", repeat=1, correct=False)
    alignments = [make_alignment(t.id, c) for t, c in zip(trajectories, (0.2, 0.05, -0.3), strict=True)]
    alignments += [make_alignment(wrong.id, 0.01), make_alignment(trajectories[0].id, 0.01, "shuffled")]
    summary = summarize_alignments([*trajectories, wrong], alignments)
    assert summary.outside == pytest.approx(0.75)
    expected = "Of right trajectories 75 % have a cosine that is, either way, larger than those of all 2 random"
    assert expected in write_markdown([summary])
    assert "by chance 33 % would" in write_markdown([summary])
    assert "random directions'" not in judge_equation(summary)
    alone = summarize_alignments([wrong], [make_alignment(wrong.id)])
    assert alone.outside is None
    assert "either way" not in write_markdown([alone])


def test_random_directions_decide_nothing(make_trajectory):
    """All have a mean cosine far above that of right trajectories: the alignment is as weak as without them."""
    trajectories, alignments = make_run(make_trajectory, 12, 0.02, 0.0)
    high = [
        make_alignment(a.trajectory_id, float(a.total_cosine[-1]), a.text, span_cosine=[[0, 0], [0.4, 0.5]])
        for a in alignments
    ]
    sentences = [judge_equation(summarize_alignments(trajectories, some)) for some in (alignments, high)]
    assert sentences[0] == sentences[1]
    assert sentences[0].endswith("So there is a weak alignment.")
    for name in ("other questions' trajectories'", "shuffled trajectories'", "random tokens'"):
        assert name in sentences[0]


def test_layers_are_averaged_over_the_texts_that_have_a_value(make_trajectory):
    """Question a: (0.2, NaN) and (0.4, −0.4); b: NaN in the second layer alone; c: nothing known."""
    trajectories = [make_trajectory(question_id=q, repeat=i) for q, i in (("a", 0), ("a", 1), ("b", 0), ("c", 0))]
    layers = ([0.2, np.nan], [0.4, -0.4], [0.6, np.nan], [np.nan, np.nan])
    alignments = [make_alignment(t.id, cosine=[[0, 0], own]) for t, own in zip(trajectories, layers, strict=True)]
    texts = label_texts(trajectories, alignments)
    expected = [[0.3, -0.4], [0.6, np.nan], [np.nan, np.nan]]
    np.testing.assert_allclose(average_layers(texts, "right", "cosine"), expected, atol=1e-7)
    assert len(average_layers(texts, "wrong", "cosine")) == 0


def test_texts_whose_update_is_zero_have_no_cosine_and_break_nothing(make_trajectory):
    none = {"cosine": [[np.nan] * 2] * 2, "total_cosine": [np.nan] * 2, "span_cosine": [[np.nan] * 2] * 2}
    trajectories = [make_trajectory(question_id="a"), make_trajectory(question_id="b", correct=False)]
    first, second = (trajectory.id for trajectory in trajectories)
    summary = summarize_alignments(trajectories, [make_alignment(first), make_alignment(second, **none)])
    assert summary.spread == pytest.approx(math.sqrt((0.11**2 + 0.09**2) / 2))
    assert summary.outside == 1
    (wrong,) = (row for row in list_rows(summary)[1] if row[0] == "wrong")
    assert wrong[1:4] == ["0", "1", ""]


def test_predicted_and_true_changes_that_go_together_correlate(make_trajectory):
    trajectories = [make_trajectory(question_id=f"q{i}") for i in range(4)]
    pairs = zip(trajectories, (0.1, 0.2, 0.3, 0.4), (1.9, 1.8, 1.0, 0.5), strict=True)
    alignments = [make_alignment(t.id, c, loss=[2, end]) for t, c, end in pairs]
    row = summarize_alignments(trajectories, alignments).find_row("right")
    assert row.spearman == pytest.approx(1)
    assert row.pearson == pytest.approx(np.corrcoef([-0.4, -0.8, -1.2, -1.6], [-0.1, -0.2, -1.0, -1.5])[0, 1])


def test_a_null_is_compared_with_its_own_trajectory_alone(make_trajectory):
    """Two trajectories of a question with 0.2 and 0.4; only the second has a null, of 0.1: the difference is 0.3."""
    trajectories = [make_trajectory(repeat=i) for i in range(2)]
    alignments = [make_alignment(t.id, c) for t, c in zip(trajectories, (0.2, 0.4), strict=True)]
    alignments.append(make_alignment(trajectories[1].id, 0.1, "shuffled"))
    summary = summarize_alignments(trajectories, alignments)
    (made,) = (made for made in summary.differences if (made.measure, made.against) == ("cosine", "shuffled"))
    assert made.difference.value == pytest.approx(0.3)


def test_null_texts_that_lower_the_loss_are_told_from_those_that_do_not(make_trajectory):
    """Question a has a null of 0.2 and one of 0.4 that lower L, b one of 0.1; one of 0.7 raises it: 0.2, and 0.7."""
    trajectories = [make_trajectory(question_id=name) for name in "ab"]
    first, second = (trajectory.id for trajectory in trajectories)
    alignments = [make_alignment(trajectory.id) for trajectory in trajectories]
    assert summarize_alignments(trajectories, alignments).lowering is None
    alignments += [make_alignment(first, 0.2, "shuffled"), make_alignment(first, 0.4, "random tokens")]
    alignments += [make_alignment(second, 0.1, "shuffled"), make_alignment(second, 0.7, "other question", loss=[1, 3])]
    summary = summarize_alignments(trajectories, alignments)
    assert summary.lowering.value == pytest.approx(0.2)
    assert summary.raising.value == pytest.approx(0.7)
    assert "that lower L have a mean cosine of 0.2000 [" in write_markdown([summary])


def test_cosines_near_one_let_the_equation_hold(make_trajectory):
    sentence = judge_equation(summarize_alignments(*make_run(make_trajectory, 12, cosine=0.95, null=0.1)))
    assert sentence.startswith("Eq. 4 holds in made-up: over 12 questions")
    assert "weak" not in sentence


def test_an_interval_that_spans_the_border_leaves_the_equation_open(make_trajectory):
    """Six questions near 1 and six near 0.75: a mean of 0.875, with an interval of about ± 0.07 around it."""
    trajectories, alignments = make_run(make_trajectory, 12, cosine=0.75, null=0.1)
    alignments = [
        replace(a, total_cosine=a.total_cosine + 0.24, step_cosine=a.step_cosine + 0.24) if n < 24 else a
        for n, a in enumerate(alignments)
    ]
    summary = summarize_alignments(trajectories, alignments)
    assert summary.find_row("right").means["cosine"].low < 0.9 < summary.find_row("right").means["cosine"].high
    assert judge_equation(summary).startswith("Eq. 4 is neither shown to hold nor not to hold in made-up: ")


@pytest.mark.parametrize(
    ("cosine", "null", "ending"),
    [
        (0.02, 0.0, "So there is a weak alignment."),
        (0.02, 0.05, "So not even a weak alignment is shown."),
        (-0.02, -0.05, "So not even a weak alignment is shown."),
    ],
)
def test_small_cosines_are_a_weak_alignment_only_above_zero_and_above_every_null(make_trajectory, cosine, null, ending):
    trajectories, alignments = make_run(make_trajectory, 12, cosine, null)
    alignments = [
        make_alignment(a.trajectory_id, float(a.total_cosine[-1]), a.text, span_cosine=[[0, 0], [0.001, -0.002]])
        for a in alignments
    ]
    sentence = judge_equation(summarize_alignments(trajectories, alignments))
    assert sentence.startswith("Eq. 4 does not hold in made-up")
    assert sentence.endswith(ending)
    assert "Eq. 4 requires 1 and changes of this form could reach 0.60" in sentence


def test_without_nulls_or_with_few_questions_nothing_more_is_claimed(make_trajectory):
    trajectories, alignments = make_run(make_trajectory, 12, 0.02, 0.0)
    alone = [a for a in alignments if a.text == "trajectory"]
    assert "not even a weak" in judge_equation(summarize_alignments(trajectories, alone))
    assert "can't be said: one question alone" in judge_equation(summarize_alignments(trajectories[:1], alignments))
    wrong = make_run(make_trajectory, 3, 0.02, 0.0, right=False)
    assert "no right trajectory" in judge_equation(summarize_alignments(*wrong))


def test_too_few_questions_to_show_anything_are_said_to_be_so(make_trajectory):
    """12 tests: after Holm's correction the least p of n questions is 12 · 2 / 2^n: 0.094 for 8, 0.047 for 9."""
    for n_questions, ending in ((8, "With 8 questions this test could not have shown one."), (9, "is shown.")):
        sentence = judge_equation(summarize_alignments(*make_run(make_trajectory, n_questions, 0.02, 0.05)))
        assert sentence.endswith(ending)


def test_undefined_steps_are_left_out_and_counted(make_trajectory):
    trajectories = [make_trajectory(question_id=f"q{i}") for i in range(3)]
    alignments = [make_alignment(t.id, step_cosine=[0.3, np.nan]) for t in trajectories[:2]]
    alignments.append(make_alignment(trajectories[2].id, step_cosine=[np.nan, np.nan]))
    summary = summarize_alignments(trajectories, alignments)
    assert summary.n_undefined == 4
    assert summary.find_row("right").means["step cosine"].value == pytest.approx(0.3)
    assert summary.find_row("right").means["step cosine"].n_questions == 2
    assert "4 steps began where the loss has no gradient" in write_markdown([summary])


def test_tables_hold_every_row_in_markdown_and_json(make_trajectory):
    summary = summarize_alignments(*make_run(make_trajectory, 4, 0.4, 0.1))
    for headings, rows in (list_rows(summary), list_differences(summary)):
        assert {len(row) for row in rows} == {len(headings)}
    text = write_markdown([summary])
    assert text.count("\n| ") == 2 + len(summary.rows) + 2 + len(summary.differences) - 1 + 1
    assert judge_equation(summary).split(".")[0] in text
    assert '"sentence": "Eq. 4 does not hold' in write_json([summary])


def test_two_models_or_none_are_refused(make_trajectory):
    trajectories, alignments = make_run(make_trajectory, 2, 0.4, 0.1)
    with pytest.raises(DataError, match="nothing to summarise"):
        summarize_alignments([], alignments)
    other = make_alignment(trajectories[0].id)
    object.__setattr__(other, "settings", AlignmentSettings(seed=5))
    with pytest.raises(DataError, match="differ in model or settings"):
        summarize_alignments(trajectories, [*alignments, other])
