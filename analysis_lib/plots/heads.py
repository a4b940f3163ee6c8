"""Figures of attention heads' matrices in vocabulary space."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from analysis_lib.plots.style import CYCLE, INK, MODEL_COLOURS


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
            axis.set_title(heading, fontsize=11)
        row[0].set_ylabel("layer")
        figure.colorbar(image, ax=row[-1]).set_label("excess share", fontsize=11)
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
        axis.set_title(title, fontsize=11)
        axis.set_xticks([0, 0.5, 1], ["first", "middle", "last"])
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel, fontsize=11)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("layer", fontsize=11)
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
