"""Permutation p-values that are uniform without an effect, and corrections that agree with statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from analysis_lib.statistics import holm, permutation_pvalue


def test_permutation_pvalue_counts_the_observed():
    null = np.arange(99)
    assert permutation_pvalue(1000, null) == 0.01
    assert permutation_pvalue(98, null) == 0.02  # ties count
    assert permutation_pvalue(-1, null) == 1
    assert permutation_pvalue(-1, null, "less") == 0.01
    assert permutation_pvalue(1000, null, "two-sided") == 0.02
    assert permutation_pvalue(49, null, "two-sided") == 1


def test_permutation_pvalues_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    found = [permutation_pvalue(rng.normal(), rng.normal(size=99)) for _ in range(1000)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_holm():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    grid = np.random.default_rng(0).random((3, 4))
    np.testing.assert_array_equal(holm(grid), multipletests(grid.ravel(), method="holm")[1].reshape(3, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: permutation_pvalue(1.0, []), "null: expected one or more"),
        (lambda: permutation_pvalue(np.nan, [1.0]), "observed: .* nan"),
        (lambda: permutation_pvalue(1.0, [1.0], "both"), "alternative: .* 'both'"),
        (lambda: holm([]), "pvalues: expected one or more"),
        (lambda: holm([0.5, 1.5]), "pvalues: expected numbers from 0 to 1"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
