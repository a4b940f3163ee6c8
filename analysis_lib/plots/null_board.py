"""The null board: every claim of the book in one picture."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis_lib.plots.style import CYCLE, INK, MODEL_COLOURS

TICKS = [-30, -10, -3, 0, 3, 10, 30, 100, 300, 1000]
LETTERS = 58  # of a line of a claim
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT", "e5": "e5"}
CALLED = {model: [name] for model, name in NAMES.items()}
CALLED |= {"minigpt": ["The toy"], "minigpt-polish": ["minigpt-polish", "The Polish two-layer model"]}
OTHER = "#a9860c"  # models without a colour of their own


def null_board(board: pd.DataFrame) -> plt.Figure:
    """Claims as rows: how far the trained value lies beyond its nulls, in standard deviations of their difference.

    A claim that is made of several models has one row, with a point for each.

    Parameters
    ----------
    board : DataFrame
        As `report.board` gives it: `claim`, `model`, `distance`, `distance_low`, `distance_high`, `survives`, and `nulls`.
    """
    wording = _shared_wording(board)
    order = board.groupby(wording, sort=False)[["survives", "distance"]].max()
    order = order.sort_values(["survives", "distance"], ascending=False, kind="stable")
    # Narrow, so that a phone shows its letters large enough; a claim takes one line or two, and each of its models some room.
    texts = [textwrap.fill(claim, LETTERS) for claim in order.index]
    sizes = wording.value_counts()
    above = np.array([0.15 * (1 + text.count("\n")) for text in texts])
    heights = above + [0.1 * sizes[claim] + 0.1 for claim in order.index]
    tops = dict(zip(order.index, np.cumsum(heights) - heights, strict=True))
    figure, axis = plt.subplots(figsize=(4.5, heights.sum() + 1.2))
    axis.axvspan(-1.96, 1.96, color=MODEL_COLOURS["untrained"], alpha=0.12, lw=0)
    ends = np.cumsum(heights)
    axis.vlines(np.zeros(len(ends)), ends - heights + above, ends - 0.05, color=INK, lw=0.8)  # beside points, not through words
    for (claim, top), text, room in zip(tops.items(), texts, above, strict=True):
        axis.text(0.005, top + room, text, transform=axis.get_yaxis_transform(), fontsize=9.5, va="bottom", linespacing=1.0)
        for place, row in enumerate(board[wording == claim].itertuples()):
            _claim(axis, row, top + room + 0.08 + 0.1 * place)
    survivors = int(order["survives"].sum())
    if 0 < survivors < len(order):
        axis.axhline(heights[:survivors].sum(), color=INK, lw=0.8, ls=":")
    _set_distances(axis, board)
    axis.set(ylim=(heights.sum(), -0.05), yticks=[])
    axis.spines["left"].set_visible(False)
    _legend(figure, axis, board)
    return figure


def _claim(axis: plt.Axes, row: Any, place: float) -> None:
    """One claim's nulls, interval and point."""
    colour = MODEL_COLOURS.get(row.model, OTHER)
    for mean, spread in row.nulls.values():
        ends = [mean - 1.96 * spread, mean + 1.96 * spread]
        axis.plot(ends, [place, place], color=MODEL_COLOURS["untrained"], lw=4, alpha=0.5, solid_capstyle="butt")
    axis.plot([row.distance_low, row.distance_high], [place, place], color=colour, lw=1.6)
    axis.plot(row.distance, place, "o", color=colour, mfc=colour if row.survives else "none", ms=6)


def _shared_wording(board: pd.DataFrame) -> pd.Series:
    """Claims without the name of their model, where several models share one; the others as they are."""
    bare = pd.Series([_without_name(row.claim, CALLED.get(row.model, [])) for row in board.itertuples()], index=board.index)
    return bare.where(bare.duplicated(keep=False), board["claim"])


def _without_name(claim: str, names: Sequence[str]) -> str:
    for name in names:
        claim = claim.removeprefix(f"{name}: ")
        claim = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "the model", claim)
    return claim[:1].upper() + claim[1:]


def null_board_by_chapter(board: pd.DataFrame, titles: Mapping[str, str]) -> plt.Figure:
    """The board at a glance: a row for each chapter, a point for each of its claims.

    Parameters
    ----------
    board : DataFrame
        As for `null_board`, with `section`, whose page names the chapter.
    titles : dict of str to str
        Page, without ".html", to the title of its row, one line; rows stand in this order.

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
    figure, axis = plt.subplots(figsize=(5.6, 0.9 + 0.24 * len(rows)))  # seventeen rows stand on the first screen
    axis.axvspan(-1.96, 1.96, color=MODEL_COLOURS["untrained"], alpha=0.22, lw=0)
    axis.axvline(0, color=INK, lw=0.8)
    for page, claim in zip(pages, board.itertuples(), strict=True):
        colour = MODEL_COLOURS.get(claim.model, OTHER)
        axis.plot(claim.distance, rows.index(page), "o", color=colour, mfc=colour if claim.survives else "none", ms=6.5)
    _set_distances(axis, board, [-10, 0, 3, 10, 100, 1000])
    axis.set_yticks(range(len(rows)), [titles[page] for page in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", lw=0.5, alpha=0.5)
    _legend(figure, axis, board)
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


def _legend(figure: plt.Figure, axis: plt.Axes, board: pd.DataFrame) -> None:
    """The colours of the models, below the picture."""
    shown = {NAMES.get(model, "toys"): MODEL_COLOURS.get(model, OTHER) if model in NAMES else OTHER for model in board["model"]}
    handles = [axis.plot([], [], "o", color=colour, label=name)[0] for name, colour in sorted(shown.items())]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def _set_distances(axis: plt.Axes, board: pd.DataFrame, ticks: Sequence[int] = TICKS) -> None:
    """The x axis, linear near zero and logarithmic beyond, wide enough for every interval."""
    axis.set_xscale("symlog", linthresh=3, linscale=1)
    ends = np.array([board["distance_low"].min(), board["distance_high"].max()])
    ticks = [tick for tick in ticks if ends[0] * 1.5 - 3 <= tick <= ends[1] * 1.5 + 3]
    axis.set_xticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(min(-4, ends[0] * 1.5), max(4, ends[1] * 1.5))
    axis.set_xlabel("distance from the hardest null [SD]")
