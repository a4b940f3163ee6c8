"""Names of points in scatter plots, written where they hide no other mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from analysis_lib.plots.style import INK

LETTER, HEIGHT, GAP = 0.025, 0.08, 0.02
"""Width of a letter, height of a name, and what is between a point and its name, as shares of the panel."""


def name_points(axis: plt.Axes, names: Sequence[str], places: np.ndarray, marks: np.ndarray, colour: str = INK) -> None:
    """Write each name right or left of its point, wherever it hides fewer marks; names that would overlap stand one below the other.

    Parameters
    ----------
    axis : Axes
        After everything else is drawn. It is widened where a name would stand on the vertical axis.
    names : sequence of str
    places : array [name, 2]
        Their points.
    marks : array [mark, 2]
        All that a name should not hide.
    colour : str
        Of the names. A name that had to move has a line to its point.
    """
    corner, end = np.array([axis.get_xlim(), axis.get_ylim()]).T
    shares, others = ((np.asarray(points, float) - corner) / (end - corner) for points in (places, marks))
    taken: list[tuple[float, float, float]] = []  # left end, right end and height of the names
    notes = []
    for at in np.argsort(-shares[:, 1], kind="stable"):
        (x, y), width = shares[at], LETTER * len(names[at])
        level = others[np.abs(others[:, 1] - y) < HEIGHT / 2, 0] - x
        hidden = [((side * level > GAP / 4) & (side * level < GAP + width)).sum() for side in (1, -1)]
        side = 1 if hidden[0] <= hidden[1] else -1
        left = x + GAP if side == 1 else x - GAP - width
        height = min([y, *(other - HEIGHT for start, stop, other in taken if start < left + width and left < stop)])
        edge = x + side * GAP * (1 if height == y else 2)
        if side == -1 and edge - width < -1e-6:
            share = width + x - edge
            axis.set_xlim(left=end[0] - (end[0] - places[at][0]) / (1 - share))
            name_points(axis, names, places, marks, colour)
            return
        taken.append((left, left + width, height))
        look: dict[str, Any] = {"ha": "left" if side == 1 else "right", "va": "center_baseline", "color": colour}
        if height < y:
            look["arrowprops"] = {"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkB": 3, "relpos": ((1 - side) / 2, 0.5)}
        notes.append((names[at], places[at], corner + (end - corner) * [edge, height], look))
    for name, place, beside, look in notes:
        axis.annotate(name, place, beside, annotation_clip=False, **look)
