"""Figures of attention heads' matrices in vocabulary space."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import INK, MODEL_COLOURS


def excesses(
    tables: Mapping[str, pd.DataFrame], relations: Mapping[str, str], colours: Mapping[str, Mapping[str, str]], xlabel: str
) -> plt.Figure:
    """All lists at a glance: a panel for each model, a row for each relation, one point for each list, controls below.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Title of a panel to a tidy table `source relation excess passes`; the first source is drawn above the others.
    relations : dict of str to str
        Relation to the label of its row.
    colours : dict of str to dict of str to str
        By panel, the colour of each source.
    xlabel : str

    Returns
    -------
    matplotlib.figure.Figure
        Filled points pass, empty ones do not; a bar marks the median of each source.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(6.2, 0.55 * len(relations) + 1.3), sharey=True, sharex=True, squeeze=False)
    handles = {}
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        shades = colours[title]
        offsets = np.linspace(-0.28, 0.28, len(shades)) if len(shades) > 1 else [0.0]
        for place, relation in enumerate(relations):
            for (source, colour), offset in zip(shades.items(), offsets, strict=True):
                part = table[(table["relation"] == relation) & (table["source"] == source)].dropna(subset="excess")
                _points(axis, part, place + offset, colour)
        axis.axvline(0, color=INK, lw=0.8)
        axis.set_title(title)
        axis.set_xlabel(xlabel)
        axis.set_yticks(range(len(relations)), list(relations.values()))
        for source, colour in shades.items():
            same = all(other.get(source) == colour for other in colours.values())
            handles[source if same else f"{title}, {source}"] = plt.Line2D([], [], marker="o", ls="none", color=colour)
    axes[0, 0].invert_yaxis()
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, handletextpad=0.2)
    return figure


def _points(axis: plt.Axes, part: pd.DataFrame, height: float, colour: str) -> None:
    """Points in a thin band, filled where they pass, and their median."""
    spread = height + np.linspace(-0.07, 0.07, len(part))
    passes = part["passes"].to_numpy(dtype=bool)
    axis.plot(part["excess"][~passes], spread[~passes], "o", ms=3.2, mfc="none", mec=colour, alpha=0.55, mew=0.8)
    axis.plot(part["excess"][passes], spread[passes], "o", ms=4.5, color=colour)
    if len(part):
        axis.plot([part["excess"].median()] * 2, [height - 0.12, height + 0.12], color=colour, lw=2.5)


def depth_profiles(
    profiles: pd.DataFrame, panels: Mapping[str, str], lines: Mapping[str, tuple[str, str]], ylabel: str, columns: int = 2
) -> plt.Figure:
    """Small multiples: a measure by relative depth, one line with its interval for each model.

    Parameters
    ----------
    profiles : DataFrame
        `panel model depth mean low high`; depth from 0 (first layer) to 1 (last).
    panels : dict of str to str
        Value of `panel` to the panel's title.
    lines : dict of str to (colour, line style)
        By model.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.1 * columns, 2.1 * rows + 0.7), squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (panel, title) in zip(axes.flat, panels.items(), strict=False):
        part = profiles[profiles["panel"] == panel]
        for model, (colour, style) in lines.items():
            line = part[part["model"] == model].sort_values("depth")
            axis.plot(line["depth"], line["mean"], style, marker="o", ms=3, color=colour, label=model)
            axis.fill_between(line["depth"], line["low"], line["high"], color=colour, alpha=0.18, lw=0)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(title, fontsize=11)
        axis.set_xticks([0, 0.5, 1], ["first", "middle", "last"])
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel, fontsize=11)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("layer", fontsize=11)
    return figure


def strips(groups: Mapping[str, np.ndarray], xlabel: str, colours: Mapping[str, str] | None = None) -> plt.Figure:
    """One row of points for each group, with its median as a bar.

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
        colour = (colours or {}).get(name, INK)
        spread = np.linspace(-0.22, 0.22, len(values))
        axis.plot(values, place + spread, "o", ms=3.5, color=colour, alpha=0.7)
        axis.plot([np.median(values)] * 2, [place - 0.34, place + 0.34], color=colour, lw=3)
    axis.set_yticks(range(len(groups)), list(groups))
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    return figure


def against_control(table: pd.DataFrame, colours: Mapping[str, str], controls: Mapping[str, str], ylabel: str) -> plt.Figure:
    """A measure against its controls, one point for each head with its interval; on the diagonal the two are equal.

    Parameters
    ----------
    table : DataFrame
        `model recall low high` and the columns of the controls.
    colours : dict of str to str
        By model.
    controls : dict of str to str
        Column to the label of its panel's axis.
    ylabel : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, len(controls), figsize=(3.1 * len(controls), 3.7), sharex=True, sharey=True, squeeze=False)
    top = float(np.nanmax(table[["high", *controls]].to_numpy())) * 1.05
    for axis, (control, label) in zip(axes[0], controls.items(), strict=True):
        axis.plot([0, top], [0, top], color=INK, lw=1)
        for model, part in table.groupby("model", sort=False):
            ends = [part["recall"] - part["low"], part["high"] - part["recall"]]
            axis.errorbar(part[control], part["recall"], yerr=ends, fmt="o", ms=4, lw=1, color=colours[model], label=model)
        axis.set_xlabel(label, fontsize=11)
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(loc="upper left")
    return figure


def points_by_layer(table: pd.DataFrame, control: pd.DataFrame, value: str, ylabel: str, colours: Mapping[str, str]) -> plt.Figure:
    """A panel for each model: one point for each head above its layer, crosses for the control model.

    Parameters
    ----------
    table, control : DataFrame
        `model layer head` and `value`; layers from 0.
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
            axis.plot(part["layer"] + shift, part[value], ls="none", ms=4.5, **style)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(model)
        layers = sorted(table["layer"].unique())
        axis.set_xticks(layers[:: 1 + len(layers) // 12])
        axis.set_xlabel("layer")
    axes[0, 0].set_ylabel(ylabel)
    return figure
