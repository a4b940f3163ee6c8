r"""How many directions do states use around a point? Intrinsic dimension by layer, with two estimators.

Both read distances to nearest neighbours only, so they see a curved surface that a covariance does not. In a cloud of locally even
density and dimension $d$ the ratio $\mu = r_2 / r_1$ of a point's two nearest distances has the distribution $1 - \mu^{-d}$ (TwoNN: Facco
et al. 2017, "Estimating the intrinsic dimension of datasets by a minimal neighborhood information", equation 3), and the mean of
$\log(r_k / r_j)$ over the neighbours $j < k$ estimates $1 / d$ (Levina and Bickel 2004, "Maximum Likelihood Estimation of Intrinsic
Dimension", equation 8; points are averaged as MacKay and Ghahramani 2005 correct it, inverse by inverse).

The estimates grow slowly with the number of points and are too low in many dimensions: compare them at equal numbers only.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from analysis_lib.geometry.cosines import checked_labels, checked_states
from analysis_lib.statistics import Profile
from analysis_lib.statistics.profiles import Units

DISCARD = 0.1  # of the largest ratios of TwoNN, which are the least regular (Facco et al. 2017)


def intrinsic_dimension(
    states: ArrayLike, texts: ArrayLike, *, k: int = 20, max_points: int = 2000, n_resamples: int = 200, seed: int = 0
) -> dict[str, Profile]:
    """Intrinsic dimension by layer with both estimators, and intervals over texts.

    Distances are taken once, and the bootstrap resamples texts with the distances that their words have: a word that is drawn twice
    would otherwise be its own nearest neighbour.

    Parameters
    ----------
    states : float [layer, n, d_model]
        Repeated states count once.
    texts : array [n]
    k : int
        Neighbours of the maximum likelihood, 3 at least.
    max_points : int
        Words drawn at random where there are more, the same in every layer, since estimates depend on their number.
    n_resamples, seed : int
        Bootstrap over texts, and the draw of words.

    Returns
    -------
    dict of str to Profile
        `"TwoNN"` and `"maximum likelihood"`.

    Raises
    ------
    ValueError
        Fewer than two texts, a `k` below 3, a layer with no more than `k` different states among those drawn, or one whose states have
        their two nearest neighbours equally far, as on a grid.

    Examples
    --------
    >>> import numpy as np
    >>> plane = np.random.default_rng(0).normal(size=(2000, 2)) @ np.eye(2, 50)
    >>> found = intrinsic_dimension(plane[None], np.arange(2000), n_resamples=10)
    >>> np.round(found["TwoNN"].estimate), np.round(found["maximum likelihood"].estimate)
    (array([2.]), array([2.]))
    """
    states = checked_states(states, zero_ok=True)
    (texts,) = checked_labels(states, texts=texts)
    if k < 3:
        raise ValueError(f"k is {k}; expected 3 at least")
    if max_points <= k:
        raise ValueError(f"max_points is {max_points}; expected more than k, {k}")
    n = states.shape[1]
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:max_points])
    units = Units("text", np.unique(texts[rows]), seed)
    if len(units.labels) < 2:
        raise ValueError("texts are all the same; expected vectors from two texts at least")
    drawn = np.concatenate([np.ones((1, len(units.labels))), units.counts(n_resamples)])
    place = np.searchsorted(units.labels, texts[rows])
    found: dict[str, list[np.ndarray]] = {"TwoNN": [], "maximum likelihood": []}
    for layer in states:
        distances, kept = _neighbours(layer[rows].astype(np.float64), k)
        weights = drawn[:, place[kept]]
        found["TwoNN"].append(_two_nn(distances, weights))
        found["maximum likelihood"].append(_levina_bickel(distances, weights))
    stacked = {name: np.stack(values, axis=1) for name, values in found.items()}
    return {name: Profile(values[0], values[1:], units) for name, values in stacked.items()}


def _neighbours(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances [different point, k] to the nearest others, rising, and the rows of the points in `points`."""
    rows = np.sort(np.unique(points, axis=0, return_index=True)[1])
    if len(rows) <= max(k, 3):
        raise ValueError(f"points: expected more than {max(k, 3)} different ones, found {len(rows)}")
    different = points[rows] - points[rows].mean(axis=0)  # a large common mean would cost digits
    distances = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(different).kneighbors()[0]
    apart = distances[:, 0] > 0  # points closer than rounding are repeated ones
    return distances[apart], rows[apart]


def _two_nn(distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """TwoNN [resample] of points that count `weights` [resample, n] times."""
    ratios = np.log(distances[:, 1] / distances[:, 0])
    ratios = np.where(ratios < 1e-6, 0.0, ratios)  # equal distances differ by rounding
    if np.count_nonzero(ratios) <= DISCARD * len(ratios):
        raise ValueError("points: expected nearest distances that differ, found the two nearest neighbours equally far, as on a grid")
    order = np.argsort(ratios, kind="stable")
    ratios, weights = ratios[order], weights[:, order]
    below = (np.cumsum(weights, axis=1) - weights) / weights.sum(axis=1, keepdims=True)
    used = weights * (below < 1 - DISCARD - 1e-12)
    heights = -np.log1p(-np.minimum(below, 1 - DISCARD))
    return (used * heights) @ ratios / (used @ ratios**2)


def _levina_bickel(distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Maximum likelihood [resample] of points that count `weights` [resample, n] times."""
    logs = np.log(distances[:, -1:] / distances[:, :-1])
    inverse = np.where(logs < 1e-6, 0.0, logs).mean(axis=1)  # equal distances differ by rounding
    return weights.sum(axis=1) / (weights @ inverse)
