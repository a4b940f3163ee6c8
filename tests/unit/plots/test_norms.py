"""Smoke tests of the figures of norms: they draw, have labels, and take one layer as well as forty-eight."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots

NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
LAYERS = (1, 48)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(n_layers, **columns):
    """Every combination of model, layer and the columns, with an estimate, its interval and those of nulls."""
    table = pd.MultiIndex.from_product([NAMES, range(n_layers), *columns.values()], names=["model", "layer", *columns]).to_frame(
        index=False
    )
    estimate = np.linspace(0.1, 0.9, len(table))
    for name in ("", "null_", "effect_"):
        table[f"{name}low"], table[f"{name}high"] = estimate - 0.1, estimate + 0.1
    return table.assign(estimate=estimate, effect=estimate, low_all=estimate - 0.2, high_all=estimate + 0.2, filled=estimate > 0.5)


def coefficients(n_layers, **columns):
    table = rows(n_layers, lag=(1, 2, -1, -2), **columns)
    return table[(table["lag"] > 0) | (table["model"] == "herbert")].assign(term=lambda t: np.where(t["lag"] > 0, "lag", "lead"))


def norms_of(n_layers, n=300):
    return {title: np.random.default_rng(0).lognormal(size=(n_layers, n)) for title in NAMES.values()}


def of_model(table, model):
    return table[table["model"] == model]


FIGURES = {
    "regression_beside_effect": lambda n: plots.regression_beside_effect(rows(n), NAMES),
    "norm_distributions": lambda n: plots.norm_distributions(norms_of(n)),
    "position_trends": lambda n: plots.position_trends({k: {"trained": v, "untrained": v / 2} for k, v in norms_of(n, 40).items()}),
    "change_by_distance": lambda n: plots.change_by_distance(rows(n, distance=(-2, -1, 1, 2)), NAMES),
    "coefficient_steps": lambda n: plots.coefficient_steps(
        {title: {model: of_model(coefficients(n), model) for model in NAMES} for title in ("plain", "full")}, NAMES
    ),
    "coefficients_against_nulls": lambda n: plots.coefficients_against_nulls(coefficients(n, null=("untrained", "shuffled")), NAMES),
    "coefficients_by_choice": lambda n: plots.coefficients_by_choice(rows(n, choice=("one lag", "four lags")), NAMES),
    "explained_by_layer": lambda n: plots.explained_by_layer(
        rows(n, source=("trained", "untrained")).assign(partial_r2=0.3, heldout_r2=lambda t: t["estimate"]), NAMES
    ),
    "sources_and_coefficients": lambda n: plots.sources_and_coefficients(
        rows(n, source=("trained", "untrained")).assign(shared=0.5), NAMES
    ),
}


@pytest.mark.parametrize("n_layers", LAYERS)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw_and_say_what_they_show(name, n_layers):
    figure = FIGURES[name](n_layers)
    figure.canvas.draw()
    drawn = [axis for axis in figure.axes if axis.get_visible()]
    assert all(axis.has_data() for axis in drawn)
    assert any(axis.get_xlabel() for axis in drawn)
    assert any(axis.get_ylabel() for axis in drawn) or figure.get_supylabel() or name == "coefficients_by_choice"
    titles = " ".join(axis.get_title(loc="left") + axis.get_title() for axis in drawn)  # the style sets them left
    assert name == "sources_and_coefficients" or all(title in titles for title in NAMES.values())
    legends = [*figure.legends, *(axis.get_legend() for axis in drawn if axis.get_legend())]
    entries = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert 2 <= len(entries) <= 10 or n_layers == 1


def test_layers_are_labelled_from_zero():
    figure = plots.norm_distributions(norms_of(4))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["layer 0", "layer 1", "layer 2", "layer 3"]


def test_stars_are_filled_and_panels_of_a_model_share_their_axis():
    table = coefficients(4, null=("untrained", "shuffled"))
    figure = plots.coefficients_against_nulls(table, NAMES)
    assert len(figure.axes) == 6  # one direction of GPT-2, two of HerBERT, two distances each
    limits = [axis.get_ylim() for axis in figure.axes]
    assert limits[0] == limits[1]
    assert len(set(limits[2:])) == 1
    circles = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "o"]
    solid = sum(len(line.get_xdata()) for line in circles if line.get_markerfacecolor() != "none")
    assert solid == table.drop_duplicates(["model", "layer", "lag"])["filled"].sum()


def test_numbers_of_layers_stand_away_from_the_nearest_point():
    table = pd.DataFrame({"model": next(iter(NAMES)), "source": "trained", "layer": [0, 1], "shared": [0.6, 0.6], "estimate": [0.4, 0.6]})
    figure = plots.sources_and_coefficients(table.set_axis([0, 0]), NAMES)
    assert [text.get_va() for text in figure.axes[0].texts] == ["top", "bottom"]


def test_the_legend_of_the_regression_has_a_point_in_the_colour_of_every_model():
    legend = plots.regression_beside_effect(rows(2), NAMES).legends[0]
    colours = {mpl.colors.to_hex(line.get_color()) for line in legend.findobj(mpl.lines.Line2D) if line.get_marker() == "o"}
    assert colours == {plots.MODEL_COLOURS[model] for model in NAMES}
