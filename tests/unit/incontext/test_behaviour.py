"""What a model answers: planted weights come back, errors are measured at every length and at queries elsewhere."""

import numpy as np
import pytest
import torch

from analysis_lib import incontext
from analysis_lib.incontext import behaviour, estimators, prompts
from analysis_lib.models.regressor import RegressorOutput
from tests.support import tiny, tiny_circuits


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(6, 8, 3, seed=0, noise=0.3)


@pytest.fixture(scope="module")
def model():
    return tiny.regressor(n_dims=3, n_points=8, n_embd=16, n_layer=2, n_head=2)


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
    planted = tiny_circuits.loaded(InContextRidge(0.7))
    np.testing.assert_allclose(incontext.predict(planted, drawn.xs, drawn.ys), incontext.ridge(drawn.xs, drawn.ys, 0.7), atol=1e-9)
    found = incontext.implied_weights(planted, drawn.xs, drawn.ys, batch_size=4)
    np.testing.assert_allclose(found, estimators.ridge_weights(drawn.xs, drawn.ys, 0.7), atol=1e-9)


def test_the_influence_of_answers_on_a_planted_ridge_is_that_of_the_estimator(drawn):
    found = incontext.answer_influence(tiny_circuits.loaded(InContextRidge(0.7)), drawn.xs, drawn.ys)
    expected = behaviour.linear_influence(lambda xs, ys: incontext.ridge(xs, ys, 0.7), drawn.xs)
    assert found.shape == (6, 7)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # An estimator that is linear in y is the sum of its influences times y.
    answers = (expected * drawn.ys[:, :-1].numpy()).sum(axis=1)
    np.testing.assert_allclose(answers, incontext.ridge(drawn.xs, drawn.ys, 0.7)[:, -1], atol=1e-9)


def test_the_profile_of_a_planted_ridge_is_nearest_at_its_penalty(drawn):
    weights = estimators.ridge_weights(drawn.xs, drawn.ys, 0.7)
    profile = behaviour.penalty_profile(weights, drawn, [0.1, 0.7, 3.0], [2, 5])
    assert profile[profile["nearest"]]["penalty"].tolist() == [0.7, 0.7]
    assert profile[profile["nearest"]]["distance"].max() == 0
    other = estimators.ridge_weights(drawn.xs, drawn.ys, 3.0)
    expected = ((weights - other) ** 2)[:, 5].sum(axis=-1).mean() / 3
    assert profile.query("examples == 5 and penalty == 3")["distance"].item() == pytest.approx(expected)


def test_implied_weights_are_the_slope_of_the_prediction(loaded, drawn):
    slopes = incontext.implied_weights(loaded, drawn.xs, drawn.ys)
    step = torch.zeros_like(drawn.xs)
    step[:, 5, 1] = 1e-2
    up, down = (incontext.predict(loaded, drawn.xs + sign * step, drawn.ys)[:, 5] for sign in (1, -1))
    np.testing.assert_allclose(slopes[:, 5, 1], (up - down) / 2e-2, atol=1e-3)  # float32 differences


def test_predictions_do_not_depend_on_the_batch_and_leave_no_gradient(model, loaded, drawn):
    whole = incontext.predict(loaded, drawn.xs, drawn.ys)
    np.testing.assert_allclose(incontext.predict(loaded, drawn.xs.numpy(), drawn.ys.numpy(), batch_size=4), whole, atol=1e-6)
    incontext.implied_weights(loaded, drawn.xs, drawn.ys)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_zero_errs_by_one_a_dimension_and_least_squares_by_nothing_in_the_end():
    drawn = incontext.linear_prompts(4000, 6, 4, seed=3)
    curve = incontext.error_curves({"zero": incontext.query_errors(estimators.zero, drawn)})["zero"]
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


def test_prompts_that_do_not_fit_the_model_are_refused(loaded):
    with pytest.raises(ValueError, match="xs: expected"):
        incontext.predict(loaded, np.ones((2, 9, 3)), np.ones((2, 9)))
    with pytest.raises(ValueError, match="xs: expected"):
        incontext.implied_weights(loaded, np.ones((2, 4, 2)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="batch_size: expected"):
        incontext.predict(loaded, np.ones((2, 4, 3)), np.ones((2, 4)), batch_size=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: incontext.answer_influence(tiny_circuits.loaded(InContextRidge(1.0)), np.ones((2, 1, 3)), np.ones((2, 1))),
            "ys: expected two points",
        ),
        (lambda: incontext.squared_errors(np.ones((2, 3)), np.ones((2, 4)), 3), "predictions: expected the shape of ys"),
        (lambda: incontext.squared_errors(np.ones((2, 4)), np.ones((2, 4)), 0), "n_dims: expected"),
        (lambda: incontext.error_curves({"zero": np.ones(4)}), r"errors\['zero'\]: expected \[batch, point\]"),
        (lambda: behaviour.linear_influence(estimators.zero, np.ones((2, 1, 3))), "xs: expected two points or more, found 1"),
        (lambda: behaviour.weight_distances(np.ones((2, 4, 3)), np.ones((2, 4, 2))), "a and b: expected"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
