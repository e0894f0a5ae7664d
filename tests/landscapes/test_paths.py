"""Paths on planes: feet of perpendiculars, and the plane that a path spans."""

import copy

import numpy as np
import pytest
import torch

from raml.landscapes import (
    DenseDirection,
    LossBatch,
    PlaneLoss,
    draw_direction,
    follow_probe,
    make_answer_rows,
    measure_plane,
    project_path,
    span_path,
)
from raml.landscapes.paths import measure_products
from raml.records import UpdateSettings
from raml.sampling import ask_oracle
from raml.tiny import make_questions
from raml.updates import take_point
from raml.updates.probe import plan_probe


@pytest.fixture(scope="module")
def world(tiny):
    question = make_questions(1, split="test")[0]
    probe = plan_probe(tiny, ask_oracle(tiny, question, 1)[0], question, UpdateSettings.bridge, "reasoning")
    return question, probe, follow_probe(tiny, probe)


def write_out(path):
    """All weights that move, as one long row for each point."""
    return torch.cat([layer.make_dense().double().flatten(1) for layer in path.layers], dim=1).numpy()


def test_products_with_any_direction_are_those_of_the_matrices(tiny, world):
    path = world[2]
    direction = draw_direction(tiny.model, 3, 0)
    dense = np.concatenate(
        [
            (direction.entries[f"{n}.weight"] * direction.scales[f"{n}.weight"]).double().flatten().numpy()
            for n in path.names
        ]
    )
    np.testing.assert_allclose(measure_products(tiny.model, path, direction), write_out(path) @ dense, atol=1e-3)


def test_the_foot_of_a_point_in_an_oblique_plane_is_found(tiny, world):
    """d₁ is a point of the path, d₂ another plus the first: both points have whole coordinates and lie on the plane."""
    path = world[2]
    one, two = (take_point(path, place) for place in (10, 30))
    first = DenseDirection({f"{n}.weight": x.make_dense() for n, x in zip(path.names, one, strict=True)})
    second = DenseDirection(
        {f"{n}.weight": x.make_dense() + y.make_dense() for n, x, y in zip(path.names, one, two, strict=True)}
    )
    geometry = measure_plane(tiny.model, first, second)
    assert abs(geometry[2]) > 0.1, "the plane should be oblique"
    found = project_path(tiny.model, "t", path, (first, second), geometry)
    np.testing.assert_allclose(found.coordinates[[0, 10, 30]], [[0, 0], [1, 0], [-1, 1]], atol=1e-3)
    assert found.off_plane[[0, 10, 30]].max() < 0.02 * found.distance.max()
    assert found.off_plane[20] > 0.1 * found.distance.max()


def test_the_plane_of_a_path_is_as_close_as_a_singular_value_decomposition_gets(tiny, world):
    _, probe, path = world
    first, second = span_path(tiny, probe)
    geometry = measure_plane(tiny.model, first, second)
    points = write_out(path)
    assert geometry[0] == pytest.approx(geometry[1], rel=1e-3)
    assert geometry[0] == pytest.approx(np.linalg.norm(points, axis=1).max(), rel=1e-3)
    assert abs(geometry[2]) < 1e-3
    found = project_path(tiny.model, "t", path, (first, second), geometry)
    sizes = np.linalg.svd(points, compute_uv=False)
    assert (found.off_plane**2).sum() == pytest.approx((sizes[2:] ** 2).sum(), rel=1e-3)
    np.testing.assert_allclose(
        found.off_plane**2 + (found.coordinates**2).sum(axis=1) * geometry[0] ** 2,
        found.distance**2,
        rtol=1e-4,
        atol=1e-2,
    )
    assert np.abs(found.coordinates).max() <= 1 + 1e-6
    assert 0 < found.off_plane_share < 1
    assert found.length == pytest.approx(np.linalg.norm(np.diff(points, axis=0), axis=1).sum(), rel=1e-4)


def test_the_surface_on_a_path_s_plane_is_that_of_weights_written_by_hand(tiny, world):
    question, probe, _ = world
    directions = span_path(tiny, probe)
    rows = make_answer_rows(tiny, [question])
    moved = copy.deepcopy(tiny.model)
    with torch.no_grad():
        for name in directions[0].names:
            moved.get_parameter(name).add_(0.5 * directions[0].entries[name] - 0.25 * directions[1].entries[name])
    plane = PlaneLoss(tiny.model, rows, *directions)
    np.testing.assert_allclose(plane.measure(0.5, -0.25), LossBatch(moved, rows).measure().numpy(), rtol=1e-4)


def test_almost_all_of_a_path_lies_off_a_random_plane(tiny, world):
    directions = draw_direction(tiny.model, 0, 0), draw_direction(tiny.model, 0, 1)
    geometry = measure_plane(tiny.model, *directions)
    assert project_path(tiny.model, "t", world[2], directions, geometry).off_plane_share > 0.98
