"""What holds of figures by layer, of tables of intervals and of heads drawn by lot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.statistics import Measure, Profile, bootstrap_interval, drawn_heads, interval_table
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


def measure(seed, layers=2, units=5):
    """Figures of some units, a baseline taken away, and their generator."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(layers, units))
    return Measure(np.arange(units), np.ones(units, dtype=int), raw, raw - rng.normal(size=(layers, 1)), "word"), rng


@examples(20)
@given(seed=SEEDS, units=st.integers(2, 8), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_means_over_units_follow_a_change_of_unit_and_stay_among_the_values(seed, units, scale, shift):
    given_, _ = measure(seed, units=units)
    found = given_.mean(adjusted=False, n_resamples=50)
    np.testing.assert_allclose(found.estimate, given_.raw.mean(axis=1))
    changed = Measure(given_.units, given_.counts, scale * given_.raw + shift, given_.adjusted, "word").mean(adjusted=False, n_resamples=50)
    np.testing.assert_allclose(changed.draws, scale * found.draws + shift, atol=1e-9)
    assert (found.draws >= given_.raw.min(axis=1) - 1e-12).all()
    assert (found.draws <= given_.raw.max(axis=1) + 1e-12).all()
    assert (found.low <= found.high).all()
    baseline = (given_.raw - given_.adjusted).mean(axis=1)
    np.testing.assert_allclose(found.draws - given_.mean(n_resamples=50).draws, np.broadcast_to(baseline, found.draws.shape), atol=1e-9)
    kept = np.ones(units, dtype=bool)
    np.testing.assert_array_equal(given_.mean(kept, adjusted=False, n_resamples=50).draws, found.draws)
    np.testing.assert_allclose(given_.spread().estimate, np.median(given_.raw, axis=1))


@examples(20)
@given(seed=SEEDS, units=st.integers(2, 8))
def test_paired_differences_are_those_of_the_units_and_turn_round_with_their_sides(seed, units):
    """Resamples of the same units are subtracted as if the units had been: what both have in common is gone."""
    one, rng = measure(seed, units=units)
    two = Measure(one.units, one.counts, rng.normal(size=one.raw.shape), one.adjusted, "word")
    a, b = (each.mean(adjusted=False, n_resamples=50) for each in (one, two))
    of_units = Measure(one.units, one.counts, one.raw - two.raw, one.adjusted, "word").mean(adjusted=False, n_resamples=50)
    found = a - b
    np.testing.assert_allclose(found.draws, of_units.draws, atol=1e-9)
    np.testing.assert_array_equal((b - a).draws, -found.draws)
    assert not (a - a).draws.any()
    apart = a.minus_independent(b)
    np.testing.assert_array_equal(apart.estimate, found.estimate)
    np.testing.assert_allclose(apart.draws.mean(axis=0), found.draws.mean(axis=0), atol=1e-9)
    change = a.change(0, -1)
    assert change.estimate == pytest.approx(a.estimate[-1] - a.estimate[0])
    assert a.change(-1, 0).low == pytest.approx(-change.high)


@examples(30)
@given(seed=SEEDS, resamples=st.integers(1, 30), layers=st.integers(1, 3))
def test_an_interval_leaves_out_resamples_without_a_figure(seed, resamples, layers):
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=(resamples, layers))
    draws[rng.random(draws.shape) < 0.4] = np.nan
    found = Profile(np.zeros(layers), draws)
    for layer in range(layers):
        there = draws[~np.isnan(draws[:, layer]), layer]
        expected = np.quantile(there, [0.025, 0.975]) if len(there) else [np.nan, np.nan]
        np.testing.assert_allclose(found.at(layer)[1:], expected)


@examples(20)
@given(seed=SEEDS, sizes=st.lists(st.integers(2, 6), min_size=1, max_size=4))
def test_a_table_of_intervals_has_the_interval_of_each_sample_alone(seed, sizes):
    rng = np.random.default_rng(seed)
    samples = {(f"s{place}", place): rng.normal(size=size) for place, size in enumerate(sizes)}
    found = interval_table(samples, ["name", "place"])
    assert list(found.columns) == ["name", "place", "estimate", "low", "high"]
    for row, ((name, place), values) in zip(found.itertuples(index=False), samples.items(), strict=True):
        assert row == (name, place, *bootstrap_interval(values))


@examples(50)
@given(layers=st.integers(1, 8), heads=st.integers(1, 8), most=st.integers(1, 80), seed=st.integers(0, 1000))
def test_heads_are_drawn_once_and_evenly_from_all_layers(layers, heads, most, seed):
    found = drawn_heads(layers, heads, most, seed)
    assert found == sorted(set(found))
    assert len(found) == min(most, layers * heads)
    assert set(found) <= {(layer, head) for layer in range(layers) for head in range(heads)}
    counts = np.bincount([layer for layer, _ in found], minlength=layers)
    assert np.ptp(counts) <= 1
    assert set(found) <= set(drawn_heads(layers, heads, most + 1, seed))
