"""Figures of regression in context: they draw what they are given, with labels, for one head and for forty-eight layers."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers


def curve(n_points):
    error = np.linspace(1, 0.1, n_points)
    return pd.DataFrame({"examples": np.arange(n_points), "error": error, "low": error / 2, "high": error * 2})


def drawn(figure):
    """The figure's axes that are in sight, after drawing it."""
    figure.canvas.draw()
    return [axis for axis in figure.axes if axis.get_visible()]


@pytest.mark.parametrize("n_points", [1, 48])
def test_curves(n_points):
    axis = plots.curves({"transformer": curve(n_points), "zero": curve(n_points)}, "error", floor=1e-2, ceiling=3)
    drawn(axis.figure)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_yscale()) == ("examples before the question", "error", "log")
    assert axis.get_ylim() == (1e-2, 3)
    np.testing.assert_allclose(axis.lines[0].get_ydata(), np.linspace(1, 0.1, n_points))
    assert [text.get_text() for text in axis.figure.legends[0].get_texts()] == ["transformer", "zero"]


def test_curve_panels_have_titles_and_one_legend():
    figure = plots.curve_panels({"a": {"transformer": curve(5)}, "b": {"zero": curve(5)}, "c": {"zero": curve(5)}}, "error")
    axes = drawn(figure)
    assert [axis.get_title(loc="left") for axis in axes] == ["a", "b", "c"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"transformer", "zero"}
    assert figure.get_supylabel() == "error"


@pytest.mark.parametrize("examples", [(1,), (1, 2, 3, 5, 9)])
def test_penalty_profiles_mark_the_nearest(examples):
    rows = [(k, penalty, abs(np.log(penalty)) + k, penalty == 1) for k in examples for penalty in (0.1, 1.0, 10.0)]
    profile = pd.DataFrame(rows, columns=["examples", "penalty", "distance", "nearest"])
    figure = plots.penalty_profiles({"one": profile, "other": profile}, "distance", {"other": 0.25})
    first, second = drawn(figure)
    assert first.get_ylabel() == "distance"
    dots = [line for line in first.lines if line.get_marker() == "o"]
    assert [dot.get_xdata().tolist() for dot in dots] == [[1.0]] * len(examples)
    assert len(second.lines) == len(first.lines) + 1
    assert "optimal penalty" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_penalty_profiles_name_the_numbers_of_all_panels_and_give_each_one_colour():
    def profile(*examples):
        rows = [(k, penalty, penalty + k, penalty == 1) for k in examples for penalty in (1.0, 10.0)]
        return pd.DataFrame(rows, columns=["examples", "penalty", "distance", "nearest"])

    figure = plots.penalty_profiles({"many": profile(*range(1, 9)), "others": profile(9, 2)}, "distance")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == sorted(["1 example", *(f"{k} examples" for k in range(2, 10))])
    many, others = ({line.get_label(): line.get_color() for line in axis.lines} for axis in drawn(figure))
    assert others["2 examples"] == many["2 examples"]


@pytest.mark.parametrize("n_layers", [1, 48])
def test_layer_lines(n_layers):
    layers = ["embed", *map(str, range(1, n_layers + 1))]
    table = pd.DataFrame(
        [(reader, layer, 0.5, 0.4, 0.7) for reader in ("lens", "probe") for layer in layers],
        columns=["reader", "layer", "estimate", "low", "high"],
    )
    table["estimate"] = np.linspace(0.42, 0.68, len(table))
    tables = {"answer": table, "weights": table.assign(estimate=table["estimate"].to_numpy()[::-1])}
    figure = plots.layer_lines(tables, "explained")
    for axis, title in zip(drawn(figure), ("answer", "weights"), strict=True):
        assert axis.get_title(loc="left") == title
        assert axis.get_xlabel() == "layer"
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels[0] == "embed"
        assert 2 <= len(labels) <= 8
    found = drawn_numbers(figure)[["y", "y (low)", "y (high)"]]
    np.testing.assert_allclose(found, pd.concat(tables.values())[["estimate", "low", "high"]])


@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 1), (48, 2)])
def test_forest_has_a_row_for_each_head(n_layers, n_heads):
    names = [f"L{layer}H{head}" for layer in range(n_layers) for head in range(n_heads)]
    table = pd.DataFrame({"name": names, "estimate": 0.3, "low": 0.1, "high": 0.6})
    table = pd.concat([table.assign(group=group) for group in ("trained", "untrained")])
    table["estimate"] = np.linspace(0.2, 0.5, len(table))
    figure = plots.forest(table, "slope", {"nothing": 0.05}, log=True)
    (axis,) = drawn(figure)
    assert axis.get_xlabel() == "slope"
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"trained", "untrained", "nothing"}
    found = drawn_numbers(figure)
    np.testing.assert_allclose(found[["slope", "slope (low)", "slope (high)"]], table[["estimate", "low", "high"]])
    assert found["y"].tolist() == table["name"].tolist()


