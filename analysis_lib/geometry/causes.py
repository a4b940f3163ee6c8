"""How far do position and frequency explain single dimensions of states, and can a position be read from a state?

Kovaleva et al. 2021, "BERT Busters", and Puccetti et al. 2022, "Outlier Dimensions that Disrupt Transformers Are Driven by Frequency",
name these two causes of rogue dimensions. A regression is fitted on one half of the texts, and what it explains is measured on the other.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from analysis_lib.geometry.cosines import checked_labels, checked_states, unit_vectors
from analysis_lib.statistics import Profile
from analysis_lib.statistics.products import Products
from analysis_lib.statistics.profiles import Units
from analysis_lib.sweeps.progress import shown

PENALTIES = tuple(np.logspace(-1, 5, 7).tolist())
"""Of the regression that reads positions; columns are scaled to variance 1."""


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
    halves = _Halves.of(texts, seed)
    design = np.column_stack([np.ones(n), columns])
    weights = halves.weights(n_resamples)
    shares = []
    for layer, own in zip(states, chosen, strict=True):
        values = unit_vectors(layer)[:, own].astype(np.float64)
        slopes = np.linalg.lstsq(design[halves.fit], values[halves.fit], rcond=None)[0]
        whole = (values[halves.test] - values[halves.fit].mean(axis=0)) ** 2
        if not (whole.sum(axis=0) > 1e-12 * len(whole) * np.finfo(states.dtype).eps).all():  # more than rounding
            raise ValueError("states: a coordinate is the same for all words of a layer; expected coordinates that vary")
        shares.append(halves.explained(weights, (values[halves.test] - design[halves.test] @ slopes) ** 2, whole))
    stacked = np.stack(shares, axis=1)
    return Profile(stacked[0], stacked[1:], halves.units)


def readable_positions(
    states: ArrayLike, positions: ArrayLike, texts: ArrayLike, periods: ArrayLike = (8, 32, 128), *, n_resamples: int = 1000, seed: int = 0
) -> Profile:
    """How well a linear map reads the position of a token from its state, in other texts.

    Ridge regression, its penalty chosen by cross-validation over texts, predicts the sine and the cosine of the position at each
    period. A short period asks for exact places, a long one for the rough place in the text.

    Parameters
    ----------
    states : float [layer, n, d_model]
    positions : int array [n]
        At which the model saw each token.
    texts : array [n]
        Four texts at least; they are halved at random.
    periods : float array
        In tokens, above 2.
    n_resamples, seed : int
        As in `explained_share`.

    Returns
    -------
    Profile
        Share of the variance explained, R², a mean over sines and cosines: 1 where positions are known exactly, 0 or less where the
        mean over all tokens would predict as well.

    Raises
    ------
    ValueError
        Fewer than four texts; a period that no whole steps can show; positions that are all the same.
    """
    states, (positions, texts) = checked_states(states), checked_labels(states, positions=positions, texts=texts)
    periods = np.asarray(periods, dtype=np.float64)
    if periods.ndim != 1 or len(periods) == 0 or not (periods > 2).all():
        raise ValueError(f"periods is {periods.tolist()}; expected numbers above 2")
    if len(np.unique(positions)) < 2:
        raise ValueError(f"positions are all {positions[0]}; expected positions that differ")
    halves = _Halves.of(texts, seed)
    angles = 2 * np.pi * positions[:, None] / periods
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    same = np.minimum(*(np.ptp(waves[half], axis=0) for half in (halves.fit, halves.test))) < 1e-9
    if same.any():
        unseen = np.unique(periods[np.flatnonzero(same) % len(periods)]).tolist()
        raise ValueError(f"periods, positions: expected positions that differ within each period, found the same in {unseen}")
    weights = halves.weights(n_resamples)
    whole = (waves[halves.test] - waves[halves.fit].mean(axis=0)) ** 2
    own = texts[halves.fit]
    folds = list(GroupKFold(min(5, len(np.unique(own)))).split(own, groups=own))

    def shares(layer: np.ndarray) -> np.ndarray:
        exact = layer.astype(np.float64)  # with a small penalty float32 would not do
        scaler = StandardScaler().fit(exact[halves.fit])
        slopes, constant = _ridge(scaler.transform(exact[halves.fit]), waves[halves.fit], folds)
        told = scaler.transform(exact[halves.test]) @ slopes + constant
        return halves.explained(weights, (waves[halves.test] - told) ** 2, whole)

    stacked = np.stack(list(shown(map(shares, states), len(states), "positions read, layers")), axis=1)
    return Profile(stacked[0], stacked[1:], halves.units)


def _ridge(x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and constant of the ridge regression whose penalty predicts left-out folds best, by the mean of R².

    What scikit-learn's RidgeCV gives with the same folds. That multiplies all rows anew for each fold and penalty; here the products of
    the whole less those of a fold are those of the other folds.
    """
    products = [Products.of(x[held], y[held]) for _, held in folds]
    whole = reduce(Products.__add__, products)
    scores = np.zeros(len(PENALTIES))
    for (_, held), own in zip(folds, products, strict=True):
        others = whole - own
        for place, penalty in enumerate(PENALTIES):
            slopes, constant = _ridge_of(others, penalty)
            scores[place] += r2_score(y[held], x[held] @ slopes + constant)
    return _ridge_of(whole, PENALTIES[int(scores.argmax())])


def _ridge_of(products: Products, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and constant, the latter without penalty."""
    mean_x, mean_y, xx, xy = products.centred()
    xx[np.diag_indices_from(xx)] += penalty
    slopes = scipy.linalg.solve(xx, xy, assume_a="pos")
    return slopes, mean_y - mean_x @ slopes


@dataclass(frozen=True, eq=False)
class _Halves:
    """Texts halved at random: a regression is fitted on one half and measured on the other.

    `fit` and `test` say which rows are in either, `belongs` [text, row] in which text each measured row is, `units` what is resampled.
    """

    fit: np.ndarray
    test: np.ndarray
    belongs: scipy.sparse.csr_array
    units: Units

    @classmethod
    def of(cls, texts: np.ndarray, seed: int) -> "_Halves":
        labels, codes = np.unique(texts, return_inverse=True)
        if len(labels) < 4:
            raise ValueError(f"texts are {len(labels)}; expected four at least, two to fit on and two to measure")
        fitting, measuring = np.array_split(np.random.default_rng(seed).permutation(len(labels)), 2)
        measuring = np.sort(measuring)
        fit, test = np.isin(codes, fitting), np.isin(codes, measuring)
        places = np.searchsorted(measuring, codes[test])
        belongs = scipy.sparse.csr_array((np.ones(len(places)), (places, np.arange(len(places)))))
        return cls(fit, test, belongs, Units("text", labels[measuring], seed))

    def weights(self, n_resamples: int) -> np.ndarray:
        """How often each measured text counts, [1 + n_resamples, text]: once, and then as it was drawn."""
        return np.concatenate([np.ones((1, len(self.units.labels))), self.units.counts(n_resamples)])

    def explained(self, weights: np.ndarray, left: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """1 - left / whole of squared errors [measured row, column], summed over texts: a mean over columns for each set of weights."""
        return 1 - (weights @ (self.belongs @ left) / (weights @ (self.belongs @ whole))).mean(axis=1)
