"""Figures of feed-forward keys and values in vocabulary space."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import INK, MODEL_COLOURS

WRITTEN = 16
"""Columns of a map up to which its numbers are written in."""


def overlaps_by_layer(table: pd.DataFrame, colours: dict[str, str], titles: dict[str, str]) -> plt.Figure:
    """A panel for each model: overlap of paired lists by layer with intervals, shuffled pairs as dashes of the same colour.

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
            layers = part["layer"] + 0.16 * (place - (len(colours) - 1) / 2)
            ends = [part["estimate"] - part["low"], part["high"] - part["estimate"]]
            axis.errorbar(layers, part["estimate"], yerr=ends, fmt="o", color=colour, ms=5, lw=1.6, label=pair)
            axis.hlines(part["shuffled"], layers - 0.13, layers + 0.13, color=colour, lw=1.6, alpha=0.65)
        every = sorted(table.loc[table["model"] == model, "layer"].unique())
        axis.set(title=title, xlabel="layer", xticks=every[:: 1 + len(every) // 12])
        axis.yaxis.grid(True)
    axes[0, 0].set_ylim(bottom=0)  # of all panels, once all are drawn
    axes[0, 0].set_ylabel("mean Jaccard index, 0 to 1")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(colours))
    return figure


def survival(groups: dict[str, dict[str, tuple[np.ndarray, str, str]]], xlabel: str, ylabel: str) -> plt.Figure:
    """A panel for each group: the share of values that reach x, one line for each sample, the share on a logarithmic axis.

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


def counts_against_chance(tables: dict, colours: dict[str, str], words: int = 30) -> plt.Figure:
    """A panel for each model and a row for each list: how many of its forms share a feature, and how many would by chance.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Title to `shared count size expected tokens`, as `neurons.most_alike` gives them; with `random`, the largest count in any list of
        random vectors, this is drawn too.
    colours : dict of str to str
        By title.
    words : int
        Letters of `tokens` written under the feature, at most.
    """
    rows = [max(1, len(table)) for table in tables.values()]
    figure, axes = plt.subplots(
        len(tables), 1, figsize=(4.8, 0.52 * sum(rows) + 0.9 * len(rows) + 0.4), height_ratios=rows, sharex=True, squeeze=False
    )
    for axis, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        axis.set(title=title)
        axis.xaxis.grid(True)
        if not len(table):
            axis.set_yticks([])
            axis.text(0.5, 0.5, "no list passes", transform=axis.transAxes, ha="center", va="center", color=INK)
            continue
        heights = np.arange(len(table))
        axis.hlines(heights, table["expected"], table["count"], color=colours[title], lw=2, alpha=0.5)
        axis.plot(table["expected"], heights, "x", color=MODEL_COLOURS["untrained"], ms=7, mew=2, clip_on=False)
        if "random" in table:
            axis.plot(table["random"], heights, "|", color=INK, ms=15, mew=2.5)
        axis.plot(table["count"], heights, "o", color=colours[title], ms=8, clip_on=False)
        labels = [f"{shared}\n{_shortened(tokens, words)}" for shared, tokens in zip(table["shared"], table["tokens"], strict=True)]
        axis.set_yticks(heights, labels, fontsize=10)
        axis.set(ylim=(len(table) - 0.4, -0.6), xlim=(0, None))
    axes[-1, 0].set_xlabel("forms that share it")
    handles = [plt.Line2D([], [], marker="o", ls="none", color=colour, label=f"{title}'s list") for title, colour in colours.items()]
    handles.append(plt.Line2D([], [], marker="x", ls="none", mew=2, color=MODEL_COLOURS["untrained"], label="by chance"))
    if any("random" in table for table in tables.values()):
        handles.append(plt.Line2D([], [], marker="|", ls="none", ms=12, mew=2.5, color=INK, label="most in a random vector's list"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.2)
    return figure


def _shortened(tokens: str, letters: int) -> str:
    """Whole words of at most so many letters."""
    if len(tokens) <= letters:
        return tokens
    return tokens[: letters + 1].rsplit(" ", 1)[0] + " …"


def percent_maps(tables: dict) -> plt.Figure:
    """Tables of shares as coloured cells on one scale, one above the other, with the per cent written in where columns are few.

    Parameters
    ----------
    tables : dict of str to DataFrame [row, column]
        Title to shares from 0 to 1. A line is drawn where the first letter of the column labels changes. With more than `WRITTEN` columns
        a bar says what colours mean.
    """
    rows = [len(table) for table in tables.values()]
    figure, axes = plt.subplots(len(tables), 1, figsize=(5.8, 0.3 * sum(rows) + 0.75 * len(rows)), height_ratios=rows, squeeze=False)
    largest = max(0.01, *(float(table.to_numpy().max()) for table in tables.values()))
    for axis, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        shares, labels = table.to_numpy(), list(table.columns)
        cells = axis.pcolormesh(shares, cmap="viridis", norm=mpl.colors.PowerNorm(0.5, 0, largest), rasterized=True)
        for (row, column), share in np.ndenumerate(shares if len(labels) <= WRITTEN else np.empty((0, 0))):
            colour = "black" if (share / largest) ** 0.5 > 0.6 else "white"
            axis.text(column + 0.5, row + 0.5, _percent(share), ha="center", va="center", color=colour, fontsize=9)
        axis.vlines([i for i in range(1, len(labels)) if labels[i][0] != labels[i - 1][0]], 0, len(table), color=INK, lw=2.5)
        step = 1 + len(labels) // 60
        look = {"fontsize": 9} if len(labels) <= WRITTEN else {"fontsize": min(9, 360 / len(labels)), "rotation": 90}
        wide = [len(label) * len(labels) > 60 and len(labels) <= WRITTEN for label in labels]  # every second of these stands lower
        shown = ["\n" + label if wide[place] and place % 2 else label for place, label in enumerate(labels)]
        axis.set_xticks(np.arange(len(labels))[::step] + 0.5, shown[::step], **look)
        axis.set_yticks(np.arange(len(table)) + 0.5, table.index, fontsize=10)
        axis.set(title=title, ylim=(len(table), 0))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    if max(table.shape[1] for table in tables.values()) > WRITTEN:
        bar = figure.colorbar(cells, ax=axes[:, 0].tolist(), location="bottom", aspect=50, pad=0.02, label="per cent of lists")
        ticks = [largest * part for part in (0, 0.1, 0.4, 1)]
        bar.set_ticks(ticks, labels=[_percent(share) for share in ticks])
        bar.minorticks_off()
    return figure


def _percent(share: float) -> str:
    """Per cent in at most three characters."""
    if 0 < share < 0.0005:
        return "<.1"
    return f"{100 * share:.0f}" if share == 0 or share >= 0.0995 else f"{100 * share:.1f}"
