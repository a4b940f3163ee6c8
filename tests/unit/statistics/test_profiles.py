"""Profiles: paired differences of the same units, an error for others, means that resample their units."""

import numpy as np
import pytest

from analysis_lib.statistics import Measure, Profile
from analysis_lib.statistics.profiles import Units


def profile(labels, kind="text", seed=0, n_resamples=500, layers=2):
    """The mean of normal values of units with these labels."""
    values = np.random.default_rng(len(labels)).normal(size=(layers, len(labels)))
    return Measure(np.asarray(labels), np.ones(len(labels)), values, values, kind).mean(n_resamples=n_resamples, seed=seed)


def test_equal_units_are_subtracted_resample_by_resample():
    difference = profile(range(30)) - profile(range(30))
    np.testing.assert_array_equal(difference.draws, 0)
    assert difference.units == Units("text", np.arange(30))


@pytest.mark.parametrize(
    "other",
    [
        profile(range(1, 31)),  # as many units, but others
        profile(range(29)),
        profile(range(30), kind="word"),
        profile(range(30), seed=1),
        profile(range(30), n_resamples=499),
        Profile(np.zeros(2), np.zeros((500, 2))),
    ],
)
def test_other_units_are_not_subtracted_and_both_are_named(other):
    with pytest.raises(ValueError, match=r"30 units of kind 'text'.*minus \[(\d+ units of kind '\w+'|no units)"):
        profile(range(30)) - other


def test_an_independent_difference_has_the_variance_of_both_whatever_the_seeds():
    """Same seed and as many units: paired draws would cancel. 2,000 draws estimate a standard deviation to 1.6 %; 10 % are six of these."""
    words, texts = profile(range(50), "word", n_resamples=2000), profile(range(50, 100), n_resamples=2000)
    difference = words.minus_independent(texts)
    np.testing.assert_allclose(difference.estimate, words.estimate - texts.estimate)
    expected = np.hypot(words.draws.std(axis=0), texts.draws.std(axis=0))
    np.testing.assert_allclose(difference.draws.std(axis=0), expected, rtol=0.1)
    with pytest.raises(ValueError, match="2000 resamples of 2 layers.*100 resamples of 2 layers"):
        words.minus_independent(profile(range(50), n_resamples=100))


def test_independent_differences_can_be_chained():
    """The same draws taken away twice: the spread of a sum of three, not that of one and twice another."""
    first, other = profile(range(40)), profile(range(50))
    twice = first.minus_independent(other).minus_independent(other)
    expected = np.sqrt(first.draws.var(axis=0) + 2 * other.draws.var(axis=0))
    np.testing.assert_allclose(twice.draws.std(axis=0), expected, rtol=0.1)


def test_a_change_between_layers_is_paired():
    found = profile(range(40), layers=3)
    change = found.change(0, 2)
    assert change.estimate == pytest.approx(found.estimate[2] - found.estimate[0])
    low, high = np.quantile(found.draws[:, 2] - found.draws[:, 0], [0.025, 0.975])
    np.testing.assert_allclose(change[1:], (low, high))


def test_spread_is_the_range_of_single_units():
    values = np.stack([np.arange(101.0), np.zeros(101)])
    found = Measure(np.arange(101), np.ones(101), values, values, "text").spread()
    np.testing.assert_allclose([found.low[0], found.estimate[0], found.high[0]], [2.5, 50, 97.5])


def test_the_mean_of_a_measure_resamples_its_units():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 400)) + np.array([[0.0], [3.0]])
    measure = Measure(np.arange(400), np.ones(400), values, values - 1, "text")
    found = measure.mean(adjusted=False)
    np.testing.assert_allclose(found.estimate, values.mean(axis=1))
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 / 20, rtol=0.15)
    np.testing.assert_allclose(measure.mean().estimate, found.estimate - 1)
    chosen = measure.units < 100
    np.testing.assert_allclose(measure.mean(chosen, adjusted=False).estimate, values[:, :100].mean(axis=1))
    with pytest.raises(ValueError, match="chosen: expected two units at least, found 1"):
        measure.mean(measure.units < 1)
    with pytest.raises(ValueError, match="chosen: expected true or false for each of 400 units, found int"):
        measure.mean(np.arange(400))


def test_an_interval_of_no_draws_is_not_a_number():
    found = Profile(np.array([0.5, 1.0]), np.array([[np.nan, 0.9], [np.nan, 1.1]])).at(0)
    assert found.estimate == 0.5
    assert np.isnan([found.low, found.high]).all()


def test_a_resample_of_one_text_alone_is_left_out():
    found = Profile(np.array([0.5]), np.array([[0.4], [np.nan], [0.6]]))
    assert 0.39 < found.low[0] < 0.5 < found.high[0] < 0.61
