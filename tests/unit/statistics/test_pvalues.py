"""Permutation p-values that are uniform without an effect, and corrections that agree with statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from analysis_lib.statistics import holm, permutation_pvalue, sign_flip_pvalues


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


def test_holms_correction_is_that_by_hand_and_of_statsmodels():
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


def test_sign_flips_find_what_is_there_and_count_all_measures():
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(40, 2, 3))
    differences[:, 1, 2] += 1.5
    found = sign_flip_pvalues(differences, n_permutations=999)
    assert found.shape == (2, 3)
    assert found[1, 2] == 0.001
    assert np.delete(found.ravel(), 5).min() > 0.02
    assert (found == sign_flip_pvalues(-differences, n_permutations=999)).all()  # two-sided
    alone = sign_flip_pvalues(differences[:, 0, :1], n_permutations=999)
    assert alone[0] <= found[0, 0]  # less to correct for


def test_sign_flips_agree_with_all_signs_of_a_few_units():
    differences = np.array([1.0, 2.0, 3.0, -0.5, 1.5])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    exact = np.mean(np.abs(differences @ signs) >= abs(differences.sum()) - 1e-9)
    assert sign_flip_pvalues(differences, n_permutations=20_000)[()] == pytest.approx(exact, abs=0.01)  # a quarter of a per cent of spread


def test_sign_flips_keep_their_level():
    """Five measures that depend on each other, without an effect: one of them passes in 5% of 300 samples or fewer."""
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(300, 15, 1)) + rng.normal(size=(300, 15, 5))
    hits = np.mean([sign_flip_pvalues(sample, n_permutations=199).min() <= 0.05 for sample in samples])
    assert abs(hits - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 300)


def test_sign_flips_of_nothing_and_of_constants():
    found = sign_flip_pvalues(np.tile([0.0, 1.0], (12, 1)), n_permutations=999)
    assert found.tolist() == pytest.approx([1, 0.001], abs=0.002)
    with pytest.raises(ValueError, match=r"differences: expected finite values of two units or more, found shape \(1, 3\)"):
        sign_flip_pvalues(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="n_permutations: expected at least 1, found 0"):
        sign_flip_pvalues(np.ones((4, 3)), n_permutations=0)


def test_a_draw_that_equals_the_observation_counts_whatever_the_order_of_its_sum():
    observed, null = 0.1 + 0.2, np.array([0.3, 0.0, 0.0])
    assert observed > null[0]
    assert permutation_pvalue(observed, null) == 0.5
    assert permutation_pvalue(-observed, -null, "less") == 0.5


def test_rounding_is_judged_by_the_largest_draw_where_the_observation_is_zero():
    null = np.array([0.1 + 0.2 - 0.3, 1.0, -1.0])  # the first is zero, summed in another order
    assert null[0] > 0
    assert permutation_pvalue(0.0, null, "less") == 0.75
    assert permutation_pvalue(0.0, -null) == 0.75
