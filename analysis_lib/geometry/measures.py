r"""Geometry of hidden states: anisotropy, self-similarity, intra-sentence similarity, MEV, IsoScore.

All functions take states [layer, n, d_model] and treat all layers in one call. Cosines are never taken pair by
pair: with unit vectors $u_i$, the sum of all cosines between different vectors is $\lVert\sum u_i\rVert^2 - n$, so every mean
cosine here is exact and its cost grows with the number of vectors, not of pairs. The bootstrap uses the same form
on sums over texts.

Measures and their baselines: Ethayarajh 2019, "How Contextual are Contextualized Word Representations?",
section 3. IsoScore: Rudman et al. 2022, "IsoScore: Measuring the Uniformity of Embedding Space Utilization".
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import between, between_by_dimension, checked_labels, checked_states, group_means, unit_vectors
from analysis_lib.statistics import Measure, Profile
from analysis_lib.statistics.profiles import resamples


def mean_cosine(states: ArrayLike) -> np.ndarray:
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


def anisotropy(states: ArrayLike, texts: ArrayLike, *, n_resamples: int = 1000, seed: int = 0) -> Profile:
    r"""Expected cosine of a word of one text and a word of another: the baseline of Ethayarajh (2019), without sampling.

    With $m_t$ the mean of the unit vectors of text $t$ it is $(\lVert\sum m_t\rVert^2 - \sum\lVert m_t\rVert^2) / (T^2 - T)$,
    the expectation over two different texts, all alike probable, and a word of each. Restricted to the occurrences of one word it is
    that word's self-similarity.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
        The text each vector comes from; two texts at least.
    n_resamples, seed : int
        Bootstrap over texts. Pairs of a text with itself are left out of each resample as well.

    Returns
    -------
    Profile
    """
    means, _ = _text_means(states, texts)
    weights = resamples(means.shape[1], n_resamples, seed)
    return Profile(between(means, np.ones((1, means.shape[1])))[0], between(means, weights))


def within_texts(states: ArrayLike, texts: ArrayLike) -> Measure:
    """Mean cosine over all pairs of different vectors of one text, for each text: what a sample of one text gives.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
        Texts of one vector are left out; one text with two at least.

    Returns
    -------
    Measure
        A unit is a text; `counts` are its vectors; `adjusted` is less `anisotropy`.
    """
    means, counts = _text_means(states, texts)
    kept = counts > 1
    if not kept.any():
        raise ValueError("texts are all different; expected two vectors of one text at least")
    counts = counts[kept]
    raw = (counts**2 * (means[:, kept] ** 2).sum(axis=2) - counts) / (counts**2 - counts)
    return Measure(np.unique(texts)[kept], counts, raw, raw - anisotropy(states, texts, n_resamples=1).estimate[:, None])


@dataclass(frozen=True)
class RogueDimensions:
    """The dimensions that carry most of the anisotropy.

    Attributes
    ----------
    dimensions : int [layer, k]
        From the largest share down.
    shares : list of Profile, k
        Share of the anisotropy that the first 1, 2, ... k of them carry together.
    contributions : float64 [layer, d_model]
        What each dimension adds; their sum is the anisotropy.
    """

    dimensions: np.ndarray
    shares: list[Profile]
    contributions: np.ndarray


def rogue_dimensions(states: ArrayLike, texts: ArrayLike, k: int = 3, *, n_resamples: int = 1000, seed: int = 0) -> RogueDimensions:
    """How much of the anisotropy few dimensions carry (Timkey and van Schijndel 2021, section 4).

    A cosine is a sum over dimensions, and so is a mean of cosines. Intervals are for the dimensions that lead in
    the whole sample. Shares say little where the anisotropy itself is close to zero.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
    k : int
        From 1 to d_model.
    n_resamples, seed : int
        Bootstrap over texts, as in `anisotropy`.

    Returns
    -------
    RogueDimensions
    """
    means, _ = _text_means(states, texts)
    n_layers, n_texts, width = means.shape
    if not 1 <= k <= width:
        raise ValueError(f"k is {k}; expected 1 to {width}, the dimensions")
    contributions = between_by_dimension(means, np.ones((1, n_texts)))[:, 0]
    dimensions = np.argsort(-contributions, axis=1, kind="stable")[:, :k]
    leading = np.take_along_axis(means, dimensions[:, None, :], axis=2)
    weights = resamples(n_texts, n_resamples, seed)
    drawn = np.cumsum(between_by_dimension(leading, weights), axis=2) / between(means, weights).T[..., None]
    found = np.cumsum(np.take_along_axis(contributions, dimensions, axis=1), axis=1) / contributions.sum(axis=1, keepdims=True)
    return RogueDimensions(dimensions, [Profile(found[:, i], drawn[:, :, i].T) for i in range(k)], contributions)


def self_similarity(states: ArrayLike, words: ArrayLike, texts: ArrayLike, *, min_contexts: int = 5) -> Measure:
    """How alike one word's vectors are in different texts; high means little specific to context.

    Ethayarajh (2019), definition 1. Cosines are taken between texts only, each text with the same weight, so that
    the baseline, `anisotropy`, differs from it in nothing but the words.

    Parameters
    ----------
    states : float [layer, n, d_model]
        Of all words, those with few contexts too: the baseline is theirs.
    words, texts : array [n]
        The word that each vector stands for, and the text it comes from.
    min_contexts : int
        Words in fewer different texts are left out; at least 2.

    Returns
    -------
    Measure
        A unit is a word; `counts` are texts.
    """
    states, (words, texts) = checked_states(states), checked_labels(states, words=words, texts=texts)
    baseline = anisotropy(states, texts, n_resamples=1).estimate
    rows, units = _frequent(words, texts, min_contexts)
    states, words, texts = unit_vectors(states[:, rows]), words[rows], texts[rows]
    _, text_codes = np.unique(texts, return_inverse=True)
    word_codes = np.searchsorted(units, words)
    means, _ = group_means(states, word_codes * (text_codes.max() + 1) + text_codes)
    word_of_mean = np.unique(np.stack([word_codes, text_codes]), axis=1)[0]
    begin = np.flatnonzero(np.r_[True, np.diff(word_of_mean) > 0])
    counts = np.diff(np.r_[begin, len(word_of_mean)])
    squared = (np.add.reduceat(means, begin, axis=1) ** 2).sum(axis=2)
    own = np.add.reduceat((means**2).sum(axis=2), begin, axis=1)
    raw = (squared - own) / (counts * (counts - 1))
    return Measure(units, counts, raw, raw - baseline[:, None])


def intra_sentence_similarity(states: ArrayLike, texts: ArrayLike, *, min_words: int = 3) -> Measure:
    """How alike the words of a text are to their mean (Ethayarajh 2019, definition 2).

    The mean of cos(m, f_i) over the words f_i of a text with mean vector m. Less `anisotropy`, as in the paper. That is
    no zero for short texts: a word is a part of its mean, and n unrelated vectors score about 1 / sqrt(n). Texts of the
    same lengths with their words exchanged (`texts` permuted) give the fitting null.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
    min_words : int
        Texts with fewer words are left out, though not of the baseline; at least 2.

    Returns
    -------
    Measure
        A unit is a text; `counts` are words.
    """
    states, (texts,) = checked_states(states), checked_labels(states, texts=texts)
    if min_words < 2:
        raise ValueError(f"min_words is {min_words}; expected at least 2")
    units, counts = np.unique(texts, return_counts=True)
    kept = counts >= min_words
    if not kept.any():
        raise ValueError(f"texts have at most {counts.max()} words; expected min_words, {min_words}, in one at least")
    centres, _ = group_means(states, texts)
    raw = np.einsum("ltd,ltd->lt", unit_vectors(centres[:, kept]), group_means(unit_vectors(states), texts)[0][:, kept])
    return Measure(units[kept], counts[kept], raw, raw - anisotropy(states, texts, n_resamples=1).estimate[:, None])


def max_explainable_variance(
    states: ArrayLike, words: ArrayLike, texts: ArrayLike, *, min_contexts: int = 5, n_random: int = 10, seed: int = 0
) -> Measure:
    """Share of a word's occurrence matrix that its first component carries (MEV; Ethayarajh 2019, definition 3).

    sigma_1^2 / sum sigma_i^2 of the uncentred occurrences, as in the paper (its code centres them). The share
    falls with the number of occurrences whatever the states are, so a word's baseline is the mean over
    `n_random` random sets of as many occurrences of any words.

    Parameters
    ----------
    states, words, texts, min_contexts
        As for `self_similarity`.
    n_random, seed : int
        Random sets for each number of occurrences.

    Returns
    -------
    Measure
        A unit is a word; `counts` are occurrences.
    """
    states, (words, texts) = checked_states(states), checked_labels(states, words=words, texts=texts)
    if n_random < 1:
        raise ValueError(f"n_random is {n_random}; expected at least 1")
    rows, units = _frequent(words, texts, min_contexts)
    members = [rows[words[rows] == unit] for unit in units]
    counts = np.array([len(member) for member in members])
    rng = np.random.default_rng(seed)
    baseline = {}
    for count in np.unique(counts):
        sets = [rng.choice(states.shape[1], count, replace=False) for _ in range(n_random)]
        baseline[count] = np.mean([_first_share(states[:, chosen]) for chosen in sets], axis=0)
    raw = np.stack([_first_share(states[:, member]) for member in members], axis=1)
    return Measure(units, counts, raw, raw - np.stack([baseline[count] for count in counts], axis=1))


def iso_score(states: ArrayLike) -> np.ndarray:
    """IsoScore (Rudman et al. 2022, algorithm 1): how evenly variance fills the dimensions, 0 one of them, 1 all.

    In closed form (PR - 1) / (d - 1) with the participation ratio PR = (tr C)^2 / tr C^2 of the covariance C. It does not
    see a common mean or scale.

    Parameters
    ----------
    states : float [..., n, d_model]
        Vectors that are not all equal. Few vectors score too low: an isotropic cloud of n vectors gives about n / (n + d). Below
        n = 3 d a warning says so.

    Returns
    -------
    float64 [...]
    """
    checked = checked_states(states, zero_ok=True)
    n, width = checked.shape[1:]
    if width < 2:
        raise ValueError(f"states have {width} dimension; expected two at least")
    if n < 3 * width:
        warnings.warn(
            f"IsoScore of {n} vectors in {width} dimensions is too low: even an isotropic cloud would give about {n / (n + width):.2f}",
            stacklevel=2,
        )
    seconds = [_second_moment(layer) for layer in checked]
    scores = [_iso(np.trace(second), (second**2).sum(), width) for second in seconds]
    return np.array(scores).reshape(np.shape(states)[:-2])


def isotropy(states: ArrayLike, texts: ArrayLike, *, n_blocks: int = 40, n_resamples: int = 1000, seed: int = 0) -> Profile:
    """IsoScore by layer with intervals over texts, dealt at random into blocks that are resampled whole.

    Parameters
    ----------
    states : float [layer, n, d_model]
    texts : array [n]
    n_blocks : int
        At least 2; no more than texts are used.
    n_resamples, seed : int

    Returns
    -------
    Profile
    """
    estimate = iso_score(states)
    states, (texts,) = checked_states(states, zero_ok=True), checked_labels(states, texts=texts)
    codes = np.unique(texts, return_inverse=True)[1]
    n_blocks = min(n_blocks, codes.max() + 1)
    if n_blocks < 2:
        raise ValueError("n_blocks and texts: expected two blocks of texts at least")
    block = np.random.default_rng(seed).permutation(codes.max() + 1)[codes] % n_blocks
    weights = resamples(n_blocks, n_resamples, seed)
    draws = []
    for layer in states:  # one at a time: a block's second moment is [d_model, d_model]
        centred = layer - layer.mean(axis=0)
        moments = np.stack([(centred[block == b].T @ centred[block == b]).ravel() for b in range(n_blocks)])
        traces = moments[:, :: layer.shape[1] + 1].sum(axis=1)
        squared = np.einsum("ri,ij,rj->r", weights, moments @ moments.T, weights, optimize=True)
        draws.append(_iso(weights @ traces, squared, layer.shape[1]))
    return Profile(estimate, np.stack(draws, axis=1))


def _text_means(states: ArrayLike, texts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean unit vectors of texts, [layer, text, d_model], and the numbers of their vectors."""
    states = checked_states(states)
    means, counts = group_means(unit_vectors(states), checked_labels(states, texts=texts)[0])
    if len(counts) < 2:
        raise ValueError("texts are all the same; expected vectors from two texts at least")
    return means, counts


