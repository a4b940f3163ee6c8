"""What measures of dimensions, causes and senses must not see, and planted answers, for whatever vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.geometry import anisotropy, iso_score, isotropy, rogue_dimensions
from analysis_lib.geometry.causes import explained_share, frequency_columns, position_columns
from analysis_lib.geometry.projection import principal_plane
from analysis_lib.geometry.word_senses import cosine_gap, nearest_occurrences, neighbour_accuracy
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(1e-3, 1e3)
WIDTH, TEXTS, EACH = 4, 8, 3
LABELS = np.repeat(np.arange(TEXTS), EACH)


def cloud(seed, layers=2, n=TEXTS * EACH, width=WIDTH):
    """Vectors around a common mean in each layer, and a rotation."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(layers, n, width)) + rng.normal(size=(layers, 1, width)), np.linalg.qr(rng.normal(size=(width, width)))[0]


@examples(20)
@given(seed=SEEDS, scale=SCALES)
def test_rogue_dimensions_are_numbers_of_coordinates_and_their_shares_add_up(seed, scale):
    states, _ = cloud(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(WIDTH)
    found = rogue_dimensions(states, LABELS, k=WIDTH, n_resamples=2)
    lengths = scale * rng.lognormal(size=(2, TEXTS * EACH, 1))
    turned = rogue_dimensions((lengths * states)[..., order], LABELS, k=WIDTH, n_resamples=2)
    np.testing.assert_array_equal(order[turned.dimensions], found.dimensions)
    np.testing.assert_allclose(turned.contributions, found.contributions[:, order], atol=1e-12)
    measured = np.isin(LABELS, found.measured_on)
    whole = anisotropy(states[:, measured], LABELS[measured], n_resamples=1).estimate
    np.testing.assert_allclose(found.contributions.sum(axis=1), whole, atol=1e-12)
    summed = np.cumsum(np.take_along_axis(found.contributions, found.dimensions, axis=1), axis=1)
    np.testing.assert_allclose(np.stack([share.estimate for share in found.shares], axis=1) * whole[:, None], summed, atol=1e-12)
    fewer = rogue_dimensions(states, LABELS, k=1, n_resamples=2)
    np.testing.assert_array_equal(fewer.dimensions, found.dimensions[:, :1])
    np.testing.assert_allclose(fewer.shares[0].draws, found.shares[0].draws, rtol=1e-6)


@examples(20)
@given(seed=SEEDS, dimension=st.integers(0, WIDTH - 1))
def test_a_dimension_that_alone_has_a_mean_is_the_rogue_one(seed, dimension):
    states = np.random.default_rng(seed).normal(size=(1, TEXTS * EACH, WIDTH))
    states[..., dimension] += 100
    found = rogue_dimensions(states, LABELS, k=1, n_resamples=2)
    assert found.dimensions == dimension
    assert found.shares[0].estimate == pytest.approx(1, abs=0.01)


@examples(20)
@given(seed=SEEDS, scale=SCALES, shift=st.floats(-100, 100))
def test_isotropy_and_its_resamples_see_neither_mean_nor_scale_nor_axes(seed, scale, shift):
    states, rotation = cloud(seed)
    found, turned = (isotropy(given, LABELS, n_resamples=20) for given in (states, scale * (states @ rotation + shift)))
    np.testing.assert_allclose(turned.estimate, found.estimate, atol=1e-8)
    np.testing.assert_allclose(turned.draws, found.draws, atol=1e-8)
    np.testing.assert_array_equal(found.estimate, iso_score(states))
    assert ((found.draws >= 0) & (found.draws <= 1 + 1e-12)).all()


@examples(5)
@given(seed=SEEDS)
def test_isotropy_in_single_precision_hardly_sees_a_common_mean_either(seed):
    """A mean five hundred times as long as the spread, which some dimensions of GPT-2 have."""
    states = cloud(seed, layers=1, n=4000)[0].astype(np.float32)
    texts = np.repeat(np.arange(400), 10)
    shifted = states + np.float32(512)
    found, expected = (isotropy(given, texts, n_resamples=20) for given in (shifted, shifted.astype(np.float64)))
    np.testing.assert_allclose(found.estimate, expected.estimate, atol=1e-6)
    np.testing.assert_allclose(found.draws, expected.draws, atol=1e-5)  # sums of 4000 float32 squares


@examples(20)
@given(seed=SEEDS, scale=SCALES)
def test_what_columns_explain_depends_on_the_space_that_they_span(seed, scale):
    states, _ = cloud(seed)
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(TEXTS * EACH, 2))
    found = explained_share(states, columns, LABELS, n_resamples=5)
    mixed = explained_share(scale * states, columns @ (rng.normal(size=(2, 2)) + 3 * np.eye(2)) + 1, LABELS, n_resamples=5)
    np.testing.assert_allclose(mixed.estimate, found.estimate, atol=1e-6)
    assert (found.estimate <= 1).all()
    assert (found.draws <= 1).all()


@examples(20)
@given(seed=SEEDS)
def test_columns_that_are_the_coordinates_explain_all_of_them(seed):
    states = cloud(seed, layers=1)[0]
    states /= np.linalg.norm(states, axis=-1, keepdims=True)
    np.testing.assert_allclose(explained_share(states, states[0], LABELS, n_resamples=5).draws, 1, atol=1e-9)
    one = explained_share(states, states[0, :, :1], LABELS, dimensions=[[0]], n_resamples=5)
    np.testing.assert_allclose(one.draws, 1, atol=1e-9)


