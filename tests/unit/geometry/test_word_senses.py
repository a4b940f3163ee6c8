"""Sense separation: planted senses, senses that only forms tell, brute force over pairs, permutations that keep forms."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib.geometry import word_senses

WIDTH = 30


def sample(n_lemmas=12, per_sense=9, sense=0.0, form=0.0, form_follows_sense=False, seed=0):
    """States of lemmas with two senses and four forms: noise plus a direction a sense and a direction a form."""
    rng = np.random.default_rng(seed)
    lemmas = np.repeat([f"lemma{i}" for i in range(n_lemmas)], 2 * per_sense)
    senses = np.tile(np.repeat(["one", "two"], per_sense), n_lemmas)
    places = np.tile(np.arange(2 * per_sense), n_lemmas)
    forms = (senses == "two") * 2 + places % 2 if form_follows_sense else places % 4
    directions = {
        key: rng.normal(size=WIDTH) for key in sorted(set(zip(lemmas, senses, strict=True)) | set(zip(lemmas, forms, strict=True)), key=str)
    }
    states = rng.normal(size=(2, len(lemmas), WIDTH))
    for row, (lemma, meaning, shape) in enumerate(zip(lemmas, senses, forms, strict=True)):
        states[1, row] += sense * directions[lemma, meaning] + form * directions[lemma, shape]
    return states, lemmas, senses, forms


def test_planted_senses_are_found_in_their_layer_and_nowhere_else():
    states, lemmas, senses, _ = sample(sense=1.0)
    for test in (word_senses.cosine_gap, word_senses.neighbour_accuracy):
        found = test(states, lemmas, senses, n_permutations=500)
        assert found.pvalues[0] > 0.05
        assert found.pvalues[1] == pytest.approx(1 / 501)
        assert found.profile.low[1] > found.null[:, 1].max()
    assert found.measure.raw[1].mean() > 0.9


def test_gap_is_the_mean_over_pairs():
    states, lemmas, senses, _ = sample(n_lemmas=2, per_sense=4, sense=0.5)
    found = word_senses.cosine_gap(states, lemmas, senses, n_permutations=1)
    units = states / np.linalg.norm(states, axis=2, keepdims=True)
    for at, lemma in enumerate(found.measure.units):
        rows = np.flatnonzero(lemmas == lemma)
        pairs = [(i, j) for i in rows for j in rows if i < j]
        expected = [
            [np.mean([x[i] @ x[j] for i, j in pairs if (senses[i] == senses[j]) == alike]) for alike in (True, False)] for x in units
        ]
        np.testing.assert_allclose(found.measure.raw[:, at], [a - b for a, b in expected], atol=1e-12)


def test_accuracy_is_that_of_the_nearest_other_occurrence():
    states, lemmas, senses, forms = sample(n_lemmas=2, per_sense=5, sense=0.3)
    plain = word_senses.neighbour_accuracy(states, lemmas, senses, n_permutations=1)
    other_form = word_senses.neighbour_accuracy(states, lemmas, senses, apart=forms, n_permutations=1)
    units = states[1] / np.linalg.norm(states[1], axis=1, keepdims=True)
    for at, lemma in enumerate(plain.measure.units):
        rows = np.flatnonzero(lemmas == lemma)
        for found, allowed in ((plain, lambda i, j: i != j), (other_form, lambda i, j: forms[i] != forms[j])):
            nearest = [max((j for j in rows if allowed(i, j)), key=lambda j: units[i] @ units[j]) for i in rows]
            assert found.measure.raw[1, at] == pytest.approx(np.mean(senses[rows] == senses[nearest]))


def test_senses_that_only_forms_tell_are_found_unless_forms_are_held():
    """Form follows sense and fills the states: permuting within forms leaves all of it in the null."""
    states, lemmas, senses, forms = sample(form=1.5, form_follows_sense=True)
    for test in (word_senses.cosine_gap, word_senses.neighbour_accuracy):
        free, held = (test(states, lemmas, senses, strata=strata, n_permutations=500) for strata in (None, forms))
        assert free.pvalues[1] < 0.01
        assert held.measure.adjusted[1].mean() == pytest.approx(0, abs=1e-9)
        assert held.pvalues[1] == 1.0


def test_senses_beyond_forms_are_found_with_forms_held():
    states, lemmas, senses, forms = sample(sense=1.0, form=1.5)
    for test in (word_senses.cosine_gap, word_senses.neighbour_accuracy):
        assert test(states, lemmas, senses, strata=forms, n_permutations=500).pvalues[1] < 0.01
    apart = word_senses.neighbour_accuracy(states, lemmas, senses, strata=forms, apart=forms, n_permutations=500)
    assert apart.pvalues[1] < 0.01


def test_pvalues_of_meaningless_states_are_about_uniform():
    """60 samples without senses: the mean p-value is 0.5 give or take 0.04, four of these allowed."""
    pvalues = [word_senses.cosine_gap(*sample(n_lemmas=4, seed=seed)[:3], n_permutations=99).pvalues[0] for seed in range(60)]
    assert 0.35 < np.mean(pvalues) < 0.65


def test_adjusted_figures_are_less_the_lemmas_own_permutations():
    states, lemmas, senses, forms = sample(n_lemmas=3)
    found = word_senses.cosine_gap(states, lemmas, senses, strata=forms, n_permutations=50)
    np.testing.assert_allclose((found.measure.raw - found.measure.adjusted).mean(axis=1), found.null.mean(axis=0), atol=1e-9)


def test_lemmas_of_one_form_are_left_out_where_neighbours_must_differ():
    states, lemmas, senses, forms = sample(n_lemmas=3)
    forms = np.where(lemmas == "lemma1", 0, forms)
    found = word_senses.neighbour_accuracy(states, lemmas, senses, apart=forms, n_permutations=5)
    assert list(found.measure.units) == ["lemma0", "lemma2"]
    with pytest.raises(ValueError, match="apart is the same"):
        word_senses.neighbour_accuracy(states, lemmas, senses, apart=np.zeros(len(lemmas)), n_permutations=5)


def test_chance_is_the_mean_of_the_permutations_and_their_middle_range():
    found = word_senses.cosine_gap(*sample(n_lemmas=3)[:3], n_permutations=200)
    np.testing.assert_allclose(found.chance.estimate, found.null.mean(axis=0))
    np.testing.assert_allclose(found.chance.high, np.quantile(found.null, 0.975, axis=0))


def test_holm_counts_the_layers_of_all_tests():
    """Two tests of two layers: the smallest p-value is multiplied by four, whichever test it is in."""
    planted = word_senses.cosine_gap(*sample(sense=1.0)[:3], n_permutations=499)
    nothing = word_senses.cosine_gap(*sample(seed=5)[:3], n_permutations=499)
    corrected = word_senses.holm_over_all({"planted": planted, "nothing": nothing})
    assert list(corrected) == ["planted", "nothing"]
    assert corrected["planted"][1] == pytest.approx(4 * planted.pvalues[1]) == pytest.approx(4 / 500)
    assert (corrected["nothing"] >= nothing.pvalues).all()
    assert len(corrected["nothing"]) == 2


def test_marked_words_are_found_by_text_and_offset():
    words = pd.DataFrame({"text": [0, 0, 1, 1], "start": [0, 5, 0, 5]})
    assert word_senses.locate(words, [1, 0], [5, 5]).tolist() == [3, 1]
    with pytest.raises(ValueError, match="no word starts at 4 in text 1"):
        word_senses.locate(words, [0, 1], [0, 4])


def test_bad_input_is_named():
    states, lemmas, senses, _ = sample(n_lemmas=2)
    with pytest.raises(ValueError, match="'lemma0' occur .18. times"):
        word_senses.cosine_gap(states, lemmas, np.repeat("one", len(lemmas)))
    with pytest.raises(ValueError, match="senses has shape"):
        word_senses.cosine_gap(states, lemmas, senses[1:])
    with pytest.raises(ValueError, match="strata has shape"):
        word_senses.neighbour_accuracy(states, lemmas, senses, strata=senses[1:])
    with pytest.raises(ValueError, match="n_permutations is 0"):
        word_senses.neighbour_accuracy(states, lemmas, senses, n_permutations=0)
    with pytest.raises(ValueError, match="zero or not finite"):
        word_senses.cosine_gap(states * 0, lemmas, senses)


def test_the_same_seed_gives_the_same_null():
    states, lemmas, senses, _ = sample(n_lemmas=2)
    first, second = (word_senses.cosine_gap(states, lemmas, senses, n_permutations=20, seed=3).null for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_nearest_occurrences_are_in_the_order_of_their_cosines_without_the_one_asked_about():
    states = np.array([[1.0, 0], [1, 1], [2, 0.1], [-1, 0]])
    order, cosines = word_senses.nearest_occurrences(states, 0)
    assert order.tolist() == [2, 1, 3]
    np.testing.assert_allclose(cosines, [2 / np.hypot(2, 0.1), np.sqrt(0.5), -1])
    with pytest.raises(ValueError, match="place is 4"):
        word_senses.nearest_occurrences(states, 4)


@pytest.mark.parametrize("measure", [word_senses.cosine_gap, word_senses.neighbour_accuracy])
def test_two_equally_likely_arrangements_are_never_significant(measure):
    """Only occurrences 0 and 1 may be exchanged; every second permutation is the observed one, and has to count as such."""
    n = 12
    strata = np.r_[0, 0, np.arange(1, n - 1)]
    for seed in range(40):
        states = np.random.default_rng(seed).normal(size=(1, n, 32)).astype(np.float32)
        found = measure(states, ["z"] * n, np.arange(n) % 2, strata=strata, n_permutations=199)
        assert found.pvalues[0] > 0.3


def test_no_marked_words_are_located_nowhere():
    assert word_senses.locate(pd.DataFrame({"text": [0], "start": [0]}), [], []).dtype.kind == "i"


def test_states_of_one_direction_have_no_gap_of_senses_whatever_rounding_says():
    """Occurrences that differ in length alone: all their cosines are 1, and no arrangement of senses is better than another."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(20, 1, 7)) * rng.lognormal(size=(20, 12, 1))
    found = word_senses.cosine_gap(states, ["z"] * 12, np.arange(12) % 2, n_permutations=99)
    np.testing.assert_array_equal(found.pvalues, 1)
