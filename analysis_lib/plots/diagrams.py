"""Drawings that explain: a block of each architecture, and how tokenizers cut a sentence."""

import textwrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from analysis_lib.plots.style import INK


def draw_block(axes: plt.Axes, title: str, colour: str, pre_norm: bool, ends: tuple[str, str]) -> None:
    """One transformer block on its residual stream, read from the bottom up.

    Parameters
    ----------
    axes : Axes
        Emptied of ticks and frame.
    title, colour : str
        The model's name and its colour.
    pre_norm : bool
        GPT-2 normalises what a module *reads*; BERT normalises the *sum* of stream and module.
    ends : (str, str)
        What stands below the first and above the last block.
    """
    axes.set(xlim=(-0.12, 1), ylim=(-0.7, 10.6), title=title)
    axes.axis("off")
    axes.annotate("", (0, 10.3), (0, -0.1), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 2.5}, zorder=1)
    mark: dict[str, Any] = {"ls": "none", "ms": 15, "mfc": colour, "mec": colour, "zorder": 3}
    letter: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": "white", "weight": "bold", "zorder": 4}
    for bottom, module in ((0.9, "attention"), (5.2, "feed-forward")):
        boxes = ["layer norm", module] if pre_norm else [module]
        joins = bottom + 0.6 + 1.1 * len(boxes)
        path = [bottom, *(bottom + 0.55 + 1.1 * i + d for i in range(len(boxes)) for d in (-0.15, 0.6)), joins]
        for low, high in zip(path[::2], path[1::2], strict=True):
            axes.plot([0.55, 0.55], [low, high], color=colour, lw=1.6)
        axes.plot([0, 0.55], [bottom, bottom], color=colour, lw=1.6)
        axes.plot([0, 0.55], [joins, joins], color=colour, lw=1.6)
        for low, text in zip(path[1::2], boxes, strict=False):
            tint = "none" if text == "layer norm" else colour + "26"
            axes.add_patch(mpl.patches.Rectangle((0.27, low), 0.56, 0.75, fc=tint, ec=colour, lw=1.4))
            axes.text(0.55, low + 0.36, text, ha="center", va="center", fontsize=10.5)
        axes.plot(0, joins, marker="o", **mark)
        axes.text(0, joins, "+", fontsize=13, **letter)
        if not pre_norm:
            axes.plot(0, joins + 0.95, marker="s", **mark)
            axes.text(0, joins + 0.95, "N", fontsize=10, **letter)
            axes.text(0.12, joins + 0.95, "layer norm", va="center", fontsize=10.5)
    axes.text(0.08, -0.4, ends[0], va="center", fontsize=10)
    axes.text(0.08, 10.0, ends[1], va="center", fontsize=10)


def draw_pieces(rows: list[tuple[str, list[list[str]]]], colours: list[str], columns: int = 64) -> plt.Figure:
    """Sentences cut into pieces, one box for each piece, broken into lines like a text.

    Parameters
    ----------
    rows : list of (title, pieces of each tokenizer)
        For every sentence, its pieces under each tokenizer, in the order of `colours`.
    colours : list of str
        One for each tokenizer.
    columns : int
        Number of letters in a line.

    Returns
    -------
    Figure
    """
    placed: list[tuple[float, float, str, str | None]] = []  # line, column, text, colour
    line = 0.0
    for title, cuts in rows:
        for part in textwrap.wrap(title, columns):
            placed.append((line, 0, part, None))
            line += 1.1
        for pieces, colour in zip(cuts, colours, strict=True):
            column = 0.5
            for piece in pieces:
                if column + len(piece) + 0.6 > columns:
                    line, column = line + 1.25, 0.5
                placed.append((line, column, piece, colour))
                column += len(piece) + 1.1
            line += 1.4
        line += 0.35
    size = 5.6 / columns / 0.602 * 72  # a letter of the monospaced font is 0.602 of its size wide
    figure = plt.figure(figsize=(5.6, line * size * 1.65 / 72), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.2, columns + 0.2), ylim=(line - 0.6, -0.8))
    axes.axis("off")
    for y, x, text, tint in placed:
        if tint:
            style: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.25", "fc": tint + "1c", "ec": tint, "lw": 0.9}
            axes.add_patch(mpl.patches.FancyBboxPatch((x - 0.25, y - 0.45), len(text) + 0.5, 0.9, **style))
            axes.text(x + len(text) / 2, y + 0.03, text, ha="center", va="center", family="DejaVu Sans Mono", size=size * 0.97)
        else:
            axes.text(x, y + 0.03, text, va="center", size=size, style="italic")
    return figure