def test_forest_tells_nine_groups_and_four_lines_apart():
    groups, lines = [f"group {number}" for number in range(9)], {f"line {number}": number / 10 for number in range(4)}
    table = pd.DataFrame({"name": [f"L{number}H0" for number in range(9)], "group": groups, "estimate": 0.3, "low": 0.1, "high": 0.6})
    figure = plots.forest(table, "slope", lines)
    drawn(figure)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*groups, *lines}


@pytest.mark.parametrize("n_points", [1, 48])
def test_attention_grid(n_points):
    rng = np.random.default_rng(0)
    pattern = rng.random((2 * n_points, 2 * n_points))
    figure = plots.attention_grid(pattern, rng.normal(size=(n_points, 3)), rng.normal(size=n_points), *np.zeros((2, n_points), int))
    drawn(figure)
    maps = [axis.images[0].get_array() for axis in figure.axes if axis.images and axis.images[0].get_array().shape == (n_points, n_points)]
    kept = [np.asarray(image) for image in maps]
    for queries in (0, 1):
        for keys in (0, 1):
            assert any(np.array_equal(image, pattern[queries::2, keys::2]) for image in kept)
    labels = {axis.get_xlabel() for axis in figure.axes} | {axis.get_ylabel() for axis in figure.axes}
    assert {"x query", "y query", "x key", "y key", "attention", "input"} <= labels


@pytest.mark.parametrize("n_bins", [1, 9])
def test_weights_by_odds(n_bins):
    odds = np.linspace(-8, 8, n_bins)
    table = pd.DataFrame({"log_odds": odds, "estimate": 0.5, "low": 0.4, "high": 0.6})
    figure = plots.weights_by_odds(pd.concat([table.assign(answerer=name) for name in ("transformer", "stacking")]))
    (axis,) = drawn(figure)
    assert axis.get_xlabel()
    assert axis.get_ylabel() == "weight on ridge(0.8)"
    np.testing.assert_allclose(axis.lines[0].get_xdata(), odds)


@pytest.mark.parametrize("n_layers", [1, 24])
def test_steps_and_layers_name_every_level(n_layers):
    steps = pd.DataFrame(
        [(name, step, 2.0**-step) for name in ("slow", "fast", "other") for step in range(6)], columns=["algorithm", "step", "estimate"]
    )
    layers = ["embed", *map(str, range(1, n_layers + 1))]
    rows = [
        (reader, layer, 0.9 / (at + 1), 0.8 / (at + 1), 1 / (at + 1))
        for reader in ("probe", "probe, untrained")
        for at, layer in enumerate(layers)
    ]
    figure = plots.steps_and_layers(steps, pd.DataFrame(rows, columns=["reader", "layer", "estimate", "low", "high"]), "error")
    (axis,) = drawn(figure)
    assert (axis.get_ylabel(), axis.get_yscale()) == ("error", "log")
    named = [name for text in axis.texts for name in text.get_text().split(",\n")]
    assert named == ["embed", *(f"layer {layer}" for layer in layers[1:])]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"slow", "fast", "other", "probe", "probe, untrained"}


def test_similarity_maps_outline_the_likest_step():
    rows = [
        (name, layer, step, 1 - abs(step - at) / 10)
        for name in ("one", "other")
        for at, layer in enumerate(("embed", "1", "2"))
        for step in range(6)
    ]
    table = pd.DataFrame(rows, columns=["algorithm", "layer", "step", "estimate"])
    best = table[table["estimate"] == 1]
    figure = plots.similarity_maps({"trained": table, "untrained": table}, {"trained": best, "untrained": best})
    axes = drawn(figure)
    assert len(axes) == 5  # four maps and the bar of colours
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["embed", "1", "2"]
    for axis in axes[:4]:
        assert [patch.get_x() + 0.5 for patch in axis.patches] == [0, 1, 2]


def test_similarity_maps_place_steps_by_their_order():
    steps = (0, 1, 4, 16)
    table = pd.DataFrame([("one", "1", step, step / 16) for step in steps], columns=["algorithm", "layer", "step", "estimate"])
    figure = plots.similarity_maps({"trained": table}, {"trained": table[table["step"] == 16]})
    axis = drawn(figure)[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "1", "4", "16"]
    assert [patch.get_x() + 0.5 for patch in axis.patches] == [3]


def test_task_diversity_has_a_point_for_each_seed_and_lines_of_means():
    rows = [(m, seed, kind, 0.1 * (1 + seed), 1 / m, 2 / m) for kind in ("training", "new") for m in (4, 16) for seed in (0, 1)]
    columns = ["tasks", "seed", "prompts", "model_to_tasks", "model_to_ridge", "tasks_to_ridge"]
    axes = drawn(plots.task_diversity(pd.DataFrame(rows, columns=columns)))
    assert [axis.get_title(loc="left") for axis in axes] == ["training tasks", "new tasks"]
    line, points = axes[0].lines[:2]
    assert list(line.get_ydata()) == pytest.approx([0.15, 0.15])
    assert sorted(points.get_ydata()) == pytest.approx([0.1, 0.1, 0.2, 0.2])
