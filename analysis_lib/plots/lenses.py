"""Pictures of what a model would say after each layer."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

DARK = 0.45  # luminance below which a cell has white letters


def lens_grid(
    rows: Sequence[str],
    layers: Sequence[str],
    words: Sequence[Sequence[str]],
    kl: np.ndarray,
    limit: float = 3.0,
    most: int = 7,
) -> plt.Figure:
    """A sentence downwards, layers across: what would be said at each place after each layer, brighter where it is nearer to the end.

    Parameters
    ----------
    rows : sequence of str, n
        The token at each place.
    layers : sequence of str, m
    words : n sequences of m str
        The most probable token of each cell.
    kl : float [n, m]
        Divergence from the last layer's prediction [nats].
    limit : float
        Where the scale of colours ends.
    most : int
        Layers for whose words there is room: of more, so many are shown, evenly spread, with the first and the last.
    """
    shown = np.linspace(0, len(layers) - 1, min(most, len(layers))).round().astype(int).tolist()
    layers, words, kl = [layers[i] for i in shown], [[line[i] for i in shown] for line in words], np.asarray(kl)[:, shown]
    shades = mpl.colormaps["viridis_r"]
    figure, axis = plt.subplots(figsize=(5.8, 0.36 * len(rows) + 1.4))
    image = axis.imshow(kl, cmap=shades, vmin=0, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(kl):
        red, green, blue, _ = shades(min(float(value) / limit, 1.0))
        ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < DARK else "black"
        axis.text(column, row, _short(words[row][column]), ha="center", va="center", fontsize=min(11, 60 / len(layers)), color=ink)
    axis.set_xticks(range(len(layers)), layers)
    axis.set_yticks(range(len(rows)), rows)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_title("layer", loc="center")
    for spine in axis.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axis, location="bottom", shrink=0.6, aspect=30, pad=0.02, extend="max")
    bar.set_label("divergence from the last layer [nats]")
    return figure


def _short(word: str, letters: int = 10) -> str:
    """At most so many letters."""
    return word if len(word) <= letters else word[: letters - 1] + "…"
