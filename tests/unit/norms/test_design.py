"""Which tokens and which terms enter the regression, and which tables it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis_lib import norms
from analysis_lib.norms import FULL, ORIGINAL, Specification
from analysis_lib.norms.design import design_of
from analysis_lib.norms.simulation import simulate
from tests.support.panels import EFFECTS, panel, uneven_panel


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lags": 0}, "lags: expected a whole number of at least 1"), ({"leads": -1}, "leads: expected"), ({"first": 1.5}, "first: expected"),
     ({"errors": "robust"}, "errors: expected one of ordinary"), ({"text_effects": False}, "correct_bias: expected text_effects")],
)  # fmt: skip
def test_bad_specifications_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(EFFECTS, **change)


def test_bad_data_are_named():
    values, tokens = panel()
    cases = [
        (values[:, :-1], tokens, EFFECTS, "norms: expected .layer, token. with 240 tokens"),
        (values * 0, tokens, EFFECTS, "norms: expected positive finite numbers, got 0.0 at layer 0, token 0"),
        (values * 0 + 2, tokens, EFFECTS, "norms: layer 0 is constant"),
        (np.exp(tokens["text"].to_numpy(float)), tokens, EFFECTS, "layer 0 is constant once the effects"),
        (np.exp(tokens["position"].to_numpy(float)), tokens, ORIGINAL, r"lag \(lag 2\) is collinear"),
        (values, tokens.assign(twice=2 * tokens["log_rank"]), replace(EFFECTS, covariates=("log_rank", "twice")), "twice .* is collinear"),
        (values, tokens, replace(EFFECTS, covariates=("log_position",)), "log_position .* is collinear with the effects"),
        (values, tokens, replace(EFFECTS, covariates=("length",)), "tokens: expected a column 'length'"),
        (values, tokens.sample(frac=1, random_state=0), EFFECTS, "tokens: expected texts one after the other"),
        (*panel(n_texts=1), replace(EFFECTS, position_effects=False), "need two texts or more"),
        (*panel(n_texts=1), replace(ORIGINAL, covariates=("position_mean",)), "'position_mean' is the mean over the other texts"),
    ]
    for norm, table, specification, message in cases:
        with pytest.raises(ValueError, match=message):
            norms.lagged_regression(norm, table, specification)


@pytest.mark.parametrize(("lags", "length", "fits"), [(2, 6, False), (2, 7, True), (4, 8, False), (4, 9, True)])
def test_texts_shorter_than_lags_and_five_are_refused(lags, length, fits):
    values, tokens = panel(n_texts=12, n_tokens=length)
    specification = Specification(lags=lags, first=lags, position_effects=False)
    if fits:
        assert len(norms.lagged_regression(values, tokens, specification)) == lags
    else:
        with pytest.raises(ValueError, match=f"text 0 is too short, it gives {length - lags} outcomes.*at least {lags + 5} tokens"):
            norms.lagged_regression(values, tokens, specification)


def test_position_mean_leaves_the_own_text_out():
    values, tokens = panel(n_texts=3, n_tokens=12)
    changed = values.copy()
    changed[0, 12:24] *= 7
    specification = Specification(lags=1, covariates=("position_mean",), position_effects=False, first=2)
    before, after = (design_of(v, tokens, specification) for v in (values, changed))
    own = before.text == 1
    np.testing.assert_allclose(before.x[0, own, 1], after.x[0, own, 1], rtol=1e-12)
    np.testing.assert_allclose(after.x[0, ~own, 1] - before.x[0, ~own, 1], np.log(7) / 2)


def test_what_neighbours_have_in_common_everywhere_is_left_out():
    values, tokens = panel()
    asked = replace(EFFECTS, lagged_covariates=("log_rank", "word_internal"))
    whole = design_of(values, tokens.assign(word_internal=0.0), asked)
    assert whole.terms == [("lag", 1), ("lag", 2), ("log_rank", 1), ("log_rank", 2)]
    one = np.zeros(len(tokens))
    one[np.flatnonzero(tokens["position"] == tokens["position"].max())[0] - 1] = 1  # before one last token, so never two before an outcome
    assert design_of(values, tokens.assign(word_internal=one), asked).terms[4:] == [("word_internal", 1)]


def test_a_covariate_may_differ_by_layer():
    values, tokens = panel(n_layers=2)
    rng = np.random.default_rng(0)
    own = pd.DataFrame(rng.standard_normal((len(tokens), 2)), columns=["own_0", "own_1"])
    both = norms.lagged_regression(values, pd.concat([tokens, own], axis=1), replace(EFFECTS, covariates=("own",)))
    for layer in (0, 1):
        alone = norms.lagged_regression(values[layer], tokens.assign(own=own[f"own_{layer}"]), replace(EFFECTS, covariates=("own",)))
        np.testing.assert_allclose(both.loc[both["layer"] == layer, "estimate"], alone["estimate"], atol=1e-12)


def test_effects_taken_out_leave_nothing_along_any_level():
    values, tokens = uneven_panel()
    for specification in (FULL, replace(FULL, text_effects=False, correct_bias=False), replace(FULL, position_effects=False)):
        design = design_of(values, tokens, specification)
        left = design.effects.taken_out(design.x[0])
        np.testing.assert_allclose(design.effects.dummies.T @ left, 0, atol=1e-9)
        np.testing.assert_allclose(design.levels.T @ left, 0, atol=1e-9)
        assert sum(rows.stop - rows.start for rows in design.rows) == len(design.text)
        assert all((design.text[rows] == text).all() for text, rows in enumerate(design.rows))


def test_a_single_name_is_no_tuple_of_names():
    with pytest.raises(TypeError, match="covariates: expected a tuple of names, got the string 'log_rank'"):
        replace(EFFECTS, covariates="log_rank")


@pytest.mark.parametrize("place", ["covariates", "lagged_covariates"])
def test_a_covariate_that_is_not_finite_is_named(place):
    values, tokens = simulate("independent", n_texts=10, n_tokens=40)
    tokens["extra"] = np.random.default_rng(0).normal(size=len(tokens))
    tokens.loc[100, "extra"] = np.nan
    with pytest.raises(ValueError, match="tokens: extra .*not finite"):
        design_of(values, tokens, Specification(**{place: ("extra",)}))
