"""Figures of induction heads: the mechanism, scoreboards, losses, composition, ablations, paths, training."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from analysis_lib.plots.names import name_points
from analysis_lib.plots.style import CYCLE, FAINT, INK, MODEL_COLOURS

LAYER_COLOURS = (CYCLE[1], CYCLE[0], CYCLE[2], CYCLE[3])


def draw_induction(tokens: list[str], earlier: int, now: int) -> plt.Figure:
    """The two heads of an induction circuit as arcs over a row of tokens.

    Parameters
    ----------
    tokens : list of str
    earlier, now : int
        Two places of the same token; the circuit copies what stands at `earlier + 1`.
    """
    figure, axes = plt.subplots(figsize=(5.6, 3.1))
    axes.set(xlim=(-0.6, len(tokens) + 0.6), ylim=(-1.4, 2.55))
    axes.axis("off")
    after = earlier + 1
    edges = {earlier: LAYER_COLOURS[1], now: LAYER_COLOURS[1], after: LAYER_COLOURS[0]}
    for place, token in enumerate(tokens):
        style = {"boxstyle": "round,pad=0.32", "fc": "none", "ec": edges.get(place, INK), "lw": 2 if place in edges else 1}
        axes.text(place, 0, token, ha="center", va="center", fontsize=11, bbox=style)
    for start, end, colour, bend in ((after, earlier, LAYER_COLOURS[0], 0.75), (now, after, LAYER_COLOURS[1], 0.42)):
        arc = {"arrowstyle": "-|>", "color": colour, "lw": 2, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", (end, 0.3), (start, 0.3), arrowprops=arc)
    axes.annotate("", (now + 0.95, -0.75), (now, -0.35), arrowprops={"arrowstyle": "-|>", "color": LAYER_COLOURS[1], "lw": 2})
    axes.text(now + 1, -1.0, tokens[after], ha="center", va="center", fontsize=11, color=LAYER_COLOURS[1], weight="bold")
    said = f"layer 0 marks {tokens[after]}: “comes after {tokens[earlier]}”", f"layer 1 looks for that mark and copies {tokens[after]}"
    for height, text, colour in zip((2.4, 1.95), said, LAYER_COLOURS, strict=False):
        axes.text(-0.5, height, text, color=colour, va="top", fontsize=11)
    return figure


def score_maps(columns: dict[str, dict[str, np.ndarray]]) -> plt.Figure:
    """Attention scores of all heads in per cent: one row of panels for each score, one column for each model, all on one scale.

    Parameters
    ----------
    columns : dict of str to dict
        Model title to {score name: float [layer, head]}.
    """
    names = list(next(iter(columns.values())))
    layers = max(len(scores[name]) for scores in columns.values() for name in names)
    size = (5.6, len(names) * (0.3 * layers + 0.42) + 0.5)
    figure, axes = plt.subplots(len(names), len(columns), figsize=size, squeeze=False, sharex="col", sharey="col")
    for column, (title, scores) in zip(axes.T, columns.items(), strict=True):
        for axis, name in zip(column, names, strict=True):
            shares = scores[name]
            axis.imshow(shares, vmin=0, vmax=1, aspect="auto")
            for (layer, head), share in np.ndenumerate(shares):
                ink = "black" if share > 0.6 else "white"
                axis.text(head, layer, f"{100 * share:.0f}", ha="center", va="center", fontsize=10, color=ink)
            axis.set_title(f"{title}\n{name}" if axis is column[0] else name, fontsize=11)
            axis.set_yticks(range(len(shares)), [f"L{layer}" for layer in range(len(shares))])
            axis.set_xticks(range(shares.shape[1]))
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        column[-1].set_xlabel("head")
    return figure


def patterns_with_targets(panels: dict[str, tuple[np.ndarray, np.ndarray]]) -> plt.Figure:
    """Patterns of one sequence side by side, with the keys that a perfect head would attend to outlined.

    Parameters
    ----------
    panels : dict of str to (pattern, targets)
        Title to float and bool [query, key].
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(5.6, 3.0), sharey=True, squeeze=False)
    shades = mpl.colormaps["viridis"].with_extremes(bad=FAINT)
    for axis, (title, (pattern, targets)) in zip(axes[0], panels.items(), strict=True):
        image = axis.imshow(np.where(np.tri(len(pattern), dtype=bool), pattern, np.nan), cmap=shades, vmin=0, vmax=1)
        for query, key in np.argwhere(targets):
            axis.add_patch(mpl.patches.Rectangle((key - 0.5, query - 0.5), 1, 1, fc="none", ec=CYCLE[1], lw=1))
        axis.set(title=title, xlabel="key position")
    axes[0, 0].set_ylabel("query position")
    figure.colorbar(image, ax=axes[0], shrink=0.8).set_label("attention")
    return figure


