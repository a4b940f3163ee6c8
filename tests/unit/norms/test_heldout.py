"""Variance explained, in the sample and in texts held out."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis_lib import norms
from analysis_lib.norms import simulation
from tests.support.panels import EFFECTS, panel


def test_the_past_explains_what_was_planted_and_no_more():
    values, tokens = simulation.simulate("autoregressive", 5, 40, 80, rho=(0.6,), seed=9)
    found = norms.past_explains(values, tokens, replace(EFFECTS, lags=1), n_resamples=200)
    assert found["partial_r2"].between(0.28, 0.42).all()  # rho squared is 0.36; the text levels take a little
    assert (found["heldout_r2"] - found["partial_r2"]).abs().max() < 0.03
    assert (found["low"] < found["heldout_r2"]).all()
    nothing = norms.past_explains(*simulation.simulate("independent", 5, 40, 80, seed=9), EFFECTS, n_resamples=200)
    assert nothing["heldout_r2"].max() < 0.005
    assert (nothing["partial_r2"] > nothing["heldout_r2"]).all()


def test_bad_folds_and_levels_are_named():
    with pytest.raises(ValueError, match="folds: expected 2 to 6, the number of texts, got 7"):
        norms.past_explains(*panel(), EFFECTS, folds=7)
    with pytest.raises(ValueError, match="level, n_resamples: expected 0 < level < 1 and 1 draw or more, got 1.5 and 1000"):
        norms.past_explains(*panel(), EFFECTS, level=1.5)
    with pytest.raises(ValueError, match="level, n_resamples: expected .* got 0.95 and 0"):
        norms.past_explains(*panel(), EFFECTS, n_resamples=0)
    with pytest.raises(ValueError, match="log_position .* is collinear with the effects"):
        norms.past_explains(*panel(), replace(EFFECTS, covariates=("log_position",)))


def test_a_higher_level_gives_a_wider_interval():
    narrow, wide = (norms.past_explains(*panel(n_texts=12), EFFECTS, level=level, n_resamples=200).iloc[0] for level in (0.5, 0.99))
    assert wide["low"] < narrow["low"] < narrow["heldout_r2"] < narrow["high"] < wide["high"]
    assert narrow["heldout_r2"] == wide["heldout_r2"]


def test_the_unit_of_a_covariate_does_not_matter():
    values, tokens = panel(n_texts=12)
    specification = replace(EFFECTS, covariates=("log_rank",))
    small, large = (
        norms.past_explains(values, tokens.assign(log_rank=unit * tokens["log_rank"]), specification, n_resamples=100) for unit in (1, 1e7)
    )
    pd.testing.assert_frame_equal(large, small, rtol=1e-5)
