"""Products of rows: those of a part are those of the whole less the rest's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.statistics.products import Products
from tests.support.examples import examples


@examples(15)
@given(n=st.integers(2, 20), d=st.integers(1, 5), c=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_rest_is_the_whole_less_a_part(n, d, c, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, c))
    part, rest = Products.of(x[: n // 2], y[: n // 2]), Products.of(x[n // 2 :], y[n // 2 :])
    for found in (part + rest - part, rest):
        mean_x, mean_y, xx, xy = found.centred()
        own_x, own_y = x[n // 2 :] - mean_x, y[n // 2 :] - mean_y
        np.testing.assert_allclose(mean_x, x[n // 2 :].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(mean_y, y[n // 2 :].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(xx, own_x.T @ own_x, atol=1e-10)
        np.testing.assert_allclose(xy, own_x.T @ own_y, atol=1e-10)
