"""Errors of specifications where the truth is known."""

import pytest

from analysis_lib.norms import calibration
from analysis_lib.norms.bias import small_sample_bias


def test_shares_of_false_positives_are_those_of_independent_draws():
    rates = calibration.false_positives(("independent", "trend"), n_models=12, n_draws=20)
    assert list(rates.index) == ["independent", "trend"]
    assert list(rates.columns) == ["original", "any of 24", "any, Holm", "full"]
    for column, n in (("original", 144), ("any of 24", 12), ("full", 20)):
        for share in rates[column]:
            assert abs(share.estimate * n - round(share.estimate * n)) < 1e-9
            assert share.low <= share.estimate <= share.high
    assert rates.loc["trend", "original"].low > 0.5 > rates.loc["independent", "original"].high
    assert rates.loc["independent", "any of 24"].estimate >= rates.loc["independent", "any, Holm"].estimate


def test_the_correction_takes_most_of_the_bias_of_text_levels():
    left = calibration.remaining_bias(n_draws=30, n_tokens=60)
    uncorrected, corrected = left.loc["45 texts, uncorrected", "1 back"], left.loc["45 texts", "1 back"]
    assert uncorrected.high < 0
    # Two lags lose (1 + rho_2) / T to the levels, to first order; here to five standard errors.
    error = (uncorrected.high - uncorrected.low) / (2 * 1.96)
    assert uncorrected.estimate == pytest.approx(-(1 + calibration.TRUTH[1]) / 60, abs=5 * error)
    # The mean of thirty draws has a standard error of about a fifth of that, so 0.4 leaves the corrected one two of them.
    assert abs(corrected.estimate) < 0.4 * abs(uncorrected.estimate)
    assert abs(uncorrected.estimate) > abs(small_sample_bias(0.3, 60, 45)) / 2
    assert left.loc["one text", "1 back"].high < 0
