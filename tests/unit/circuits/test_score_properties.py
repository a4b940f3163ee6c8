"""What holds of scores and terms of heads, for whatever patterns, tokens and scores: sums written out, names, shifts, planted circuits."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import softmax

from analysis_lib.circuits.composition import Composition
from analysis_lib.circuits.induction import best_two_back, compare_pairs, excess_table, find_circuit
from analysis_lib.circuits.placements import placed_blocks
from analysis_lib.circuits.readings import largest_terms, term_variances
from analysis_lib.circuits.scoreboard import (
    attention_to,
    duplicate_targets,
    first_position_scores,
    head_scores,
    induction_excess,
    induction_scores,
    induction_targets,
    nearby_weights,
    offset_scores,
    previous_token_scores,
)
from analysis_lib.circuits.term_contrasts import same_token_test
from analysis_lib.circuits.terms import (
    TERMS,
    LeaveOut,
    loss_changes,
    next_token_losses,
    part_scores,
    row_centred,
    row_contrasts,
    score_terms,
    total_variations,
)
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from analysis_lib.weights import weights_of
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


def causal(rng, n, lead=(2, 3)):
    """Causal patterns [layer, head, query, key]."""
    return softmax(np.where(np.tri(n, dtype=bool), rng.normal(size=(*lead, n, n)), -np.inf), axis=-1)


@st.composite
def sequences(draw):
    """Two sequences of different lengths in which a token comes twice, their patterns, and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    ids = [np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))) for n in (6, 9)]  # four tokens: one must repeat
    return ids, [causal(rng, len(one)) for one in ids], rng


# Scores of the scoreboard


@examples(20)
@given(drawn=sequences())
def test_attention_to_targets_is_the_mean_of_its_rows(drawn):
    _, patterns, rng = drawn
    targets = [rng.random(p.shape[-2:]) < 0.4 for p in patterns]
    targets[0][-1, 0] = True
    rows = [[(p[..., q, :] * t[q]).sum(-1) for q in range(len(t)) if t[q].any()] for p, t in zip(patterns, targets, strict=True)]
    np.testing.assert_allclose(attention_to(patterns, targets), np.mean([row for own in rows for row in own], axis=0))
    each = attention_to(patterns, targets, per_sequence=True)
    for found, own in zip(each, rows, strict=True):
        np.testing.assert_allclose(found, np.mean(own, axis=0) if own else np.full((2, 3), np.nan))
    kept = [np.arange(len(t)) == len(t) - 1 for t in targets]
    targets[1][-1, 1] = True
    last = [p[..., -1, :] @ t[-1] for p, t in zip(patterns, targets, strict=True)]
    np.testing.assert_allclose(attention_to(patterns, targets, rows=kept), np.mean(last, axis=0))


@examples(20)
@given(drawn=sequences())
def test_scores_see_neither_names_of_tokens_nor_the_order_of_sequences(drawn):
    ids, patterns, rng = drawn
    renamed = rng.permutation(100)[:4]
    found = head_scores(patterns, ids)
    other = head_scores(patterns[::-1], [renamed[one] for one in ids[::-1]])
    for name, scores in found.items():
        np.testing.assert_allclose(other[name], scores, err_msg=name)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 9))
def test_attention_to_all_offsets_and_to_the_token_itself_is_all_attention(seed, n):
    """With as many rows as an offset has, sums over offsets are sums over keys."""
    pattern = causal(np.random.default_rng(seed), n)
    by_offset = [(n - offset) * offset_scores(pattern, offset) for offset in range(1, n)]
    own = np.diagonal(pattern, axis1=-2, axis2=-1).sum(-1)
    np.testing.assert_allclose(sum(by_offset) + own, n)
    np.testing.assert_allclose(previous_token_scores(pattern), by_offset[0] / (n - 1))
    np.testing.assert_allclose(first_position_scores(pattern), pattern[..., 1:, 0].mean(-1))


@examples(30)
@given(ids=st.lists(st.integers(0, 2), min_size=5, max_size=10), width=st.integers(1, 5))
def test_keys_near_a_target_stand_for_as_many_keys_as_there_are_targets(ids, width):
    targets, exclude = induction_targets(ids), duplicate_targets(ids)
    found = nearby_weights(targets, width, exclude)
    places = [np.flatnonzero(row) for row in targets]
    for query, (weights, own) in enumerate(zip(found, places, strict=True)):
        near = [key for key in range(query + 1) if any(0 < abs(key - place) <= width for place in own)]
        near = [key for key in near if key not in own and not exclude[query, key]]
        assert np.flatnonzero(weights).tolist() == near
        np.testing.assert_allclose(weights[near], len(own) / max(1, len(near)))


