"""What holds of readings of weights, of random heads and vectors, of lenses and of shares, for whatever weights and lists."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import lens_scores, qk_factors, vo_factors
from analysis_lib.projections.factors import feed_forward_keys_values
from analysis_lib.projections.lenses import affine_lens, logit_lens
from analysis_lib.projections.neurons import (
    gains_by_layer,
    key_value_cosines,
    kind_shares,
    passing_gain,
    sample_neurons,
    shares_by_layer,
    similar_vectors,
)
from analysis_lib.projections.random_heads import heads_of_draw, rotated, symmetric
from analysis_lib.projections.rank_scores import against_random
from analysis_lib.projections.relations import correct_together
from analysis_lib.statistics import holm
from analysis_lib.weights import weights_of
from tests.support import tiny
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 1000)


@cache
def random_weights(kind, seed):
    """Random weights of two layers of two heads, width 8, vocabulary 11."""
    build = {"gpt2": tiny.gpt2, "bert": tiny.bert}[kind]
    return weights_of(build(vocab=11, width=8, seed=seed))


# Readings of weights


@examples(8)
@given(seed=SMALL, kind=st.sampled_from(["gpt2", "bert"]), layer=st.integers(0, 1), head=st.integers(0, 1))
def test_factors_multiply_to_the_tables_that_they_stand_for(seed, kind, layer, head):
    weights = random_weights(kind, seed)
    norms = weights.layer_norms
    norm = norms.attention[layer] if kind == "gpt2" else norms.embedding
    for embedding, tokens in (("raw", weights.W_E), ("layer_norm", norm(weights.W_E))):
        left, right = vo_factors(weights, layer, head, embedding)
        table = tokens @ weights.W_V[layer, head] @ weights.W_O[layer, head] @ weights.W_U
        torch.testing.assert_close(left @ right.T, table, atol=1e-5, rtol=1e-3)
        unit = vo_factors(weights, layer, head, embedding, "unit")  # a column of zeros, as BERT's padding has, stays one
        torch.testing.assert_close(unit[0] @ unit[1].T, (table / weights.W_U.norm(dim=0)).nan_to_num(0), atol=1e-5, rtol=1e-3)
        left, right = qk_factors(weights, layer, head, embedding)
        scores = (tokens @ weights.W_Q[layer, head]) @ (tokens @ weights.W_K[layer, head]).T
        torch.testing.assert_close(left @ right.T, scores, atol=1e-5, rtol=1e-3)


@examples(8)
@given(seed=SMALL, layer=st.integers(0, 1))
def test_keys_read_what_neurons_read_and_fold_their_norm(seed, layer):
    """What a neuron is given is the product of its key with what stands before the norm, up to a constant, in units of its spread."""
    weights = random_weights("gpt2", seed)
    keys, values = feed_forward_keys_values(weights, layer)
    folded, same = feed_forward_keys_values(weights, layer, "layer_norm")
    assert torch.equal(values, same)
    assert torch.equal(values, weights.W_out[layer])
    states, norm = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed)), weights.layer_norms.mlp[layer]
    spread = (states.var(dim=-1, correction=0, keepdim=True) + norm.epsilon).sqrt()
    torch.testing.assert_close(states @ folded.T / spread + norm.bias @ keys.T, norm(states) @ keys.T, atol=1e-5, rtol=1e-4)
    assert folded.sum(dim=1).abs().max() < 1e-5
    cosines = key_value_cosines(weights).reshape(2, -1)[layer]
    expected = (keys * values).sum(dim=1) / keys.norm(dim=1) / values.norm(dim=1)
    np.testing.assert_allclose(cosines, expected, atol=1e-5)
    louder = dataclasses.replace(weights, W_in=3 * weights.W_in, W_out=-0.5 * weights.W_out)
    np.testing.assert_allclose(key_value_cosines(louder).reshape(2, -1)[layer], -cosines, atol=1e-5)


@examples(8)
@given(seed=SMALL, draw=SMALL, chosen=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=4, unique=True))
def test_random_heads_keep_what_they_promise_and_leave_others_alone(seed, draw, chosen):
    weights = random_weights("gpt2", seed)
    turned, projecting = rotated(weights, draw, chosen), symmetric(weights, draw, chosen)
    for layer, head in np.ndindex(2, 2):
        own, other, even = (each.head(layer, head) for each in (weights, turned, projecting))
        if (layer, head) not in chosen:
            for new in (other, even):
                assert all(torch.equal(getattr(new, name), getattr(own, name)) for name in ("W_Q", "W_K", "W_V", "W_O"))
            continue
        for matrix in ("vo", "qk"):
            sizes = getattr(own, matrix).singular_values()
            torch.testing.assert_close(getattr(other, matrix).singular_values(), sizes, atol=1e-5, rtol=1e-3)
            assert not torch.allclose(getattr(other, matrix).dense(), getattr(own, matrix).dense(), atol=1e-4)
            projection = getattr(even, matrix).dense()
            torch.testing.assert_close(projection, projection.T)
            torch.testing.assert_close(projection @ projection, projection, atol=1e-5, rtol=1e-4)
            assert float(projection.trace()) == pytest.approx(weights.d_head, abs=1e-4)
    assert torch.equal(turned.W_E, weights.W_E)


@examples(50)
@given(draw=st.integers(0, 50), per_draw=st.integers(1, 6))
def test_heads_of_draws_are_different_ones_and_all_come_in_turn(draw, per_draw):
    weights = random_weights("gpt2", 0)
    found = heads_of_draw(weights, draw, per_draw)
    assert found == sorted(set(found))
    assert len(found) == min(per_draw, 4)
    assert set(found) <= set(np.ndindex(2, 2))
    assert set().union(*(heads_of_draw(weights, draw + turn, per_draw) for turn in range(4))) == set(np.ndindex(2, 2))


# Random vectors and neurons


@examples(20)
@given(seed=SMALL, layers=st.integers(1, 3), n=st.integers(2, 5))
def test_similar_vectors_lie_in_the_plane_of_their_layer_around_its_mean(seed, layers, n):
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy(rng.normal(size=(layers * n, 7)) + 3)
    found = similar_vectors(vectors, layers, seed)
    assert found.shape == vectors.shape
    for own, drawn in zip(vectors.split(n), found.split(n), strict=True):
        directions, offset = own - own.mean(dim=0), drawn - own.mean(dim=0)
        projected = offset @ torch.linalg.pinv(directions, rtol=1e-9) @ directions
        torch.testing.assert_close(projected, offset)
    torch.testing.assert_close(similar_vectors(2 * vectors + 1, layers, seed), 2 * found + 1)
    rows = np.sort(rng.choice(layers * n, size=n, replace=False))
    assert similar_vectors(vectors, layers, seed, rows).shape == (n, 7)


def test_similar_vectors_have_the_covariance_of_their_layer():
    mixed = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, -0.6, 0.8]])
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(4000, 3)) @ mixed.T)
    found = similar_vectors(vectors, 1, 0)
    torch.testing.assert_close(torch.cov(found.T), torch.cov(vectors.T), atol=0.1, rtol=0)


@examples(30)
@given(layers=st.integers(1, 4), d_mlp=st.integers(1, 9), n=st.integers(1, 12), seed=SMALL)
def test_neurons_are_drawn_without_repetition_as_many_from_each_layer(layers, d_mlp, n, seed):
    found = sample_neurons(layers, d_mlp, n, seed)
    assert (np.diff(found) > 0).all()
    assert np.bincount(found // d_mlp, minlength=layers).tolist() == [min(n, d_mlp)] * layers


LISTS = st.lists(st.booleans(), min_size=1, max_size=30)


@examples(50)
@given(passed=LISTS, control=LISTS)
def test_a_gain_is_a_difference_of_shares_inside_its_interval_and_turns_round_with_its_sides(passed, control):
    found, turned = passing_gain(passed, control), passing_gain(control, passed)
    assert found.estimate == pytest.approx(np.mean(passed) - np.mean(control))
    assert -1 - 1e-12 <= found.low <= found.estimate + 1e-12
    assert found.estimate - 1e-12 <= found.high <= 1 + 1e-12
    assert found.low < found.high  # a share of none or of all is not certain
    np.testing.assert_allclose(turned, (-found.estimate, -found.high, -found.low), atol=1e-12)
    again = passing_gain([not one for one in passed], [not one for one in control])
    np.testing.assert_allclose(again, (-found.estimate, -found.high, -found.low), atol=1e-12)


@examples(20)
@given(seed=SEEDS, layers=st.integers(1, 3), n=st.integers(1, 5), draws=st.integers(1, 3))
def test_gains_and_shares_by_layer_are_those_of_the_layer_alone(seed, layers, n, draws):
    rng = np.random.default_rng(seed)
    passed, control = rng.random(layers * n) < 0.5, rng.random((draws, layers * n)) < 0.5
    found = gains_by_layer(passed, control, layers)
    kinds = pd.DataFrame(rng.random((layers * n, 2)) < 0.3, columns=["a", "b"])
    shares = shares_by_layer({"K": kinds, "V": ~kinds}, layers)
    for layer in range(layers):
        own = slice(layer * n, (layer + 1) * n)
        assert tuple(found.loc[layer, ["estimate", "low", "high"]]) == passing_gain(passed[own], control[:, own].ravel())
        assert shares[f"K{layer}"].equals(kind_shares(kinds[own]))
        assert shares.loc["any kind", f"K{layer}"] == (kinds[own]["a"] | kinds[own]["b"]).mean()
        np.testing.assert_allclose(shares.loc[["a", "b"], f"K{layer}"] + shares.loc[["a", "b"], f"V{layer}"], 1)


# Lenses


@st.composite
def layers_of_states(draw):
    """States [layer, place, d], an invertible map of each layer [layer, d, d], documents and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    layers, width = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    maps = rng.normal(size=(layers, width, width)) + 3 * np.eye(width)
    return rng.normal(size=(layers, 30, width)), maps, np.repeat(np.arange(6), 5), rng


