r"""Regression of a series on its own past, over many texts, with what makes such a regression trustworthy.

With $y_{it}$ the log norm at position $t$ of text $i$, $\alpha_i$ a level of the text and $\gamma_t$ a level of the position,

$$y_{it} = \alpha_i + \gamma_t + \sum_{k=1}^{p} \beta_k\, y_{i,t-k} + \delta^\top x_{it} + e_{it}.$$

`Specification` says which of these terms enter. `ORIGINAL` is the model of the original notebook (one text, an intercept, two lags,
ordinary standard errors); `FULL` is the one whose false positives come near their nominal rate.

- A position trend that all texts share looks like dependence on the past. Levels of positions remove a trend of any shape; log position
  removes only a logarithmic one; the mean over other texts leaves its own noise in.
- Levels of texts bias the coefficients of lags; the regression subtracts that bias (`bias`).
- Tokens of a text are not independent: errors are clustered by text, by the jackknife (`errors`), on t with (texts - 1) degrees of freedom.
- All layers and lags are tests of one family: Holm's correction (1979), and Bonferroni's for intervals that hold simultaneously.
"""

import numpy as np
import pandas as pd
import scipy.stats
import statsmodels.api as sm
from statsmodels.regression.linear_model import RegressionResults
from threadpoolctl import threadpool_limits

from analysis_lib.norms.bias import bias_of
from analysis_lib.norms.design import FULL, Design, Specification, design_of
from analysis_lib.norms.errors import covariance_of
from analysis_lib.statistics import holm

_RESIDUAL_LAGS = 4  # of the Breusch-Godfrey test
_COLLINEAR = 1e-7  # share of a column that the columns before it must leave; rounding leaves 1e-12 of a collinear one


@threadpool_limits.wrap(limits=1)  # thousands of small products, over which threads would only wait for each other
def lagged_regression(norms: np.ndarray, tokens: pd.DataFrame, specification: Specification = FULL, level: float = 0.95) -> pd.DataFrame:
    """Regress log norms on their own past, layer by layer, or on the past of an earlier layer (`Specification.layers_up`).

    Parameters
    ----------
    norms : array [layer, token] or [token]
        Positive; the logarithm is taken here.
    tokens : DataFrame [token]
        `text` and `position` (texts one after the other, positions one by one), columns for the covariates, and
        optionally `special` (tokens that are neither outcome nor lag).
    specification : Specification
    level : float
        Of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row for each layer (of the outcomes, from 0) and term: `term` (`lag`, `lead` or a covariate), `layer`, `lag` (tokens back; below
        0 for what follows, 0 for the outcome's own), `estimate`, `se`, `low`, `high`, `low_all`, `high_all` (over all lags, leads and
        layers simultaneously, by Bonferroni), `p`, `p_holm` (over the same; nan for covariates), `bias` (of the small sample, already
        subtracted from the estimate where `correct_bias`), `p_breusch_godfrey` (residuals on their last four and all regressors), `n`
        (outcomes), `n_texts`, `units`.

    Raises
    ------
    ValueError
        Norms that are not positive and finite, or constant in a layer; texts with fewer than five outcomes; columns that are missing or
        collinear (named); fewer outcomes than regressors and effects; fewer than two texts where errors are clustered; tables out of order.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    design = design_of(norms, tokens, specification)
    fits = [_fit_layer(design, layer) for layer in range(len(design.y))]
    table = pd.DataFrame({name: np.concatenate([fit[name] for fit in fits]) for name in fits[0]})
    tested = neighbours(table).index
    table["p_holm"] = np.nan
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"])
    for ends, share in ((("low", "high"), 1 - level), (("low_all", "high_all"), (1 - level) / len(tested))):
        half = scipy.stats.t.ppf(1 - share / 2, table["df"]) * table["se"]
        table[ends[0]], table[ends[1]] = table["estimate"] - half, table["estimate"] + half
    table["units"] = "log norm a log norm"
    table["units"] = table["units"].where(table.index.isin(tested), "log norm a unit of " + table["term"])
    columns = "term layer lag estimate se low high low_all high_all p p_holm bias p_breusch_godfrey n n_texts units"
    return table[columns.split()]


def neighbours(table: pd.DataFrame, lag: int | None = None) -> pd.DataFrame:
    """Rows of lags and leads, without those of covariates.

    Parameters
    ----------
    table : DataFrame
        With `term` and `lag`, as `lagged_regression` returns it.
    lag : int, optional
        Only this neighbour: 1 for the token before, -1 for the one after.
    """
    chosen = table["term"].isin(("lag", "lead"))
    return table[chosen if lag is None else chosen & (table["lag"] == lag)]


def marked(table: pd.DataFrame, corrected: bool = True, level: float = 0.05) -> pd.DataFrame:
    """Lags and leads with a column `filled`: whether the coefficient is significant.

    Parameters
    ----------
    table : DataFrame
        Of `lagged_regression`.
    corrected : bool
        Whether p is corrected by Holm; `low` and `high` are then the simultaneous intervals.
    level : float
        Of the test.

    Returns
    -------
    DataFrame
        Rows of `neighbours`, with `filled`.
    """
    rows = neighbours(table)
    if not corrected:
        return rows.assign(filled=rows["p"] < level)
    return rows.assign(low=rows["low_all"], high=rows["high_all"], filled=rows["p_holm"] < level)


def _fit_layer(design: Design, layer: int) -> dict[str, np.ndarray]:
    """One layer's coefficients; effects are projected out of both sides first (Frisch and Waugh 1933), which changes none of them."""
    y, x = design.effects.taken_out(design.y[layer]), design.effects.taken_out(design.x[layer])
    if y @ y < 1e-18 * len(y):
        raise ValueError(f"norms: layer {layer} is constant once the effects are taken out; expected norms that vary within texts")
    model = sm.OLS(y, x, hasconst=False)  # an intercept is among the effects
    model.df_resid = residual_freedom(x, design, layer)
    fit = model.fit()
    covariance, df = covariance_of(fit, design)
    own_past = design.specification.text_effects and not design.specification.layers_up
    bias = bias_of(y, x, fit.params, design) if own_past else np.zeros(len(fit.params))
    estimate = fit.params - bias if design.specification.correct_bias else fit.params
    se = np.sqrt(np.diag(covariance))
    same = {"layer": layer + design.specification.layers_up, "df": df, "n": len(y), "n_texts": design.n_texts}
    same |= {"p_breusch_godfrey": _breusch_godfrey(fit, bias, design)}
    return {
        "term": np.array([name for name, _ in design.terms], dtype=object),
        "lag": np.array([lag for _, lag in design.terms]),
        "estimate": estimate,
        "se": se,
        "p": 2 * scipy.stats.t.sf(np.abs(estimate / se), df),
        "bias": bias,
        **{name: np.repeat(value, len(estimate)) for name, value in same.items()},
    }


