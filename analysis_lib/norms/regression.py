r"""Regression of a series on its own past, over many texts, with what such a regression needs to be believed.

With $y_{it}$ the log norm at position $t$ of text $i$, $\alpha_i$ a level of the text and $\gamma_t$ a level of the position,

$$y_{it} = \alpha_i + \gamma_t + \sum_{k=1}^{p} \beta_k\, y_{i,t-k} + \delta^\top x_{it} + e_{it}.$$

`Specification` says which of these terms enter; `ORIGINAL` is the model of the original notebook (one text, an intercept, two lags,
ordinary standard errors), `FULL` the one whose false positives are near what it claims.

- A position trend common to all texts passes for dependence on the past. Levels of positions take out a trend of any shape; log position
  only a logarithmic one; the mean over other texts only what is left of its own noise.
- Levels of texts bias the coefficients of lags: a text's mean holds the errors that follow. For one lag by $-(1+\rho)/T$
  (Nickell 1981), in a single series $-(1+3\rho)/T$ (Kendall 1954); `small_sample_bias`. The regression adds it back.
- Tokens of a text are not independent: errors are clustered by text, by the jackknife that leaves one out (CRV3; MacKinnon, Nielsen and
  Webb 2023), on t with (texts - 1) degrees of freedom.
- All layers and lags are tests of one family: Holm (1979), and Bonferroni for intervals that hold at once.
"""

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.signal
import scipy.stats
import statsmodels.api as sm
from threadpoolctl import threadpool_limits

from analysis_lib.norms.design import FULL, IDENTITY, ORIGINAL, Design, Specification, design_of
from analysis_lib.statistics import holm

__all__ = ["FULL", "IDENTITY", "ORIGINAL", "Specification", "lagged_regression", "past_explains", "small_sample_bias"]

_RESIDUAL_LAGS = 4  # of the Breusch-Godfrey test
_COLLINEAR = 1e-7  # share of a column that is left when the columns before it are taken out; rounding leaves 1e-12

_one_thread = threadpool_limits.wrap(limits=1)  # thousands of small products, over which threads would only wait for each other


@_one_thread
def lagged_regression(norms, tokens: pd.DataFrame, specification: Specification = FULL, level: float = 0.95) -> pd.DataFrame:
    """Regress log norms on their own past, layer by layer.

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
        A row for each layer (from 0) and term: `term` (`lag`, `lead` or a covariate), `layer`, `lag` (tokens back; below 0 for what
        follows, 0 for the outcome's own), `estimate`, `se`, `low`, `high`, `low_all`, `high_all` (over all lags, leads and layers at once,
        by Bonferroni), `p`, `p_holm` (over the same; nan for covariates), `bias` (small-sample bias, taken out of the estimate where
        `correct_bias`), `p_breusch_godfrey` (residuals on their last four and all regressors), `n` (outcomes), `n_texts`, `units`.

    Raises
    ------
    ValueError
        Norms that are not positive and finite, or constant in a layer; texts shorter than lags + leads + 5; columns that are missing
        or collinear (named); fewer than two texts where errors are clustered; tables out of order.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, found {level}")
    design = design_of(norms, tokens, specification)
    fits = [_fit_layer(design, layer) for layer in range(len(design.y))]
    table = pd.DataFrame({name: np.concatenate([fit[name] for fit in fits]) for name in fits[0]})
    tested = table["term"].isin(("lag", "lead")).to_numpy()
    table["p_holm"] = np.nan
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"])
    for ends, share in ((("low", "high"), 1 - level), (("low_all", "high_all"), (1 - level) / tested.sum())):
        half = scipy.stats.t.ppf(1 - share / 2, table["df"]) * table["se"]
        table[ends[0]], table[ends[1]] = table["estimate"] - half, table["estimate"] + half
    table["units"] = np.where(tested, "log norm a log norm", "log norm a unit of " + table["term"])
    columns = "term layer lag estimate se low high low_all high_all p p_holm bias p_breusch_godfrey n n_texts units"
    return table[columns.split()]


@_one_thread
def past_explains(
    norms, tokens: pd.DataFrame, specification: Specification = FULL, folds: int = 5, n_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Share of the variance left by effects and covariates that lags and leads explain, in the sample and in texts held out.

    Coefficients, of lags and of everything else, come from the other texts; a held-out text gives only its own level.

    Parameters
    ----------
    norms, tokens, specification
        As in `lagged_regression`.
    folds : int
        Groups of texts held out in turn, from 2 to the number of texts.
    n_resamples, seed : int
        The interval is a bootstrap over texts of the held-out errors; the seed also deals the texts into folds.

    Returns
    -------
    DataFrame
        A row a layer: `layer`, `partial_r2` (in the sample), `heldout_r2` with `low` and `high` (95 %; below 0 where the past
        predicts worse than nothing), `n`, `n_texts`.

    Raises
    ------
    ValueError
        As `lagged_regression`, and for folds that do not fit the texts.
    """
    design = design_of(norms, tokens, specification)
    if not 2 <= folds <= design.n_texts:
        raise ValueError(f"folds: expected 2 to {design.n_texts}, the number of texts, found {folds}")
    rng = np.random.default_rng(seed)
    fold = (rng.permutation(design.n_texts) % folds)[design.text]
    within = _without_means(design.text) if specification.text_effects else lambda values: values
    effects = within(design.positions) if specification.position_effects else np.empty((len(design.text), 0))
    effects = effects if specification.text_effects else np.c_[np.ones(len(design.text)), effects]
    drawn = rng.integers(design.n_texts, size=(n_resamples, design.n_texts))
    rows = []
    for layer in range(len(design.y)):
        inside, errors = np.zeros(2), np.zeros((2, design.n_texts))
        free, left = _without_effects(design, layer)
        y, x = within(design.y[layer][:, None])[:, 0], within(design.x[layer])
        columns = np.c_[effects, x[:, design.n_past :], x[:, : design.n_past]]
        held = _heldout(y, columns, fold, (columns.shape[1], columns.shape[1] - design.n_past))
        for place, first in enumerate((0, design.n_past)):
            inside[place] = np.sum((free - left[:, first:] @ scipy.linalg.lstsq(left[:, first:], free)[0]) ** 2)
            errors[place] = np.bincount(design.text, held[place] ** 2)
        ratio = 1 - errors[0, drawn].sum(axis=1) / errors[1, drawn].sum(axis=1)
        low, high = np.quantile(ratio, [0.025, 0.975])
        found = {"layer": layer, "partial_r2": 1 - inside[0] / inside[1], "heldout_r2": 1 - errors[0].sum() / errors[1].sum()}
        rows.append(found | {"low": low, "high": high, "n": len(y), "n_texts": design.n_texts})
    return pd.DataFrame(rows)


