"""Every figure style of the book, in one place.

Figures are drawn on nothing: the page shows through, and lines and letters are greys and hues that read on white as well as on
near-black. The hues are Okabe and Ito's, which colour-blind readers can tell apart, shifted where one of them vanished on a ground.
"""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler

INK = "#7a7a7a"  # text and axes: contrast 4.3 both on white and on the dark theme's ground
FAINT = "#7a7a7a4d"  # grid lines

MODEL_COLOURS = {
    "polish-gpt2": "#0a85c7",
    "herbert": "#dd6b10",
    "untrained": "#8c8c8c",
    "permuted": "#b07aa8",
}

CYCLE = ["#0a85c7", "#dd6b10", "#0a9b74", "#c7679f", "#a9860c", "#3597c4", "#8c8c8c"]

STYLE = {
    "figure.figsize": (5.6, 3.5),  # on a phone of 390 px the letters are still 10 px high
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "savefig.transparent": True,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "text.color": INK,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and has every Polish letter
    "font.size": 12,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
    "patch.edgecolor": "none",
    "svg.hashsalt": "analysis_lib",  # the same figure gives the same bytes
}


def use_style() -> None:
    """Set the book's style for all figures that follow; inside a notebook also ask for PNGs of twice the size.

    The page shows a double-size image at its nominal size, so that letters stay sharp on phones.
    """
    mpl.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # a script outside Jupyter needs no inline figures
        return
    if get_ipython() is not None:
        set_matplotlib_formats("retina", facecolor="none", edgecolor="none", metadata={"Software": None})


# --- Models: architecture, pieces of words, losses, identity ---


def draw_training(axes: plt.Axes, log, colour: str, unigram: float, title: str) -> None:
    """Held-out and training loss [nats a token] against millions of tokens seen, with the unigram loss as a line."""
    axes.plot(log.tokens / 1e6, log.train_loss, color=colour, lw=1, alpha=0.55, label="training")
    axes.plot(log.tokens / 1e6, log.heldout_loss, color=colour, label="held out")
    axes.axhline(unigram, color=INK, ls="--", lw=1.2, label="unigram, held out")
    axes.set(title=title, xlabel="tokens seen [million]", xlim=(0, None))
    axes.legend(loc="best")


def draw_strips(axes: plt.Axes, groups: list[tuple[str, np.ndarray, str]], floor: float) -> None:
    """Positive values on a logarithmic axis, one row of points for each (label, values, colour); zeros at `floor`."""
    for row, (_, values, colour) in enumerate(groups):
        values = np.sort(np.ravel(values))
        offsets = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5  # spread without chance
        axes.plot(np.maximum(values, floor), row + offsets, "o", color=colour, ms=4, alpha=0.75, mec="none")
    axes.set_xscale("log")
    axes.set(yticks=range(len(groups)), yticklabels=[label for label, _, _ in groups], ylim=(len(groups) - 0.4, -0.6))
    axes.xaxis.grid(True)


