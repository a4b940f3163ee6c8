"""Figures of regression in context."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from analysis_lib.plots.style import CYCLE, INK

BLUE, ORANGE, GREEN, ROSE, OLIVE = CYCLE[:5]

ANSWER_LINES = {  # colour and line style of each answerer, the same in all figures
    "transformer": (BLUE, "-"),
    "transformer trained with noise": (ROSE, "-"),
    "untrained": (INK, ":"),
    "least squares": (ORANGE, "--"),
    "ridge(0.1)": (GREEN, "-."),
    "Bayes-optimal ridge": (GREEN, "-."),
    "lasso(0.01)": (ROSE, ":"),
    "3 neighbours": (OLIVE, "-."),
    "averaging": (OLIVE, ":"),
    "zero": (INK, "-"),
    "ridge(0.8)": (GREEN, "--"),
    "hard choice": (ROSE, "--"),
    "averaging of both": (OLIVE, "--"),
    "stacking": (ORANGE, "-"),
    "posterior mean": (INK, ":"),
}
READER_LINES = {"lens": (ORANGE, "--"), "probe": (BLUE, "-"), "probe, untrained": (INK, ":")}


def curves(
    lines: Mapping[str, pd.DataFrame],
    ylabel: str,
    xlabel: str = "examples before the question",
    axis: plt.Axes | None = None,
    log: bool = True,
    floor: float | None = None,
    ceiling: float | None = None,
) -> plt.Axes:
    """Lines with bands against the number of examples, in the styles of `ANSWER_LINES`.

    Parameters
    ----------
    lines : dict of str to DataFrame
        Answerer to `examples error low high`, as `incontext.error_curves` gives them.
    ylabel, xlabel : str
    axis : matplotlib.axes.Axes, optional
        By default a new figure with its legend below.
    log : bool
        Whether the y axis is logarithmic.
    floor, ceiling : float, optional
        Ends of the y axis; what lies beyond is not drawn.

    Returns
    -------
    matplotlib.axes.Axes
    """
    figure = None
    if axis is None:
        figure, axis = plt.subplots(figsize=(5.6, 4.6))
    for label, curve in lines.items():
        colour, style = ANSWER_LINES[label]
        axis.plot(curve["examples"], curve["error"], style, color=colour, label=label, lw=2.4 if label == "transformer" else 1.7)
        axis.fill_between(curve["examples"], curve["low"], curve["high"], color=colour, alpha=0.18, lw=0)
    if log:
        axis.set_yscale("log")
    axis.set_ylim(bottom=floor, top=ceiling)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if figure is not None:
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return axis


def curve_panels(
    panels: Mapping[str, Mapping[str, pd.DataFrame]],
    ylabel: str,
    columns: int = 2,
    xlabel: str = "examples before the question",
    **options: Any,
) -> plt.Figure:
    """Small multiples of `curves` with one y axis and one legend.

    Parameters
    ----------
    panels : dict of str to dict of str to DataFrame
        Panel title to what `curves` draws.
    ylabel, xlabel : str
    columns : int
    **options
        As for `curves`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.6, 2.1 * rows + 0.9), squeeze=False, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    entries: dict[str, Any] = {}
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        curves(lines, "", "", axis, **options)
        axis.set_title(title)
        entries |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.supylabel(ylabel, fontsize=12, color=INK)
    for axis in axes[-1]:
        axis.set_xlabel(xlabel, fontsize=11)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=2)
    return figure


