"""The figures of the page on cost."""

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


GROWTH = {"vocab": "tokens", "d_head": "d_head", "layers": "layers"}


def search_growth(rows: pd.DataFrame, exponents: pd.DataFrame) -> plt.Figure:
    """Seconds of a search against vocabulary, d_head and layers, with the time that the whole product would take.

    Parameters
    ----------
    rows : DataFrame
        `varied` (a key of `GROWTH`), `subject`, the columns of `GROWTH`, `search` and `product` [s], and `factors` [s] where measured.
    exponents : DataFrame
        `varied subject part exponent`; `part` is `search` or `factors`.

    Returns
    -------
    Figure
    """
    fitted = exponents.set_index(["varied", "subject", "part"])["exponent"]
    figure, panels = plt.subplots(len(GROWTH), 1, figsize=(5.6, 7.4))
    for axes, (varied, label) in zip(panels, GROWTH.items(), strict=True):
        for subject, part in rows[rows["varied"] == varied].groupby("subject", sort=False):
            name = f"{subject}: {fitted[varied, subject, 'search']:.2f}"
            (line,) = axes.plot(part[varied], part["search"], marker="o", markersize=4, label=name)
            if part["factors"].notna().any():
                name = f"its factors: {fitted[varied, subject, 'factors']:.2f}"
                axes.plot(part[varied], part["factors"], linestyle=":", color=line.get_color(), label=name)
        axes.plot(part[varied], part["product"], color=INK, linewidth=0.8, linestyle="--", label="whole product")
        axes.set(xscale="log", yscale="log", xlabel=label)
        ticks = sorted(part[varied].unique())
        axes.set_xticks(ticks, [f"{tick / 1000:.0f}k" if tick > 1000 else f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="fitted exponents", handlelength=1.5)
    panels[1].set_ylabel("seconds of one core")
    return figure