def head_maps(tables, relations):
    """Heat maps [layer, head] of an excess over a null, a row of panels a relation, a column a model, one scale a row.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Title of a column to its tidy table `layer head relation excess p_holm`; a dot where `p_holm` is below 0.05.
    relations : dict of str to str
        Relation to its title.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(
        len(relations), len(tables), figsize=(2.7 * len(tables) + 0.6, 1.62 * len(relations) + 0.5), squeeze=False, sharex=True
    )
    for place, (relation, title) in enumerate(relations.items()):
        row = axes[place]
        grids = [table[table["relation"] == relation] for table in tables.values()]
        largest = max(1e-9, max(float(np.nanmax(np.abs(g["excess"]))) for g in grids))
        for axis, grid, name in zip(row, grids, tables, strict=True):
            cells = grid.pivot(index="layer", columns="head", values="excess")
            image = axis.imshow(cells, aspect="auto", cmap="RdBu_r", vmin=-largest, vmax=largest)
            marked = grid[grid["p_holm"] < 0.05]
            axis.plot(marked["head"], marked["layer"], "o", ms=4, mec="black", mfc="white")
            heads, layers = sorted(grid["head"].unique()), sorted(grid["layer"].unique())
            axis.set_xticks(heads[:: max(1, len(heads) // 8)])
            axis.set_yticks(layers[:: max(1, len(layers) // 6)], [str(x + 1) for x in layers[:: max(1, len(layers) // 6)]])
            heading = title if place else f"{name}\n{title}"
            axis.set_title(heading, fontsize=10)
        row[0].set_ylabel("layer")
        figure.colorbar(image, ax=row[-1]).set_label("excess share", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("head")
    return figure


def depth_profiles(profiles, relations, colours, ylabel, columns=2):
    """Small multiples: a measure by relative depth, a line a model with its interval.

    Parameters
    ----------
    profiles : DataFrame
        `relation model depth mean low high`; depth from 0 (first layer) to 1 (last).
    relations : dict of str to str
        Relation to panel title.
    colours : dict of str to (colour, line style)
        By model.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(relations) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.9 * columns, 1.9 * rows + 0.5), squeeze=False, sharex=True)
    for axis in axes.flat[len(relations) :]:
        axis.set_visible(False)
    for axis, (relation, title) in zip(axes.flat, relations.items(), strict=False):
        part = profiles[profiles["relation"] == relation]
        for model, (colour, style) in colours.items():
            line = part[part["model"] == model].sort_values("depth")
            axis.plot(line["depth"], line["mean"], style, color=colour, label=model)
            axis.fill_between(line["depth"], line["low"], line["high"], color=colour, alpha=0.18, lw=0)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_xticks([0, 0.5, 1], ["first", "middle", "last"])
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel, fontsize=9)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("layer", fontsize=9)
    return figure


def strips(groups, xlabel, colours=None):
    """One row of points a group, with its median as a bar: raw data at a glance.

    Parameters
    ----------
    groups : dict of str to array
        Label to values.
    colours : dict of str to str, optional
        By label.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(5.6, 0.42 * len(groups) + 0.9))
    for place, (name, values) in enumerate(groups.items()):
        colour = (colours or {}).get(name, CYCLE[0])
        spread = np.linspace(-0.22, 0.22, len(values))
        axis.plot(values, place + spread, "o", ms=3.5, color=colour, alpha=0.7)
        axis.plot([np.median(values)] * 2, [place - 0.34, place + 0.34], color=colour, lw=3)
    axis.set_yticks(range(len(groups)), list(groups))
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    return figure


def against_control(table, colours, xlabel, ylabel):
    """A measure against its control, a point a head with its interval; on the diagonal nothing is found.

    Parameters
    ----------
    table : DataFrame
        `model recall low high control`.
    colours : dict of str to str
        By model.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(4.6, 4.2))
    top = float(np.nanmax(table[["high", "control"]])) * 1.05
    axis.plot([0, top], [0, top], color=INK, lw=1)
    for model, part in table.groupby("model", sort=False):
        ends = [part["recall"] - part["low"], part["high"] - part["recall"]]
        axis.errorbar(part["control"], part["recall"], yerr=ends, fmt="o", ms=4, lw=1, color=colours[model], label=model)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.legend()
    return figure