def penalty_profiles(profiles: Mapping[str, pd.DataFrame], ylabel: str, optimal: Mapping[str, float] | None = None) -> plt.Figure:
    """Distance to ridge regressions by their penalty: a panel for each model, a line for each number of examples, a dot at the nearest.

    Parameters
    ----------
    profiles : dict of str to DataFrame
        Panel title to `examples penalty distance nearest`, as `incontext.behaviour.penalty_profile` gives them.
    ylabel : str
    optimal : dict of str to float, optional
        Panel title to the penalty that would be best; it is marked by a vertical line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, len(profiles), figsize=(5.6, 3.8), sharey=True, squeeze=False)
    numbers = sorted({number for profile in profiles.values() for number in profile["examples"]})
    shades = {number: CYCLE[at % len(CYCLE)] for at, number in enumerate(numbers)}
    entries: dict[str, Any] = {}
    for axis, (title, profile) in zip(axes[0], profiles.items(), strict=True):
        for number, line in profile.groupby("examples"):
            shade, nearest = shades[number], line[line["nearest"]]
            axis.plot(line["penalty"], line["distance"], color=shade, label=f"{number} example{'s' if number > 1 else ''}")
            axis.plot(nearest["penalty"], nearest["distance"], "o", color=shade, ms=8)
        if optimal is not None and title in optimal:
            axis.axvline(optimal[title], color=INK, ls="--", lw=1.2, label="optimal penalty")
        axis.set(xscale="log", yscale="log", title=title, xlabel="penalty of the ridge")
        entries |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=3)
    return figure


def layer_lines(panels: Mapping[str, pd.DataFrame], ylabel: str) -> plt.Figure:
    """What readers explain at every layer, with intervals: a panel for each question, a line for each reader.

    Parameters
    ----------
    panels : dict of str to DataFrame
        Panel title to `reader layer estimate low high`, layers in order, as `incontext.answers.depth` gives them.
    ylabel : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(5.6, 3.9), sharey=True, squeeze=False)
    for axis, (title, table) in zip(axes[0], panels.items(), strict=True):
        for reader, part in table.groupby("reader", sort=False):
            colour, style = READER_LINES[reader]
            ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
            axis.errorbar(part["layer"], part["estimate"], yerr=ends, fmt=style, marker="o", color=colour, label=reader, lw=1.7)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("layer")
        layers = list(dict.fromkeys(table["layer"]))
        axis.set_xticks(layers[:: -(-len(layers) // 8)])  # at most eight labels fit into a panel
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def forest(table: pd.DataFrame, xlabel: str, lines: Mapping[str, float] | None = None, log: bool = False) -> plt.Figure:
    """Estimates with their intervals: a row for each name, a mark for each group.

    Parameters
    ----------
    table : DataFrame
        `name group estimate low high`.
    xlabel : str
    lines : dict of str to float, optional
        Vertical lines to compare with, by their label.
    log : bool
        Whether the x axis is logarithmic.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names, groups = list(dict.fromkeys(table["name"])), list(dict.fromkeys(table["group"]))
    figure, axis = plt.subplots(figsize=(5.6, 0.42 * len(names) + 1.5))
    for at, group in enumerate(groups):
        part = table[table["group"] == group]
        places = np.array([names.index(name) for name in part["name"]]) + 0.16 * (at - (len(groups) - 1) / 2)
        ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
        axis.errorbar(part["estimate"], places, xerr=ends, fmt="os^Dv"[at % 5], color=CYCLE[at % len(CYCLE)], ms=6, lw=1.6, label=group)
    for style, (label, value) in zip(cycle(("-", "--", ":", "-.")), (lines or {}).items(), strict=False):
        axis.axvline(value, color=INK, ls=style, lw=1.2, label=label)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(xlabel)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def attention_grid(pattern: np.ndarray, xs: np.ndarray, ys: np.ndarray, x_clusters: np.ndarray, y_clusters: np.ndarray) -> plt.Figure:
    """One head on one prompt, x and y queries against x and y keys, with inputs and clusters along the margins.

    Parameters
    ----------
    pattern : array [2 * point, 2 * point]
        Questions and answers in turn.
    xs, ys : array [point, d], [point]
    x_clusters, y_clusters : int [point]
        Of the rows of questions and of answers.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pattern, xs, ys = (np.asarray(values, dtype=float) for values in (pattern, xs, ys))
    n, d = xs.shape
    figure, axes = plt.subplots(3, 4, figsize=(5.6, 5.2), gridspec_kw={"width_ratios": [d, 1.2, n, n], "height_ratios": [d, n, n]})
    axes[0, 0].set_visible(False)
    axes[0, 1].set_visible(False)
    largest = max(np.abs(xs).max(), np.abs(ys).max())
    inputs = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "aspect": "auto"}
    side = {0: (xs, x_clusters, "x query"), 1: (ys[:, None], y_clusters, "y query")}
    for kind, (values, clusters, label) in side.items():
        shown = axes[0, 2 + kind].imshow(values.T, **inputs)
        axes[0, 2 + kind].set_title(f"{'xy'[kind]} of the key", fontsize=11)
        axes[1 + kind, 0].imshow(values, **inputs)
        axes[1 + kind, 0].set_ylabel(label)
        axes[1 + kind, 1].imshow(np.asarray(clusters)[:, None], cmap="tab10", vmin=0, vmax=9, aspect="auto")
        for key in range(2):
            image = axes[1 + kind, 2 + key].imshow(pattern[kind::2, key::2], cmap="viridis", vmin=0, vmax=pattern.max(), aspect="auto")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    axes[2, 0].set_xlabel("input", fontsize=11)
    axes[2, 1].set_xlabel("\ncluster", fontsize=11)
    for key in range(2):
        axes[2, 2 + key].set_xlabel(f"{'xy'[key]} key")
    figure.colorbar(image, ax=axes[1:, :], label="attention", fraction=0.04)
    figure.colorbar(shown, ax=axes[0, :], label="input", fraction=0.04)
    return figure


def weights_by_odds(table: pd.DataFrame) -> plt.Figure:
    """Weight on the second predictor against the evidence for its hypothesis.

    Parameters
    ----------
    table : DataFrame
        `answerer log_odds estimate low high`, as `incontext.strategies.weights_by_odds` gives them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(5.6, 4.2))
    for answerer, part in table.groupby("answerer", sort=False):
        colour, style = ANSWER_LINES[answerer]
        axis.plot(part["log_odds"], part["estimate"], style, marker="o", color=colour, label=answerer)
        axis.fill_between(part["log_odds"], part["low"], part["high"], color=colour, alpha=0.18, lw=0)
    axis.axvline(0, color=INK, lw=0.8)
    axis.set(xlabel="log odds of alpha 0.8 against 0.1", ylabel="weight on ridge(0.8)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def steps_and_layers(steps: pd.DataFrame, layers: pd.DataFrame, ylabel: str) -> plt.Figure:
    """Errors of algorithms step by step, and errors read after each layer as levels beside them.

    Parameters
    ----------
    steps : DataFrame
        `algorithm step estimate`, from step 0, on a logarithmic axis on which powers of two are marked.
    layers : DataFrame
        `reader layer estimate low high`; each becomes a level with its band.
    ylabel : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(5.6, 4.2))
    for (algorithm, part), colour, mark in zip(
        steps.groupby("algorithm", sort=False), cycle((ORANGE, GREEN, *CYCLE[3:])), cycle("os^Dv"), strict=False
    ):
        marked = np.flatnonzero(np.isin(part["step"], [0, *2 ** np.arange(20)])).tolist()
        axis.plot(part["step"], part["estimate"], color=colour, marker=mark, markevery=marked, ms=4, lw=1.7, label=algorithm)
    for reader, part in layers.groupby("reader", sort=False):
        colour, style = READER_LINES[reader]
        for row in part.itertuples():
            axis.axhline(row.estimate, color=colour, ls=style, lw=1.5, label=reader if row.Index == part.index[0] else None)
            axis.axhspan(row.low, row.high, color=colour, alpha=0.15, lw=0)
    for level, label in _named_levels(layers[layers["reader"] == "probe"]):
        axis.annotate(label, (1.02, level), xycoords=axis.get_yaxis_transform(), va="center", color=READER_LINES["probe"][0])
    axis.set(yscale="log", xlabel="steps of the algorithm", ylabel=ylabel, ylim=(layers["low"].min() / 4, None))
    axis.set_xscale("symlog", base=2, linthresh=1)
    axis.set_xlim(0, steps["step"].max())
    axis.xaxis.set_major_formatter("{x:.0f}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def task_diversity(table: pd.DataFrame) -> plt.Figure:
    """Distance of models to two estimators by the number of training tasks: a panel for training tasks, one for new ones.

    Parameters
    ----------
    table : DataFrame
        `tasks`, `seed`, `prompts`, `model_to_tasks`, `model_to_ridge`, `tasks_to_ridge`, as `training/diversity.py` records them.
        Points are seeds, lines their means.

    Returns
    -------
    matplotlib.figure.Figure
    """
    lines = {
        "model_to_tasks": ("to the posterior mean over the tasks", BLUE, "o", "-"),
        "model_to_ridge": ("to ridge regression", ORANGE, "s", "-"),
        "tasks_to_ridge": ("between these two", INK, "", "--"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 3.9), sharey=True)
    for axis, (kind, part) in zip(axes, table.groupby("prompts", sort=False), strict=True):
        means = part.groupby("tasks")[list(lines)].mean()
        for name, (label, colour, mark, line) in lines.items():
            axis.plot(means.index, means[name], line, color=colour, lw=1.8)
            axis.plot(part["tasks"], part[name], mark or ",", color=colour, ms=5)
            axis.plot([], [], line, marker=mark, color=colour, lw=1.8, label=label)
        axis.set_xscale("log", base=2)
        axis.set(yscale="log", title=f"{kind} tasks", xlabel="tasks in training")
    axes[0].set_ylabel("mean squared distance / d")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure


def _named_levels(layers: pd.DataFrame, ratio: float = 1.25) -> list[tuple[float, str]]:
    """Levels and their names; neighbours within a ratio share a label."""
    found: list[tuple[float, str]] = []
    for row in layers.itertuples():
        name = row.layer if row.layer == "embed" else f"layer {row.layer}"
        if found and 1 / ratio < found[-1][0] / row.estimate < ratio:
            found[-1] = (found[-1][0], f"{found[-1][1]},\n{name}")
        else:
            found.append((row.estimate, name))
    return found


def similarity_maps(tables: Mapping[str, pd.DataFrame], best: Mapping[str, pd.DataFrame]) -> plt.Figure:
    """How alike layers are to the steps of algorithms: rows of maps for readers, columns for algorithms; the likest step is outlined.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Reader to `algorithm layer step estimate`, as `incontext.algorithms.similarity_table` gives them.
    best : dict of str to DataFrame
        The rows to outline, as `best_steps` gives them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    algorithms = list(dict.fromkeys(pd.concat(tables.values())["algorithm"]))
    n_layers = len(dict.fromkeys(next(iter(tables.values()))["layer"]))
    size = (5.6, len(tables) * (0.34 * n_layers + 0.9) + 0.6)
    figure, axes = plt.subplots(len(tables), len(algorithms), figsize=size, sharex="col", sharey=True, squeeze=False)
    for row, (reader, table) in zip(axes, tables.items(), strict=True):
        for axis, algorithm in zip(row, algorithms, strict=True):
            part = table[table["algorithm"] == algorithm]
            grid = part.pivot(index="layer", columns="step", values="estimate").loc[list(dict.fromkeys(part["layer"]))]
            image = axis.imshow(grid, vmin=0, vmax=1, cmap="viridis", aspect="auto")
            for at, step in enumerate(best[reader].query("algorithm == @algorithm")["step"]):
                place = grid.columns.get_loc(step)
                axis.add_patch(plt.Rectangle((place - 0.5, at - 0.5), 1, 1, fill=False, ec="white", lw=2.2))
            every = -(-len(grid.columns) // 5)
            axis.set_xticks(range(0, len(grid.columns), every), grid.columns[::every])
            axis.set_yticks(range(len(grid)), grid.index)
            axis.set_title(f"{algorithm}\n{reader}", fontsize=11)
        row[0].set_ylabel("layer")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    figure.colorbar(image, ax=axes, label="similarity of errors", shrink=0.8)
    return figure