def _frequent(words: np.ndarray, texts: np.ndarray, min_contexts: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of words in `min_contexts` different texts at least, and those words, sorted."""
    if min_contexts < 2:
        raise ValueError(f"min_contexts is {min_contexts}; expected at least 2")
    names, codes = np.unique(words, return_inverse=True)
    text_codes = np.unique(texts, return_inverse=True)[1]
    contexts = np.bincount(np.unique(np.stack([codes, text_codes]), axis=1)[0], minlength=len(names))
    kept = contexts >= min_contexts
    if not kept.any():
        raise ValueError(f"words are in {contexts.max()} texts at most; expected min_contexts, {min_contexts}, of one word at least")
    return np.flatnonzero(kept[codes]), names[kept]


def _first_share(states: np.ndarray) -> np.ndarray:
    """Largest eigenvalue of the Gram matrix over its trace, [layer]."""
    states = states.astype(np.float64)
    inner = states @ states.swapaxes(1, 2) if states.shape[1] <= states.shape[2] else states.swapaxes(1, 2) @ states
    return np.linalg.eigvalsh(inner)[:, -1] / np.trace(inner, axis1=1, axis2=2)


def _second_moment(states: np.ndarray) -> np.ndarray:
    centred = states - states.mean(axis=0, dtype=np.float64)
    return centred.T @ centred


def _iso(trace, squared, width: int):
    """IsoScore from tr C and tr C^2 of a second moment C, up to scale."""
    if not np.all(squared > 0):
        raise ValueError("states are all equal in a layer; expected vectors that differ")
    return (trace**2 / squared - 1) / (width - 1)
