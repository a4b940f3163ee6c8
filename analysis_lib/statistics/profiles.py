"""Figures by layer with their intervals: of a whole sample, or of its units (words, texts, lemmas).

A `Profile` keeps its bootstrap draws and the units that they resample, so that differences, of a measure and its
baseline or of two layers, have intervals too, and so that only draws over the same units are subtracted pair by pair.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.statistics.intervals import Interval

LEVEL = 0.95  # of all intervals


@dataclass(frozen=True, eq=False)
class Units:
    """What a bootstrap resamples, and with which seed.

    Attributes
    ----------
    kind : str
        What one unit is, such as "text".
    labels : array [unit]
        The units, in the order of the draws.
    seed : int
    """

    kind: str
    labels: np.ndarray
    seed: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Units):
            return NotImplemented
        return (self.kind, self.seed) == (other.kind, other.seed) and np.array_equal(self.labels, other.labels)

    __hash__ = None  # type: ignore[assignment]  # equal labels are equal arrays, which have no hash

    def __str__(self) -> str:
        return f"{len(self.labels)} units of kind {self.kind!r}, drawn with seed {self.seed}"

    def counts(self, n_resamples: int) -> np.ndarray:
        """How often each unit is in each resample, float64 [resample, unit]; the same for as many units and the same seed."""
        if n_resamples < 1:
            raise ValueError(f"n_resamples is {n_resamples}; expected at least 1")
        n = len(self.labels)
        drawn = np.random.default_rng(self.seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)
        return drawn.astype(np.float64)


@dataclass(frozen=True)
class Profile:
    """A figure for each layer with its bootstrap draws; the difference of two profiles is a profile.

    Attributes
    ----------
    estimate : float64 [layer]
    draws : float64 [resample, layer]
    units : Units, optional
        What the draws resample. Without it a profile is only shown, not subtracted from another one resample by resample.
    """

    estimate: np.ndarray
    draws: np.ndarray
    units: Units | None = None

    @property
    def low(self) -> np.ndarray:
        """Lower ends of the 95% percentile intervals, [layer]."""
        return _quantile(self.draws, (1 - LEVEL) / 2)

    @property
    def high(self) -> np.ndarray:
        """Upper ends of the 95% percentile intervals, [layer]."""
        return _quantile(self.draws, (1 + LEVEL) / 2)

    def at(self, layer: int) -> Interval:
        """One layer's figure and interval."""
        return Interval(float(self.estimate[layer]), float(self.low[layer]), float(self.high[layer]))

    def change(self, first: int = 0, last: int = -1) -> Interval:
        """Figure of the layer `last` minus that of `first`, within each resample."""
        return Profile(self.estimate[[last]] - self.estimate[[first]], self.draws[:, [last]] - self.draws[:, [first]]).at(0)

    def __sub__(self, other: "Profile") -> "Profile":
        """Paired difference: both resample the same units in the same way, and are subtracted resample by resample.

        Raises
        ------
        ValueError
            Profiles of other units, seeds, numbers of resamples or layers; both are named.
        """
        if self.units is None or other.units is None or self.units != other.units or self.draws.shape != other.draws.shape:
            raise ValueError(
                f"profiles: expected the same units and draws on both sides, found {_described(self)} minus {_described(other)}; "
                "use minus_independent where other units were resampled"
            )
        return Profile(self.estimate - other.estimate, self.draws - other.draws, self.units)

    def minus_independent(self, other: "Profile") -> "Profile":
        """Difference from a figure over other units, such as words minus texts, as if the two samples were independent.

        The other draws are put in random order, another one for each left side, so that no pairing is left that equal seeds would make.

        Raises
        ------
        ValueError
            Profiles of other layers, or of other numbers of resamples; both are named.
        """
        if self.draws.shape != other.draws.shape:
            raise ValueError(f"profiles: expected draws of one shape, found {_described(self)} minus {_described(other)}")
        shuffled = np.random.default_rng(zlib.crc32(self.draws.tobytes())).permutation(other.draws)
        return Profile(self.estimate - other.estimate, self.draws - shuffled)


@dataclass(frozen=True)
class Measure:
    """A figure for each layer and unit (a word, a text), raw and minus its baseline.

    Attributes
    ----------
    units : array [unit]
        Labels, sorted.
    counts : int [unit]
        Occurrences behind each.
    raw, adjusted : float64 [layer, unit]
    kind : str
        What one unit is, such as "word".
    """

    units: np.ndarray
    counts: np.ndarray
    raw: np.ndarray
    adjusted: np.ndarray
    kind: str

    def mean(self, chosen: ArrayLike | None = None, *, adjusted: bool = True, n_resamples: int = 1000, seed: int = 0) -> Profile:
        """Mean over units, resampling units.

        Parameters
        ----------
        chosen : bool [unit], optional
            The units to average, two at least; all by default.
        adjusted : bool
            Average the figures minus their baselines, or the raw ones.
        n_resamples, seed : int

        Returns
        -------
        Profile
            Its interval takes the baselines as known; subtract a `Profile` of the baseline from the raw mean where
            the baseline's own uncertainty matters.

        Raises
        ------
        ValueError
            Fewer than two units, or a `chosen` that does not fit them.
        """
        values, labels = self.adjusted if adjusted else self.raw, self.units
        if chosen is not None:
            kept = np.asarray(chosen)
            if kept.dtype != bool or kept.shape != labels.shape:
                raise ValueError(
                    f"chosen: expected true or false for each of {len(labels)} units, found {kept.dtype} of shape {kept.shape}"
                )
            values, labels = values[:, kept], labels[kept]
        if values.shape[1] < 2:
            raise ValueError(f"{'units' if chosen is None else 'chosen'}: expected two units at least, found {values.shape[1]}")
        units = Units(self.kind, labels, seed)
        return Profile(values.mean(axis=1), units.counts(n_resamples) / len(labels) @ values.T, units)

    def spread(self) -> Profile:
        """Median over units, with the range that holds the middle 95% of them: what a single unit may give, no confidence interval."""
        return Profile(np.median(self.raw, axis=1), self.raw.T)


def _quantile(draws: np.ndarray, share: float) -> np.ndarray:
    """Quantiles [layer] of the draws that are not NaN; NaN where there is none."""
    there = ~np.isnan(draws).all(axis=0)
    found = np.full(draws.shape[1], np.nan)
    found[there] = np.nanquantile(draws[:, there], share, axis=0)
    return found


def _described(profile: Profile) -> str:
    n_resamples, n_layers = profile.draws.shape
    return f"[{profile.units or 'no units'}; {n_resamples} resamples of {n_layers} layers]"