@examples(20)
@given(ids=st.lists(st.integers(0, 2), min_size=6, max_size=10), width=st.integers(1, 4))
def test_a_head_that_cannot_tell_a_target_from_its_neighbours_has_no_excess(ids, width):
    """Attention that is even over all earlier keys has none, and an induction head's is all that it attends to."""
    n = len(ids)
    even = np.tri(n)[None, None] / np.arange(1, n + 1)[:, None]
    targets = induction_targets(ids)
    assume(nearby_weights(targets, width, duplicate_targets(ids)).any())
    np.testing.assert_allclose(induction_excess(even, ids, width=width), 0, atol=1e-12)
    perfect = np.where(targets.any(-1, keepdims=True), targets, np.eye(n, dtype=bool))
    perfect = perfect / perfect.sum(-1, keepdims=True)
    assert induction_excess(perfect[None, None], ids, width=width) == pytest.approx(1)


@examples(20)
@given(seed=SEEDS, block=st.integers(2, 5), gap=st.integers(0, 4), begin=st.integers(1, 4), rest=st.integers(0, 4))
def test_a_block_stands_where_it_was_put_and_an_induction_head_finds_it(seed, block, gap, begin, rest):
    length = begin + 2 * block + gap + rest
    probe = placed_blocks(range(1, 1000), 3, block, gap, begin, length, seed=seed)
    assert probe.ids.shape == (3, length)
    assert not probe.ids[:, 0].any()
    assert probe.ids[:, 1:].all()
    first, second = (np.take_along_axis(probe.ids, places, axis=1) for places in (probe.first, probe.second))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(probe.second - probe.first, block + gap)
    patterns = np.zeros((3, 1, 1, length, length))
    for row, places in enumerate(probe.second[:, :-1]):  # what followed the first occurrence; of the last token nobody knows
        patterns[row, 0, 0, places, places - block - gap + 1] = 1
    targets = [induction_targets(one) for one in probe.ids]
    share = attention_to(patterns, targets, rows=probe.predictable)
    repeats = np.array([one.sum(-1)[kept].max() for one, kept in zip(targets, probe.predictable, strict=True)])
    assert share == pytest.approx(1)
    if (repeats == 1).all():
        even = np.broadcast_to(np.tri(length) / np.arange(1, length + 1)[:, None], (3, 1, 1, length, length))
        counts = np.concatenate([np.flatnonzero(kept) + 1 for kept in probe.predictable])
        assert induction_scores(even, probe.ids, rows=probe.predictable) == pytest.approx(np.mean(1 / counts))


# A circuit by its scores


@examples(30)
@given(seed=SEEDS, heads=st.integers(1, 5))
def test_a_circuit_has_the_best_heads_and_all_above_the_bound_whatever_they_are_numbered(seed, heads):
    rng = np.random.default_rng(seed)
    scores = {name: rng.random((3, 2, heads)) for name in ("previous token", "two back", "induction")}
    found = find_circuit(scores)
    means = {name: values.mean(axis=0) for name, values in scores.items()}
    assert means["previous token"][found.previous] == means["previous token"][0].max()
    assert means["induction"][found.strongest] == means["induction"][1].max()
    assert means["two back"][best_two_back(scores)] == means["two back"][0].max()
    early = np.maximum(means["previous token"][0], means["two back"][0])
    assert set(found.shifting) == {(0, h) for h in np.flatnonzero(early >= 0.5)} or set(found.shifting) == {found.previous}
    assert set(found.inductive) == {(1, h) for h in np.flatnonzero(means["induction"][1] >= 0.5)} or set(found.inductive) == {
        found.strongest
    }
    assert len(found.pairs) == len(found.shifting) * len(found.inductive)
    assert sorted([*found.others(0, heads), *found.shifting]) == [(0, head) for head in range(heads)]
    order = rng.permutation(heads)
    turned = find_circuit({name: values[..., order] for name, values in scores.items()})
    assert order[turned.previous[1]] == found.previous[1]
    assert {(0, order[head]) for _, head in turned.shifting} == set(found.shifting)
    assert {(1, order[head]) for _, head in turned.inductive} == set(found.inductive)


