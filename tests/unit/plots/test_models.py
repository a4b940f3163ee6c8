"""Figures of the models: drawn, labelled, for one layer and for forty-eight, one model and three."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib.plots import models as plots
from analysis_lib.statistics import Interval

COLOURS = dict(zip("abc", ("#0a85c7", "#dd6b10", "#0a9b74"), strict=True))


@pytest.mark.parametrize("names", ["a", "abc"])
def test_training_curves(names):
    log = pd.DataFrame({"tokens": [1e6, 2e6], "train_loss": [7.0, 6.0], "heldout_loss": [7.1, 6.2]})
    logs = {name: log.assign(tokens=log["tokens"] * (i + 1)) for i, name in enumerate(names)}
    figure = plots.training_curves(logs, dict.fromkeys(names, 7.7), COLOURS)
    figure.canvas.draw()
    assert [axis.get_title(loc="left") for axis in figure.axes] == list(names)
    assert figure.axes[-1].get_xlabel() == "tokens seen [million]"
    for i, axis in enumerate(figure.axes):
        assert axis.get_ylabel() == "loss [nats a token]"
        np.testing.assert_allclose(axis.lines[1].get_xydata(), [[i + 1, 7.1], [2 * (i + 1), 6.2]])
        assert axis.get_xlim()[1] >= 2 * len(names)  # the longest run is not cut
        assert axis.lines[2].get_ydata()[0] == 7.7


@pytest.mark.parametrize("n", [1, 2, 5])
def test_development(n):
    measures = {f"m{i}": f"measure {i}" for i in range(n)}
    tables = {name: pd.DataFrame(dict.fromkeys(measures, [0.1, 0.5]), index=[1e5, 4e7]) for name in "ab"}
    figure = plots.development(tables, measures, COLOURS)
    figure.canvas.draw()
    assert [axis.get_title(loc="left") for axis in figure.axes] == list(measures.values())
    for axis in figure.axes:
        assert axis.get_xscale() == "log"
        np.testing.assert_allclose(axis.lines[1].get_xydata(), [[0.1, 0.1], [40, 0.5]])


def test_development_of_one_model_over_a_short_span_has_an_even_axis_and_no_legend():
    figure = plots.development({"a": pd.DataFrame({"loss": [6.0, 5.0]}, index=[1e7, 4e7])}, {"loss": "loss"}, COLOURS)
    assert figure.axes[0].get_xscale() == "linear"
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize("n", [1, 11])
def test_loss_by_position(n):
    losses = pd.DataFrame({"first": 2 ** np.arange(n), "loss": np.linspace(8, 5, n)})
    figure = plots.loss_by_position(losses, 7.7, COLOURS["a"])
    figure.canvas.draw()
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("position in the window [tokens]", "loss [nats a token]")
    assert [text.get_text() for text in axis.texts] == ["guessing by frequency"]
    assert [label.get_text() for label in axis.get_xticklabels()] == [str(2**k) for k in range(n)]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), losses["loss"])


@pytest.mark.parametrize("n", [1, 20])
def test_guess_shares_are_in_per_cent_with_their_intervals(n):
    shares = {f"row {i}": Interval(0.2, 0.1, 0.4) for i in range(n)}
    figure = plots.guess_shares(shares, {"row 0": COLOURS["b"]}, "tokens [%]")
    figure.canvas.draw()
    (axis,) = figure.axes
    assert axis.get_xlabel() == "tokens [%]"
    assert [label.get_text() for label in axis.get_yticklabels()] == list(shares)
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [10, 40])
    np.testing.assert_allclose(axis.lines[1].get_xdata(), [20])
    assert axis.lines[0].get_color() == COLOURS["b"]


@pytest.mark.parametrize("names", ["a", "abc"])
def test_norm_histograms_mark_the_medians(names):
    norms = {name: np.linspace(1, 2 + i, 101) for i, name in enumerate(names)}
    figure = plots.norm_histograms(norms, COLOURS)
    figure.canvas.draw()
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("norm of an embedding row", "tokens")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(names)
    np.testing.assert_allclose([line.get_xdata()[0] for line in axis.lines], [np.median(values) for values in norms.values()])


@pytest.mark.parametrize("shape", [(1, 1), (48, 16)])
def test_error_strips_have_a_point_for_each_head_and_zeros_at_the_floor(shape):
    values = np.full(shape, 1e-6)
    values[0, 0] = 0
    figure = plots.error_strips([("patterns", values, COLOURS["a"]), ("outputs", values[:, 0], COLOURS["b"])], 1e-9, "difference")
    figure.canvas.draw()
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_xscale()) == ("difference", "log")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["patterns", "outputs"]
    assert axis.lines[0].get_xdata().min() == 1e-9
    assert len(axis.lines[0].get_xdata()) == values.size


@pytest.mark.parametrize("shape", [(1, 32), (384, 384)])
def test_block_steps_has_a_bar_for_each_step(shape):
    steps = np.resize(np.arange(-8.0, 8), shape)
    steps[0, -1] = np.nan
    figure = plots.block_steps(0.01 * np.nan_to_num(steps), steps, COLOURS["a"])
    figure.canvas.draw()
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("weight", "weight / scale of its block")
    bars = [bar for bar in right.patches if bar.get_height()]
    assert len(bars) == 16
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in bars], np.arange(-8, 8), atol=0.051)
    assert sum(bar.get_height() for bar in bars) == np.isfinite(steps).sum()
