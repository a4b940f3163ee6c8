"""P-values from random draws of a null: few draws where chance does as well, many where it hardly ever does.

A test among hundreds must have a small p-value to survive a correction, and a null of a thousand draws cannot give one. So each test
goes on until chance has done as well as what was observed a fixed number of times (Besag and Clifford 1991, "Sequential Monte Carlo
p-values"). Where even the last draw is not enough for that, the largest draws say how fast the tail of the null falls, as in
Knijnenburg, Wessels, Reinders and Shmulevich 2009, "Fewer permutations, more accurate P-values".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.statistics.intervals import check_sample

ENOUGH = 20
"""Draws as large as the observation after which a test stops."""

IN_TAIL = 250
"""Largest draws from which the tail is extrapolated."""


@dataclass(frozen=True)
class NullDraws:
    """One test beside its null.

    Attributes
    ----------
    p : float
        One-sided: the chance of a draw as large as the observation. NaN where there is nothing to test.
    mean : float
        Mean of the draws.
    n_draws : int
        Draws made for this test.
    """

    p: float
    mean: float
    n_draws: int


def adaptive_null(
    observed: ArrayLike,
    draw: Callable[[int, np.ndarray], np.ndarray],
    *,
    max_draws: int = 20_000,
    first_draws: int = 1_000,
    spans: ArrayLike = 0.0,
) -> list[NullDraws]:
    """One-sided p-values of several statistics, each with as many draws of its null as it needs.

    Parameters
    ----------
    observed : float array [test]
        NaN where a statistic is not defined; such a test is not made.
    draw : callable
        `draw(n, tests)` gives n draws of the null for the tests of these numbers, float array [n, len(tests)]. NaN draws are left out.
        One set of draws may serve several tests.
    max_draws : int
        Draws after which no test goes on.
    first_draws : int
        Draws in the first round; each further round is three times as large as all before it.
    spans : float or float array [test]
        Distance between neighbouring values of a statistic that takes only some, such as 1/n for a share of n; 0 for a continuous one.

    Returns
    -------
    list of NullDraws
        One a test, in the order of `observed`.

    Raises
    ------
    ValueError
        `observed` is not one-dimensional, or a number of draws is below 1.
    """
    given = np.asarray(observed, dtype=float)
    if given.ndim != 1:
        raise ValueError(f"observed: expected one dimension, found shape {given.shape}")
    values = given - 1e-9 * np.abs(given)  # a draw of the same value, summed in another order, is as large
    if min(max_draws, first_draws) < 1:
        raise ValueError(f"max_draws and first_draws: expected 1 or more, found {max_draws} and {first_draws}")
    spans = np.broadcast_to(np.asarray(spans, dtype=float), values.shape)
    nulls = [np.empty(0)] * len(values)
    going_on, made = np.flatnonzero(np.isfinite(values)), 0
    while len(going_on) and made < max_draws:
        size = min(max(first_draws, 3 * made), max_draws - made)
        made += size
        for test, column in zip(going_on, draw(size, going_on).T, strict=True):
            nulls[test] = np.concatenate([nulls[test], column[np.isfinite(column)]])
        going_on = np.array([test for test in going_on if np.count_nonzero(nulls[test] >= values[test]) < ENOUGH], dtype=int)
    return [
        NullDraws(_sequential_pvalue(value, null, span), float(null.mean()), len(null)) if len(null) else NullDraws(np.nan, np.nan, 0)
        for value, null, span in zip(values, nulls, spans, strict=True)
    ]


def _sequential_pvalue(observed: float, null: np.ndarray, span: float) -> float:
    """Besag and Clifford's p-value: ENOUGH over the number of draws up to the ENOUGH-th that is as large; else the tail's."""
    as_large = np.flatnonzero(null >= observed)
    if len(as_large) >= ENOUGH:
        return ENOUGH / (1 + as_large[ENOUGH - 1])
    return tail_pvalue(observed, null, span)


def tail_pvalue(observed: float, null: ArrayLike, span: float = 0.0) -> float:
    r"""P-value of an observation among, or beyond, the largest draws of its null.

    Beyond the `IN_TAIL` largest draws the tail is taken to fall exponentially, at the rate that their mean distance from the smallest of
    them gives: a generalised Pareto tail of shape zero. With $m$ of $n$ draws at or above the threshold $u$, mean excess $e$ and span
    $\delta$,

    $$p = \frac{m}{n} \Bigl(1 + \frac{\delta}{e}\Bigr)^{-(x - u)/\delta} \to \frac{m}{n}\, e^{-(x - u)/e} \quad (\delta \to 0) .$$

    Tails of sums and counts fall faster than that, so p errs on the large side. A null with a heavy tail, such as a log-normal one,
    falls more slowly, and there p beyond the draws is too small. A fitted shape would be nearer, but it is often negative,
    which ends the tail and gives p-values of zero.

    Parameters
    ----------
    observed : float
    null : float array [draw]
    span : float
        As in `adaptive_null`.

    Returns
    -------
    float
        (1 + draws as large) / (1 + draws) where 20 draws or more are as large, where there are too few draws to say how the tail falls
        (below four times `IN_TAIL`), or where all of the largest are equal.

    Raises
    ------
    ValueError
        An empty null, or one that is not finite.
    """
    null = check_sample("null", null)
    n, as_large = len(null), np.count_nonzero(null >= observed)
    counted = (1 + as_large) / (1 + n)
    if as_large >= ENOUGH or n < 4 * IN_TAIL:
        return counted
    threshold = np.partition(null, -IN_TAIL)[-IN_TAIL]
    beyond = null[null >= threshold] - threshold
    excess = beyond.mean()
    if excess <= 0:
        return counted
    rate = np.log1p(span / excess) / span if span > 0 else 1 / excess
    return float(len(beyond) / n * np.exp(-rate * (observed - threshold)))
