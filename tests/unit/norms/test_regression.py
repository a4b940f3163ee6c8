"""The regression: parity with least squares and statsmodels, planted coefficients, nothing where there is nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import acorr_breusch_godfrey

from analysis_lib import norms, statistics
from analysis_lib.norms import FULL, ORIGINAL, neighbours, regression, simulation
from tests.support.examples import examples
from tests.support.panels import EFFECTS, panel


def test_original_specification_is_the_notebooks_least_squares():
    values, tokens = panel(n_texts=1, n_tokens=60, n_layers=2)
    found = norms.lagged_regression(values, tokens, ORIGINAL)
    for layer, y in enumerate(np.log(values)):
        design = np.array([[1, y[t - 1], y[t - 2]] for t in range(3, len(y))])
        betas = np.linalg.lstsq(design, y[3:], rcond=None)[0]
        part = found[found["layer"] == layer]
        np.testing.assert_allclose(part["estimate"], betas[1:], rtol=0, atol=1e-10)
        fit = sm.OLS(y[3:], design).fit()
        np.testing.assert_allclose(part["se"], fit.bse[1:], rtol=1e-8)
        np.testing.assert_allclose(part["p"], fit.pvalues[1:], rtol=1e-6)
        np.testing.assert_allclose(part[["low", "high"]], fit.conf_int()[1:], rtol=1e-8)
        expected = acorr_breusch_godfrey(fit, nlags=4, result_object=True)
        np.testing.assert_allclose(part["p_breusch_godfrey"], expected[1], rtol=1e-6)


def test_effects_are_dummies():
    values, tokens = panel(n_texts=8, n_tokens=30)
    specification = replace(EFFECTS, covariates=("log_rank",), lagged_covariates=("no_word",), correct_bias=False)
    found = norms.lagged_regression(values, tokens, specification)
    data = tokens.assign(y=np.log(values[0]))
    within = data.groupby("text")
    data = data.assign(**{f"{name}{k}": within[name].shift(k) for name in ("y", "no_word") for k in (1, 2)})
    data = data[data["position"] >= 8].reset_index(drop=True)
    dummies = pd.get_dummies(data[["text", "position"]].astype(str), drop_first=True, dtype=float)
    x = np.c_[data[["y1", "y2", "log_rank", "no_word1", "no_word2"]].astype(float), dummies, np.ones(len(data))]
    fit = sm.OLS(data["y"].to_numpy(), x).fit()
    np.testing.assert_allclose(found["estimate"], fit.params[:5], atol=1e-10)
    ordinary = norms.lagged_regression(values, tokens, replace(specification, errors="ordinary"))
    np.testing.assert_allclose(ordinary["se"], fit.bse[:5], rtol=1e-8)
    assert list(found["term"] + found["lag"].astype(str)) == ["lag1", "lag2", "log_rank0", "no_word1", "no_word2"]


def test_holm_and_simultaneous_intervals_are_over_all_lags_of_all_layers():
    values, tokens = panel(n_layers=3)
    found = norms.lagged_regression(values, tokens, replace(EFFECTS, covariates=("log_rank",)))
    tested = neighbours(found)
    np.testing.assert_allclose(tested["p_holm"], statistics.holm(tested["p"]))
    assert found.loc[found["term"] == "log_rank", "p_holm"].isna().all()
    at_once = norms.lagged_regression(values, tokens, replace(EFFECTS, covariates=("log_rank",)), level=1 - 0.05 / len(tested))
    np.testing.assert_allclose(found[["low_all", "high_all"]], at_once[["low", "high"]])
    assert (found["n_texts"] == 6).all()
    assert (found["n"] == 6 * 32).all()
    assert set(tested["units"]) == {"log norm a log norm"}


@examples(8)
@given(st.floats(0.01, 100), st.integers(0, 5))
def test_the_unit_of_the_norms_does_not_matter(scale, seed):
    values, tokens = panel(seed=seed)
    a, b = (norms.lagged_regression(v, tokens, EFFECTS) for v in (values, scale * values))
    np.testing.assert_allclose(a["estimate"], b["estimate"], atol=1e-9)
    np.testing.assert_allclose(a["p"], b["p"], atol=1e-9)


def test_planted_coefficients_are_within_their_intervals():
    values, tokens = simulation.simulate("autoregressive", 200, 40, 60, rho=(0.4, 0.2), seed=3)
    found = neighbours(norms.lagged_regression(values, tokens, EFFECTS))
    for lag, truth in ((1, 0.4), (2, 0.2)):
        part = found[found["lag"] == lag]
        covered = ((part["low"] <= truth) & (truth <= part["high"])).mean()
        assert 0.90 <= covered <= 0.99  # 200 draws of 95%: three standard errors are 4.6 points
        assert abs(part["estimate"].mean() - truth) < 0.006  # what the text levels cost before correction is three times that
        assert (part["estimate"] + part["bias"]).mean() < truth - 0.015


def test_leads_and_lags_of_independent_tokens_are_zero_on_average():
    values, tokens = simulation.simulate("independent", 100, 30, 40, seed=5)
    found = norms.lagged_regression(values, tokens, replace(EFFECTS, leads=2))
    assert set(found["lag"]) == {1, 2, -1, -2}
    assert found.groupby("lag")["estimate"].mean().abs().max() < 0.013
    assert (found.groupby("lag")["bias"].mean() < -0.025).all()
    assert 0.02 <= (found["p"] < 0.05).mean() <= 0.085


def test_breusch_godfrey_rejects_a_missing_lag_and_not_a_right_model():
    values, tokens = simulation.simulate("autoregressive", 40, 30, 80, rho=(0.3, 0.3), seed=8)
    right = neighbours(norms.lagged_regression(values, tokens, EFFECTS)).groupby("layer")["p_breusch_godfrey"].first()
    missing = neighbours(norms.lagged_regression(values, tokens, replace(EFFECTS, lags=1))).groupby("layer")["p_breusch_godfrey"].first()
    assert (missing < 0.05).mean() > 0.95
    assert (right < 0.05).mean() < 0.2


def test_arguments_are_left_alone_and_results_repeat():
    values, tokens = panel()
    kept = values.copy(), tokens.copy()
    first, second = (norms.lagged_regression(values, tokens, FULL) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    np.testing.assert_array_equal(values, kept[0])
    pd.testing.assert_frame_equal(tokens, kept[1])


def test_neighbours_are_lags_and_leads_without_covariates():
    values, tokens = panel()
    table = norms.lagged_regression(values, tokens, replace(EFFECTS, leads=1, covariates=("log_rank",)))
    assert neighbours(table)["lag"].tolist() == [1, 2, -1]
    assert neighbours(table, 1)["term"].tolist() == ["lag"]
    assert neighbours(table, -1)["term"].tolist() == ["lead"]
    assert neighbours(table, 0).empty  # the covariate's row has lag 0


def test_marked_are_those_below_the_level_with_or_without_correction():
    table = pd.DataFrame(
        {"term": ["lag", "lag", "log_rank"], "lag": [1, 2, 0], "p": [0.01, 0.2, 0.0], "p_holm": [0.06, 0.2, np.nan],
         "low": 1.0, "high": 2.0, "low_all": 0.5, "high_all": 2.5}
    )  # fmt: skip
    plain, corrected = regression.marked(table, corrected=False), regression.marked(table)
    assert plain["filled"].tolist() == [True, False]
    assert corrected["filled"].tolist() == [False, False]
    assert regression.marked(table, level=0.1)["filled"].tolist() == [True, False]
    assert plain[["low", "high"]].to_numpy().tolist() == [[1.0, 2.0]] * 2
    assert corrected[["low", "high"]].to_numpy().tolist() == [[0.5, 2.5]] * 2


def test_a_level_outside_zero_and_one_is_named():
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1, got 95"):
        norms.lagged_regression(*panel(), EFFECTS, level=95)


ACROSS = replace(EFFECTS, correct_bias=False, layers_up=1)


def test_the_next_layer_on_this_one_is_least_squares_with_dummies():
    values, tokens = panel(n_texts=8, n_tokens=30, n_layers=2)
    found = norms.lagged_regression(values, tokens, replace(ACROSS, covariates=("log_rank",)))
    data = tokens.assign(y=np.log(values[1]), below0=np.log(values[0]))
    data = data.assign(**{f"below{k}": data.groupby("text")["below0"].shift(k) for k in (1, 2)})
    data = data[data["position"] >= 8].reset_index(drop=True)
    dummies = pd.get_dummies(data[["text", "position"]].astype(str), drop_first=True, dtype=float)
    x = np.c_[data[["below0", "below1", "below2", "log_rank"]].astype(float), dummies, np.ones(len(data))]
    np.testing.assert_allclose(found["estimate"], np.linalg.lstsq(x, data["y"].to_numpy(), rcond=None)[0][:4], atol=1e-10)
    assert found["layer"].eq(1).all()
    assert found["lag"].tolist() == [0, 1, 2, 0]


def test_what_the_token_before_does_one_layer_on_is_recovered():
    values, tokens = panel(n_texts=40, n_tokens=60, n_layers=2)
    logs = np.log(values)
    before = np.r_[0, logs[0, :-1]]
    above = 0.4 * logs[0] + 0.3 * before + 0.05 * np.random.default_rng(0).normal(size=len(tokens))
    found = norms.lagged_regression(np.exp(np.stack([logs[0], above])), tokens, ACROSS).set_index("lag")
    for lag, truth in ((0, 0.4), (1, 0.3), (2, 0)):
        assert found.loc[lag, "low_all"] < truth < found.loc[lag, "high_all"]
        assert found.loc[lag, "high_all"] - found.loc[lag, "low_all"] < 0.05


def test_across_layers_there_must_be_a_later_layer_and_no_bias_of_lagged_outcomes():
    values, tokens = panel(n_layers=1)
    with pytest.raises(ValueError, match="layers_up: expected less than the 1 layers"):
        norms.lagged_regression(values, tokens, ACROSS)
    with pytest.raises(ValueError, match="correct_bias: expected False"):
        replace(ACROSS, correct_bias=True)
