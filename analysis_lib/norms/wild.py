r"""A second opinion on clustered intervals: the wild cluster bootstrap with the null imposed.

Where clusters are few, t with clustered errors need not follow a t distribution. The wild cluster bootstrap finds its distribution from
the data: residuals of the regression under the null are kept or turned around, a whole text at a time, and the t of such a sample is
computed again and again (Cameron, Gelbach and Miller 2008, *Review of Economics and Statistics* 90; WCR-C in MacKinnon, Nielsen and Webb
2023). The interval holds all values that are not rejected when they are taken for the truth.

No regression is run again for that: with $z$ what other regressors and levels leave of a regressor, $u$ the residuals under the null and
$v_h = \pm 1$ the sign of text $h$, the numerator of t is $\sum_h v_h z_h^\top u_h$, and the score of text $g$ is linear in $v$ too
(Roodman, MacKinnon, Nielsen and Webb 2019, *Stata Journal* 19).
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from analysis_lib.norms.bias import bias_of
from analysis_lib.norms.design import FULL, Design, Specification, design_of
from analysis_lib.norms.regression import residual_freedom

_REACH, _STEPS = 8, 12  # the ends of an interval are sought within so many standard errors, by so many bisections
_DOUBLINGS = 30  # of that reach, where all within it is not rejected


class WildTest:
    """The wild cluster bootstrap of one coefficient, for any value of it that is taken for the truth.

    Parameters
    ----------
    y : float64 [n]
    x : float64 [n, term]
        Both without the design's effects.
    term : int
        The column of x that is tested.
    design : Design
        Its texts are the clusters.
    signs : float64 [text, draw]
        One and minus one: the signs that the residuals of each text get in each draw.

    Attributes
    ----------
    estimate, se : float
        By least squares, and clustered by text without correction for few texts (CRV0), which would cancel.
    """

    def __init__(self, y: np.ndarray, x: np.ndarray, term: int, design: Design, signs: np.ndarray) -> None:
        others = np.delete(x, term, axis=1)
        z, left = (values - others @ np.linalg.lstsq(others, values, rcond=None)[0] for values in (x[:, term], y))
        self._signs, self._size = signs, z @ z
        inverse = np.linalg.pinv(x)
        starts = [rows.start for rows in design.rows]

        def parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """What each text adds to the numerator [text], and to the scores of all texts [text, text added]."""
            alone = np.where(design.text[:, None] == np.arange(design.n_texts), values[:, None], 0.0)
            residuals = design.effects.taken_out(alone)
            residuals -= x @ (inverse @ residuals)
            return z @ alone, np.add.reduceat(z[:, None] * residuals, starts, axis=0)

        self._parts = parts(left), parts(z)
        numerators, scores = self._parts[0]
        self.estimate = float(numerators.sum() / self._size)
        self.se = float(np.linalg.norm(scores.sum(axis=1)) / self._size)

    def drawn(self, truth: float) -> np.ndarray:
        """T of the draws [draw] where `truth` is the coefficient."""
        (numerators, scores), (of_z, scores_of_z) = self._parts
        return (numerators - truth * of_z) @ self._signs / np.linalg.norm((scores - truth * scores_of_z) @ self._signs, axis=0)

    def p_value(self, truth: float) -> float:
        """Two-sided, for the hypothesis that `truth` is the coefficient."""
        beyond = np.abs(self.drawn(truth)) >= abs(self.estimate - truth) / self.se * (1 - 1e-9)
        return float((1 + beyond.sum()) / (1 + len(beyond)))

    def interval(self, level: float) -> tuple[float, float]:
        """The values that are not rejected, sought from the estimate outward; an end may be infinite where texts are few and unequal."""
        return self._end(-1, level), self._end(1, level)

    def _end(self, side: int, level: float) -> float:
        reach, steps = _REACH * self.se, _STEPS
        while self.p_value(self.estimate + side * reach) > 1 - level:
            reach, steps = 2 * reach, steps + 1
            if steps > _STEPS + _DOUBLINGS:
                return side * math.inf
        inside, outside = self.estimate, self.estimate + side * reach
        for _ in range(steps):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.p_value(middle) > 1 - level else (inside, middle)
        return inside


@threadpool_limits.wrap(limits=1)  # small products, over which threads would only wait for each other
def wild_intervals(
    norms: np.ndarray,
    tokens: pd.DataFrame,
    specification: Specification = FULL,
    level: float = 0.95,
    n_resamples: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Intervals and p-values of lags and leads by the wild cluster bootstrap, beside `regression.lagged_regression`.

    Parameters
    ----------
    norms, tokens, specification
        As for `lagged_regression`; texts are the clusters, whatever errors are specified.
    level : float
        Of each interval by itself, between 0 and 1.
    n_resamples : int
        Draws of signs, the same for all coefficients.
    seed : int

    Returns
    -------
    DataFrame
        A row for each layer and lag or lead: `term`, `layer`, `lag`, `estimate`, `low`, `high` (all less the bias of the small sample where
        `correct_bias`), `p` (two-sided, that the coefficient without its bias is 0).

    Raises
    ------
    ValueError
        As `lagged_regression`; fewer texts than the level needs (6 for 0.95), whose signs have too few combinations; a level or a number
        of draws out of range.
    """
    if not 0 < level < 1 or n_resamples < 1 / (1 - level):
        raise ValueError(f"level, n_resamples: expected 0 < level < 1 and 1 / (1 - level) draws or more, got {level} and {n_resamples}")
    design = design_of(norms, tokens, replace(specification, errors="cluster"))
    least = max(6, math.ceil(1 + math.log2(1 / (1 - level))))  # two of 2^n sign patterns repeat the sample: p is 2^(1 - n) at least
    if design.n_texts < least:
        raise ValueError(f"tokens: expected {least} texts or more, whose signs have enough combinations, got {design.n_texts}")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (design.n_texts, n_resamples))
    rows = []
    for layer, outcomes in enumerate(design.y):
        y, x = design.effects.taken_out(outcomes), design.effects.taken_out(design.x[layer])
        residual_freedom(x, design, layer)
        bias = bias_of(y, x, np.linalg.lstsq(x, y, rcond=None)[0], design) if specification.correct_bias else np.zeros(x.shape[1])
        for term in range(design.n_past):
            test = WildTest(y, x, term, design, signs)
            low, high = test.interval(level)
            name, lag = design.terms[term]
            row = {"term": name, "layer": layer + specification.layers_up, "lag": lag, "estimate": test.estimate - bias[term]}
            rows.append(row | {"low": low - bias[term], "high": high - bias[term], "p": test.p_value(bias[term])})
    return pd.DataFrame(rows)
