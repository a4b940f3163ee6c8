"""Intervals that cover as often as they say, and that agree with scipy and statsmodels."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from analysis_lib.statistics import bootstrap_interval, difference_interval, ratio_interval, t_interval, wilson_interval


def share_covered(intervals, truth):
    return np.mean([one.low <= truth <= one.high for one in intervals])


def test_bootstrap_is_scipys():
    values = np.random.default_rng(0).exponential(size=40)
    for method in ("percentile", "BCa"):
        found = bootstrap_interval(values, np.median, n_resamples=500, seed=3, method=method)
        expected = scipy.stats.bootstrap(
            (values,), np.median, n_resamples=500, method=method, rng=np.random.default_rng(3)
        ).confidence_interval
        assert found == (np.median(values), expected.low, expected.high)


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(20.0)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_a_constant_sample_has_an_interval_of_no_width():
    assert bootstrap_interval([2.0] * 5) == (2.0, 2.0, 2.0)


def test_bootstrap_covers():
    """95% intervals of 60 normal values: percentile bootstrap covers about 94 %."""
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(size=60), n_resamples=400) for _ in range(300)]
    assert 0.90 <= share_covered(intervals, 0) <= 0.98


def test_clusters_are_what_covers_when_values_of_a_unit_are_alike():
    """20 words of 10 occurrences each: resampling occurrences is far too sure of itself."""
    rng = np.random.default_rng(0)
    words = np.repeat(np.arange(20), 10)
    clustered, naive = [], []
    for _ in range(120):
        values = rng.normal(size=20)[words] + 0.3 * rng.normal(size=200)
        clustered.append(bootstrap_interval(values, n_resamples=300, clusters=words))
        naive.append(bootstrap_interval(values, n_resamples=300))
    assert share_covered(clustered, 0) > 0.85
    assert share_covered(naive, 0) < 0.6


def test_clusters_of_one_are_the_plain_bootstrap():
    values = np.random.default_rng(0).normal(size=30)
    labels = [f"text {i:02}" for i in range(30)]
    np.testing.assert_allclose(bootstrap_interval(values, clusters=labels), bootstrap_interval(values))


def test_pairs_cancel_what_they_share():
    rng = np.random.default_rng(0)
    shared = 10 * rng.normal(size=50)
    a, b = shared + 1 + 0.1 * rng.normal(size=50), shared
    paired = difference_interval(a, b, paired=True)
    apart = difference_interval(a, b)
    assert paired.estimate == apart.estimate == pytest.approx(1, abs=0.05)
    assert paired.low > 0.9
    assert apart.low < 0 < apart.high
    expected = scipy.stats.bootstrap(
        (a - b,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    np.testing.assert_allclose(paired[1:], (expected.low, expected.high), atol=1e-9)


def test_difference_covers():
    rng = np.random.default_rng(1)
    intervals = [difference_interval(rng.normal(2, 1, 40), rng.normal(1.5, 3, 60), n_resamples=300) for _ in range(200)]
    assert 0.89 <= share_covered(intervals, 0.5) <= 0.99


@pytest.mark.parametrize(("n", "bootstrap_covers"), [(3, 0.75), (6, 0.87)])
def test_t_covers_where_a_bootstrap_of_few_units_does_not(n, bootstrap_covers):
    """400 normal samples: the share of 95% intervals that hold the mean has a standard error of 0.011, at 0.75 of 0.022."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(400, n))
    by_t = share_covered([t_interval(values) for values in samples], 0)
    by_bootstrap = share_covered([bootstrap_interval(values, n_resamples=100) for values in samples], 0)
    assert by_t == pytest.approx(0.95, abs=3 * 0.011)
    assert by_bootstrap == pytest.approx(bootstrap_covers, abs=3 * 0.022)
    assert by_bootstrap < 0.95 - 3 * 0.011


def test_t_is_scipys():
    values = np.random.default_rng(0).normal(2, 3, size=6)
    low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    np.testing.assert_allclose(t_interval(values, level=0.9), (values.mean(), low, high))
    assert t_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (0, 12288)])
def test_wilsons_interval_is_that_of_statsmodels_and_holds_the_share(successes, n):
    found = wilson_interval(successes, n, level=0.9)
    expected = proportion_confint(successes, n, alpha=0.1, method="wilson")
    np.testing.assert_allclose(found, (successes / n, *expected), atol=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_a_ratio_of_means_keeps_pairs_together():
    rng = np.random.default_rng(6)
    below = rng.gamma(2.0, size=200)
    exact = ratio_interval(3 * below, below)
    assert exact == pytest.approx((3, 3, 3))  # every resample of pairs has the ratio 3
    noisy = ratio_interval(3 * below + rng.normal(size=200), below)
    assert noisy.low < 3 < noisy.high
    # The delta method: the standard deviation of the noise over the mean below and the root of n, 1.96 to each side.
    assert noisy.high - noisy.low == pytest.approx(2 * 1.96 / below.mean() / np.sqrt(200), rel=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([]), "values: expected one or more"),
        (lambda: bootstrap_interval([1.0, np.nan]), "values: .* nan at 1"),
        (lambda: bootstrap_interval([1.0]), "two values"),
        (lambda: bootstrap_interval([1.0, 2.0], clusters=["a", "a"]), "two clusters"),
        (lambda: bootstrap_interval([1.0, 2.0], clusters=["a"]), "clusters: expected one label"),
        (lambda: bootstrap_interval(np.ones((2, 2))), r"found shape \(2, 2\)"),
        (lambda: bootstrap_interval([1.0, 2.0], level=95), "level: .* found 95"),
        (lambda: difference_interval([1.0, 2.0], []), "b: expected one or more"),
        (lambda: difference_interval([1.0, 2.0], [1.0]), "found 2 and 1"),
        (lambda: difference_interval([1.0, 2.0], [1.0] * 3, paired=True), "equally many"),
        (lambda: ratio_interval([1.0, 2.0], [1.0]), "equally many values, found 2 and 1"),
        (lambda: ratio_interval([1.0, 2.0], [1.0, -1.0]), "below: expected a mean other than 0"),
        (lambda: t_interval([1.0]), "two values"),
        (lambda: t_interval([1.0, np.inf]), "values: .* inf at 1"),
        (lambda: t_interval([1.0, 2.0], level=95), "level: .* found 95"),
        (lambda: wilson_interval(1, 0), "found 1 of 0"),
        (lambda: wilson_interval(3, 2), "found 3 of 2"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_bootstrap_of_a_large_sample_takes_little_memory(monkeypatch):
    monkeypatch.setattr("analysis_lib.statistics.intervals.HELD", 100_000)
    values = np.random.default_rng(0).normal(size=10_000)
    tracemalloc.start()
    found = bootstrap_interval(values, n_resamples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * values.nbytes  # ten resamples are held, as numbers and as places; all at once would need twenty times the bound
    assert found.low < found.estimate < found.high


def test_a_ratio_whose_resamples_have_no_mean_is_refused():
    with pytest.raises(ValueError, match="below: expected values whose mean differs from 0 in resamples too"):
        ratio_interval([0, 0, 1.0], [0, 0, 1.0])