def points_by_layer(table, control, value, ylabel, colours):
    """A panel a model: one point a head above its layer, crosses for the control model.

    Parameters
    ----------
    table, control : DataFrame
        `model layer head` and `value`.
    value : str
        Column drawn.
    colours : dict of str to str
        By model.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, len(colours), figsize=(5.6, 3.0), sharey=True, squeeze=False)
    crosses = (control, 0.14, {"marker": "x", "color": MODEL_COLOURS["untrained"]})
    for axis, (model, colour) in zip(axes[0], colours.items(), strict=True):
        for source, shift, style in (crosses, (table, -0.14, {"marker": "o", "color": colour})):
            part = source[source["model"] == model]
            axis.plot(part["layer"] + 1 + shift, part[value], ls="none", ms=4.5, **style)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(model)
        axis.set_xticks(sorted(table["layer"].unique() + 1))
        axis.set_xlabel("layer")
    axes[0, 0].set_ylabel(ylabel)
    return figure


# --- Feed-forward layers: overlaps of keys and values, lists that are alike ---


def overlaps_by_layer(table, colours: dict[str, str], titles: dict[str, str]) -> plt.Figure:
    """A panel a model: overlap of paired lists by layer with intervals, shuffled pairs as dashes of the same colour.

    Parameters
    ----------
    table : DataFrame
        `model pair layer estimate low high shuffled`; layers from 0.
    colours : dict of str to str
        By `pair`.
    titles : dict of str to str
        By `model`.
    """
    figure, axes = plt.subplots(1, len(titles), figsize=(5.8, 3.3), sharey=True, squeeze=False)
    for axis, (model, title) in zip(axes[0], titles.items(), strict=True):
        for place, (pair, colour) in enumerate(colours.items()):
            part = table[(table["model"] == model) & (table["pair"] == pair)]
            layers = part["layer"] + 1 + 0.16 * (place - (len(colours) - 1) / 2)
            ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
            axis.errorbar(layers, part["estimate"], yerr=ends, fmt="o", color=colour, ms=5, lw=1.6, label=pair)
            axis.hlines(part["shuffled"], layers - 0.13, layers + 0.13, color=colour, lw=1.6, alpha=0.65)
        axis.set(title=title, xlabel="layer", xticks=sorted(table["layer"].unique() + 1), ylim=(0, None))
        axis.yaxis.grid(True)
    axes[0, 0].set_ylabel("mean Jaccard index, 0 to 1")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(colours))
    return figure


def survival(groups: dict[str, dict[str, tuple[np.ndarray, str, str]]], xlabel: str, ylabel: str) -> plt.Figure:
    """A panel a group: the share of values that reach x, one line a sample, the share on a logarithmic axis.

    Parameters
    ----------
    groups : dict of str to dict
        Panel title to {label: (values, colour, line style)}.
    """
    figure, axes = plt.subplots(1, len(groups), figsize=(5.8, 3.4), sharey=True, sharex=True, squeeze=False)
    for axis, (title, samples) in zip(axes[0], groups.items(), strict=True):
        for label, (values, colour, style) in samples.items():
            ordered = np.sort(np.ravel(values))
            reached, first = np.unique(ordered, return_index=True)
            axis.step(reached, 1 - first / len(ordered), style, where="pre", color=colour, label=label, lw=1.8)
        axis.set(title=title, yscale="log", xlabel=xlabel)
        axis.grid(True)
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def percent_maps(tables: dict) -> plt.Figure:
    """Tables of shares as coloured cells on one scale, one above the other, per cent written in where columns are few.

    Parameters
    ----------
    tables : dict of str to DataFrame [row, column]
        Title to shares from 0 to 1. A line is drawn where the first letter of the column labels changes.
    """
    rows = [len(table) for table in tables.values()]
    figure, axes = plt.subplots(len(tables), 1, figsize=(5.8, 0.3 * sum(rows) + 0.75 * len(rows)), height_ratios=rows, squeeze=False)
    largest = max(0.01, max(float(table.to_numpy().max()) for table in tables.values()))
    for axis, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        shares, labels = table.to_numpy(), list(table.columns)
        axis.pcolormesh(shares, cmap="viridis", norm=mpl.colors.PowerNorm(0.5, 0, largest), rasterized=True)
        for (row, column), share in np.ndenumerate(shares if len(labels) <= 14 else np.empty((0, 0))):
            colour = "black" if (share / largest) ** 0.5 > 0.6 else "white"
            axis.text(column + 0.5, row + 0.5, _percent(share), ha="center", va="center", color=colour, fontsize=9)
        axis.vlines([i for i in range(1, len(labels)) if labels[i][0] != labels[i - 1][0]], 0, len(table), color=INK, lw=2.5)
        step = 1 + len(labels) // 15
        axis.set_xticks(np.arange(len(labels))[::step] + 0.5, labels[::step], fontsize=9)
        axis.set_yticks(np.arange(len(table)) + 0.5, table.index, fontsize=10)
        axis.set(title=title, ylim=(len(table), 0))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    return figure


def _percent(share: float) -> str:
    """Per cent in at most three characters."""
    if 0 < share < 0.0005:
        return "<.1"
    return f"{100 * share:.0f}" if share == 0 or share >= 0.0995 else f"{100 * share:.1f}"
