"""The figures of the page on cost."""

import numpy as np
import pandas as pd

from analysis_lib import plots


def test_each_model_is_one_cloud_of_points():
    heads = pd.DataFrame({"model": ["a", "a", "b"], "computed": [0.01, 0.02, 1.0], "ratio": [20.0, 10.0, 1.0]})
    (axes,) = plots.search_ratios(heads).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[1, 20], [2, 10]])
    np.testing.assert_allclose(axes.collections[1].get_offsets(), [[100, 1]])


def test_growth_has_a_panel_for_each_size_with_the_whole_product_in_it():
    rows = pd.DataFrame(
        {
            "varied": ["vocab"] * 2 + ["d_head"] * 2 + ["layers"] * 2,
            "subject": ["a"] * 4 + ["b"] * 2,
            "vocab": [1000, 2000, 500, 500, 500, 500],
            "d_head": [32, 32, 16, 32, 32, 32],
            "layers": [1, 1, 1, 1, 2, 4],
            "search": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "factors": [0.5, 0.75] + [np.nan] * 4,
            "product": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        }
    )
    parts = [("vocab", "a", "search", 1), ("vocab", "a", "factors", 0.6), ("d_head", "a", "search", 2), ("layers", "b", "search", 1)]
    exponents = pd.DataFrame(parts, columns=["varied", "subject", "part", "exponent"])
    panels = plots.search_growth(rows, exponents).axes
    assert [len(axes.lines) for axes in panels] == [3, 2, 2]
    np.testing.assert_allclose(panels[0].lines[1].get_ydata(), [0.5, 0.75])
    assert [axes.lines[-1].get_ydata().tolist() for axes in panels] == [[10, 20], [30, 40], [50, 60]]
    labels = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in panels]
    assert labels == [["a: 1.00", "its factors: 0.60", "whole product"], ["a: 2.00", "whole product"], ["b: 1.00", "whole product"]]
