"""Figures of the circuits: they draw, they say what they show, and they take one head and forty-eight layers."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis_lib import plots
from analysis_lib.circuits.terms import TERMS
from analysis_lib.plots import diagrams
from analysis_lib.plots.drawn import drawn_numbers

SIZES = [(1, 1), (48, 2)]  # layers and heads


def drawn(figure):
    """All words of a figure after it was drawn."""
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def table(labels, **columns):
    """Rows of estimates with intervals under some labels."""
    frame = pd.DataFrame(labels, columns=list(columns))
    return frame.assign(estimate=0.5, low=0.4, high=0.7)


@pytest.mark.parametrize(("layers", "heads"), SIZES)
def test_score_maps(layers, heads):
    scores = {"previous token": np.full((layers, heads), 0.37), "induction": np.zeros((layers, heads))}
    words = drawn(plots.score_maps({"toy": scores, "untrained": scores}))
    assert all(word in words for word in ("toy", "untrained", "induction", "head", f"L{layers - 1}", "37"))


def test_score_curves():
    part = pd.DataFrame({"x": [4, 8, 4, 8], "series": "seeds", "run": ["a", "a", "b", "b"], "score": [0.5, 0.9, 0.6, 0.8]})
    figure = plots.score_curves({"length": part, "gap": part}, "score", {"seeds": "#000000"}, (0.85, "goal"))
    assert all(word in drawn(figure) for word in ("length", "gap", "score", "seeds", "goal"))
    assert [len(axis.lines) for axis in figure.axes] == [3, 3]
    assert drawn_numbers(figure)[["x", "y"]].to_numpy().tolist() == part[["x", "score"]].to_numpy().tolist() * 2


@pytest.mark.parametrize("labels", [1, 48])
def test_intervals(labels):
    rows = [(f"L{i}H0", series) for i in range(labels) for series in ("free", "frozen", "third", "fourth")]
    frame = table(rows, label=None, series=None).assign(estimate=np.linspace(0.45, 0.65, len(rows)))
    figure = plots.intervals(frame, "loss [nats]", dict(zip(frame["series"].unique(), plots.CYCLE, strict=False)), line=(1.0, "chance"))
    words = drawn(figure)
    assert all(word in words for word in ("loss [nats]", "frozen", "chance", f"L{labels - 1}H0"))
    positions = [line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == labels]
    assert max(positions) - min(positions) < 1  # the series of one label stay in its row
    found, expected = drawn_numbers(figure), pd.concat(frame[frame["series"] == series] for series in frame["series"].unique())
    ends = found[["loss [nats]", "loss [nats] (low)", "loss [nats] (high)"]]
    np.testing.assert_allclose(ends, expected[["estimate", "low", "high"]])
    assert found["y"].tolist() == expected["label"].tolist()


@pytest.mark.parametrize("heads", [1, 12])
def test_composition_and_points(heads):
    words = drawn(plots.composition_maps({"K": np.eye(heads)}, 0.1, {"K": [(0, 0)]}))
    assert "head of layer 0" in words
    assert "composition" in words
    points = pd.DataFrame({"layer": 47, "head": range(heads), "trained": True, "copying": 0.5, "induction": 0.1})
    points = pd.concat([points, points.assign(trained=False)])
    words = drawn(plots.labelled_points(points, "copying", "induction", "copying score", "induction score"))
    assert all(word in words for word in ("copying score", "induction score", "untrained", "layer 47", "L47H0"))
    deep = pd.concat(points.assign(layer=layer, copying=layer) for layer in range(24))
    words = drawn(plots.labelled_points(deep, "copying", "induction", "copying score", "induction score"))
    assert "layer 3" not in words  # a scale of colours says it
    assert "untrained" in words
    points.loc[points["trained"], "induction"] = np.linspace(-2, 1, heads) if heads > 1 else -2
    figure = plots.labelled_points(points, "copying", "induction", "copying", "induction", named=1)
    assert "L47H0" in drawn(figure)  # the lowest
    found = drawn_numbers(figure)
    for series, trained in (("layer 47", True), ("untrained", False)):
        own = found.loc[found["series"] == series, ["copying", "induction"]]
        np.testing.assert_allclose(own, points.loc[points["trained"] == trained, ["copying", "induction"]])


def test_induction_figures():
    assert "Nowak" in drawn(plots.draw_induction(["Jan", "Nowak", "i", "Jan"], 0, 3))
    pattern = np.tril(np.full((5, 5), 0.2))
    assert "query position" in drawn(plots.patterns_with_targets({"L0H0": (pattern, np.eye(5, k=-1, dtype=bool))}))
    curves = table([("toy", 1), ("toy", 2)], series=None, place=None).assign(estimate=[0.5, 0.6])
    figure = plots.losses_by_place(curves, {"toy": plots.CYCLE[0]}, (3.4, "ln 31"), "place")
    assert "ln 31" in drawn(figure)
    found = drawn_numbers(figure)
    assert found.loc[found["mark"] == "line", ["place", "loss [nats a token]"]].to_numpy().tolist() == [[1, 0.5], [2, 0.6]]
    along = pd.Series([3.0, 2.0, 1.0], index=[0, 50, 100])
    words = drawn(plots.emergence({"loss": {"first": (along, "C0", "-")}, "score": {"best": (along, "C1", ":")}}, "step"))
    assert all(word in words for word in ("loss", "score", "step", "best"))


def test_emergence_gives_the_later_steps_room_and_unnamed_lines_a_name():
    along = pd.Series(1.0, index=[0, 100, 1000, 4000, 4800])
    lines = {"best": (along, "C0", "-"), "others": (pd.Series(dtype=float), "C1", ":")}
    figure = plots.emergence({"loss": lines, "score": lines}, "step", later=4000)
    assert all(word in drawn(figure) for word in ("others", "4,000", "4,800"))
    axis = figure.axes[0]
    places = axis.transData.transform([(step, 1) for step in (0, 4000, 4400, 4800)])[:, 0]
    assert np.isclose(places[2] - places[1], places[3] - places[2], rtol=0.02)
    assert 0.2 < (places[3] - places[1]) / (places[3] - places[0]) < 0.3
    assert np.allclose(axis.transData.inverted().transform(axis.transData.transform((300, 1))), (300, 1), rtol=0.01)


def test_emergence_takes_one_panel_and_reaches_the_last_step_of_any_line():
    early, late = pd.Series(1.0, index=[0, 50, 100]), pd.Series(1.0, index=[300, 600])
    figure = plots.emergence({"loss": {"early": (early, "C0", "-"), "late": (late, "C1", ":")}}, "step")
    assert all(word in drawn(figure) for word in ("loss", "step", "early", "late", "300"))
    (axis,) = figure.axes
    assert axis.get_xlim()[1] > 600


def test_composition_scale_ends_at_the_outlined_pairs():
    scores = {"K": np.array([[0.2, 0.1], [0.1, 0.05]]), "V": np.array([[0.1, 0.7], [0.1, 0.1]])}
    figure = plots.composition_maps(scores, 0.1, {"K": [(0, 0)]})
    low, high = figure.axes[-1].get_ylim()
    assert np.isclose(low, 0)
    assert np.isclose(high, 0.2)


def test_no_point_is_cut_on_a_logarithmic_axis():
    rows = [("toy", 0, head, term) for head in (0, 1) for term in TERMS]
    frame = table(rows, model=None, layer=None, head=None, term=None)
    frame = frame.assign(estimate=np.where(frame["head"] == 1, 2.4, 1e-4), low=0.0, high=np.where(frame["head"] == 1, 2.5, 2e-4))
    figure = plots.terms_by_head(frame, frame.iloc[:0].drop(columns="head"), "rise", logarithmic=0.01)
    figure.canvas.draw()
    axis = figure.axes[0]
    height = axis.transAxes.inverted().transform(axis.transData.transform((0, 2.5)))[1]  # from 0 to 1, the top of the panel
    assert height < 0.97


@pytest.mark.parametrize("labels", [None, ["a"], [f"token{i}" for i in range(30)]])
def test_term_maps_tell_undefined_cells_from_zero(labels):
    size = 6 if labels is None else len(labels)
    scores = np.where(np.tri(size, dtype=bool), 0.0, -np.inf)
    scores[0, 0] = 1
    figure = plots.term_maps(dict.fromkeys((*TERMS, "sum"), scores), np.tri(size) / size, labels)
    words = drawn(figure)
    assert all(term in words for term in (*TERMS, "sum", "pattern", "row-centred score [nats]"))
    assert "query position" in words if labels is None else labels[-1] in words
    image = figure.axes[0].images[0]
    shown = image.cmap(image.norm(image.get_array()))
    if size > 1:
        assert not np.allclose(shown[1, 1], shown[0, 1])  # a score of zero and a key after the query


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (12, 2)])  # one row of panels for each layer
def test_terms_by_head(layers, heads):
    rows = [("toy", layer, head, term) for layer in range(layers) for head in range(heads) for term in TERMS]
    frame = table(rows, model=None, layer=None, head=None, term=None)
    words = drawn(plots.terms_by_head(frame, frame.drop(columns="head"), "share", logarithmic=0.1))
    assert all(word in words for word in ("share", "head", "toy, layer 0", TERMS[3]))


def test_each_model_has_its_own_heads_below_its_panels():
    rows = [(model, 0, f"L0H{head}", term) for model, heads in (("small", 2), ("large", 4)) for head in range(heads) for term in TERMS]
    frame = table(rows, model=None, layer=None, head=None, term=None)
    figure = plots.terms_by_head(frame, frame.iloc[:0].drop(columns="head"), "share")
    figure.canvas.draw()
    named = [[label.get_text() for label in axis.get_xticklabels()] for axis in figure.axes]
    assert named == [[f"L0H{head}" for head in range(heads)] for heads in (2, 4)]


@pytest.mark.parametrize("heads", [1, 48])
def test_profiles_parts_and_readings(heads):
    lines = {f"L0H{head}": np.arange(13.0) + head for head in range(heads)}
    figure = plots.offset_profiles({"toy": lines}, {"toy": "L0H0"}, {"toy": plots.CYCLE[0]}, "score [nats]")
    words = drawn(figure)
    assert drawn_numbers(figure)["score [nats]"].tolist() == np.concatenate(list(lines.values())).tolist()
    assert all(word in words for word in ("toy: L0H0", "distance [tokens]", "score [nats]"))
    assert "untrained" not in words
    words = drawn(plots.offset_profiles({"toy": lines}, {"toy": "L0H0"}, {"toy": plots.CYCLE[0]}, "score [nats]", untrained={"toy": lines}))
    assert "untrained" in words
    assert ("other heads" in words) == (heads > 1)
    parts = pd.DataFrame(np.full((heads, 3), 0.7), [f"L1H{head}" for head in range(heads)], ["embedding", "L0H0", "position"])
    words = drawn(plots.part_maps({"toy model": parts}, "share"))
    assert all(word in words for word in ("toy model", "share", "embedding", ".70", f"L1H{heads - 1}"))
    figure = plots.readings_by_row({"attention": {"model": np.linspace(0, 1, 4)}}, {"model": plots.CYCLE[0]})
    words = drawn(figure)
    assert all(word in words for word in ("attention", "query position", "model"))
    assert drawn_numbers(figure)["attention"].tolist() == np.linspace(0, 1, 4).tolist()


def test_diagrams():
    figure, axes = plt.subplots()
    diagrams.draw_block(axes, "GPT-2", plots.CYCLE[0], True, ("embedding", "unembedding"))
    words = drawn(figure)
    assert all(word in words for word in ("GPT-2", "layer norm", "attention", "unembedding"))
    words = drawn(diagrams.draw_pieces([("Kot śpi.", [["Kot", " śpi", "."], ["K", "ot", "śpi."]])], list(plots.CYCLE[:2])))
    assert all(word in words for word in ("Kot śpi.", "ot"))


def test_clamped_runs_have_a_line_for_each_seed_and_a_name_for_each_clamp():
    rows = [(clamp, seed, step, 3 - step) for clamp in ("none", "layer 0 final", "layer 1 initial") for seed in (0, 1) for step in (0, 1)]
    axis = plots.clamped_runs(pd.DataFrame(rows, columns=["clamp", "seed", "step", "loss"]), "loss", "loss [nats]")
    assert len(axis.lines) == 6
    assert [line.get_linestyle() for line in axis.lines[::2]] == ["-", "-", "--"]
    assert [text.get_text() for text in axis.figure.legends[0].get_texts()] == ["none", "layer 0 final", "layer 1 initial"]


def test_clamped_runs_of_more_layers_than_colours():
    rows = [(f"layer {layer} final", 0, step, 3 - step) for layer in range(9) for step in (0, 1)]
    axis = plots.clamped_runs(pd.DataFrame(rows, columns=["clamp", "seed", "step", "loss"]), "loss", "loss [nats]")
    assert len(axis.lines) == 9
