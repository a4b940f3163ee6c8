"""The plane of two principal components: what it keeps, and points that do not jump from layer to layer."""

import numpy as np
import pytest

from analysis_lib.geometry.projection import principal_plane
from tests.support.clouds import cloud


def test_points_in_a_plane_keep_all_their_distances():
    flat = cloud(width=2, layers=1) @ np.linalg.qr(np.random.default_rng(0).normal(size=(9, 2)))[0].T
    found = principal_plane(flat)
    assert found.kept == pytest.approx([1])
    distances = [np.linalg.norm(x[0][:, None] - x[0], axis=2) for x in (flat, found.points)]
    np.testing.assert_allclose(*distances, atol=1e-9)


def test_the_share_kept_is_that_of_the_two_largest_variances():
    states = cloud() * np.arange(1, 8)
    variances = [np.linalg.eigvalsh(np.cov(layer.T))[::-1] for layer in states]
    found = principal_plane(states)
    np.testing.assert_allclose(found.kept, [v[:2].sum() / v.sum() for v in variances])
    np.testing.assert_allclose(found.points.var(axis=1, ddof=1), [v[:2] for v in variances])


def test_axes_do_not_flip_between_layers():
    states = cloud(layers=1)
    points = principal_plane(np.concatenate([states, -states, states])).points
    np.testing.assert_allclose(np.abs(points[0]), np.abs(points[1]), atol=1e-9)
    assert ((points[1:] * points[:-1]).sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("states", "message"),
    [(np.ones((1, 2, 5)), "three vectors"), (np.ones((1, 5, 1)), "two dimensions"), (np.ones((1, 5, 5)), "all equal")],
)
def test_bad_input_is_named(states, message):
    with pytest.raises(ValueError, match=message):
        principal_plane(states)
