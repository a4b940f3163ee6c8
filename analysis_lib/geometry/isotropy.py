"""IsoScore: how evenly the variance of states fills their dimensions (Rudman et al. 2022).

Rudman et al. 2022, "IsoScore: Measuring the Uniformity of Embedding Space Utilization". Unlike a mean cosine it does not
see a mean that all vectors share.
"""

import warnings

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import checked_labels, checked_states
from analysis_lib.statistics import Profile
from analysis_lib.statistics.profiles import Units
from analysis_lib.sweeps.progress import shown


def iso_score(states: ArrayLike) -> Float[np.ndarray, "..."]:
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
    if not np.ptp(checked, axis=1).any(axis=1).all():  # the deviations of equal vectors from their mean would be rounding errors
        raise ValueError("states are all equal in a layer; expected vectors that differ")
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
    states, (texts,) = checked_states(states, zero_ok=True), checked_labels(states, texts=texts)
    names, codes = np.unique(texts, return_inverse=True)
    n_blocks = min(n_blocks, codes.max() + 1)
    if n_blocks < 2:
        raise ValueError("n_blocks and texts: expected two blocks of texts at least")
    block = np.random.default_rng(seed).permutation(codes.max() + 1)[codes] % n_blocks
    units = Units("block of texts", names[[codes[block == b].min() for b in range(n_blocks)]], seed)
    estimate = iso_score(states)
    weights = units.counts(n_resamples)

    def draws(layer: np.ndarray) -> np.ndarray:
        """Of one layer at a time, since a block's second moment is [d_model, d_model]."""
        centred = layer - layer.mean(axis=0)
        moments = np.stack([(centred[block == b].T @ centred[block == b]).ravel() for b in range(n_blocks)])
        traces = moments[:, :: layer.shape[1] + 1].sum(axis=1)
        squared = np.einsum("ri,ij,rj->r", weights, moments @ moments.T, weights, optimize=True)
        return _iso(weights @ traces, squared, layer.shape[1])

    drawn = np.stack(list(shown(map(draws, states), len(states), "IsoScore, layers")), axis=1)
    # A block that is drawn twice stands beside itself, which makes all draws look less isotropic than the sample.
    drawn += estimate - np.nanmean(drawn, axis=0)
    return Profile(estimate, drawn.clip(0, 1), units)


def _second_moment(states: np.ndarray) -> np.ndarray:
    centred = states - states.mean(axis=0, dtype=np.float64)
    return centred.T @ centred


def _iso(trace: np.ndarray, squared: np.ndarray, width: int) -> np.ndarray:
    """IsoScore from tr C and tr C^2 of a second moment C, up to scale; NaN where C is 0."""
    return (np.divide(trace**2, squared, out=np.full_like(squared, np.nan), where=squared > 0) - 1) / (width - 1)
