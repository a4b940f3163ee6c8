"""What a notebook may have set in PyTorch: other types and devices of new tensors, faster products."""

import numpy as np
import pytest
import torch

from analysis_lib import weights
from analysis_lib.projections import bounds, neurons, pair_search, token_search, top_tokens
from analysis_lib.projections.neuron_activity import random_directions
from analysis_lib.projections.pair_search import SPLITS, search_pairs
from analysis_lib.projections.random_heads import rotated
from tests.support import tiny

RNG = np.random.default_rng(0)
LEFT, RIGHT = (RNG.normal(size=(90, 6)).astype(np.float32) for _ in range(2))


@pytest.fixture(params=["float64", "meta"])
def another_default(request):
    """New tensors are float64, or on a device that holds no numbers, where nothing else is said."""
    if request.param == "float64":
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)
    else:
        with torch.device("meta"):
            yield


@pytest.fixture
def small_blocks(monkeypatch):
    """So that every branch of the searches is taken."""
    for module, name, value in ((pair_search, "CORNER", 7), (pair_search, "CHUNK", 7), (pair_search, "BLOCK", 7), (bounds, "LEAF", 7)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(token_search, "SPARE", 0)


@pytest.mark.parametrize("strategy", SPLITS)
def test_pairs_are_found_with_any_default(small_blocks, another_default, strategy):
    found = search_pairs(LEFT, RIGHT, k=30, strategy=strategy)[0]
    scores = (LEFT[:, None].astype(np.float64) * RIGHT[None]).sum(axis=-1)
    np.testing.assert_array_equal(found.scores, np.sort(scores, axis=None)[::-1][:30])


def test_tokens_are_found_with_any_default(small_blocks, another_default):
    scores = (LEFT[:, None].astype(np.float64) * RIGHT[None]).sum(axis=-1)
    np.testing.assert_array_equal(top_tokens(LEFT, RIGHT.T, k=5).scores, np.sort(scores, axis=1)[:, ::-1][:, :5])


def test_draws_are_the_same_with_float64_as_the_default():
    extracted = weights.weights_of(tiny.gpt2(vocab=40))

    def drawn():
        vectors = neurons.random_vectors(12, 6)
        return vectors, neurons.similar_vectors(vectors, 2), random_directions(vectors[0], 3), rotated(extracted, 0).W_V

    expected = drawn()
    torch.set_default_dtype(torch.float64)
    try:
        found = drawn()
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_that_are_rounded_further_are_refused(precision):
    torch.set_float32_matmul_precision(precision)
    try:
        for search in (lambda: search_pairs(LEFT, RIGHT), lambda: top_tokens(LEFT, RIGHT.T)):
            with pytest.raises(ValueError, match=r"float32 products: expected torch.set_float32_matmul_precision\('highest'\), found"):
                search()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert len(search_pairs(LEFT, RIGHT, k=3)[0].scores) == 3
