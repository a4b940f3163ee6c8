"""What the regression of norms, its nulls and the effects of interventions must not see, and what they are when written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import norms
from analysis_lib.norms.interventions import elasticity, next_and_further, size_by_distance, spread_layers
from analysis_lib.norms.nulls import against_null
from analysis_lib.norms.regression import marked, neighbours
from analysis_lib.norms.simulation import SIMULATED, simulate
from analysis_lib.norms.verdicts import survivors
from analysis_lib.norms.wild import wild_intervals
from analysis_lib.statistics import holm
from tests.support.examples import examples
from tests.support.panels import EFFECTS, panel

SEEDS = st.integers(0, 1000)
ERRORS = st.sampled_from(["ordinary", "hac", "cluster"])


@examples(8)
@given(seed=SEEDS, errors=ERRORS, scale=st.floats(0.01, 100))
def test_the_regression_sees_neither_the_order_of_texts_nor_their_levels_nor_units_of_covariates(seed, errors, scale):
    """A level of a text multiplies all of its norms."""
    values, tokens = panel(n_texts=6, n_tokens=30, n_layers=2, seed=seed)
    specification = replace(EFFECTS, errors=errors, covariates=("log_rank",))
    found = norms.lagged_regression(values, tokens, specification)
    rng = np.random.default_rng(seed)
    order = np.concatenate([np.flatnonzero(tokens["text"] == text) for text in rng.permutation(6)])
    levels = rng.lognormal(size=6)[tokens["text"]]
    scaled = tokens.assign(log_rank=scale * tokens["log_rank"]).iloc[order].reset_index(drop=True)
    changed = norms.lagged_regression((levels * values)[:, order], scaled, specification)
    own = neighbours(found).index
    for name in ("estimate", "se", "low", "high"):
        units = np.where(found.index.isin(own), 1, scale)
        np.testing.assert_allclose(units * changed[name], found[name], atol=1e-8, err_msg=name)
    for name in ("p", "p_holm", "p_breusch_godfrey"):
        np.testing.assert_allclose(changed[name], found[name], atol=1e-7, err_msg=name)
    np.testing.assert_allclose(found.loc[own, "p_holm"], holm(found.loc[own, "p"]))
    assert (found.loc[own, "low_all"] < found.loc[own, "low"]).all()


@examples(8)
@given(seed=SEEDS, errors=ERRORS)
def test_layers_are_regressed_by_themselves(seed, errors):
    values, tokens = panel(n_texts=6, n_tokens=30, n_layers=2, seed=seed)
    specification = replace(EFFECTS, errors=errors)
    both, alone = (norms.lagged_regression(given_, tokens, specification) for given_ in (values, values[1:]))
    for name in ("estimate", "se", "p"):
        np.testing.assert_allclose(both.loc[both["layer"] == 1, name], alone[name], atol=1e-12)


@examples(6)
@given(seed=SEEDS, scale=st.floats(0.01, 100), folds=st.integers(2, 6))
def test_what_the_past_explains_sees_no_unit_and_is_less_than_all(seed, scale, folds):
    values, tokens = panel(n_texts=6, n_tokens=30, n_layers=2, seed=seed)
    found, scaled = (norms.past_explains(given_, tokens, EFFECTS, folds=folds, n_resamples=20) for given_ in (values, scale * values))
    columns = ["partial_r2", "heldout_r2", "low", "high"]
    np.testing.assert_allclose(scaled[columns], found[columns], atol=1e-7)
    assert found["partial_r2"].between(0, 1).all()
    assert (found["heldout_r2"] < 1).all()
    assert (found["low"] <= found["high"]).all()


@examples(5)
@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_wild_intervals_see_no_unit_of_the_norms(seed, scale):
    values, tokens = panel(n_texts=6, n_tokens=30, seed=seed)
    found, scaled = (wild_intervals(given_, tokens, EFFECTS, n_resamples=39) for given_ in (values, scale * values))
    numbers = found.select_dtypes("number").columns
    np.testing.assert_allclose(scaled[numbers], found[numbers], atol=1e-6)


# Nulls


@st.composite
def coefficients(draw):
    """Coefficients of two lags in two layers, draws of a null of them, and a generator."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = [("lag", layer, lag) for layer in range(2) for lag in (1, 2)]
    table = pd.DataFrame(rows, columns=["term", "layer", "lag"]).assign(estimate=rng.normal(size=4))
    null = pd.concat([table.assign(estimate=rng.normal(0.3, 1, 4), draw=number) for number in range(draw(st.integers(2, 6)))])
    return table, null.reset_index(drop=True), rng


