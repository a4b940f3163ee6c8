"""How far do a word's position and its frequency explain single dimensions of its states?

Kovaleva et al. 2021, "BERT Busters", and Puccetti et al. 2022, "Outlier Dimensions that Disrupt Transformers Are Driven by Frequency",
name these two causes of rogue dimensions. A regression is fitted on one half of the texts, and what it explains is measured on the other.
"""

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import checked_labels, checked_states, unit_vectors
from analysis_lib.statistics import Profile
from analysis_lib.statistics.profiles import Units


def position_columns(positions: ArrayLike, last: int = 12) -> np.ndarray:
    """Indicators of a word's position, float64 [n, last], so that its effect may have any shape; `last` and later positions share one.

    Parameters
    ----------
    positions : int array [n]
        Counted from 0.
    last : int
        At least 1.
    """
    positions = np.asarray(positions)
    if last < 1:
        raise ValueError(f"last is {last}; expected 1 at least")
    return (np.minimum(positions, last)[:, None] == np.arange(1, last + 1)).astype(np.float64)


def frequency_columns(forms: ArrayLike) -> np.ndarray:
    """Logarithm of how often each word's form occurs among all words, and its square, float64 [n, 2]."""
    _, codes, counts = np.unique(np.asarray(forms), return_inverse=True, return_counts=True)
    logarithms = np.log(counts)[codes]
    return np.stack([logarithms, logarithms**2], axis=1)


def explained_share(
    states: ArrayLike, columns: ArrayLike, texts: ArrayLike, dimensions: ArrayLike | None = None, *, n_resamples: int = 1000, seed: int = 0
) -> Profile:
    """Share of the variance of single coordinates that a regression explains in other texts, a mean over dimensions.

    The coordinates are those of the unit vectors, since these make the cosines. A share below zero says that the regression predicts
    other texts worse than the mean does.

    Parameters
    ----------
    states : float [layer, n, d_model]
    columns : float [n, c]
        What explains, without a constant: `position_columns`, `frequency_columns`, or several side by side.
    texts : array [n]
        Four texts at least; they are halved at random.
    dimensions : int array [layer, k], optional
        The coordinates of each layer; by default all.
    n_resamples, seed : int
        Halving, and bootstrap over the texts of the measuring half.

    Returns
    -------
    Profile

    Raises
    ------
    ValueError
        Fewer than four texts; columns or dimensions of a wrong shape; a layer whose coordinates do not vary.
    """
    states, (texts,) = checked_states(states), checked_labels(states, texts=texts)
    columns = np.asarray(columns, dtype=np.float64)
    n_layers, n, width = states.shape
    if columns.ndim != 2 or len(columns) != n or not np.isfinite(columns).all():
        raise ValueError(f"columns has shape {columns.shape}; expected finite numbers [{n}, c], a row for each vector")
    chosen = np.tile(np.arange(width), (n_layers, 1)) if dimensions is None else np.asarray(dimensions)
    if chosen.ndim != 2 or len(chosen) != n_layers or not np.isin(chosen, np.arange(width)).all():
        raise ValueError(f"dimensions has shape {chosen.shape}; expected [{n_layers}, k] of numbers from 0 to {width - 1}")
    labels, codes = np.unique(texts, return_inverse=True)
    if len(labels) < 4:
        raise ValueError(f"texts are {len(labels)}; expected four at least, two to fit on and two to measure")
    fitting, measuring = np.array_split(np.random.default_rng(seed).permutation(len(labels)), 2)
    measuring = np.sort(measuring)
    fit, test = np.isin(codes, fitting), np.isin(codes, measuring)
    design = np.column_stack([np.ones(n), columns])
    units = Units("text", labels[measuring], seed)
    places = np.searchsorted(measuring, codes[test])
    belongs = scipy.sparse.csr_array((np.ones(len(places)), (places, np.arange(len(places)))))  # [text, word]
    weights = np.concatenate([np.ones((1, len(measuring))), units.counts(n_resamples)])
    shares = []
    for layer, own in zip(states, chosen, strict=True):
        values = unit_vectors(layer)[:, own].astype(np.float64)
        slopes = np.linalg.lstsq(design[fit], values[fit], rcond=None)[0]
        left = belongs @ (values[test] - design[test] @ slopes) ** 2
        whole = belongs @ (values[test] - values[fit].mean(axis=0)) ** 2
        if not (whole.sum(axis=0) > 1e-12 * test.sum() * np.finfo(states.dtype).eps).all():  # more than rounding
            raise ValueError("states: a coordinate is the same for all words of a layer; expected coordinates that vary")
        shares.append(1 - (weights @ left / (weights @ whole)).mean(axis=1))
    stacked = np.stack(shares, axis=1)
    return Profile(stacked[0], stacked[1:], units)
