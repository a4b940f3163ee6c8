"""Figures of neurons on text draw, are labelled, and take one layer as well as twenty-four."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from tests.support.figures import texts_of

COLOURS = {"GPT-2": "blue", "HerBERT": "red"}


@pytest.mark.parametrize("layers", [1, 24])
def test_firing_by_layer(layers):
    table = pd.concat(
        [pd.DataFrame({"model": model, "layer": range(layers), "own": 0.5, "low": 0.4, "high": 0.6, "others": 0.1}) for model in COLOURS]
    )
    figure = plots.firing_by_layer(table, COLOURS)
    assert all(word in texts_of(figure) for word in ("GPT-2", "HerBERT", "layer", "share of places that fit", "other neurons"))
    own, others = figure.axes[1].lines[0], figure.axes[1].lines[-1]
    np.testing.assert_array_equal(own.get_ydata(), [0.5] * layers)
    np.testing.assert_array_equal(others.get_ydata(), [0.1] * layers)
    assert len(figure.axes[0].get_xticks()) <= 13


@pytest.mark.parametrize("rows", [1, 12])
def test_rises_by_value(rows):
    ends = [(-0.1, 0.2)] * rows
    part = pd.DataFrame({"value of": "L0N3", "list": "-go", "own value": 0.5, "random directions": ends, "other values": ends})
    figure = plots.rises_by_value(pd.concat([part.assign(model=model) for model in COLOURS]), COLOURS)
    assert all(word in texts_of(figure) for word in ("L0N3  -go", "random directions", "other values", "GPT-2's value"))
    first = figure.axes[0].collections[0].get_segments()
    assert [segment[:, 0].tolist() for segment in first] == [[-0.1, 0.2]] * rows
