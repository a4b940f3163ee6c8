"""What is compared with code that others wrote: a quantity computed here and by an oracle, and how far apart the two may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Parts = Mapping[str, np.ndarray]
STORED = 120  # numbers of each part that the fixture keeps; a larger part is sampled


@dataclass(frozen=True)
class Quantity:
    """One row of the page of oracles.

    Attributes
    ----------
    key : str
        Its name in the fixtures.
    words : str
        What it is, for the page.
    oracle : str
        The package that was asked, as pip names it.
    how : str
        Which function of it, or how its formula is written out.
    tolerance : float
        Largest absolute difference that is accepted.
    reason : str
        Why the two may differ by as much.
    ours, theirs : callable
        Give parts by name, arrays of equal shapes. `theirs` imports the oracle.
    """

    key: str
    words: str
    oracle: str
    how: str
    tolerance: float
    reason: str
    ours: Callable[[], Parts]
    theirs: Callable[[], Parts]


def largest_difference(ours: Parts, theirs: Parts) -> float:
    """Over all parts; infinite where parts or shapes do not agree, so that nothing is compared by broadcasting or left out."""
    if ours.keys() != theirs.keys():
        return float("inf")
    pairs = [(np.asarray(ours[name], dtype=np.float64), np.asarray(theirs[name], dtype=np.float64)) for name in ours]
    if any(a.shape != b.shape or a.size == 0 or not np.isfinite(a).all() for a, b in pairs):
        return float("inf")
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def stored(parts: Parts) -> dict[str, np.ndarray]:
    """What the fixture keeps of each part: all of it, or `STORED` of its numbers, always the same ones for a given size."""
    flat = {name: np.asarray(values).ravel() for name, values in parts.items()}
    return {name: values[_places(len(values))] for name, values in flat.items()}


def _places(size: int) -> np.ndarray:
    return np.arange(size) if size <= STORED else np.sort(np.random.default_rng(size).choice(size, STORED, replace=False))
