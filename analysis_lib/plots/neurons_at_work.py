"""Figures of what neurons do on text: where keys fire, and what values do to the next prediction."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import MODEL_COLOURS


def firing_by_layer(table: pd.DataFrame, colours: dict[str, str]) -> plt.Figure:
    """A panel for each model: at what share of its places a neuron meets what its list says, beside the layer's other neurons.

    Parameters
    ----------
    table : DataFrame
        `model layer own low high others`; layers from 0.
    colours : dict of str to str
        By `model`, in the order of the panels.
    """
    figure, axes = plt.subplots(1, len(colours), figsize=(4.9, 3.2), sharey=True, squeeze=False)
    for axis, (model, colour) in zip(axes[0], colours.items(), strict=True):
        part = table[table["model"] == model]
        last = int(part["layer"].max())
        ends = [part["own"] - part["low"], part["high"] - part["own"]]
        axis.errorbar(part["layer"], part["own"], yerr=ends, fmt="o", color=colour, ms=8, lw=1.8, clip_on=False)
        axis.plot(part["layer"], part["others"], "x", color=MODEL_COLOURS["untrained"], ms=8, mew=2)
        axis.set(title=model, xlabel="layer", xticks=range(0, last + 1, 1 + last // 8), xlim=(-0.5, last + 0.5), ylim=(0, 1))
        axis.yaxis.grid(True)
    axes[0, 0].set_ylabel("share of places that fit")
    handles = _points(colours, "{}'s keys")
    handles.append(plt.Line2D([], [], marker="x", ls="none", mew=2, color=MODEL_COLOURS["untrained"], label="other neurons"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.2)
    return figure


def rises_by_value(table: pd.DataFrame, colours: dict[str, str]) -> plt.Figure:
    """A panel for each model and a row for each value: how far adding it raises its list, beside what other vectors do.

    Parameters
    ----------
    table : DataFrame
        `model`, `value of`, `list`, `own value`, and `random directions` and `other values`, each a pair of the smallest and the largest
        rise.
    colours : dict of str to str
        By `model`, in the order of the panels.
    """
    parts = {model: table[table["model"] == model] for model in colours}
    sizes = [len(part) for part in parts.values()]
    figure, axes = plt.subplots(
        len(parts), 1, figsize=(4.5, 0.26 * sum(sizes) + 0.5 * len(sizes) + 0.9), height_ratios=sizes, sharex=True, squeeze=False
    )
    nulls = {"random directions": MODEL_COLOURS["untrained"], "other values": MODEL_COLOURS["permuted"]}
    for axis, (model, part) in zip(axes[:, 0], parts.items(), strict=True):
        heights = np.arange(len(part))
        for shift, (null, colour) in zip((-0.14, 0.14), nulls.items(), strict=True):
            lows, highs = np.array(part[null].tolist()).T
            axis.hlines(heights + shift, lows, highs, color=colour, lw=3)
        axis.plot(part["own value"], heights, "o", color=colours[model], ms=7)
        axis.set_yticks(heights, part["value of"] + "  " + part["list"], fontsize=10)
        axis.set(title=model, ylim=(len(part) - 0.4, -0.6))
        axis.xaxis.grid(True)
    axes[-1, 0].set_xlabel("rise of the list's tokens [nats]")
    handles = _points(colours, "{}'s value")
    handles += [plt.Line2D([], [], color=colour, lw=3, label=null) for null, colour in nulls.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.5)
    return figure


def _points(colours: dict[str, str], label: str) -> list:
    """What a legend shows of models that are points."""
    return [plt.Line2D([], [], marker="o", ls="none", ms=7, color=colour, label=label.format(model)) for model, colour in colours.items()]
