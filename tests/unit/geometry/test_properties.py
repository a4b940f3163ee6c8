"""What holds for whatever vectors: bounds, and changes that the measures must not see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.geometry import anisotropy, intra_sentence_similarity, iso_score, max_explainable_variance, self_similarity, within_texts
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
WIDTH, TEXTS, EACH = 5, 6, 4
LABELS = np.repeat(np.arange(TEXTS), EACH)
WORDS = np.tile(np.arange(EACH), TEXTS)  # each word stands in each text
MEASURES = {
    "anisotropy": lambda states: anisotropy(states, LABELS, n_resamples=1).estimate,
    "within texts": lambda states: within_texts(states, LABELS).raw,
    "self-similarity": lambda states: self_similarity(states, WORDS, LABELS).raw,
    "intra-sentence similarity": lambda states: intra_sentence_similarity(states, LABELS).raw,
    "explainable variance": lambda states: max_explainable_variance(states, WORDS, LABELS, n_permutations=1).raw,
}


def cloud(seed):
    """Vectors around a common mean, and a rotation."""
    rng = np.random.default_rng(seed)
    return rng.normal(rng.normal(size=WIDTH), 1, (2, TEXTS * EACH, WIDTH)), np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]


@examples(20)
@given(seed=SEEDS, scale=st.floats(1e-3, 1e3))
@pytest.mark.parametrize("name", MEASURES)
def test_rotation_and_scale_do_not_matter(name, seed, scale):
    states, rotation = cloud(seed)
    found = MEASURES[name](states)
    np.testing.assert_allclose(MEASURES[name](scale * states @ rotation), found, atol=1e-9)
    assert (np.abs(found) <= 1 + 1e-12).all()


@examples(20)
@given(seed=SEEDS)
@pytest.mark.parametrize("name", [name for name in MEASURES if name != "explainable variance"])
def test_measures_of_cosines_do_not_see_how_long_a_vector_is(name, seed):
    states, _ = cloud(seed)
    lengths = np.random.default_rng(seed).lognormal(size=(2, TEXTS * EACH, 1))
    if name == "intra-sentence similarity":
        lengths = lengths[:, LABELS * EACH]  # a text's mean is taken of its vectors, which may share a length only
    np.testing.assert_allclose(MEASURES[name](lengths * states), MEASURES[name](states), atol=1e-9)


@examples(20)
@given(seed=SEEDS)
def test_the_largest_share_of_variance_is_at_least_an_even_one(seed):
    assert (MEASURES["explainable variance"](cloud(seed)[0]) >= 1 / WIDTH - 1e-12).all()


@examples(20)
@given(seed=SEEDS, scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_iso_score_sees_neither_mean_nor_scale_nor_axes(seed, scale, shift):
    states, rotation = cloud(seed)
    found = iso_score(states)
    assert ((found > 0) & (found <= 1)).all()
    np.testing.assert_allclose(iso_score(scale * (states @ rotation + shift)), found, atol=1e-8)
