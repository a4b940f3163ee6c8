"""P-values by permutation, and their correction where many tests are made at once."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.statistics.intervals import check_sample


def permutation_pvalue(observed: float, null: ArrayLike, alternative: str = "greater") -> float:
    """How often chance does as well as what was observed, the observed counted among the draws.

    (1 + draws at least as extreme) / (1 + draws): never 0 (Phipson and Smyth 2010, "Permutation P-values Should
    Never Be Zero").

    Parameters
    ----------
    observed : float
    null : array [n]
        The statistic under permutation.
    alternative : {"greater", "less", "two-sided"}
        Two-sided is twice the smaller side, at most 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An empty or non-finite null, a non-finite observation, an unknown alternative.
    """
    null = check_sample("null", null)
    if not np.isfinite(observed):
        raise ValueError(f"observed: expected a finite number, found {observed}")
    slack = 1e-9 * max(abs(observed), float(np.abs(null).max()))  # the same statistic, summed in another order
    greater = (1 + np.count_nonzero(null >= observed - slack)) / (1 + len(null))
    less = (1 + np.count_nonzero(null <= observed + slack)) / (1 + len(null))
    sides = {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}
    if alternative not in sides:
        raise ValueError(f"alternative: expected one of {', '.join(map(repr, sides))}, found {alternative!r}")
    return float(sides[alternative])


def sign_flip_pvalues(differences: ArrayLike, n_permutations: int = 5000, seed: int = 0) -> Float[np.ndarray, "..."]:
    """P-values of the means of paired differences, two-sided and corrected for all of them at once.

    Under the null each unit's differences are as likely with the opposite sign. Signs are drawn for whole units, so whatever the measures
    have in common is kept, and each t statistic is compared with the largest of all measures in each draw (Westfall and Young 1993,
    "Resampling-Based Multiple Testing").

    Parameters
    ----------
    differences : float array [unit, ...]
        Two units or more; one difference for each unit and measure. A measure whose differences are all zero gets 1.
    n_permutations, seed : int

    Returns
    -------
    numpy.ndarray [...]

    Raises
    ------
    ValueError
        Fewer than two units, no measure, values that are not finite, `n_permutations` below 1.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim < 1 or len(differences) < 2 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"differences: expected finite values of two units or more, found shape {differences.shape}")
    if n_permutations < 1:
        raise ValueError(f"n_permutations: expected at least 1, found {n_permutations}")
    flat = differences.reshape(len(differences), -1)
    squares = (flat**2).sum(axis=0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n_permutations, len(flat)))

    def t_statistics(means: np.ndarray) -> np.ndarray:
        spread = np.sqrt(np.maximum(squares / len(flat) - means**2, 0) / (len(flat) - 1))
        spread = np.maximum(spread, np.sqrt(squares) * 1e-12)  # all differences equal: a very large t
        return np.divide(np.abs(means), spread, out=np.zeros_like(means), where=squares > 0)

    observed = t_statistics(flat.mean(axis=0)[None])[0]
    largest = t_statistics(signs @ flat / len(flat)).max(axis=1)
    as_large = (largest[:, None] >= observed * (1 - 1e-9)).sum(axis=0)
    return ((1 + as_large) / (1 + n_permutations)).reshape(differences.shape[1:])


def holm(pvalues: ArrayLike) -> Float[np.ndarray, "..."]:
    """P-values corrected for testing many at once (Holm 1979): reject where the result is below the level.

    Parameters
    ----------
    pvalues : array [...]
        Of every test made, also of those without effect; any shape.

    Returns
    -------
    numpy.ndarray [...]
        Corrected, in the same order and shape.

    Raises
    ------
    ValueError
        No p-values, or values outside 0 to 1.
    """
    shape = np.shape(pvalues)
    flat = check_sample("pvalues", np.ravel(pvalues))
    if flat.min() < 0 or flat.max() > 1:
        raise ValueError(f"pvalues: expected numbers from 0 to 1, found {flat.min()} to {flat.max()}")
    # As statsmodels' multipletests, which collects the interpreter's garbage at every call: seconds where models are in memory.
    order = np.argsort(flat, kind="stable")
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(1, np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1)))
    return corrected.reshape(shape)