@examples(20)
@given(drawn=coefficients(), scale=st.floats(0.1, 10))
def test_a_null_judges_a_coefficient_as_it_would_one_of_its_draws(drawn, scale):
    table, null, rng = drawn
    found = against_null(table, null)
    for row in found.itertuples():
        draws = null[(null["layer"] == row.layer) & (null["lag"] == row.lag)]["estimate"]
        mean, spread = draws.mean(), draws.std() * np.sqrt(1 + 1 / len(draws))
        chance = scipy.stats.t(len(draws) - 1, mean, spread)
        assert row.null_mean == pytest.approx(mean)
        assert row.p_differs == pytest.approx(2 * min(chance.cdf(row.estimate), chance.sf(row.estimate)))
        assert row.p_beyond == pytest.approx(chance.sf(abs(row.estimate)) + chance.cdf(-abs(row.estimate)))
        np.testing.assert_allclose([row.null_low, row.null_high], chance.ppf([0.025, 0.975]))
    for name in ("p_differs", "p_beyond"):
        np.testing.assert_allclose(found[f"{name}_holm"], holm(found[name]))
    for factor in (scale, -1):
        changed = against_null(*(each.assign(estimate=factor * each["estimate"]) for each in (table, null)))
        np.testing.assert_allclose(changed[["p_differs", "p_beyond"]], found[["p_differs", "p_beyond"]], atol=1e-9)
    shuffled = null.iloc[rng.permutation(len(null))].reset_index(drop=True)
    np.testing.assert_allclose(against_null(table, shuffled)["p_beyond"], found["p_beyond"], atol=1e-9)


@examples(30)
@given(drawn=coefficients(), level=st.floats(0.01, 0.5))
def test_each_control_lets_through_some_of_those_before_it(drawn, level):
    table, _, rng = drawn
    columns = ("p_holm", "p_differs_holm", "p_beyond_holm")
    hac, untrained, shuffled = (table.assign(**{name: rng.random(4) for name in columns}) for _ in range(3))
    found = survivors(hac, untrained, shuffled, level)
    assert (found["ordered"] <= found["starred"]).all()
    assert (found["starred"] <= found["significant"]).all()
    assert (found["differs"] <= found["significant"]).all()
    assert found["significant"].tolist() == [max(pair) < level for pair in zip(untrained["p_holm"], hac["p_holm"], strict=True)]
    stricter = survivors(hac, untrained, shuffled, level / 2)
    for name in ("significant", "differs", "starred", "ordered"):
        assert (stricter[name] <= found[name]).all()
    both = table.assign(p=rng.random(4), low=0.0, high=1.0, low_all=-1.0, high_all=2.0, p_holm=1.0)
    assert not marked(both, level=level)["filled"].any()
    assert marked(both, corrected=False, level=level)["filled"].tolist() == (both["p"] < level).tolist()


@examples(20)
@given(kind=st.sampled_from(SIMULATED), texts=st.integers(1, 4), tokens=st.integers(1, 12), layers=st.integers(1, 3), seed=SEEDS)
def test_simulated_norms_are_positive_and_words_never_begin_inside_one(kind, texts, tokens, layers, seed):
    values, table = simulate(kind, layers, texts, tokens, seed=seed)
    assert values.shape == (layers, texts * tokens)
    assert (np.isfinite(values) & (values > 0)).all()
    assert not table.loc[table["position"] == 0, "word_internal"].any()
    assert table.groupby("text")["position"].apply(list).tolist() == [list(range(tokens))] * texts
    again, same = simulate(kind, layers, texts, tokens, seed=seed)
    np.testing.assert_array_equal(again, values)
    assert same.equals(table)


# Effects of interventions


@st.composite
def effects(draw):
    """Changes of the next layer's norms and of the one after, for four texts, two places and three distances."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = [
        (layer, layer + later, text, place, distance)
        for layer in range(2)
        for later in (1, 2)
        for text in range(4)
        for place in (3, 7)
        for distance in (1, 2, 3)
    ]
    table = pd.DataFrame(rows, columns=["layer", "measured", "text", "place", "distance"])
    return table.assign(replaced=draw(st.sampled_from([-0.5, 0.2, 1.0])), change=rng.normal(size=len(table)))


@examples(20)
@given(table=effects(), slope=st.floats(-2, 2), scale=st.floats(0.1, 10))
def test_effects_are_means_over_texts_of_the_next_layer(table, slope, scale):
    planted = elasticity(table.assign(change=np.where(table["measured"] == table["layer"] + 1, slope * table["replaced"], 99.0)))
    np.testing.assert_allclose(planted[["estimate", "low", "high"]], slope, atol=1e-9)
    sizes, scaled = (size_by_distance(table.assign(change=factor * table["change"])) for factor in (1, -scale))
    np.testing.assert_allclose(scaled[["estimate", "low", "high"]], scale * sizes[["estimate", "low", "high"]], atol=1e-9)
    following = table[table["measured"] == table["layer"] + 1]
    expected = following["change"].abs().groupby([following["layer"], following["distance"]]).mean()
    np.testing.assert_allclose(sizes["estimate"], expected)
    compared = next_and_further(table)
    np.testing.assert_allclose(compared["estimate"], compared["next"] - compared["further"])
    np.testing.assert_allclose(compared["next"], expected.xs(1, level="distance"))
    np.testing.assert_allclose(compared["further"], expected.drop(1, level="distance").groupby("layer").mean())
    assert (compared["low"] <= compared["estimate"]).all()
    assert (compared["estimate"] <= compared["high"]).all()


@examples(50)
@given(n_layers=st.integers(2, 40), most=st.integers(1, 40))
def test_layers_are_spread_from_the_first_to_the_last_that_has_one_after_it(n_layers, most):
    found = spread_layers(n_layers, most)
    assert found == sorted(set(found))
    assert len(found) == min(most, n_layers - 1)
    assert found[0] == 0
    assert found[-1] == (n_layers - 2 if len(found) > 1 else 0)
    steps = np.diff(found)
    assert not len(steps) or np.ptp(steps) <= 1
