"""Prompts as arrays: what every estimator and every measure of this study does before it begins."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike


def as_array(values: ArrayLike | torch.Tensor) -> np.ndarray:
    """Values of a tensor (on any device) or of anything array-like, as float64."""
    values = values.detach().cpu().double().numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(values, dtype=float)


def as_prompts(xs: ArrayLike, ys: ArrayLike) -> tuple[Float[np.ndarray, "batch point d"], Float[np.ndarray, "batch point"]]:
    """Points and answers as float64 arrays that fit each other.

    Parameters
    ----------
    xs, ys : array [batch, point, d], [batch, point]

    Returns
    -------
    xs, ys : float64 of the same shapes

    Raises
    ------
    ValueError
        Shapes that do not fit, an empty axis, numbers that are not finite.
    """
    xs, ys = as_array(xs), as_array(ys)
    if xs.ndim != 3 or 0 in xs.shape:
        raise ValueError(f"xs: expected [batch, point, d], none of them 0, found shape {xs.shape}")
    if ys.shape != xs.shape[:2]:
        raise ValueError(f"ys: expected {xs.shape[:2]} as xs has points, found {ys.shape}")
    for name, values in (("xs", xs), ("ys", ys)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite numbers, found NaN or infinity")
    return xs, ys


def sum_before(values: np.ndarray) -> np.ndarray:
    """Sums over the points before each point: [batch, point, ...], 0 at the first point."""
    total = np.cumsum(values, axis=1)
    return np.concatenate((np.zeros_like(total[:, :1]), total[:, :-1]), axis=1)
