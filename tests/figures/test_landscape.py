"""Surfaces by hand: which axis is which, and where paths lie."""

import numpy as np
import pytest

from raml.errors import DataError
from raml.figures import plot_landscape, save_figure
from raml.records import Landscape, LandscapeSettings, ModelIdentity, PlanePath
from raml.stats.surface import Surface, choose_surface, interpolate, place_by_level

STEPS = np.array([-1.0, 0.0, 1.0])


def make_path(trajectory_id="q-0", loss=(2.0, 1.0, 0.5), coordinates=((0, 0), (0.5, 0), (1, 1)), share=0.75):
    n = len(loss)
    return PlanePath(
        trajectory_id=trajectory_id,
        prefix_lens=np.arange(n, dtype=np.int32) * 10,
        loss=np.array(loss, dtype=np.float32),
        coordinates=np.array(coordinates, dtype=float),
        off_plane=np.ones(n),
        distance=np.full(n, 2.0),
        length=4.0,
        length_on_plane=4.0 * (1 - share),
    )


def make_landscape(function, paths=(), **settings):
    loss = np.array([[[function(x, y) for y in STEPS] for x in STEPS]] * 2, dtype=np.float32)
    loss[1] += 5
    return Landscape(
        id="l",
        model=ModelIdentity("made-up/<b>", None, "00", "float32", "cpu"),
        settings=LandscapeSettings(n_steps=3, **settings),
        question_ids=("q", "other"),
        alphas=STEPS,
        betas=STEPS,
        loss=loss,
        base_loss=loss[:, 1, 1],
        direction_norms=(1.0, 1.0),
        direction_cosine=0.0,
        paths=tuple(paths),
    )


def take(landscape):
    return Surface(landscape.alphas, landscape.betas, landscape.loss[0].astype(float), landscape.paths, "question q")


def test_places_between_grid_points_are_bilinear():
    """f = x + 10 y + 20 is bilinear, so it comes out everywhere; outside the grid there is nothing."""
    surface = take(make_landscape(lambda x, y: x + 10 * y + 20))
    places = np.array([[0.25, -0.5], [1, 1], [-1, 0.3], [1.01, 0]])
    np.testing.assert_allclose(interpolate(surface, places), [15.25, 31, 22, np.nan])


def test_the_papers_way_finds_the_level_in_the_column_of_each_moment():
    """On f = y + 2 the level L̂ lies at β = L̂ − 2, whatever the time; unreachable levels go to the edge."""
    surface = take(make_landscape(lambda x, y: y + 2))
    places = place_by_level(surface, make_path(loss=(2.5, 2.0, 1.25, 9.0)[:4], coordinates=[(0, 0)] * 4))
    np.testing.assert_allclose(places, [[-1, 0.5], [-1 / 3, 0], [1 / 3, -0.75], [1, 1]])


def test_of_two_places_with_the_level_the_nearer_one_is_taken():
    surface = take(make_landscape(lambda x, y: abs(y) + 0.25 * y + 1))
    places = place_by_level(surface, make_path(loss=(2.0, 1.5, 1.5), coordinates=[(0, 0)] * 3))
    np.testing.assert_allclose(places[:, 1], [0.8, 0.4, 0.4])


def test_the_first_question_with_a_path_is_shown_else_the_mean(make_trajectory):
    landscape = make_landscape(lambda x, y: x + 2, [make_path("other-0")])
    trajectories = [make_trajectory(question_id="q"), make_trajectory(question_id="other")]
    chosen = choose_surface(landscape, trajectories, None)
    np.testing.assert_allclose(chosen.loss, landscape.loss[1])
    assert [path.trajectory_id for path in chosen.paths] == ["other-0"]
    assert choose_surface(landscape, trajectories, "q").paths == ()
    without = make_landscape(lambda x, y: x + 2)
    np.testing.assert_allclose(choose_surface(without, trajectories, None).loss, without.loss.mean(axis=0))
    with pytest.raises(DataError, match="no question nobody"):
        choose_surface(landscape, trajectories, "nobody")


def test_the_figure_names_the_share_off_the_plane_and_compares_losses(make_trajectory):
    landscape = make_landscape(lambda x, y: x + 2, [make_path()])
    figure = plot_landscape(landscape, [make_trajectory()])
    surface, panel = figure.axes
    assert "75.0 % of the paths' length lies off the plane" in surface.get_title(loc="left")
    measured, at_foot = panel.lines
    assert measured.get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert at_foot.get_ydata().tolist() == [2.0, 2.5, 3.0]  # x + 2 at α = 0, 0.5, 1


def test_the_first_axis_of_the_drawing_is_the_first_direction(make_trajectory):
    """The surface x + 2 y: where it is highest, both axes are at their end, and it rises twice as fast along β."""
    figure = plot_landscape(make_landscape(lambda x, y: x + 2 * y + 5, [make_path()]), [make_trajectory()])
    path = figure.axes[0].lines[0]
    x, y, z = path.get_data_3d()
    np.testing.assert_allclose(z, x + 2 * y + 5)
    corners = np.asarray(figure.axes[0].collections[0]._faces).reshape(-1, 3)
    np.testing.assert_allclose(corners[:, 2], corners[:, 0] + 2 * corners[:, 1] + 5, atol=1e-6)
    assert len(np.unique(corners, axis=0)) == 9
    assert "α" in figure.axes[0].get_xlabel()


def test_points_outside_the_grid_are_counted_not_drawn(make_trajectory):
    path = make_path(coordinates=((0, 0), (3, 0), (0, -2)))
    figure = plot_landscape(make_landscape(lambda x, y: 2.0 + x, [path]), [make_trajectory()])
    assert "2 points outside are not drawn" in figure.axes[0].get_title(loc="left")


def test_the_far_end_of_a_path_is_on_the_grid_whatever_the_rounding(make_trajectory):
    path = make_path(coordinates=((0, 0), (0.5, 0), (1 + 7e-8, 0)))
    figure = plot_landscape(make_landscape(lambda x, y: 2.0 + x, [path]), [make_trajectory()])
    assert "outside" not in figure.axes[0].get_title(loc="left")


def test_names_of_folders_are_no_formulas(make_trajectory, tmp_path):
    landscape = make_landscape(lambda x, y: 2.0 + x, [make_path()], plane="checkpoints", toward=("a$x_{$", "$b$/"))
    save_figure(plot_landscape(landscape, [make_trajectory()]), tmp_path / "figure")


def test_losses_that_span_decades_are_drawn_as_logarithms(make_trajectory):
    steep = make_landscape(lambda x, y: 10.0 ** (2 * x))
    figure = plot_landscape(steep, [], question_id="q")
    assert "log" in figure.axes[0].get_zlabel()
    assert "log" not in plot_landscape(make_landscape(lambda x, y: 2 + x), []).axes[0].get_zlabel()
