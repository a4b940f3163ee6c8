"""IsoScore: its definition step by step, planted clouds."""

import warnings

import numpy as np
import pytest
from scipy.stats import ortho_group

from analysis_lib import geometry
from tests.support.clouds import WIDTH, cloud


def isoscore_by_definition(points):
    """Rudman et al. 2022, algorithm 1, step by step."""
    variances = np.linalg.eigvalsh(np.cov(points.T))
    n = len(variances)
    normalised = np.sqrt(n) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (n - np.sqrt(n)))
    used = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return (n * used - 1) / (n - 1)


def test_iso_score_is_the_definitions():
    states = cloud() * np.arange(1, WIDTH + 1)
    np.testing.assert_allclose(geometry.iso_score(states), [isoscore_by_definition(x) for x in states], atol=1e-12)


def test_iso_score_ignores_mean_scale_and_rotation_but_not_the_scale_of_an_axis():
    states, turn = cloud(), ortho_group.rvs(WIDTH, random_state=2)
    np.testing.assert_allclose(geometry.iso_score(5 * states @ turn + 100), geometry.iso_score(states), atol=1e-9)
    assert (geometry.iso_score(states * np.r_[100, np.ones(WIDTH - 1)]) < 0.01).all()


def test_iso_score_of_few_points_is_low_as_the_warning_says():
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="100 vectors in 64 dimensions.*0.61"):
        few = geometry.iso_score(rng.normal(size=(100, 64)))
    assert few == pytest.approx(100 / 164, abs=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert geometry.iso_score(rng.normal(size=(20_000, 64))) > 0.99


def test_isotropy_draws_are_iso_scores_of_the_blocks_drawn_moved_to_the_samples_own():
    """A block that is drawn twice lowers the score: the draws differ among themselves as drawn, and their mean is the estimate."""
    states, texts = cloud(n=120), np.arange(120) // 3
    found = geometry.isotropy(states, texts, n_blocks=10, n_resamples=20, seed=4)
    times = np.random.default_rng(4).multinomial(10, np.full(10, 0.1), size=20)
    block = np.random.default_rng(4).permutation(40)[texts] % 10
    centred = states[0] - states[0].mean(axis=0)
    blocks = np.stack([centred[block == b].T @ centred[block == b] for b in range(10)])
    seconds = np.einsum("rb,bij->rij", times, blocks)
    ratios = np.trace(seconds, axis1=1, axis2=2) ** 2 / (seconds**2).sum(axis=(1, 2))
    drawn = (ratios - 1) / (WIDTH - 1)
    np.testing.assert_allclose(found.estimate, geometry.iso_score(states))
    assert drawn.mean() < found.estimate[0]
    np.testing.assert_allclose(found.draws[:, 0], np.minimum(1, drawn - drawn.mean() + found.estimate[0]), atol=1e-12)


def test_the_interval_of_an_isotropic_cloud_surrounds_its_score():
    states = np.random.default_rng(0).normal(size=(1, 200, 20))
    found = geometry.isotropy(states, np.arange(200) // 5)
    assert found.low[0] < found.estimate[0] < found.high[0] <= 1


def test_texts_may_be_named_by_strings():
    states, texts = cloud(), np.arange(60) // 5
    names = np.array([f"text {text:02}" for text in texts])
    found, named = (geometry.isotropy(states, labels, n_resamples=20) for labels in (texts, names))
    np.testing.assert_array_equal(named.draws, found.draws)
    assert set(named.units.labels) == set(names)
