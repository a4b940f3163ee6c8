"""Figures of heads draw, are labelled, and take one head as well as forty-eight layers."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers
from tests.support.figures import texts_of

SIZES = [(1, 1), (48, 16)]
COLOURS = {"GPT-2": "#0a85c7", "HerBERT": "#dd6b10"}


def heads(layers, per_layer, **columns):
    layer, head = np.indices((layers, per_layer)).reshape(2, -1)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"layer": layer, "head": head})
    return table.assign(**{name: rng.normal(size=len(table)) if value is None else value for name, value in columns.items()})


@pytest.mark.parametrize("size", SIZES)
def test_shares_by_layer(size):
    table = pd.concat([heads(*size, matrix=matrix, share=0.1) for matrix in ("QK", "VO")])
    nulls = {"random\nheads": np.array([0.0, 0.02]), "likeness": np.array([0.5])}
    figure = plots.shares_by_layer(table, nulls, ("bare embedding", 0.9), {("QK", 0, 0): "L0H0"}, COLOURS["GPT-2"])
    shown = texts_of(figure)
    assert all(word in shown for word in ("L0H0", "bare embedding", "likeness", "QK of a head", "VO of a head", "layer"))
    assert shown.count("L0H0") == 1
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_linestyle() == "None")
    assert drawn == len(table) + 3


@pytest.mark.parametrize("size", SIZES)
def test_share_strips(size):
    table = heads(*size, relation="case", source="trained").assign(share=lambda t: np.linspace(0.2, 0.8, len(t)))
    table = pd.concat([table, table.assign(source="random heads", share=np.nan)])
    tables = {"GPT-2": table, "HerBERT": table.assign(share=1 - table["share"])}
    shades = {title: {"trained": colour, "random heads": "gray"} for title, colour in COLOURS.items()}
    figure = plots.share_strips(tables, {"case": "agree in case", "person": "no data"}, shades)
    shown = texts_of(figure)
    assert all(word in shown for word in ("GPT-2", "HerBERT", "agree in case", "share of pairs (%)", "random heads"))
    points = drawn_numbers(figure).query("mark == 'points'")
    np.testing.assert_allclose(points["share of pairs (%)"], 100 * pd.concat(tables.values())["share"].dropna())
    assert set(points["y"]) == {"agree in case"}


def test_weights_against_text():
    table = pd.DataFrame({"weights": [0.1, 0.2], "text": [0.0, 0.4], "low": [0.0, 0.3], "high": [0.1, 0.5]}, index=["L0H0", "L0H1"])
    shown = texts_of(plots.weights_against_text(table, ["L0H1"], COLOURS["GPT-2"], "weights", "text"))
    assert "L0H1" in shown
    assert "L0H0" not in shown


@pytest.mark.parametrize("n", [2, 12])
def test_word_patterns(n):
    figure = plots.word_patterns({"L0H0": np.eye(n), "L1H1": np.eye(n)}, [f"word{i}" for i in range(n)], marked=[1])
    shown = texts_of(figure)
    assert all(word in shown for word in ("L0H0", "L1H1", "word0", "attention (%)"))
    assert [label.get_fontweight() for label in figure.axes[0].get_xticklabels()][:2] == ["normal", "bold"]


@pytest.mark.parametrize("size", SIZES)
def test_points_by_layer(size):
    table = pd.concat([heads(*size, model=model) for model in COLOURS]).assign(score=lambda t: np.linspace(-1, 1, len(t)))
    figure = plots.points_by_layer(table, table.assign(score=2 * table["score"]), "score", "copying score", COLOURS)
    assert all(word in texts_of(figure) for word in ("GPT-2", "HerBERT", "copying score", "layer"))
    assert figure.axes[0].get_xticks().min() == 0
    assert len(figure.axes[0].get_xticks()) <= 13
    own = [table.loc[table["model"] == model, "score"] for model in COLOURS]
    expected = np.concatenate([np.r_[2 * scores, scores] for scores in own])  # the control first
    np.testing.assert_allclose(drawn_numbers(figure)["y"], expected)


@pytest.mark.parametrize("size", SIZES)
def test_against_control(size):
    table = heads(*size, model="GPT-2", low=0.2, high=0.4, control=0.1, control_anywhere=0.05)
    table["recall"] = np.linspace(0.25, 0.35, len(table))
    table.loc[0, ["recall", "low", "high"]] = np.nan if len(table) > 1 else 0.3
    controls = {"control": "within", "control_anywhere": "anywhere"}
    figure = plots.against_control(table, COLOURS, controls, "recall")
    assert all(word in texts_of(figure) for word in ("within", "anywhere", "recall", "GPT-2"))
    assert len(figure.axes) == 2
    intervals = drawn_numbers(figure).query("mark == 'interval'")
    for control, label in controls.items():
        own = intervals.loc[intervals["panel"] == label, ["x", "y", "y (low)", "y (high)"]]
        np.testing.assert_allclose(own, table[[control, "recall", "low", "high"]])
