"""Intrinsic dimension: planted dimensions, properties, scikit-dimension's answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from analysis_lib.geometry import intrinsic_dimension


def cube(n, dimension, width=20, seed=0):
    """Points spread evenly over a cube of `dimension`, turned into `width` dimensions."""
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n, dimension)) @ ortho_group.rvs(width, random_state=seed)[:dimension]


def estimates(points, k=20):
    """TwoNN and maximum likelihood of one cloud, each point a text of its own."""
    found = intrinsic_dimension(points[None], np.arange(len(points)), k=k, max_points=len(points) + k, n_resamples=2)
    return np.array([found["TwoNN"].estimate[0], found["maximum likelihood"].estimate[0]])


# scikit-dimension 0.3.4, TwoNN() and MLE() with n_neighbors=k, on the clouds of `oracle_clouds`: TwoNN, k = 5, k = 20
ORACLE = {
    "cube": (4.2802538202454805, 4.3354637371385145, 4.207674707832953),
    "roll": (1.818632073442141, 1.9098095108196878, 1.921136572879959),
    "normal": (10.81100668676452, 10.03540501955936, 9.333887786284954),
}


def oracle_clouds():
    rng = np.random.default_rng(7)
    t = rng.uniform(0, 3, size=(300, 2))
    cubes = rng.uniform(size=(300, 5))
    yield "cube", cubes
    yield "roll", np.column_stack([t[:, 0] * np.cos(3 * t[:, 0]), t[:, 1], t[:, 0] * np.sin(3 * t[:, 0])])
    yield "normal", rng.normal(size=(300, 12))


def test_both_estimators_agree_with_scikit_dimension():
    for name, points in oracle_clouds():
        recorded = ORACLE[name]
        found = (*estimates(points, 5), estimates(points, 20)[1])
        np.testing.assert_allclose(found, recorded, rtol=1e-6)  # distances are computed in another order


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_planted_dimension_is_found_whatever_the_width(dimension):
    points = cube(2000, dimension)
    for estimate in estimates(points, 10):  # edges of the cube pull down; the standard error is d / sqrt(2000)
        assert estimate == pytest.approx(dimension, rel=0.12)


def test_a_curved_line_has_one_dimension_though_its_covariance_has_three():
    turn = np.random.default_rng(0).uniform(0, 20, size=1500)
    helix = np.column_stack([np.cos(turn), np.sin(turn), turn / 5])
    assert estimates(helix, 10) == pytest.approx(1, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_scale_place_rotation_order_and_repetition_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(60, 4))
    moved = rng.permutation(points) @ ortho_group.rvs(4, random_state=seed) * scale + shift * scale
    repeated = np.concatenate([points, points[:20]])
    assert estimates(moved, 6) == pytest.approx(estimates(points, 6), rel=1e-4)
    assert estimates(repeated, 6) == pytest.approx(estimates(points, 6), rel=1e-12)


def test_two_nn_is_the_slope_of_its_definition():
    points = np.random.default_rng(1).normal(size=(40, 3))
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)
    ratios = np.sort(np.log(distances[:, 2] / distances[:, 1]))[:36]
    heights = -np.log(1 - np.arange(36) / 40)
    assert estimates(points)[0] == pytest.approx((ratios @ heights) / (ratios @ ratios), rel=1e-9)


def test_each_layer_is_estimated_by_itself_and_the_estimates_lie_in_their_intervals():
    states = np.stack([cube(400, 2, seed=1), cube(400, 6, seed=2)])
    texts = np.arange(400) // 4
    before = states.copy()
    found = intrinsic_dimension(states, texts, k=8, n_resamples=60)
    np.testing.assert_array_equal(states, before)
    np.testing.assert_allclose(found["TwoNN"].estimate, [estimates(layer, 8)[0] for layer in states], rtol=1e-9)
    np.testing.assert_allclose(found["maximum likelihood"].estimate, [estimates(layer, 8)[1] for layer in states], rtol=1e-9)
    for profile in found.values():
        assert profile.draws.shape == (60, 2)
        assert (profile.low < profile.estimate).all()
        assert (profile.estimate < profile.high).all()
        assert profile.high[0] < profile.low[1]


def test_words_are_drawn_where_there_are_more_and_the_draw_is_repeatable():
    states, texts = cube(500, 3)[None], np.arange(500) // 5
    few = [intrinsic_dimension(states, texts, k=5, max_points=100, n_resamples=2, seed=3)["TwoNN"].estimate for _ in range(2)]
    assert few[0] == few[1]
    rows = np.sort(np.random.default_rng(3).permutation(500)[:100])
    assert few[0][0] == pytest.approx(estimates(states[0, rows], 5)[0], rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: estimates(x[0, :3], 3), "more than 3 different"),
        (lambda x: estimates(np.ones((50, 3))), "found 1"),
        (lambda x: estimates(x[0], 2), "k is 2"),
        (lambda x: estimates(x[0], 60), "more than 60 different"),
        (lambda x: intrinsic_dimension(x, np.zeros(60)), "texts are all the same"),
        (lambda x: intrinsic_dimension(x, np.arange(60), k=1), "k is 1"),
        (lambda x: intrinsic_dimension(x, np.arange(60), max_points=20), "max_points is 20"),
        (lambda x: intrinsic_dimension(x, np.arange(59)), "texts has shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0).normal(size=(2, 60, 3)))


def test_neighbours_that_are_all_equally_far_are_refused():
    with pytest.raises(ValueError, match="equally far, as on a grid"):
        estimates(np.eye(30), 5)


@pytest.mark.parametrize("step", [1, 0.1])
def test_points_on_a_grid_are_refused_though_rounding_makes_their_distances_differ(step):
    grid = step * np.stack(np.meshgrid(np.arange(20), np.arange(20)), -1).reshape(-1, 2)
    with pytest.raises(ValueError, match="equally far, as on a grid"):
        estimates(grid)
