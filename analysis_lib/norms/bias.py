r"""What levels of texts cost: a text's mean contains the errors that follow an outcome, so coefficients of lags come out too small.

For one lag by $(1+\rho)/T$ in many texts (Nickell 1981, Econometrica 49, equation 18), in a single series by $(1+3\rho)/T$ (Kendall
1954, Biometrika 41; Marriott and Pope 1954). `regression` subtracts this bias.
"""

import numpy as np
from jaxtyping import Float
from statsmodels.tsa.arima_process import arma_acovf

from analysis_lib.norms.design import Design


def small_sample_bias(rho: float, n_tokens: int, n_texts: int = 1) -> float:
    r"""Bias of the coefficient of one lag by least squares with a level for each text: $-(1+\rho)/T - 2\rho/(NT)$, to first order.

    Parameters
    ----------
    rho : float
        The true coefficient, between -1 and 1.
    n_tokens, n_texts : int
        T and N.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Coefficients or counts out of their range.
    """
    if not (abs(rho) < 1 and n_tokens >= 1 and n_texts >= 1):
        raise ValueError(f"rho, n_tokens, n_texts: expected -1 < rho < 1 and counts from 1, got {rho}, {n_tokens}, {n_texts}")
    return -(1 + rho) / n_tokens - 2 * rho / (n_texts * n_tokens)


def bias_of(
    y: Float[np.ndarray, " n"], x: Float[np.ndarray, "n term"], params: Float[np.ndarray, " term"], design: Design
) -> Float[np.ndarray, " term"]:
    r"""Bias that the text levels bring to each coefficient, to first order in 1/T, for any lags, leads and covariates.

    Subtracting the mean of a text's n outcomes leaves $-\frac1n \sum_{t,s} \mathrm{E}[y_{t-k} e_s]$ between lag k and the error; with one
    lag, and all tokens outcomes, that gives $-(1+\rho)/T$. The covariances are those of the autoregression with the estimated lags.

    Parameters
    ----------
    y : float64 [n]
    x : float64 [n, term]
        Without effects.
    params : float64 [term]
        Coefficients by least squares.
    design : Design

    Returns
    -------
    float64 [term]
    """
    past = np.array([lag for _, lag in design.terms[: design.n_past]])
    others = np.zeros(x.shape[1] - len(past), dtype=bool)
    lags, no_lead = np.r_[past > 0, others], ~np.r_[past < 0, others]
    first = np.linalg.lstsq(x[:, no_lead], y, rcond=None)[0]
    scale = float(np.mean((y - x[:, no_lead] @ first) ** 2))
    inverse = np.linalg.inv(x.T @ x)
    distances = np.arange(1 - len(design.pairs), len(design.pairs))
    pairs = np.r_[design.pairs[:0:-1], design.pairs]
    bias = np.zeros_like(params)
    for _ in range(3):  # the bias depends on the unbiased coefficients
        b = (params - bias)[: len(past)]
        autoregression = b if lags[: len(past)].all() else first[: np.count_nonzero(lags)]
        covariance = autocovariance(autoregression, scale, len(pairs) + 2 * int(np.abs(past).max()))
        explained = [[c * covariance[np.abs(distances - k + j)] for c, j in zip(b, past, strict=True)] for k in past]
        with_error = np.array([covariance[np.abs(distances - k)] for k in past]) - np.sum(explained, axis=1)
        bias = -inverse[:, : len(past)] @ (with_error @ pairs)
    return bias


def autocovariance(lags: Float[np.ndarray, " lag"], scale: float, n: int) -> Float[np.ndarray, " {n}"]:
    """Autocovariance of an autoregression at distances 0 to n - 1, float64 [n].

    Parameters
    ----------
    lags : float64 [lag]
        Estimates that explode are shrunk until the largest root is 0.995.
    scale : float
        Variance of the errors.
    n : int
    """
    largest = np.abs(np.roots(np.r_[1.0, -lags])).max(initial=0.0)
    lags = lags * min(1.0, 0.995 / max(largest, 1e-9)) ** np.arange(1, len(lags) + 1)
    return arma_acovf(np.r_[1.0, -lags], [1.0], nobs=n, sigma2=scale)