@examples(15)
@given(drawn=layers_of_states())
def test_a_planted_affine_map_is_found_and_a_heavy_penalty_leaves_states_as_they_are(drawn):
    states, maps, documents, rng = drawn
    offset = rng.normal(size=states.shape[2])
    last = states[0] @ maps[0] + offset
    found = affine_lens(states, last, documents, n_folds=3)
    np.testing.assert_allclose(found.matrices[0], maps[0], atol=1e-8)
    np.testing.assert_allclose(found.offsets[0], offset, atol=1e-8)
    assert found.penalties[0] == 0
    heavy = affine_lens(states, last, documents, penalties=[1e12], n_folds=3)
    np.testing.assert_allclose(heavy.matrices, logit_lens(*states.shape[::2]).matrices, atol=1e-6)
    np.testing.assert_allclose(heavy(states).mean(axis=1), np.tile(last.mean(axis=0), (len(states), 1)), atol=1e-5)
    centred = logit_lens(*states.shape[::2]).centred(states, last)
    np.testing.assert_allclose(centred.offsets, heavy.offsets, atol=1e-6)


@examples(15)
@given(drawn=layers_of_states(), scale=st.floats(0.1, 10))
def test_an_affine_lens_turns_with_its_axes_and_sees_no_unit_and_no_mean(drawn, scale):
    states, _, documents, rng = drawn
    width = states.shape[2]
    last = rng.normal(size=states.shape[1:])
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    shift, other = rng.normal(size=(2, width))
    found = affine_lens(states, last, documents, penalties=[0.1], n_folds=2)
    changed = affine_lens(scale * states @ turn + shift, scale * last @ turn + other, documents, penalties=[0.1], n_folds=2)
    np.testing.assert_allclose(changed.matrices, turn.T @ found.matrices @ turn, atol=1e-8)
    np.testing.assert_allclose(changed(scale * states @ turn + shift), scale * found(states) @ turn + other, atol=1e-4 * (1 + scale))
    chosen = affine_lens(states, last, documents, n_folds=2)
    copies = affine_lens(scale * states, scale * last, documents.astype(str), n_folds=2)
    np.testing.assert_array_equal(copies.penalties, chosen.penalties)