@examples(30)
@given(seed=SEEDS, heads=st.integers(1, 4), data=st.data())
def test_pairs_of_a_circuit_and_all_others_are_all_pairs(seed, heads, data):
    every = [(early, late) for early in range(heads) for late in range(heads)]
    pairs = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=len(every), unique=True))
    rng = np.random.default_rng(seed)
    scores, expected, sd, z = rng.random((4, 2, heads, 2, heads))
    found = compare_pairs(Composition(scores, expected, sd, z), pairs)
    n, rest = len(pairs), len(every) - len(pairs)
    for own, other, values in (("circuit's pairs", "other pairs", scores), ("circuit's z", "other pairs' z", z)):
        table = values[0, :, 1]
        assert found[own] == pytest.approx(np.mean([table[pair] for pair in pairs]))
        assert np.isnan(found[other]) == (rest == 0)
        assert (n * found[own] + rest * np.nan_to_num(found[other])) / len(every) == pytest.approx(table.mean())
    assert found["chance"] == pytest.approx(expected[0, :, 1].mean())
    assert max(0, 2 * n - len(every)) <= found["in top"] <= n
    best = [tuple(map(int, np.unravel_index(place, (heads, heads)))) for place in np.argsort(-z[0, :, 1], axis=None)[:n]]
    assert compare_pairs(Composition(scores, expected, sd, z), best)["in top"] == n


@examples(4)
@given(seed=SEEDS, units=st.integers(3, 6), scale=st.floats(0.1, 10))
def test_a_table_of_excesses_sees_no_unit_and_a_head_without_any_is_not_significant(seed, units, scale):
    rng = np.random.default_rng(seed)
    draws = {(name,): tuple(rng.normal(0.2, 1, size=(2, units, 2, 2))) for name in "ab"}
    found = excess_table(draws, ["set"])
    scaled = excess_table({key: (scale * one, scale * two) for key, (one, two) in draws.items()}, ["set"])
    assert scaled[["set", "layer", "head", "significant"]].equals(found[["set", "layer", "head", "significant"]])
    np.testing.assert_allclose(np.stack(scaled["excess"]), scale * np.stack(found["excess"]), atol=1e-9)
    assert (found["heads"] == 4).all()
    none = excess_table({("a",): (np.zeros((units, 2, 2)), np.zeros((units, 2, 2)))}, ["set"])
    assert none["significant"].tolist() == [0]
    lax = excess_table(draws, ["set"], level=0.9)
    assert (lax["significant"] >= found["significant"]).all()


# Terms of scores


def terms_of(seed, n, lead=(4, 2, 3)):
    """Terms [term, sequence, head, query, key] as `score_terms` gives them."""
    drawn = torch.from_numpy(np.random.default_rng(seed).normal(size=(*lead, n, n)))
    return drawn.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 7))
def test_what_moves_without_a_term_is_a_total_variation_and_constants_along_rows_move_nothing(seed, n):
    terms = terms_of(seed, n)
    found = total_variations(terms)
    assert ((found >= 0) & (found <= 1)).all()
    whole = terms.tril().sum(0).masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
    for term in range(4):
        moved = (whole.softmax(-1) - (whole - terms[term].tril()).softmax(-1)).clamp(min=0).sum(-1)  # what is gained elsewhere
        torch.testing.assert_close(found[term], moved[..., 1:].mean(-1))
    constant = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(4, 2, 3, n, 1)))
    torch.testing.assert_close(total_variations(terms + constant), found)
    flat = torch.zeros_like(terms[:1]) + constant[:1]
    assert total_variations(torch.cat([terms, flat]))[-1].abs().max() < 1e-12


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 7), scale=st.floats(-5, 5))
def test_contrasts_of_rows_are_differences_of_means_and_see_no_constant_along_a_row(seed, n, scale):
    rng = np.random.default_rng(seed)
    scores, targets = torch.from_numpy(rng.normal(size=(3, n, n))), torch.from_numpy(rng.random((n, n)) < 0.5)
    targets[1, :2] = torch.tensor([True, False])
    found = row_contrasts(scores, targets)
    rows = []
    for query in range(n):
        own = targets[query, : query + 1]
        if own.any() and not own.all():
            seen = scores[:, query, : query + 1]
            rows.append(seen[:, own].mean(-1) - seen[:, ~own].mean(-1))
    torch.testing.assert_close(found, torch.stack(rows).mean(0))
    constant = torch.from_numpy(rng.normal(size=(3, n, 1)))
    torch.testing.assert_close(row_contrasts(scale * scores + constant, targets), scale * found)
    torch.testing.assert_close(row_contrasts(row_centred(scores), targets), found)
    torch.testing.assert_close(row_contrasts(scores, ~targets), -found)
    assert row_contrasts(scores, torch.ones(n, n).bool()).isnan().all()


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 7))
def test_centred_rows_sum_to_nothing_and_attend_as_before(seed, n):
    scores = terms_of(seed, n, lead=(3,))
    found = row_centred(scores)
    torch.testing.assert_close(found.tril().sum(-1), torch.zeros(3, n, dtype=torch.float64))
    torch.testing.assert_close(found.softmax(-1), scores.softmax(-1))


