"""The look of every figure: colours, sizes, transparent grounds.

Figures are drawn on nothing: the page shows through, and lines and letters are greys and hues that read on white as well as on
near-black. The hues are Okabe and Ito's, which colour-blind readers can tell apart, shifted where one of them vanished on a ground.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from analysis_lib.plots.drawn import drawn_numbers

INK = "#757575"  # text and axes: contrast 4.6 on white; book.css brightens figures in the dark, which gives 4.9 there
FAINT = "#7575754d"  # grid lines

MODEL_COLOURS = {
    "polish-gpt2": "#0a85c7",
    "herbert": "#dd6b10",
    "e5": "#0a9b74",
    "untrained": "#8c8c8c",
    "permuted": "#b07aa8",
}

CYCLE = ["#0a85c7", "#dd6b10", "#0a9b74", "#c7679f", "#a9860c", "#3597c4", "#8c8c8c"]

STYLE: dict[Any, Any] = {
    "figure.figsize": (5.6, 3.5),  # on a phone of 390 px the letters are still 10 px high
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "savefig.transparent": True,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "text.color": INK,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and has every Polish letter
    "font.size": 12,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
    "patch.edgecolor": "none",
    "svg.hashsalt": "analysis_lib",  # the same figure gives the same bytes
}


def as_written(words: Iterable[str]) -> list[str]:
    r"""Words for a figure as they are: matplotlib would read what stands between two dollars as a formula.

    Examples
    --------
    >>> as_written(["las", "$x$"])
    ['las', '\\$x\\$']
    """
    return [str(word).replace("$", r"\$") for word in words]


def use_style() -> None:
    """Set the book's style for all figures that follow; inside a notebook also ask for PNGs of twice the size and for their numbers.

    The page shows a double-size image at its nominal size, so that letters stay sharp on phones. The numbers that a figure shows go
    into the notebook with its image, as CSV in the output's metadata, and the page has a link to them.
    """
    mpl.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # a script outside Jupyter needs no inline figures
        return
    shell = get_ipython()
    if shell is not None:
        set_matplotlib_formats("retina", facecolor="none", edgecolor="none", metadata={"Software": None})
        shell.display_formatter.mimebundle_formatter.for_type(Figure, _numbers)


def _numbers(figure: Figure) -> tuple[dict[str, str], dict[str, str]]:
    """No form of the figure, and its numbers as a note: MyST-NB warns of forms that it does not know."""
    table = drawn_numbers(figure)
    return {}, {} if table.empty else {"numbers": table.to_csv(index=False, float_format="%.4g")}
