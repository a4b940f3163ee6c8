"""The figure of the page on cost."""

import numpy as np
import pandas as pd

from analysis_lib import plots


def test_each_model_is_one_cloud_of_points():
    heads = pd.DataFrame({"model": ["a", "a", "b"], "computed": [0.01, 0.02, 1.0], "ratio": [20.0, 10.0, 1.0]})
    (axes,) = plots.search_ratios(heads).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[1, 20], [2, 10]])
    np.testing.assert_allclose(axes.collections[1].get_offsets(), [[100, 1]])
