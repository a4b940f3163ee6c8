"""Choosing the best of many on one draw and measuring it on another; intervals for many samples as one table.

The largest of many noisy means is too large by more than its own interval allows for (the winner's curse): an interval that is
computed from the values that the choice was made on does not cover the chosen one's true mean. On values that had no part in the
choice it does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis_lib.statistics.intervals import Interval, bootstrap_interval


class Chosen(NamedTuple):
    """The candidate that did best on one draw, and what it does on another.

    Attributes
    ----------
    index : tuple of int
        Which candidate: its place along all axes but the first.
    interval : Interval
        Its mean on the measuring draw.
    """

    index: tuple[int, ...]  # type: ignore[assignment]  # takes the place of the method that tuples have, which nobody needs here
    interval: Interval


def choose_and_measure(
    choosing: ArrayLike, measuring: ArrayLike, interval: Callable[[np.ndarray], Interval] = bootstrap_interval
) -> Chosen:
    """Choose the candidate with the largest mean on one draw and measure it on another: the first of `choose_several`."""
    return choose_several(choosing, measuring, 1, interval)[0]


def choose_several(
    choosing: ArrayLike, measuring: ArrayLike, n: int, interval: Callable[[np.ndarray], Interval] = bootstrap_interval
) -> list[Chosen]:
    """Choose the candidates with the largest means on one draw and measure them on another.

    Parameters
    ----------
    choosing, measuring : array [unit, ...]
        Values of every unit (sequence, text, prompt) and candidate, the same candidates in both; the units must be other units.
    n : int
        How many to choose, from 1 to the number of candidates.
    interval : callable
        From a chosen candidate's values [unit] on the measuring draw.

    Returns
    -------
    list of Chosen
        The largest mean on the choosing draw first.

    Raises
    ------
    ValueError
        Arrays of different candidates, without candidates, with values that are not finite, or the same varying values twice; another `n`.

    Notes
    -----
    A chosen candidate's mean is unbiased, since the measuring draw had no part in the choice. That no other candidate has a larger true
    mean is not claimed.
    """
    choosing, measuring = np.asarray(choosing, dtype=float), np.asarray(measuring, dtype=float)
    if choosing.ndim < 2 or choosing.shape[1:] != measuring.shape[1:] or 0 in choosing.shape:
        raise ValueError(
            f"choosing and measuring: expected [unit, ...] of the same candidates, found {choosing.shape} and {measuring.shape}"
        )
    for name, values in (("choosing", choosing), ("measuring", measuring)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite values, found {np.count_nonzero(~np.isfinite(values))} that are not")
    # Two draws may agree where nothing varies among units, but for rounding.
    if np.array_equal(choosing, measuring) and (np.ptp(choosing, axis=0) > 1e-6 * np.abs(choosing).max()).any():
        raise ValueError("choosing and measuring: expected two draws, found the same values twice")
    means = choosing.mean(axis=0)
    if not 1 <= n <= means.size:
        raise ValueError(f"n: expected 1 to {means.size} candidates, found {n}")
    best = np.argsort(-means, axis=None, kind="stable")[:n]
    places = [tuple(int(place) for place in np.unravel_index(one, means.shape)) for one in best]
    return [Chosen(place, interval(measuring.reshape(len(measuring), -1)[:, one])) for one, place in zip(best, places, strict=True)]


def interval_table(
    samples: Mapping[tuple, ArrayLike],
    names: Sequence[str],
    interval: Callable[[np.ndarray], Interval] = bootstrap_interval,
) -> pd.DataFrame:
    """One row for each sample, with its estimate and the ends of its interval.

    Parameters
    ----------
    samples : mapping of tuple to array [unit]
        A sample's labels to its values.
    names : sequence of str
        What the labels are: one name for each place of the tuples.
    interval : callable
        From the values of a sample.

    Returns
    -------
    DataFrame
        The columns `names`, then `estimate`, `low`, `high`, in the order of the mapping.

    Raises
    ------
    ValueError
        Labels of another number than the names; what `interval` raises.
    """
    wrong = next((labels for labels in samples if len(labels) != len(names)), None)
    if wrong is not None:
        raise ValueError(f"samples: expected labels for {', '.join(names)}, found {wrong}")
    rows = [(*labels, *interval(np.asarray(values))) for labels, values in samples.items()]
    return pd.DataFrame(rows, columns=[*names, *Interval._fields])


def drawn_heads(n_layers: int, n_heads: int, most: int, seed: int = 0) -> list[tuple[int, int]]:
    """At most so many heads, drawn by lot from all layers as evenly as their number allows; all of a model that has no more.

    Parameters
    ----------
    n_layers, n_heads : int
        Of the model; heads of a layer.
    most : int
        At least 1.
    seed : int

    Returns
    -------
    list of (layer, head), in order

    Raises
    ------
    ValueError
        A number below 1.

    Examples
    --------
    >>> drawn_heads(2, 2, most=24)
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    >>> len(drawn_heads(24, 16, most=48))
    48
    """
    if min(n_layers, n_heads, most) < 1:
        raise ValueError(f"n_layers, n_heads, most: expected 1 or more, found {n_layers}, {n_heads} and {most}")
    if most >= n_layers * n_heads:
        return [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    rng = np.random.default_rng(seed)
    turns = np.argsort(rng.random((n_heads, n_layers)), axis=0).T  # of each layer, the order in which its heads are drawn
    places = [(layer, int(turns[layer, turn])) for turn in range(n_heads) for layer in rng.permutation(n_layers).tolist()]
    return sorted(places[:most])
