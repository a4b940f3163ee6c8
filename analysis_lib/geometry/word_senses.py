"""Do states separate the senses of ambiguous words? Cosine gap and nearest neighbour against permuted senses.

A lemma is a sample of its own: cosines are taken and senses permuted within it, lemmas have the same weight, and intervals
are over lemmas. The forms of an inflected word are the main confound, since a sense may prefer a case or a
number. Give them as `strata`, and senses are permuted within each form only, so that the null keeps whatever forms tell about
senses; or give them as `apart`, and a neighbour must be of another form.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import checked_labels, checked_states, group_means, unit_vectors
from analysis_lib.geometry.word_states import WordStates
from analysis_lib.statistics import Measure, Profile, holm, permutation_pvalue


@dataclass(frozen=True)
class SenseTest:
    """A figure by layer and lemma, and the distribution of its mean over lemmas when senses are permuted.

    Attributes
    ----------
    measure : Measure
        A unit is a lemma; `adjusted` is the figure minus the lemma's mean under permutation.
    null : float64 [permutation, layer]
        Mean over lemmas with permuted senses.
    """

    measure: Measure
    null: np.ndarray

    @property
    def profile(self) -> Profile:
        """Mean over lemmas by layer, lemmas resampled."""
        return self.measure.mean(adjusted=False)

    @property
    def chance(self) -> Profile:
        """Mean under permuted senses by layer, with the range that holds 95% of the permutations."""
        return Profile(self.null.mean(axis=0), self.null)

    @property
    def pvalues(self) -> np.ndarray:
        """One-sided p-values [layer] of the mean over lemmas."""
        return np.array([permutation_pvalue(mean, null) for mean, null in zip(self.measure.raw.mean(axis=1), self.null.T, strict=True)])


def holm_over_all(tests: Mapping[str, SenseTest]) -> dict[str, Float[np.ndarray, " _layer"]]:
    """P-values [layer] of each test, corrected by Holm over all layers of all of them."""
    flat = holm(np.concatenate([test.pvalues for test in tests.values()]))
    ends = np.cumsum([len(test.pvalues) for test in tests.values()])[:-1]
    return dict(zip(tests, np.split(flat, ends), strict=True))


def locate(words: pd.DataFrame, texts: ArrayLike, starts: ArrayLike) -> Int[np.ndarray, " marked"]:
    """Rows of marked words in a table of words.

    Parameters
    ----------
    words : DataFrame
        `text` and `start` of each word, as `Activations.words` gives them.
    texts, starts : int array [marked]
        Text and character offset of each marked word.

    Returns
    -------
    int array [marked]
        Places in `words`.

    Raises
    ------
    ValueError
        If no word starts there.
    """
    places = {place: row for row, place in enumerate(zip(words["text"], words["start"], strict=True))}
    wanted = list(zip(np.asarray(texts).tolist(), np.asarray(starts).tolist(), strict=True))
    missing = next((place for place in wanted if place not in places), None)
    if missing is not None:
        raise ValueError(f"no word starts at {missing[1]} in text {missing[0]}; expected offsets of words in the table")
    return np.array([places[place] for place in wanted], dtype=int)


def rest_of_text(words: WordStates, places: ArrayLike) -> Float[np.ndarray, "layer marked d_model"]:
    """Mean state of the other words of the text that a word stands in: what the rest of the sentence tells about it.

    Parameters
    ----------
    words : WordStates
    places : int array [marked]
        Words as `locate` finds them, in texts of two words or more.

    Returns
    -------
    float64 [layer, marked, d_model]

    Raises
    ------
    ValueError
        If a text has no other word.
    """
    places = np.asarray(places)
    labels, codes, counts = np.unique(words.texts, return_inverse=True, return_counts=True)
    own = codes[places]
    alone = labels[own][counts[own] < 2]
    if len(alone):
        raise ValueError(f"places: expected words that have others in their text, found a single word in text {alone[0]}")
    means, _ = group_means(words.states, words.texts)
    n = counts[own][:, None]
    return (means[:, own] * n - words.states[:, places]) / (n - 1)


def nearest_occurrences(states: ArrayLike, place: int) -> tuple[np.ndarray, np.ndarray]:
    """The other occurrences from the nearest to the farthest, and their cosines.

    Parameters
    ----------
    states : float [n, d_model]
        Occurrences of one lemma in one layer.
    place : int
        The occurrence asked about.

    Returns
    -------
    order : int array [n - 1]
    cosines : float array [n - 1]

    Raises
    ------
    ValueError
        A place out of range.
    """
    units = unit_vectors(checked_states(states)[0])
    if not 0 <= place < len(units):
        raise ValueError(f"place is {place}; expected 0 to {len(units) - 1}")
    cosines = units @ units[place]
    order = np.argsort(-cosines, kind="stable")
    order = order[order != place]
    return order, cosines[order]


def cosine_gap(
    states: ArrayLike, lemmas: ArrayLike, senses: ArrayLike, *, strata: ArrayLike | None = None, n_permutations: int = 2000, seed: int = 0
) -> SenseTest:
    """Mean cosine of two occurrences in one sense minus that of two in different senses, by layer and lemma.

    Parameters
    ----------
    states : float [layer, n, d_model]
    lemmas, senses : array [n]
        Lemma and sense of each occurrence; a lemma has two senses at least, and one of them twice.
    strata : array [n], optional
        Senses are permuted among occurrences of a lemma that are alike in this.
    n_permutations, seed : int

    Returns
    -------
    SenseTest
    """
    figures = []
    for _, units, labels, permuted in _by_lemma(states, lemmas, senses, strata, n_permutations, seed):
        inner = np.einsum("lid,ljd->lij", units, units)
        flat = inner[:, ~np.eye(len(labels), dtype=bool)].astype(np.float64)  # in float32 equal arrangements would give unequal gaps

        def gap(drawn: np.ndarray, flat: np.ndarray = flat) -> np.ndarray:
            """Gap for labels [draw, n], as [draw, layer]."""
            same = (drawn[:, :, None] == drawn[:, None, :])[:, ~np.eye(drawn.shape[1], dtype=bool)].astype(flat.dtype)
            n_same = same.sum(axis=1, keepdims=True)
            in_same = same @ flat.T
            gaps = in_same / n_same - (flat.sum(axis=1) - in_same) / (flat.shape[1] - n_same)
            return gaps.round(12)  # of cosines: what is left of equal ones is rounding

        figures.append((gap(labels[None])[0], gap(permuted)))
    return _collected(lemmas, figures)


def neighbour_accuracy(
    states: ArrayLike,
    lemmas: ArrayLike,
    senses: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    apart: ArrayLike | None = None,
    n_permutations: int = 2000,
    seed: int = 0,
) -> SenseTest:
    """How often the nearest other occurrence of the lemma, by cosine, is in the same sense (leave one out).

    Parameters
    ----------
    states, lemmas, senses, strata, n_permutations, seed
        As for `cosine_gap`.
    apart : array [n], optional
        Only occurrences that differ in this may be neighbours. Occurrences without such a neighbour, and lemmas with
        none that has one, are left out.

    Returns
    -------
    SenseTest
    """
    keys = None if apart is None else checked_labels(states, apart=apart)[0]
    figures = []
    for rows, units, labels, permuted in _by_lemma(states, lemmas, senses, strata, n_permutations, seed):
        allowed = ~np.eye(len(rows), dtype=bool) if keys is None else keys[rows][:, None] != keys[rows]
        asked = np.flatnonzero(allowed.any(axis=1))
        cosines = np.where(allowed, np.einsum("lid,ljd->lij", units, units), -np.inf)
        nearest = cosines.argmax(axis=2)[:, asked]
        drawn = np.concatenate([labels[None], permuted])
        right = (drawn[:, nearest] == drawn[:, None, asked]).mean(axis=2) if len(asked) else np.full((len(drawn), len(units)), np.nan)
        figures.append((right[0], right[1:]))
    return _collected(lemmas, figures)


def _by_lemma(
    states: ArrayLike, lemmas: ArrayLike, senses: ArrayLike, strata: ArrayLike | None, n_permutations: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """For each lemma: its rows, unit states [layer, n, d_model], sense codes [n], permuted codes [permutation, n]."""
    states, (lemmas, senses) = checked_states(states), checked_labels(states, lemmas=lemmas, senses=senses)
    strata = np.zeros(len(lemmas)) if strata is None else checked_labels(states, strata=strata)[0]
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}; expected at least 1")
    for lemma in np.unique(lemmas):
        counts = np.unique(senses[lemmas == lemma], return_counts=True)[1]
        if len(counts) < 2 or counts.max() < 2:
            raise ValueError(f"senses of {str(lemma)!r} occur {counts.tolist()} times; expected two senses at least, one of them twice")
    rng = np.random.default_rng(seed)
    for lemma in np.unique(lemmas):
        rows = np.flatnonzero(lemmas == lemma)
        labels = np.unique(senses[rows], return_inverse=True)[1]
        permuted = np.tile(labels, (n_permutations, 1))
        for stratum in np.unique(strata[rows]):
            alike = strata[rows] == stratum
            permuted[:, alike] = rng.permuted(permuted[:, alike], axis=1)
        yield rows, unit_vectors(states[:, rows]), labels, permuted


def _collected(lemmas: ArrayLike, figures: list[tuple[np.ndarray, np.ndarray]]) -> SenseTest:
    """Figures [layer] and permuted figures [permutation, layer] of all lemmas; those that are NaN are left out."""
    names, counts = np.unique(np.asarray(lemmas), return_counts=True)
    values = np.stack([value for value, _ in figures], axis=1).astype(np.float64)
    null = np.stack([draws for _, draws in figures], axis=2).astype(np.float64)
    kept = ~np.isnan(values).any(axis=0)
    if not kept.any():
        raise ValueError("apart is the same for all occurrences of each lemma; expected neighbours that differ in it")
    values, null = values[:, kept], null[:, :, kept]
    return SenseTest(Measure(names[kept], counts[kept], values, values - null.mean(axis=0), "lemma"), null.mean(axis=2))
