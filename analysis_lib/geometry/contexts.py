"""How specific to its context is a word? Self-similarity, intra-sentence similarity and MEV (Ethayarajh 2019).

Ethayarajh 2019, "How Contextual are Contextualized Word Representations?", section 3. Cosines have closed forms, so that
means over all pairs are exact.
"""

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.geometry.anisotropy import anisotropy
from analysis_lib.geometry.cosines import checked_labels, checked_states, group_means, unit_vectors
from analysis_lib.statistics import Measure, Profile
from analysis_lib.vocabulary import Lexicon


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
    return Measure(units, counts, raw, raw - baseline[:, None], "word")


def similarity_of_averages(states: ArrayLike, texts: ArrayLike, *, all_texts: ArrayLike | None = None) -> Profile:
    """Mean cosine between the mean vectors of texts: self-similarity of a word whose occurrences in a text are averaged first.

    Averages differ less than occurrences do, so that this exceeds `self_similarity` wherever a word occurs twice in a text.

    Parameters
    ----------
    states, texts, all_texts
        As for `anisotropy`; states of one word.

    Returns
    -------
    Profile
    """
    states, (texts,) = checked_states(states), checked_labels(states, texts=texts)
    return anisotropy(group_means(states, texts)[0], np.unique(texts), all_texts=all_texts)


def intra_sentence_similarity(states: ArrayLike, texts: ArrayLike, *, min_words: int = 3) -> Measure:
    """How alike the words of a text are to their mean (Ethayarajh 2019, definition 2).

    The mean of cos(m, f_i) over the words f_i of a text with mean vector m; adjusted by subtracting `anisotropy`, as in the
    paper. For short texts that is no zero: a word is a part of its mean, and n unrelated vectors score about 1 / sqrt(n). The
    fitting null keeps the lengths of the texts and exchanges their words (`texts` permuted).

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
    raw = np.einsum("ltd,ltd->lt", unit_vectors(centres[:, kept]), group_means(map(unit_vectors, states), texts)[0][:, kept])
    return Measure(units[kept], counts[kept], raw, raw - anisotropy(states, texts, n_resamples=1).estimate[:, None], "text")


def max_explainable_variance(
    states: ArrayLike, words: ArrayLike, texts: ArrayLike, *, min_contexts: int = 5, n_permutations: int = 10, seed: int = 0
) -> Measure:
    """Share of a word's occurrence matrix that its first component carries (MEV; Ethayarajh 2019, definition 3).

    sigma_1^2 / sum sigma_i^2 of the uncentred occurrences, as in the paper (its code centres them). The share
    falls with the number of occurrences whatever the states are, so a word's baseline is the mean over
    `n_permutations` random sets of as many occurrences of any words.

    Parameters
    ----------
    states, words, texts, min_contexts
        As for `self_similarity`.
    n_permutations, seed : int
        Random sets for each number of occurrences.

    Returns
    -------
    Measure
        A unit is a word; `counts` are occurrences.
    """
    states, (words, texts) = checked_states(states), checked_labels(states, words=words, texts=texts)
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}; expected at least 1")
    rows, units = _frequent(words, texts, min_contexts)
    members = [rows[words[rows] == unit] for unit in units]
    counts = np.array([len(member) for member in members])
    rng = np.random.default_rng(seed)
    baseline = {}
    for count in np.unique(counts):
        sets = [rng.choice(states.shape[1], count, replace=False) for _ in range(n_permutations)]
        baseline[count] = np.mean([_first_share(states[:, chosen]) for chosen in sets], axis=0)
    raw = np.stack([_first_share(states[:, member]) for member in members], axis=1)
    return Measure(units, counts, raw, raw - np.stack([baseline[count] for count in counts], axis=1), "word")


def function_and_content(words: Measure, n_function: int = 20) -> dict[str, np.ndarray]:
    """Which words of a measure are function words and which are content words, by what Morfeusz knows of the form.

    Parameters
    ----------
    words : Measure
        Of words, with the number of texts of each as `counts`.
    n_function : int
        Function words kept: those in most texts, and those that tie with the last.

    Returns
    -------
    dict of str to bool [unit]
        `function`: some reading is a preposition, conjunction, particle or pronoun. `content`: no such reading, and some reading is a
        noun, verb, adjective or adverb.

    Raises
    ------
    ValueError
        Fewer than `n_function` function words.
    """
    lexicon = Lexicon.from_forms(words.units)
    closed = np.any([lexicon.has_pos(pos) for pos in ("preposition", "conjunction", "particle", "pronoun")], axis=0)
    if not 1 <= n_function <= closed.sum():
        raise ValueError(f"n_function is {n_function}; expected 1 to {closed.sum()}, the function words of the measure")
    frequent = words.counts >= np.sort(words.counts[closed])[-n_function]
    open_class = np.any([lexicon.has_pos(pos) for pos in ("noun", "verb", "adjective", "adverb")], axis=0)
    return {"function": closed & frequent, "content": ~closed & open_class}


def _frequent(words: np.ndarray, texts: np.ndarray, min_contexts: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of words in `min_contexts` different texts at least, and those words, sorted."""
    if min_contexts < 2:
        raise ValueError(f"min_contexts is {min_contexts}; expected at least 2")
    names, codes = np.unique(words, return_inverse=True)
    text_codes = np.unique(texts, return_inverse=True)[1]
    contexts = np.bincount(np.unique(np.stack([codes, text_codes]), axis=1)[0], minlength=len(names))
    kept = contexts >= min_contexts
    if not kept.any():
        raise ValueError(f"words: expected one that occurs in {min_contexts} or more texts (min_contexts), found {contexts.max()} at most")
    return np.flatnonzero(kept[codes]), names[kept]


def _first_share(states: np.ndarray) -> np.ndarray:
    """Largest eigenvalue of the Gram matrix over its trace, [layer]."""
    states = states.astype(np.float64)
    inner = states @ states.swapaxes(1, 2) if states.shape[1] <= states.shape[2] else states.swapaxes(1, 2) @ states
    return np.linalg.eigvalsh(inner)[:, -1] / np.trace(inner, axis1=1, axis2=2)
