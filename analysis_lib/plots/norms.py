"""Figures of the norms of updates: distributions, trends, coefficients by layer, what an intervention changes. Layers count from 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from analysis_lib.plots.style import CYCLE, INK, MODEL_COLOURS

_NULL_COLOURS = {"untrained": MODEL_COLOURS["untrained"], "shuffled": MODEL_COLOURS["permuted"]}
_EFFECT = CYCLE[2]


def regression_beside_effect(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """A panel for each model: the coefficient one token back, what untrained models have there, and the effect of an intervention.

    Parameters
    ----------
    table : DataFrame
        `model layer estimate low high null_low null_high effect effect_low effect_high`, and `across across_low across_high`: the
        coefficient of the layer below, drawn as open circles (missing where nothing is below).
    names : mapping of str to str
        Model to panel title.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 3.6), squeeze=False)
    for axis, (model, title) in zip(axes[0], names.items(), strict=True):
        part = table[table["model"] == model]
        layers = part["layer"]
        axis.vlines(layers + 0.2, part["null_low"], part["null_high"], color=_NULL_COLOURS["untrained"], lw=6, alpha=0.6, label="untrained")
        axis.vlines(layers, part["low"], part["high"], color=MODEL_COLOURS[model], lw=1.6)
        axis.plot(layers, part["estimate"], "o", color=MODEL_COLOURS[model], label="regression, one back")
        axis.vlines(layers - 0.2, part["effect_low"], part["effect_high"], color=_EFFECT, lw=1.6)
        axis.plot(layers - 0.2, part["effect"], "D", color=_EFFECT, label="effect of a larger update")
        axis.vlines(layers - 0.4, part["across_low"], part["across_high"], color=MODEL_COLOURS[model], lw=1)
        axis.plot(layers - 0.4, part["across"], "o", mfc="none", color=MODEL_COLOURS[model], label="regression, layer below")
        axis.axhline(0, color=INK, lw=0.8)
        _finish(axis, title, "layer")
        axis.margins(x=0.15)
    axes[0, 0].set_ylabel("change of log norm\nper unit of log norm")
    entries = [dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)) for axis in axes[0]]
    handles = {label: entries[0][label] for label in ("effect of a larger update", "untrained")}
    for label in ("regression, one back", "regression, layer below"):
        handles[label] = tuple(entry[label] for entry in entries)  # in every model's colour
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, handler_map={tuple: HandlerTuple(ndivide=None)})
    return figure


def norm_distributions(norms: Mapping[str, np.ndarray], bins: int = 60, shown: int = 500, seed: int = 0) -> Figure:
    """A column for each title: norms of single tokens by layer above, and below which share of the tokens has which norm.

    Parameters
    ----------
    norms : mapping of str to array [layer, token]
    bins : int
        Of equal width in the logarithm, the same for all layers of a column; shares are drawn at the bins' centres.
    shown, seed : int
        Tokens drawn as points, a random sample, shifted sideways at random.
    """
    figure, axes = plt.subplots(2, len(norms), figsize=(5.6, 5.4), sharey="row", squeeze=False)
    rng = np.random.default_rng(seed)
    styles = _layer_styles(max(len(values) for values in norms.values()))
    for (raw, counts), (title, values) in zip(axes.T, norms.items(), strict=True):
        edges = np.histogram_bin_edges(np.log(values), bins)
        centres = np.exp((edges[:-1] + edges[1:]) / 2)
        some = rng.choice(values.shape[1], min(shown, values.shape[1]), replace=False)
        for layer, (colour, label) in enumerate(styles[: len(values)]):
            raw.plot(layer + rng.uniform(-0.3, 0.3, len(some)), values[layer, some], ".", ms=2, alpha=0.6, color=colour)
            count = np.histogram(np.log(values[layer]), edges)[0] / values.shape[1]
            counts.plot(centres, 100 * count, color=colour, lw=1.8, label=label)
        _finish(raw, title, "layer")
        raw.set_yscale("log")
        counts.set(xscale="log", xlabel="norm of the attention update")
        counts.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        counts.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        counts.xaxis.set_minor_formatter(NullFormatter())
        counts.yaxis.grid(True)
    axes[0, 0].set_ylabel("norm of the update")
    axes[1, 0].set_ylabel("tokens in a bin [%]")
    _legend_of_layers(figure, axes[1], ncols=4)
    return figure


