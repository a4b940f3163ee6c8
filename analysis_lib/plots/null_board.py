"""The null board: every claim of the book in one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import CYCLE, INK, MODEL_COLOURS

TICKS = [-30, -10, -3, 0, 3, 10, 30, 100, 300, 1000]
LETTERS = 58  # of a line of a claim
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT", "e5": "e5"}
OTHER = "#a9860c"  # models without a colour of their own


def null_board(board: pd.DataFrame) -> plt.Figure:
    """Claims as rows: how far the trained value lies beyond its nulls, in standard deviations of their difference.

    Parameters
    ----------
    board : DataFrame
        As `report.board` gives it: `claim`, `model`, `distance`, `distance_low`, `distance_high`, `survives`, and `nulls`.
    """
    # Narrow, so that a phone shows its letters large enough; a claim takes one line or two.
    claims = [textwrap.fill(claim, LETTERS) for claim in board["claim"]]
    broken = any("\n" in claim for claim in claims)
    figure, axis = plt.subplots(figsize=(4.5, 1.1 + (0.5 if broken else 0.4) * len(board)))
    axis.axvspan(-1.96, 1.96, color=MODEL_COLOURS["untrained"], alpha=0.12, lw=0)
    axis.axvline(0, color=INK, lw=0.8)
    for place, row in enumerate(board.itertuples()):
        colour = MODEL_COLOURS.get(row.model, OTHER)
        for mean, spread in row.nulls.values():
            axis.plot(
                [mean - 1.96 * spread, mean + 1.96 * spread],
                [place, place],
                color=MODEL_COLOURS["untrained"],
                lw=4,
                alpha=0.5,
                solid_capstyle="butt",
            )
        axis.plot([row.distance_low, row.distance_high], [place, place], color=colour, lw=1.6)
        axis.plot(row.distance, place, "o", color=colour, mfc=colour if row.survives else "none", ms=6)
        axis.text(0.005, place - 0.2, claims[place], transform=axis.get_yaxis_transform(), fontsize=9.5, va="bottom", linespacing=1.0)
    survivors = int(board["survives"].sum())
    if 0 < survivors < len(board):
        axis.axhline(survivors - (0.85 if broken else 0.68), color=INK, lw=0.8, ls=":")
    _set_distances(axis, board)
    axis.set(ylim=(len(board) - 0.5, -0.9), yticks=[])
    axis.spines["left"].set_visible(False)
    return figure


def null_board_by_chapter(board: pd.DataFrame, titles: Mapping[str, str]) -> plt.Figure:
    """The board at a glance: a row for each chapter, a point for each of its claims.

    Parameters
    ----------
    board : DataFrame
        As for `null_board`, with `section`, whose page names the chapter.
    titles : dict of str to str
        Page, without ".html", to the title of its row; rows stand in this order.

    Raises
    ------
    KeyError
        A claim of a page without a title.
    """
    pages = board["section"].str.split(".html", regex=False).str[0]
    missing = sorted(set(pages) - set(titles))
    if missing:
        raise KeyError(f"titles: expected one for every page of the board, found none for {', '.join(missing)}")
    rows = [page for page in titles if page in set(pages)]
    figure, axis = plt.subplots(figsize=(5.6, 1.2 + 0.4 * len(rows)))
    axis.axvspan(-1.96, 1.96, color=MODEL_COLOURS["untrained"], alpha=0.22, lw=0)
    axis.axvline(0, color=INK, lw=0.8)
    for page, claim in zip(pages, board.itertuples(), strict=True):
        colour = MODEL_COLOURS.get(claim.model, OTHER)
        axis.plot(claim.distance, rows.index(page), "o", color=colour, mfc=colour if claim.survives else "none", ms=6.5)
    _set_distances(axis, board, [-10, 0, 3, 10, 30, 100, 1000])
    axis.set_xlabel("distance from the hardest null [SD]")
    axis.set_yticks(range(len(rows)), [textwrap.fill(titles[page], 22) for page in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", lw=0.5, alpha=0.5)
    shown = {NAMES.get(model, "toys"): MODEL_COLOURS[model] if model in NAMES else OTHER for model in board["model"]}
    handles = [axis.plot([], [], "o", color=colour, label=name)[0] for name, colour in sorted(shown.items())]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def ordered_pvalues(groups: Mapping[str, Sequence[float]], floor: float = 1e-6, level: float = 0.05) -> plt.Axes:
    """P-values in order, on a logarithmic axis, beside their expectation where every null is true: rank / (tests + 1).

    Parameters
    ----------
    groups : dict of str to sequence of float
        P-values by what is tested; the first group in grey, the last in colour.
    floor : float
        Where smaller values are drawn.
    level : float
        A dotted line.

    Returns
    -------
    matplotlib.axes.Axes
    """
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    colours = [MODEL_COLOURS["untrained"], CYCLE[0], *CYCLE[1:]]
    for (label, values), colour, marker in zip(groups.items(), colours, "so^Dv", strict=False):
        ordered = np.maximum(np.sort(np.asarray(values, dtype=float)), floor)
        ranks = np.arange(1, len(ordered) + 1)
        axis.plot(ranks, ordered, marker, color=colour, ms=5.5, label=label)
    expected = np.arange(1, len(ordered) + 1) / (len(ordered) + 1)
    axis.plot(np.arange(1, len(expected) + 1), expected, "--", color=INK, lw=1.2, label="where nothing is true")
    axis.axhline(level, color=INK, lw=0.9, ls=":")
    axis.set(yscale="log", ylim=(floor / 2, 1.6), xlabel="claims, by p", ylabel="p")
    figure.legend(loc="outside lower center", ncols=3)
    return axis


def _set_distances(axis: plt.Axes, board: pd.DataFrame, ticks: Sequence[int] = TICKS) -> None:
    """The x axis, linear near zero and logarithmic beyond, wide enough for every interval."""
    axis.set_xscale("symlog", linthresh=3, linscale=1)
    ends = np.array([board["distance_low"].min(), board["distance_high"].max()])
    ticks = [tick for tick in ticks if ends[0] * 1.5 - 3 <= tick <= ends[1] * 1.5 + 3]
    axis.set_xticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(min(-4, ends[0] * 1.5), max(4, ends[1] * 1.5))
    axis.set_xlabel("distance from the hardest null [standard deviations]")
