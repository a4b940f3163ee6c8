"""What holds whatever is chosen among, and for p-values from whatever draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.statistics import Interval, choose_and_measure, choose_several
from analysis_lib.statistics.monte_carlo import adaptive_null, tail_pvalue
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


def mean_alone(values):
    """An interval of no width, which takes no time."""
    return Interval(values.mean(), values.mean(), values.mean())


@st.composite
def draws(draw):
    """Small whole numbers, so that means are exact and often tie: a choosing and a measuring draw of [unit, layer, head]."""
    rng = np.random.default_rng(draw(SEEDS))
    candidates = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    n = 2 ** draw(st.integers(0, 3))
    return rng.integers(-3, 4, (n, *candidates)).astype(float), rng.normal(size=(draw(st.integers(1, 6)), *candidates))


@examples(50)
@given(pair=draws(), data=st.data())
def test_the_chosen_have_the_largest_means_of_the_choosing_draw_and_are_measured_on_the_other(pair, data):
    choosing, measuring = pair
    means = choosing.mean(axis=0)
    n = data.draw(st.integers(1, means.size))
    chosen = choose_several(choosing, measuring, n, mean_alone)
    assert len({one.index for one in chosen}) == n
    assert [means[one.index] for one in chosen] == sorted(means.ravel(), reverse=True)[:n]
    assert [one.interval.estimate for one in chosen] == [measuring[:, *one.index].mean() for one in chosen]
    assert choose_and_measure(choosing, measuring, mean_alone) == chosen[0]
    assert choose_several(choosing, measuring, means.size, mean_alone)[:n] == chosen


@examples(50)
@given(pair=draws(), seed=SEEDS, scale=st.sampled_from([0.25, 8.0]), shift=st.integers(-5, 5))
def test_the_choice_sees_neither_unit_nor_zero_nor_order_of_the_choosing_draw(pair, seed, scale, shift):
    choosing, measuring = pair
    order = np.random.default_rng(seed).permutation(len(choosing))
    every = choosing[0].size
    assert choose_several(scale * (choosing[order] + shift), measuring, every, mean_alone) == choose_several(
        choosing, measuring, every, mean_alone
    )


@examples(50)
@given(pair=draws(), data=st.data())
def test_a_candidate_above_all_others_is_chosen(pair, data):
    choosing, measuring = pair
    place = tuple(data.draw(st.integers(0, size - 1)) for size in choosing.shape[1:])
    choosing[:, *place] = 4
    assert choose_and_measure(choosing, measuring, mean_alone).index == place


@examples(25)
@given(seed=SEEDS, n=st.integers(1, 2000), beyond=st.lists(st.floats(0, 5), min_size=2, max_size=2), unit=st.sampled_from([0.5, 4.0]))
def test_a_tail_is_a_share_that_falls_and_does_not_see_the_unit(seed, n, beyond, unit):
    null = np.random.default_rng(seed).exponential(size=n)
    near, far = (tail_pvalue(null.max() + distance, null) for distance in sorted(beyond))
    assert 0 < far <= near <= 1
    assert tail_pvalue(unit * (null.max() + max(beyond)), unit * null) == pytest.approx(far)
    assert tail_pvalue(null.min(), null) == 1


@examples(10)
@given(seed=SEEDS, shift=st.floats(-1, 4), others=st.lists(st.floats(-1, 4) | st.just(np.nan), max_size=3))
def test_a_test_is_judged_by_its_own_draws_whatever_others_are_made(seed, shift, others):
    def draw(n, tests):
        """The next n numbers of each test's own sequence."""
        return np.stack([sources[test].normal(size=n) for test in tests], axis=1)

    found = []
    for observed in ([shift], [shift, *others]):
        sources = [np.random.default_rng([seed, test]) for test in range(4)]
        found.append(adaptive_null(observed, draw, max_draws=4000, first_draws=500))
    assert found[0][0] == found[1][0]
    assert 0 < found[0][0].p <= 1
    assert [np.isnan(one.p) for one in found[1][1:]] == [np.isnan(other) for other in others]
