"""The null board draws one claim and many, marks survivors, and holds every point inside its axes."""

import numpy as np
import pytest

from analysis_lib import plots, report


def claims(n):
    rng = np.random.default_rng(0)
    found = []
    for i, centre in enumerate(rng.normal(0.5, 2, n) ** 3):
        value = (centre, centre - 0.1, centre + 0.1)
        nulls = {"untrained": rng.normal(0, 0.2, 20), "permuted": rng.normal(0, 0.1, 20)}
        found.append(report.finding(f"claim-{i}", f"Claim number {i} is true", value, nulls, model=("e5", "toy")[i % 2], section="a.html"))
    return report.board(found)


@pytest.mark.parametrize("n", [1, 30])
def test_null_board(n):
    board = claims(n)
    figure = plots.null_board(board)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == board["claim"].tolist()
    left, right = axis.get_xlim()
    assert left < board["distance_low"].min()
    assert board["distance_high"].max() < right
    points = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [line.get_markerfacecolor() != "none" for line in points] == board["survives"].tolist()
    assert axis.get_xlabel()


def test_a_claim_about_several_models_has_one_row_with_a_point_for_each():
    board = claims(4).assign(model=["polish-gpt2", "minigpt", "herbert", "e5"])
    board["claim"] = ["GPT-2: a head copies", "The toy's head copies", "HerBERT: a head copies", "e5's head copies more"]
    (axis,) = plots.null_board(board).axes
    assert sorted(text.get_text() for text in axis.texts) == ["A head copies", "The toy's head copies", "e5's head copies more"]
    points = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert sorted(float(line.get_xdata()[0]) for line in points) == sorted(board["distance"])
    board["claim"] = ["GPT-2 has a head", "The toy has a head", "HerBERT's head", "e5's head"]
    (axis,) = plots.null_board(board).axes
    assert sorted(text.get_text() for text in axis.texts) == ["The model has a head", "The model's head"]


def test_a_long_claim_breaks_and_stays_inside_the_axes():
    board = claims(4).assign(claim=["A claim that is told in words " * 3] * 4)
    figure = plots.null_board(board)
    figure.canvas.draw()
    (axis,) = figure.axes
    inside = axis.get_window_extent()
    for text in axis.texts:
        assert "\n" in text.get_text()
        extent = text.get_window_extent()
        assert extent.x1 <= inside.x1
        assert extent.y1 <= inside.y1 + 1


def test_by_chapter_every_claim_is_a_point_in_its_row():
    board = claims(12).assign(section=["b.html#x", "a.html", "c.html"] * 4)
    figure = plots.null_board_by_chapter(board, {"a": "First", "b": "Second", "c": "Third", "d": "Without claims"})
    figure.canvas.draw()
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["First", "Second", "Third"]
    assert "hardest null" in axis.get_xlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["e5", "toys"]
    points = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [int(line.get_ydata()[0]) for line in points] == [1, 0, 2] * 4
    assert [line.get_markerfacecolor() != "none" for line in points] == board["survives"].tolist()
    np.testing.assert_allclose([line.get_xdata()[0] for line in points], board["distance"])
    left, right = axis.get_xlim()
    assert left < board["distance"].min() <= board["distance"].max() < right
    with pytest.raises(KeyError, match="none for c"):
        plots.null_board_by_chapter(board, {"a": "First", "b": "Second"})


def test_by_chapter_the_titles_of_many_rows_stay_apart():
    pages = [f"page-{place}" for place in range(17)]
    board = claims(17).assign(section=[f"{page}.html" for page in pages])
    figure = plots.null_board_by_chapter(board, dict.fromkeys(pages, "What a model would say early"))
    figure.canvas.draw()
    (axis,) = figure.axes
    extents = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in zip(extents, extents[1:], strict=False))
    assert min(extent.x0 for extent in extents) >= 0
    assert axis.get_window_extent().width > figure.bbox.width / 2


def test_ordered_pvalues_rise_and_small_ones_are_drawn_at_the_floor():
    axis = plots.ordered_pvalues({"trained": [1e-30, 0.2, 0.01], "untrained twins": [0.9, 0.04, 0.5]})
    trained, twins, expected, level = (line.get_ydata() for line in axis.lines)
    assert list(trained) == [1e-6, 0.01, 0.2]
    assert list(twins) == [0.04, 0.5, 0.9]
    np.testing.assert_allclose(expected, [0.25, 0.5, 0.75])
    assert axis.get_ylim()[0] < 1e-6
    assert set(level) == {0.05}
