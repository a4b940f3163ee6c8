"""Figures of states by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from analysis_lib.plots.style import INK


def layer_panels(
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]],
    layers: Mapping[str, Sequence[str]],
    styles: Mapping[str, tuple[str, str]],
    marked: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    zero: bool = False,
) -> plt.Figure:
    """Lines by layer with their intervals: columns are models, rows are measures, and each row has one vertical scale.

    Parameters
    ----------
    rows : dict of str to dict
        Vertical label to {column title: {line label: profile}}; a profile has `estimate`, `low`, `high` [layer], and may
        have fewer layers than the column.
    layers : dict of str to list of str
        Column title to layer labels, as `Activations.layers` has them.
    styles : dict of str to (colour, line style)
        By line label.
    marked : dict of str to dict, optional
        Column title to {line label: bool [layer]}: points that are filled; all by default.
    zero : bool
        Draw a line at 0.
    """
    titles = list(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), len(titles), figsize=(5.8, 2.3 * len(rows) + 1.0), sharex="col", sharey="row", squeeze=False)
    for (ylabel, columns), line_of_axes in zip(rows.items(), axes, strict=True):
        line_of_axes[0].set_ylabel(ylabel)
        for axis, (title, lines) in zip(line_of_axes, columns.items(), strict=True):
            for label, profile in lines.items():
                filled = (marked or {}).get(title, {}).get(label)
                _line(axis, profile, *styles[label], filled, label)
            if zero:
                axis.axhline(0, color=INK, lw=0.8)
            axis.yaxis.grid(True)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis, title in zip(axes[-1], titles, strict=True):
        names = [name.replace("embed", "emb") if "+" not in name else name.split("+")[1] for name in layers[title]]
        step = 1 + len(names) * max(len(titles), 2) // 16  # narrow panels have room for fewer labels
        axis.set_xticks(range(0, len(names), step), names[::step])
        axis.set_xlabel("layer")
    entries = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    width = sum(len(label) for label in entries) / len(entries)
    n_columns = 3 if 3 * width < 42 else 2 if 2 * width < 42 else 1
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=n_columns)
    return figure


def pair_bias(samples: Mapping[str, tuple[np.ndarray, np.ndarray]], colours: Mapping[str, str], xlabel: str, ylabel: str) -> plt.Figure:
    """A bias against the number of vectors, one point for each text, both axes logarithmic.

    Parameters
    ----------
    samples : dict of str to (array [text], array [text])
        Model to numbers of vectors and biases.
    colours : dict of str to str
        By model.
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    for model, (counts, bias) in samples.items():
        axis.plot(counts, bias, "o", ms=3.5, alpha=0.5, mec="none", color=colours[model], label=model)
    axis.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    counts = np.concatenate([counts for counts, _ in samples.values()])
    ticks = [tick for tick in (5, 10, 20, 50, 100, 200, 500) if counts.min() <= tick <= counts.max()]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.grid(True)
    axis.legend()
    return figure


def _line(axis: plt.Axes, profile: Any, colour: str, style: str, filled: np.ndarray | None, label: str) -> None:
    places = np.arange(len(profile.estimate))
    axis.fill_between(places, profile.low, profile.high, color=colour, alpha=0.22, lw=0)
    size = 6 if len(places) < 15 else 3
    inside = colour if filled is None else "none"
    axis.plot(places, profile.estimate, style, color=colour, lw=1.8, label=label, marker="o", ms=size, mfc=inside, mec=colour)
    if filled is not None:
        full = places[np.asarray(filled, dtype=bool)]
        axis.plot(full, np.asarray(profile.estimate)[full], "o", ms=size, color=colour)
