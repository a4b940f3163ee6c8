"""Factors, top tokens, neurons and set measures against dense products and counted answers."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import projections, weights
from analysis_lib.projections import (
    feed_forward_keys_values,
    qk_factors,
    shuffled_overlap,
    token_search,
    top_overlap,
    top_pairs,
    top_tokens,
    vo_factors,
)
from tests.support import tiny, tiny_minigpt
from tests.support.examples import examples


@pytest.fixture(scope="module")
def gpt2():
    return tiny.gpt2(vocab=60, layers=3, heads=4, width=24)


@pytest.fixture(scope="module")
def bert():
    return tiny.bert(vocab=60, layers=2, heads=2, width=20)


# Factors


def test_raw_factors_are_the_products_of_the_literature(gpt2):
    w = weights.weights_of(gpt2)
    left, right = vo_factors(w, 1, 2)
    assert left.shape == right.shape == (60, 6)
    dense = w.W_E @ w.W_V[1, 2] @ w.W_O[1, 2] @ w.W_U
    torch.testing.assert_close(left @ right.T, dense, rtol=1e-4, atol=1e-4 * dense.abs().max().item())
    left, right = qk_factors(w, 1, 2)
    dense = w.W_E @ w.W_Q[1, 2] @ w.W_K[1, 2].T @ w.W_E.T
    torch.testing.assert_close(left @ right.T, dense, rtol=1e-4, atol=1e-4 * dense.abs().max().item())


def test_layer_normed_embeddings_are_what_the_layer_reads(gpt2, bert):
    """The model's own modules: GPT-2's ln_1 of the layer, BERT's embedding norm."""
    for model, norm in ((gpt2, gpt2.transformer.h[1].ln_1), (bert, bert.bert.embeddings.LayerNorm)):
        w = weights.weights_of(model)
        with torch.no_grad():
            tokens = norm(w.W_E)
        torch.testing.assert_close(vo_factors(w, 1, 0, embedding="layer_norm")[0], tokens @ w.W_V[1, 0])
        left, right = qk_factors(w, 1, 1, embedding="layer_norm")
        torch.testing.assert_close(left, tokens @ w.W_Q[1, 1])
        torch.testing.assert_close(right, tokens @ w.W_K[1, 1])


def test_folding_leaves_the_layer_normed_reading_as_it_is(gpt2):
    """A folded reading weight sees normalised embeddings; only the bias moves elsewhere."""
    raw, folded = weights.weights_of(gpt2), weights.weights_of(gpt2, fold_layer_norm=True)
    left = vo_factors(folded, 2, 3, embedding="layer_norm")[0] + folded.b_V[2, 3]
    torch.testing.assert_close(left, vo_factors(raw, 2, 3, embedding="layer_norm")[0] + raw.b_V[2, 3])


def test_unit_unembedding_takes_norms_away(gpt2):
    w = weights.weights_of(gpt2)
    scaled = dataclasses.replace(w, W_U=w.W_U * torch.linspace(0.1, 9, 60))
    torch.testing.assert_close(vo_factors(scaled, 0, 0, unembedding="unit")[1], vo_factors(w, 0, 0, unembedding="unit")[1])
    scaled.W_U[:, 7] = 0
    assert (vo_factors(scaled, 0, 0, unembedding="unit")[1][7] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 3}, "layer: expected a whole number from 0 to 2, found 3"),
        ({"layer": -1}, "layer: .* found -1"),
        ({"head": 4}, "head: .* 0 to 3, found 4"),
        ({"head": 1.0}, "head: .* found 1.0"),
        ({"embedding": "unit"}, "embedding: expected one of 'raw', 'layer_norm', found 'unit'"),
        ({"unembedding": "layer_norm"}, "unembedding: expected one of 'raw', 'unit'"),
    ],
)
def test_wrong_heads_and_readings_are_named(gpt2, arguments, message):
    w = weights.weights_of(gpt2)
    with pytest.raises(ValueError, match=message):
        vo_factors(w, **{"layer": 0, "head": 0} | arguments)
    if "unembedding" not in arguments:
        with pytest.raises(ValueError, match=message):
            qk_factors(w, **{"layer": 0, "head": 0} | arguments)


def test_a_model_without_layer_norms_says_so():
    bare = weights.weights_of(tiny_minigpt.build())
    with pytest.raises(ValueError, match="embedding: 'layer_norm' was asked of a model without"):
        qk_factors(bare, 0, 0, embedding="layer_norm")


# Feed-forward