def small_sample_bias(rho: float, n_tokens: int, n_texts: int = 1) -> float:
    r"""Bias of the coefficient of one lag by least squares with a level for each text: $-(1+\rho)/T - 2\rho/(NT)$, to first order.

    For one text the $-(1+3\rho)/T$ of Kendall (1954, Biometrika 41) and Marriott and Pope (1954); for many the
    $-(1+\rho)/T$ of Nickell (1981, Econometrica 49, equation 18).

    Parameters
    ----------
    rho : float
        The true coefficient, between -1 and 1.
    n_tokens, n_texts : int
        T and N.

    Returns
    -------
    float
    """
    if not (abs(rho) < 1 and n_tokens >= 1 and n_texts >= 1):
        raise ValueError(f"rho, n_tokens, n_texts: expected -1 < rho < 1 and counts from 1, found {rho}, {n_tokens}, {n_texts}")
    return -(1 + rho) / n_tokens - 2 * rho / (n_texts * n_tokens)


def _fit_layer(design: Design, layer: int) -> dict[str, np.ndarray]:
    """One layer's coefficients; effects are taken out of both sides first (Frisch and Waugh 1933), which changes none of them."""
    y, x = _without_effects(design, layer)
    if y @ y < 1e-18 * len(y):
        raise ValueError(f"norms: layer {layer} is constant once the effects are taken out; expected norms that vary within texts")
    _check_columns(x, design, layer)
    model = sm.OLS(y, x, hasconst=False)  # an intercept is among the effects
    model.df_resid = len(y) - x.shape[1] - design.effects.rank
    if model.df_resid < 1:
        raise ValueError(f"tokens: expected more outcomes than regressors and effects, found {len(y)} and {len(y) - model.df_resid}")
    fit = model.fit()
    covariance, df = _covariance(fit, design)
    bias = _bias(y, x, fit.params, design) if design.specification.text_effects else np.zeros(len(fit.params))
    estimate = fit.params - bias if design.specification.correct_bias else fit.params
    se = np.sqrt(np.diag(covariance))
    same = {
        "layer": layer, "df": df, "p_breusch_godfrey": _breusch_godfrey(fit, bias, design), "n": len(y), "n_texts": design.n_texts,
    }  # fmt: skip
    return {
        "term": np.array([name for name, _ in design.terms], dtype=object),
        "lag": np.array([lag for _, lag in design.terms]),
        "estimate": estimate,
        "se": se,
        "p": 2 * scipy.stats.t.sf(np.abs(estimate / se), df),
        "bias": bias,
        **{name: np.repeat(value, len(estimate)) for name, value in same.items()},
    }


