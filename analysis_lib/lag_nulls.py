"""Coefficients of a lagged regression held against those of a null: which of them says more than the null would?

A star wants both: a test that its errors make right (`lagged_regression`), and a model that learned nothing to be exceeded. Where an
untrained model shows as much, a small p-value says that the coefficient is no accident, and nothing about training.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib.lag_design import FULL, Specification
from analysis_lib.lagged_regression import lagged_regression
from analysis_lib.statistics import holm


def regress_draws(draws: Iterable[tuple[np.ndarray, pd.DataFrame]], specification: Specification = FULL) -> pd.DataFrame:
    """The regression of every draw of a null.

    Parameters
    ----------
    draws : iterable of (array [layer, token], DataFrame [token])
        Norms and tokens, as `lagged_regression` takes them.
    specification : Specification

    Returns
    -------
    DataFrame
        Rows as of `lagged_regression`, without the intervals over all tests, after a column `draw`; `p_holm` is over the tests of a draw.
    """
    tables = [lagged_regression(norms, tokens, specification) for norms, tokens in draws]
    table = pd.concat([t.assign(draw=i) for i, t in enumerate(tables)], ignore_index=True)
    return table[["draw", *table.columns.drop(["draw", "low_all", "high_all"])]]


def against_null(table: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    r"""Coefficients of lags and leads beside those of a null: does the model differ from a draw of it, and is it farther from zero?

    If the model were a draw like the S others, $(\beta - \bar\beta) / (s \sqrt{1 + 1/S})$ would follow t with S - 1 degrees of freedom.

    Parameters
    ----------
    table, null : DataFrame
        Of `lagged_regression` and `null_distribution` (two draws or more), with the same specification.

    Returns
    -------
    DataFrame
        Rows of lags and leads of `table`, with `null_mean`, `null_low`, `null_high` (where 95 % of draws are expected), `p_differs`
        (two-sided), `p_beyond` (how often a draw would be as far from zero, on either side), and both corrected by Holm over all rows:
        `p_differs_holm`, `p_beyond_holm`.

    Raises
    ------
    ValueError
        Fewer than two draws, or coefficients that the null does not have.
    """
    keys = ["term", "layer", "lag"]
    drawn = null[null["term"].isin(("lag", "lead"))].groupby(keys)["estimate"].agg(["mean", "std", "size"])
    found = table[table["term"].isin(("lag", "lead"))].join(drawn, on=keys).reset_index(drop=True)
    if found["mean"].isna().any() or found["size"].min() < 2:
        raise ValueError("null: expected two draws or more of every lag and lead of the table")
    estimate, mean = found["estimate"].to_numpy(), found.pop("mean").to_numpy()
    size = found.pop("size").to_numpy()
    spread = found.pop("std").to_numpy() * np.sqrt(1 + 1 / size)
    chance = scipy.stats.t(size - 1)
    differs = 2 * chance.sf(np.abs(estimate - mean) / spread)
    beyond = chance.sf((np.abs(estimate) - mean) / spread) + chance.cdf((-np.abs(estimate) - mean) / spread)
    reach = chance.ppf(0.975) * spread
    found = found.assign(null_mean=mean, null_low=mean - reach, null_high=mean + reach, p_differs=differs, p_beyond=beyond)
    return found.assign(p_differs_holm=holm(differs), p_beyond_holm=holm(beyond))


def survivors(hac: pd.DataFrame, untrained: pd.DataFrame, shuffled: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Which lags and leads pass which control; each column is within the one it names.

    Parameters
    ----------
    hac : DataFrame
        Of `lagged_regression` with `errors="hac"`.
    untrained, shuffled : DataFrame
        Of `against_null`: the same specification with clustered errors, held against either null.
    level : float
        Of all tests, each family corrected by Holm.

    Returns
    -------
    DataFrame
        `untrained` with `significant` (clustered and HAC errors), `differs` (significant, and unlike an untrained model),
        `starred` (significant, and farther from zero than an untrained model) and `ordered` (starred, and farther from zero than the
        same model on shuffled tokens).

    Raises
    ------
    ValueError
        Tables of different lags, leads or layers.
    """
    keys = ["term", "layer", "lag"]
    hac = hac[hac["term"].isin(("lag", "lead"))].reset_index(drop=True)
    for name, table in (("hac", hac), ("shuffled", shuffled)):
        if not table[keys].equals(untrained[keys]):
            raise ValueError(f"{name}: expected the lags, leads and layers of untrained ({len(untrained)} rows), found {len(table)} rows")
    significant = (untrained["p_holm"] < level) & (hac["p_holm"] < level)
    starred = significant & (untrained["p_beyond_holm"] < level)
    return untrained.assign(
        significant=significant,
        differs=significant & (untrained["p_differs_holm"] < level),
        starred=starred,
        ordered=starred & (shuffled["p_beyond_holm"] < level),
    )
