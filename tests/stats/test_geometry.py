"""Paths by hand: only their inner products are given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.stats import fit_plane, measure_shape


def test_a_path_around_a_corner():
    """(0, 0) → (3, 0) → (3, 4): steps 3 and 4, length 7, distance 5, a right angle."""
    points = np.array([[0.0, 0], [3, 0], [3, 4]])
    shape = measure_shape(points @ points.T)
    assert shape.step_lens.tolist() == pytest.approx([3, 4])
    assert (shape.length, shape.distance) == pytest.approx((7, 5))
    assert shape.turn_cosines.tolist() == pytest.approx([0])
    assert shape.straightness == pytest.approx(5 / 7)


def test_there_and_back_is_a_half_turn_and_no_distance():
    points = np.array([[1.0], [2], [1]])
    shape = measure_shape(points @ points.T)
    assert shape.distance == pytest.approx(0)
    assert shape.turn_cosines.tolist() == pytest.approx([-1])


def test_a_path_that_does_not_move_has_no_angles():
    shape = measure_shape(np.zeros((3, 3)))
    assert np.isnan(shape.turn_cosines).all()
    assert np.isnan(shape.straightness)
    assert fit_plane(np.zeros((3, 3))).explained == (0.0, 0.0)
    assert measure_shape(np.zeros((1, 1))).length == 0
    assert fit_plane(np.zeros((1, 1))).coordinates.tolist() == [[0, 0]]


@given(st.integers(0, 999), st.integers(2, 7))
def test_the_plane_is_that_of_a_singular_value_decomposition(seed, n):
    points = np.random.default_rng(seed).normal(size=(n, 12))
    points -= points[0]
    plane = fit_plane(points @ points.T)
    axes = plane.weights @ points
    sizes = np.linalg.svd(points, compute_uv=False)
    n_axes = min(2, n - 1)
    np.testing.assert_allclose(axes[:n_axes] @ axes[:n_axes].T, np.eye(n_axes), atol=1e-7)
    np.testing.assert_allclose(plane.coordinates[:, :n_axes], (points @ axes.T)[:, :n_axes], atol=1e-6)
    np.testing.assert_allclose(plane.explained[:n_axes], sizes[:n_axes] ** 2 / (sizes**2).sum(), atol=1e-7)
