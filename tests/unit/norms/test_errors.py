"""Standard errors: Newey and West's, and the jackknife over texts against fits that really leave one text out."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from analysis_lib import norms
from analysis_lib.norms import FULL, ORIGINAL, design, errors
from tests.support.panels import EFFECTS, panel, uneven_panel


def test_hac_errors_of_one_text_are_newey_and_wests():
    values, tokens = panel(n_texts=1, n_tokens=100)
    found = norms.lagged_regression(values, tokens, replace(ORIGINAL, errors="hac", first=2))
    y = np.log(values[0])
    fit = sm.OLS(y[2:], sm.add_constant(np.c_[y[1:-1], y[:-2]])).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True})
    np.testing.assert_allclose(found["se"], fit.bse[1:], rtol=1e-8)


SMALL = replace(FULL, lagged_covariates=("log_rank", "no_word"), correct_bias=False)
REFITTED = {
    "text and position levels": SMALL,
    "position levels": replace(SMALL, text_effects=False),
    "text levels": replace(SMALL, position_effects=False),
    "an intercept": replace(SMALL, text_effects=False, position_effects=False),
    "no covariates": replace(EFFECTS, correct_bias=False),
}


@pytest.mark.parametrize("title", REFITTED)
def test_clustered_errors_are_the_spread_of_estimates_without_one_text(title):
    values, tokens = uneven_panel(n_texts=12)  # the longest text is the only one at its last position
    whole = norms.lagged_regression(values, tokens, REFITTED[title])
    others = [tokens["text"].to_numpy() != text for text in range(12)]
    without = np.array([norms.lagged_regression(values[:, rows], tokens[rows], REFITTED[title])["estimate"] for rows in others])
    expected = np.sqrt(11 / 12 * ((without - whole["estimate"].to_numpy()) ** 2).sum(axis=0))
    np.testing.assert_allclose(whole["se"], expected, rtol=1e-8)


def test_projecting_out_position_levels_once_would_make_the_errors_too_small():
    """What statsmodels gives on regressors without effects, exact for text levels and an approximation for those of positions."""
    values, tokens = uneven_panel(n_texts=12)
    for specification, ratios in ((REFITTED["text levels"], (1, 1)), (SMALL, (0.7, 0.97))):
        made = design.design_of(values, tokens, specification)
        fit = sm.OLS(made.effects.taken_out(made.y[0]), made.effects.taken_out(made.x[0]), hasconst=False).fit()
        once = np.sqrt(np.diag(fit.get_robustcov_results("cluster-crv3", groups=made.text).cov_params()))
        ratio = once / np.sqrt(np.diag(errors.jackknife(fit, made)))
        assert (ratio[:2] >= ratios[0] - 1e-9).all()
        assert (ratio[:2] <= ratios[1] + 1e-9).all()


def test_a_covariate_of_one_text_alone_counts_as_zero_without_it():
    values, tokens = panel(n_texts=8, n_tokens=30)
    lonely = (tokens["text"] == 3) & (tokens["position"] % 7 == 3)
    specification = replace(EFFECTS, covariates=("lonely",), correct_bias=False)
    table = norms.lagged_regression(values, tokens.assign(lonely=lonely), specification).set_index("term")
    kept = tokens["text"].to_numpy() != 3
    alone = replace(specification, covariates=())
    without = norms.lagged_regression(values[:, kept], tokens[kept], alone)["estimate"]
    assert np.isfinite(table["se"]).all()
    assert table.loc["lonely", "se"] >= np.sqrt(7 / 8) * abs(table.loc["lonely", "estimate"]) * (1 - 1e-9)
    assert (table.loc["lag", "se"] >= np.sqrt(7 / 8) * (table.loc["lag", "estimate"] - without.to_numpy()).abs() * (1 - 1e-9)).all()


def test_the_unit_of_a_covariate_changes_no_other_error():
    values, tokens = uneven_panel(n_texts=12)
    specification = replace(EFFECTS, covariates=("log_rank",), correct_bias=False)
    small, large = (
        norms.lagged_regression(values, tokens.assign(log_rank=unit * tokens["log_rank"]), specification).set_index("term")["se"]
        for unit in (1, 1e7)
    )
    np.testing.assert_allclose(large["lag"], small["lag"], rtol=1e-4)
    np.testing.assert_allclose(1e7 * large["log_rank"], small["log_rank"], rtol=1e-4)
