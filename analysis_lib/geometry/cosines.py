r"""Mean cosines and inner products in closed form, and the checks of what they are taken of.

With unit vectors $u_i$ the sum of all cosines between different vectors is $\lVert\sum u_i\rVert^2 - n$: means over pairs are exact,
at a cost that grows with the number of vectors.
"""

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Real, Shaped
from numpy.typing import ArrayLike


def checked_states(states: ArrayLike, zero_ok: bool = False) -> Float[np.ndarray, "layer n d_model"]:
    """States as [layer, n, d_model], float32 or float64, or an error that says what is wrong with them."""
    if isinstance(states, torch.Tensor):
        held = states.detach().cpu()
        states = (held if held.dtype in (torch.float32, torch.float64) else held.double()).numpy()  # NumPy has no bfloat16
    states = np.asarray(states)
    states = states if states.dtype in (np.float32, np.float64) else states.astype(np.float64)
    if states.ndim < 2 or states.shape[-2] < 2:
        raise ValueError(f"states has shape {states.shape}; expected [layer, n, d_model] with two vectors at least")
    states = states.reshape(-1, *states.shape[-2:])
    bad = ~np.isfinite(states).all(axis=2)
    if not zero_ok and not bad.any():
        bad = ~states.any(axis=2)
    if bad.any():
        layer, vector = np.argwhere(bad)[0]
        raise ValueError(f"states[{layer}, {vector}] is zero or not finite; expected finite vectors with a direction")
    return states


def checked_labels(states: ArrayLike, **labels: ArrayLike) -> list[np.ndarray]:
    """Label arrays, each with one label a vector."""
    arrays = {name: np.asarray(values) for name, values in labels.items()}
    for name, values in arrays.items():
        if values.shape != (np.shape(states)[-2],):
            raise ValueError(f"{name} has shape {values.shape}; expected one label for each of the {np.shape(states)[-2]} vectors")
    return list(arrays.values())


def unit_vectors(states: Float[np.ndarray, "*vectors d_model"]) -> Float[np.ndarray, "*vectors d_model"]:
    """The states [..., d_model] at length 1."""
    states = states / np.abs(states).max(axis=-1, keepdims=True)  # whose squares a float32 can hold
    return states / np.linalg.norm(states, axis=-1, keepdims=True)


def group_means(
    states: Float[np.ndarray, "layer n d_model"], groups: Shaped[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "layer group d_model"], Shaped[np.ndarray, " group"]]:
    """Means over groups in sorted order, float64 [layer, group, d_model], and the groups' sizes."""
    codes = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)
    averages = scipy.sparse.csr_array((1 / counts[codes], (codes, np.arange(len(codes)))))
    return np.stack([averages @ layer for layer in states]), counts


def between(vectors: Float[np.ndarray, "layer n d"], weights: Real[np.ndarray, "resample n"]) -> Float[np.ndarray, "resample layer"]:
    """Mean inner product between different vectors, [resample, layer], for vectors [layer, n, d], weights [resample, n].

    A resample that holds one vector alone has no pairs and gives NaN.
    """
    own = np.einsum("lnd,lnd->ln", vectors, vectors, dtype=np.float64)
    squared = np.stack([((weights @ layer) ** 2).sum(axis=1) for layer in vectors], axis=1)
    pairs = (weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1))[:, None]
    return np.divide(squared - weights**2 @ own.T, pairs, out=np.full_like(squared, np.nan), where=pairs > 0)


def between_by_dimension(
    vectors: Float[np.ndarray, "layer n d"], weights: Real[np.ndarray, "resample n"]
) -> Float[np.ndarray, "layer resample d"]:
    """The summands of `between`, [layer, resample, d]."""
    pairs = (weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1))[:, None]
    summed = (weights @ vectors) ** 2 - weights**2 @ vectors**2
    return np.divide(summed, pairs, out=np.full_like(summed, np.nan), where=pairs > 0)
