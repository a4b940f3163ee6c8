r"""How alike are the states of different words? Mean cosines, their baseline, and the dimensions that carry them.

All functions take states [layer, n, d_model] and treat all layers in one call. Cosines are never taken pair by
pair: with unit vectors $u_i$, the sum of all cosines between different vectors is $\lVert\sum u_i\rVert^2 - n$, so every mean
cosine here is exact and its cost grows with the number of vectors, not of pairs. The bootstrap uses the same form
on sums over texts.

Ethayarajh 2019, "How Contextual are Contextualized Word Representations?", section 3; Timkey and van Schijndel 2021, "All Bark and
No Bite".
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import between, between_by_dimension, checked_labels, checked_states, group_means, unit_vectors
from analysis_lib.statistics import Measure, Profile
from analysis_lib.statistics.profiles import Units


def mean_cosine(states: ArrayLike) -> Float[np.ndarray, "..."]:
    r"""Mean cosine over all pairs of different vectors, $(\lVert\sum u_i\rVert^2 - n) / (n^2 - n)$.

    Parameters
    ----------
    states : float [..., n, d_model]
        At least two vectors, none zero.

    Returns
    -------
    float64 [...]

    Raises
    ------
    ValueError
        Fewer than two vectors, zero vectors, NaN or infinity.
    """
    units = unit_vectors(checked_states(states))
    return between(units, np.ones((1, units.shape[1])))[0].reshape(np.shape(states)[:-2])


def anisotropy(
    states: ArrayLike, texts: ArrayLike, *, all_texts: ArrayLike | None = None, n_resamples: int = 1000, seed: int = 0
) -> Profile:
    r"""Expected cosine of a word of one text and a word of another: the baseline of Ethayarajh (2019), without sampling.

    With $m_t$ the mean of the unit vectors of text $t$ it is $(\lVert\sum m_t\rVert^2 - \sum\lVert m_t\rVert^2) / (T^2 - T)$,
    the expectation over two different texts, equally probable, and a word of each. Restricted to the occurrences of one word it is
    that word's self-similarity.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
        The text each vector comes from; two texts at least.
    all_texts : array, optional
        The texts to resample, those without a vector too; by default those with one. Give all texts of the sample where a part of it,
        such as the occurrences of one word, is compared with the whole: their profiles are then paired.
    n_resamples, seed : int
        Bootstrap over texts. Pairs of a text with itself are left out of each resample as well. Fewer than four texts are too few to
        resample, and the interval is NaN.

    Returns
    -------
    Profile

    Raises
    ------
    ValueError
        Vectors from fewer than two texts, or from texts that are not in `all_texts`; states without a direction.
    """
    means, _ = _text_means(states, texts)
    own = np.unique(texts)
    units = Units("text", own if all_texts is None else np.unique(all_texts), seed)
    missing = np.setdiff1d(own, units.labels)
    if len(missing):
        raise ValueError(f"all_texts: expected every text that has a vector, found none of {missing[0]!r}")
    weights = units.counts(n_resamples)[:, np.searchsorted(units.labels, own)]
    drawn = between(means, weights)
    return Profile(between(means, np.ones((1, means.shape[1])))[0], drawn if len(own) > 3 else np.full_like(drawn, np.nan), units)


def within_texts(states: ArrayLike, texts: ArrayLike) -> Measure:
    """Mean cosine over all pairs of different vectors of one text, for each text.

    Words of one text share its topic, so that this is no estimate of `anisotropy`, which compares different texts.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
        Texts of one vector are left out; one text with two at least.

    Returns
    -------
    Measure
        A unit is a text; `counts` are its vectors; `adjusted` is `raw` minus `anisotropy`.
    """
    means, counts = _text_means(states, texts)
    kept = counts > 1
    if not kept.any():
        raise ValueError("texts are all different; expected two vectors of one text at least")
    counts = counts[kept]
    raw = (counts**2 * (means[:, kept] ** 2).sum(axis=2) - counts) / (counts**2 - counts)
    return Measure(np.unique(texts)[kept], counts, raw, raw - anisotropy(states, texts, n_resamples=1).estimate[:, None], "text")


def self_pair_bias(within: Measure) -> Float[np.ndarray, "layer text"]:
    """What is added to a text's mean cosine if both words of a pair are drawn with replacement, [layer, text].

    Of all pairs of n vectors a share of 1 / n is a vector with itself, of cosine 1: a mean of s becomes s + (1 - s) / n.

    Parameters
    ----------
    within : Measure
        As `within_texts` gives it.
    """
    return (1 - within.raw) / within.counts


@dataclass(frozen=True)
class RogueDimensions:
    """The dimensions that carry most of the anisotropy: chosen on one half of the texts, measured on the other.

    Attributes
    ----------
    dimensions : int [layer, k]
        From the largest contribution down, in the choosing half.
    shares : list of Profile, k
        Share of the anisotropy that the first 1, 2, ... k of them carry together, in the measuring half.
    contributions : float64 [layer, d_model]
        What each dimension adds to the anisotropy of the measuring half; the sum is that anisotropy.
    measured_on : array [text]
        Labels of the measuring half.
    """

    dimensions: np.ndarray
    shares: list[Profile]
    contributions: np.ndarray
    measured_on: np.ndarray


def rogue_dimensions(states: ArrayLike, texts: ArrayLike, k: int = 3, *, n_resamples: int = 1000, seed: int = 0) -> RogueDimensions:
    """Which few dimensions carry the anisotropy, and how much of it (Timkey and van Schijndel 2021, section 4).

    A cosine is a sum over dimensions, and so is a mean of cosines. The largest of many contributions are too large on the texts that
    they were chosen on, so the shares are measured on other texts. Shares say little where the anisotropy itself is close to zero.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
        Eight texts at least; they are halved at random.
    k : int
        From 1 to d_model.
    n_resamples, seed : int
        Halving, and bootstrap over the texts of the measuring half.

    Returns
    -------
    RogueDimensions

    Raises
    ------
    ValueError
        Fewer than eight texts, or a `k` out of range.
    """
    means, _ = _text_means(states, texts)
    _, n_texts, width = means.shape
    if not 1 <= k <= width:
        raise ValueError(f"k is {k}; expected 1 to {width}, the dimensions")
    if n_texts < 8:
        raise ValueError(f"texts are {n_texts}; expected eight at least, four to choose dimensions and four to measure them")
    choosing, measuring = np.array_split(np.random.default_rng(seed).permutation(n_texts), 2)
    dimensions = np.argsort(-_by_dimension(means[:, choosing]), axis=1, kind="stable")[:, :k]
    measuring = np.sort(measuring)
    means, contributions = means[:, measuring], _by_dimension(means[:, measuring])
    units = Units("text", np.unique(texts)[measuring], seed)
    weights = units.counts(n_resamples)
    leading = np.take_along_axis(means, dimensions[:, None, :], axis=2)
    drawn = np.cumsum(between_by_dimension(leading, weights), axis=2) / between(means, weights).T[..., None]
    shares = np.cumsum(np.take_along_axis(contributions, dimensions, axis=1), axis=1) / contributions.sum(axis=1, keepdims=True)
    profiles = [Profile(shares[:, i], drawn[:, :, i].T, units) for i in range(k)]
    return RogueDimensions(dimensions, profiles, contributions, units.labels)


def _by_dimension(means: np.ndarray) -> np.ndarray:
    """What each dimension adds to the mean cosine between texts, [layer, d_model]."""
    return between_by_dimension(means, np.ones((1, means.shape[1])))[:, 0]


def _text_means(states: ArrayLike, texts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean unit vectors of texts, [layer, text, d_model], and the numbers of their vectors."""
    states = checked_states(states)
    means, counts = group_means(map(unit_vectors, states), checked_labels(states, texts=texts)[0])  # no copy of all layers
    if len(counts) < 2:
        raise ValueError("texts are all the same; expected vectors from two texts at least")
    return means, counts
