"""Geometry of states: brute force over all pairs, planted clouds with known answers, identities, the IsoScore package."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from analysis_lib import geometry
from analysis_lib.statistics import Measure, Profile

LAYERS, N, WIDTH = 3, 60, 7


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def cloud(seed=0, n=N, width=WIDTH, layers=LAYERS):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(layers, n, width)) + rng.normal(size=(layers, 1, width))


@pytest.fixture(scope="module")
def labelled():
    """States with words (few, so that each is in many texts) and texts of uneven length."""
    rng = np.random.default_rng(1)
    words = rng.choice(["a", "b", "c", "rare"], size=N, p=[0.4, 0.3, 0.25, 0.05])
    return cloud(), words, rng.integers(0, 12, size=N)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 12), width=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_mean_cosine_is_the_mean_over_all_pairs(n, width, seed):
    states = np.random.default_rng(seed).normal(size=(2, n, width)) * 10.0 ** np.arange(n)[:, None]
    brute = [np.mean([cosine(x[i], x[j]) for i in range(n) for j in range(n) if i != j]) for x in states]
    np.testing.assert_allclose(geometry.mean_cosine(states), brute, atol=1e-12)
    assert geometry.mean_cosine(states[0]) == pytest.approx(brute[0], abs=1e-12)


def test_mean_cosine_ignores_rotation_and_each_vectors_scale():
    states, turn = cloud(), ortho_group.rvs(WIDTH, random_state=2)
    scales = np.random.default_rng(3).uniform(0.1, 10, size=(N, 1))
    np.testing.assert_allclose(geometry.mean_cosine(states * scales @ turn), geometry.mean_cosine(states), atol=1e-12)


def test_mean_cosine_of_planted_clouds():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 50))
    shift = np.zeros(50)
    shift[0] = 10.0  # as long as the noise on average, squared: 100 and 50, so the mean cosine is 100 / 150
    found = geometry.mean_cosine(np.stack([noise, noise + shift]))
    assert abs(found[0]) < 1e-3
    assert found[1] == pytest.approx(2 / 3, abs=0.01)


def test_anisotropy_is_the_mean_over_pairs_of_texts_and_a_word_of_each(labelled):
    states, _, texts = labelled
    x = states[1]
    pairs = [
        np.mean([cosine(x[i], x[j]) for i in np.flatnonzero(texts == s) for j in np.flatnonzero(texts == t)])
        for s in np.unique(texts)
        for t in np.unique(texts)
        if s != t
    ]
    assert geometry.anisotropy(states, texts).estimate[1] == pytest.approx(np.mean(pairs), abs=1e-12)


def test_anisotropy_does_not_see_what_words_of_one_text_share():
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(100), 10)
    states = (rng.normal(size=(100, 40))[texts] * 2 + rng.normal(size=(1000, 40)))[None]
    found = geometry.anisotropy(states, texts)
    within = np.mean([geometry.mean_cosine(states[0, texts == t]) for t in range(100)])
    assert within == pytest.approx(0.8, abs=0.03)  # 4 / (4 + 1)
    assert found.low[0] < 0 < found.high[0]


def test_within_texts_is_the_mean_cosine_of_each_text(labelled):
    states, _, texts = labelled
    texts = np.where(np.arange(N) == 0, 99, texts)  # a text of one vector
    found = geometry.within_texts(states, texts)
    assert list(found.units) == [text for text in np.unique(texts) if np.sum(texts == text) > 1]
    for at, text in enumerate(found.units):
        np.testing.assert_allclose(found.raw[:, at], geometry.mean_cosine(states[:, texts == text]), atol=1e-12)
        assert found.counts[at] == np.sum(texts == text)
    np.testing.assert_allclose((found.raw - found.adjusted)[:, 0], geometry.anisotropy(states, texts).estimate, atol=1e-12)


def test_a_bootstrap_resample_is_the_estimate_on_the_texts_drawn(labelled):
    """Text drawn m times: its pairs with other texts count m times, those with itself never."""
    states, _, texts = labelled
    found = geometry.anisotropy(states, texts, n_resamples=1, seed=5)
    n_texts = len(np.unique(texts))
    times = np.random.default_rng(5).multinomial(n_texts, np.full(n_texts, 1 / n_texts))
    units = states[0] / np.linalg.norm(states[0], axis=1, keepdims=True)
    means = np.stack([units[texts == t].mean(axis=0) for t in np.unique(texts)])
    total = sum(times[s] * times[t] * means[s] @ means[t] for s in range(n_texts) for t in range(n_texts) if s != t)
    assert found.draws[0, 0] == pytest.approx(total / (times.sum() ** 2 - (times**2).sum()), abs=1e-12)


def test_anisotropy_interval_covers_the_truth_about_as_often_as_it_says():
    """95 % of 200 samples; 0.89 is four standard errors below."""
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(40), 4)
    shift = np.r_[3.0, np.zeros(19)]
    truth = geometry.mean_cosine(rng.normal(size=(20_000, 20)) + shift)
    samples = (rng.normal(size=(200, 40, 20)) * 0.5)[:, texts] + rng.normal(size=(200, 160, 20)) * np.sqrt(0.75) + shift
    found = geometry.anisotropy(samples, texts, n_resamples=400)
    assert np.mean((found.low <= truth) & (truth <= found.high)) > 0.89
    np.testing.assert_allclose(np.nanmean(found.draws, axis=0), found.estimate, atol=0.02)


def test_contributions_of_the_dimensions_sum_to_the_anisotropy(labelled):
    states, _, texts = labelled
    rogue = geometry.rogue_dimensions(states, texts, k=WIDTH)
    found = geometry.anisotropy(states, texts)
    np.testing.assert_allclose(rogue.contributions.sum(axis=1), found.estimate, atol=1e-12)
    np.testing.assert_allclose(rogue.shares[-1].estimate, 1, atol=1e-12)
    np.testing.assert_allclose(rogue.shares[-1].draws, 1, atol=1e-9)
    ordered = np.take_along_axis(rogue.contributions, rogue.dimensions, axis=1)
    assert (np.diff(ordered, axis=1) <= 0).all()


def test_one_planted_dimension_carries_the_mean_cosine_and_isoscore_sees_another():
    """A mean in dimension 4 makes all cosines; variance in dimension 2 makes IsoScore small and no cosine."""
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(200), 10)
    noise = rng.normal(size=(2000, 30))
    shifted, stretched = noise + 20 * np.eye(30)[4], noise * np.where(np.arange(30) == 2, 50, 1)
    states = np.stack([shifted, stretched])
    rogue = geometry.rogue_dimensions(states, texts, k=1)
    assert rogue.dimensions[0, 0] == 4
    assert rogue.shares[0].estimate[0] > 0.99
    anisotropy, score = geometry.anisotropy(states, texts), geometry.isotropy(states, texts)
    assert anisotropy.estimate[0] > 0.9
    assert score.estimate[0] > 0.95
    assert anisotropy.low[1] < 0 < anisotropy.high[1]
    assert score.estimate[1] < 0.01


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
    found = geometry.max_explainable_variance(states, words, texts, n_random=3)
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


def isoscore_by_definition(points):
    """Rudman et al. 2022, algorithm 1, step by step."""
    variances = np.linalg.eigvalsh(np.cov(points.T))
    n = len(variances)
    normalised = np.sqrt(n) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (n - np.sqrt(n)))
    used = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return (n * used - 1) / (n - 1)


def test_iso_score_is_the_definitions():
    states = cloud() * np.arange(1, WIDTH + 1)
    np.testing.assert_allclose(geometry.iso_score(states), [isoscore_by_definition(x) for x in states], atol=1e-12)


def test_iso_score_agrees_with_the_package():
    package = pytest.importorskip("IsoScore.IsoScore")
    states = cloud(n=300, width=20) * np.geomspace(1, 5, 20)
    found = [float(package.IsoScore(points)) for points in states]
    np.testing.assert_allclose(geometry.iso_score(states), found, atol=1e-6)  # the package takes square roots in float32


def test_iso_score_ignores_mean_scale_and_rotation_but_not_the_scale_of_an_axis():
    states, turn = cloud(), ortho_group.rvs(WIDTH, random_state=2)
    np.testing.assert_allclose(geometry.iso_score(5 * states @ turn + 100), geometry.iso_score(states), atol=1e-9)
    assert (geometry.iso_score(states * np.r_[100, np.ones(WIDTH - 1)]) < 0.01).all()


def test_iso_score_of_few_points_is_low_as_the_warning_says():
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="100 vectors in 64 dimensions.*0.61"):
        few = geometry.iso_score(rng.normal(size=(100, 64)))
    assert few == pytest.approx(100 / 164, abs=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert geometry.iso_score(rng.normal(size=(20_000, 64))) > 0.99


def test_isotropy_draws_are_iso_scores_of_the_blocks_drawn():
    states, texts = cloud(n=120), np.arange(120) // 3
    found = geometry.isotropy(states, texts, n_blocks=10, n_resamples=1, seed=4)
    times = np.random.default_rng(4).multinomial(10, np.full(10, 0.1))
    block = np.random.default_rng(4).permutation(40)[texts] % 10
    centred = states[0] - states[0].mean(axis=0)
    second = sum(times[b] * centred[block == b].T @ centred[block == b] for b in range(10))
    ratio = np.trace(second) ** 2 / np.trace(second @ second)
    assert found.draws[0, 0] == pytest.approx((ratio - 1) / (WIDTH - 1), abs=1e-12)
    np.testing.assert_allclose(found.estimate, geometry.iso_score(states))


def test_profiles_of_the_same_texts_are_subtracted_resample_by_resample(labelled):
    states, _, texts = labelled
    found = geometry.anisotropy(states, texts)
    nothing = found - geometry.anisotropy(states * 3, texts)
    np.testing.assert_allclose([nothing.low, nothing.high], 0, atol=1e-12)
    change = found.change(0, 2)
    assert change.estimate == pytest.approx(found.estimate[2] - found.estimate[0])
    assert change.low < change.estimate < change.high
    assert found.at(1).low == found.low[1]


def test_the_mean_of_a_measure_resamples_its_units():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 400)) + np.array([[0.0], [3.0]])
    measure = Measure(np.arange(400), np.ones(400), values, values - 1)
    found = measure.mean(adjusted=False)
    np.testing.assert_allclose(found.estimate, values.mean(axis=1))
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 / 20, rtol=0.15)
    np.testing.assert_allclose(measure.mean().estimate, found.estimate - 1)
    chosen = measure.units < 100
    np.testing.assert_allclose(measure.mean(chosen, adjusted=False).estimate, values[:, :100].mean(axis=1))
    with pytest.raises(ValueError, match="1 units"):
        measure.mean(measure.units < 1)


def test_a_resample_of_one_text_alone_is_left_out():
    found = Profile(np.array([0.5]), np.array([[0.4], [np.nan], [0.6]]))
    assert 0.39 < found.low[0] < 0.5 < found.high[0] < 0.61


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: geometry.mean_cosine(x[:, :1]), "two vectors"),
        (lambda x: geometry.mean_cosine(np.where(np.arange(60)[:, None] == 3, 0, x)), r"states\[0, 3\] is zero"),
        (lambda x: geometry.mean_cosine(np.where(np.arange(60)[:, None] == 3, np.nan, x)), r"states\[0, 3\].*not finite"),
        (lambda x: geometry.iso_score(np.where(np.arange(60)[:, None] == 3, np.inf, x)), "not finite"),
        (lambda x: geometry.iso_score(np.ones((1, 60, 3))), "all equal"),
        (lambda x: geometry.iso_score(x[..., :1]), "1 dimension"),
        (lambda x: geometry.anisotropy(x, np.zeros(60)), "two texts"),
        (lambda x: geometry.anisotropy(x, np.arange(59)), r"texts has shape \(59,\)"),
        (lambda x: geometry.anisotropy(x, np.arange(60), n_resamples=0), "n_resamples is 0"),
        (lambda x: geometry.within_texts(x, np.arange(60)), "texts are all different"),
        (lambda x: geometry.rogue_dimensions(x, np.arange(60), k=8), "k is 8"),
        (lambda x: geometry.self_similarity(x, np.arange(60), np.arange(60)), "1 texts at most"),
        (lambda x: geometry.self_similarity(x, np.zeros(60), np.arange(60), min_contexts=1), "min_contexts is 1"),
        (lambda x: geometry.self_similarity(x, np.zeros(9), np.arange(60)), "words has shape"),
        (lambda x: geometry.intra_sentence_similarity(x, np.arange(60)), "at most 1 words"),
        (lambda x: geometry.intra_sentence_similarity(x, np.arange(60), min_words=1), "min_words is 1"),
        (lambda x: geometry.max_explainable_variance(x, np.zeros(60), np.arange(60), n_random=0), "n_random is 0"),
        (lambda x: geometry.isotropy(x, np.zeros(60)), "two blocks"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(cloud())


def test_arguments_are_left_as_they_were(labelled):
    states, words, texts = (array.copy() for array in labelled)
    for call in (geometry.self_similarity, geometry.max_explainable_variance):
        call(states, words, texts)
    for call in (geometry.anisotropy, geometry.isotropy, geometry.rogue_dimensions, geometry.intra_sentence_similarity):
        call(states, texts)
    for array, before in zip((states, words, texts), labelled, strict=True):
        np.testing.assert_array_equal(array, before)
