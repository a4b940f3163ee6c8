"""The numbers that a figure shows, read from the figure itself, so that readers can have them as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.ticker import FixedLocator

COLUMNS = ("panel", "series", "mark", "x", "x (low)", "x (high)", "y", "y (low)", "y (high)", "value")


def drawn_numbers(figure: plt.Figure) -> pd.DataFrame:
    """What the lines, points, intervals, bands, bars and cells of a figure stand for.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    DataFrame
        A row for each point, interval, bar or cell, in the order of the figure. `panel`: the title of its axes, else what tells
        them from the others. `series`: the name in the legend, if any. `mark`: line, points, interval, band, bar or cell. `x` and `y`:
        its place, in words where the axis is labelled with words; `x (low)` to `y (high)`: the ends of intervals, bands and bars. Where
        all panels share the label of an axis, it stands for `x` or `y`. `value`: what a cell's or a point's colour stands for. Columns
        that would be empty are left out. Guides such as a line at zero have no row, nor has a drawing, whose axes are off.
    """
    panels = [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]
    rows = [{"panel": name} | row for name, axes in zip(_panel_names(panels), panels, strict=True) for row in _in_axes(axes)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).replace("", np.nan).infer_objects().dropna(axis="columns", how="all")
    shared = {side: {_words(getattr(axes, f"get_{side}label")()) for axes in panels} for side in "xy"}
    names = {side: label.pop() if len(label) == 1 and label - {""} else side for side, label in shared.items()}
    return table.rename(columns={f"{side}{end}": f"{name}{end}" for side, name in names.items() for end in ("", " (low)", " (high)")})


def _panel_names(panels: list[Axes]) -> list[str]:
    """Titles of panels; where they have none, the labels of the axis in which they differ, else their numbers."""
    titles = [_words(axes.get_title("left") or axes.get_title()) for axes in panels]
    if len(panels) == 1 or any(titles):
        return [title or str(place) for place, title in enumerate(titles, start=1)] if len(panels) > 1 else titles
    labels = [[_words(getattr(axes, f"get_{side}label")()) for axes in panels] for side in "xy"]
    numbers = [str(place) for place in range(1, len(panels) + 1)]
    return next((found for found in labels if all(found) and len(set(found)) == len(found)), numbers)


def _in_axes(axes: Axes) -> Iterator[dict[str, Any]]:
    in_words = {"x": _labels(axes.xaxis), "y": _labels(axes.yaxis)}
    for row in _marks(axes):
        yield {key: in_words[key[0]](value) if key[0] in in_words else value for key, value in row.items()}


def _marks(axes: Axes) -> Iterator[dict[str, Any]]:
    in_containers: list[Any] = []
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            point, caps, bars = container.lines
            in_containers += [point, *caps, *bars]
            yield from _error_bars(container)
        elif isinstance(container, BarContainer):
            yield from _bars(container)
    for line in axes.lines:
        if line not in in_containers and _in_data(line, axes):
            mark = "points" if line.get_linestyle() in ("None", "") else "line"
            yield from _points(_array(line.get_xydata()), {"series": _series(line), "mark": mark})
    for collection in axes.collections:
        if collection not in in_containers:
            yield from _of_collection(collection, axes)
    for image in axes.images:
        yield from _cells(_array(image.get_array()), 0.0)


def _points(places: np.ndarray, common: dict[str, Any], values: np.ndarray | None = None) -> Iterator[dict[str, Any]]:
    for place in np.flatnonzero(~np.isnan(places).any(axis=1)):
        x, y = places[place]
        yield common | {"x": x, "y": y} | ({} if values is None else {"value": values[place]})


def _error_bars(container: ErrorbarContainer) -> Iterator[dict[str, Any]]:
    point, _, bars = container.lines
    sides = [side for side, has in (("x", container.has_xerr), ("y", container.has_yerr)) if has]
    ends = {side: [_array(path.vertices) for path in bar.get_paths()] for side, bar in zip(sides, bars, strict=True)}
    places = _array(point.get_xydata()) if point is not None else np.array([vertices.mean(axis=0) for vertices in ends[sides[0]]])
    for at, (x, y) in enumerate(places):
        row: dict[str, Any] = {"series": _series(container), "mark": "interval", "x": x, "y": y}
        for side, vertices in ends.items():
            along = vertices[at][:, "xy".index(side)]
            row |= {f"{side} (low)": along.min(), f"{side} (high)": along.max()}
        yield row


def _bars(container: BarContainer) -> Iterator[dict[str, Any]]:
    across, along = (0, 1) if container.orientation == "vertical" else (1, 0)
    for bar in container.patches:
        corners = bar.get_bbox().get_points()
        low, high = corners[:, along]
        middle = {"xy"[across]: corners[:, across].mean()}
        yield {"series": _series(container), "mark": "bar", **middle, f"{'xy'[along]} (low)": low, f"{'xy'[along]} (high)": high}


def _of_collection(collection: Collection, axes: Axes) -> Iterator[dict[str, Any]]:
    series = {"series": _series(collection)}
    if isinstance(collection, QuadMesh):
        yield from _cells(_array(collection.get_array()), 0.5)
    elif isinstance(collection, PathCollection):
        shades = collection.get_array()
        yield from _points(_array(collection.get_offsets()), series | {"mark": "points"}, None if shades is None else _array(shades))
    elif isinstance(collection, LineCollection) and _in_data(collection, axes):
        for segment in map(_array, collection.get_segments()):
            row: dict[str, Any] = series | {"mark": "interval"}
            for side, (low, high) in zip("xy", segment[[0, -1]].T, strict=True):
                row |= {side: low} if low == high else {f"{side} (low)": low, f"{side} (high)": high}
            yield row
    elif isinstance(collection, PolyCollection):
        for edge in (_array(path.vertices) for path in collection.get_paths()):
            for x in dict.fromkeys(edge[:, 0]):
                heights = edge[edge[:, 0] == x, 1]
                yield series | {"mark": "band", "x": x, "y (low)": heights.min(), "y (high)": heights.max()}


def _cells(values: np.ndarray, middle: float) -> Iterator[dict[str, Any]]:
    """Cells of a heat map; `middle` is where in a cell its label stands. A picture of colours rather than numbers has none."""
    if values.ndim == 2:
        for y, x in zip(*np.nonzero(~np.isnan(values)), strict=True):
            yield {"mark": "cell", "x": x + middle, "y": y + middle, "value": values[y, x]}


def _in_data(artist: Any, axes: Axes) -> bool:
    """Whether both coordinates are data: those of a guide across the whole panel are not."""
    return artist.get_transform().contains_branch_seperately(axes.transData) == (True, True)


def _array(values: Any) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _series(artist: Any) -> str:
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else _words(label)


def _labels(axis: Axis) -> Callable[[float], float | str]:
    """What gives a place on the axis the word that stands there, where the labels of the axis are words."""
    locator = axis.get_major_locator()
    if not isinstance(locator, FixedLocator):
        return float
    places = _array(locator())
    words = [_words(word) for word in axis.get_major_formatter().format_ticks(places.tolist())]
    if not any(words) or any(_is_number(word) for word in words):
        return float
    reach = np.diff(np.sort(places)).min() / 2 if len(places) > 1 else 0.5

    def word_at(place: float) -> float | str:
        nearest = int(np.abs(places - place).argmin())
        return words[nearest] if abs(places[nearest] - place) <= reach and words[nearest] else place

    return word_at


def _is_number(word: str) -> bool:
    try:
        float(word.replace("−", "-").replace("%", "").replace(",", ""))
    except ValueError:
        return False
    return True


def _words(text: Any) -> str:
    return " ".join(str(text).replace("$", "").split())
