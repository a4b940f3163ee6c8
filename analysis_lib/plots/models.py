"""Figures of the models themselves: how they were trained, how well they guess, how long their embeddings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import INK
from analysis_lib.statistics import Interval


def training_curves(logs: Mapping[str, pd.DataFrame], unigram: Mapping[str, float], colours: Mapping[str, str]) -> plt.Figure:
    """Loss against tokens seen, one panel for each model.

    Parameters
    ----------
    logs : dict of str to DataFrame
        By model, with `tokens`, `train_loss` and `heldout_loss` [nats a token], as `models.cards.training_log` gives them.
    unigram : dict of str to float
        Held-out loss of guessing by frequency, drawn as a line.
    colours : dict of str to str
    """
    figure, axes = plt.subplots(len(logs), 1, figsize=(5.6, 2.8 * len(logs)), sharex=True, squeeze=False)
    for axis, (name, log) in zip(axes[:, 0], logs.items(), strict=True):
        axis.plot(log.tokens / 1e6, log.train_loss, color=colours[name], lw=1, alpha=0.55, label="training")
        axis.plot(log.tokens / 1e6, log.heldout_loss, color=colours[name], label="held out")
        axis.axhline(unigram[name], color=INK, ls="--", lw=1.2, label="unigram, held out")
        axis.set(title=name, ylabel="loss [nats a token]")
        axis.legend(loc="center right")
    axes[-1, 0].set_xlabel("tokens seen [million]")
    axes[-1, 0].set_xlim(0, None)  # once all runs are drawn: a limit set before would cut the longer ones
    return figure


def development(tables: Mapping[str, pd.DataFrame], measures: Mapping[str, str], colours: Mapping[str, str]) -> plt.Figure:
    """What was measured along training, one panel for each measure, against tokens seen, on a logarithmic axis where they differ much.

    Parameters
    ----------
    tables : dict of str to DataFrame
        By model, indexed by tokens seen, as `models.cards.development` gives them.
    measures : dict of str to str
        The columns that are drawn, with the titles of their panels.
    colours : dict of str to str
        By model.
    """
    rows = -(-len(measures) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(5.8, 2.3 * rows), sharex=True, squeeze=False)
    seen = np.concatenate([table.index for table in tables.values()])
    for axis, (column, title) in zip(axes.flat, measures.items(), strict=False):
        for name, table in tables.items():
            axis.plot(table.index / 1e6, table[column], "o-", ms=3, lw=1.4, color=colours[name], label=name)
        axis.set_title(title)
        axis.set_xscale("log" if seen.max() > 20 * seen.min() else "linear")
    for axis in axes.flat[len(measures) :]:
        axis.remove()
    figure.supxlabel("tokens seen [million]", fontsize="medium")
    if len(tables) > 1:
        axes[0, 0].legend()
    return figure


def loss_by_position(losses: pd.DataFrame, unigram: float, colour: str) -> plt.Figure:
    """Loss by position in the window, on a logarithmic axis, with the unigram loss as a line.

    Parameters
    ----------
    losses : DataFrame
        `first`, the first position of a group, and `loss`, as `models.cards.loss_by_position` gives them.
    unigram : float
    colour : str
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    axis.plot(losses["first"], losses["loss"], "o-", color=colour)
    axis.axhline(unigram, color=INK, ls="--", lw=1.2)
    axis.text(0.99, unigram, "guessing by frequency", transform=axis.get_yaxis_transform(), ha="right", va="bottom")
    axis.set_xscale("log", base=2)
    axis.set(xlabel="position in the window [tokens]", ylabel="loss [nats a token]")
    axis.margins(y=0.12)
    axis.set_xticks(losses["first"], [str(first) for first in losses["first"]])
    return figure


def guess_shares(shares: Mapping[str, Interval], colours: Mapping[str, str], xlabel: str) -> plt.Figure:
    """Shares in per cent with their intervals, one row each.

    Parameters
    ----------
    shares : dict of str to Interval
        By label, between 0 and 1.
    colours : dict of str to str
        By label; grey where a label has none.
    xlabel : str
    """
    figure, axis = plt.subplots(figsize=(5.6, 0.7 + 0.42 * len(shares)))
    for row, (label, share) in enumerate(shares.items()):
        colour = colours.get(label, INK)
        axis.plot([100 * share.low, 100 * share.high], [row, row], color=colour)
        axis.plot(100 * share.estimate, row, "o", color=colour)
    axis.set(yticks=range(len(shares)), yticklabels=shares, ylim=(len(shares) - 0.4, -0.6), xlabel=xlabel, xlim=(-1, None))
    axis.xaxis.grid(True)
    return figure


def norm_histograms(norms: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> plt.Figure:
    """Histograms of embedding norms on one axis, with a mark at each median.

    Parameters
    ----------
    norms : dict of str to array [vocab]
        By model.
    colours : dict of str to str
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    bins = np.linspace(0, 1.02 * max(values.max() for values in norms.values()), 60)
    for name, values in norms.items():
        axis.hist(values, bins.tolist(), histtype="step", lw=1.8, color=colours[name], label=name)
        axis.plot(np.median(values), 0, "|", color=colours[name], ms=26, mew=2.5, clip_on=False)
    axis.set(xlabel="norm of an embedding row", ylabel="tokens")
    axis.legend(loc="upper left")
    return figure


def error_strips(groups: Sequence[tuple[str, np.ndarray, str]], floor: float, xlabel: str) -> plt.Figure:
    """Positive values on a logarithmic axis, one row of points for each group; values below `floor` stand at it.

    Parameters
    ----------
    groups : list of (str, array, str)
        Label, values of any shape, colour.
    floor : float
    xlabel : str
    """
    figure, axis = plt.subplots(figsize=(5.6, 0.8 + 0.6 * len(groups)))
    for row, (_, values, colour) in enumerate(groups):
        values = np.sort(np.ravel(values))
        offsets = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5  # spread without chance
        axis.plot(np.maximum(values, floor), row + offsets, "o", color=colour, ms=4, alpha=0.75, mec="none")
    axis.set_xscale("log")
    axis.set(yticks=range(len(groups)), yticklabels=[label for label, _, _ in groups], ylim=(len(groups) - 0.4, -0.6), xlabel=xlabel)
    axis.xaxis.grid(True)
    return figure


def block_steps(weights: np.ndarray, steps: np.ndarray, colour: str) -> plt.Figure:
    """Histograms of a matrix that is stored in a few bits: its weights, and the same divided by the scales of their blocks.

    Parameters
    ----------
    weights : array
        Of any shape.
    steps : array
        Weights in units of their block's scale; a block of zeros may give NaN, which is left out.
    colour : str
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.8, 2.8))
    left.hist(np.ravel(weights), 81, color=colour)
    left.set(xlabel="weight", ylabel="number of weights")
    steps = steps[np.isfinite(steps)]
    right.hist(steps, np.arange(np.floor(steps.min()) - 0.5, steps.max() + 0.6, 0.1), color=colour)
    right.set(xlabel="weight / scale of its block")
    right.set_xticks([-8, -4, 0, 4, 7])
    return figure
