"""Nulls: simulated texts, untrained models, shuffled tokens, and what a coefficient is held against."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis_lib import models, norms
from analysis_lib.norms import FULL, ORIGINAL, Specification, neighbours, nulls
from tests.support import tiny
from tests.support.panels import EFFECTS, random_ids


@pytest.mark.parametrize("kind", ["independent", "trend", "words", "volatile"])
def test_false_positives_of_the_full_specification_are_near_five_per_cent(kind):
    found = nulls.null_distribution(kind, specification=FULL, n_draws=120, n_texts=40, n_tokens=60, seed=1)
    rate = (neighbours(found)["p"] < 0.05).mean()
    assert 0.01 <= rate <= 0.095  # 240 tests: three standard errors of 5 % are 4.2 points


@pytest.mark.parametrize(("kind", "least"), [("trend", 0.9), ("words", 0.2)])
def test_the_original_specification_sees_a_past_where_there_is_none(kind, least):
    found = nulls.null_distribution(kind, specification=ORIGINAL, n_draws=100, n_texts=1, seed=1)
    assert (found.loc[found["lag"] == 1, "p"] < 0.05).mean() > least


def test_uncorrected_stars_of_many_layers_are_false_more_often_than_not():
    found = nulls.null_distribution("independent", specification=ORIGINAL, n_draws=60, n_texts=1, n_layers=12, seed=2)
    any_star = found.groupby("draw")[["p", "p_holm"]].min() < 0.05
    assert any_star["p"].mean() > 0.55
    assert any_star["p_holm"].mean() < 0.14  # three standard errors above 5 %


def test_an_untrained_model_is_starred_by_the_original_and_not_beyond_itself(gpt2):
    texts = random_ids(8, 40)
    specification = replace(EFFECTS, first=4)
    null = nulls.null_distribution("untrained", gpt2, texts, specification, n_draws=24, seed=0)
    held = [nulls.against_null(null[null["draw"] == i], null[null["draw"] != i]) for i in range(24)]
    for p in ("p_differs", "p_beyond"):
        assert np.mean([table[p] < 0.05 for table in held]) < 0.11  # 144 tests of 5 %, three to a draw
    untrained = models.untrained_like(gpt2, 0)
    seen = norms.update_norms(untrained, texts[:1])
    stars = norms.lagged_regression(seen.attention, seen.tokens, ORIGINAL)
    assert (stars.loc[stars["lag"] == 1, "p"] < 0.05).all()


def test_shuffling_keeps_tokens_and_draws_of_it_do_not_differ(bert):
    texts = list(tiny.SENTENCES)
    specification = Specification(first=1, position_effects=False)
    null = nulls.null_distribution("shuffled", bert, texts, specification, n_draws=16, seed=0)
    held = [nulls.against_null(null[null["draw"] == i], null[null["draw"] != i]) for i in range(16)]
    assert np.mean([table["p_differs"] < 0.05 for table in held]) < 0.13
    whole = norms.update_norms(bert, texts).tokens
    ((values, moved),) = nulls.shuffled_norms(bert, texts, 1, 0)
    again = norms.update_norms(bert, [ids.tolist() for _, ids in moved.groupby("text")["token_id"]])
    np.testing.assert_allclose(values, again.attention, rtol=1e-4)
    assert (whole["token_id"].to_numpy()[moved["occurrence"]] == moved["token_id"]).all()
    assert (moved["special"] == whole["special"]).all()
    assert (moved["position"] == whole["position"]).all()
    assert not (moved["token_id"] == whole["token_id"]).all()
    for text in range(len(texts)):
        np.testing.assert_array_equal(*(np.sort(t.loc[t["text"] == text, "token_id"]) for t in (moved, whole)))


def test_against_null_tells_size_from_sign():
    table = pd.DataFrame({"term": "lag", "layer": [0, 1, 2], "lag": 1, "estimate": [0.5, -0.5, 0.9]})
    rng = np.random.default_rng(0)
    null = pd.concat([table.assign(draw=i, estimate=0.5 + 0.05 * rng.standard_normal(3)) for i in range(10)])
    found = nulls.against_null(table, null)
    assert (found["p_differs"] < 0.01).tolist() == [False, True, True]
    assert (found["p_beyond"] < 0.01).tolist() == [False, False, True]
    with pytest.raises(ValueError, match="null: expected two draws"):
        nulls.against_null(table, null[null["draw"] == 0])


def test_expected_sizes_are_means_over_orders_and_occurrences(bert):
    texts = [" ".join(tiny.SENTENCES[:2] * 2), " ".join(tiny.SENTENCES[2:4])]
    tokens = norms.update_norms(bert, texts).tokens
    draws = nulls.shuffled_norms(bert, texts, n_permutations=3, seed=4)
    found = nulls.expected_sizes(draws)
    assert (found[tokens["special"].to_numpy()] == 0).all(axis=None)
    for layer in range(3):
        sums = {}
        for values, moved in draws:
            logs = np.log(values[layer])
            for row, token in moved[~moved["special"]].iterrows():
                there = (moved["position"] == token["position"]) & ~moved["special"]
                if moved.loc[there, "text"].nunique() > 1:  # where one text alone goes on, there is nothing to compare with
                    sums.setdefault((token["text"], token["token_id"]), []).append(logs[row] - logs[there].mean())
        expected = [0.0 if t["special"] else np.mean(sums.get((t["text"], t["token_id"]), [0.0])) for _, t in tokens.iterrows()]
        np.testing.assert_allclose(found[f"expected_{layer}"], expected, atol=1e-6)
    with pytest.raises(ValueError, match="draws: expected one or more"):
        nulls.expected_sizes([])
    with pytest.raises(ValueError, match="draws: expected those of two texts or more, .* got one text"):
        nulls.expected_sizes(nulls.shuffled_norms(bert, texts[:1], n_permutations=1))
    with pytest.raises(ValueError, match="n_permutations: expected at least 1, got 0"):
        nulls.shuffled_norms(bert, texts, n_permutations=0)


def test_places_that_one_text_alone_reaches_say_nothing_of_the_size_of_a_token():
    """Five tokens of log sizes 0, 0, 2, 1 and 7, without positions: the last place, which the first text lacks, counts for none of them."""
    tokens = pd.DataFrame({"text": [0, 0, 1, 1, 1], "position": [0, 1, 0, 1, 2], "special": False})
    sizes = np.array([0.0, 0, 2, 1, 7])
    draws = []
    for order in ([0, 1, 2, 3, 4], [0, 1, 4, 3, 2]):
        moved = tokens.assign(token_id=order, occurrence=order)
        draws.append((np.exp(sizes[order])[None], moved))
    found = nulls.expected_sizes(draws)["expected_0"]
    np.testing.assert_allclose(found, [(-1 - 3.5) / 2, -0.5, 1, 0.5, 3.5], atol=1e-12)
    np.testing.assert_allclose(nulls.expected_sizes(draws[:1])["expected_0"], [-1, -0.5, 1, 0.5, 0], atol=1e-12)


def test_bad_nulls_are_named(gpt2):
    with pytest.raises(ValueError, match="kind: expected one of untrained, shuffled, independent"):
        nulls.null_distribution("permuted")
    with pytest.raises(ValueError, match="loaded, texts: expected a model and texts"):
        nulls.null_distribution("untrained", gpt2)
    with pytest.raises(ValueError, match="n_draws: expected"):
        nulls.null_distribution("trend", n_draws=0)


def test_a_layer_is_explained_by_the_layer_below_in_its_own_draw():
    specification = Specification(layers_up=1, correct_bias=False)
    found = nulls.null_distribution("independent", specification=specification, n_draws=2, n_layers=3, n_texts=10, n_tokens=40)
    assert found[["draw", "layer"]].drop_duplicates().to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
