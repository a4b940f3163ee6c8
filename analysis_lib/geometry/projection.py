"""States of few words in the plane that keeps most of their variance, layer by layer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.geometry.cosines import checked_states


@dataclass(frozen=True)
class Plane:
    """Points of a two-dimensional projection by layer, and what it keeps.

    Attributes
    ----------
    points : float64 [layer, n, 2]
        Around their mean. From layer to layer each axis is turned so that the points move little.
    kept : float64 [layer]
        Share of the variance around the mean that lies in the plane.
    """

    points: np.ndarray
    kept: np.ndarray


def principal_plane(states: ArrayLike) -> Plane:
    """The first two principal components of each layer's states.

    Parameters
    ----------
    states : float [layer, n, d_model]
        Three vectors at least that are not all equal.

    Returns
    -------
    Plane

    Raises
    ------
    ValueError
        Fewer than three vectors, one dimension, or a layer whose vectors are all equal.
    """
    states = checked_states(states, zero_ok=True).astype(np.float64)
    if states.shape[1] < 3 or states.shape[2] < 2:
        raise ValueError(f"states has shape {states.shape}; expected three vectors in two dimensions at least")
    left, sizes, _ = np.linalg.svd(states - states.mean(axis=1, keepdims=True), full_matrices=False)
    total = (sizes**2).sum(axis=1)
    if not (sizes[:, 0] > 1e-9 * np.abs(states).max(axis=(1, 2))).all():
        raise ValueError("states are all equal in a layer; expected vectors that differ")
    points = left[:, :, :2] * sizes[:, None, :2]
    for before, now in zip(points, points[1:], strict=False):  # the sign of a component is arbitrary
        now *= np.where((before * now).sum(axis=0) < 0, -1, 1)
    return Plane(points, (sizes[:, :2] ** 2).sum(axis=1) / total)
