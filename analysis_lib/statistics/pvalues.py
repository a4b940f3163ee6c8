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
    greater = (1 + np.count_nonzero(null >= observed)) / (1 + len(null))
    less = (1 + np.count_nonzero(null <= observed)) / (1 + len(null))
    sides = {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}
    if alternative not in sides:
        raise ValueError(f"alternative: expected one of {', '.join(map(repr, sides))}, found {alternative!r}")
    return float(sides[alternative])


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