def position_trends(trends: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """A panel for each title, a line for each layer: mean log norm by position; solid for a panel's first entry, dotted for its second.

    Parameters
    ----------
    trends : mapping of str to mapping of str to array [layer, position]
        Title to {label: values}; drawn with each line's mean subtracted, against position + 1 since the axis is logarithmic.
    """
    figure, axes = plt.subplots(1, len(trends), figsize=(5.6, 3.7), sharey=True, squeeze=False)
    styles = _layer_styles(max(len(values) for lines in trends.values() for values in lines.values()))
    for axis, (title, lines) in zip(axes[0], trends.items(), strict=True):
        for (name, values), style in zip(lines.items(), ("-", ":"), strict=False):
            for layer, (colour, label) in enumerate(styles[: len(values)]):
                look = {"color": colour, "label": label} if style == "-" else {"color": INK, "label": None if layer else name}
                axis.plot(np.arange(values.shape[1]) + 1, values[layer] - values[layer].mean(), style, lw=1.5, **look)
        axis.set(title=title, xscale="log", xlabel="position + 1 [tokens]")
        axis.yaxis.grid(True)
    axes[0, 0].set_ylabel("mean log norm, centred")
    _legend_of_layers(figure, axes[0], ncols=3)
    return figure


def change_by_distance(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """A panel for each model: mean absolute change of the log norm in the next layer, by distance from the replaced update.

    Parameters
    ----------
    table : DataFrame
        `model layer distance estimate low high`.
    names : mapping of str to str
        Model to panel title.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 3.7), sharey=True, squeeze=False)
    styles = _layer_styles(table["layer"].max() + 1)
    for axis, (model, title) in zip(axes[0], names.items(), strict=True):
        for layer, (colour, label) in enumerate(styles):
            part = table[(table["model"] == model) & (table["layer"] == layer)]
            for side in (part[part["distance"] < 0], part[part["distance"] > 0]):
                ahead = label if side["distance"].gt(0).any() else None
                axis.plot(side["distance"], side["estimate"], "o-", ms=3.5, lw=1.4, color=colour, label=ahead)
                axis.fill_between(side["distance"], side["low"], side["high"], color=colour, alpha=0.2, lw=0)
        axis.set(title=title, yscale="log", xlabel="distance [tokens]")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.grid(True)
    axes[0, 0].set_ylabel("mean |change of log norm|")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, title="replaced in")
    return figure


def coefficient_steps(tables: Mapping[str, Mapping[str, pd.DataFrame]], names: Mapping[str, str]) -> Figure:
    """Coefficients of one and two tokens back by layer: a row for each specification, a column for each model, all on one axis.

    Parameters
    ----------
    tables : mapping of str to mapping of str to DataFrame
        Row title to {model: table} with `term layer lag estimate low high filled`; filled points where `filled`.
    names : mapping of str to str
        Model to column title.
    """
    figure, axes = plt.subplots(len(tables), len(names), figsize=(5.6, 1.4 * len(tables) + 0.8), sharex=True, sharey=True, squeeze=False)
    for place, (title, by_model) in enumerate(tables.items()):
        for axis, (model, name) in zip(axes[place], names.items(), strict=True):
            table = by_model[model]
            for lag, colour, marker in ((1, CYCLE[0], "o"), (2, CYCLE[1], "s")):
                part = table[(table["term"] == "lag") & (table["lag"] == lag)]
                _points(axis, part["layer"] + (lag - 1.5) * 0.22, part, colour, f"{lag} back", marker)
            axis.axhline(0, color=INK, lw=0.8)
            _finish(axis, title if place else f"{name}\n{title}", "layer" if place == len(tables) - 1 else None, fontsize=11)
    figure.supylabel("coefficient", fontsize=12, color=INK)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def coefficients_against_nulls(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """A row for each model and direction, a column for each distance: coefficients by layer beside where draws of each null lie.

    Parameters
    ----------
    table : DataFrame
        `model null lag layer estimate low_all high_all null_low null_high filled`; a row for each null, of which two can be drawn:
        "untrained" and "shuffled".
    names : mapping of str to str
        Model to title.
    """
    lags = {model: set(part["lag"]) for model, part in table.groupby("model")}
    rows = [(model, side) for model in names for side in (1, -1) if any(side * lag > 0 for lag in lags[model])]
    n_columns = max(abs(lag) for several in lags.values() for lag in several)
    figure, axes = plt.subplots(len(rows), n_columns, figsize=(5.6, 1.7 * len(rows) + 1.0), squeeze=False)
    first = {model: axes[[m for m, _ in rows].index(model), 0] for model in names}  # a model's panels share its y axis
    for place, (model, side) in enumerate(rows):
        for distance, axis in enumerate(axes[place], 1):
            part = table[(table["model"] == model) & (table["lag"] == side * distance)]
            if part.empty:
                axis.set_visible(False)
                continue
            if axis is not first[model]:
                axis.sharey(first[model])
            _beside_nulls(axis, part, MODEL_COLOURS[model])
            title = f"{names[model]}, {distance} {'back' if side > 0 else 'ahead'}"
            _finish(axis, title, "layer" if place == len(rows) - 1 else None, fontsize=11)
    figure.supylabel("coefficient", fontsize=12, color=INK)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def coefficients_by_choice(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """A panel for each model, a line for each choice, a point for each layer: the coefficient one token back with its interval.

    Parameters
    ----------
    table : DataFrame
        `model choice layer estimate low high`; choices from top to bottom in the order of the rows.
    names : mapping of str to str
        Model to panel title.
    """
    choices = list(dict.fromkeys(table["choice"]))
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 0.45 * len(choices) + 1.5), sharey=True, squeeze=False)
    styles = _layer_styles(table["layer"].max() + 1)
    for axis, (model, title) in zip(axes[0], names.items(), strict=True):
        for layer, (colour, label) in enumerate(styles):
            part = table[(table["model"] == model) & (table["layer"] == layer)]
            heights = np.array([choices.index(choice) for choice in part["choice"]]) + 0.6 * ((layer + 0.5) / len(styles) - 0.5)
            axis.hlines(heights, part["low"], part["high"], color=colour, lw=1.4)
            axis.plot(part["estimate"], heights, "o", ms=4, color=colour, label=label)
        axis.axvline(0, color=INK, lw=0.8)
        axis.set(title=title, xlabel="coefficient", yticks=range(len(choices)), yticklabels=choices)
        axis.xaxis.grid(True)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def explained_by_layer(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """A panel for each model: held-out partial R² by layer with intervals, bars for the sample itself, crosses for an untrained model.

    Parameters
    ----------
    table : DataFrame
        `model source layer partial_r2 heldout_r2 low high`; source "trained" or "untrained".
    names : mapping of str to str
        Model to panel title.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 3.7), squeeze=False)
    for axis, (model, title) in zip(axes[0], names.items(), strict=True):
        for source, shift, colour, marker in (
            ("trained", -0.1, MODEL_COLOURS[model], "o"),
            ("untrained", 0.1, MODEL_COLOURS["untrained"], "X"),
        ):
            part = table[(table["model"] == model) & (table["source"] == source)]
            x = part["layer"] + shift
            axis.hlines(part["partial_r2"], x - 0.09, x + 0.09, color=colour, lw=2)
            axis.vlines(x, part["low"], part["high"], color=colour, lw=1.4)
            axis.plot(x, part["heldout_r2"], marker, color=colour, ms=5, label=source)
        axis.axhline(0, color=INK, lw=0.8)
        _finish(axis, title, "layer")
        axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.22))
    axes[0, 0].set_ylabel("variance explained by neighbours")
    return figure


