r"""Estimators of linear functions from the points of a prompt: the baselines that a model is compared with.

A prompt is a row of points $(x_1, y_1), \dots, (x_n, y_n)$ with $y_i = w \cdot x_i$ plus noise. Every estimator has the same signature,
`(xs [batch, point, d], ys [batch, point]) -> predictions [batch, point]`, and makes prediction i from the points before i alone. A trained
model (`behaviour.predict`) and its baselines can therefore be compared on the same prompts at every length. Everything is float64.

With fewer points than dimensions the design is singular. Least squares then takes the solution of least norm, which is the limit of ridge
regression as its penalty goes to 0.

Sources: Garg et al. 2022, *What Can Transformers Learn In-Context?* (arXiv 2208.01066), for the baselines; Akyürek et al. 2023, *What
Learning Algorithm Is In-Context Learning?* (arXiv 2211.15661), for the Bayes-optimal penalty; Raventós et al. 2023, *Pretraining task
diversity and the emergence of non-Bayesian in-context learning* (arXiv 2306.15063), for a limited number of tasks.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.linear_model import Lasso

from analysis_lib.incontext.arrays import as_array, as_prompts, sum_before

Estimator = Callable[[ArrayLike, ArrayLike], np.ndarray]


def zero(xs: ArrayLike, ys: ArrayLike) -> Float[np.ndarray, "batch point"]:
    """Predict 0, which is the mean of every y before anything is known: [batch, point]."""
    return np.zeros_like(as_prompts(xs, ys)[1])


def averaging(xs: ArrayLike, ys: ArrayLike) -> Float[np.ndarray, "batch point"]:
    r"""Predict with the weights $\hat w = \frac1k \sum_{j \le k} x_j y_j$ of the k points before: [batch, point]."""
    xs, ys = as_prompts(xs, ys)
    n_before = np.maximum(np.arange(ys.shape[1]), 1)[:, None]
    return _apply(sum_before(xs * ys[..., None]) / n_before, xs)


def nearest_neighbours(xs: ArrayLike, ys: ArrayLike, k: int = 3) -> Float[np.ndarray, "batch point"]:
    """Predict the mean y of the k points before that are nearest to x: [batch, point], 0 at the first point.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    k : int
        Number of neighbours, 1 or more; where fewer points came before, all of them count.
    """
    xs, ys = as_prompts(xs, ys)
    if k < 1:
        raise ValueError(f"k: expected at least one neighbour, found {k}")
    predictions = np.zeros_like(ys)
    for i in range(1, ys.shape[1]):
        distances = np.linalg.norm(xs[:, :i] - xs[:, i : i + 1], axis=-1)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        predictions[:, i] = np.take_along_axis(ys[:, :i], nearest, axis=1).mean(axis=1)
    return predictions


def least_squares_weights(xs: ArrayLike, ys: ArrayLike) -> Float[np.ndarray, "batch point d"]:
    """Least-squares weights from the points before each point, of least norm where the design is singular.

    Returns
    -------
    float64 [batch, point, d]
        0 at the first point.
    """
    xs, ys = as_prompts(xs, ys)
    weights = np.zeros_like(xs)
    for i in range(1, ys.shape[1]):
        design = xs[:, :i]
        cutoff = max(design.shape[1:]) * np.finfo(float).eps  # as numpy's lstsq
        weights[:, i] = (np.linalg.pinv(design, rcond=cutoff) @ ys[:, :i, None])[..., 0]
    return weights


def least_squares(xs: ArrayLike, ys: ArrayLike) -> Float[np.ndarray, "batch point"]:
    """Predict with `least_squares_weights`: [batch, point]."""
    return _apply(least_squares_weights(xs, ys), xs)


def ridge_weights(xs: ArrayLike, ys: ArrayLike, penalty: float) -> Float[np.ndarray, "batch point d"]:
    r"""Ridge weights $\hat w = (X^\top X + \lambda I)^{-1} X^\top y$ from the points before each point.

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
        A penalty of 0 or less: the design of fewer than d points is singular, and `least_squares` is the limit.
    """
    xs, ys = as_prompts(xs, ys)
    _check_penalty(penalty)
    weights = np.zeros_like(xs)
    for i in range(1, ys.shape[1]):  # by singular values: X'X would square them, and lose a small penalty beside them
        left, sizes, right = np.linalg.svd(xs[:, :i], full_matrices=False)
        sizes = np.where(sizes > max(xs[:, :i].shape[1:]) * np.finfo(float).eps * sizes[:, :1], sizes, 0)
        shrunk = sizes / (sizes**2 + penalty) * np.einsum("bir,bi->br", left, ys[:, :i])
        weights[:, i] = np.einsum("brd,br->bd", right, shrunk)
    return weights


def ridge(xs: ArrayLike, ys: ArrayLike, penalty: float) -> Float[np.ndarray, "batch point"]:
    """Predict with `ridge_weights`: [batch, point]."""
    return _apply(ridge_weights(xs, ys, penalty), xs)


def bayes_penalty(noise: float, scale: float = 1.0) -> float:
    r"""The penalty $\lambda = \sigma^2 / \tau^2$ for which ridge regression is the posterior mean.

    Parameters
    ----------
    noise : float
        Standard deviation $\sigma$ of the noise in y.
    scale : float
        Standard deviation $\tau$ of each weight, which is drawn from a normal distribution around 0.

    Raises
    ------
    ValueError
        Negative noise, a scale that is not positive, or either not finite.
    """
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise: expected a standard deviation of 0 or more, found {noise}")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: expected a standard deviation above 0, found {scale}")
    return (noise / scale) ** 2


def bayes_ridge(xs: ArrayLike, ys: ArrayLike, noise: float, scale: float = 1.0) -> Float[np.ndarray, "batch point"]:
    """Predict with the posterior mean of the weights; no estimator has a smaller expected squared error on such prompts.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    noise, scale : float
        As for `bayes_penalty`. Without noise the posterior mean is least squares of least norm.

    Returns
    -------
    float64 [batch, point]
    """
    penalty = bayes_penalty(noise, scale)
    return ridge(xs, ys, penalty) if penalty > 0 else least_squares(xs, ys)


def bayes_of_tasks(xs: ArrayLike, ys: ArrayLike, tasks: ArrayLike, noise: float) -> Float[np.ndarray, "batch point"]:
    r"""Predict with the posterior mean where the function is one of a known list, each as probable as any other.

    $$\hat w = \frac{\sum_m w_m e^{-r_m / 2 \sigma^2}}{\sum_m e^{-r_m / 2 \sigma^2}}, \quad r_m = \sum_{j \le k} (y_j - w_m \cdot x_j)^2$$

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    tasks : array [task, d]
        The weights $w_m$ of the functions.
    noise : float
        Standard deviation $\sigma$ of the noise in y, above 0.

    Returns
    -------
    float64 [batch, point]
        The mean task's prediction at the first point; with many tasks drawn from $N(0, I)$ nearly that of `bayes_ridge`.

    Raises
    ------
    ValueError
        Tasks of another dimension than the points or not finite, noise that is not above 0.

    Notes
    -----
    Raventós et al. 2023 (arXiv 2306.15063), equation 2, who call it dMMSE.
    """
    xs, ys = as_prompts(xs, ys)
    tasks = as_array(tasks)
    if tasks.ndim != 2 or not len(tasks) or tasks.shape[1] != xs.shape[2] or not np.isfinite(tasks).all():
        raise ValueError(f"tasks: expected finite numbers of shape [task, {xs.shape[2]}], found {tasks.dtype} of shape {tasks.shape}")
    if not (np.isfinite(noise) and noise > 0):
        raise ValueError(f"noise: expected a standard deviation above 0, found {noise}")
    predictions = np.empty_like(ys)
    for prompt, (x, y) in enumerate(zip(xs, ys, strict=True)):  # one at a time: there may be thousands of tasks
        of_task = x @ tasks.T  # [point, task]
        evidence = -sum_before(((y[:, None] - of_task) ** 2)[None])[0] / (2 * noise**2)
        predictions[prompt] = (softmax(evidence, axis=1) * of_task).sum(axis=1)
    return predictions


def lasso(xs: ArrayLike, ys: ArrayLike, penalty: float) -> Float[np.ndarray, "batch point"]:
    r"""Predict with the lasso, which minimises $\frac{1}{2k} \|y - Xw\|^2 + \alpha \|w\|_1$ without intercept.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
        Few prompts: there is one fit for every prompt and point.
    penalty : float
        scikit-learn's alpha, above 0.

    Returns
    -------
    float64 [batch, point]

    Raises
    ------
    ValueError
        A penalty that is not above 0, or prompts that do not fit.
    """
    xs, ys = as_prompts(xs, ys)
    _check_penalty(penalty)
    fit = Lasso(alpha=penalty, fit_intercept=False, max_iter=10_000)
    predictions = np.zeros_like(ys)
    for prompt in range(len(xs)):
        for i in range(1, ys.shape[1]):
            predictions[prompt, i] = fit.fit(xs[prompt, :i], ys[prompt, :i]).predict(xs[prompt, i : i + 1])[0]
    return predictions


def _apply(weights: np.ndarray, xs: ArrayLike) -> np.ndarray:
    """Each x under the weights that its own prediction may use: [batch, point]."""
    return np.einsum("bpd,bpd->bp", weights, as_array(xs))


def _check_penalty(penalty: float) -> None:
    if not (np.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty: expected a finite number above 0, found {penalty}")