def test_keys_and_values_rebuild_the_feed_forward_layer(gpt2, bert):
    w = weights.weights_of(gpt2)
    keys, values = feed_forward_keys_values(w, 1)
    stream = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    mlp = gpt2.transformer.h[1].mlp
    with torch.no_grad():
        rebuilt = mlp.act(stream @ keys.T + w.b_in[1]) @ values + w.b_out[1]
        torch.testing.assert_close(rebuilt, mlp(stream))
    keys, values = feed_forward_keys_values(weights.weights_of(bert), 0)
    torch.testing.assert_close(keys, bert.bert.encoder.layer[0].intermediate.dense.weight.detach())
    torch.testing.assert_close(values, bert.bert.encoder.layer[0].output.dense.weight.detach().T)


def test_layer_normed_keys_see_the_residual_stream_as_it_is(gpt2):
    """Key times stream over its spread, plus a constant, is the true pre-activation; raw keys are not."""
    w = weights.weights_of(gpt2)
    stream = 3 + torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        truth = gpt2.transformer.h[2].ln_2(stream) @ w.W_in[2]
    keys, _ = feed_forward_keys_values(w, 2, reading="layer_norm")
    torch.testing.assert_close(keys, weights.weights_of(gpt2, fold_layer_norm=True).W_in[2].T)
    spread = (stream.var(dim=1, unbiased=False, keepdim=True) + w.layer_norms.mlp.epsilon).sqrt()
    rebuilt = stream @ keys.T / spread + w.layer_norms.mlp.bias[2] @ w.W_in[2]
    torch.testing.assert_close(rebuilt, truth, rtol=1e-4, atol=1e-4)
    raw = stream @ feed_forward_keys_values(w, 2)[0].T / spread + w.layer_norms.mlp.bias[2] @ w.W_in[2]
    assert (raw - truth).abs().max() > 1


def test_wrong_neurons_are_named(gpt2, bert):
    with pytest.raises(ValueError, match="layer: .* 0 to 2, found 3"):
        feed_forward_keys_values(weights.weights_of(gpt2), 3)
    with pytest.raises(ValueError, match="reading: expected one of"):
        feed_forward_keys_values(weights.weights_of(gpt2), 0, reading="unit")
    with pytest.raises(ValueError, match="reading: 'layer_norm' was asked of .*bert"):
        feed_forward_keys_values(weights.weights_of(bert), 0, reading="layer_norm")


# Top tokens


def dense_tokens(vectors, W_U, k, keep):
    scores = (np.asarray(vectors, float)[:, :, None] * np.asarray(W_U, float)[None]).transpose(0, 2, 1)
    scores = np.ascontiguousarray(scores).sum(-1)
    scores[:, ~keep] = -np.inf
    ids = np.argsort(-scores, axis=1, kind="stable")[:, : min(k, keep.sum())]
    return ids, np.take_along_axis(scores, ids, axis=1)


