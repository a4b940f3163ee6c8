"""Simulated texts have what they say, and no more."""

import numpy as np
import pytest

from analysis_lib.norms import simulation


def logs(kind, **sizes):
    values, tokens = simulation.simulate(kind, **sizes)
    texts = tokens["text"].nunique()
    return np.log(values).reshape(len(values), texts, -1), tokens


def test_a_trend_is_a_third_of_a_log_and_independent_tokens_have_none():
    for kind, slope in (("independent", 0.0), ("trend", -0.3)):
        values, _ = logs(kind, n_layers=50, n_texts=20, n_tokens=60)
        line = np.polyfit(np.log1p(np.arange(60)), values.mean(axis=(0, 1)), 1)[0]
        assert line == pytest.approx(slope, abs=0.01)  # 1,000 texts: the standard error is 0.001


def test_pieces_of_a_word_share_a_level():
    values, tokens = logs("words", n_layers=200, n_texts=5, n_tokens=60)
    internal = tokens["word_internal"].to_numpy().reshape(5, 60)
    centred = values - values.mean(axis=-1, keepdims=True)
    products = centred[..., 1:] * centred[..., :-1]
    assert products[:, internal[:, 1:]].mean() > 0.03  # the level's variance is 0.04
    assert abs(products[:, ~internal[:, 1:]].mean()) < 0.005


def test_draws_repeat_and_bad_arguments_are_named():
    np.testing.assert_array_equal(simulation.simulate("volatile", seed=4)[0], simulation.simulate("volatile", seed=4)[0])
    with pytest.raises(ValueError, match="kind: expected one of independent"):
        simulation.simulate("white")
    with pytest.raises(ValueError, match="n_layers, n_texts, n_tokens: expected at least 1, got 1, 0, 95"):
        simulation.simulate("trend", n_texts=0)
