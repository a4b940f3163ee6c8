"""Figures of norms: they draw, have labels, take one layer as well as forty-eight, and show the numbers that they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers

NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
LAYERS = (1, 48)


def rows(n_layers, **columns):
    """Every combination of model, layer and the columns, with estimates and intervals of which no two kinds are the same."""
    table = pd.MultiIndex.from_product([NAMES, range(n_layers), *columns.values()], names=["model", "layer", *columns]).to_frame(
        index=False
    )
    estimate = np.linspace(0.1, 0.9, len(table))
    effect, across = estimate[::-1], estimate / 2
    for name, centre in {"": estimate, "null_": 0.3 * estimate, "effect_": effect, "across_": across}.items():
        table[f"{name}low"], table[f"{name}high"] = centre - 0.1, centre + 0.1
    wide = {"low_all": estimate - 0.2, "high_all": estimate + 0.2}
    return table.assign(estimate=estimate, effect=effect, across=across, filled=estimate > 0.5, **wide)


def coefficients(n_layers, **columns):
    table = rows(n_layers, lag=(1, 2, -1, -2), **columns)
    return table[(table["lag"] > 0) | (table["model"] == "herbert")].assign(term=lambda t: np.where(t["lag"] > 0, "lag", "lead"))


def norms_of(n_layers, n=300):
    rng = np.random.default_rng(0)
    return {title: rng.lognormal(size=(n_layers, n)) for title in NAMES.values()}


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
    if name == "coefficients_by_choice":  # its vertical axis has the choices
        assert [label.get_text() for label in drawn[0].get_yticklabels()] == ["one lag", "four lags"]
    else:
        assert any(axis.get_ylabel() for axis in drawn) or figure.get_supylabel()
    legends = [*figure.legends, *(axis.get_legend() for axis in drawn if axis.get_legend())]
    entries = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert min(2, n_layers) <= len(entries) <= 10  # the only entry may be the only layer
    titles = [axis.get_title(loc="left") + axis.get_title() for axis in drawn]  # the style sets them left
    named = " ".join(entries if name == "sources_and_coefficients" else titles)  # of its one panel the legend names the models
    assert all(title in named for title in NAMES.values())


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


# The numbers that a figure shows are those of its table


def by_source(table):
    """Rows in the order in which figures draw them: of each model those of the trained one first."""
    sources = [(model, source) for model in NAMES for source in ("trained", "untrained")]
    return pd.concat(table[(table["model"] == model) & (table["source"] == source)] for model, source in sources)


def test_regression_and_effect_stand_at_their_own_numbers():
    table = rows(4)
    found = drawn_numbers(plots.regression_beside_effect(table, NAMES))
    columns = {"regression, one back": "estimate", "effect of a larger update": "effect", "regression, layer below": "across"}
    for series, column in columns.items():
        np.testing.assert_allclose(found.loc[found["series"] == series, "y"], table[column])
    untrained = found.loc[found["series"] == "untrained", ["y (low)", "y (high)"]]
    np.testing.assert_allclose(untrained, table[["null_low", "null_high"]])


def test_every_norm_is_a_point_at_its_layer_and_counts_in_its_bin():
    norms = norms_of(4)
    found = drawn_numbers(plots.norm_distributions(norms))
    for title, below in zip(norms, ("3", "4"), strict=True):  # panels of the second row have no title
        points, counts = found[found["panel"] == title], found[found["panel"] == below]
        np.testing.assert_array_equal(points["x"].round(), np.repeat(range(4), 300))
        np.testing.assert_allclose(np.sort(points["y"].to_numpy().reshape(4, 300)), np.sort(norms[title]))
        shares, centres = counts["y"].to_numpy().reshape(4, 60), counts["x"].to_numpy()[:60]
        np.testing.assert_allclose(shares.sum(axis=1), 100)
        logs = np.log(norms[title])
        # A token lies at most half of a bin from the middle of its bin.
        assert (np.abs(shares @ np.log(centres) / 100 - logs.mean(axis=1)) <= np.ptp(logs) / 60 / 2).all()


def test_trends_are_drawn_less_their_means_from_position_one_on():
    trends = {title: {"trained": values, "untrained": values / 2} for title, values in norms_of(4, 40).items()}
    found = drawn_numbers(plots.position_trends(trends))
    values = np.array([list(lines.values()) for lines in trends.values()])  # [panel, line style, layer, position]
    np.testing.assert_allclose(found["y"], (values - values.mean(axis=-1, keepdims=True)).ravel(), atol=1e-12)
    np.testing.assert_array_equal(found["position + 1 [tokens]"], np.tile(np.arange(1, 41), 16))


def test_changes_stand_at_their_distances_with_their_bands():
    table = rows(4, distance=(-2, -1, 1, 2))
    found = drawn_numbers(plots.change_by_distance(table, NAMES))
    lines, bands = (found[found["mark"] == mark] for mark in ("line", "band"))
    np.testing.assert_allclose(lines[["distance [tokens]", "y"]], table[["distance", "estimate"]])
    np.testing.assert_allclose(bands[["distance [tokens]", "y (low)", "y (high)"]], table[["distance", "low", "high"]])


def test_each_step_has_its_own_coefficients():
    table = coefficients(4)
    steps = {"plain": table, "full": table.assign(estimate=-table["estimate"])}
    by_model = {title: {model: of_model(step, model) for model in NAMES} for title, step in steps.items()}
    found = drawn_numbers(plots.coefficient_steps(by_model, NAMES))
    parts = [step[(step["model"] == model) & (step["lag"] == lag)] for step in steps.values() for model in NAMES for lag in (1, 2)]
    drawn = pd.concat(parts)
    np.testing.assert_allclose(found.loc[found["series"].notna(), "y"], drawn["estimate"])  # filled points have no name of their own
    np.testing.assert_allclose(found.loc[found["mark"] == "interval", ["y (low)", "y (high)"]], drawn[["low", "high"]])


def test_each_coefficient_stands_beside_its_own_nulls():
    table = coefficients(4, null=("untrained", "shuffled"))
    found = drawn_numbers(plots.coefficients_against_nulls(table, NAMES))
    panels = [("polish-gpt2", 1), ("polish-gpt2", 2), *(("herbert", lag) for lag in (1, 2, -1, -2))]
    parts = [table[(table["model"] == model) & (table["lag"] == lag)] for model, lag in panels]
    ours = pd.concat(part.drop_duplicates("layer") for part in parts)
    np.testing.assert_allclose(found.loc[found["series"] == "trained", "y"], ours["estimate"])
    for null in ("untrained", "shuffled"):
        drawn = pd.concat(part[part["null"] == null] for part in parts)
        np.testing.assert_allclose(found.loc[found["series"] == null, ["y (low)", "y (high)"]], drawn[["null_low", "null_high"]])


def test_each_choice_has_its_coefficients_in_its_row():
    table = rows(4, choice=("one lag", "four lags"))
    found = drawn_numbers(plots.coefficients_by_choice(table, NAMES))
    points, intervals = (found[found["mark"] == mark] for mark in ("points", "interval"))
    np.testing.assert_allclose(points["coefficient"], table["estimate"])
    np.testing.assert_allclose(intervals[["coefficient (low)", "coefficient (high)"]], table[["low", "high"]])
    assert points["y"].tolist() == intervals["y"].tolist() == table["choice"].tolist()


def test_held_out_and_own_shares_are_told_apart():
    table = rows(4, source=("trained", "untrained")).assign(partial_r2=lambda t: t["estimate"] / 2, heldout_r2=lambda t: t["estimate"])
    found, drawn = drawn_numbers(plots.explained_by_layer(table, NAMES)), by_source(table)
    points = found[found["mark"] == "points"]
    assert points["series"].tolist() == drawn["source"].tolist()
    np.testing.assert_allclose(points["y"], drawn["heldout_r2"])
    np.testing.assert_allclose(found.loc[found["layer (low)"].notna(), "y"], drawn["partial_r2"])  # bars lie across their layer
    np.testing.assert_allclose(found.loc[found["y (low)"].notna(), ["y (low)", "y (high)"]], drawn[["low", "high"]])


def test_each_layer_is_a_point_at_its_sources_and_its_coefficient():
    table = rows(4, source=("trained", "untrained")).assign(shared=lambda t: t["estimate"] / 2)
    found = drawn_numbers(plots.sources_and_coefficients(table, NAMES))
    places = found[["sources shared with the token before, 0 to 1", "coefficient, 1 back"]]
    np.testing.assert_allclose(places, by_source(table)[["shared", "estimate"]])
