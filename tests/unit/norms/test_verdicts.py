"""Which coefficients survive which control, and the whole analysis of one model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis_lib import norms
from analysis_lib.norms import neighbours, nulls, verdicts
from tests.support.panels import EFFECTS, coefficients, random_ids


def test_survivors_pass_every_control_they_are_said_to():
    table = coefficients([0.5, 0.5, 0.9, -0.2, 0.9], [0.001, 0.2, 0.001, 0.001, 0.001])
    hac = coefficients(table["estimate"], [0.001, 0.001, 0.001, 0.001, 0.3])
    rng = np.random.default_rng(1)

    def null_at(means):
        return pd.concat([table.assign(draw=i, estimate=np.array(means) + 0.02 * rng.standard_normal(5)) for i in range(12)])

    untrained = nulls.against_null(table, null_at([0.9, 0.0, 0.0, 0.5, 0.0]))
    shuffled = nulls.against_null(table, null_at([0.0, 0.0, 0.9, 0.0, 0.0]))
    found = verdicts.survivors(hac, untrained, shuffled)
    assert found["significant"].tolist() == [True, False, True, True, False]  # the second fails clustered errors, the last HAC
    assert found["differs"].tolist() == [True, False, True, True, False]
    assert found["starred"].tolist() == [False, False, True, False, False]  # smaller than untrained is no star
    assert not found["ordered"].any()  # the third is as large on shuffled tokens
    assert verdicts.survivors(hac, untrained, untrained)["ordered"].equals(found["starred"])
    with pytest.raises(ValueError, match="hac: expected the lags"):
        verdicts.survivors(hac[:3], untrained, shuffled)


@pytest.fixture(scope="module")
def examined(gpt2):
    specification = replace(EFFECTS, first=4, lags=1)
    return specification, norms.examine(gpt2, random_ids(8, 40), specification, n_draws=3, n_permutations=2)


def test_an_examination_holds_what_its_parts_give_alone(gpt2, examined):
    specification, whole = examined
    texts = random_ids(8, 40)
    table = norms.lagged_regression(whole.measured.attention, whole.measured.tokens, specification)
    pd.testing.assert_series_equal(whole.verdicts["p_holm"], neighbours(table)["p_holm"].reset_index(drop=True))
    null = nulls.null_distribution("untrained", gpt2, texts, specification, n_draws=3)
    np.testing.assert_allclose(whole.untrained["null_mean"], null.groupby("layer")["estimate"].mean(), atol=1e-9)
    tokens = pd.concat([whole.measured.tokens, nulls.expected_sizes(whole.orders)], axis=1)
    held = replace(specification, covariates=("expected",), lagged_covariates=("expected",))
    exact = norms.lagged_regression(whole.measured.attention, tokens, held)
    np.testing.assert_allclose(whole.exact["estimate"], neighbours(exact)["estimate"])


def test_an_examination_counts_and_shows_what_it_holds(examined):
    _, whole = examined
    counts = whole.counts()
    assert counts["tested"] == 3  # one lag in three layers
    for inner, outer in (("significant", "tested"), ("starred", "significant"), ("ordered", "starred"), ("exact", "starred")):
        assert counts[inner] <= counts[outer]
    assert len(whole.starred()) == counts["starred"]
    assert whole.one_back()["trained"] == pytest.approx(whole.verdicts["estimate"].mean())
    stacked = whole.beside_nulls()
    assert stacked.groupby("null")["filled"].sum().to_dict() == dict.fromkeys(("shuffled", "untrained"), counts["starred"])


def test_starred_coefficients_carry_their_intervals():
    table = coefficients([0.5, 0.1], [0.001, 0.5]).assign(
        low_all=[0.4, 0.0], high_all=[0.6, 0.2], null_mean=0.0, null_low=-0.1, null_high=0.1
    )
    table = table.assign(starred=[True, False], ordered=[True, False])
    starred = verdicts.Examination(None, table, table, table, table, []).starred()
    assert starred["layer"].tolist() == [0]
    assert starred.loc[0, "coefficient"] == (0.5, 0.4, 0.6)
    assert starred.loc[0, "untrained"] == starred.loc[0, "shuffled"] == (0.0, -0.1, 0.1)
    assert starred.loc[0, "p_exact"] == 0.001


def test_effects_stand_beside_the_coefficients_of_the_layer_they_are_measured_in():
    table = coefficients([0.5, 0.1, 0.2], 0.01).assign(low_all=0.0, high_all=1.0, null_low=-0.1, null_high=0.1)
    effects = pd.DataFrame({"layer": [0, 1], "estimate": [-0.3, 0.05], "low": [-0.4, 0.0], "high": [-0.2, 0.1]})
    both = verdicts.Examination(None, table, table, table, table, []).beside_effects(effects)
    assert both[["layer", "estimate", "effect", "effect_low"]].to_numpy().tolist() == [[1, 0.1, -0.3, -0.4], [2, 0.2, 0.05, 0.0]]
    assert (both["high"] == 1.0).all()
