"""The numbers of a figure are those that were drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from analysis_lib import plots
from analysis_lib.plots.drawn import drawn_numbers


def drawn(draw):
    figure, axes = plt.subplots()
    draw(axes)
    return drawn_numbers(figure)


def test_lines_and_points():
    found = drawn(
        lambda axes: (axes.plot([0, 1, 2], [3, np.nan, 5], label="loss"), axes.plot([7], [8], "o"), axes.scatter([1], [2], label="_x"))
    )
    assert found["mark"].tolist() == ["line", "line", "points", "points"]
    assert found["x"].tolist() == [0, 2, 7, 1]
    assert found["y"].tolist() == [3, 5, 8, 2]
    assert found["series"].fillna("").tolist() == ["loss", "loss", "", ""]


def test_guides_have_no_row():
    assert drawn(lambda axes: (axes.axhline(0), axes.axvline(1), axes.axvspan(0, 1))).empty


def test_a_drawing_has_no_row():
    assert drawn(lambda axes: (axes.plot([0, 1], [1, 2]), axes.axis("off"))).empty


def test_intervals_of_error_bars():
    found = drawn(lambda axes: axes.errorbar([1, 2], [3, 4], yerr=[[0.5, 1], [1, 2]], fmt="o", label="heads"))
    expected = {"series": "heads", "mark": "interval", "x": [1.0, 2.0], "y": [3.0, 4.0], "y (low)": [2.5, 3.0], "y (high)": [4.0, 6.0]}
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)
    across = drawn(lambda axes: axes.errorbar([1], [3], xerr=[[0.5], [1]], fmt="none"))
    assert across[["x (low)", "x (high)"]].to_numpy().tolist() == [[0.5, 2.0]]


def test_ends_of_bands_bars_and_plain_intervals():
    band = drawn(lambda axes: axes.fill_between([0, 1], [1, 2], [3, 5]))
    assert band[["x", "y (low)", "y (high)"]].to_numpy().tolist() == [[0, 1, 3], [1, 2, 5]]
    upright = drawn(lambda axes: axes.bar([1, 2], [3, 4], label="share"))
    assert upright[["x", "y (high)"]].to_numpy().tolist() == [[1, 3], [2, 4]]
    lying = drawn(lambda axes: axes.barh([1], [3], left=[0.5]))
    assert lying[["y", "x (low)", "x (high)"]].to_numpy().tolist() == [[1, 0.5, 3.5]]
    segments = drawn(lambda axes: axes.vlines([1, 2], [0, 0], [3, 4]))
    assert segments[["x", "y (low)", "y (high)"]].to_numpy().tolist() == [[1, 0, 3], [2, 0, 4]]


@pytest.mark.parametrize("kind", ["imshow", "pcolormesh"])
def test_cells_stand_at_the_words_of_their_axes_and_empty_ones_are_left_out(kind):
    values = np.array([[1.0, 2.0], [np.nan, 4.0]])
    middle = 0.5 if kind == "pcolormesh" else 0.0

    def draw(axes):
        shades = getattr(axes, kind)(values)
        axes.set_xticks([middle, 1 + middle], ["las", "dom"])
        axes.set_yticks([middle, 1 + middle], ["L0", "L1"])
        axes.figure.colorbar(shades)

    found = drawn(draw)
    assert found[["x", "y", "value"]].to_numpy().tolist() == [["las", "L0", 1.0], ["dom", "L0", 2.0], ["dom", "L1", 4.0]]


def test_points_beside_a_word_belong_to_it_and_numbers_stay_numbers():
    def draw(axes):
        axes.plot([0.1, 0.9], [0.2, 1.4], "o")
        axes.set_yticks([0, 1], ["trained", "untrained"])
        axes.set_xticks([0, 1], ["0", "1"])

    assert drawn(draw)[["x", "y"]].to_numpy().tolist() == [[0.1, "trained"], [0.9, "untrained"]]


def test_panels_and_columns_have_the_names_that_the_figure_shows():
    figure, axes = plt.subplots(1, 2)
    for panel, name in zip(axes, ("GPT-2", "HerBERT"), strict=True):
        panel.plot([0], [1], "o")
        panel.set(xlabel="layer", ylabel="mean\ncosine")
        panel.set_title(name, loc="left")
    found = drawn_numbers(figure)
    assert found.columns.tolist() == ["panel", "mark", "layer", "mean cosine"]
    assert found["panel"].tolist() == ["GPT-2", "HerBERT"]
    for panel, name in zip(axes, ("within", "across"), strict=True):
        panel.set_title("", loc="left")
        panel.set_xlabel(name)
    assert drawn_numbers(figure)["panel"].tolist() == ["within", "across"]


def test_a_notebook_keeps_the_numbers_beside_the_image(monkeypatch):
    class Shell:
        display_formatter = DisplayFormatter()

    monkeypatch.setattr("IPython.get_ipython", Shell)
    monkeypatch.setattr("matplotlib_inline.backend_inline.set_matplotlib_formats", lambda *names, **options: None)
    plots.use_style()
    figure, axes = plt.subplots()
    assert "numbers" not in Shell.display_formatter.format(figure)[1]
    axes.plot([0, 1], [0.25, 1e-7], label="loss")
    forms, notes = Shell.display_formatter.format(figure)
    assert notes["numbers"] == "series,mark,x,y\nloss,line,0,0.25\nloss,line,1,1e-07\n"
    assert "numbers" not in forms
