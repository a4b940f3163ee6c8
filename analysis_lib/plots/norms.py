"""Figures of the norms of updates: distributions, trends, coefficients by layer, what an intervention changes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from analysis_lib.plots.style import CYCLE, INK, MODEL_COLOURS


def _layer_colours(n_layers: int) -> list:
    """A colour a layer, from dark to light, none of them pale enough to vanish."""
    return [plt.get_cmap("viridis")(x) for x in np.linspace(0.3, 0.85, n_layers)]


def norm_distributions(norms: dict[str, np.ndarray], bins: int = 60, shown: int = 500, seed: int = 0) -> plt.Figure:
    """A column a title: norms of single tokens by layer above, and below how many tokens have which norm, drawn at the bins' centres.

    Parameters
    ----------
    norms : dict of str to array [layer, token]
    bins : int
        Of equal width in the logarithm, the same for all layers of a column.
    shown, seed : int
        Tokens drawn as points, a random sample, shifted sideways at random.
    """
    figure, axes = plt.subplots(2, len(norms), figsize=(5.6, 5.4), sharey="row", squeeze=False)
    rng = np.random.default_rng(seed)
    for (raw, counts), (title, values) in zip(axes.T, norms.items(), strict=True):
        edges = np.histogram_bin_edges(np.log(values), bins)
        centres = np.exp((edges[:-1] + edges[1:]) / 2)
        some = rng.choice(values.shape[1], min(shown, values.shape[1]), replace=False)
        for layer, colour in enumerate(_layer_colours(len(values))):
            raw.plot(layer + 1 + rng.uniform(-0.3, 0.3, len(some)), values[layer, some], ".", ms=2, alpha=0.6, color=colour)
            count = np.histogram(np.log(values[layer]), edges)[0] / values.shape[1]
            counts.plot(centres, 100 * count, color=colour, lw=1.8, label=f"layer {layer + 1}")
        raw.set(title=title, yscale="log", xlabel="layer", xticks=np.arange(len(values)) + 1)
        counts.set(xscale="log", xlabel="norm of the attention update")
        for axis in (raw, counts):
            axis.yaxis.grid(True)
    axes[0, 0].set_ylabel("norm of the update")
    axes[1, 0].set_ylabel("tokens in a bin [%]")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def position_trends(trends: dict[str, dict[str, np.ndarray]]) -> plt.Figure:
    """A panel a title: mean log norm by position less its mean, a line a layer; solid for the first entry of each, dotted for the second.

    Parameters
    ----------
    trends : dict of str to dict of str to array [layer, position]
        Title to {label: values}; positions from 0.
    """
    figure, axes = plt.subplots(1, len(trends), figsize=(5.6, 3.7), sharey=True, squeeze=False)
    for axis, (title, lines) in zip(axes[0], trends.items(), strict=True):
        for (label, values), style in zip(lines.items(), ("-", ":"), strict=False):
            for layer, colour in enumerate(_layer_colours(len(values))):
                name = f"layer {layer + 1}" if style == "-" else (label if layer == 0 else None)
                places = np.arange(values.shape[1]) + 1
                axis.plot(places, values[layer] - values[layer].mean(), style, color=colour if style == "-" else INK, lw=1.5, label=name)
        axis.set(title=title, xscale="log", xlabel="position [tokens]")
        axis.yaxis.grid(True)
    axes[0, 0].set_ylabel("mean log norm, centred")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def coefficient_steps(tables: dict[str, dict[str, object]], names: dict[str, str]) -> plt.Figure:
    """Coefficients of lags by layer, a row a specification, a column a model, all on one axis; filled where significant.

    Parameters
    ----------
    tables : dict of str to dict of str to DataFrame
        Row title to {model: table} with `term layer lag estimate low high filled`.
    names : dict of str to str
        Model to column title.
    """
    figure, axes = plt.subplots(len(tables), len(names), figsize=(5.6, 1.5 * len(tables) + 0.8), sharex=True, sharey=True, squeeze=False)
    for place, (title, found) in enumerate(tables.items()):
        for axis, (model, name) in zip(axes[place], names.items(), strict=True):
            table = found[model]
            for lag, colour, marker in ((1, CYCLE[0], "o"), (2, CYCLE[1], "s")):
                part = table[(table["term"] == "lag") & (table["lag"] == lag)]
                _points(axis, part["layer"] + 1 + (lag - 1.5) * 0.22, part, colour, f"token {lag} back", marker)
            axis.axhline(0, color=INK, lw=0.8)
            axis.set_title(title if place else f"{name}\n{title}", fontsize=11, pad=3)
            axis.set_xticks(sorted(table["layer"].unique() + 1))
            axis.yaxis.grid(True)
    for axis in axes[-1]:
        axis.set_xlabel("layer")
    figure.supylabel("coefficient [log norm a log norm]", fontsize=12, color=INK)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _points(axis, x, part, colour: str, label: str, marker: str = "o") -> None:
    """Estimates with intervals; solid where `filled`."""
    axis.vlines(x, part["low"], part["high"], color=colour, lw=1.6)
    filled = part["filled"].to_numpy(dtype=bool)
    axis.plot(x, part["estimate"], marker, mfc="none", mec=colour, ms=5.5, ls="none", label=label)
    axis.plot(x[filled], part["estimate"][filled], marker, color=colour, ms=5.5, ls="none")


def coefficients_against_nulls(table, nulls: dict[str, str], names: dict[str, str]) -> plt.Figure:
    """A column a model, a row a neighbour: coefficient by layer with its interval beside where draws of each null lie.

    Parameters
    ----------
    table : DataFrame
        `model null term lag layer estimate low_all high_all null_low null_high filled`; one row for each null.
    nulls : dict of str to str
        Null to its colour.
    names : dict of str to str
        Model to column title.
    """
    lags = {1: "1 back", 2: "2 back", -1: "1 ahead", -2: "2 ahead"}
    shown = [lag for lag in lags if lag in set(table["lag"])]
    last = {model: [lag for lag in shown if lag in set(part["lag"])][-1] for model, part in table.groupby("model")}
    figure, axes = plt.subplots(len(shown), len(names), figsize=(5.6, 1.65 * len(shown) + 0.8), sharey="col", squeeze=False)
    for row, lag in zip(axes, shown, strict=True):
        for axis, (model, name) in zip(row, names.items(), strict=True):
            part = table[(table["model"] == model) & (table["lag"] == lag)]
            if part.empty:
                axis.set_visible(False)
                continue
            for place, (null, colour) in enumerate(nulls.items()):
                drawn = part[part["null"] == null]
                x = drawn["layer"] + 1 + 0.18 * (place + 1)
                axis.vlines(x, drawn["null_low"], drawn["null_high"], color=colour, lw=6, alpha=0.55, label=null)
            ours = part[part["null"] == next(iter(nulls))]
            ours = ours.assign(low=ours["low_all"], high=ours["high_all"])
            _points(axis, ours["layer"] + 1 - 0.12, ours, MODEL_COLOURS[model], "trained")
            axis.axhline(0, color=INK, lw=0.8)
            axis.set_title(f"{name}, {lags[lag]}", fontsize=11)
            axis.set_xticks(sorted(part["layer"].unique() + 1))
            axis.yaxis.grid(True)
            if lag == last[model]:
                axis.set_xlabel("layer")
    figure.supylabel("coefficient [log norm a log norm]", fontsize=12, color=INK)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def explained_by_layer(table, names: dict[str, str]) -> plt.Figure:
    """A panel a model: held-out partial R² by layer with intervals, bars for the share in the sample, crosses for an untrained model.

    Parameters
    ----------
    table : DataFrame
        `model source layer partial_r2 heldout_r2 low high`; source "trained" or "untrained".
    names : dict of str to str
        Model to panel title.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 3.7), squeeze=False)
    for axis, (model, name) in zip(axes[0], names.items(), strict=True):
        for source, shift, colour, marker in (
            ("trained", -0.1, MODEL_COLOURS[model], "o"),
            ("untrained", 0.1, MODEL_COLOURS["untrained"], "X"),
        ):
            part = table[(table["model"] == model) & (table["source"] == source)]
            x = part["layer"] + 1 + shift
            axis.hlines(part["partial_r2"], x - 0.09, x + 0.09, color=colour, lw=2)
            axis.errorbar(x, part["heldout_r2"], yerr=[part["heldout_r2"] - part["low"], part["high"] - part["heldout_r2"]],
                          fmt=marker, color=colour, ms=5, lw=1.4, label=source)  # fmt: skip
        axis.axhline(0, color=INK, lw=0.8)
        axis.set(title=name, xlabel="layer", xticks=sorted(table["layer"].unique() + 1))
        axis.yaxis.grid(True)
        axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.22))
    axes[0, 0].set_ylabel("variance explained by neighbours")
    return figure


