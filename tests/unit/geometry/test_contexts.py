"""How specific words are to their context: brute force, identities, the paper's definitions."""

import numpy as np
import pytest

from analysis_lib import geometry
from analysis_lib.geometry.contexts import similarity_of_averages
from analysis_lib.statistics import Measure
from tests.support import clouds
from tests.support.clouds import cloud, cosine


@pytest.fixture(scope="module")
def labelled():
    return clouds.labelled()


def test_self_similarity_of_a_word_is_the_anisotropy_of_its_occurrences(labelled):
    states, words, texts = labelled
    found = geometry.self_similarity(states, words, texts)
    assert list(found.units) == ["a", "b", "c"]
    baseline = geometry.anisotropy(states, texts).estimate
    for at, word in enumerate(found.units):
        own = geometry.anisotropy(states[:, words == word], texts[words == word]).estimate
        np.testing.assert_allclose(found.raw[:, at], own, atol=1e-12)
        np.testing.assert_allclose(found.adjusted[:, at], own - baseline, atol=1e-12)
        assert found.counts[at] == len(np.unique(texts[words == word]))


def test_self_similarity_with_one_occurrence_a_text_is_the_papers_mean_over_pairs():
    states, texts = cloud(n=24), np.tile(np.arange(8), 3)
    words = np.repeat(["x", "y", "z"], 8)
    found = geometry.self_similarity(states, words, texts)
    for at, word in enumerate("xyz"):
        np.testing.assert_allclose(found.raw[:, at], geometry.mean_cosine(states[:, words == word]), atol=1e-12)


def test_intra_sentence_similarity_is_the_papers_mean_over_words(labelled):
    states, _, texts = labelled
    found = geometry.intra_sentence_similarity(states, texts, min_words=3)
    for at, text in enumerate(found.units):
        x = states[2, texts == text]
        assert found.raw[2, at] == pytest.approx(np.mean([cosine(x.mean(axis=0), row) for row in x]), abs=1e-12)
        assert found.counts[at] == len(x) >= 3
    np.testing.assert_allclose(found.raw - found.adjusted, geometry.anisotropy(states, texts).estimate[:, None].repeat(len(found.units), 1))


def test_unrelated_words_are_alike_to_their_mean_by_one_over_the_root_of_their_number():
    texts = np.repeat(np.arange(300), 9)
    found = geometry.intra_sentence_similarity(np.random.default_rng(0).normal(size=(1, 2700, 200)), texts)
    assert found.raw.mean() == pytest.approx(1 / 3, abs=0.01)


def test_mev_is_the_uncentred_share_of_the_first_singular_value(labelled):
    states, words, texts = labelled
    found = geometry.max_explainable_variance(states, words, texts, n_permutations=3)
    for at, word in enumerate(found.units):
        values = np.linalg.svd(states[1, words == word], compute_uv=False) ** 2
        assert found.raw[1, at] == pytest.approx(values[0] / values.sum(), abs=1e-12)
        assert found.counts[at] == np.sum(words == word)


def test_mev_is_one_on_a_line_and_its_baseline_takes_away_the_effect_of_few_occurrences():
    rng = np.random.default_rng(0)
    texts = np.arange(400)
    words = np.r_[np.repeat("line", 10), np.repeat(["five", "many"], [5, 100]), [f"{i}" for i in range(285)]]
    states = rng.normal(size=(1, 400, 50))
    states[0, :10] = np.outer(rng.uniform(1, 2, 10), np.ones(50))
    found = geometry.max_explainable_variance(states, words, texts)
    by_word = dict(zip(found.units, zip(found.raw[0], found.adjusted[0], strict=True), strict=True))
    assert by_word["line"][0] == pytest.approx(1, abs=1e-12)
    assert by_word["five"][0] - by_word["many"][0] > 0.15
    assert abs(by_word["five"][1]) < 0.05
    assert abs(by_word["many"][1]) < 0.05


def test_averages_over_texts_are_more_alike_than_occurrences():
    """Noise of 4 occurrences a text: the squared mean of 1 stands beside noise of variance 1, or 1 / 4 after averaging."""
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(100), 4)
    states = rng.normal(size=(1, 400, 50)) + 1
    averaged, single = similarity_of_averages(states, texts), geometry.anisotropy(states, texts)
    assert single.estimate[0] == pytest.approx(1 / 2, abs=0.02)
    assert averaged.estimate[0] == pytest.approx(1 / (1 + 1 / 4), abs=0.02)
    brute = geometry.mean_cosine(states.reshape(1, 100, 4, 50).mean(axis=2))
    np.testing.assert_allclose(averaged.estimate, brute)
    assert (averaged - single).low[0] > 0.2


def test_function_words_and_content_words_are_told_by_their_readings():
    forms = np.array(["dom", "i", "nie", "okno", "w", "xyzzy"])
    counts = np.array([9, 30, 20, 8, 10, 7])
    values = np.zeros((1, 6))
    measure = Measure(forms, counts, values, values, "word")
    kinds = geometry.function_and_content(measure, n_function=2)
    assert set(forms[kinds["function"]]) == {"i", "nie"}  # the third, "w", is in fewer texts
    assert set(forms[kinds["content"]]) == {"dom", "okno"}
    with pytest.raises(ValueError, match="n_function is 4; expected 1 to 3"):
        geometry.function_and_content(measure, n_function=4)
