"""Figures of attention heads' matrices in vocabulary space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.names import name_points
from analysis_lib.plots.style import INK, MODEL_COLOURS, as_written


def shares_by_layer(
    table: pd.DataFrame, nulls: Mapping[str, np.ndarray], line: tuple[str, float], labels: Mapping[tuple[str, int, int], str], colour: str
) -> plt.Figure:
    """A share of every list above its layer, and beside them the same of random heads.

    Parameters
    ----------
    table : DataFrame
        `matrix layer head share`, with shares from 0 to 1; QK is drawn filled and VO as rings.
    nulls : dict of str to array
        Shares of random lists by what they are; one strip each.
    line : (str, float)
        A label and a share that everything is compared with.
    labels : dict of (matrix, layer, head) to str
        Points with a name.
    colour : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(6.2, 4.0))
    looks: dict[str, dict[str, Any]] = {
        "QK": {"marker": "o", "color": colour},
        "VO": {"marker": "D", "mfc": "none", "mec": colour, "mew": 1.1},
    }
    for (matrix, look), shift in zip(looks.items(), (-0.16, 0.16), strict=True):
        part = table[table["matrix"] == matrix]
        axis.plot(part["layer"] + shift, 100 * part["share"], ls="none", ms=4.5, alpha=0.75, label=f"{matrix} of a head", **look)
        for row in part.itertuples():
            name = labels.get((matrix, row.layer, row.head))
            if name:
                place = (row.layer + shift, 100 * row.share)
                axis.annotate(name, place, xytext=(6, 4), textcoords="offset points", color=colour)
    last = int(table["layer"].max())
    places = [last + 3.2 + 4 * i for i in range(len(nulls))]
    for middle, values in zip(places, nulls.values(), strict=True):
        spread = np.random.default_rng(0).uniform(-0.9, 0.9, len(values))
        axis.plot(middle + spread, 100 * np.asarray(values), "o", ms=3, mec="none", alpha=0.5, color=MODEL_COLOURS["permuted"])
    axis.axhline(100 * line[1], color=INK, lw=1, ls="--")
    axis.annotate(line[0], (-0.4, 100 * line[1]), xytext=(0, 4), textcoords="offset points")
    axis.axvline(last + 0.8, color=INK, lw=0.8)
    axis.set(ylim=(-3, 106), ylabel="pairs of one lemma (%)")
    axis.set_xticks([*range(0, last + 1, 1 + last // 12), *places], [*map(str, range(0, last + 1, 1 + last // 12)), *nulls])
    axis.set_xlabel("layer, and random heads", loc="left")
    axis.legend(loc="upper left", bbox_to_anchor=(0.3, 0.86), handletextpad=0.2)
    return figure


def share_strips(tables: Mapping[str, pd.DataFrame], relations: Mapping[str, str], colours: Mapping[str, Mapping[str, str]]) -> plt.Figure:
    """All lists at a glance: a panel for each model, a row for each relation, one point for each list, controls below.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Title of a panel to a tidy table `source relation share`; the first source is drawn above the others.
    relations : dict of str to str
        Relation to the label of its row.
    colours : dict of str to dict of str to str
        By panel, the colour of each source.

    Returns
    -------
    matplotlib.figure.Figure
        Bars mark the median of each source.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(6.2, 0.62 * len(relations) + 1.4), sharey=True, sharex=True, squeeze=False)
    handles = {}
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        shades = colours[title]
        for (source, colour), offset in zip(shades.items(), np.linspace(-0.28, 0.28, len(shades)), strict=True):
            for place, relation in enumerate(relations):
                values = 100 * table.loc[(table["relation"] == relation) & (table["source"] == source), "share"].dropna()
                spread = place + offset + np.linspace(-0.07, 0.07, len(values))
                axis.plot(values, spread, "o", ms=3, color=colour, mec="none", alpha=0.5)
                if len(values):
                    axis.plot([values.median()] * 2, [place + offset - 0.12, place + offset + 0.12], color=colour, lw=2.5)
            same = all(other.get(source) == colour for other in colours.values())
            handles[source if same else f"{title}, {source}"] = plt.Line2D([], [], marker="o", ls="none", color=colour)
        axis.set(title=title, xlabel="share of pairs (%)")
        axis.set_yticks(range(len(relations)), list(relations.values()))
    axes[0, 0].invert_yaxis()
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, handletextpad=0.2)
    return figure


def weights_against_text(table: pd.DataFrame, labels: Sequence[str], colour: str, xlabel: str, ylabel: str) -> plt.Figure:
    """One point for each head: what its weights say against what it does on text.

    Parameters
    ----------
    table : DataFrame, index: names of the heads
        `weights`, `text`, and the ends of the interval of the latter, `low`, `high`, all from 0 to 1.
    labels : sequence of str
        Heads that are named, with their intervals.
    colour : str
    xlabel, ylabel : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(5.8, 4.0))
    axis.axhline(0, color=INK, lw=0.8)
    axis.plot(100 * table["weights"], 100 * table["text"], "o", ms=4.5, color=colour, alpha=0.6, mec="none")
    named = 100 * table.loc[list(labels)].sort_values("text")
    marks = [100 * table[["weights", "text"]].to_numpy()]
    for _, row in named.iterrows():
        axis.plot([row["weights"]] * 2, [row["low"], row["high"]], color=colour, lw=1.5)
        marks.append(np.linspace([row["weights"], row["low"]], [row["weights"], row["high"]], 20))
    name_points(axis, list(named.index), named[["weights", "text"]].to_numpy(), np.concatenate(marks), colour)
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= axis.get_xlim()[1]])  # room for names is no share below 0
    axis.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def word_patterns(patterns: Mapping[str, np.ndarray], words: Sequence[str], marked: Sequence[int] = ()) -> plt.Figure:
    """Attention of a few heads on one sentence: rows attend to columns.

    Parameters
    ----------
    patterns : dict of str to float array [word, word]
        By head; the rest to 1 goes to signs that are no words.
    words : sequence of str
    marked : sequence of int
        Words in bold.

    Returns
    -------
    matplotlib.figure.Figure
    """
    words = as_written(words)
    side = 0.19 * len(words) + 0.2
    top = 100 * max(np.max(pattern) for pattern in patterns.values())
    figure, axes = plt.subplots(1, len(patterns), figsize=(side * len(patterns) + 1.5, side + 1.4), sharey=True, squeeze=False)
    for axis, (head, pattern) in zip(axes[0], patterns.items(), strict=True):
        image = axis.imshow(100 * np.asarray(pattern), vmin=0, vmax=top, cmap="viridis")
        axis.set_title(head)
        axis.set_xticks(range(len(words)), words, rotation=90)
        for place in marked:
            axis.get_xticklabels()[place].set_fontweight("bold")
    axes[0, 0].set_yticks(range(len(words)), words)
    for place in marked:
        axes[0, 0].get_yticklabels()[place].set_fontweight("bold")
    figure.colorbar(image, ax=axes, label="attention (%)", shrink=0.7)
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
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
        layers = sorted(table.loc[table["model"] == model, "layer"].unique())
        axis.set_xticks(layers[:: 1 + len(layers) // 12])
        axis.set_xlabel("layer")
    axes[0, 0].set_ylabel(ylabel)
    return figure
