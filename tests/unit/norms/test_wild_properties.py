"""What holds for the wild cluster bootstrap of any regression."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.norms import wild
from analysis_lib.norms.design import design_of
from tests.support.examples import examples
from tests.support.panels import EFFECTS, panel


@pytest.fixture(scope="module")
def design():
    return design_of(*panel(n_texts=8, n_tokens=20), EFFECTS)


def a_test(design, seed, shift=0.0, factor=1.0):
    """The test of the first column of a random regression; y shifted along the column, then multiplied."""
    rng = np.random.default_rng(seed)
    x = design.effects.taken_out(rng.normal(size=(len(design.text), 3)))
    y = design.effects.taken_out(x @ rng.normal(size=3) + rng.normal(size=len(x)))
    signs = rng.choice([-1.0, 1.0], (design.n_texts, 49))
    return wild.WildTest(factor * (y + shift * x[:, 0]), x, 0, design, signs)


@examples(25)
@given(seed=st.integers(0, 1000), shift=st.floats(-2, 2), truth=st.floats(-2, 2))
def test_a_shift_of_the_coefficient_shifts_everything(design, seed, shift, truth):
    plain, shifted = a_test(design, seed), a_test(design, seed, shift)
    assert shifted.estimate == pytest.approx(plain.estimate + shift, abs=1e-9)
    assert shifted.se == pytest.approx(plain.se, rel=1e-9)
    np.testing.assert_allclose(shifted.drawn(truth + shift), plain.drawn(truth), rtol=1e-6, atol=1e-9)


@examples(25)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([-2.0, -1.0, 0.5, 4.0]), truth=st.floats(-2, 2))
def test_units_and_signs_do_not_matter(design, seed, factor, truth):
    plain, other = a_test(design, seed), a_test(design, seed, factor=factor)
    assert other.estimate == pytest.approx(factor * plain.estimate)
    assert other.se == pytest.approx(abs(factor) * plain.se)
    assert other.p_value(factor * truth) == plain.p_value(truth)


@examples(25)
@given(seed=st.integers(0, 1000))
def test_intervals_hold_the_estimate_and_grow_with_their_level(design, seed):
    found = a_test(design, seed)
    narrow, wide = found.interval(0.5), found.interval(0.9)
    assert wide[0] <= narrow[0] <= found.estimate <= narrow[1] <= wide[1]
    assert found.p_value(found.estimate) == 1
    beyond = min(wide[1], found.estimate + 100 * found.se) + found.se  # an end is infinite where the draws of the signs reject nothing
    assert 1 / 50 <= found.p_value(beyond) <= 1
