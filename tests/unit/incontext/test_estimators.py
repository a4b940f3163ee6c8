"""Estimators: each against a reference, prompt by prompt and length by length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, Ridge
from sklearn.neighbors import KNeighborsRegressor

from analysis_lib import incontext
from analysis_lib.incontext import estimators, prompts
from tests.support.examples import examples


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(6, 8, 3, seed=0, noise=0.3)


def by_hand(drawn, fit_and_predict):
    """Predictions of a reference that is fitted to each prompt and length by itself; 0 before anything is known."""
    xs, ys = drawn.xs.double().numpy(), drawn.ys.double().numpy()
    found = np.zeros_like(ys)
    for prompt in range(len(xs)):
        for i in range(1, ys.shape[1]):
            found[prompt, i] = fit_and_predict(xs[prompt, :i], ys[prompt, :i], xs[prompt, i])
    return found


REFERENCES = {
    "least squares": (incontext.least_squares, lambda x, y, q: q @ np.linalg.lstsq(x, y, rcond=None)[0]),
    "averaging": (estimators.averaging, lambda x, y, q: q @ (x * y[:, None]).mean(axis=0)),
    "ridge": (
        lambda x, y: incontext.ridge(x, y, 0.7),
        lambda x, y, q: Ridge(0.7, fit_intercept=False).fit(x, y).predict(q[None])[0],
    ),
    "Bayes": (
        lambda x, y: incontext.bayes_ridge(x, y, noise=0.6, scale=2.0),
        lambda x, y, q: Ridge(0.09, fit_intercept=False).fit(x, y).predict(q[None])[0],
    ),
    "lasso": (
        lambda x, y: estimators.lasso(x, y, 0.1),
        lambda x, y, q: Lasso(0.1, fit_intercept=False).fit(x, y).predict(q[None])[0],
    ),
    "neighbours": (
        estimators.nearest_neighbours,
        lambda x, y, q: KNeighborsRegressor(min(3, len(x))).fit(x, y).predict(q[None])[0],
    ),
    "zero": (estimators.zero, lambda x, y, q: 0.0),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_an_estimator_is_its_reference_at_every_length_of_every_prompt(drawn, name):
    estimator, reference = REFERENCES[name]
    np.testing.assert_allclose(estimator(drawn.xs, drawn.ys), by_hand(drawn, reference), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_prediction_knows_only_the_points_before_it(drawn, name):
    estimator = REFERENCES[name][0]
    ys = drawn.ys.clone()
    ys[:, 4:] += 5
    np.testing.assert_array_equal(estimator(drawn.xs, drawn.ys)[:, :5], estimator(drawn.xs, ys)[:, :5])


def test_least_squares_finds_the_function_once_the_design_spans_all_dimensions():
    drawn = incontext.linear_prompts(50, 8, 3, seed=1)
    weights = estimators.least_squares_weights(drawn.xs, drawn.ys)
    truth = np.broadcast_to(drawn.w.numpy()[:, None], weights.shape)
    np.testing.assert_allclose(weights[:, 3:], truth[:, 3:], atol=1e-3)  # prompts are float32, some designs nearly singular
    assert (np.linalg.norm(weights[:, :3], axis=-1) <= np.linalg.norm(truth[:, :3], axis=-1) * (1 + 1e-4)).all()


def test_ridge_tends_to_least_squares_of_least_norm_as_the_penalty_goes(drawn):
    near = estimators.ridge_weights(drawn.xs, drawn.ys, 1e-9)
    np.testing.assert_allclose(near, estimators.least_squares_weights(drawn.xs, drawn.ys), atol=1e-4)
    without_noise = incontext.bayes_ridge(drawn.xs, drawn.ys, noise=0)
    np.testing.assert_array_equal(without_noise, incontext.least_squares(drawn.xs, drawn.ys))


@pytest.mark.parametrize(("noise", "scale"), [(0.5, 1.0), (1.0, 0.5)])
def test_no_ridge_beats_the_bayes_optimal_one(noise, scale):
    drawn = incontext.linear_prompts(4000, 6, 3, seed=2, noise=noise / scale)  # y = scale (w x + noise / scale)
    xs, ys = drawn.xs.numpy(), scale * drawn.ys.numpy()
    best = incontext.squared_errors(incontext.bayes_ridge(xs, ys, noise, scale), ys, 3)
    for factor in (0.1, 0.3, 3, 10):
        other = incontext.squared_errors(incontext.ridge(xs, ys, factor * estimators.bayes_penalty(noise, scale)), ys, 3)
        assert best.mean() < other.mean()


def test_queries_orthogonal_to_all_points_are_answered_by_zero():
    drawn = prompts.orthogonal_queries(20, 4, 4, seed=5)
    asked = [incontext.least_squares(*drawn.asked(k))[:, -1] for k in range(4)]
    np.testing.assert_allclose(asked, 0, atol=1e-5)


def posterior_mean_by_hand(x, y, query, tasks, noise):
    """Each task's prediction, weighted by the product of the densities of what it would have to have erred by."""
    density = [np.prod(np.exp(-((y - x @ w) ** 2) / (2 * noise**2))) for w in tasks]
    return np.average([query @ w for w in tasks], weights=density)


