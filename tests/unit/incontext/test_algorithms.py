"""Iterative algorithms: both reach least squares, and a model that carries one out is recognised."""

import numpy as np
import pytest

from analysis_lib import incontext
from analysis_lib.incontext import algorithms, estimators


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(40, 8, 3, seed=0, noise=0.3)


def well_posed(drawn):
    """Prompts that are not near singular."""
    return np.abs(estimators.least_squares_weights(drawn.xs, drawn.ys)).max(axis=(1, 2)) < 3


def test_both_reach_least_squares_and_newton_sooner(drawn):
    exact = incontext.least_squares(drawn.xs, drawn.ys)
    known = well_posed(drawn)
    far = {
        name: np.abs(iterate(drawn.xs, drawn.ys, 40) - exact)[:, known]
        for name, iterate in (("newton", algorithms.newton), ("gd", algorithms.gradient_descent))
    }
    assert known.sum() > 10
    assert far["newton"][-1].max() < 1e-6
    assert far["newton"][10].mean() < far["gd"][10].mean()
    assert far["gd"][40].mean() < far["gd"][5].mean()


def test_newton_stays_at_the_solution_of_least_norm_however_long_it_runs(drawn):
    """With fewer than three points S is singular, and what rounding puts along its null space would double in each of these steps."""
    found = algorithms.newton(drawn.xs, drawn.ys, 100)
    np.testing.assert_allclose(found[-1][well_posed(drawn)], incontext.least_squares(drawn.xs, drawn.ys)[well_posed(drawn)], atol=1e-6)
    assert np.isfinite(found).all()


def test_one_prompt_written_out(drawn):
    x, y, question = drawn.xs[3, :5].double().numpy(), drawn.ys[3, :5].double().numpy(), drawn.xs[3, 5].double().numpy()
    gram, target = x.T @ x, x.T @ y
    rate = 1 / np.linalg.eigvalsh(gram)[-1]
    first = rate * target
    second = first + rate * x.T @ (y - x @ first)
    inverse = gram * rate**2
    inverse = 2 * inverse - inverse @ gram @ inverse
    np.testing.assert_allclose(
        algorithms.gradient_descent(drawn.xs, drawn.ys, 2)[:, 3, 5], [0, question @ first, question @ second], atol=1e-12
    )
    np.testing.assert_allclose(algorithms.newton(drawn.xs, drawn.ys, 1)[1, 3, 5], question @ inverse @ target, atol=1e-12)


def test_before_the_first_point_nothing_is_known(drawn):
    for iterate in (algorithms.newton, algorithms.gradient_descent):
        assert not iterate(drawn.xs, drawn.ys, 3)[:, :, 0].any()


def test_a_later_step_of_newton_equals_many_of_gradient_descent_in_one_dimension():
    drawn = incontext.linear_prompts(5, 4, 1, seed=2)
    # with one dimension the first step of gradient descent and Newton's start are exact
    np.testing.assert_allclose(
        algorithms.gradient_descent(drawn.xs, drawn.ys, 1)[1], algorithms.newton(drawn.xs, drawn.ys, 1)[0], atol=1e-6
    )


def test_planted_iterates_are_recognised(drawn):
    run = {"Newton": algorithms.newton, "gradient descent": algorithms.gradient_descent}
    iterates = {name: dict(enumerate(iterate(drawn.xs, drawn.ys, 6))) for name, iterate in run.items()}
    layers = [iterates["Newton"][step] for step in (0, 2, 5)]
    best = algorithms.best_steps(algorithms.similarity_table(layers, iterates, drawn.ys))
    planted = best[best["algorithm"] == "Newton"]
    assert list(planted["step"]) == [0, 2, 5]
    assert list(planted["layer"]) == ["embed", "1", "2"]
    np.testing.assert_allclose(planted["estimate"], 1)
    assert (best.loc[best["algorithm"] == "gradient descent", "estimate"] < 1).all()


def test_similarity_of_errors(drawn):
    ys = drawn.ys.double().numpy()
    noise = np.random.default_rng(0).normal(size=ys.shape)
    np.testing.assert_allclose(algorithms.error_similarity(ys + noise, ys + 3 * noise, ys), 1)
    np.testing.assert_allclose(algorithms.error_similarity(ys + noise, ys - noise, ys), -1)
    assert not algorithms.error_similarity(ys, ys + noise, ys).any()


def test_bad_input_is_named(drawn):
    with pytest.raises(ValueError, match="n_steps: expected 1 or more, found 0"):
        algorithms.newton(drawn.xs, drawn.ys, 0)
    with pytest.raises(ValueError, match="expected the shape of ys"):
        algorithms.error_similarity(drawn.ys[:, :3], drawn.ys, drawn.ys)
