"""Figures of the chapter on grammar: relations in the tables of heads, and what removing heads does to preferences."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.transforms import ScaledTranslation

from analysis_lib.plots.style import FAINT, INK, MODEL_COLOURS


def relation_rows(
    heads: Mapping[str, pd.DataFrame],
    random: Mapping[str, pd.DataFrame],
    colours: Mapping[str, str],
    names: Sequence[tuple[str, int, int]] = (),
) -> plt.Figure:
    """A row for each relation, a panel for each model: one point for each head, filled where it passes, over the range of random heads.

    Parameters
    ----------
    heads : dict of str to DataFrame
        By model: `layer head relation excess passes`.
    random : dict of str to DataFrame
        By model: `relation excess`, of random heads; 95% of them lie in the grey bar.
    colours : dict of str to str
        By model.
    names : sequence of (model, layer, head)
        Heads that are drawn as diamonds and named; hollow where they do not pass.

    Returns
    -------
    matplotlib.figure.Figure
    """
    relations = list(dict.fromkeys(next(iter(heads.values()))["relation"]))
    figure, axes = plt.subplots(1, len(heads), figsize=(5.2, 0.235 * len(relations) + 1.8), sharey=True, squeeze=False)
    for axis, (model, table) in zip(axes[0], heads.items(), strict=True):
        ends = random[model].groupby("relation")["excess"].quantile([0.025, 0.975]).unstack().loc[relations]
        axis.barh(range(len(relations)), np.ptp(ends.to_numpy(), axis=1), left=ends[0.025], height=0.72, color=FAINT, label="random heads")
        rows = table["relation"].map(relations.index)
        own = np.zeros(len(table), bool)
        for of_model, layer, head in names:
            own |= ((of_model == model) & (table["layer"] == layer) & (table["head"] == head)).to_numpy()
        passes = table["passes"].to_numpy(bool)
        styles: dict[str, tuple[Any, dict[str, Any]]] = {
            "head": (~passes & ~own, {"mfc": "none", "mew": 0.6, "ms": 3.2}),
            "stands out": (passes & ~own, {"ms": 3.6}),
        }
        for label, (chosen, style) in styles.items():
            axis.plot(table["excess"][chosen], rows[chosen], "o", color=colours[model], alpha=0.65, label=label, **style)
        for of_model, layer, head in names:
            part = table[(table["layer"] == layer) & (table["head"] == head)] if of_model == model else table[:0]
            if len(part):
                axis.plot([], [], "D", ms=4, color=INK, label=f"L{layer}H{head}")
            for stands_out, own_rows in part.groupby("passes"):
                look = {"ms": 4, "mec": INK, "mfc": INK if stands_out else "none"}
                axis.plot(own_rows["excess"], own_rows["relation"].map(relations.index), "D", **look)
        axis.axvline(0, color=INK, lw=0.8)
        axis.set(title=model, xlabel="excess")
        below = axis.transAxes + ScaledTranslation(0, -0.56, figure.dpi_scale_trans)  # inches: below the label, whatever the number of rows
        place = {"loc": "upper left", "bbox_to_anchor": (-0.05, 0), "bbox_transform": below, "borderaxespad": 0}
        axis.legend(fontsize=10, handletextpad=0.1, **place)
    axes[0, 0].set_yticks(range(len(relations)), relations, fontsize=10)
    axes[0, 0].set_ylim(len(relations) - 0.4, -0.6)
    return figure


def effect_maps(tables: Mapping[str, pd.DataFrame], label: str) -> plt.Figure:
    """Signed tables as coloured cells, one above the other, each on a scale of its own.

    Parameters
    ----------
    tables : dict of str to DataFrame [row, column]
        Title to values; columns are heads, such as "L0H3", and a line is drawn where the layer changes. Where names of all heads would
        not fit, those at equal steps are shown.
    label : str
        Of the colour bars.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = max(len(table) for table in tables.values())
    figure, axes = plt.subplots(len(tables), 1, figsize=(6.2, (0.27 * rows + 0.85) * len(tables)), squeeze=False)
    for axis, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        values, columns = table.to_numpy(), list(table.columns)
        top = float(np.abs(values).max()) or 1.0
        image = axis.pcolormesh(values, cmap="RdBu", norm=mpl.colors.SymLogNorm(top / 10, vmin=-top, vmax=top, base=10), rasterized=True)
        layers = [column.split("H")[0] for column in columns]
        begin = [i for i in range(len(columns)) if i == 0 or layers[i] != layers[i - 1]]
        for place in begin[1:]:
            axis.axvline(place, color=INK, lw=1.5 if len(columns) <= 30 else 0.6)
        axis.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=10, rotation=90)  # all: the figure's numbers name them
        step, heads = -(-len(columns) // 26), max(map(layers.count, layers))
        while heads % step and step % heads:  # the same heads of each layer
            step += 1
        for place, name in enumerate(axis.get_xticklabels()):
            name.set_visible(place % step == 0)
        axis.set_yticks(np.arange(len(table)) + 0.5, table.index, fontsize=10)
        axis.set(title=title, ylim=(len(table), 0))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axis, label=label)
        ticks = [top * part for part in (0.1, 0.3, 1)]
        shown = [f"{tick:.2f}" if tick >= 0.05 else f"{tick:.1g}" for tick in ticks]
        negative = [f"\N{MINUS SIGN}{tick}" for tick in shown]
        bar.set_ticks([*(-tick for tick in ticks), 0, *ticks], labels=[*negative, "0", *shown])
        bar.minorticks_off()
    return figure


def predicted_effects(
    panels: Mapping[str, pd.DataFrame], colours: Mapping[str, str], xlabel: str, ylabel: str, named: int = 4
) -> plt.Figure:
    """What tables say of heads against what their removal does: one point for each head and rule, those of largest effect named.

    Parameters
    ----------
    panels : dict of str to DataFrame
        By model: `name table effect`.
    colours : dict of str to str
        By model.
    xlabel, ylabel : str
    named : int
        Points with a name, no name twice.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels), 3.4), squeeze=False)
    for axis, (model, table) in zip(axes[0], panels.items(), strict=True):
        axis.axhline(0, color=INK, lw=0.8)
        axis.axvline(0, color=INK, lw=0.8)
        axis.plot(table["table"], table["effect"], "o", ms=4, mec="none", alpha=0.55, color=colours.get(model, MODEL_COLOURS["untrained"]))
        order = table.reindex(table["effect"].abs().sort_values(ascending=False).index).drop_duplicates("name")
        for row in order.head(named).itertuples():
            right = row.table >= 0  # names stand outside, where points are few
            look = {"xytext": (5 if right else -5, -3), "ha": "left" if right else "right", "textcoords": "offset points"}
            axis.annotate(row.name, (row.table, row.effect), fontsize=10, **look)
        axis.margins(x=0.25)
        axis.set_title(model)
    axes[0, 0].set_ylabel(ylabel)
    figure.supxlabel(xlabel, fontsize=12)
    return figure
