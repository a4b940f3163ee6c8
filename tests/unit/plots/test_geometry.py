"""Figures of geometry: drawn, labelled, for one layer and for forty-eight."""

import numpy as np
import pytest

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers
from analysis_lib.statistics import Profile

STYLES = {"trained": ("#0a85c7", "-"), "untrained": ("#8c8c8c", "--")}


def profile(n_layers, seed=0):
    return Profile(np.linspace(seed, seed + 1, n_layers), np.random.default_rng(seed).normal(size=(20, n_layers)))


@pytest.mark.parametrize("n_layers", [1, 48])
def test_panels_have_labels_lines_bands_and_filled_points(n_layers):
    names = ["embed", *map(str, range(1, n_layers))]
    lines, others = ({label: profile(n_layers, seed) for seed, label in enumerate(STYLES, first)} for first in (0, 2))
    filled = {"trained": np.arange(n_layers) % 2 == 0, "untrained": np.zeros(n_layers, dtype=bool)}
    figure = plots.layer_panels(
        {"cosine": {"GPT-2": lines}, "IsoScore": {"GPT-2": others}}, {"GPT-2": names}, STYLES, {"GPT-2": filled}, zero=True
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
    assert ticks[0] == "embed" or n_layers == 1
    assert len(ticks) <= 13
    found, profiles = drawn_numbers(figure), [*lines.values(), *others.values()]
    np.testing.assert_allclose(found.loc[found["mark"] == "line", "y"], np.concatenate([one.estimate for one in profiles]))
    bands = found.loc[found["mark"] == "band", ["y (low)", "y (high)"]]
    np.testing.assert_allclose(bands, np.concatenate([np.stack([one.low, one.high], axis=1) for one in profiles]))


def test_narrow_panels_have_fewer_labels_of_layers():
    names = ["embed", *map(str, range(1, 13))]
    columns = {title: {"trained": profile(13)} for title in "abc"}
    figure = plots.layer_panels({"cosine": columns}, dict.fromkeys(columns, names), STYLES)
    figure.canvas.draw()
    shown = [[tick.get_text() for tick in axis.get_xticklabels()] for axis in figure.axes]
    assert all(labels[0] == "embed" and labels[-1] == "12" and 4 <= len(labels) <= 7 for labels in shown)


@pytest.mark.parametrize("n_columns", [2, 3])
def test_labels_of_layers_do_not_overlap(n_columns):
    names = ["embed", "1", "2", "3", "4", "4+ln_f"]
    columns = {title: {"trained": profile(6)} for title in "abc"[:n_columns]}
    figure = plots.layer_panels({"cosine": columns}, dict.fromkeys(columns, names), STYLES)
    figure.canvas.draw()
    for axis in figure.axes:
        boxes = [tick.get_window_extent() for tick in axis.get_xticklabels()]
        assert all(before.x1 < after.x0 for before, after in zip(boxes, boxes[1:], strict=False))
        assert axis.get_xticklabels()[-1].get_text() == "4\n+ln_f"


def test_word_planes_say_what_they_keep_and_draw_every_occurrence():
    points = np.random.default_rng(0).normal(size=(5, 2))
    rows = {name: [("embed", points, 0.6), ("1", points, 0.25)] for name in ("e5", "untrained")}
    figure = plots.word_planes(rows, ["a", "a", "b", "b", "b"], {"a": ("#0a85c7", "o"), "b": ("#dd6b10", "s")}, ["x", "y", "x", "y", "y"])
    figure.canvas.draw()
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["embed, 60% kept", "1, 25% kept"] * 2
    assert [sorted(len(line.get_xdata()) for line in axis.lines) for axis in figure.axes] == [[2, 3]] * 4
    assert [text.get_text() for text in figure.axes[0].texts] == ["x", "y"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


@pytest.mark.parametrize("n_texts", [1, 500])
def test_pair_bias_has_a_point_for_each_text(n_texts):
    counts = np.linspace(5, 500, n_texts)
    figure = plots.pair_bias({"GPT-2": (counts, 1 / counts)}, {"GPT-2": "#0a85c7"}, "tokens", "added")
    figure.canvas.draw()
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xscale(), axis.get_yscale()) == ("tokens", "added", "log", "log")
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 1 / counts)


@pytest.mark.parametrize("n_layers", [1, 4, 13])
def test_sentence_planes_draw_every_word_in_every_layer_and_name_all_in_the_first_and_the_last(n_layers):
    points = np.random.default_rng(0).normal(size=(n_layers, 4, 2))
    words = ["dwa", "psy", "i", "pies"]
    figure = plots.sentence_planes([(str(layer), points[layer], 0.4) for layer in range(n_layers)], words, [1, 3])
    figure.canvas.draw()
    assert len(figure.axes) == n_layers
    for layer, axis in enumerate(figure.axes):
        everything, named = axis.lines
        np.testing.assert_array_equal(everything.get_xydata(), points[layer])
        np.testing.assert_array_equal(named.get_xydata(), points[layer, [1, 3]])
        written = [text.get_text() for text in axis.texts]
        assert written == (words if layer in (0, n_layers - 1) else ["psy", "pies"])
    assert figure.axes[-1].get_title(loc="left") == f"{n_layers - 1}, 40% kept"
