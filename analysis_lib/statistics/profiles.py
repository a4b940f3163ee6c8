"""Figures by layer with their intervals: of a whole sample, or of its units (words, texts, lemmas).

A `Profile` keeps its bootstrap draws, so that differences, of a measure and its baseline or of two layers, have
intervals too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.statistics.intervals import Interval

LEVEL = 0.95  # of all intervals


@dataclass(frozen=True)
class Profile:
    """A figure for each layer with its bootstrap draws; the difference of two profiles is a profile.

    Attributes
    ----------
    estimate : float64 [layer]
    draws : float64 [resample, layer]
    """

    estimate: np.ndarray
    draws: np.ndarray

    @property
    def low(self) -> np.ndarray:
        """Lower ends of the 95 % percentile intervals, [layer]."""
        return np.nanquantile(self.draws, (1 - LEVEL) / 2, axis=0)

    @property
    def high(self) -> np.ndarray:
        """Upper ends of the 95 % percentile intervals, [layer]."""
        return np.nanquantile(self.draws, (1 + LEVEL) / 2, axis=0)

    def at(self, layer: int) -> Interval:
        """One layer's figure and interval."""
        return Interval(float(self.estimate[layer]), float(self.low[layer]), float(self.high[layer]))

    def change(self, first: int = 0, last: int = -1) -> Interval:
        """Figure of the layer `last` less that of `first`; draws of one resample go together."""
        return Profile(self.estimate[[last]] - self.estimate[[first]], self.draws[:, [last]] - self.draws[:, [first]]).at(0)

    def __sub__(self, other: "Profile") -> "Profile":
        """Difference; paired where both come from the same units, number of resamples and seed."""
        return Profile(self.estimate - other.estimate, self.draws - other.draws)


@dataclass(frozen=True)
class Measure:
    """A figure for each layer and unit (a word, a text), raw and less its baseline.

    Attributes
    ----------
    units : array [unit]
        Labels, sorted.
    counts : int [unit]
        Occurrences behind each.
    raw, adjusted : float64 [layer, unit]
    """

    units: np.ndarray
    counts: np.ndarray
    raw: np.ndarray
    adjusted: np.ndarray

    def mean(self, chosen: ArrayLike | None = None, *, adjusted: bool = True, n_resamples: int = 1000, seed: int = 0) -> Profile:
        """Mean over units, resampling units.

        Parameters
        ----------
        chosen : bool [unit], optional
            The units meant, two at least; all by default.
        adjusted : bool
            Less the baseline, or raw.
        n_resamples, seed : int

        Returns
        -------
        Profile
            Its interval takes the baselines as known; subtract a `Profile` of the baseline from the raw mean where
            the baseline's own uncertainty matters.
        """
        values = self.adjusted if adjusted else self.raw
        values = values if chosen is None else values[:, np.asarray(chosen, dtype=bool)]
        if values.shape[1] < 2:
            raise ValueError(f"chosen holds {values.shape[1]} units; expected two at least")
        weights = resamples(values.shape[1], n_resamples, seed) / values.shape[1]
        return Profile(values.mean(axis=1), weights @ values.T)


def resamples(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each of n units is in each bootstrap resample, float64 [resample, n]; the same for the same n and seed."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}; expected at least 1")
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
