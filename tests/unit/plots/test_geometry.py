"""Figures of geometry: drawn, labelled, for one layer and for forty-eight."""

import numpy as np
import pytest

from analysis_lib import plots
from analysis_lib.statistics import Profile

STYLES = {"trained": ("#0a85c7", "-"), "untrained": ("#8c8c8c", "--")}


def profile(n_layers):
    return Profile(np.linspace(0, 1, n_layers), np.random.default_rng(0).normal(size=(20, n_layers)))


@pytest.mark.parametrize("n_layers", [1, 48])
def test_panels_have_labels_lines_bands_and_filled_points(n_layers):
    names = ["embed", *map(str, range(1, n_layers))]
    lines = {label: profile(n_layers) for label in STYLES}
    filled = {"trained": np.arange(n_layers) % 2 == 0, "untrained": np.zeros(n_layers, dtype=bool)}
    figure = plots.layer_panels(
        {"cosine": {"GPT-2": lines}, "IsoScore": {"GPT-2": lines}}, {"GPT-2": names}, STYLES, {"GPT-2": filled}, zero=True
    )
    figure.canvas.draw()
    above, below = figure.axes
    assert (above.get_title(loc="left"), above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == (
        "GPT-2",
        "cosine",
        "IsoScore",
        "layer",
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(STYLES)
    assert len(above.collections) == 2  # a band for each line
    drawn = [len(line.get_xdata()) for line in above.lines]  # two lines, the filled points of each, the zero line
    assert sorted(drawn) == sorted([n_layers, n_layers, (n_layers + 1) // 2, 0, 2])
    ticks = [tick.get_text() for tick in below.get_xticklabels()]
    assert ticks[0] == "emb"
    assert len(ticks) <= 9


def test_narrow_panels_have_fewer_labels_of_layers():
    names = ["embed", *map(str, range(1, 13))]
    columns = {title: {"trained": profile(13)} for title in "abc"}
    figure = plots.layer_panels({"cosine": columns}, dict.fromkeys(columns, names), STYLES)
    figure.canvas.draw()
    assert [[tick.get_text() for tick in axis.get_xticklabels()] for axis in figure.axes] == [["emb", "3", "6", "9", "12"]] * 3


@pytest.mark.parametrize("n_texts", [1, 500])
def test_pair_bias_has_a_point_for_each_text(n_texts):
    counts = np.linspace(5, 500, n_texts)
    figure = plots.pair_bias({"GPT-2": (counts, 1 / counts)}, {"GPT-2": "#0a85c7"}, "tokens", "added")
    figure.canvas.draw()
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xscale(), axis.get_yscale()) == ("tokens", "added", "log", "log")
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 1 / counts)
