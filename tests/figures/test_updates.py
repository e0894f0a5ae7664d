"""Paths in weight space, drawn from their inner products."""

import numpy as np
import pytest

from raml.errors import DataError
from raml.figures import plot_updates
from raml.records import Update, UpdateSettings


def make_update(trajectory, points, norm=0.5):
    points = np.array(points, dtype=float)
    n = len(points)
    each = np.full((n, 3), norm, dtype=np.float32)
    return Update(
        id=f"u-{trajectory.id}",
        trajectory_id=trajectory.id,
        model=trajectory.model,
        settings=UpdateSettings(),
        bridge_ids=(1,),
        answer_ids=(2,),
        prefix_lens=np.arange(n, dtype=np.int32),
        rank=2,
        exact=True,
        loss=np.linspace(2, 0, n, dtype=np.float32),
        updated_loss=np.linspace(2, 0, n, dtype=np.float32),
        logit_gap=1e-5,
        prompt_gap=1e-6,
        residual=each * 0,
        norm=each,
        weight_norm=np.full(3, 2, dtype=np.float32),
        condition=each + 1,
        gram=points @ points.T,
        other_ids=(),
        other_change=np.zeros(0, dtype=np.float32),
    )


def test_distance_and_layers_are_drawn_for_right_and_wrong(make_trajectory):
    trajectories = [make_trajectory(repeat=0), make_trajectory(repeat=1, correct=False)]
    updates = [make_update(trajectories[0], [[0, 0], [3, 4]]), make_update(trajectories[1], [[0, 0], [6, 8]], norm=1.0)]
    figure = plot_updates(trajectories, updates)
    planes, along, by_layer = figure.axes[:4], *figure.axes[-2:]
    assert [axis.get_visible() for axis in planes] == [True, True, False, False]
    assert [axis.get_title(loc="left").split(",")[0] for axis in planes[:2]] == ["right", "wrong"]
    ends = {line.get_color(): line.get_ydata()[-1] for line in along.lines if line.get_linewidth() > 1}
    assert ends == {"#0072B2": pytest.approx(5), "#D55E00": pytest.approx(10)}
    shares = {line.get_color(): line.get_ydata().tolist() for line in by_layer.lines}
    assert shares == {"#0072B2": [0.25] * 3, "#D55E00": [0.5] * 3}


def test_more_right_than_wrong_ones_fill_the_planes(make_trajectory):
    trajectories = [make_trajectory(repeat=i, correct=i < 5) for i in range(6)]
    figure = plot_updates(trajectories, [make_update(t, [[0], [1], [3]]) for t in trajectories])
    labels = [axis.get_title(loc="left").split(",")[0] for axis in figure.axes[:4]]
    assert labels == ["right", "right", "right", "wrong"]


def test_nothing_to_draw_is_said(make_trajectory):
    with pytest.raises(DataError, match="nothing to plot"):
        plot_updates([make_trajectory()], [])
