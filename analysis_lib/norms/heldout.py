"""How much of the variance the neighbours explain: in the sample, and in texts that the coefficients have not seen."""

import numpy as np
import pandas as pd
import scipy.linalg
from threadpoolctl import threadpool_limits

from analysis_lib.norms.design import FULL, Specification, design_of
from analysis_lib.norms.regression import residual_freedom
from analysis_lib.statistics import ratio_interval


@threadpool_limits.wrap(limits=1)  # thousands of small products, over which threads would only wait for each other
def past_explains(
    norms: np.ndarray,
    tokens: pd.DataFrame,
    specification: Specification = FULL,
    folds: int = 5,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the variance left by effects and covariates that lags and leads explain, in the sample and in texts held out.

    All coefficients, those of lags and those of everything else, are estimated on the other texts; a held-out text contributes only its
    own level.

    Parameters
    ----------
    norms, tokens, specification
        As in `regression.lagged_regression`.
    folds : int
        Groups of texts held out in turn, from 2 to the number of texts.
    level : float
        Of the interval, between 0 and 1.
    n_resamples, seed : int
        The interval is a bootstrap over texts of the held-out errors; the seed also deals the texts into folds.

    Returns
    -------
    DataFrame
        A row for each layer: `layer`, `partial_r2` (in the sample), `heldout_r2` with `low` and `high` (below 0 where the past
        predicts worse than nothing), `n`, `n_texts`.

    Raises
    ------
    ValueError
        As `regression.lagged_regression`, and for folds that do not fit the texts.
    """
    design = design_of(norms, tokens, specification)
    if not 2 <= folds <= design.n_texts:
        raise ValueError(f"folds: expected 2 to {design.n_texts}, the number of texts, got {folds}")
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(f"level, n_resamples: expected 0 < level < 1 and 1 draw or more, got {level} and {n_resamples}")
    fold = (np.random.default_rng(seed).permutation(design.n_texts) % folds)[design.text]
    within = design.within_texts if specification.text_effects else lambda values: values
    rows = []
    for layer, (y, x) in enumerate(zip(design.y, design.x, strict=True)):
        columns = within(x)
        columns = np.c_[design.levels, columns[:, design.n_past :], columns[:, : design.n_past]]
        held = _heldout(within(y[:, None])[:, 0], columns, fold, (columns.shape[1], columns.shape[1] - design.n_past))
        with_past, without = (np.bincount(design.text, errors**2) for errors in held)  # sums of squares of each text
        left = ratio_interval(with_past, without, level=level, n_resamples=n_resamples, seed=seed)
        outcome, terms = design.effects.taken_out(y), design.effects.taken_out(x)
        residual_freedom(terms, design, layer)
        inside = 1 - _left(outcome, terms) / _left(outcome, terms[:, design.n_past :])
        rows.append((layer, inside, 1 - left.estimate, 1 - left.high, 1 - left.low, len(y), design.n_texts))
    return pd.DataFrame(rows, columns=["layer", "partial_r2", "heldout_r2", "low", "high", "n", "n_texts"])


def _left(y: np.ndarray, x: np.ndarray) -> float:
    """Sum of squares that least squares leaves."""
    return float(np.sum((y - x @ scipy.linalg.lstsq(x, y)[0]) ** 2))


def _heldout(y: np.ndarray, x: np.ndarray, fold: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Errors [width, n] of least squares on the first columns, estimated on the other folds.

    Where several solutions fit (a position that only held-out texts reach), the smallest is taken.
    """
    size = np.linalg.norm(x, axis=0)
    both = np.c_[y, x / np.where(size > 0, size, 1)]  # what is too small to count must not depend on units
    products = [both[fold == held].T @ both[fold == held] for held in np.unique(fold)]
    errors = np.empty((len(widths), len(y)))
    for held, own in zip(np.unique(fold), products, strict=True):
        rest = sum(products) - own
        for place, width in enumerate(widths):
            within = slice(1, width + 1)
            coefficients = np.linalg.lstsq(rest[within, within], rest[within, 0], rcond=1e-10)[0]
            errors[place, fold == held] = both[fold == held, 0] - both[fold == held, within] @ coefficients
    return errors
