"""What holds for whatever lists, groups, chances and tables of heads."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.projections import shuffled_overlap, top_overlap
from analysis_lib.projections.growth import fitted_exponent
from analysis_lib.projections.neurons import hubs
from analysis_lib.projections.preferences import correlation_over_heads, crossed_interval
from analysis_lib.projections.recall import shared_tokens
from analysis_lib.projections.shared_features import count_tail
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


def lists(rng, n, k=3, vocab=8):
    """Lists of distinct tokens, int [n, k]."""
    return np.argsort(rng.random((n, vocab)), axis=1)[:, :k]


@examples(20)
@given(seed=SEEDS, layers=st.integers(1, 3), neurons=st.integers(2, 4))
def test_shuffled_pairs_are_pairs_of_other_neurons_of_the_layer(seed, layers, neurons):
    rng = np.random.default_rng(seed)
    keys, values = lists(rng, layers * neurons), lists(rng, layers * neurons)
    found = shuffled_overlap(keys, values, layers, n_shuffles=3)
    np.testing.assert_array_equal(found.real, top_overlap(keys, values))
    for neuron in range(layers * neurons):
        layer = neuron // neurons
        others = [other for other in range(layer * neurons, (layer + 1) * neurons) if other != neuron]
        possible = top_overlap(np.tile(keys[neuron], (len(others), 1)), values[others])
        assert set(found.shuffled[:, neuron]) <= set(possible)
    renamed = rng.permutation(100)[:8]
    again = shuffled_overlap(renamed[keys], renamed[values], layers, n_shuffles=3)
    np.testing.assert_array_equal(again.shuffled, found.shuffled)
    assert (shuffled_overlap(keys, keys[:, ::-1], layers, n_shuffles=1).real == 1).all()
    apart = shuffled_overlap(keys, keys + 8, layers, n_shuffles=1)
    assert not apart.real.any()
    assert not apart.excess.any()
    assert apart.beyond() == 0


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 6))
def test_shared_tokens_are_counts_of_what_is_in_both(seed, n):
    predicted, actual = (lists(np.random.default_rng([seed, side]), n) for side in (0, 1))
    expected = [[len({*one.tolist()} & {*other.tolist()}) for other in actual] for one in predicted]
    np.testing.assert_array_equal(shared_tokens(predicted, actual), expected)


@examples(20)
@given(seed=SEEDS, rules=st.integers(1, 3), heads=st.integers(4, 12), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
@pytest.mark.parametrize("ranks", [True, False])
def test_correlations_over_heads_are_correlations(ranks, seed, rules, heads, scale, shift):
    table, effects = np.random.default_rng(seed).normal(size=(2, rules, heads))
    found, null = correlation_over_heads(table, effects, ranks, n_resamples=50)
    correlation = scipy.stats.spearmanr if ranks else scipy.stats.pearsonr
    assert found.estimate == pytest.approx(np.mean([correlation(a, b)[0] for a, b in zip(table, effects, strict=True)]))
    assert -1 - 1e-12 <= found.low <= found.estimate <= found.high <= 1 + 1e-12
    changed, changed_null = correlation_over_heads(scale * table + shift, effects**3 if ranks else -effects, ranks, n_resamples=50)
    sign = 1 if ranks else -1
    np.testing.assert_allclose(changed_null, sign * null, atol=1e-9)
    np.testing.assert_allclose(changed, (found if ranks else (-found.estimate, -found.high, -found.low)), atol=1e-9)
    assert correlation_over_heads(table, table, ranks, n_resamples=50)[0].estimate == pytest.approx(1)


@examples(20)
@given(value=st.floats(0.001, 1), heads=st.integers(4, 9), place=st.integers(0, 3))
def test_a_resample_of_heads_that_are_all_alike_has_no_correlation(value, heads, place):
    """All heads but one have the same value: a resample without that one says nothing, so no resample is negative."""
    table = np.full(heads, value)
    table[place] = 2
    found, _ = correlation_over_heads(table, table, ranks=False, n_resamples=200)
    assert min(abs(found.low), abs(found.low - 1)) < 1e-9
    assert found.high == pytest.approx(1)
    other = np.where(np.arange(heads) == (place + 1) % heads, 0.5, 0.3)
    unlike, null = correlation_over_heads(table, other, ranks=False, n_resamples=200)
    assert unlike.high <= 1e-9  # the two are never high together
    assert set(null.round(9)) <= {round(unlike.estimate, 9), 1.0}


@examples(20)
@given(seed=SEEDS, rows=st.integers(2, 4), columns=st.integers(2, 4), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_crossed_intervals_follow_a_change_of_unit_and_stay_inside_the_values(seed, rows, columns, scale, shift):
    row, column = np.divmod(np.arange(rows * columns), columns)
    values = np.random.default_rng(seed).normal(size=rows * columns)
    found = crossed_interval(values, row, column, n_resamples=50)
    assert found.estimate == pytest.approx(values.mean())
    assert values.min() - 1e-12 <= found.low <= found.high <= values.max() + 1e-12
    changed = crossed_interval(scale * values + shift, row.astype(str), column, n_resamples=50)
    np.testing.assert_allclose(changed, scale * np.array(found) + shift, atol=1e-9)


@examples(20)
@given(chance=st.floats(0, 1), others=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_tails_of_counts_are_those_of_a_sum_of_draws(chance, others):
    k = len(others)
    counts = np.arange(k + 1)
    alike = count_tail(np.full((k + 1, k), chance), counts)
    np.testing.assert_allclose(alike, scipy.stats.binom.sf(counts - 1, k, chance), atol=1e-9)
    found = count_tail(np.tile(others, (k + 1, 1)), counts)
    assert found[0] == pytest.approx(1)
    assert (np.diff(found) <= 1e-12).all()
    assert found[-1] == pytest.approx(np.prod(others), abs=1e-12)
    assert found[1] == pytest.approx(1 - np.prod(1 - np.array(others)), abs=1e-9)
    assert found[1:].sum() == pytest.approx(sum(others))  # the expected count


@examples(20)
@given(exponent=st.floats(-3, 3), factor=st.floats(0.01, 100), sizes=st.lists(st.integers(1, 1000), min_size=2, max_size=6, unique=True))
def test_a_planted_power_is_found(exponent, factor, sizes):
    assert fitted_exponent(sizes, factor * np.array(sizes, float) ** exponent) == pytest.approx(exponent, abs=1e-6)


@examples(20)
@given(seed=SEEDS, n=st.integers(1, 6), most=st.integers(1, 8))
def test_hubs_own_a_share_of_all_places(seed, n, most):
    ids = lists(np.random.default_rng(seed), n)
    found = hubs(ids, most)
    times = sorted((ids.ravel().tolist().count(token) for token in range(8)), reverse=True)
    assert found == {"lists": n, "different tokens": np.count_nonzero(times), f"filled by the top {most}": sum(times[:most]) / ids.size}
