"""Figures of states by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from analysis_lib.plots.style import CYCLE, INK, as_written


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
        shown = _labelled_layers(layers[title], width=4.6 / len(titles))
        # "24+ln_f" in one line would reach into the next panel.
        axis.set_xticks(shown, [layers[title][place].replace("+", "\n+") for place in shown])
        axis.set_xticks(range(len(layers[title])), minor=True)
        axis.set_xlabel("layer")
    entries = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    entries = {label: handle for label, handle in entries.items() if label not in titles} or entries  # a title names its line
    width = sum(len(label) for label in entries) / len(entries)
    n_columns = 3 if 3 * width < 42 else 2 if 2 * width < 42 else 1
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=n_columns)
    return figure


def _labelled_layers(names: Sequence[str], width: float) -> list[int]:
    """Places of layers whose labels fit on an axis of so many inches: the last, and the others at the smallest step that leaves room."""
    letters, gap = 0.1, width / max(len(names) - 1, 1)  # inches of a letter and between layers
    room = [letters * (len(name) + 1) / 2 for name in names]
    last = len(names) - 1
    for step in range(1, len(names) + 1):
        places = [place for place in range(0, last, step) if (last - place) * gap >= room[place] + room[last]] + [last]
        if all((b - a) * gap >= room[a] + room[b] for a, b in zip(places, places[1:], strict=False)):
            return places
    return [last]


def word_planes(
    rows: Mapping[str, Sequence[tuple[str, np.ndarray, float]]],
    groups: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
    labels: Sequence[str],
) -> plt.Figure:
    """Occurrences of a word in a plane: columns are layers, rows are models.

    Parameters
    ----------
    rows : dict of str to list of (title, float [n, 2], float)
        Model to its layers: label, points, and the share of the variance that the plane keeps.
    groups : sequence of str, n
        What each occurrence means.
    styles : dict of str to (colour, marker)
        By group.
    labels : sequence of str, n
        Written in the first panel, once for all occurrences with the label.
    """
    n_columns = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), n_columns, figsize=(6.2, 2.3 * len(rows) + 0.4), squeeze=False)
    group_of = np.asarray(groups)
    for (model, layers), line in zip(rows.items(), axes, strict=True):
        line[0].set_ylabel(model)
        for axis, (title, points, kept) in zip(line, layers, strict=True):
            for group, (colour, marker) in styles.items():
                own = points[group_of == group]
                axis.plot(*own.T, marker, color=colour, ms=7, mfc=colour if marker == "o" else "none", mew=1.5, alpha=0.85, label=group)
            axis.set_title(f"{title}, {kept:.0%} kept", fontsize=11)
            axis.set(xticks=[], yticks=[])
            axis.margins(0.15)
            for spine in axis.spines.values():
                spine.set_visible(True)
    points = next(iter(rows.values()))[0][1]
    for number, label in enumerate(dict.fromkeys(labels)):
        x, y = points[[other == label for other in labels]].mean(axis=0)
        style = {"xytext": (0, (8, -15)[number % 2]), "textcoords": "offset points", "ha": "center", "fontsize": 10, "fontstyle": "italic"}
        axes[0, 0].annotate(*as_written([label]), (x, y), **style)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(styles))
    return figure


def sentence_planes(layers: Sequence[tuple[str, np.ndarray, float]], words: Sequence[str], named: Sequence[int]) -> plt.Figure:
    """The words of one sentence in a plane, a panel for each layer.

    Parameters
    ----------
    layers : list of (title, float [word, 2], float)
        Label, points, and the share of the variance that the plane keeps.
    words : sequence of str
    named : sequence of int
        Words that are named in every panel; all are named in the first and the last.
    """
    n_columns = 3 if len(layers) > 4 else len(layers)
    n_rows = -(-len(layers) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(6.4, 2.1 * n_rows), squeeze=False)
    for axis in axes.flat[len(layers) :]:
        axis.remove()
    for panel, (axis, (title, points, kept)) in enumerate(zip(axes.flat, layers, strict=False)):
        axis.plot(*points.T, "o", color=CYCLE[0], ms=4)
        axis.plot(*points[list(named)].T, "o", color=CYCLE[1], ms=6)
        apart = np.linalg.norm(points[:, None] - points, axis=-1) + np.diag(np.full(len(points), np.inf))
        above = points[:, 1] >= points[apart.argmin(axis=1), 1]  # the nearest other word, away from which a name stands
        for number in range(len(words)) if panel in (0, len(layers) - 1) else named:
            style = {
                "xytext": (0, 5 if above[number] else -14),
                "textcoords": "offset points",
                "ha": "center",
                "fontsize": 9.5,
                "fontstyle": "italic",
            }
            axis.annotate(*as_written([words[number]]), points[number], **style)
        axis.set_title(f"{title}, {kept:.0%} kept", fontsize=11)
        axis.set(xticks=[], yticks=[])
        axis.margins(0.2)
        for spine in axis.spines.values():
            spine.set_visible(True)
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
