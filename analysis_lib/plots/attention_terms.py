"""Figures of token and position terms of attention scores."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import CYCLE, FAINT, INK, MODEL_COLOURS, as_written

TERM_COLOURS = {
    "token-token": CYCLE[0],
    "token-position": CYCLE[4],
    "position-token": CYCLE[3],
    "position-position": CYCLE[1],
}


def term_maps(scores: dict[str, np.ndarray], pattern: np.ndarray, labels: list[str] | None = None) -> plt.Figure:
    """Row-centred terms on one diverging scale, and the pattern that they give, in six panels with queries down and keys across.

    Parameters
    ----------
    scores : dict of str to float [query, key]
        Five panels; cells that are not finite, where the key comes after the query, are grey.
    pattern : float [query, key]
        Attention, from 0 to 1.
    labels : list of str [token], optional
        Written on both axes; positions otherwise.
    """
    height = 8.0 if labels is None else max(8.0, 0.4 * len(labels) + 2)
    figure, axes = plt.subplots(3, 2, figsize=(5.6, height), sharex=True, sharey=True)
    diverging, attention_map = (mpl.colormaps[name].with_extremes(bad=FAINT) for name in ("RdBu_r", "viridis"))
    limit = max(float(np.abs(s[np.isfinite(s)]).max()) for s in scores.values())
    for axis, (title, values) in zip(axes.flat, scores.items(), strict=False):
        shades = axis.imshow(values, cmap=diverging, vmin=-limit, vmax=limit)
        axis.set_title(title)
    seen = np.where(np.tri(len(pattern), dtype=bool), pattern, np.nan)
    attention = axes[2, 1].imshow(seen, cmap=attention_map, vmin=0, vmax=1)
    axes[2, 1].set_title("pattern")
    figure.colorbar(shades, ax=axes[:2], location="right", shrink=0.6).set_label("row-centred score [nats]")
    figure.colorbar(attention, ax=axes[2], location="right", shrink=0.9).set_label("attention")
    if labels is not None:
        for axis in axes.flat:
            axis.set_xticks(range(len(labels)), as_written(labels), rotation=90, fontsize=9)
            axis.set_yticks(range(len(labels)), as_written(labels), fontsize=9)
    else:
        for axis in axes[-1]:
            axis.set_xlabel("key position")
        for axis in axes[:, 0]:
            axis.set_ylabel("query position")
    return figure


def terms_by_head(
    table: pd.DataFrame, untrained: pd.DataFrame, ylabel: str, logarithmic: float | None = None, colours: dict[str, str] | None = None
) -> plt.Figure:
    """A measure of the four terms in every head, with intervals: one row of panels for each layer, one column for each model.

    Parameters
    ----------
    table : DataFrame
        `model layer head term estimate low high`; `head` are labels, in the order in which they are drawn.
    untrained : DataFrame
        `model layer term estimate`: dotted lines of the terms' colours.
    logarithmic : float, optional
        Draw a symmetric logarithmic axis that is linear up to this value.
    colours : dict of str to str, optional
        By the values of `term`; by default those of the four terms.
    """
    colours = colours or TERM_COLOURS
    models, layers = list(dict.fromkeys(table["model"])), sorted(table["layer"].unique())
    figure, axes = plt.subplots(len(layers), len(models), figsize=(5.8, 2.5 * len(layers) + 0.6), sharey="col", squeeze=False)
    for (row, layer), (column, model) in ((r, c) for r in enumerate(layers) for c in enumerate(models)):
        axis, here = axes[row, column], table[(table["layer"] == layer) & (table["model"] == model)]
        null = untrained[(untrained["layer"] == layer) & (untrained["model"] == model)]
        heads = list(dict.fromkeys(here["head"]))
        for place, (term, colour) in enumerate(colours.items()):
            part = here[here["term"] == term]
            ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
            x = np.arange(len(heads)) + 0.17 * (place - (len(colours) - 1) / 2)
            axis.errorbar(x, part["estimate"], yerr=ends, fmt="o", ms=3.8, lw=1.4, color=colour, label=term)
            for level in null.loc[null["term"] == term, "estimate"]:
                axis.axhline(level, color=colour, ls=":", lw=1.2)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(f"{model}, layer {layer}" if row == 0 else f"layer {layer}", fontsize=11)
        axis.yaxis.grid(True)
        axis.set_xticks(range(len(heads)), heads)
    for axis in axes[-1]:  # the panels of a model share their vertical axis: what is set on one is set on all
        axis.set_xlabel("head")
        if logarithmic:
            axis.set_yscale("symlog", linthresh=logarithmic)
            axis.autoscale(axis="y")  # margins on the new scale, so that no point is cut
    figure.supylabel(ylabel, color=INK, fontsize=12)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def offset_profiles(
    profiles: dict[str, dict[str, np.ndarray]],
    marked: dict[str, str],
    colours: dict[str, str],
    ylabel: str,
    untrained: dict[str, dict[str, np.ndarray]] | None = None,
) -> plt.Figure:
    """A measure by distance from the query: one panel for each model, one line for each head, one head of each model marked.

    Parameters
    ----------
    profiles : dict of str to dict of str to float [distance]
        Model to head's label to values from distance 0 on.
    marked : dict of str to str
        The head to mark, by model.
    colours : dict of str to str
        By model.
    untrained : dict, optional
        As ``profiles``, of untrained models: dashed lines.
    """
    figure, axes = plt.subplots(1, len(profiles), figsize=(5.8, 3.2), sharex=True, squeeze=False)
    for axis, (model, lines) in zip(axes[0], profiles.items(), strict=True):
        for values in (untrained or {}).get(model, {}).values():
            axis.plot(np.arange(len(values)), values, color=MODEL_COLOURS["untrained"], ls="--", lw=1, label="untrained")
        for label, values in lines.items():
            # Other heads stand in front, or the thick line would hide one that is like it.
            style = {"color": INK, "lw": 1, "marker": ".", "ms": 3.5, "zorder": 4, "label": "other heads"}
            if label == marked[model]:
                style = {"color": colours[model], "lw": 4, "alpha": 0.6, "zorder": 3, "label": label}
            axis.plot(np.arange(len(values)), values, **style)
        axis.axhline(0, color=INK, lw=0.8)
        axis.set_title(f"{model}: {marked[model]}", fontsize=11)
        axis.set_xlabel("distance [tokens]")
        axis.yaxis.grid(True)
    axes[0, 0].set_ylabel(ylabel)
    if untrained:
        named = dict(zip(*reversed(axes[0, -1].get_legend_handles_labels()), strict=True))
        shown = [label for label in ("other heads", "untrained") if label in named]
        axes[0, -1].legend([named[label] for label in shown], shown)
    return figure


def part_maps(tables: dict, label: str, xlabel: str = "what the key reads") -> plt.Figure:
    """Signed numbers as coloured cells with the numbers written in, one panel for each table, all on one scale.

    Parameters
    ----------
    tables : dict of str to DataFrame [row, column]
        The rows' axis label to its table; all have the same columns.
    label : str
        Label of the colours, with its unit.
    """
    rows = [len(table) for table in tables.values()]
    figure, axes = plt.subplots(len(tables), 1, figsize=(5.8, 0.34 * sum(rows) + 2.2), height_ratios=rows, squeeze=False)
    limit = max(float(np.abs(table.to_numpy()).max()) for table in tables.values())
    for axis, (ylabel, table) in zip(axes[:, 0], tables.items(), strict=True):
        values = table.to_numpy()
        shades = axis.pcolormesh(values, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True)
        for (row, column), value in np.ndenumerate(values):
            if abs(value) >= 0.05 * limit:
                colour = "white" if abs(value) > 0.6 * limit else "black"
                axis.text(column + 0.5, row + 0.5, _short(value), ha="center", va="center", color=colour, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks(np.arange(values.shape[0]) + 0.5, table.index)
        axis.set(ylim=(len(values), 0), ylabel=ylabel)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    columns = next(iter(tables.values())).columns
    axes[-1, 0].set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=60, ha="right", rotation_mode="anchor")
    axes[-1, 0].set_xlabel(xlabel)
    figure.colorbar(shades, ax=axes[:, 0], location="bottom", shrink=0.7, aspect=30).set_label(label)
    return figure


def readings_by_row(panels: dict[str, dict[str, np.ndarray]], colours: dict[str, str]) -> plt.Figure:
    """Measures from 0 to 1 by query position: one panel for each measure, one line for each reading.

    Parameters
    ----------
    panels : dict of str to dict of str to float [query]
        The y axis's label to the readings' values.
    colours : dict of str to str
        By reading.
    """
    figure, axes = plt.subplots(len(panels), 1, figsize=(5.6, 2.3 * len(panels) + 0.5), squeeze=False)
    for axis, (ylabel, lines) in zip(axes[:, 0], panels.items(), strict=True):
        for label, values in lines.items():
            axis.plot(np.arange(len(values)), values, "o-", ms=3.5, lw=1.6, color=colours[label], label=label)
        axis.set(ylabel=ylabel, xlabel="query position", ylim=(-0.03, 1.05))
        axis.yaxis.grid(True)
        axis.legend(loc="best")
    return figure


def _short(value: float) -> str:
    """At most four characters: .07, 1.2, 12."""
    digits = 0 if abs(value) >= 9.95 else 1 if abs(value) >= 0.995 else 2
    written = f"{value:.{digits}f}" if digits < 2 else f"{value:.2f}".replace("0.", ".")
    return written.replace("-", "\N{MINUS SIGN}")
