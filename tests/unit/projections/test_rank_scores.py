"""Rank scores against a dense computation, on planted and random heads, and as properties."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import random_heads, rank_scores, vo_factors
from tests.support.examples import examples


def dense_rank(table, source, target, candidates):
    """The definition, one pair at a time."""
    row = table[source]
    others = row[[c for c in candidates if c not in (source, target)]]
    return (row[target] > others).mean() + 0.5 * (row[target] == others).mean()


@given(st.integers(0, 10_000), st.booleans())
@examples(40)
def test_ranks_are_those_of_the_dense_table_and_between_0_and_1(seed, ties):
    rng = np.random.default_rng(seed)
    draw = (
        (lambda *shape: rng.integers(-1, 2, shape).astype(np.float32))
        if ties
        else (lambda *shape: rng.normal(size=shape).astype(np.float32))
    )
    left, right = draw(20, 3), draw(20, 3)
    sources, targets = rng.integers(20, size=4), rng.integers(20, size=5)
    candidates = rng.permutation(20)[: rng.integers(4, 20)]
    ranks = rank_scores.rank_matrix(left, right, sources, targets, candidates)
    table = (left.astype(np.float64) @ right.T).astype(np.float32)  # as scores are compared: rounded once, so that no two change places
    expected = [[dense_rank(table, s, t, candidates) for t in targets] for s in sources]
    np.testing.assert_allclose(ranks, expected, atol=1e-12)
    assert ((ranks >= 0) & (ranks <= 1)).all()


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-3, 3))
@examples(30)
def test_ranks_do_not_depend_on_a_monotone_map_of_rows(seed, factor, shift):
    """Rows multiplied and shifted keep their order; a negative factor turns ranks round."""
    rng = np.random.default_rng(seed)
    table = rng.permuted(np.tile(np.arange(12.0), (12, 1)), axis=1).astype(np.float32)  # whole numbers: exact
    eye, places = np.eye(12, dtype=np.float32), np.arange(12)
    ranks = rank_scores.rank_matrix(eye, table.T, places, places, places)
    mapped = rank_scores.rank_matrix(eye, (np.float32(factor) * table + np.float32(shift)).T, places, places, places)
    np.testing.assert_allclose(ranks, mapped)
    np.testing.assert_allclose(rank_scores.rank_matrix(eye, -table.T, places, places, places), 1 - ranks)


def test_a_planted_head_scores_one_its_negative_zero_a_random_one_a_half():
    rng = np.random.default_rng(0)
    left = rng.normal(size=(300, 64)).astype(np.float32)
    order = rng.permutation(300)
    pairs = {"planted": np.stack([np.arange(100), order[:100]], axis=1)}
    right = np.empty_like(left)
    right[order] = left  # the target of a source has its direction
    score = rank_scores.rank_scores(left, right, pairs, np.arange(300)).iloc[0]
    assert score["score"] > 0.99
    assert abs(score["mismatched"] - 0.5) < 0.02
    assert score["p"] < 1e-12
    assert rank_scores.rank_scores(left, -right, pairs, np.arange(300))["score"][0] < 0.01
    random = [rank_scores.rank_scores(left, rng.normal(size=left.shape), pairs, np.arange(300)).iloc[0] for _ in range(40)]
    assert np.mean([row["score"] for row in random]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([row["p"] < 0.05 for row in random]) <= 0.15  # .05 expected; more than 6 of 40 has a chance of 1%


def test_targets_that_are_high_whatever_is_read_have_no_excess():
    rng = np.random.default_rng(1)
    left, right = np.ones((50, 1), np.float32), rng.normal(size=(50, 1)).astype(np.float32)
    right[40:] += 100
    found = rank_scores.rank_scores(left, right, {"columns": np.stack([np.arange(10), np.arange(40, 50)], axis=1)}, np.arange(40)).iloc[0]
    assert found["score"] == found["mismatched"] == 1
    assert found["excess"] == 0
    assert found["p"] == 1


def test_mean_and_spread_are_those_of_permutations():
    rng = np.random.default_rng(2)
    left, right = (rng.normal(size=(60, 4)).astype(np.float32) for _ in range(2))
    pairs = np.stack([np.arange(8), np.arange(20, 28)], axis=1)
    found = rank_scores.rank_scores(left, right, {"r": pairs}, np.arange(60)).iloc[0]
    ranks = rank_scores.rank_matrix(left, right, *pairs.T, np.arange(60))
    draws = np.array([ranks[np.arange(8), rng.permutation(8)].mean() for _ in range(20_000)])
    assert found["score"] - found["excess"] == pytest.approx(draws.mean(), abs=4 * found["spread"] / np.sqrt(20_000))
    assert found["spread"] == pytest.approx(draws.std(), rel=0.03)
    off = ranks[~np.eye(8, dtype=bool)].mean()
    assert found["mismatched"] == pytest.approx(off)


def table_of_hits(hits):
    """Factors, pairs and candidates: source i puts its own target first where `hits[i]`, and everything else is equal."""
    n = len(hits)
    left, right = np.zeros((2 * n + 5, n)), np.zeros((2 * n + 5, n))
    left[:n], right[n : 2 * n] = np.diag(np.asarray(hits, dtype=float)), np.eye(n)
    return left, right, {"own": np.stack([np.arange(n), np.arange(n, 2 * n)], axis=1)}, np.arange(2 * n, 2 * n + 5)


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_of_few_pairs_all_permutations_are_counted(n):
    """One of n! gives every source its own target; of two pairs, the other one is as far from the mean."""
    found = rank_scores.rank_scores(*table_of_hits(np.ones(n))).iloc[0]
    assert found["score"] == 1
    assert found["p"] == pytest.approx(1 if n == 2 else 1 / math.factorial(n))


def test_two_pairs_that_make_the_whole_score_are_as_rare_as_their_places():
    """Of twenty targets in random order two are both in their places once in 380 times, and the normal distribution does not know it."""
    found = rank_scores.rank_scores(*table_of_hits(np.arange(20) < 2)).iloc[0]
    assert 1 / (2 * 380) < found["p"] < 2 / 380
    assert 2 * scipy.stats.norm.sf(found["excess"] / found["spread"]) < 1e-8


@pytest.mark.parametrize("n", [10, 12])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_matches_of_a_planted_table_are_as_rare_as_matches_of_permutations(n, jitter):
    """Of n! permutations, (n choose m) times the derangements of n - m have m matches; a p-value may be larger, not smaller."""
    rng = np.random.default_rng(n)
    derangements = [1, 0]
    for k in range(2, n + 1):
        derangements.append((k - 1) * (derangements[-1] + derangements[-2]))
    for matches in (6, 7, n):
        order = np.arange(n)
        order[matches:] = np.roll(order[matches:], 1)
        left = np.pad(np.eye(n)[order] + jitter * rng.random((n, n)), ((0, n + 5), (0, 0)))
        right = np.concatenate([np.zeros((n, n)), np.eye(n), jitter * rng.random((5, n))])
        pairs = np.stack([np.arange(n), np.arange(n, 2 * n)], axis=1)
        found = rank_scores.rank_scores(left, right, {"r": pairs}, np.arange(2 * n, 2 * n + 5)).iloc[0]
        as_many = sum(math.comb(n, m) * derangements[n - m] for m in range(matches, n + 1)) / math.factorial(n)
        assert found["p"] >= 0.5 * as_many  # a draw of the null may be short of the truth where it is counted


def test_equal_columns_are_ties_however_their_products_are_summed():
    rng = np.random.default_rng(1)
    for width in (16, 33):
        left, right = rng.normal(size=(40, width)), np.tile(rng.normal(size=width), (60, 1))
        for targets in (np.arange(20), np.arange(40, 60)):  # among the candidates, and not
            ranks = rank_scores.rank_matrix(left, right, np.arange(20, 40), targets, np.arange(20))
            np.testing.assert_array_equal(ranks, 0.5)


def test_a_large_table_without_single_large_parts_is_tested_by_the_normal_distribution():
    rng = np.random.default_rng(5)
    left, right = rng.normal(size=(2, 200, 8))
    pairs = np.stack([np.arange(60), np.arange(60, 120)], axis=1)
    found = rank_scores.rank_scores(left, right, {"r": pairs}, np.arange(120, 200)).iloc[0]
    assert found["p"] == pytest.approx(2 * scipy.stats.norm.sf(abs(found["excess"]) / found["spread"]))


@pytest.mark.parametrize("layer", [0, 1])
def test_head_factors_are_the_vo_table_read_through_the_norm(reader, layer):
    for mine, theirs in zip(
        rank_scores.head_factors(reader.weights, layer, 1), vo_factors(reader.weights, layer, 1, "layer_norm"), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    update = torch.randn(reader.weights.n_layers, reader.weights.d_model, generator=torch.Generator().manual_seed(0))
    shifted = replace(reader.weights, W_E=reader.weights.W_E + update[layer])
    torch.testing.assert_close(
        rank_scores.head_factors(reader.weights, layer, 1, update)[0], vo_factors(shifted, layer, 1, "layer_norm")[0]
    )


def test_all_heads_by_rows_and_columns_of_the_words_alone(reader):
    """The restricted computation gives what the whole table gives."""
    rng = np.random.default_rng(3)
    relations = {"a": rng.permutation(400)[:12].reshape(6, 2), "b": rng.permutation(400)[:8].reshape(4, 2)}
    candidates = rng.permutation(400)[:50]
    table = rank_scores.head_rank_scores(reader.weights, relations, candidates)
    assert len(table) == 2 * 2 * 2
    whole = rank_scores.rank_scores(*vo_factors(reader.weights, 1, 0, "layer_norm"), relations, candidates)
    part = table[(table["layer"] == 1) & (table["head"] == 0)].reset_index(drop=True)
    # Factors of fewer rows may round otherwise: one of four pairs may change places with one of its 48 rivals or more.
    np.testing.assert_allclose(part["score"], whole["score"], atol=1 / (4 * 48))
    assert list(part["relation"]) == ["a", "b"]


def test_the_mean_update_is_what_states_have_beside_the_embedding(reader):
    from analysis_lib import activations

    texts = ["Nie wiem, czy jeśli.", "Mały źrebak pił wodę."]
    run = activations.run(reader.loaded, texts)
    used = ~run.tokens["first"].to_numpy()
    own = reader.weights.W_E[run.tokens["token_id"].to_numpy()[used]].numpy()
    expected = run.states[:2, used].mean(axis=1) - own.mean(axis=0)
    np.testing.assert_allclose(rank_scores.mean_updates(reader.loaded, texts).numpy(), expected, atol=1e-5)


def test_random_heads_are_a_null_and_both_p_values_count(reader):
    rng = np.random.default_rng(4)
    relations = {"a": rng.permutation(400)[:20].reshape(10, 2)}
    random = rank_scores.random_rank_scores(reader.weights, random_heads.rotated, relations, np.arange(60), n_draws=20, per_draw=2)
    assert len(random) == 40
    assert random["draw"].nunique() == 20
    scores = rank_scores.head_rank_scores(reader.weights, relations, np.arange(60))
    both = rank_scores.against_random(scores, random)
    assert (both["p_both"] >= both["p"]).all()
    assert (both["p_both"] >= both["p_random"]).all()
    planted = rank_scores.against_random(scores.assign(excess=0.4, p=1e-9), random)
    assert (planted["p_both"] < 0.01).all()
    mean, spread, n = random["excess"].mean(), random["excess"].std(), len(random)
    expected = scipy.stats.t.sf(abs(0.4 - mean) / (spread * np.sqrt(1 + 1 / n)), n - 1) * 2
    np.testing.assert_allclose(planted["p_random"], expected)
    alike = random.assign(excess=0.9 + 0.01 * random["excess"])  # far above mismatched pairs, and far below such random heads
    assert (rank_scores.against_random(scores.assign(excess=0.4, p=1e-9), alike)["p_both"] == 1).all()
    with pytest.raises(ValueError, match="fewer for 'a'"):
        rank_scores.against_random(scores, random[:1])


def test_few_random_heads_are_no_certain_null():
    """Of heads like three random ones, one in twenty has p below 0.05, and not the third that a normal distribution would give."""
    drawn, relations = np.random.default_rng(0).normal(size=(2000, 4)), np.arange(2000)  # of each relation three random heads and one more
    random = pd.DataFrame({"relation": relations.repeat(3), "excess": drawn[:, :3].ravel()})
    found = rank_scores.against_random(pd.DataFrame({"relation": relations, "excess": drawn[:, 3], "p": 0.0}), random)
    assert np.mean(found["p_random"] < 0.05) == pytest.approx(0.05, abs=0.015)  # three standard errors


def test_random_heads_read_with_the_update_that_they_are_given(reader):
    relations, rivals = {"a": np.arange(20).reshape(10, 2)}, np.arange(60)
    update = torch.randn(2, reader.weights.d_model, generator=torch.Generator().manual_seed(1))
    options = {"n_draws": 1, "per_draw": 4}
    found = rank_scores.random_rank_scores(reader.weights, random_heads.rotated, relations, rivals, update=update, **options)
    direct = rank_scores.head_rank_scores(random_heads.rotated(reader.weights, 0), relations, rivals, update=update)
    pd.testing.assert_frame_equal(found.drop(columns="draw"), direct)
    bare = rank_scores.random_rank_scores(reader.weights, random_heads.rotated, relations, rivals, **options)
    assert not np.allclose(found["score"], bare["score"])


def test_the_bare_embedding_puts_a_copy_first(reader):
    weights = replace(reader.weights, W_E=reader.weights.W_E.clone())
    weights.W_E[10:20] = weights.W_E[:10] * 2
    pairs = {"copies": np.stack([np.arange(10), np.arange(10, 20)], axis=1)}
    assert rank_scores.embedding_rank_scores(weights, pairs, np.arange(100, 200))["score"][0] > 0.95


def test_bad_input_is_named(reader):
    left = np.ones((5, 2))
    with pytest.raises(ValueError, match="targets: expected ids from 0 to 4"):
        rank_scores.rank_matrix(left, left, [0], [5], [0, 1, 2])
    with pytest.raises(ValueError, match="three distinct tokens or more, found 2 in 3"):
        rank_scores.rank_matrix(left, left, [0], [1], [0, 1, 1])
    with pytest.raises(ValueError, match="left and right: expected finite"):
        rank_scores.rank_matrix(left * np.nan, left, [0], [1], [0, 1, 2])
    with pytest.raises(ValueError, match="relations: expected one or more"):
        rank_scores.rank_scores(left, left, {}, [0, 1, 2])
    with pytest.raises(ValueError, match=r"relations\['r'\]: expected two pairs or more"):
        rank_scores.rank_scores(left, left, {"r": np.array([[0, 1]])}, [0, 1, 2])
    with pytest.raises(ValueError, match="n_draws and per_draw"):
        rank_scores.random_rank_scores(reader.weights, random_heads.rotated, {"r": np.array([[0, 1], [2, 3]])}, [0, 1, 2], n_draws=0)
    with pytest.raises(ValueError, match="expected ids from 0 to"):
        rank_scores.head_rank_scores(reader.weights, {"r": np.array([[0, 1], [2, 10**6]])}, [0, 1, 2])
