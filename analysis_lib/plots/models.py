"""Figures of the models themselves: training curves, strips of errors."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from analysis_lib.plots.style import INK


def draw_training(axes: plt.Axes, log, colour: str, unigram: float, title: str) -> None:
    """Held-out and training loss [nats a token] against millions of tokens seen, with the unigram loss as a line."""
    axes.plot(log.tokens / 1e6, log.train_loss, color=colour, lw=1, alpha=0.55, label="training")
    axes.plot(log.tokens / 1e6, log.heldout_loss, color=colour, label="held out")
    axes.axhline(unigram, color=INK, ls="--", lw=1.2, label="unigram, held out")
    axes.set(title=title, xlabel="tokens seen [million]", xlim=(0, None))
    axes.legend(loc="best")


def draw_strips(axes: plt.Axes, groups: list[tuple[str, np.ndarray, str]], floor: float) -> None:
    """Positive values on a logarithmic axis, one row of points for each (label, values, colour); zeros at `floor`."""
    for row, (_, values, colour) in enumerate(groups):
        values = np.sort(np.ravel(values))
        offsets = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5  # spread without chance
        axes.plot(np.maximum(values, floor), row + offsets, "o", color=colour, ms=4, alpha=0.75, mec="none")
    axes.set_xscale("log")
    axes.set(yticks=range(len(groups)), yticklabels=[label for label, _, _ in groups], ylim=(len(groups) - 0.4, -0.6))
    axes.xaxis.grid(True)
