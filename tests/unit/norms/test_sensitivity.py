"""Other choices: each is the regression it says."""

from dataclasses import replace

import numpy as np
import pytest

from analysis_lib import norms
from analysis_lib.norms import FULL, ORIGINAL, UpdateNorms, neighbours, sensitivity
from tests.support import tiny
from tests.support.panels import panel


def test_each_choice_is_the_regression_it_names(bert):
    texts = [" ".join(pair) for pair in zip(tiny.SENTENCES, tiny.SENTENCES[1:], strict=False)]
    texts = [text for text in texts if len(bert.tokenizer(text)["input_ids"]) <= 64]
    measured = norms.update_norms(bert, texts)
    base = replace(FULL, first=2, covariates=(), lagged_covariates=("no_word",), position_effects=False)
    choices = {k: v for k, v in sensitivity.CHOICES.items() if k in ("all controls", "one lag")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensitivity, "CHOICES", choices)
        table = sensitivity.other_choices(bert, measured, base)
    assert set(table["choice"]) == {"all controls", "one lag", "feed-forward updates", "random tokens"}
    assert (table.groupby("choice").size() == 3).all()  # a row for each layer
    one = neighbours(norms.lagged_regression(measured.attention, measured.tokens, replace(base, lags=1)), 1)
    np.testing.assert_allclose(table.loc[table["choice"] == "one lag", "estimate"], one["estimate"])
    mlp = neighbours(norms.lagged_regression(measured.mlp, measured.tokens, base), 1)
    np.testing.assert_allclose(table.loc[table["choice"] == "feed-forward updates", "estimate"], mlp["estimate"])


def test_each_text_is_regressed_by_itself():
    values, tokens = panel(n_texts=3, n_layers=2)
    table = sensitivity.each_text(UpdateNorms(values, values, tokens))
    assert table.groupby("text").size().tolist() == [4, 4, 4]  # two lags in two layers
    own = (tokens["text"] == 1).to_numpy()
    alone = norms.lagged_regression(values[:, own], tokens[own], ORIGINAL)
    part = table[table["text"] == 1]
    np.testing.assert_allclose(part["estimate"], alone["estimate"])
    assert part["filled"].tolist() == (alone["p"] < 0.05).tolist()