@examples(100)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 20),
    vocab=st.integers(1, 60),
    width=st.integers(1, 9),
    k=st.sampled_from([1, 2, 5, 100]),
    kind=st.sampled_from(["normal", "heavy", "integer", "repeated", "zero"]),
    exponent=st.integers(-30, 15),
    spare=st.sampled_from([0, 2, 16]),
)
def test_top_tokens_equal_the_dense_product(seed, n, vocab, width, k, kind, exponent, spare):
    rng = np.random.default_rng(seed)
    vectors, columns = rng.normal(size=(n, width)), rng.normal(size=(width, vocab))
    if kind == "heavy":
        columns *= np.exp(2 * rng.normal(size=vocab))
        vectors *= np.exp(2 * rng.normal(size=(n, 1)))
    if kind == "integer":
        vectors, columns = rng.integers(-2, 3, size=(n, width)), rng.integers(-2, 3, size=(width, vocab))
    if kind == "repeated":
        columns = columns[:, rng.integers(0, max(1, vocab // 4), size=vocab)]
    if kind == "zero":
        columns = np.zeros_like(columns)
    vectors, columns = (vectors * 10.0**exponent).astype(np.float32), columns.astype(np.float32)
    keep = rng.random(vocab) < 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_search, "SCORES_HELD", 5 * vocab)
        found = top_tokens(vectors, columns, k, keep)
        patch.setattr(token_search, "SPARE", spare)
        most, least = top_tokens(vectors, columns, k, keep, both_ends=True)
    ids, scores = dense_tokens(vectors, columns, k, keep)
    for top in (found, most):
        np.testing.assert_array_equal(top.ids, ids)
        np.testing.assert_array_equal(top.scores, scores)
    ids, scores = dense_tokens(-vectors, columns, k, keep)
    np.testing.assert_array_equal(least.ids, ids)
    np.testing.assert_array_equal(least.scores, -scores)


def test_top_tokens_of_every_neuron_in_blocks(gpt2, monkeypatch):
    w = weights.weights_of(gpt2)
    whole = top_tokens(w.W_out.flatten(0, 1), w.W_U, k=7)
    monkeypatch.setattr(token_search, "SCORES_HELD", 1)
    one_by_one = top_tokens(w.W_out.flatten(0, 1), w.W_U, k=7)
    assert whole.ids.shape == (3 * 4 * 24, 7)
    np.testing.assert_array_equal(whole.ids, one_by_one.ids)
    np.testing.assert_array_equal(whole.scores, one_by_one.scores)


def test_top_tokens_with_nothing_kept():
    found = top_tokens(np.ones((3, 2)), np.ones((2, 4)), keep=np.zeros(4, bool))
    assert found.ids.shape == found.scores.shape == (3, 0)
    assert [end.ids.shape for end in top_tokens(np.ones((0, 2)), np.ones((2, 4)), k=3, both_ends=True)] == [(0, 3), (0, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vectors": np.full((2, 3), np.nan)}, "vectors must be finite; row 0"),
        ({"W_U": np.full((3, 4), np.inf)}, "W_U must be finite"),
        ({"W_U": np.ones((4, 3))}, r"do not fit: vectors \[n, 3\], W_U \[4, 3\]"),
        ({"keep": np.ones(3, bool)}, r"keep must be a bool array of shape \(4,\)"),
        ({"k": 0}, "k must be"),
    ],
)
def test_wrong_top_tokens_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        top_tokens(**{"vectors": np.ones((2, 3)), "W_U": np.ones((3, 4))} | arguments)


# Sets


def test_overlap_by_counting():
    a = [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]
    b = [[4, 3, 2, 1], [3, 4, 5, 6], [5, 6, 7, 8]]
    np.testing.assert_allclose(top_overlap(a, b), [1, 2 / 6, 0])
    np.testing.assert_allclose(top_overlap([[1, 2]], [[2, 3, 4]]), [1 / 4])


def test_wrong_sets_are_named():
    with pytest.raises(ValueError, match="distinct ids"):
        top_overlap([[1, 1]], [[1, 2]])
    with pytest.raises(ValueError, match="as many rows"):
        top_overlap([[1, 2]], [[1, 2], [3, 4]])


def lists_of(vectors, W_U, k):
    return top_tokens(vectors, W_U, k).ids


def test_paired_parameters_are_found_and_shuffled_ones_are_not():
    rng = np.random.default_rng(0)
    keys, W_U = rng.normal(size=(40, 16)), rng.normal(size=(16, 500))
    found = shuffled_overlap(lists_of(keys, W_U, 50), lists_of(keys + 0.3 * rng.normal(size=keys.shape), W_U, 50))
    assert found.real.shape == (40,)
    assert found.shuffled.shape == (10, 40)
    assert found.real.min() > found.shuffled.mean() + 0.2
    assert found.shuffled.mean() == pytest.approx(50 / (2 * 500 - 50), abs=0.02)  # two random sets of 50
    np.testing.assert_allclose(found.excess, found.real - found.shuffled.mean(axis=0))
    assert found.beyond(0.999) == 1
    assert shuffled_overlap(lists_of(keys, W_U, 50), lists_of(rng.normal(size=keys.shape), W_U, 50)).beyond(0.999) < 0.1


def test_shuffles_never_pair_a_neuron_with_itself():
    """With identical keys and values a fixed point would score 1."""
    ids = np.arange(5)[:, None]
    found = shuffled_overlap(ids, ids, n_shuffles=200)
    assert (found.real == 1).all()
    assert (found.shuffled == 0).all()
    np.testing.assert_array_equal(found.shuffled, shuffled_overlap(ids, ids, n_shuffles=200).shuffled)


def test_shuffles_stay_in_their_layer():
    """Layers with tokens of their own: a value of another layer would share nothing."""
    ids = np.arange(12).reshape(6, 2) // 6 * 10 + np.arange(2)  # neurons of a layer all have the same two tokens
    assert (shuffled_overlap(ids, ids, n_layers=2).shuffled == 1).all()
    assert (shuffled_overlap(ids, ids, n_layers=1).shuffled < 1).any()


def test_each_layer_is_shuffled_as_if_it_were_alone():
    rng = np.random.default_rng(8)
    ids = [lists_of(rng.normal(size=(18, 6)), rng.normal(size=(6, 40)), 7) for _ in range(2)]
    both = shuffled_overlap(*ids, n_layers=2, seed=3)
    second = shuffled_overlap(*(side[9:] for side in ids), seed=4)
    np.testing.assert_array_equal(both.real[9:], second.real)
    np.testing.assert_array_equal(both.shuffled[:, 9:], second.shuffled)
    table = both.by_layer(2, n_resamples=50)
    assert table["layer"].tolist() == [0, 1]
    np.testing.assert_allclose(table["estimate"], [both.real[:9].mean(), both.real[9:].mean()])
    np.testing.assert_allclose(table["shuffled"], [both.shuffled[:, :9].mean(), both.shuffled[:, 9:].mean()])
    assert (table["low"] <= table["estimate"]).all()


def test_overlap_of_unpaired_arguments():
    ids = np.zeros((3, 1), int)
    with pytest.raises(ValueError, match="found 3 and 2 lists"):
        shuffled_overlap(ids, ids[:2])
    with pytest.raises(ValueError, match="expected 2 layers .* found 3 and 3"):
        shuffled_overlap(ids, ids, n_layers=2)
    with pytest.raises(ValueError, match="two at least"):
        shuffled_overlap(ids[:1], ids[:1])


def test_a_hub_shows_in_the_number_of_distinct_tokens():
    """One row of large norm fills the left of the list: eight pairs, one token."""
    rng = np.random.default_rng(0)
    left = np.abs(rng.normal(size=(30, 4)))
    left[3] *= 100
    found = projections.top_pairs(left, np.abs(rng.normal(size=(30, 4))), k=8)
    assert len(set(found.left_ids)) == 1
    assert len(set(found.right_ids)) == 8


def test_vectors_of_any_size_have_their_own_lists():
    W_U = np.array([[1.0, 0, 3], [0, 1.0, -1]])
    found = top_tokens(np.array([[1e-170, 2e-170], [5.0, 0], [1e160, 0]]), W_U, k=2)
    assert found.ids.tolist() == [[1, 0], [2, 0], [2, 0]]
    np.testing.assert_allclose(found.scores[0], [2e-170, 1e-170])


def test_reversed_and_read_only_arrays_are_matrices_too():
    backwards = np.eye(3)[::-1]
    assert top_pairs(backwards, np.eye(3), k=3).left_ids.tolist() == [0, 1, 2]
    locked = np.eye(3)
    locked.setflags(write=False)
    assert top_tokens(locked, np.eye(3), k=1).ids.ravel().tolist() == [0, 1, 2]


def test_numbers_of_a_list_are_not_rounded():
    """Both rows are 1 in float32, and the first would come first."""
    found = top_pairs([[1.0], [1.0 + 1e-12]], [[1.0]], k=2)
    assert found.left_ids.tolist() == [1, 0]
    assert found.scores.tolist() == [1.0 + 1e-12, 1.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([["a"]], r"must hold real numbers; got list \(can't convert"),
        (np.array([[None]]), r"must hold real numbers; got object"),
        ([[1.0], [1.0, 2.0]], r"must hold real numbers; got list \(setting an array element"),
        (torch.eye(1).to_sparse(), r"must be a dense matrix; got a tensor of layout torch.sparse_coo"),
        (torch.ones(1, 1, device="meta"), r"must hold real numbers; got torch.float32 \(Cannot copy out of meta tensor"),
    ],
)
def test_matrices_that_torch_cannot_read_are_named(wrong, message):
    with pytest.raises(ValueError, match=f"left {message}"):
        top_pairs(wrong, np.eye(1))
    with pytest.raises(ValueError, match=f"W_U {message}"):
        top_tokens(np.eye(1), wrong)


def test_arrays_in_another_byte_order_are_matrices_too():
    for order in "<>":
        found = top_pairs(np.array([[1.0], [3.0], [2.0]], dtype=f"{order}f4"), np.ones((1, 1)), k=2)
        assert found.left_ids.tolist() == [1, 2]
        assert found.scores.tolist() == [3.0, 2.0]


def test_products_that_float64_cannot_hold_are_refused():
    """Their sum would be infinity less infinity."""
    huge = np.array([[1e200, -1e200]])
    with pytest.raises(ValueError, match=r"left and right must have products that float64 can hold; got entries up to 1.0e\+200 and 1.0e"):
        top_pairs(huge, huge)
    with pytest.raises(ValueError, match="vectors and W_U must have products that float64 can hold"):
        top_tokens(huge, huge.T)
    np.testing.assert_allclose(top_pairs(huge, np.array([[1e100, 1.0]])).scores, [1e300])
