r"""What a model answers in context, how far it errs, and the weights that it behaves as if it had.

A model is treated here as one more estimator: `predict` gives its answers in the form of `estimators`, `query_errors` and `error_curves`
compare any of them, and two gradients say what an answer depends on. `implied_weights` is the gradient in the x asked about, which for an
estimator that is linear in x is its $\hat w$. `answer_influence` is the gradient in each y shown.

Sources: Garg et al. 2022 (arXiv 2208.01066) for the error and the gradient in x; Akyürek et al. 2023 (arXiv 2211.15661) for comparing
implied weights with ridge regressions.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.incontext.arrays import as_array, as_prompts
from analysis_lib.incontext.estimators import Estimator, ridge_weights
from analysis_lib.incontext.prompts import Prompts
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import bootstrap_interval


def predict(loaded: LoadedModel, xs: ArrayLike, ys: ArrayLike, batch_size: int = 512) -> Float[np.ndarray, "batch point"]:
    """A regressor's predictions, in the same form as an estimator's.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor: called as `loaded.model(xs=..., ys=...)`, it refuses prompts that do not fit it.
    xs, ys : array [batch, point, d], [batch, point]
    batch_size : int
        Prompts in one pass.

    Returns
    -------
    float64 [batch, point]
    """
    batches = _batches(loaded, *as_prompts(xs, ys), batch_size)
    with torch.no_grad():
        return np.concatenate([loaded.model(xs=x, ys=y).predictions.double().cpu().numpy() for x, y in batches])


def squared_errors(predictions: ArrayLike, ys: ArrayLike, n_dims: int) -> np.ndarray:
    """Squared error divided by d, as in Garg et al.: with weights and x of unit variance the zero estimator errs by 1. [batch, point]."""
    predictions, ys = as_array(predictions), as_array(ys)
    if predictions.shape != ys.shape:
        raise ValueError(f"predictions: expected the shape of ys, {ys.shape}, found {predictions.shape}")
    if n_dims < 1:
        raise ValueError(f"n_dims: expected at least 1, found {n_dims}")
    return (predictions - ys) ** 2 / n_dims


def query_errors(estimator: Estimator, prompts: Prompts) -> Float[np.ndarray, "batch point"]:
    """Squared error / d at the queries of prompts that may ask elsewhere than where their points lie.

    Parameters
    ----------
    estimator : callable
        `(xs, ys) -> predictions`. It is called once where the queries are the points, else once for each number of points.
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