def test_the_posterior_mean_over_a_list_of_tasks_is_bayes_rule(drawn):
    tasks = np.random.default_rng(0).normal(size=(5, 3))
    found = estimators.bayes_of_tasks(drawn.xs, drawn.ys, tasks, noise=0.9)
    expected = by_hand(drawn, lambda x, y, q: posterior_mean_by_hand(x, y, q, tasks, 0.9))
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], rtol=1e-9)
    np.testing.assert_allclose(found[:, 0], drawn.xs[:, 0].numpy() @ tasks.mean(axis=0), rtol=1e-6)  # nothing known: the mean task


def test_one_task_predicts_as_it_does_and_two_as_the_one_that_fits(drawn):
    task = drawn.w[:1].numpy()
    np.testing.assert_allclose(estimators.bayes_of_tasks(drawn.xs, drawn.ys, task, 0.3), drawn.xs.numpy() @ task[0], rtol=1e-6)
    own = incontext.prompts_of_tasks(drawn.w[:2], 200, 8, seed=3, noise=0.01)
    found = estimators.bayes_of_tasks(own.xs, own.ys, drawn.w[:2], 0.01)
    np.testing.assert_allclose(found[:, 4:], (own.xs * own.w[:, None]).sum(-1)[:, 4:].numpy(), atol=1e-5)


def test_many_tasks_predict_as_the_best_ridge_does():
    """The posterior mean over a sample from the prior goes to that over the prior: each squared distance by 1 / tasks."""
    drawn = incontext.linear_prompts(300, 4, 2, seed=4, noise=0.8)
    ridge = incontext.bayes_ridge(drawn.xs, drawn.ys, 0.8)
    tasks = np.random.default_rng(1).normal(size=(20_000, 2))
    apart = {n: ((estimators.bayes_of_tasks(drawn.xs, drawn.ys, tasks[:n], 0.8) - ridge) ** 2).mean() for n in (20, 20_000)}
    assert apart[20_000] < apart[20] / 100
    assert apart[20_000] < 1e-3


@examples(25)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 1000), st.floats(0.01, 10))
def test_rotating_every_x_changes_no_prediction(n_dims, n_points, seed, penalty):
    drawn = incontext.linear_prompts(3, n_points, n_dims, seed, noise=0.2)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(n_dims, n_dims)))[0]
    for estimator in (estimators.averaging, incontext.least_squares, lambda x, y: incontext.ridge(x, y, penalty)):
        # An almost singular design magnifies rounding by its condition number, here at most some thousands.
        np.testing.assert_allclose(
            estimator(drawn.xs.double().numpy() @ turn, drawn.ys), estimator(drawn.xs, drawn.ys), atol=1e-6, rtol=1e-6
        )


XS, YS = np.ones((2, 4, 3)), np.ones((2, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: incontext.least_squares(np.ones((4, 3)), np.ones(4)), r"xs: expected \[batch, point, d\]"),
        (lambda: incontext.least_squares(XS, np.ones((2, 3))), r"ys: expected \(2, 4\)"),
        (lambda: estimators.zero(XS * np.nan, YS), "xs: expected finite"),
        (lambda: incontext.ridge(XS, YS, 0), "penalty: expected a finite number above 0"),
        (lambda: estimators.lasso(XS, YS, -1), "penalty: expected"),
        (lambda: incontext.bayes_ridge(XS, YS, noise=-1), "noise: expected"),
        (lambda: incontext.bayes_ridge(XS, YS, noise=1, scale=0), "scale: expected"),
        (lambda: estimators.nearest_neighbours(XS, YS, k=0), "k: expected"),
        (lambda: estimators.bayes_of_tasks(XS, YS, np.ones((5, 2)), 1), r"tasks: expected finite numbers of shape \[task, 3\]"),
        (lambda: estimators.bayes_of_tasks(XS, YS, np.ones((0, 3)), 1), r"tasks: .* found float64 of shape \(0, 3\)"),
        (lambda: estimators.bayes_of_tasks(XS, YS, np.ones((5, 3)), 0), "noise: expected a standard deviation above 0, found 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("noise", [1e-5, 1e-6, 1e-8])
def test_without_noise_the_best_ridge_is_least_squares_of_least_norm(noise):
    """With fewer points than dimensions too, where the penalty is all that keeps X'X from being singular."""
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(20, 12, 8))
    ys = np.einsum("bpd,bd->bp", xs, rng.normal(size=(20, 8)))
    np.testing.assert_allclose(incontext.bayes_ridge(xs, ys, noise), incontext.least_squares(xs, ys), rtol=1e-5, atol=1e-5)


def test_prompts_in_bfloat16_are_read_as_the_numbers_that_they_hold(drawn):
    rounded = drawn.xs.bfloat16(), drawn.ys.bfloat16()
    found, expected = (incontext.least_squares(*given) for given in (rounded, [values.double() for values in rounded]))
    np.testing.assert_array_equal(found, expected)
