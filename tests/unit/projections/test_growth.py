"""What searches cost on larger models."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib.projections.growth import LARGE, Shape, fitted_exponent, fitted_exponents, whole_model


def test_the_exponent_of_a_power_is_found():
    sizes = np.array([8, 16, 64, 256])
    assert fitted_exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="expected two sizes or more"):
        fitted_exponent([8, 8], [1, 2])
    with pytest.raises(ValueError, match="all above zero"):
        fitted_exponent([8, 16], [1, 0])


def test_each_line_has_its_exponents_and_what_was_not_measured_has_none():
    rows = pd.DataFrame({"varied": ["vocab"] * 2 + ["layers"] * 2, "subject": "a", "vocab": [10, 20, 5, 5], "layers": [1, 1, 2, 4]})
    rows = rows.assign(search=[1.0, 4.0, 2.0, 4.0], factors=[3.0, 6.0, np.nan, np.nan])
    found = fitted_exponents(rows).set_index(["varied", "part"])["exponent"]
    assert found.round(6).to_dict() == {("vocab", "search"): 2, ("vocab", "factors"): 1, ("layers", "search"): 1}


def test_a_small_model_counted_by_hand():
    shape = Shape(layers=2, heads=3, keys=1, vocab=10, d_model=5, d_head=4)
    found = whole_model(shape, share=0.5, rate=1e-9, machines=(1, 2), cores=1, link=1e-9).set_index("machines")
    # Two layers with queries and outputs of three heads, keys and values of one: 16 sides.
    factors, search = 16 * 2 * 10 * 5 * 4, 0.5 * 2 * 2 * 3 * 2 * 10 * 10 * 4
    assert found.loc[1, "factors"] == pytest.approx(factors / 3600)
    assert found.loc[2, "search"] == pytest.approx(search / 2 / 3600)
    assert found.loc[2, "shipping"] == pytest.approx(16 * (2 * 2 * 10 * 5 + 16 * 5 * 4) / 3600)
    np.testing.assert_allclose(found["together"], found[["factors", "search", "shipping"]].sum(axis=1))


def test_with_more_machines_the_bottleneck_moves_to_shipping():
    found = whole_model(LARGE, share=0.1, rate=50.0, machines=(1, 1000))
    assert found["bottleneck"].tolist()[0] != "shipping"
    assert found["bottleneck"].tolist()[1] == "shipping"
    assert found["factors"].is_monotonic_decreasing
    assert found["shipping"].is_monotonic_increasing
