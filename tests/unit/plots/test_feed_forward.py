"""Figures of neurons draw, are labelled, and take one layer as well as forty-eight."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from tests.support.figures import texts_of


@pytest.mark.parametrize("layers", [1, 48])
def test_overlaps_by_layer(layers):
    table = pd.DataFrame(
        {"model": "gpt2", "pair": "key, value", "layer": range(layers), "estimate": 0.2, "low": 0.1, "high": 0.3, "shuffled": 0.1}
    )
    figure = plots.overlaps_by_layer(table, {"key, value": "black"}, {"gpt2": "GPT-2"})
    assert all(word in texts_of(figure) for word in ("GPT-2", "layer", "mean Jaccard index", "key, value"))
    assert figure.axes[0].get_xticks()[0] == 0
    assert len(figure.axes[0].get_xticks()) <= 13


@pytest.mark.parametrize("layers", [1, 48])
def test_percent_maps(layers):
    columns = [f"{side}{layer}" for side in "KV" for layer in range(layers)] + ["rand."]
    table = pd.DataFrame(np.linspace(0, 0.2, 2 * len(columns)).reshape(2, -1), index=["any kind", "case"], columns=columns)
    assert all(word in texts_of(plots.percent_maps({"GPT-2": table})) for word in ("GPT-2", "any kind", "case", "K0"))


def test_labels_of_narrow_columns_do_not_touch():
    columns = [f"{side}{layer}" for side in "KV" for layer in range(6)] + ["like", "rand.", "untr."]
    figure = plots.percent_maps({"GPT-2": pd.DataFrame(np.full((9, 15), 0.1), columns=columns)})
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    lines = [label.get_text().startswith("\n") for label in figure.axes[0].get_xticklabels()]
    for line in (False, True):
        own = [box for box, lower in zip(boxes, lines, strict=True) if lower == line]
        assert all(before.x1 < after.x0 for before, after in zip(own, own[1:], strict=False))


@pytest.mark.parametrize("rows", [1, 16])
def test_counts_against_chance(rows):
    tokens = "mego swego własnego twego dobrego twojego swojego ludzkiego"
    table = pd.DataFrame({"shared": ["ending: -go"] * rows, "count": 16, "size": 20, "expected": 0.3, "tokens": tokens})
    figure = plots.counts_against_chance({"GPT-2": table, "HerBERT": table}, {"GPT-2": "blue", "HerBERT": "red"}, words=20)
    shown = texts_of(figure)
    assert all(word in shown for word in ("GPT-2", "HerBERT", "ending: -go", "mego swego własnego …", "by chance", "GPT-2's list"))
    assert "twojego" not in shown


def test_a_model_without_lists_that_pass_has_a_panel_that_says_so():
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in ("shared", "count", "size", "expected", "tokens", "random")})
    figure = plots.counts_against_chance({"GPT-2": empty, "HerBERT": empty}, {"GPT-2": "blue", "HerBERT": "red"})
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["no list passes"] * 2
    figure.canvas.draw()


def test_survival():
    samples = {"own": (np.array([0.0, 0.1, 0.2]), "blue", "-"), "shuffled": (np.zeros((10, 3)), "gray", "--")}
    figure = plots.survival({"GPT-2": samples}, "Jaccard index", "share of neurons")
    assert all(word in texts_of(figure) for word in ("GPT-2", "Jaccard index", "share of neurons", "own", "shuffled"))
    first = figure.axes[0].lines[0]
    np.testing.assert_allclose(first.get_ydata(), [1, 2 / 3, 1 / 3])


def test_random_lists_stand_beside_chance():
    table = pd.DataFrame({"shared": ["ending: -go"], "count": 16, "size": 20, "expected": 0.3, "random": 9, "tokens": "mego swego"})
    figure = plots.counts_against_chance({"GPT-2": table}, {"GPT-2": "blue"})
    assert "most in a random vector's list" in texts_of(figure)
    assert 9 in [line.get_xdata()[0] for line in figure.axes[0].lines]


def test_a_card_shows_lists_contexts_and_verdict_and_lets_no_markup_through():
    contexts = pd.DataFrame({"before": ["<b>od "], "word": ["dobrego"], "after": [" dnia"], "strength": [1.234]})
    cards = plots.NeuronCards([plots.NeuronCard("L0N3", {"the key": ["mego", "swego"]}, contexts, "12 of 12 & more")] * 2)
    page = cards._repr_html_()
    assert page.count("<details") == page.count("</details>") == 2
    assert page.count(" open ") == 1
    assert "&lt;b&gt;od " in page
    assert "12 of 12 &amp; more" in page
    assert '<strong>dobrego</strong></td><td style="text-align:left"> dnia</td><td>1.23' in page
    assert "mego, swego" in repr(cards)
    assert "<b>od [dobrego] dnia" in repr(cards)
