"""Mean cosines: brute force over all pairs, planted clouds with known answers, identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from analysis_lib import geometry
from analysis_lib.geometry.anisotropy import self_pair_bias
from tests.support import clouds
from tests.support.clouds import WIDTH, N, cloud, cosine
from tests.support.examples import examples


@pytest.fixture(scope="module")
def labelled():
    return clouds.labelled()


@examples(30)
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
    """95% of 200 samples; 0.89 is four standard errors below."""
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(40), 4)
    shift = np.r_[3.0, np.zeros(19)]
    truth = geometry.mean_cosine(rng.normal(size=(20_000, 20)) + shift)
    samples = (rng.normal(size=(200, 40, 20)) * 0.5)[:, texts] + rng.normal(size=(200, 160, 20)) * np.sqrt(0.75) + shift
    found = geometry.anisotropy(samples, texts, n_resamples=400)
    assert np.mean((found.low <= truth) & (truth <= found.high)) > 0.89
    np.testing.assert_allclose(np.nanmean(found.draws, axis=0), found.estimate, atol=0.02)


def test_contributions_of_the_dimensions_sum_to_the_anisotropy_of_the_measuring_half(labelled):
    states, _, texts = labelled
    rogue = geometry.rogue_dimensions(states, texts, k=WIDTH)
    measured = np.isin(texts, rogue.measured_on)
    found = geometry.anisotropy(states[:, measured], texts[measured])
    np.testing.assert_allclose(rogue.contributions.sum(axis=1), found.estimate, atol=1e-12)
    np.testing.assert_allclose(rogue.shares[-1].estimate, 1, atol=1e-12)
    np.testing.assert_allclose(rogue.shares[-1].draws, 1, atol=1e-9)
    first = np.take_along_axis(rogue.contributions, rogue.dimensions[:, :1], axis=1)[:, 0]
    np.testing.assert_allclose(rogue.shares[0].estimate, first / found.estimate)
    assert len(rogue.measured_on) == len(np.unique(texts)) // 2


def test_shares_of_dimensions_that_are_alike_are_not_inflated_by_the_choice():
    """A mean of 1 in each of 50 dimensions: three carry 3 / 50. On the texts that they were chosen on, the largest three carry more."""
    rng = np.random.default_rng(0)
    texts = np.repeat(np.arange(40), 2)
    states = rng.normal(size=(100, 80, 50)) + 1
    rogue = geometry.rogue_dimensions(states, texts, n_resamples=1)
    measured = rogue.shares[2].estimate
    naive = np.sort(rogue.contributions, axis=1)[:, -3:].sum(axis=1) / rogue.contributions.sum(axis=1)
    standard_error = measured.std() / np.sqrt(len(measured))
    assert measured.mean() == pytest.approx(3 / 50, abs=4 * standard_error)
    assert naive.mean() > 3 / 50 + 10 * standard_error


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


def test_profiles_of_the_same_texts_are_subtracted_resample_by_resample(labelled):
    states, _, texts = labelled
    found = geometry.anisotropy(states, texts)
    nothing = found - geometry.anisotropy(states * 3, texts)
    np.testing.assert_allclose([nothing.low, nothing.high], 0, atol=1e-12)
    change = found.change(0, 2)
    assert change.estimate == pytest.approx(found.estimate[2] - found.estimate[0])
    assert change.low < change.estimate < change.high
    assert found.at(1).low == found.low[1]


def test_a_part_of_the_texts_is_paired_with_the_whole(labelled):
    states, words, texts = labelled
    own = words == "a"
    part = geometry.anisotropy(states[:, own], texts[own], all_texts=texts, seed=3)
    whole = geometry.anisotropy(states, texts, seed=3)
    times = whole.units.counts(1000)[0][np.searchsorted(np.unique(texts), np.unique(texts[own]))]
    alone = geometry.anisotropy(states[:, own], texts[own])
    np.testing.assert_array_equal(part.estimate, alone.estimate)
    units = states[0] / np.linalg.norm(states[0], axis=1, keepdims=True)
    means = np.stack([units[own & (texts == text)].mean(axis=0) for text in np.unique(texts[own])])
    inner = means @ means.T * (1 - np.eye(len(means)))
    assert part.draws[0, 0] == pytest.approx(times @ inner @ times / (times.sum() ** 2 - (times**2).sum()), abs=1e-12)
    assert (part - whole).units == whole.units
    with pytest.raises(ValueError, match="same units and draws"):
        alone - whole
    with pytest.raises(ValueError, match="all_texts: .* none of"):
        geometry.anisotropy(states, texts, all_texts=texts[texts > texts.min()])


def test_self_pairs_add_what_pairs_with_replacement_would(labelled):
    states, _, texts = labelled
    within = geometry.within_texts(states, texts)
    for at, text in enumerate(within.units):
        x = states[1, texts == text]
        with_replacement = np.mean([cosine(a, b) for a in x for b in x])
        assert self_pair_bias(within)[1, at] == pytest.approx(with_replacement - within.raw[1, at], abs=1e-12)


@pytest.mark.parametrize(("n_texts", "resampled"), [(2, False), (3, False), (4, True)])
def test_few_texts_have_an_estimate_and_no_interval(n_texts, resampled):
    found = geometry.anisotropy(np.random.default_rng(0).normal(size=(1, 40, 5)), np.arange(40) % n_texts)
    assert np.isfinite(found.estimate).all()
    assert np.isfinite(found.low).all() == resampled


@pytest.mark.parametrize("size", [1e-25, 1, 1e25])
def test_the_length_of_vectors_does_not_matter(size):
    states = np.random.default_rng(1).normal(size=(1, 40, 5)).astype(np.float32)
    texts = np.arange(40) % 8
    np.testing.assert_allclose(
        geometry.anisotropy(np.float32(size) * states, texts).estimate, geometry.anisotropy(states, texts).estimate, rtol=1e-5
    )
