"""What comes from other tokens: value zeroing against a value that nobody reads, mixing ratios against the sums written out."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from analysis_lib import activations, weights
from analysis_lib.activations.interventions import edited
from analysis_lib.norms import contributions
from tests.support import tiny

TEXTS = [tiny.SENTENCES[1], tiny.SENTENCES[0]]


@pytest.fixture(params=["gpt2", "bert"])
def loaded(request):
    return request.getfixturevalue(request.param)


def without_attention(loaded):
    """The same model, in which no attention output reaches the residual stream."""
    model = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attn.c_proj" in name or "attention.output.dense" in name:
                parameter.zero_()
    return replace(loaded, model=model)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_value_zeroing_is_the_cosine_to_a_run_without_the_value(loaded, batch_size):
    found = contributions.value_zeroing(loaded, TEXTS, normalised=False, batch_size=batch_size)
    ids = torch.tensor([loaded.tokenizer(TEXTS[1])["input_ids"]])
    model, taken, layer = loaded.model, 4, 1

    def nothing(value):
        value = value.clone()
        value[:, taken] = 0
        return value

    with torch.no_grad():
        with activations.recording(model) as whole:
            model(input_ids=ids)
        with edited(model, {("values", layer): nothing}), activations.recording(model) as part:
            model(input_ids=ids)
    a, b = (run["states", layer + 1][0].double() for run in (whole, part))
    np.testing.assert_allclose(found[1][layer, :, taken], 1 - torch.cosine_similarity(a, b, dim=-1), atol=1e-5)
    assert [array.shape for array in found] == [(3, n, n) for n in (len(loaded.tokenizer(text)["input_ids"]) for text in TEXTS)]


def test_rows_sum_to_one_and_tokens_that_come_later_do_nothing(gpt2, bert):
    for loaded in (gpt2, bert):
        for array in contributions.value_zeroing(loaded, TEXTS):
            np.testing.assert_allclose(array.sum(axis=-1), 1, atol=1e-5)
    raw = contributions.value_zeroing(gpt2, TEXTS, normalised=False)[0]
    np.testing.assert_allclose(raw[:, *np.triu_indices(raw.shape[1], 1)], 0, atol=1e-6)


def test_the_value_of_a_token_that_nobody_attends_to_changes_nothing(loaded):
    """All queries are the same, and one token's key is as far from them as can be."""
    unread, layer = 3, 0

    def far(keys):
        keys = keys.clone()
        keys[:, unread] = -1e4
        return keys

    with edited(loaded.model, {("queries", layer): torch.ones_like, ("keys", layer): far}):
        found = contributions.value_zeroing(loaded, TEXTS[1:])[0]
    np.testing.assert_array_equal(found[layer, :, unread], 0)
    assert (np.delete(found[layer, unread + 1 :], unread, axis=1).sum(axis=1) > 0.99).all()


def test_without_attention_nothing_is_mixed(loaded):
    silent = without_attention(loaded)
    for array in contributions.mixing_ratios(silent, TEXTS):
        np.testing.assert_array_equal(array, 0)
    for array in contributions.value_zeroing(silent, TEXTS, normalised=True):
        np.testing.assert_array_equal(array, 0)


def test_mixing_ratios_are_the_sums_written_out(loaded):
    found = contributions.mixing_ratios(loaded, TEXTS)
    weighted, ran = weights.extract(loaded), activations.run(loaded, TEXTS, outputs=["patterns"])
    rows = np.flatnonzero(ran.tokens["text"] == 0)
    for layer in range(3):
        states = torch.tensor(ran.states[layer][rows])
        read = weighted.read(layer, states)
        for i in range(len(rows)):
            mixed, kept = torch.zeros(16), states[i].clone()
            for head in range(weighted.n_heads):
                one = weighted.head(layer, head)
                for j in range(len(rows)):
                    value = read[j] @ one.W_V + weighted.b_V[layer, head]
                    part = float(ran.patterns[0][layer, head, i, j]) * value @ one.W_O
                    if i == j:
                        kept = kept + part
                    else:
                        mixed = mixed + part
            if weighted.norm == "post":  # the layer norm of the whole, as a linear map
                norm = weighted.layer_norms.attention[layer]
                scale = (mixed + kept + weighted.b_O[layer]).var(correction=0).add(norm.epsilon).sqrt()
                mixed, kept = (norm.gain * (part - part.mean()) / scale for part in (mixed, kept))
            assert found[0][layer, i] == pytest.approx(float(mixed.norm() / (mixed.norm() + kept.norm())), abs=1e-4)


def test_the_first_token_of_a_causal_model_is_all_its_own(gpt2):
    for array in contributions.mixing_ratios(gpt2, TEXTS):
        np.testing.assert_allclose(array[:, 0], 0, atol=1e-7)
        assert (array[:, 1:] > 0).all()
        assert (array < 1).all()


def test_ids_are_read_as_texts_are(loaded):
    ids = [loaded.tokenizer(text)["input_ids"] for text in TEXTS]
    for function in (contributions.mixing_ratios, contributions.value_zeroing):
        for of_ids, of_texts in zip(function(loaded, ids), function(loaded, TEXTS), strict=True):
            np.testing.assert_allclose(of_ids, of_texts, atol=1e-5)


def test_ranks_agree_where_the_order_is_the_same():
    rng = np.random.default_rng(0)
    effect = np.tril(rng.random((2, 8, 8)))
    same, reverse, noise = effect**3, np.tril(1 / (1 + effect)), np.tril(rng.random((2, 8, 8)))
    for share, expected in ((same, 1), (reverse, -1)):
        np.testing.assert_allclose(contributions.rank_agreement([effect], [share]), expected)
    assert abs(contributions.rank_agreement([effect], [noise])).max() < 0.6
    assert np.isnan(contributions.rank_agreement([effect], [np.ones((2, 8, 8))])).all()
    expected = np.mean([scipy.stats.spearmanr(effect[1, i, :i], noise[1, i, :i])[0] for i in range(4, 8)])
    assert contributions.rank_agreement([effect], [noise])[0, 1] == pytest.approx(expected)
    whole = contributions.rank_agreement([effect, noise], [noise, noise])
    assert whole.shape == (2, 2)
    np.testing.assert_allclose(whole[1], 1)


def test_a_query_is_not_ranked_with_itself():
    effect = np.ones((1, 5, 5)) * [1, 2, 3, 4, 5]
    share = effect.copy()
    share[0, 4, 4] = 0  # the query's own
    np.testing.assert_allclose(contributions.rank_agreement([effect], [share]), 1)


def test_bad_input_is_named(gpt2):
    with pytest.raises(ValueError, match="batch_size is 0"):
        contributions.value_zeroing(gpt2, TEXTS, batch_size=0)
    with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
        contributions.mixing_ratios(gpt2, [TEXTS[0], ""])
    with pytest.raises(ValueError, match="same shapes"):
        contributions.rank_agreement([np.ones((1, 9, 9))], [np.ones((1, 8, 8))])
    with pytest.raises(ValueError, match="first: expected"):
        contributions.rank_agreement([np.ones((1, 4, 4))], [np.ones((1, 4, 4))])


def test_arrays_of_texts_agree_with_themselves():
    effects = np.random.default_rng(0).random((2, 3, 6, 6))
    np.testing.assert_allclose(contributions.rank_agreement(effects, effects), 1)
