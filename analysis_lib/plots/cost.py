"""The figure of the page on cost."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from analysis_lib.plots.style import INK


def search_ratios(heads: pd.DataFrame) -> plt.Figure:
    """How many times faster than plain blocks a search is, against the share of the product that it computes.

    Parameters
    ----------
    heads : DataFrame
        `model`, `computed` (share) and `ratio`; a row for each head and reading, one colour for each model.

    Returns
    -------
    Figure
    """
    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    for model, rows in heads.groupby("model", sort=False):
        axes.scatter(100 * rows["computed"], rows["ratio"], s=22, alpha=0.75, linewidths=0, label=model)
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="computed [% of the product]", ylabel="times faster than plain blocks")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    return figure
