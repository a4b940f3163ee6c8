"""Figures of heads draw, are labelled, and take one head as well as forty-eight layers."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from tests.support.figures import texts_of

SIZES = [(1, 1), (48, 16)]
COLOURS = {"GPT-2": "#0a85c7", "HerBERT": "#dd6b10"}


def heads(layers, per_layer, **columns):
    layer, head = np.indices((layers, per_layer)).reshape(2, -1)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"layer": layer, "head": head})
    return table.assign(**{name: rng.normal(size=len(table)) if value is None else value for name, value in columns.items()})


@pytest.mark.parametrize("size", SIZES)
def test_excesses(size):
    table = heads(*size, relation="case", excess=None, passes=False, source="trained")
    table.loc[0, "passes"] = True
    table = pd.concat([table, table.assign(source="random heads", excess=np.nan)])
    shades = {title: {"trained": colour, "random heads": "gray"} for title, colour in COLOURS.items()}
    figure = plots.excesses({"GPT-2": table, "HerBERT": table}, {"case": "agree in case", "person": "no data"}, shades, "excess")
    shown = texts_of(figure)
    assert all(word in shown for word in ("GPT-2", "HerBERT", "agree in case", "excess", "random heads"))
    filled = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == COLOURS["GPT-2"] and line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in filled) == 1


@pytest.mark.parametrize("size", SIZES)
def test_points_by_layer(size):
    table = pd.concat([heads(*size, model=model, score=None) for model in COLOURS])
    figure = plots.points_by_layer(table, table, "score", "copying score", COLOURS)
    assert all(word in texts_of(figure) for word in ("GPT-2", "HerBERT", "copying score", "layer"))
    assert figure.axes[0].get_xticks().min() == 0
    assert len(figure.axes[0].get_xticks()) <= 13


@pytest.mark.parametrize("layers", [1, 48])
def test_depth_profiles(layers):
    table = pd.DataFrame({"panel": "VO case", "model": "GPT-2", "depth": np.linspace(0, 1, layers), "mean": 0.1, "low": 0.0, "high": 0.2})
    figure = plots.depth_profiles(table, {"VO case": "VO, case", "QK case": "QK, case"}, {"GPT-2": ("black", "-")}, "excess share")
    assert all(word in texts_of(figure) for word in ("VO, case", "QK, case", "GPT-2", "excess share"))


@pytest.mark.parametrize("size", SIZES)
def test_against_control(size):
    table = heads(*size, model="GPT-2", recall=0.3, low=0.2, high=0.4, control=0.1, control_anywhere=0.05)
    table.loc[0, ["recall", "low", "high"]] = np.nan if len(table) > 1 else 0.3
    figure = plots.against_control(table, COLOURS, {"control": "within", "control_anywhere": "anywhere"}, "recall")
    assert all(word in texts_of(figure) for word in ("within", "anywhere", "recall", "GPT-2"))
    assert len(figure.axes) == 2


@pytest.mark.parametrize("heads_in_all", [1, 768])
def test_strips(heads_in_all):
    figure = plots.strips({"GPT-2 VO raw": np.arange(heads_in_all), "HerBERT QK raw": np.arange(heads_in_all)}, "distinct tokens")
    assert all(word in texts_of(figure) for word in ("GPT-2 VO raw", "HerBERT QK raw", "distinct tokens"))