def residual_freedom(left: np.ndarray, design: Design, layer: int) -> int:
    """Degrees of freedom of the residuals of a layer, whose regressors are given with the effects taken out.

    Raises
    ------
    ValueError
        A regressor that effects and the regressors before it determine; fewer outcomes than regressors and effects.
    """
    x = design.x[layer]
    size = np.linalg.norm(x - x.mean(axis=0), axis=0)
    remains = np.abs(np.diag(np.linalg.qr(left / np.where(size > 0, size, 1), mode="r")))
    bad = np.flatnonzero((size == 0) | (np.r_[remains, np.zeros(len(size) - len(remains))] < _COLLINEAR))
    if bad.size:
        name, lag = design.terms[bad[0]]
        raise ValueError(
            f"specification: {name} (lag {lag}) is collinear with the effects or the regressors before it in layer {layer};"
            " expected columns that vary on their own"
        )
    freedom = len(x) - x.shape[1] - design.effects.rank
    if freedom < 1:
        raise ValueError(f"tokens: expected more outcomes than regressors and effects, got {len(x)} and {len(x) - freedom}")
    return freedom


def _breusch_godfrey(fit: RegressionResults, bias: np.ndarray, design: Design) -> float:
    """P-value of the test of Breusch (1978) and Godfrey (1978): n R² of residuals on the last four and all regressors.

    Lagged outcomes draw Durbin and Watson's statistic to 2, but not this one. A missing earlier residual counts as 0. Text levels
    make the residuals of a text move against each other; what is expected of that is subtracted from the score.
    """
    residuals, x = fit.resid, fit.model.exog
    at = np.full(design.place[-1] + 1, -1)
    at[design.place] = np.arange(len(residuals))
    earlier = np.zeros((len(residuals), _RESIDUAL_LAGS))
    for k in range(1, _RESIDUAL_LAGS + 1):
        row = at[np.maximum(design.place - k, 0)]
        there = (row >= 0) & (design.place >= k) & (design.text[row] == design.text)
        earlier[there, k - 1] = residuals[row[there]]
    earlier = design.effects.taken_out(earlier)
    variance = residuals @ residuals / len(residuals)
    score = earlier.T @ residuals
    if design.specification.text_effects:
        score += variance * design.pairs[1 : _RESIDUAL_LAGS + 1] + earlier.T @ x @ bias
    earlier -= x @ (fit.model.pinv_wexog @ earlier)
    statistic = score @ np.linalg.pinv(earlier.T @ earlier) @ score / variance
    return float(scipy.stats.chi2.sf(statistic, _RESIDUAL_LAGS))
