"""The view of updates: certificates, paths, and the test of Eq. 4."""

from dataclasses import replace

import numpy as np
import pytest

from raml.report import describe_updates
from raml.report.looks import OUTCOMES, TEXTS
from raml.updates.alignment_summary import summarize_alignments
from tests.figures.test_updates import make_update
from tests.report.made_up import find_part
from tests.updates.test_alignment_summary import make_alignment, make_run

BENT = [[0, 0], [3, 0], [3, 4]]


def test_the_certificate_has_the_worst_value_of_each_kind(make_trajectory):
    trajectories = [make_trajectory(repeat=i, correct=i < 2) for i in range(3)]
    updates = [make_update(t, BENT) for t in trajectories]
    updates[1] = replace(updates[1], logit_gap=0.5, exact=False, rank=4)
    right, wrong = find_part(describe_updates(trajectories, updates), "updates-certificates").rows
    assert right == ["made-up", "right", "2", "1", "2 to 2", "2 to 4", "1 of 2", "5.0e-01", "1.0e-06", "0.0e+00",
                     "1.5e+00", "0.25"]  # fmt: skip
    assert wrong[1:3] == ["wrong", "1"]


def test_distances_are_means_of_each_kind_with_single_ones_behind(make_trajectory):
    """From (0, 0) over (3, 0) to (3, 4) the distance is 0, 3, 5; of twice that way 0, 6, 10: mean 0, 4.5, 7.5."""
    trajectories = [make_trajectory(repeat=0), make_trajectory(repeat=1), make_trajectory(repeat=2, correct=False)]
    updates = [make_update(t, np.array(BENT) * k) for t, k in zip(trajectories, (1, 2, 10), strict=True)]
    chart = find_part(describe_updates(trajectories, updates), "updates-1-distance")
    single = [series for series in chart.series if series.faint]
    assert [(s.x, s.y) for s in single][:2] == [([0, 0.5, 1], [0, 3, 5]), ([0, 0.5, 1], [0, 6, 10])]
    right, wrong = [series for series in chart.series if not series.faint]
    assert (right.name, right.look, right.y[-1], wrong.y[-1]) == ("right, mean of 2", OUTCOMES[True][1], 7.5, 50)
    layers = find_part(describe_updates(trajectories, updates), "updates-1-layers")
    assert layers.series[0].y == [0.25] * 3  # a norm of 0.5 over a weight's 2


def test_single_lines_and_their_points_are_few(make_trajectory):
    trajectories = [make_trajectory(repeat=i, correct=i % 2 == 0) for i in range(60)]
    path = [[i, i * i] for i in range(200)]
    chart = find_part(
        describe_updates(trajectories, [make_update(t, path) for t in trajectories]), "updates-1-distance"
    )
    single = [series for series in chart.series if series.faint]
    assert [sum(s.look == OUTCOMES[kind][1] for s in single) for kind in (True, False)] == [20, 20]
    assert {len(s.x) for s in single} == {60}
    assert {(s.x[0], s.x[-1]) for s in single} == {(0, 1)}
    assert "20 single ones are not drawn" in chart.caption


def test_a_plane_shows_distances_as_they_are(make_trajectory):
    """Three points lie in a plane, so distances from the first are kept: 3 and 5; the length is 7, 1.4 times 5."""
    trajectory = make_trajectory()
    chart = find_part(describe_updates([trajectory], [make_update(trajectory, BENT)]), "updates-1-plane-1")
    path, end = chart.series
    assert np.hypot(path.x, path.y).tolist() == pytest.approx([0, 3, 5], abs=1e-5)
    assert (end.x, end.y) == (path.x[-1:], path.y[-1:])
    assert "100 % of the squared distances" in chart.caption
    assert "1.4 times" in chart.caption


def test_two_points_are_no_path(make_trajectory):
    trajectory = make_trajectory()
    view = describe_updates([trajectory], [make_update(trajectory, [[0, 0], [3, 4]])])
    assert [part.key for part in view.parts] == ["updates-certificates", "updates-1-layers"]


def test_kinds_of_text_are_rows_with_their_questions_behind(make_trajectory):
    """Question a has cosines 0.1 and 0.3, so 0.2; b has 0.6: the mean is 0.4. The null has 0.05 for a alone."""
    trajectories = [make_trajectory(question_id="a", repeat=i) for i in range(2)] + [make_trajectory(question_id="b")]
    alignments = [make_alignment(t.id, c) for t, c in zip(trajectories, (0.1, 0.3, 0.6), strict=True)]
    alignments.append(make_alignment(trajectories[0].id, 0.05, "shuffled"))
    summary = summarize_alignments(trajectories, alignments)
    other = replace(alignments[0], id="x", settings=replace(alignments[0].settings, seed=1))
    view = describe_updates(trajectories, (), [*alignments, other], [summary], ["Eq. 4 does not hold."])
    assert view.paragraphs[-1] == "Eq. 4 does not hold."
    chart = find_part(view, "alignment-1-cosine")
    questions, means = chart.series
    assert chart.rows == ["right", "shuffled", "random direction"]
    assert (questions.x, questions.y, questions.faint) == ([0.2, 0.6, 0.05], [0, 0, 1], True)
    assert means.x[:2] == pytest.approx([0.4, 0.05])
    assert (means.low[1], means.high[1]) == (None, None)  # one question alone
    changes = find_part(view, "alignment-1-loss")
    right, shuffled = changes.series
    assert right.x == pytest.approx([-0.8, -2.4])  # −4 times the cosine
    assert (right.y, right.notes, shuffled.look) == ([-1, -1], ["a", "b"], TEXTS["shuffled"])
    assert changes.diagonal


def test_values_that_are_not_defined_are_left_out(make_trajectory):
    trajectories, alignments = make_run(make_trajectory, 3, 0.5, 0.1)
    alignments[0] = replace(alignments[0], step_cosine=np.full(2, np.nan, dtype=np.float32))
    summary = summarize_alignments(trajectories, alignments)
    view = describe_updates(trajectories, (), alignments, [summary])
    questions, _ = find_part(view, "alignment-1-step-cosine").series
    assert [questions.y.count(place) for place in range(4)] == [2, 3, 3, 3]
    table = find_part(view, "alignment-1-differences")
    assert len(table.rows) == len(summary.differences)


def test_without_updates_and_alignments_there_is_no_view(make_trajectory):
    other = make_update(make_trajectory(question_id="elsewhere"), BENT)
    assert describe_updates([make_trajectory()], [other]) is None
