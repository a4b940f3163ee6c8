"""What holds for whatever weights, patterns and tokens."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.circuits import composition_scores, composition_z, copying_scores, induction_targets, virtual_patterns
from analysis_lib.circuits.ablation import losses_of_next
from analysis_lib.circuits.copying import likeness
from analysis_lib.circuits.readings import compare_patterns, notebook_patterns
from analysis_lib.circuits.term_contrasts import mean_by_distance, same_token_contrasts
from analysis_lib.weights import weights_of
from tests.support import tiny
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


@examples(50)
@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_induction_targets_follow_an_earlier_occurrence_of_the_query(ids):
    n = len(ids)
    expected = [[0 < key <= query and ids[key - 1] == ids[query] for key in range(n)] for query in range(n)]
    np.testing.assert_array_equal(induction_targets(ids), expected)


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 8), heads=st.integers(1, 3))
def test_patterns_of_virtual_heads_are_patterns(seed, n, heads):
    scores = np.where(np.tri(n, dtype=bool), np.random.default_rng(seed).normal(size=(2, heads, n, n)), -np.inf)
    pattern = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found = virtual_patterns(pattern)
    np.testing.assert_allclose(found.sum(-1), 1)
    assert (found >= 0).all()
    assert (found == np.tril(found)).all()


@examples(10)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.125, 4.0]))
def test_scores_of_heads_are_bounded_and_do_not_see_their_size(seed, scale):
    weights = weights_of(tiny.gpt2(layers=2, heads=2, seed=seed))
    larger = dataclasses.replace(weights, W_O=scale * weights.W_O, W_K=scale * weights.W_K)
    found = copying_scores(weights)
    assert (np.abs(found) <= 1 + 1e-12).all()
    assert copying_scores(larger) == pytest.approx(found, abs=1e-6)
    for kind in "QKV":
        scores = composition_scores(weights, kind)
        assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()
        assert not scores[1].any()  # nothing reads what the last layer writes
        np.testing.assert_allclose(composition_scores(larger, kind), scores, atol=1e-6)


@examples(5)
@given(seed=st.integers(0, 1000), kind=st.sampled_from("QKV"))
def test_chance_of_composition_depends_on_singular_values_alone(seed, kind):
    """Turning the stream of all heads changes nothing; turning it under the later layer changes scores and not their chance."""
    weights = weights_of(tiny.gpt2(layers=2, heads=2, seed=seed))
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(seed))).Q
    reading = {name: turn @ getattr(weights, name) for name in ("W_Q", "W_K", "W_V")}
    found = composition_z(weights, kind, n_draws=20)
    turned = composition_z(dataclasses.replace(weights, **reading, W_O=weights.W_O @ turn.T), kind, n_draws=20)
    for before, after in zip(found, turned, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-4)
    apart = torch.stack([torch.eye(16), turn])[:, None]
    later = {name: apart @ getattr(weights, name) for name in ("W_Q", "W_K", "W_V")}
    other = composition_z(dataclasses.replace(weights, **later, W_O=weights.W_O @ apart.mT), kind, n_draws=20)
    np.testing.assert_allclose(other.expected, found.expected, atol=1e-5)
    np.testing.assert_allclose(other.sd, found.sd, atol=1e-5)
    assert not np.allclose(other.scores, found.scores, atol=1e-3)
    earlier = np.s_[0, :, 1]
    np.testing.assert_allclose((found.z * found.sd + found.expected)[earlier], found.scores[earlier], atol=1e-9)


@examples(5)
@given(seed=SEEDS)
def test_composition_that_no_turn_can_change_is_not_far_from_chance(seed):
    """One head as wide as the stream, all of its singular values equal: the score is 1 / sqrt(d_model) in every orientation."""
    weights = weights_of(tiny.gpt2(layers=2, heads=1, seed=0))
    rng = torch.Generator().manual_seed(seed)
    turns = {name: torch.linalg.qr(torch.randn(2, 1, 16, 16, generator=rng)).Q for name in ("W_Q", "W_K", "W_V", "W_O")}
    found = composition_z(dataclasses.replace(weights, **turns), "K", n_draws=10)
    assert found.scores[0, 0, 1, 0] == pytest.approx(0.25)
    assert not found.z.any()


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 8), data=st.data())
def test_what_depends_on_distance_alone_is_its_mean_by_distance(seed, n, data):
    reach = data.draw(st.integers(0, n - 1))
    by_distance = torch.randn(n, generator=torch.Generator().manual_seed(seed % 2**31))
    place = torch.arange(n)
    found = mean_by_distance(by_distance[(place[:, None] - place).clamp(min=0)], reach)
    torch.testing.assert_close(found, by_distance[: reach + 1])


def patterns(seed, n, heads=2):
    """Causal attention, float64 [1, head, n, n], and its scores."""
    scores = torch.randn(1, heads, n, n, generator=torch.Generator().manual_seed(seed % 2**31), dtype=torch.float64)
    scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
    return scores.softmax(-1), scores


@examples(20)
@given(seed=SEEDS, n=st.integers(3, 8), shift=st.floats(-10, 10), rest=st.floats(1e-30, 1))
def test_likeness_asks_the_keys_but_the_first_for_more_than_they_all_get(seed, n, shift, rest):
    pattern, effects = patterns(seed, n, 1)[0][0], torch.from_numpy(np.random.default_rng(seed).normal(size=(1, n, n)))
    found = likeness(pattern, effects)
    rows = [(pattern[0, t, 1 : t + 1].numpy(), effects[0, t, 1 : t + 1].numpy()) for t in range(2, n)]
    np.testing.assert_allclose(found, np.mean([shares @ e / shares.sum() - e.mean() for shares, e in rows]), atol=1e-9)
    resting = rest * pattern
    resting[..., 0] = 1 - resting[..., 1:].sum(-1)
    np.testing.assert_allclose(likeness(resting, 2 * effects + shift), 2 * found, atol=1e-6)  # however little is left for other keys
    even = torch.ones(1, n, n).tril()
    np.testing.assert_allclose(likeness(even, effects), 0, atol=1e-12)
    wanted = 1 + torch.from_numpy(np.random.default_rng(seed).integers(0, n - 1, n)).clamp(max=(torch.arange(n) - 1).clamp(min=0))
    one = torch.nn.functional.one_hot(wanted, n).double()[None]
    assert likeness(one, one) > 0


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 8), scale=st.sampled_from([0.25, 1.0, 4.0]))
def test_readings_of_scores_are_patterns_and_those_of_the_model_differ_from_it_by_nothing(seed, n, scale):
    pattern, scores = patterns(seed, n)
    readings = notebook_patterns(scores, scale)
    found = compare_patterns(readings)
    torch.testing.assert_close(readings["model"], pattern)
    for reading in readings.values():
        torch.testing.assert_close(reading.sum(-1), torch.ones_like(reading[..., 0]))
    assert found["attention moved"]["model"] == 0
    assert found["attention on the future"]["model"] == found["attention on the future"]["unscaled"] == 0
    for name, largest in (("attention moved", 1), ("attention on the future", 1), ("entropy of a row [nats]", np.log(n))):
        assert all(-1e-12 <= value <= largest + 1e-12 for value in found[name].values())
    if scale == 1:
        torch.testing.assert_close(readings["unscaled"], pattern)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 8))
def test_contrasts_of_tokens_do_not_see_what_is_constant_along_a_row(seed, n):
    rng = np.random.default_rng(seed)
    scores, constant = torch.from_numpy(rng.normal(size=(2, 3, n, n))), torch.from_numpy(rng.normal(size=(2, 3, n, 1)))
    ids = torch.from_numpy(rng.integers(0, 3, (2, n)))
    found, shifted = (same_token_contrasts(given, ids, n_shuffles=3) for given in (scores, scores + constant))
    for name, values in found.items():
        torch.testing.assert_close(shifted[name], values, equal_nan=True)
    repeats = torch.tensor([len(set(row)) < n for row in ids.tolist()])
    assert torch.equal(found["earlier same token"].isfinite().all(-1), repeats)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 6), vocab=st.integers(1, 5))
def test_losses_are_those_of_the_next_tokens(seed, n, vocab):
    rng = np.random.default_rng(seed)
    logits, ids = torch.from_numpy(rng.normal(size=(2, n, vocab))), torch.from_numpy(rng.integers(0, vocab, (2, n)))
    found = losses_of_next(logits, ids)
    shares = (logits.exp() / logits.exp().sum(-1, keepdim=True)).numpy()
    expected = [[-np.log(shares[text, place, ids[text, place + 1]]) for place in range(n - 1)] for text in range(2)]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    torch.testing.assert_close(losses_of_next(logits + torch.from_numpy(rng.normal(size=(2, n, 1))), ids), found)
