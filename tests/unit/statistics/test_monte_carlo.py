"""P-values from draws: uniform under the null, exact answers on small cases, and tails that do not promise too much."""

import itertools

import numpy as np
import pytest
import scipy.stats

from analysis_lib.statistics.monte_carlo import adaptive_null, tail_pvalue


def drawn_from(distribution, seed):
    rng = np.random.default_rng(seed)
    return lambda n, tests: np.stack([distribution.rvs(size=n, random_state=rng) for _ in tests], axis=1)


def test_p_is_uniform_under_the_null():
    """Besag and Clifford's p-values are valid at every level: at most that share lies below it."""
    rng = np.random.default_rng(0)
    observed = rng.normal(size=4000)
    found = adaptive_null(observed, lambda n, tests: rng.normal(size=(n, len(tests))), first_draws=100, max_draws=2000)
    p = np.array([one.p for one in found])
    for level in (0.5, 0.2, 0.05, 0.01):
        spread = np.sqrt(level * (1 - level) / len(p))
        assert abs((p <= level).mean() - level) < 4 * spread  # four standard errors of a share


def test_clear_nulls_stop_early_and_clear_effects_go_on():
    null, effect, nothing = adaptive_null([0.0, 3.3, np.nan], drawn_from(scipy.stats.norm, 1))
    assert null.n_draws == 1000
    assert effect.n_draws == 20_000
    assert (nothing.n_draws, np.isnan(nothing.p)) == (0, True)
    assert null.mean == pytest.approx(0, abs=4 / np.sqrt(1000))
    assert effect.p == pytest.approx(scipy.stats.norm.sf(3.3), rel=0.6)


def test_draws_are_asked_for_the_tests_that_go_on_alone():
    asked = []

    def draw(n, tests):
        asked.append((n, tests.tolist()))
        return np.random.default_rng(len(asked)).normal(size=(n, len(tests)))

    adaptive_null([0.0, 9.0], draw, first_draws=100, max_draws=1000)
    assert asked == [(100, [0, 1]), (300, [1]), (600, [1])]


@pytest.mark.parametrize("hits", [2, 3, 4])
def test_agrees_with_all_permutations(hits):
    """The number of fixed points of a permutation of seven, all 5,040 counted."""
    counts = [sum(i == j for i, j in enumerate(order)) for order in itertools.permutations(range(7))]
    exact = np.mean(np.array(counts) >= hits)
    rng = np.random.default_rng(hits)

    def draw(n, tests):
        order = rng.permuted(np.tile(np.arange(7), (n, 1)), axis=1)
        return (order == np.arange(7)).sum(axis=1)[:, None].astype(float)

    p = [adaptive_null([hits], draw, spans=1)[0].p for _ in range(30)]
    assert np.mean(p) == pytest.approx(exact, rel=0.15)  # twenty draws each as large: one p is off by a fifth, their mean by a thirtieth


@pytest.mark.parametrize("name", ["norm", "chi2", "poisson", "binom", "hypergeom"])
def test_the_tail_errs_on_the_large_side(name):
    """Truth at one in a thousand to one in a million: never above the extrapolated p by more than its noise, nor far below it."""
    family = {
        "norm": scipy.stats.norm(),
        "chi2": scipy.stats.chi2(12),
        "poisson": scipy.stats.poisson(1.3),
        "binom": scipy.stats.binom(200, 0.1),
        "hypergeom": scipy.stats.hypergeom(200, 40, 60),
    }[name]
    span = 1.0 if name in ("poisson", "binom", "hypergeom") else 0.0
    null = family.rvs(size=20_000, random_state=np.random.default_rng(7)).astype(float)
    for level in (1e-3, 1e-4, 1e-5, 1e-6):
        x = float(family.isf(level))
        truth = family.sf(x - span) if span else family.sf(x)  # P(as large or larger)
        p = tail_pvalue(x, null, span)
        assert 0.6 * truth < p < 40 * truth


def test_counts_without_their_span_would_promise_too_much():
    null = scipy.stats.poisson(1.0).rvs(size=20_000, random_state=np.random.default_rng(3)).astype(float)
    truth = scipy.stats.poisson(1.0).sf(7)
    assert tail_pvalue(8, null, span=0) < truth / 10
    assert tail_pvalue(8, null, span=1) > truth


def test_where_there_is_no_tail_draws_are_counted():
    assert tail_pvalue(1.0, np.zeros(5000)) == 1 / 5001
    assert tail_pvalue(2.0, np.linspace(0, 1, 99)) == 1 / 100
    assert tail_pvalue(0.5, np.linspace(0, 1, 10_001)) == pytest.approx(0.5, abs=1e-3)


def test_an_observation_that_every_draw_reaches_has_p_one():
    found = adaptive_null([1.0], lambda n, tests: np.ones((n, 1)))[0]
    assert (found.p, found.mean, found.n_draws) == (1.0, 1.0, 1000)


def test_undefined_draws_are_left_out():
    def draw(n, tests):
        return np.where(np.arange(n) % 2, np.nan, 0.0)[:, None]

    found = adaptive_null([0.0], draw, first_draws=100)[0]
    assert (found.p, found.n_draws) == (1.0, 50)
    assert np.isnan(adaptive_null([0.0], lambda n, tests: np.full((n, 1), np.nan), max_draws=10)[0].p)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"observed": 1.0}, "observed: expected one dimension"), ({"max_draws": 0}, "max_draws and first_draws: .* found 0")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        adaptive_null(**{"observed": [1.0], "draw": lambda n, tests: np.zeros((n, 1))} | arguments)


def test_draws_that_equal_the_observation_count_whatever_the_order_of_their_sum():
    rng = np.random.default_rng(0)
    found = adaptive_null([0.1 + 0.2], lambda count, tests: np.where(rng.random((count, len(tests))) < 0.5, 0.3, 0.0))
    assert 0.2 < found[0].p < 0.8
