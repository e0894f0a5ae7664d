"""The landscape's view: which axis is which, and where paths lie on it."""

from dataclasses import replace

import pytest

from raml.report import describe_landscapes
from raml.report.landscapes import BY_LEVEL, ON_PLANE
from tests.figures.test_landscape import make_landscape, make_path


def test_rows_run_along_beta_and_feet_have_the_surface_s_height(make_trajectory):
    """On x + 10 y + 20 a row is one β; the foot at (0.5, 0) has the height 20.5, and one outside the grid none."""
    path = make_path(coordinates=((0, 0), (0.5, 0), (3, 0)), loss=(2.0, 1.0, 0.5))
    landscape = make_landscape(lambda x, y: x + 10 * y + 20, [path])
    view = describe_landscapes([landscape], [make_trajectory()])
    surface, chart = view.parts
    assert surface.loss[0] == [9, 10, 11]
    assert surface.loss[2] == [29, 30, 31]
    (drawn,) = surface.paths
    assert list(drawn.places) == [ON_PLANE, BY_LEVEL]
    assert drawn.places[ON_PLANE] == ([0, 0.5, 3], [0, 0, 0], [20, 20.5, None])
    assert drawn.places[BY_LEVEL][0] == [-1, 0, 1]
    assert (drawn.correct, drawn.loss, drawn.prefix_lens) == (True, [2, 1, 0.5], [0, 10, 20])
    assert "75.0 % of the paths' length lies off the plane" in surface.caption
    assert "not drawn: 1." in surface.caption
    in_context, at_foot = chart.series
    assert (in_context.x, in_context.y, at_foot.y) == ([0, 0.5, 1], [2, 1, 0.5], [20, 20.5, None])


@pytest.mark.parametrize(("n_right", "n_wrong", "shown"), [(10, 4, (8, 4)), (10, 10, (6, 6)), (2, 12, (2, 10))])
def test_at_most_twelve_paths_are_shown_of_right_and_wrong_trajectories(make_trajectory, n_right, n_wrong, shown):
    trajectories = [make_trajectory(repeat=i, correct=i < n_right) for i in range(n_right + n_wrong)]
    landscape = make_landscape(lambda x, y: x + 2, [make_path(t.id) for t in trajectories])
    surface, _ = describe_landscapes([landscape], trajectories).parts
    kinds = [path.correct for path in surface.paths]
    assert (kinds.count(True), kinds.count(False)) == shown
    assert f"{n_right + n_wrong - 12} more paths" in surface.caption


def test_each_landscape_is_a_surface_with_a_key_and_without_paths_it_is_alone(make_trajectory):
    one = make_landscape(lambda x, y: 10.0 ** (2 * x), plane="checkpoints", toward=("hub/a", "b/"))
    two = replace(make_landscape(lambda x, y: x + 2), id="m", direction_cosine=0.25)
    view = describe_landscapes([one, two], [make_trajectory()])
    assert [part.key for part in view.parts] == ["landscape-checkpoints-l", "landscape-random-m"]
    assert [part.is_log for part in view.parts] == [True, False]
    assert "(0, 1): a, b." in view.parts[0].caption
    assert "cosine of 0.250" in view.parts[1].caption
    assert len(view.paragraphs) == 1  # nothing about paths
    assert describe_landscapes([], [make_trajectory()]) is None