@examples(8)
@given(seed=SMALL, places=st.integers(1, 5))
def test_no_fixed_prediction_is_nearer_to_all_predictions_than_their_mean(seed, places):
    weights = random_weights("gpt2", seed)
    rng = np.random.default_rng(seed)
    last = rng.normal(size=(places, 8)).astype(np.float32)
    mean = lens_scores.mean_prediction(weights, last, batch_size=2)
    probabilities = weights.logits(torch.from_numpy(last)).double().softmax(dim=-1).numpy()
    np.testing.assert_allclose(mean, probabilities.mean(axis=0), atol=1e-6)
    nearest = lens_scores.divergence_from(weights, last, mean, batch_size=3)
    other = lens_scores.divergence_from(weights, last, rng.dirichlet(np.ones(11)) * 0.9 + 0.1 / 11)
    assert (nearest >= 0).all()
    assert nearest.mean() <= other.mean() + 1e-6
    if places == 1:
        assert nearest == pytest.approx(0, abs=1e-5)


@examples(20)
@given(seed=SEEDS, documents=st.integers(2, 6), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_a_mean_over_places_stays_between_its_documents_and_follows_a_change_of_unit(seed, documents, scale, shift):
    rng = np.random.default_rng(seed)
    groups = np.r_[np.arange(documents), rng.integers(0, documents, 8)]
    values = rng.normal(size=(2, len(groups)))
    found = lens_scores.by_layer(values, groups, n_resamples=40)
    np.testing.assert_allclose(found.estimate, values.mean(axis=1))
    means = np.stack([values[:, groups == group].mean(axis=1) for group in range(documents)])
    assert (found.draws >= means.min(axis=0) - 1e-12).all()
    assert (found.draws <= means.max(axis=0) + 1e-12).all()
    order = rng.permutation(len(groups))
    changed = lens_scores.by_layer(scale * values[:, order] + shift, groups[order], n_resamples=40)
    np.testing.assert_allclose(changed.draws, scale * found.draws + shift, atol=1e-9)


# Families of tests


P_VALUES = st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1, max_size=8)


