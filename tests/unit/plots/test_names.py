"""Names of points hide no other mark and not each other."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from analysis_lib.plots.names import name_points

NEAR = {
    "alone": [[0.5, 0.5]],
    "a column": [[1, 0.9], [1, 0.89], [1, 0.88], [1, 0.88]],
    "beside the axis": [[0.0, 0.5], [0.02, 0.5]],
    "far apart": [[0, 0], [0, 1], [1, 0], [1, 1]],
}


@pytest.mark.parametrize("near", NEAR)
def test_names_do_not_overlap(near):
    places = np.array(NEAR[near])
    figure, axis = plt.subplots(figsize=(5.6, 3.6))
    axis.plot([0, 1], [0, 1], "o")
    axis.plot(*places.T, "o")
    name_points(axis, [f"L{i}H10" for i in range(len(places))], places, places)
    figure.canvas.draw()
    assert len(axis.texts) == len(places)
    boxes = [plt.Text.get_window_extent(text) for text in axis.texts]  # without the lines
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(box.contains(*axis.transData.transform(place)) for box in boxes for place in places)
    assert min(box.x0 for box in boxes) > axis.bbox.x0 - 1
    plt.close(figure)


def test_a_name_stands_where_it_hides_fewer_marks():
    figure, axis = plt.subplots()
    places = np.array([[0.5, 0.5]])
    axis.plot([0, 1], [0, 1])
    name_points(axis, ["L0H0"], places, np.array([[0.5, 0.5], [0.55, 0.5]]))
    [name] = axis.texts
    assert name.get_ha() == "right"
    plt.close(figure)