def error_curves(errors: Mapping[str, ArrayLike], level: float = 0.95, n_resamples: int = 1000, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Mean error at every number of examples, with a bootstrap band over prompts.

    Parameters
    ----------
    errors : mapping of str to array [batch, point]
        Errors of each answerer, or anything else that is measured at every point of two prompts or more.
    level, n_resamples, seed
        As for `statistics.bootstrap_interval`.

    Returns
    -------
    dict of str to DataFrame [point]
        `examples` (the number of points before: 0, 1, ...), `error`, `low`, `high`.

    Raises
    ------
    ValueError
        An array that is not [batch, point].
    """
    curves = {}
    for name, values in errors.items():
        values = np.asarray(values, dtype=float)
        if values.ndim != 2:
            raise ValueError(f"errors[{name!r}]: expected [batch, point], found shape {values.shape}")
        rows = [bootstrap_interval(column, level=level, n_resamples=n_resamples, seed=seed) for column in values.T]
        curves[name] = pd.DataFrame(rows, columns=["error", "low", "high"]).rename_axis("examples").reset_index()
    return curves


def implied_weights(loaded: LoadedModel, xs: ArrayLike, ys: ArrayLike, batch_size: int = 512) -> Float[np.ndarray, "batch point d"]:
    r"""The weights a model behaves as if it had: the gradient $\partial \hat y_i / \partial x_i$ of each prediction in its own x.

    For an estimator that is linear in the query this is its $\hat w$ after the points before i; for a model it is the slope at the x asked
    about.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    xs, ys : array [batch, point, d], [batch, point]
    batch_size : int
        Prompts in one pass; every point needs a backward pass of its own.

    Returns
    -------
    float64 [batch, point, d]
    """
    return np.concatenate([_query_gradients(loaded, x, y) for x, y in _batches(loaded, *as_prompts(xs, ys), batch_size)])


def weight_distances(a: ArrayLike, b: ArrayLike) -> Float[np.ndarray, "batch point"]:
    """Squared distance / d between two sets of weights.

    Parameters
    ----------
    a, b : array [batch, point, d]

    Returns
    -------
    float64 [batch, point]
    """
    a, b = as_array(a), as_array(b)
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"a and b: expected [batch, point, d] of one shape, found {a.shape} and {b.shape}")
    return ((a - b) ** 2).mean(axis=-1)


def penalty_profile(weights: ArrayLike, prompts: Prompts, penalties: Sequence[float], examples: Sequence[int]) -> pd.DataFrame:
    """How far weights are from those of ridge regressions, by penalty.

    Parameters
    ----------
    weights : array [batch, point, d]
        For instance `implied_weights` on the same prompts.
    prompts : Prompts
    penalties : sequence of float
        Above 0.
    examples : sequence of int
        Numbers of points before.

    Returns
    -------
    DataFrame
        `examples`, `penalty`, `distance` (mean squared distance / d over prompts) and `nearest`, true at the penalty of the smallest
        distance for each number of examples, and nowhere if all penalties are as far.

    Raises
    ------
    ValueError
        No penalty, or one that is not above 0; examples that the prompts do not have.
    """
    n_points = prompts.ys.shape[1]
    if not len(penalties) or any(not 0 <= k < n_points for k in examples):
        raise ValueError(
            f"penalties, examples: expected one penalty or more and 0 to {n_points - 1} examples, found {penalties}, {examples}"
        )
    distances = {penalty: weight_distances(weights, ridge_weights(prompts.xs, prompts.ys, penalty)).mean(axis=0) for penalty in penalties}
    rows = [(k, penalty, by_point[k]) for penalty, by_point in distances.items() for k in examples]
    profile = pd.DataFrame(rows, columns=["examples", "penalty", "distance"])
    by_examples = profile.groupby("examples")["distance"]
    differs = by_examples.transform("min") < by_examples.transform("max")
    return profile.assign(nearest=profile.index.isin(by_examples.idxmin()) & (differs | (len(penalties) == 1)))


def answer_influence(loaded: LoadedModel, xs: ArrayLike, ys: ArrayLike) -> Float[np.ndarray, "batch point"]:
    r"""How much each shown answer moves the last prediction: the gradient $\partial \hat y_n / \partial y_i$.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    xs, ys : array [batch, point, d], [batch, point]
        Two points or more.

    Returns
    -------
    float64 [batch, point - 1]
    """
    xs, ys = as_prompts(xs, ys)
    if ys.shape[1] < 2:
        raise ValueError(f"ys: expected two points or more, found {ys.shape[1]}")
    ((x, y),) = _batches(loaded, xs, ys, len(xs))
    y = y.clone().requires_grad_(True)
    with torch.enable_grad():
        total = loaded.model(xs=x, ys=y).predictions[:, -1].sum()
    return torch.autograd.grad(total, y)[0][:, :-1].double().cpu().numpy()


def linear_influence(estimator: Estimator, xs: ArrayLike) -> Float[np.ndarray, "batch point"]:
    """The same as `answer_influence` for an estimator that is linear in y: its last prediction where one answer is 1 and the others 0.

    Parameters
    ----------
    estimator : callable
        `(xs, ys) -> predictions`.
    xs : array [batch, point, d]

    Returns
    -------
    float64 [batch, point - 1]
    """
    n_prompts, n_points = np.shape(xs)[:2]
    if n_points < 2:
        raise ValueError(f"xs: expected two points or more, found {n_points}")
    units = [np.broadcast_to(row, (n_prompts, n_points)) for row in np.eye(n_points)[:-1]]
    return np.stack([estimator(xs, unit)[:, -1] for unit in units], axis=1)


def _query_gradients(loaded: LoadedModel, xs: torch.Tensor, ys: torch.Tensor) -> np.ndarray:
    """Diagonal of the Jacobian of predictions in xs: each prediction in its own x alone, not in the points it learns from."""
    xs = xs.clone().requires_grad_(True)
    with torch.enable_grad():
        totals = loaded.model(xs=xs, ys=ys).predictions.sum(dim=0)  # prompts do not see each other
        slopes = [torch.autograd.grad(total, xs, retain_graph=True)[0][:, i] for i, total in enumerate(totals)]
    return torch.stack(slopes, dim=1).double().cpu().numpy()


def _batches(loaded: LoadedModel, xs: np.ndarray, ys: np.ndarray, batch_size: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Prompts as tensors of the model's type and device, a batch at a time."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    like = next(loaded.model.parameters())
    for start in range(0, len(xs), batch_size):
        yield tuple(torch.as_tensor(values[start : start + batch_size]).to(like) for values in (xs, ys))
