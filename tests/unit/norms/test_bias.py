"""Bias of text levels: the formula against least squares, and the autocovariances behind it."""

import numpy as np
import pytest
import scipy.signal

from analysis_lib.norms import Specification, bias, lagged_regression, simulation


@pytest.mark.parametrize(("n_texts", "draws"), [(1, 4000), (20, 400)])
def test_small_sample_bias_is_what_least_squares_shows(n_texts, draws):
    rho, n_tokens = 0.5, 60
    values, _ = simulation.simulate("autoregressive", draws, n_texts, n_tokens, rho=(rho,), seed=7)
    y = np.log(values).reshape(draws, n_texts, n_tokens) + 0.3 * np.log1p(np.arange(n_tokens))  # without the trend
    before, after = (part - part.mean(axis=-1, keepdims=True) for part in (y[..., :-1], y[..., 1:]))
    found = (before * after).sum(axis=(1, 2)) / (before**2).sum(axis=(1, 2)) - rho
    expected = bias.small_sample_bias(rho, n_tokens, n_texts)
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(draws) + 0.15 * abs(expected)  # the rest is of order 1/T²
    assert bias.small_sample_bias(rho, n_tokens) == pytest.approx(-(1 + 3 * rho) / n_tokens)


@pytest.mark.parametrize("lags", [(0.5,), (0.3, 0.1), (-0.4, 0.3), (0.2, -0.1, 0.3, 0.2)])
def test_autocovariances_are_those_of_the_impulse_response(lags):
    impulse = scipy.signal.lfilter([1.0], np.r_[1.0, -np.array(lags)], np.r_[1.0, np.zeros(4000)])
    expected = [2.0 * impulse[: len(impulse) - d] @ impulse[d:] for d in range(50)]
    np.testing.assert_allclose(bias.autocovariance(np.array(lags), 2.0, 50), expected, rtol=1e-9, atol=1e-12)


def test_autocovariances_of_lags_that_explode_stay_finite():
    assert np.isfinite(bias.autocovariance(np.array([1.2, 0.3]), 1.0, 300)).all()
    rooted = bias.autocovariance(np.array([1.5]), 1.0, 3)
    np.testing.assert_allclose(rooted[1:] / rooted[:-1], 0.995)


def test_a_coefficient_of_one_has_no_bias_formula():
    with pytest.raises(ValueError, match="rho, n_tokens, n_texts: expected"):
        bias.small_sample_bias(1.0, 50)


def test_many_lags_and_leads_in_short_texts():
    values, tokens = simulation.simulate("independent", n_texts=80, n_tokens=30)
    found = lagged_regression(values, tokens, Specification(lags=12, leads=12, first=0))
    assert np.isfinite(found["bias"]).all()
