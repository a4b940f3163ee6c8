"""What holds for whatever numbers: bounds, symmetries, and changes of unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.statistics import (
    bootstrap_interval,
    difference_interval,
    holm,
    permutation_pvalue,
    ratio_interval,
    sign_flip_pvalues,
    t_interval,
    wilson_interval,
)
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
ROUNDING = 1e-12  # two quantiles of the same few means may differ in their last bit
LEVELS = st.floats(0.5, 0.99)


def sample(seed, n):
    return np.random.default_rng(seed).normal(size=n)


@examples(50)
@given(pvalues=st.lists(st.floats(0, 1), min_size=1, max_size=12), seed=SEEDS)
def test_holm_lies_between_the_p_values_and_bonferroni_and_keeps_their_order(pvalues, seed):
    pvalues = np.array(pvalues)
    found = holm(pvalues)
    assert (pvalues <= found).all()
    assert (found <= np.minimum(1, len(pvalues) * pvalues)).all()
    assert (np.diff(found[np.argsort(pvalues, kind="stable")]) >= 0).all()
    order = np.random.default_rng(seed).permutation(len(pvalues))
    np.testing.assert_array_equal(holm(pvalues[order]), found[order])


@examples(50)
@given(seed=SEEDS, n=st.integers(1, 40), scale=st.sampled_from([0.25, 1.0, 8.0]))
def test_a_permutation_p_value_depends_on_ranks_alone(seed, n, scale):
    rng = np.random.default_rng(seed)
    observed, null = float(rng.integers(-3, 4)), rng.integers(-3, 4, n).astype(float)  # with ties
    found = {alternative: permutation_pvalue(observed, null, alternative) for alternative in ("greater", "less")}
    assert all(1 / (n + 1) <= p <= 1 for p in found.values())
    assert sum(found.values()) > 1  # ties count on both sides, and so does what was observed
    assert permutation_pvalue(scale * observed, scale * null, "greater") == found["greater"]
    assert permutation_pvalue(-observed, -null, "less") == found["greater"]


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 12), scale=st.sampled_from([-1.0, 0.5, 4.0]))
def test_sign_flips_see_neither_unit_nor_direction(seed, n, scale):
    differences = np.random.default_rng(seed).normal(0.3, 1, (n, 3))
    found = sign_flip_pvalues(differences, n_permutations=200)
    assert ((found > 0) & (found <= 1)).all()
    np.testing.assert_array_equal(sign_flip_pvalues(scale * differences, n_permutations=200), found)


@examples(25)
@given(seed=SEEDS, n=st.integers(2, 30), scale=st.floats(0.01, 100), shift=st.floats(-100, 100), level=LEVELS)
@pytest.mark.parametrize("interval", [t_interval, lambda values, level: bootstrap_interval(values, level=level, n_resamples=50)])
def test_intervals_of_a_mean_follow_a_change_of_unit(interval, seed, n, scale, shift, level):
    values = sample(seed, n)
    found, changed = np.array(interval(values, level=level)), interval(scale * values + shift, level=level)
    np.testing.assert_allclose(changed, scale * found + shift, atol=1e-9 * (scale + abs(shift)))
    assert found[1] <= found[2]
    wider = interval(values, level=(1 + level) / 2)
    assert wider.low <= found[1] + ROUNDING
    assert found[2] <= wider.high + ROUNDING


@examples(25)
@given(seed=SEEDS, n=st.integers(2, 30))
def test_a_resampled_mean_lies_among_the_values(seed, n):
    values = sample(seed, n)
    found = bootstrap_interval(values, n_resamples=50)
    assert values.min() - 1e-12 <= found.low <= found.high <= values.max() + 1e-12


@examples(25)
@given(seed=SEEDS, n=st.integers(2, 30), scale=st.floats(0.1, 10))
def test_a_paired_difference_turns_round_with_its_sides_and_a_ratio_with_its_unit(seed, n, scale):
    a, b = sample(seed, n), sample(seed + 1, n)
    found, turned = (difference_interval(*pair, paired=True, n_resamples=50) for pair in ((a, b), (b, a)))
    np.testing.assert_allclose(turned, (-found.estimate, -found.high, -found.low), atol=1e-12)
    below = np.abs(b) + 0.1
    np.testing.assert_allclose(
        ratio_interval(scale * a, below, n_resamples=50), scale * np.array(ratio_interval(a, below, n_resamples=50)), atol=1e-9
    )


@examples(50)
@given(n=st.integers(1, 500), share=st.floats(0, 1), level=LEVELS)
def test_wilson_is_the_same_for_failures_and_narrows_with_the_count(n, share, level):
    successes = round(share * n)
    found, failures = wilson_interval(successes, n, level), wilson_interval(n - successes, n, level)
    np.testing.assert_allclose((failures.low, failures.high), (1 - found.high, 1 - found.low), atol=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    more = wilson_interval(4 * successes, 4 * n, level)
    assert more.high - more.low < found.high - found.low


@examples(20)
@given(values=st.lists(st.floats(0.001, 10), min_size=1, max_size=6), seed=SEEDS)
def test_a_ratio_to_a_mean_of_zero_is_refused_however_it_rounds(values, seed):
    below = np.random.default_rng(seed).permutation([*values, *(-value for value in values)])
    with pytest.raises(ValueError, match="below: expected a mean other than 0"):
        ratio_interval(np.ones(len(below)), below)
