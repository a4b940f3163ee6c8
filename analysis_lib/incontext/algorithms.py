r"""Does a model compute its answer step by step, as an iterative algorithm does? Layers against iterates of least squares.

Before every point, two algorithms go towards the least-squares weights of the points shown so far, with $S = X^\top X$ and $b = X^\top y$:

- *gradient descent*, $w_{t+1} = w_t + \eta\,(b - S w_t)$ from $w_0 = 0$, which gains a constant factor in each step;
- *Newton's iteration* for the inverse, $M_{t+1} = 2 M_t - M_t S M_t$ from $M_0 = S / \lambda_{\max}(S)^2$, with $w_t = M_t b$, which
  squares the remaining error in each step.

Both take the step size that the largest eigenvalue of S allows, so nothing is tuned. Where fewer points than dimensions were shown, both
converge to the solution of least norm.

Sources: Fu et al. 2024, *Transformers Learn to Achieve Second-Order Convergence Rates for In-Context Linear Regression* (arXiv 2310.17086),
section 3, also for the similarity of errors; Akyürek et al. 2023 (arXiv 2211.15661) and von Oswald et al. 2023 (arXiv 2212.07677) for
gradient descent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.incontext.arrays import as_array, as_prompts, sum_before


def gradient_descent(xs: ArrayLike, ys: ArrayLike, n_steps: int) -> Float[np.ndarray, "step batch point"]:
    r"""Predictions after 0 to `n_steps` steps of gradient descent on the points before each point.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    n_steps : int
        The rate is $1 / \lambda_{\max}(S)$, for each prompt and number of points by itself.

    Returns
    -------
    float64 [step + 1, batch, point]
        The first is 0, the last tends to least squares.

    Raises
    ------
    ValueError
        Fewer than one step, or prompts that do not fit.
    """
    xs, gram, target, largest = _normal_equations(xs, ys, n_steps)
    weights = np.zeros_like(target)
    found = [weights]
    for _ in range(n_steps):
        weights = weights + (target - np.einsum("bpde,bpe->bpd", gram, weights)) / largest[..., None]
        found.append(weights)
    return np.einsum("sbpd,bpd->sbp", np.stack(found), xs)


def newton(xs: ArrayLike, ys: ArrayLike, n_steps: int) -> Float[np.ndarray, "step batch point"]:
    r"""Predictions after 0 to `n_steps` steps of Newton's iteration on the points before each point.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]
    n_steps : int

    Returns
    -------
    float64 [step + 1, batch, point]
        The first takes $S / \lambda_{\max}(S)^2$ for the inverse of S; the last tends to least squares.

    Raises
    ------
    ValueError
        Fewer than one step, or prompts that do not fit.
    """
    xs, gram, target, largest = _normal_equations(xs, ys, n_steps)
    # All iterates have the eigenvectors of S, so numbers are iterated instead of matrices. Where S has an eigenvalue of zero, so has each
    # iterate, which rounding would double at every step.
    sizes, axes = np.linalg.eigh(gram)
    sizes = np.where(sizes > max(xs.shape[1:]) * np.finfo(float).eps * largest[..., None], sizes, 0.0)
    inverse = sizes / largest[..., None] ** 2
    found = [inverse]
    for _ in range(n_steps):
        inverse = 2 * inverse - sizes * inverse**2
        found.append(inverse)
    along = [np.einsum("bpde,bpd->bpe", axes, vectors) for vectors in (target, xs)]
    return np.einsum("sbpe,bpe,bpe->sbp", np.stack(found), *along)


def error_similarity(
    predictions: ArrayLike, others: ArrayLike, ys: ArrayLike, points: slice = slice(1, None)
) -> Float[np.ndarray, " batch"]:
    """Cosine, for each prompt, between the errors that two answerers make along its points (Fu et al. 2024, definition 3).

    Parameters
    ----------
    predictions, others, ys : array [batch, point]
    points : slice
        The points compared; by default all but the first, where nothing is known.

    Returns
    -------
    float64 [batch]
        1 where both err alike, 0 where either does not err at all.

    Raises
    ------
    ValueError
        Shapes that differ, values that are not finite.
    """
    predictions, others, ys = (as_array(values) for values in (predictions, others, ys))
    if not predictions.shape == others.shape == ys.shape:
        raise ValueError(f"predictions, others: expected the shape of ys, {ys.shape}, found {predictions.shape} and {others.shape}")
    if not np.isfinite([predictions, others, ys]).all():
        raise ValueError("predictions, others, ys: expected finite values, found some that are not")
    ours, theirs = (predictions - ys)[:, points], (others - ys)[:, points]
    size = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return np.divide((ours * theirs).sum(axis=1), size, out=np.zeros(len(ys)), where=size > 0)


def similarity_table(by_layer: Sequence[np.ndarray], iterates: Mapping[str, Mapping[int, np.ndarray]], ys: ArrayLike) -> pd.DataFrame:
    """How alike the errors of every layer's read-out are to those of every iterate.

    Parameters
    ----------
    by_layer : sequence of array [batch, point]
        Predictions read at "embed", then after layers 1 to L.
    iterates : mapping of str to mapping of int to array [batch, point]
        By algorithm and number of steps.
    ys : array [batch, point]

    Returns
    -------
    DataFrame
        `algorithm`, `layer` ("embed", "1" ... "L"), `step`, `estimate` (mean `error_similarity` over prompts).
    """
    rows = [
        (algorithm, str(layer or "embed"), step, float(error_similarity(read, other, ys).mean()))
        for algorithm, predictions in iterates.items()
        for layer, read in enumerate(by_layer)
        for step, other in predictions.items()
    ]
    return pd.DataFrame(rows, columns=["algorithm", "layer", "step", "estimate"])


def best_steps(table: pd.DataFrame) -> pd.DataFrame:
    """The iterate most alike to each layer: the rows of `similarity_table` with the largest estimate by algorithm and layer."""
    at = table.groupby(["algorithm", "layer"], sort=False)["estimate"].idxmax()
    return table.loc[at].reset_index(drop=True)


def _normal_equations(xs: ArrayLike, ys: ArrayLike, n_steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The questions, S and b of the points before each point, and the largest eigenvalue of S (1 where S is 0)."""
    xs, ys = as_prompts(xs, ys)
    if n_steps < 1:
        raise ValueError(f"n_steps: expected 1 or more, found {n_steps}")
    gram = sum_before(xs[..., :, None] * xs[..., None, :])
    largest = np.linalg.eigvalsh(gram)[..., -1]
    return xs, gram, sum_before(xs * ys[..., None]), np.where(largest > 0, largest, 1.0)