def sources_and_coefficients(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Coefficient of the token before against the share of common sources, a point for each layer; crosses for untrained models.

    Parameters
    ----------
    table : DataFrame
        `model source layer shared estimate`.
    names : mapping of str to str
        Model to label.
    """
    figure, axis = plt.subplots(figsize=(5.2, 3.6))
    table = table.reset_index(drop=True)
    places = table.loc[table["source"] == "trained", ["shared", "estimate"]]
    places = places / np.maximum(np.ptp(table[["shared", "estimate"]].to_numpy(), axis=0), 1e-9)  # about as they lie in the picture
    for model, name in names.items():
        for source, marker in (("trained", "o"), ("untrained", "x")):
            part = table[(table["model"] == model) & (table["source"] == source)]
            axis.plot(part["shared"], part["estimate"], marker, ms=7, color=MODEL_COLOURS[model], label=f"{name}, {source}")
            if source == "trained":
                for row in part.itertuples():
                    away = places.drop(row.Index) - places.loc[row.Index]
                    above = away.empty or away.loc[(away**2).sum(axis=1).idxmin(), "estimate"] <= 0  # not towards the nearest
                    axis.annotate(
                        f"{row.layer}", (row.shared, row.estimate), xytext=(0, 6 if above else -6), ha="center", color=MODEL_COLOURS[model],
                        va="bottom" if above else "top", textcoords="offset points", fontsize=11,
                    )  # fmt: skip
    axis.axhline(0, color=INK, lw=0.8)
    axis.margins(y=0.12)
    axis.set(xlabel="sources shared with the token before, 0 to 1", ylabel="coefficient, 1 back")
    axis.grid(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _beside_nulls(axis: Axes, part: pd.DataFrame, colour: str) -> None:
    """One panel of `coefficients_against_nulls`."""
    for place, (null, grey) in enumerate(_NULL_COLOURS.items(), 1):
        drawn = part[part["null"] == null]
        axis.vlines(drawn["layer"] + 0.18 * place, drawn["null_low"], drawn["null_high"], color=grey, lw=6, alpha=0.55, label=null)
    ours = part.drop_duplicates("layer")  # the coefficients are the same beside either null
    _points(axis, ours["layer"] - 0.12, ours.assign(low=ours["low_all"], high=ours["high_all"]), colour, "trained")
    axis.axhline(0, color=INK, lw=0.8)


def _points(axis: Axes, x: pd.Series, part: pd.DataFrame, colour: str, label: str, marker: str = "o") -> None:
    """Estimates with intervals; solid where `filled`."""
    axis.vlines(x, part["low"], part["high"], color=colour, lw=1.6)
    filled = part["filled"].to_numpy(dtype=bool)
    axis.plot(x, part["estimate"], marker, mfc="none", mec=colour, ms=5.5, ls="none", label=label)
    axis.plot(x[filled], part["estimate"][filled], marker, color=colour, ms=5.5, ls="none")


def _finish(axis: Axes, title: str, xlabel: str | None, fontsize: int = 12) -> None:
    """Title, whole numbers on the layer axis, horizontal lines."""
    axis.set_title(title, pad=3, fontsize=fontsize)
    axis.set_xlabel(xlabel or "")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.yaxis.grid(True)


def _legend_of_layers(figure: Figure, panels: Sequence[Axes], ncols: int) -> None:
    """One legend below panels that share their styles: the entries of the panel with the most layers."""
    entries = max((axis.get_legend_handles_labels() for axis in panels), key=lambda found: len(found[1]))
    figure.legend(*entries, loc="outside lower center", ncols=ncols)


def _layer_styles(n_layers: int) -> list[tuple[tuple, str | None]]:
    """A colour for each layer, from dark to light, and a label for at most eight of them."""
    labelled = set(np.linspace(0, n_layers - 1, min(n_layers, 8)).round().astype(int).tolist())
    shades = plt.get_cmap("viridis")(np.linspace(0.1, 0.85, n_layers))  # none so pale as to vanish
    return [(tuple(shade), f"layer {layer}" if layer in labelled else None) for layer, shade in enumerate(shades)]