@examples(50)
@given(first=P_VALUES, second=P_VALUES, level=st.floats(0.01, 0.5))
def test_tables_are_corrected_as_one_family_wherever_they_are_cut(first, second, level):
    tables = {"one": pd.DataFrame({"p": first}, dtype=float), "other": pd.DataFrame({"p": second}, dtype=float)}
    found = correct_together(tables, level=level)
    whole = correct_together({"all": pd.DataFrame({"p": [*first, *second]}, dtype=float)}, level=level)
    assert found["model"].tolist() == ["one"] * len(first) + ["other"] * len(second)
    np.testing.assert_array_equal(found["p_holm"], holm(np.nan_to_num([*first, *second], nan=1.0)))
    assert found[["p_holm", "passes"]].equals(whole[["p_holm", "passes"]])
    assert not found.loc[found["p"].isna(), "passes"].any()
    assert (found["passes"] == (found["p_holm"] < level)).all()


@examples(30)
@given(seed=SEEDS, heads=st.integers(2, 6), scale=st.floats(0.1, 10))
def test_a_head_beats_mismatched_pairs_and_random_heads_or_neither_sees_its_unit(seed, heads, scale):
    rng = np.random.default_rng(seed)
    scores = pd.DataFrame({"relation": ["a", "b"], "excess": rng.normal(size=2), "p": rng.random(2)})
    random = pd.DataFrame({"relation": np.tile(["a", "b"], heads), "excess": rng.normal(size=2 * heads)})
    found = against_random(scores, random)
    assert (found["p_both"] >= found[["p", "p_random"]].max(axis=1)).all()
    assert (found["p_both"] <= 1).all()
    scaled = against_random(scores.assign(excess=scale * scores["excess"]), random.assign(excess=scale * random["excess"]))
    np.testing.assert_allclose(scaled[["p_random", "p_both"]], found[["p_random", "p_both"]], atol=1e-9)
    turned = against_random(scores.assign(excess=-scores["excess"]), random.assign(excess=-random["excess"]))
    np.testing.assert_allclose(turned["p_both"], found["p_both"], atol=1e-12)
    usual = against_random(scores.assign(excess=found["random_mean"]), random)
    np.testing.assert_allclose(usual["p_random"], 1)
