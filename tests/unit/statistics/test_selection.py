"""Choosing and measuring on two draws: on pure noise the interval covers the chosen candidate's true mean, and on one draw it does not."""

import numpy as np
import pytest

from analysis_lib import statistics
from analysis_lib.statistics import Interval, bootstrap_interval, choose_and_measure, interval_table


def quick(values):
    """A bootstrap interval with few resamples, for a test that needs many of them."""
    return bootstrap_interval(values, n_resamples=200)


def covers(interval, truth=0.0):
    return interval.low <= truth <= interval.high


def test_interval_of_the_best_of_noise_covers_its_true_mean_only_on_another_draw():
    """No candidate is better than another: the true mean of whichever is chosen is zero."""
    rng, trials = np.random.default_rng(0), 100
    same_draw = other_draw = 0
    for _ in range(trials):
        choosing, measuring = rng.standard_normal((2, 40, 4, 6))
        chosen = choose_and_measure(choosing, measuring, quick)
        other_draw += covers(chosen.interval)
        same_draw += covers(quick(choosing[:, *chosen.index]))
    assert other_draw >= 0.88 * trials  # 95% by name; a percentile bootstrap over 40 units covers about 94 %
    assert same_draw <= 0.65 * trials  # as the induction chapter did: the best of 24 heads with the interval of the choosing draw


def test_the_best_on_the_choosing_draw_is_measured_on_the_other():
    choosing = np.zeros((3, 2, 2))
    choosing[:, 1, 0] = [1, 2, 3]
    measuring = np.arange(8.0).reshape(2, 2, 2)
    chosen = choose_and_measure(choosing, measuring, lambda values: Interval(values.mean(), values.min(), values.max()))
    assert chosen == ((1, 0), (4.0, 2.0, 6.0))
    assert chosen.interval == statistics.Interval(4.0, 2.0, 6.0)


def test_several_come_in_the_order_of_the_choosing_draw():
    choosing, measuring = np.array([[1.0, 5, 3], [1, 5, 3]]), np.array([[9.0, 1, 2], [7, 3, 2]])
    chosen = statistics.choose_several(choosing, measuring, 2)
    assert [one.index for one in chosen] == [(1,), (2,)]
    assert [one.interval.estimate for one in chosen] == [2, 2]
    with pytest.raises(ValueError, match="n: expected 1 to 3 candidates, found 4"):
        statistics.choose_several(choosing, measuring, 4)


def test_two_draws_of_what_does_not_vary_may_be_equal():
    """As attention that depends on positions alone is the same in every sequence."""
    values = np.tile([1.0, 3.0, 2.0], (4, 1))
    chosen = statistics.choose_several(values, values.copy(), 2)
    assert chosen == [((1,), (3, 3, 3)), ((2,), (2, 2, 2))]
    values[0, 0] = 0
    with pytest.raises(ValueError, match="expected two draws, found the same values twice"):
        statistics.choose_several(values, values.copy(), 2)


@pytest.mark.parametrize(
    ("choosing", "measuring", "message"),
    [
        (np.zeros((3, 2)), np.ones((3, 4)), r"expected \[unit, ...\] of the same candidates, found \(3, 2\) and \(3, 4\)"),
        (np.zeros(3), np.ones(3), "of the same candidates"),
        (np.zeros((3, 0)), np.ones((3, 0)), "of the same candidates"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "choosing: expected finite values, found 6"),
        (np.zeros((3, 2)), np.full((3, 2), np.inf), "measuring: expected finite values, found 6"),
        (np.eye(3), np.eye(3), "expected two draws, found the same values twice"),
    ],
)
def test_draws_that_do_not_fit_are_named(choosing, measuring, message):
    with pytest.raises(ValueError, match=message):
        choose_and_measure(choosing, measuring)


def test_table_has_a_row_for_each_sample_in_order():
    samples = {("b", 1): [1.0, 2.0, 3.0], ("a", 0): [5.0, 5.0]}
    table = interval_table(samples, ["model", "layer"])
    assert list(table) == ["model", "layer", "estimate", "low", "high"]
    assert table["model"].tolist() == ["b", "a"]
    assert tuple(table.loc[0, ["estimate", "low", "high"]]) == bootstrap_interval([1.0, 2.0, 3.0])
    assert table.loc[1, "low"] == table.loc[1, "high"] == 5
    with pytest.raises(ValueError, match=r"samples: expected labels for model, found \('b', 1\)"):
        interval_table(samples, ["model"])


def test_heads_are_drawn_evenly_from_layers():
    drawn = statistics.drawn_heads(24, 16, most=60, seed=1)
    assert drawn == sorted(set(drawn))
    counts = np.bincount([layer for layer, _ in drawn], minlength=24)
    assert sorted(counts) == [2] * 12 + [3] * 12
    assert all(head in range(16) for _, head in drawn)
    assert drawn != statistics.drawn_heads(24, 16, most=60, seed=2)
    with pytest.raises(ValueError, match="expected 1 or more, found 24, 16 and 0"):
        statistics.drawn_heads(24, 16, most=0)
