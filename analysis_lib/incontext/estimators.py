r"""Regression in context: what estimators predict from the points of a prompt, their errors, and the weights a model implies.

A prompt is a row of points $(x_1, y_1), \dots, (x_n, y_n)$ with $y_i = w \cdot x_i$ plus noise. Every estimator here has one signature,
`(xs [batch, point, d], ys [batch, point]) -> predictions [batch, point]`, and makes prediction i from the points before i alone, so
that a trained model (`predict`) and its baselines are compared on the same prompts at every length. Numpy, float64.

Where fewer points than dimensions came before, the design is singular: least squares then takes the solution of least norm (the limit of
ridge regression as its penalty goes to 0), and `determined` says where that is so.

Sources: Garg et al. 2022, *What Can Transformers Learn In-Context?* (arXiv 2208.01066), for the task, the baselines and the
error; Akyürek et al. 2023, *What Learning Algorithm Is In-Context Learning?* (arXiv 2211.15661), for the Bayes-optimal penalty.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from analysis_lib.incontext.prompts import Prompts
from analysis_lib.statistics import bootstrap_interval

Estimator = Callable[[ArrayLike, ArrayLike], np.ndarray]


def zero(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    """Predict 0, the mean of every y before anything is known: [batch, point]."""
    xs, ys = _checked(xs, ys)
    return np.zeros_like(ys)


def averaging_weights(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    r"""Weights $\hat w = \frac1k \sum_{j \le k} x_j y_j$ of the averaging estimator: [batch, point, d], 0 at the first point."""
    xs, ys = _checked(xs, ys)
    before = np.maximum(np.arange(ys.shape[1]), 1)[:, None]
    return _sum_before(xs * ys[..., None]) / before


def averaging(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    """Predict with `averaging_weights`: [batch, point]."""
    return _answers(averaging_weights(xs, ys), xs)


def nearest_neighbours(xs: ArrayLike, ys: ArrayLike, k: int = 3) -> np.ndarray:
    """Predict the mean y of the k points before that are nearest to x.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    k : int
        Neighbours; where fewer points came before, all of them. The first prediction is 0.

    Returns
    -------
    float64 [batch, point]
    """
    xs, ys = _checked(xs, ys)
    if k < 1:
        raise ValueError(f"k: expected at least one neighbour, found {k}")
    predictions = np.zeros_like(ys)
    for i in range(1, ys.shape[1]):
        distances = np.linalg.norm(xs[:, :i] - xs[:, i : i + 1], axis=-1)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        predictions[:, i] = np.take_along_axis(ys[:, :i], nearest, axis=1).mean(axis=1)
    return predictions


def least_squares_weights(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    """Least-squares weights of the points before each point, of least norm where the design is singular.

    Returns
    -------
    float64 [batch, point, d]
        0 at the first point. See `determined` for where the solution is unique.
    """
    xs, ys = _checked(xs, ys)
    weights = np.zeros_like(xs)
    for i in range(1, ys.shape[1]):
        design = xs[:, :i]
        cutoff = max(design.shape[1:]) * np.finfo(float).eps  # as numpy's lstsq
        weights[:, i] = (np.linalg.pinv(design, rcond=cutoff) @ ys[:, :i, None])[..., 0]
    return weights


def least_squares(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    """Predict with `least_squares_weights`: [batch, point]."""
    return _answers(least_squares_weights(xs, ys), xs)


def ridge_weights(xs: ArrayLike, ys: ArrayLike, penalty: float) -> np.ndarray:
    r"""Ridge weights $\hat w = (X^\top X + \lambda I)^{-1} X^\top y$ of the points before each point.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    penalty : float
        $\lambda > 0$, in the unit of a squared x.

    Returns
    -------
    float64 [batch, point, d]

    Raises
    ------
    ValueError
        A penalty of 0 or less: the design of fewer than d points is singular; `least_squares` is the limit.
    """
    xs, ys = _checked(xs, ys)
    if not (np.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty: expected a finite number above 0 (a singular design has no other ridge), found {penalty}")
    gram = _sum_before(xs[..., :, None] * xs[..., None, :]) + penalty * np.eye(xs.shape[-1])
    moments = _sum_before(xs * ys[..., None])
    return np.linalg.solve(gram, moments[..., None])[..., 0]


def ridge(xs: ArrayLike, ys: ArrayLike, penalty: float) -> np.ndarray:
    """Predict with `ridge_weights`: [batch, point]."""
    return _answers(ridge_weights(xs, ys, penalty), xs)


def bayes_penalty(noise: float, scale: float = 1.0) -> float:
    r"""The penalty $\lambda = \sigma^2 / \tau^2$ for which ridge regression is the posterior mean.

    Parameters
    ----------
    noise : float
        Standard deviation $\sigma$ of the noise in y.
    scale : float
        Standard deviation $\tau$ of each weight, drawn from a normal distribution around 0.
    """
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise: expected a standard deviation of 0 or more, found {noise}")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: expected a standard deviation above 0, found {scale}")
    return (noise / scale) ** 2


def bayes_ridge_weights(xs: ArrayLike, ys: ArrayLike, noise: float, scale: float = 1.0) -> np.ndarray:
    """Posterior mean of the weights: ridge with `bayes_penalty`, least squares of least norm without noise: [batch, point, d]."""
    penalty = bayes_penalty(noise, scale)
    return ridge_weights(xs, ys, penalty) if penalty > 0 else least_squares_weights(xs, ys)


def bayes_ridge(xs: ArrayLike, ys: ArrayLike, noise: float, scale: float = 1.0) -> np.ndarray:
    """Predict with `bayes_ridge_weights`: no estimator has a smaller expected squared error on such prompts. [batch, point]."""
    return _answers(bayes_ridge_weights(xs, ys, noise, scale), xs)


def lasso(xs: ArrayLike, ys: ArrayLike, penalty: float) -> np.ndarray:
    r"""Predict with the lasso, $\frac{1}{2k} \|y - Xw\|^2 + \alpha \|w\|_1$ without intercept: one fit a prompt and point, so few prompts.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    penalty : float
        scikit-learn's alpha, above 0.

    Returns
    -------
    float64 [batch, point]
    """
    from sklearn.linear_model import Lasso

    xs, ys = _checked(xs, ys)
    if not (np.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty: expected a finite number above 0, found {penalty}")
    fit = Lasso(alpha=penalty, fit_intercept=False, max_iter=10_000)
    predictions = np.zeros_like(ys)
    for prompt in range(len(xs)):
        for i in range(1, ys.shape[1]):
            predictions[prompt, i] = fit.fit(xs[prompt, :i], ys[prompt, :i]).predict(xs[prompt, i : i + 1])[0]
    return predictions


def determined(xs: ArrayLike) -> np.ndarray:
    """Where the points before span all dimensions, so that least squares has one solution: bool [batch, point]."""
    xs = _checked(xs, np.zeros(np.shape(xs)[:2]))[0]
    ranks = [np.linalg.matrix_rank(xs[:, :i]) if i else np.zeros(len(xs), dtype=int) for i in range(xs.shape[1])]
    return np.stack(ranks, axis=1) == xs.shape[-1]


def predict(model: torch.nn.Module, xs: ArrayLike, ys: ArrayLike, batch_size: int = 512) -> np.ndarray:
    """A regressor's predictions, in the same form as an estimator's.

    Parameters
    ----------
    model : Regressor
        Called as `model(xs=..., ys=...)`; refuses prompts that do not fit it.
    xs, ys : array [batch, point, d], [batch, point]
    batch_size : int
        Prompts in one pass.

    Returns
    -------
    float64 [batch, point]
    """
    batches = _batches(model, *_checked(xs, ys), batch_size)
    with torch.no_grad():
        return np.concatenate([model(xs=x, ys=y).predictions.double().cpu().numpy() for x, y in batches])


def implied_weights(model: torch.nn.Module, xs: ArrayLike, ys: ArrayLike, batch_size: int = 512) -> np.ndarray:
    r"""The weights a model behaves as if it had: the gradient $\partial \hat y_i / \partial x_i$ of each prediction in its own x.

    For an estimator that is linear in the query this is its $\hat w$ after the points before i; for a model it is
    the slope at the x asked about.

    Parameters
    ----------
    model : Regressor
    xs, ys : array [batch, point, d], [batch, point]
    batch_size : int
        Prompts in one pass; a backward pass is made a point.

    Returns
    -------
    float64 [batch, point, d]
    """
    return np.concatenate([_query_gradients(model, x, y) for x, y in _batches(model, *_checked(xs, ys), batch_size)])


def answer_influence(model: torch.nn.Module, xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    r"""How much each shown answer moves the last prediction: the gradient $\partial \hat y_n / \partial y_i$.

    For an estimator that is linear in the answers this is its prediction where $y_i$ is 1 and the others are 0.

    Parameters
    ----------
    model : Regressor
    xs, ys : array [batch, point, d], [batch, point]
        Two points or more.

    Returns
    -------
    float64 [batch, point - 1]
    """
    xs, ys = _checked(xs, ys)
    if ys.shape[1] < 2:
        raise ValueError(f"ys: expected two points or more, found {ys.shape[1]}")
    ((x, y),) = _batches(model, xs, ys, len(xs))
    y = y.clone().requires_grad_(True)
    with torch.enable_grad():
        total = model(xs=x, ys=y).predictions[:, -1].sum()
    return torch.autograd.grad(total, y)[0][:, :-1].double().cpu().numpy()


def _query_gradients(model: torch.nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> np.ndarray:
    """Diagonal of the Jacobian of predictions in xs: each prediction in its own x alone, not in the points it learns from."""
    xs = xs.clone().requires_grad_(True)
    with torch.enable_grad():
        totals = model(xs=xs, ys=ys).predictions.sum(dim=0)  # prompts do not see each other
        slopes = [torch.autograd.grad(total, xs, retain_graph=True)[0][:, i] for i, total in enumerate(totals)]
    return torch.stack(slopes, dim=1).double().cpu().numpy()


def squared_errors(predictions: ArrayLike, ys: ArrayLike, n_dims: int) -> np.ndarray:
    """Squared error divided by d, as in Garg et al.: with weights and x of unit variance the zero estimator errs by 1. [batch, point]."""
    predictions, ys = np.asarray(predictions, dtype=float), _array(ys)
    if predictions.shape != ys.shape:
        raise ValueError(f"predictions: expected the shape of ys, {ys.shape}, found {predictions.shape}")
    if n_dims < 1:
        raise ValueError(f"n_dims: expected at least 1, found {n_dims}")
    return (predictions - ys) ** 2 / n_dims


def query_errors(estimator: Estimator, prompts: Prompts) -> np.ndarray:
    """Squared error / d at the queries of prompts that may ask elsewhere than where their points lie.

    Parameters
    ----------
    estimator : callable
        `(xs, ys) -> predictions`; one call where the queries are the points, else one for each number of points.
    prompts : Prompts

    Returns
    -------
    float64 [batch, point]
        At point k the error of the prediction made from the first k points.
    """
    n_points, n_dims = prompts.xs.shape[1:]
    if prompts.queries is prompts.xs:
        return squared_errors(estimator(prompts.xs, prompts.ys), prompts.answers, n_dims)
    predictions = np.stack([estimator(*prompts.asked(k))[:, -1] for k in range(n_points)], axis=1)
    return squared_errors(predictions, prompts.answers, n_dims)


def error_curve(errors: ArrayLike, level: float = 0.95, n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Mean error at every number of examples, with a bootstrap band over prompts.

    Parameters
    ----------
    errors : array [batch, point]
        Of two prompts or more.
    level, n_resamples, seed
        As for `statistics.bootstrap_interval`.

    Returns
    -------
    DataFrame [point]
        `examples` (points before: 0, 1, ...), `error`, `low`, `high`.
    """
    errors = np.asarray(errors, dtype=float)
    if errors.ndim != 2:
        raise ValueError(f"errors: expected [batch, point], found shape {errors.shape}")
    rows = [bootstrap_interval(column, level=level, n_resamples=n_resamples, seed=seed) for column in errors.T]
    return pd.DataFrame(rows, columns=["error", "low", "high"]).rename_axis("examples").reset_index()


