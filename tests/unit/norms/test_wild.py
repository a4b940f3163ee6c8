"""The wild cluster bootstrap: each draw is the regression that it stands for, and what is planted is found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from analysis_lib import norms
from analysis_lib.norms import neighbours, simulation, wild
from analysis_lib.norms.design import design_of
from tests.support.panels import EFFECTS, panel

NO_BIAS = replace(EFFECTS, correct_bias=False)


def by_hand(y, x, texts, term):
    """Estimate and t with plain clustered errors, by statsmodels, without its corrections for few clusters."""
    fit = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": texts, "use_correction": False})
    return fit.params[term], fit.bse[term]


@pytest.mark.parametrize("truth", [0.0, 0.3])
def test_a_draw_is_the_regression_on_residuals_of_turned_sign(truth):
    """With dummies for the levels and every regression run again."""
    values, tokens = panel(n_texts=6, n_tokens=30)
    design = design_of(values, tokens, NO_BIAS)
    y, x = (design.effects.taken_out(part[0]) for part in (design.y, design.x))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (6, 4))
    test = wild.WildTest(y, x, 0, design, signs)
    full = np.c_[design.x[0], pd.get_dummies(design.text, dtype=float), design.positions]
    estimate, se = by_hand(design.y[0], full, design.text, 0)
    assert (test.estimate, test.se) == pytest.approx((estimate, se), rel=1e-6)
    null = sm.OLS(design.y[0] - truth * full[:, 0], full[:, 1:]).fit()
    for draw, found in zip(signs.T, test.drawn(truth), strict=True):
        again = truth * full[:, 0] + null.fittedvalues + draw[design.text] * null.resid
        estimate, se = by_hand(again, full, design.text, 0)
        assert found == pytest.approx((estimate - truth) / se, rel=1e-6)


def test_intervals_hold_the_values_that_are_not_rejected():
    design = design_of(*panel(n_texts=10, n_tokens=30), NO_BIAS)
    y, x = (design.effects.taken_out(part[0]) for part in (design.y, design.x))
    test = wild.WildTest(y, x, 0, design, np.random.default_rng(0).choice([-1.0, 1.0], (10, 199)))
    low, high = test.interval(0.9)
    assert low < test.estimate < high
    step = (high - low) / 100
    assert min(test.p_value(low + step), test.p_value(high - step)) >= 0.1 >= max(test.p_value(low - step), test.p_value(high + step))
    assert test.p_value(test.estimate) == 1


def test_with_many_texts_it_agrees_with_the_jackknife():
    values, tokens = panel(n_texts=60, n_tokens=40, n_layers=2)
    jackknife = neighbours(norms.lagged_regression(values, tokens, EFFECTS)).reset_index(drop=True)
    found = wild.wild_intervals(values, tokens, EFFECTS)
    np.testing.assert_allclose(found["estimate"], jackknife["estimate"], atol=1e-9)
    # 999 draws leave about a twentieth of an interval's half width to chance
    width = jackknife["high"] - jackknife["low"]
    np.testing.assert_allclose(found[["low", "high"]], jackknife[["low", "high"]], atol=0.12 * width.max())
    assert ((found["p"] < 0.05) == ((found["low"] > 0) | (found["high"] < 0))).all()


def test_a_planted_past_is_found_and_none_where_there_is_none():
    for kind, lagged in (("autoregressive", True), ("independent", False)):
        values, tokens = simulation.simulate(kind, 6, 30, 40, seed=3)
        found = wild.wild_intervals(values, tokens, EFFECTS, n_resamples=199).query("lag == 1")
        assert (found["p"] < 0.01).all() if lagged else (found["p"] > 0.01).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level, n_resamples: expected 0 < level < 1"),
        ({"n_resamples": 5}, "level, n_resamples: .* got 0.95 and 5"),
        ({"level": 0.999, "n_resamples": 1001}, "tokens: expected 11 texts or more"),
        ({"specification": replace(NO_BIAS, covariates=("log_position",))}, "log_position .* is collinear with the effects"),
        ({"specification": replace(NO_BIAS, errors="ordinary"), "n_texts": 4}, "tokens: expected 6 texts or more"),
    ],
)
def test_bad_arguments_are_named(options, message):
    values, tokens = panel(n_texts=options.pop("n_texts", 8), n_tokens=30)
    with pytest.raises(ValueError, match=message):
        wild.wild_intervals(values, tokens, **{"specification": NO_BIAS} | options)


class Planted(wild.WildTest):
    """A test of the estimate 1 with a standard error of 0.5 that rejects what is not between two ends."""

    def __init__(self, low, high):
        self.estimate, self.se, self.ends = 1.0, 0.5, (low, high)

    def p_value(self, truth):
        return 0.5 if self.ends[0] <= truth <= self.ends[1] else 0.01


@pytest.mark.parametrize("distance", [0.75, 4.5, 1000.0, np.inf])
def test_an_interval_ends_where_values_begin_to_be_rejected_however_far_that_is(distance):
    """At 1.5, 9 and 2,000 standard errors, or nowhere."""
    assert Planted(1 - distance, 2.0).interval(0.95) == pytest.approx((1 - distance, 2.0), abs=0.002)
    assert Planted(0.0, 1 + distance).interval(0.95) == pytest.approx((0.0, 1 + distance), abs=0.002)
