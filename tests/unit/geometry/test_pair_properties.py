"""Closed forms of mean cosines beside the pairs themselves, and what dimension and averages must not see."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.geometry import anisotropy, max_explainable_variance, self_similarity, within_texts
from analysis_lib.geometry.anisotropy import self_pair_bias
from analysis_lib.geometry.contexts import intra_sentence_similarity, similarity_of_averages
from analysis_lib.geometry.cosines import between, between_by_dimension, group_means, unit_vectors
from analysis_lib.geometry.intrinsic_dimension import intrinsic_dimension
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
WIDTH = 4


@st.composite
def sample(draw):
    """States [2, n, d] of two words in three texts or more, each word in two texts at least; words, texts and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    counts = draw(st.lists(st.integers(1, 3), min_size=6, max_size=8))
    texts = np.repeat(np.arange(len(counts)) // 2, counts)
    words = np.repeat(np.arange(len(counts)) % 2, counts)
    order = rng.permutation(len(texts))
    return rng.normal(size=(2, len(texts), WIDTH)) + 0.5, words[order], texts[order], rng


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def between_texts(states, texts):
    """Mean over pairs of different texts of the mean cosine of a vector of one and a vector of the other."""
    of_text = [states[texts == text] for text in np.unique(texts)]
    return np.mean([np.mean([cosine(x, y) for x in a for y in b]) for a, b in itertools.combinations(of_text, 2)])


@examples(15)
@given(drawn=sample())
def test_measures_of_words_and_texts_are_means_over_their_pairs(drawn):
    states, words, texts, _ = drawn
    whole = anisotropy(states, texts, n_resamples=1).estimate
    similar = self_similarity(states, words, texts, min_contexts=2)
    inside = within_texts(states, texts)
    sentence = intra_sentence_similarity(states, texts, min_words=2)
    explained = max_explainable_variance(states, words, texts, min_contexts=2, n_permutations=1)
    for layer, vectors in enumerate(states):
        assert whole[layer] == pytest.approx(between_texts(vectors, texts))
        for place, word in enumerate(similar.units):
            own = words == word
            assert similar.raw[layer, place] == pytest.approx(between_texts(vectors[own], texts[own]))
            sizes = np.linalg.svd(vectors[own], compute_uv=False) ** 2
            assert explained.raw[layer, place] == pytest.approx(sizes[0] / sizes.sum())
        for place, text in enumerate(inside.units):
            own = vectors[texts == text]
            mean = np.mean([cosine(a, b) for a, b in itertools.combinations(own, 2)])
            assert inside.raw[layer, place] == pytest.approx(mean)
            with_itself = np.mean([cosine(a, b) for a in own for b in own])
            assert self_pair_bias(inside)[layer, place] == pytest.approx(with_itself - mean)
        for place, text in enumerate(sentence.units):
            own = vectors[texts == text]
            assert sentence.raw[layer, place] == pytest.approx(np.mean([cosine(own.mean(axis=0), one) for one in own]))
    np.testing.assert_allclose(similar.raw - similar.adjusted, np.tile(whole, (len(similar.units), 1)).T)


@examples(15)
@given(drawn=sample())
def test_similarity_of_averages_is_that_of_the_means_and_no_other_where_a_text_has_one_vector(drawn):
    states, _, texts, _ = drawn
    names = np.unique(texts)
    means = np.stack([states[:, texts == text].mean(axis=1) for text in names], axis=1)
    found = similarity_of_averages(states, texts).estimate
    np.testing.assert_allclose(found, [between_texts(layer, names) for layer in means])
    np.testing.assert_allclose(similarity_of_averages(means, names).estimate, anisotropy(means, names, n_resamples=1).estimate)


@examples(20)
@given(drawn=sample(), scale=st.floats(1e-3, 1e3))
def test_group_means_and_unit_vectors_are_what_they_say(drawn, scale):
    states, words, _, rng = drawn
    means, counts = group_means(states, words)
    assert counts.tolist() == [(words == word).sum() for word in np.unique(words)]
    np.testing.assert_allclose(means, np.stack([states[:, words == word].mean(axis=1) for word in np.unique(words)], axis=1))
    units = unit_vectors(states)
    np.testing.assert_allclose(np.linalg.norm(units, axis=-1), 1)
    np.testing.assert_allclose(unit_vectors(scale * rng.lognormal(size=(2, len(words), 1)) * states), units)
    np.testing.assert_allclose(unit_vectors(np.float32(1e30) * states.astype(np.float32)), units, atol=1e-6)


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 6))
def test_weighted_products_are_those_of_vectors_that_are_there_as_often_as_they_weigh(seed, n):
    """Copies of a vector are no pair."""
    rng = np.random.default_rng(seed)
    vectors, weights = rng.normal(size=(2, n, WIDTH)), rng.integers(0, 4, (5, n)).astype(float)
    found, parts = between(vectors, weights), between_by_dimension(vectors, weights)
    np.testing.assert_allclose(parts.sum(axis=-1).T, found, atol=1e-9)
    for resample, counts in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(n), counts)
        pairs = [(a, b) for a in rows for b in rows if a != b]
        for layer, own in enumerate(vectors):
            expected = np.mean([own[a] @ own[b] for a, b in pairs]) if pairs else np.nan
            np.testing.assert_allclose(found[resample, layer], expected, atol=1e-9)


@examples(8)
@given(seed=SEEDS, scale=st.floats(1e-2, 1e2), shift=st.floats(-10, 10))
def test_a_dimension_and_its_resamples_see_neither_mean_nor_scale_nor_axes_nor_columns_of_zeros(seed, scale, shift):
    rng = np.random.default_rng(seed)
    points, texts = rng.normal(size=(40, WIDTH)), np.repeat(np.arange(8), 5)
    turned = scale * (points @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0] + shift)
    flat = np.concatenate([points, np.zeros((40, 3))], axis=1)
    found, changed, padded = (intrinsic_dimension(cloud[None], texts, k=5, n_resamples=5) for cloud in (points, turned, flat))
    for name, profile in found.items():
        assert profile.estimate > 0
        np.testing.assert_allclose(changed[name].estimate, profile.estimate, rtol=1e-6)
        np.testing.assert_allclose(changed[name].draws, profile.draws, rtol=1e-6)
        np.testing.assert_allclose(padded[name].draws, profile.draws, rtol=1e-9)
