"""Regression in context: every estimator against a reference, prompt by prompt; planted weights; errors at every length."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, Ridge
from sklearn.neighbors import KNeighborsRegressor

from analysis_lib import incontext
from analysis_lib.incontext import estimators, prompts
from analysis_lib.models.regressor import Regressor, RegressorConfig, RegressorOutput


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(6, 8, 3, seed=0, noise=0.3)


@pytest.fixture(scope="module")
def model():
    config = RegressorConfig(n_dims=3, n_points=8, n_embd=16, n_layer=2)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Regressor(config).eval()


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
    weights, known = estimators.least_squares_weights(drawn.xs, drawn.ys), incontext.determined(drawn.xs)
    assert known[:, 3:].all()
    assert not known[:, :3].any()
    truth = np.broadcast_to(drawn.w.numpy()[:, None], weights.shape)
    np.testing.assert_allclose(weights[known], truth[known], atol=1e-3)  # prompts are float32, some designs nearly singular
    assert (np.linalg.norm(weights[~known], axis=-1) <= np.linalg.norm(truth[~known], axis=-1) * (1 + 1e-4)).all()


def test_a_repeated_point_leaves_the_design_singular():
    xs = np.ones((1, 5, 2))
    xs[0, 3] = [1, -1]
    assert incontext.determined(xs).tolist() == [[False, False, False, False, True]]


def test_ridge_tends_to_least_squares_of_least_norm_as_the_penalty_goes(drawn):
    near = estimators.ridge_weights(drawn.xs, drawn.ys, 1e-9)
    np.testing.assert_allclose(near, estimators.least_squares_weights(drawn.xs, drawn.ys), atol=1e-4)
    without_noise = estimators.bayes_ridge_weights(drawn.xs, drawn.ys, noise=0)
    np.testing.assert_array_equal(without_noise, estimators.least_squares_weights(drawn.xs, drawn.ys))


@pytest.mark.parametrize(("noise", "scale"), [(0.5, 1.0), (1.0, 0.5)])
def test_no_ridge_beats_the_bayes_optimal_one(noise, scale):
    drawn = incontext.linear_prompts(4000, 6, 3, seed=2, noise=noise / scale)  # y = scale (w x + noise / scale)
    xs, ys = drawn.xs.numpy(), scale * drawn.ys.numpy()
    best = incontext.squared_errors(incontext.bayes_ridge(xs, ys, noise, scale), ys, 3)
    for factor in (0.1, 0.3, 3, 10):
        other = incontext.squared_errors(incontext.ridge(xs, ys, factor * estimators.bayes_penalty(noise, scale)), ys, 3)
        assert best.mean() < other.mean()


class InContextRidge(torch.nn.Module):
    """A planted model: ridge regression of the points before each point, in the form of a regressor."""

    def __init__(self, penalty):
        super().__init__()
        self.penalty = torch.nn.Parameter(torch.tensor(penalty, dtype=torch.float64))

    def forward(self, xs, ys):
        found = []
        for i in range(ys.shape[1]):
            x, y = xs[:, :i], ys[:, :i, None]
            gram = x.transpose(1, 2) @ x + self.penalty * torch.eye(xs.shape[2], dtype=xs.dtype)
            found.append((xs[:, i] * torch.linalg.solve(gram, x.transpose(1, 2) @ y)[..., 0]).sum(dim=-1))
        return RegressorOutput(torch.stack(found, dim=1))


def test_the_implied_weights_of_a_planted_ridge_are_its_weights(drawn):
    planted = InContextRidge(0.7)
    np.testing.assert_allclose(incontext.predict(planted, drawn.xs, drawn.ys), incontext.ridge(drawn.xs, drawn.ys, 0.7), atol=1e-9)
    found = incontext.implied_weights(planted, drawn.xs, drawn.ys, batch_size=4)
    np.testing.assert_allclose(found, estimators.ridge_weights(drawn.xs, drawn.ys, 0.7), atol=1e-9)


def test_influence_is_the_prediction_where_one_answer_is_one(drawn):
    found = incontext.answer_influence(InContextRidge(0.7), drawn.xs, drawn.ys)
    assert found.shape == (6, 7)
    for i in range(7):
        one = np.broadcast_to(np.eye(8)[i], (6, 8))
        np.testing.assert_allclose(found[:, i], incontext.ridge(drawn.xs, one, 0.7)[:, -1], atol=1e-9)


def test_implied_weights_are_the_slope_of_the_prediction(model, drawn):
    slopes = incontext.implied_weights(model, drawn.xs, drawn.ys)
    step = torch.zeros_like(drawn.xs)
    step[:, 5, 1] = 1e-2
    up, down = (incontext.predict(model, drawn.xs + sign * step, drawn.ys)[:, 5] for sign in (1, -1))
    np.testing.assert_allclose(slopes[:, 5, 1], (up - down) / 2e-2, atol=1e-3)  # float32 differences


def test_predictions_do_not_depend_on_the_batch_and_leave_no_gradient(model, drawn):
    whole = incontext.predict(model, drawn.xs, drawn.ys)
    np.testing.assert_allclose(incontext.predict(model, drawn.xs.numpy(), drawn.ys.numpy(), batch_size=4), whole, atol=1e-6)
    incontext.implied_weights(model, drawn.xs, drawn.ys)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_zero_errs_by_one_a_dimension_and_least_squares_by_nothing_in_the_end():
    drawn = incontext.linear_prompts(4000, 6, 4, seed=3)
    curve = incontext.error_curve(incontext.query_errors(estimators.zero, drawn))
    assert curve["examples"].tolist() == list(range(6))
    np.testing.assert_allclose(curve["error"], 1, atol=0.12)  # kurtosis: a standard error of about 0.03 each
    assert ((curve["low"] < curve["error"]) & (curve["error"] < curve["high"])).all()
    assert incontext.query_errors(incontext.least_squares, drawn)[:, 4:].max() < 1e-2


def test_queries_elsewhere_are_asked_after_the_points_shown():
    drawn = prompts.opposite_quadrants(20, 5, 3, seed=4)
    found = incontext.query_errors(incontext.least_squares, drawn)
    weights = estimators.least_squares_weights(drawn.xs, drawn.ys)  # of the points before, whatever is asked
    expected = (np.einsum("bpd,bpd->bp", weights, drawn.queries.numpy()) - drawn.answers.numpy()) ** 2 / 3
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_queries_orthogonal_to_all_points_are_answered_by_zero():
    drawn = prompts.orthogonal_queries(20, 4, 4, seed=5)
    asked = [incontext.least_squares(*drawn.asked(k))[:, -1] for k in range(4)]
    np.testing.assert_allclose(asked, 0, atol=1e-5)


@settings(max_examples=25, deadline=None)
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
        (lambda: incontext.answer_influence(InContextRidge(1.0), XS[:, :1], YS[:, :1]), "ys: expected two points"),
        (lambda: incontext.squared_errors(np.ones((2, 3)), YS, 3), "predictions: expected the shape of ys"),
        (lambda: incontext.squared_errors(YS, YS, 0), "n_dims: expected"),
        (lambda: incontext.error_curve(np.ones(4)), r"errors: expected \[batch, point\]"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_prompts_that_do_not_fit_the_model_are_refused(model):
    with pytest.raises(ValueError, match="xs: expected"):
        incontext.predict(model, np.ones((2, 9, 3)), np.ones((2, 9)))
    with pytest.raises(ValueError, match="xs: expected"):
        incontext.implied_weights(model, np.ones((2, 4, 2)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="batch_size: expected"):
        incontext.predict(model, XS, YS, batch_size=0)