def _answers(weights: np.ndarray, xs: ArrayLike) -> np.ndarray:
    """Each x under the weights that its own prediction may use: [batch, point]."""
    return np.einsum("bpd,bpd->bp", weights, _array(xs))


def _sum_before(values: np.ndarray) -> np.ndarray:
    """Sum over the points before each point, [batch, point, ...]."""
    total = np.cumsum(values, axis=1)
    return np.concatenate((np.zeros_like(total[:, :1]), total[:, :-1]), axis=1)


def _array(values: ArrayLike) -> np.ndarray:
    values = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(values, dtype=float)


def _checked(xs: ArrayLike, ys: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Prompts as float64 arrays, or an error that names what does not fit."""
    xs, ys = _array(xs), _array(ys)
    if xs.ndim != 3 or 0 in xs.shape:
        raise ValueError(f"xs: expected [batch, point, d], none of them 0, found shape {xs.shape}")
    if ys.shape != xs.shape[:2]:
        raise ValueError(f"ys: expected {xs.shape[:2]} as xs has points, found {ys.shape}")
    for name, values in (("xs", xs), ("ys", ys)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinity")
    return xs, ys


def _batches(model: torch.nn.Module, xs: np.ndarray, ys: np.ndarray, batch_size: int):
    """Prompts as tensors of the model's type and device, a batch at a time."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    like = next(model.parameters())
    for at in range(0, len(xs), batch_size):
        yield tuple(torch.as_tensor(v[at : at + batch_size]).to(like) for v in (xs, ys))