def sources_and_coefficients(table, names: dict[str, str]) -> plt.Figure:
    """Coefficient of the token before against the share of sources in common, a point a layer; crosses for untrained models.

    Parameters
    ----------
    table : DataFrame
        `model source layer shared estimate`.
    names : dict of str to str
        Model to label.
    """
    figure, axis = plt.subplots(figsize=(5.2, 3.6))
    for model, name in names.items():
        for source, marker in (("trained", "o"), ("untrained", "x")):
            part = table[(table["model"] == model) & (table["source"] == source)]
            axis.plot(part["shared"], part["estimate"], marker, ms=7, color=MODEL_COLOURS[model], label=f"{name}, {source}")
            if source == "trained":
                for place, (_, row) in enumerate(part.iterrows()):
                    axis.annotate(
                        f"{int(row['layer']) + 1}", (row["shared"], row["estimate"]), xytext=(0, 6 if place % 2 else -6), ha="center",
                        va="bottom" if place % 2 else "top", textcoords="offset points", fontsize=11,
                    )  # fmt: skip
    axis.axhline(0, color=INK, lw=0.8)
    axis.set(xlabel="sources shared with the token before, 0 to 1", ylabel="coefficient, 1 back")
    axis.grid(True)
    axis.legend()
    return figure


def change_by_distance(table, names: dict[str, str]) -> plt.Figure:
    """A panel a model: mean absolute change of the log norm in the next layer by distance from the replaced update, logarithmic.

    Parameters
    ----------
    table : DataFrame
        `model layer distance estimate low high`.
    names : dict of str to str
        Model to panel title.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.6, 3.7), sharey=True, squeeze=False)
    colours = _layer_colours(table["layer"].nunique())
    for axis, (model, name) in zip(axes[0], names.items(), strict=True):
        for layer, colour in enumerate(colours):
            part = table[(table["model"] == model) & (table["layer"] == layer)]
            for side in (part[part["distance"] < 0], part[part["distance"] > 0]):
                label = f"layer {layer + 1}, seen in {layer + 2}" if side["distance"].gt(0).any() else None
                axis.plot(side["distance"], side["estimate"], "o-", ms=3.5, lw=1.4, color=colour, label=label)
                axis.fill_between(side["distance"], side["low"], side["high"], color=colour, alpha=0.2, lw=0)
        axis.set(title=name, yscale="log", xlabel="distance [tokens]")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.grid(True)
    axes[0, 0].set_ylabel("mean |change of log norm|")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