def intervals(
    table: pd.DataFrame, xlabel: str, colours: dict[str, str], zero: bool = True, line: tuple[float, str] | None = None
) -> plt.Figure:
    """Points with intervals: one row for each label, one point for each series.

    Parameters
    ----------
    table : DataFrame
        `label series estimate low high`; labels are drawn from top to bottom in their order.
    xlabel : str
        With its unit.
    colours : dict of str to str
        By `series`.
    zero : bool
        Draw a line at 0.
    line : (float, str), optional
        Value and label of another line.
    """
    labels = list(dict.fromkeys(table["label"]))
    step = min(0.3, 0.8 / len(colours))  # between the series of one label
    figure, axis = plt.subplots(figsize=(5.6, max(1.6, 0.27 * max(1, 0.5 * len(colours)) * len(labels) + 1.1)))
    for place, (series, colour) in enumerate(colours.items()):
        part = table[table["series"] == series]
        rows = part["label"].map(labels.index) + step * (place - (len(colours) - 1) / 2)
        ends = np.abs(part[["low", "high"]].to_numpy().T - part["estimate"].to_numpy())
        axis.errorbar(part["estimate"], rows, xerr=ends, fmt="o", ms=4.5, lw=1.6, color=colour, label=series)
    if zero:
        axis.axvline(0, color=INK, lw=0.8)
    if line is not None:
        axis.axvline(line[0], color=INK, ls="--", lw=1.2, label=line[1])
    axis.set(yticks=range(len(labels)), yticklabels=labels, xlabel=xlabel, ylim=(len(labels) - 0.4, -0.6))
    axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.yaxis.grid(True, color=FAINT, lw=0.5)
    if len(colours) > 1 or line is not None:
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def losses_by_place(curves: pd.DataFrame, colours: dict[str, str], floor: tuple[float, str], xlabel: str) -> plt.Figure:
    """Loss along a block that comes twice: a line with its band for each occurrence and model, every other line thin, over the one before.

    Parameters
    ----------
    curves : DataFrame
        `series place estimate low high`, in nats.
    colours : dict of str to str
        By `series`.
    floor : (float, str)
        Value in nats and label of a dashed line.
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    for number, (series, colour) in enumerate(colours.items()):
        part = curves[curves["series"] == series]
        axis.plot(part["place"], part["estimate"], color=colour, lw=1.3 if number % 2 else 3.5, label=series)
        axis.fill_between(part["place"], part["low"], part["high"], color=colour, alpha=0.2, lw=0)
    axis.axhline(floor[0], color=INK, ls="--", lw=1.2, label=floor[1])
    axis.set(xlabel=xlabel, ylabel="loss [nats a token]", ylim=(0, None))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def composition_maps(scores: dict[str, np.ndarray], expected: float, marked: dict[str, list[tuple[int, int]]]) -> plt.Figure:
    """Composition of every earlier head (rows) with every later head (columns): one panel for each kind, all on one scale.

    Parameters
    ----------
    scores : dict of str to float [earlier head, later head]
        By panel title.
    expected : float
        What chance gives; drawn white.
    marked : dict of str to list of (earlier, later)
        Pairs outlined. The scale ends at the largest of them: what lies above has the darkest colour.
    """
    figure, axes = plt.subplots(1, len(scores), figsize=(5.8, 2.75), sharey=True, squeeze=False)
    outlined = [float(scores[title][pair]) for title, pairs in marked.items() for pair in pairs]
    top, highest = max(outlined, default=0.0), max(float(values.max()) for values in scores.values())
    reach = max(expected, (top if outlined else highest) - expected)
    for axis, (title, values) in zip(axes[0], scores.items(), strict=True):
        image = axis.imshow(values, cmap="RdBu_r", vmin=expected - reach, vmax=expected + reach)
        for earlier, later in marked.get(title, []):
            axis.add_patch(mpl.patches.Rectangle((later - 0.5, earlier - 0.5), 1, 1, fc="none", ec="black", lw=1.8, clip_on=False))
        axis.set(title=title, xlabel="head of layer 1", xticks=range(0, values.shape[1], 2), yticks=range(0, len(values), 2))
    axes[0, 0].set_ylabel("head of layer 0")
    bar = figure.colorbar(image, ax=axes[0], shrink=0.75, extend="max" if highest > expected + reach else "neither")
    bar.ax.set_ylim(max(0, expected - reach), expected + reach)  # no composition is negative
    bar.set_label("composition")
    return figure


def labelled_points(table: pd.DataFrame, x: str, y: str, xlabel: str, ylabel: str, named: int = 4) -> plt.Figure:
    """Heads as points in the colour of their layer, those of the untrained model as crosses; those farthest from 0 by `y` are named.

    With more than eight layers, a scale of colours stands in the place of a legend.

    Parameters
    ----------
    table : DataFrame
        `layer head trained` (bool) and the columns `x` and `y`.
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.6))
    fresh = table[~table["trained"]]
    axis.plot(fresh[x], fresh[y], "x", color=MODEL_COLOURS["untrained"], ms=6.5, mew=1.5, label="untrained", zorder=3)  # above the points
    own = table[table["trained"]]
    if own["layer"].nunique() > 8:
        figure.colorbar(axis.scatter(own[x], own[y], c=own["layer"], cmap="viridis", zorder=2), ax=axis, label="layer")
    else:
        layers = sorted(own["layer"].unique())
        shades = LAYER_COLOURS if len(layers) <= len(LAYER_COLOURS) else plt.get_cmap("viridis")(np.linspace(0, 0.92, len(layers)))
        for layer, colour in zip(layers, shades, strict=False):
            part = own[own["layer"] == layer]
            axis.plot(part[x], part[y], "o", color=colour, label=f"layer {layer}")
    axis.axvline(0, color=INK, lw=0.8)
    farthest = own.iloc[np.argsort(-own[y].abs().to_numpy(), kind="stable")[:named]]
    names = [f"L{row.layer}H{row.head}" for row in farthest.itertuples()]
    name_points(axis, names, farthest[[x, y]].to_numpy(), table[[x, y]].to_numpy())
    axis.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def emergence(panels: dict[str, dict], xlabel: str, later: int | None = None) -> plt.Figure:
    """Measures along training, panels one above the other on one time axis, which is logarithmic after its first part.

    Parameters
    ----------
    panels : dict of str to dict
        Axis label to {series: (Series by step, colour, line style)}; an empty series gives the legend a line for unnamed ones.
    later : int, optional
        Step from which on the axis is linear and takes about a quarter of the width.
    """
    figure, axes = plt.subplots(len(panels), 1, figsize=(5.6, 2.2 * len(panels) + 0.4), sharex=True, squeeze=False)
    axes = axes[:, 0]
    for axis, (ylabel, lines) in zip(axes, panels.items(), strict=True):
        for name, (values, colour, style) in lines.items():
            axis.plot(
                values.index,
                values,
                style,
                color=colour,
                marker="o" if style == "-" else "",
                ms=3.5,
                lw=2 if style == "-" else 1.2,
                label=name,
            )
        axis.set(ylabel=ylabel, ylim=(0, None))
        axis.grid(True)
        axis.set_title(" ")  # room for the legend, which may be wider than the panel
        legend = axis.legend(
            loc="lower left",
            bbox_to_anchor=(-0.14, 1),
            ncols=4,
            fontsize=10,
            borderaxespad=0.2,
            columnspacing=0.8,
            handlelength=1.3,
            handletextpad=0.5,
        )
        legend.set_in_layout(False)
    steps = np.unique(
        np.concatenate([np.asarray(values.index) for lines in panels.values() for values, *_ in lines.values() if len(values)])
    )
    first, last = max(1, int(steps[steps > 0].min())), int(steps.max())
    end = 1.1 * last
    ticks = [step for step in (0, 50, 100, 300, 1000, 3000, 10_000) if step <= last]
    if later is None:
        axes[-1].set_xscale("symlog", linthresh=first, linscale=0.4)
    else:
        end = last + 0.06 * (last - later)
        ticks = [step for step in ticks if 2 * step < later] + [later, (later + last) // 2, last]
        grid = np.linspace(-first, 1.1 * last, 10_000)
        width = np.arcsinh(later / first) / 3
        bent = np.arcsinh(np.minimum(grid, later) / first) + width * np.maximum(grid - later, 0) / (last - later)
        axes[-1].set_xscale("function", functions=(lambda x: np.interp(x, grid, bent), lambda x: np.interp(x, bent, grid)))
    axes[-1].set_xticks(ticks, [f"{step:,}" for step in ticks])
    axes[-1].minorticks_off()
    axes[-1].set_xlim(-2, end)
    axes[-1].set_xlabel(xlabel)
    return figure


def score_curves(
    panels: dict[str, pd.DataFrame], ylabel: str, colours: dict[str, str], goal: tuple[float, str] | None = None
) -> plt.Figure:
    """A score against one quantity a panel, a line for each run, side by side on one scale.

    Parameters
    ----------
    panels : dict of str to DataFrame
        Axis label to `x series run score`; each `run` of a series has its own line.
    ylabel : str
    colours : dict of str to str
        By `series`.
    goal : (float, str), optional
        Value and label of a dashed line.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(5.6, 2.9), sharey=True, squeeze=False)
    for axis, (xlabel, table) in zip(axes[0], panels.items(), strict=True):
        for series, colour in colours.items():
            for number, (_, run) in enumerate(table[table["series"] == series].groupby("run")):
                axis.plot(run["x"], run["score"], "o-", ms=3, lw=1.3, color=colour, label="" if number else series)
        if goal is not None:
            axis.axhline(goal[0], color=INK, ls="--", lw=1, label=goal[1])
        axis.set(xlabel=xlabel, ylim=(0, 1.02))
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def clamped_runs(table: pd.DataFrame, column: str, ylabel: str) -> plt.Axes:
    """A measure along training by clamp: a colour for each clamped layer, dashed where it stays initial, a line for each seed.

    Parameters
    ----------
    table : DataFrame
        `clamp` ("none", "layer 0 final", "layer 0 initial", …), `seed`, `step` and the measure, as `training/clamps.py` records them.
    column, ylabel : str
        The measure.
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.6))
    for clamp, runs in table.groupby("clamp", sort=False):
        colour = INK if clamp == "none" else CYCLE[int(clamp.split()[1]) % len(CYCLE)]
        for number, (_, run) in enumerate(runs.groupby("seed")):
            style = "--" if clamp.endswith("initial") else "-"
            axis.plot(run["step"], run[column], style, color=colour, lw=1.8, label=None if number else clamp)
    axis.set(xlabel="training step", ylabel=ylabel, ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=3)
    return axis