@examples(15)
@given(seed=SEEDS, n=st.integers(2, 6), scale=st.sampled_from([-2.0, 0.5, 4.0]))
def test_sizes_of_terms_go_with_the_square_of_their_unit_and_only_the_notebooks_sees_their_mean(seed, n, scale):
    terms = terms_of(seed, n, lead=(4, 2))
    found, scaled = term_variances(terms), term_variances(torch.where(terms.isfinite(), scale * terms, terms))
    sizes = ("with zeros (notebook)", "causal entries", "within rows")
    for name in sizes:
        torch.testing.assert_close(scaled[name], scale**2 * found[name])
    inside = terms[..., torch.ones(n, n).tril().bool()]
    torch.testing.assert_close(found["causal entries"], inside.var(-1, correction=0).mean(1))
    shifted = term_variances(terms + 3)
    for name in sizes[1:]:
        torch.testing.assert_close(shifted[name], found[name])
    assert not torch.allclose(shifted[sizes[0]], found[sizes[0]])
    heads = torch.stack([terms, terms.flip(0)], dim=2)
    largest = largest_terms(heads)
    for name, column in (("by variance", sizes[0]), ("by attention moved", "attention moved")):
        assert largest[name].tolist() == [int(found[column].argmax()), 3 - int(found[column].argmax())]


def minigpt(seed, heads=2):
    """Weights of a random attention-only model with loud scores, in float64, and token ids."""
    config = MiniGPTConfig(vocab_size=7, n_positions=8, d_model=6 * heads, n_heads=heads, n_layers=2)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**31)
        model = MiniGPT(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.6)
        ids = torch.randint(7, (2, 6))
    return model, weights_of(model), ids


@examples(8)
@given(seed=SEEDS, layer=st.integers(0, 1), head=st.integers(0, 1), centre=st.booleans())
def test_parts_of_scores_sum_to_terms_and_terms_to_what_softmax_reads(seed, layer, head, centre):
    model, weights, ids = minigpt(seed)
    terms = score_terms(weights, ids, layer, centre)
    labels, parts = part_scores(weights, ids, layer, head, centre)
    finite = parts.tril()
    by_side = {"token": slice(0, -1), "position": slice(-1, None)}
    for place, name in enumerate(TERMS):
        query, key = (by_side[side] for side in name.split("-"))
        torch.testing.assert_close(finite[query, key].sum((0, 1)), terms[place, :, head].tril(), atol=1e-3, rtol=1e-3)
    assert labels == ["embedding", *(f"L{earlier}H{other}" for earlier in range(layer) for other in range(2)), "position"]
    torch.testing.assert_close(terms.sum(0), score_terms(weights, ids, layer, not centre).sum(0), atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        patterns = model(input_ids=ids, output_attentions=True).attentions[layer]
    torch.testing.assert_close(terms.sum(0).softmax(-1), patterns, atol=1e-4, rtol=1e-4)


@examples(5)
@given(seed=SEEDS, place=st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)))
def test_a_change_of_loss_is_the_loss_without_a_term_less_the_loss_with_it(seed, place):
    _, weights, ids = minigpt(seed)
    changes = loss_changes(weights, ids)
    assert changes.shape == (4, 2, 3, 2, 5)
    term, layer, head = place
    left_out = LeaveOut(TERMS[term], layer, None if head == 2 else head)
    expected = next_token_losses(weights, ids, left_out) - next_token_losses(weights, ids)
    torch.testing.assert_close(changes[place], expected, atol=1e-4, rtol=1e-4)


@examples(20)
@given(seed=SEEDS)
def test_two_tokens_say_nothing_of_an_order_of_columns(seed):
    """Exchanging the columns of a centred table of two rows turns its sign alone, so that every order is as far from zero."""
    _, weights, _ = minigpt(seed)
    assert (same_token_test(weights, torch.tensor([[1, 4, 1]]), n_permutations=19).p == 1).all()
