"""What holds for whatever weights, patterns and tokens."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.circuits import composition_scores, copying_scores, induction_targets, virtual_patterns
from analysis_lib.weights import extract
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
    weights = extract(tiny.gpt2(layers=2, heads=2, seed=seed))
    larger = dataclasses.replace(weights, W_O=scale * weights.W_O, W_K=scale * weights.W_K)
    found = copying_scores(weights)
    assert (np.abs(found) <= 1 + 1e-12).all()
    assert copying_scores(larger) == pytest.approx(found, abs=1e-6)
    for kind in "QKV":
        scores = composition_scores(weights, kind)
        assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()
        assert not scores[1].any()  # nothing reads what the last layer writes
        np.testing.assert_allclose(composition_scores(larger, kind), scores, atol=1e-6)