@examples(50)
@given(positions=st.lists(st.integers(0, 30), min_size=1, max_size=20), last=st.integers(1, 15))
def test_each_position_has_at_most_one_column_and_late_ones_share_theirs(positions, last):
    found = position_columns(positions, last)
    for position, row in zip(positions, found, strict=True):
        assert np.flatnonzero(row).tolist() == ([] if position == 0 else [min(position, last) - 1])


@examples(50)
@given(forms=st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_columns_of_frequency_are_logarithms_of_counts(forms):
    expected = [[np.log(forms.count(form)), np.log(forms.count(form)) ** 2] for form in forms]
    np.testing.assert_allclose(frequency_columns(forms), expected)


@examples(20)
@given(seed=SEEDS, n=st.integers(3, 12), scale=SCALES, shift=st.floats(-100, 100))
def test_a_plane_keeps_no_more_than_there_is_and_turns_with_nothing(seed, n, scale, shift):
    states, rotation = cloud(seed, n=n)
    found, turned = principal_plane(states), principal_plane(scale * (states @ rotation + shift))
    np.testing.assert_allclose(turned.kept, found.kept, atol=1e-8)
    assert ((found.kept > 0.5 * 2 / WIDTH) & (found.kept <= 1 + 1e-12)).all()
    distances, seen = (np.linalg.norm(of[:, :, None] - of[:, None], axis=-1) for of in (states, found.points))
    assert (seen <= distances + 1e-9).all()
    flat = np.concatenate([states[..., :2], np.zeros_like(states)], axis=-1)
    np.testing.assert_allclose(principal_plane(flat).kept, 1)


@st.composite
def occurrences(draw):
    """Two lemmas of two senses, each sense twice or more, in random order."""
    counts = draw(st.lists(st.integers(2, 4), min_size=4, max_size=4))
    lemma, sense = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)
    rng = np.random.default_rng(draw(SEEDS))
    order = rng.permutation(len(lemma))
    return rng.normal(size=(2, len(lemma), WIDTH)), lemma[order], sense[order], rng


@examples(20)
@given(given_=occurrences())
@pytest.mark.parametrize("test", [cosine_gap, neighbour_accuracy])
def test_a_test_of_senses_sees_neither_lengths_nor_axes_nor_names_nor_order(test, given_):
    states, lemma, sense, rng = given_
    found = test(states, lemma, sense, n_permutations=20)
    rotation = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    order = rng.permutation(len(lemma))
    lengths = rng.lognormal(size=(2, len(lemma), 1))
    changed = test((lengths * states @ rotation)[:, order], lemma[order], np.array(["x", "b"])[sense[order]], n_permutations=20)
    np.testing.assert_allclose(changed.measure.raw, found.measure.raw, atol=1e-12)
    smallest = -2 if test is cosine_gap else 0
    assert ((found.measure.raw >= smallest) & (found.measure.raw <= -smallest + (smallest == 0))).all()
    assert ((found.pvalues > 0) & (found.pvalues <= 1)).all()


@examples(20)
@given(given_=occurrences())
def test_a_gap_of_senses_is_what_its_name_says(given_):
    states, lemma, sense, _ = given_
    found = cosine_gap(states, lemma, sense, n_permutations=1).measure
    for at, name in enumerate(found.units):
        rows = np.flatnonzero(lemma == name)
        units = states[0, rows] / np.linalg.norm(states[0, rows], axis=-1, keepdims=True)
        pairs = [(units[i] @ units[j], sense[rows[i]] == sense[rows[j]]) for i in range(len(rows)) for j in range(i)]
        expected = np.mean([cosine for cosine, same in pairs if same]) - np.mean([cosine for cosine, same in pairs if not same])
        assert found.raw[0, at] == pytest.approx(expected)


@examples(20)
@given(given_=occurrences())
def test_senses_that_point_in_opposite_directions_are_told_apart(given_):
    states, lemma, sense, _ = given_
    states[..., 0] = np.where(sense == 1, 100, -100)
    assert (neighbour_accuracy(states, lemma, sense, n_permutations=1).measure.raw == 1).all()
    np.testing.assert_allclose(cosine_gap(states, lemma, sense, n_permutations=1).measure.raw, 2, atol=0.02)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 12))
def test_nearest_occurrences_are_all_others_in_the_order_of_their_cosines(seed, n):
    states = cloud(seed, layers=1, n=n)[0][0]
    order, cosines = nearest_occurrences(states, seed % n)
    assert sorted([*order, seed % n]) == list(range(n))
    assert (np.diff(cosines) <= 0).all()
    lengths = np.linalg.norm(states, axis=1)
    np.testing.assert_allclose(cosines, states[order] @ states[seed % n] / lengths[order] / lengths[seed % n])


@examples(20)
@given(value=st.floats(0.001, 1), n=st.integers(6, 12))
def test_equal_vectors_have_no_isotropy(value, n):
    with pytest.raises(ValueError, match="states are all equal in a layer"):
        iso_score(np.full((n, 2), value))


@examples(20)
@given(seed=SEEDS)
def test_a_resample_without_variance_has_no_score_and_the_others_have(seed):
    """Three of four texts stand at the common mean: a resample of these alone says nothing."""
    states = np.zeros((1, 24, 2))
    states[0, :3] = np.random.default_rng(seed).integers(1, 5, (3, 2))  # whole numbers, of which a mean of 0 is exact
    states[0, 3:6] = -states[0, :3]
    found = isotropy(states, np.repeat(np.arange(4), 6), n_resamples=50)
    assert np.isnan(found.draws).any()
    np.testing.assert_allclose(found.draws[np.isfinite(found.draws)], found.estimate[0], atol=1e-9)
    assert np.isfinite([found.low, found.high]).all()