def _without_effects(design: Design, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and regressors of a layer, less their projections on the levels of texts and positions."""
    return design.effects.taken_out(design.y[layer]), design.effects.taken_out(design.x[layer])


def _check_columns(left: np.ndarray, design: Design, layer: int) -> None:
    """Refuse a regressor that effects and the regressors before it determine."""
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


def _covariance(fit, design: Design) -> tuple[np.ndarray, float]:
    """Covariance of the coefficients and the degrees of freedom of their t; effects that were taken out count as regressors."""
    (n, k), absorbed, specification = fit.model.exog.shape, design.effects.rank, design.specification
    if specification.errors == "ordinary":
        return fit.cov_params(), fit.model.df_resid
    if specification.errors == "hac":
        reach = int(4 * (np.median(np.bincount(design.text)) / 100) ** (2 / 9))
        robust = fit.get_robustcov_results("hac-panel", groups=design.text, maxlags=reach, use_correction="hac")
        return robust.cov_params() * (n - k) / (n - k - absorbed), fit.model.df_resid
    robust = fit.get_robustcov_results("cluster-crv3", groups=design.text)
    # Text levels are nested in the clusters and do not count (Cameron and Miller 2015, section III.B).
    counted = absorbed - (design.n_texts - 1 if specification.text_effects else 0)
    return robust.cov_params() * (n - k) / (n - k - counted), design.n_texts - 1


def _bias(y: np.ndarray, x: np.ndarray, params: np.ndarray, design: Design) -> np.ndarray:
    r"""What the text levels add to each coefficient, to first order in 1/T.

    Taking the mean of a text's n outcomes out leaves $-\frac1n \sum_{t,s} \mathrm{E}[y_{t-k} e_s]$ between lag k and the error; with one
    lag, and all tokens outcomes, that makes $-(1+\rho)/T$. The covariances are those of the autoregression with the estimated lags.
    """
    past = np.array([lag for _, lag in design.terms[: design.n_past]])
    lags, inverse = np.r_[past > 0, np.zeros(x.shape[1] - len(past), dtype=bool)], np.linalg.inv(x.T @ x)
    one_sided = ~np.r_[past < 0, np.zeros(x.shape[1] - len(past), dtype=bool)]
    first = np.linalg.lstsq(x[:, one_sided], y, rcond=None)[0]
    scale = np.mean((y - x[:, one_sided] @ first) ** 2)
    distances = np.arange(1 - len(design.pairs), len(design.pairs))
    pairs = np.r_[design.pairs[:0:-1], design.pairs]
    bias = np.zeros_like(params)
    for _ in range(3):  # the bias depends on the unbiased coefficients
        b = (params - bias)[: len(past)]
        autoregression = b if lags[: len(past)].all() else first[: np.count_nonzero(lags)]
        covariance = _autocovariance(autoregression, scale, 2 * len(pairs))
        explained = [[c * covariance(distances - k + j) for c, j in zip(b, past, strict=True)] for k in past]
        with_error = np.array([covariance(distances - k) for k in past]) - np.sum(explained, axis=1)
        bias = -inverse[:, : len(past)] @ (with_error @ pairs)
    return bias


def _autocovariance(lags: np.ndarray, scale: float, longest: int):
    """Covariance at any distance of an autoregression begun `longest` steps ago with errors of variance `scale`.

    Estimates that explode are drawn in until they do not.
    """
    largest = np.abs(np.roots(np.r_[1.0, -lags])).max(initial=0.0)
    lags = lags * min(1.0, 0.995 / max(largest, 1e-9)) ** np.arange(1, len(lags) + 1)
    impulse = scipy.signal.lfilter([1.0], np.r_[1.0, -lags], np.r_[1.0, np.zeros(longest)])
    values = scale * scipy.signal.correlate(impulse, impulse)[longest:]
    return lambda distance: values[np.abs(distance)]


def _breusch_godfrey(fit, bias: np.ndarray, design: Design) -> float:
    """P-value of the test of Breusch (1978) and Godfrey (1978): n R² of residuals on the last four and all regressors.

    Durbin and Watson's statistic is drawn to 2 by lagged outcomes, this one is not. A missing earlier residual counts as 0. Text
    levels make residuals of a text move against each other; what is expected of that is taken out of the score.
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


def _heldout(y: np.ndarray, x: np.ndarray, fold: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Errors [width, n] of least squares on the first columns, fitted to the other folds.

    Where several fit (a position that only held-out texts reach), the smallest.
    """
    both = np.c_[y, x]
    products = [both[fold == held].T @ both[fold == held] for held in np.unique(fold)]
    errors = np.empty((len(widths), len(y)))
    for held, own in zip(np.unique(fold), products, strict=True):
        rest = sum(products) - own
        for place, width in enumerate(widths):
            within = slice(1, width + 1)
            fitted = np.linalg.lstsq(rest[within, within], rest[within, 0], rcond=1e-10)[0]
            errors[place, fold == held] = both[fold == held, 0] - both[fold == held, within] @ fitted
    return errors


def _without_means(text: np.ndarray):
    """A function that takes each text's mean out of the columns of an array [n, column]."""
    count = np.bincount(text)
    starts = np.r_[0, np.cumsum(count)[:-1]]
    return lambda values: values - (np.add.reduceat(values, starts, axis=0) / count[:, None])[text]
