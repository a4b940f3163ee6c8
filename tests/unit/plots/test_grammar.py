"""Figures of grammar draw, are labelled, and take other numbers of heads and relations."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers
from tests.support.figures import texts_of

COLOURS = {"GPT-2": "#0a85c7", "HerBERT": "#dd6b10"}


def scored(heads, relations):
    rng = np.random.default_rng(0)
    rows = [(layer, head, name, rng.normal(), head == 0) for layer in range(2) for head in range(heads) for name in relations]
    return pd.DataFrame(rows, columns=["layer", "head", "relation", "excess", "passes"])


@pytest.mark.parametrize("heads", [1, 16])
def test_relation_rows(heads):
    relations = ["noun to genitive", "antonym"]
    tables = {model: scored(heads, relations) for model in COLOURS}
    figure = plots.relation_rows(tables, tables, COLOURS, [("GPT-2", 1, 0)])
    shown = texts_of(figure)
    assert all(word in shown for word in [*relations, *COLOURS, "random heads", "L1H0", "stands out", "excess"])
    for axis, named in zip(figure.axes, (2, 0), strict=True):
        diamonds = [line for line in axis.lines if line.get_marker() == "D" and len(line.get_xdata())]
        assert sum(len(line.get_xdata()) for line in diamonds) == named
        assert all(line.get_markerfacecolor() == plots.INK for line in diamonds)  # head 0 passes
        points = sum(len(line.get_xdata()) for line in axis.lines if line.get_marker() in {"o", "D"})
        assert points == 2 * heads * len(relations)  # each head once in each row


def test_effect_maps():
    table = pd.DataFrame(np.linspace(-1, 2, 12).reshape(2, 6), index=["case", "number"], columns=[f"L{i // 3}H{i % 3}" for i in range(6)])
    figure = plots.effect_maps({"GPT-2": table, "zero": table * 0}, "effect (logits)")
    shown = texts_of(figure)
    assert all(word in shown for word in ("GPT-2", "case", "L1H2", "effect (logits)", "\N{MINUS SIGN}2.00", "0.60"))


def test_of_many_heads_some_are_named_and_the_numbers_name_all():
    names = [f"L{layer}H{head}" for layer in range(12) for head in (1, 5, 7)]
    figure = plots.effect_maps({"GPT-2": pd.DataFrame(np.full((2, 36), 0.001), columns=names)}, "effect (logits)")
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels() if label.get_visible()]
    assert shown == [f"L{layer}H1" for layer in range(12)]  # the same head of each
    assert list(drawn_numbers(figure)["x"]) == names * 2
    assert "0.001" in texts_of(figure)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == list(range(3, 36, 3))  # L1 and L10 are two layers


def test_predicted_effects():
    table = pd.DataFrame({"name": ["L0H0", "L0H0", "L0H1"], "table": [1.0, 2.0, 0.0], "effect": [3.0, -4.0, 0.1]})
    figure = plots.predicted_effects({"GPT-2": table}, COLOURS, "table", "effect", named=2)
    shown = texts_of(figure)
    assert shown.count("L0H0") == 1  # no name twice
    assert all(word in shown for word in ("L0H1", "table", "effect", "GPT-2"))
