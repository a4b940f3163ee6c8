"""What holds of estimators, of posteriors and of comparisons with them, for whatever prompts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from analysis_lib.incontext import estimators, selection
from analysis_lib.incontext.algorithms import best_steps, error_similarity, similarity_table
from analysis_lib.incontext.answers import depth, explained, probe
from analysis_lib.incontext.behaviour import penalty_profile, query_errors, squared_errors
from analysis_lib.incontext.prompts import linear_prompts
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def prompts(draw, least=2):
    """Points and answers [batch, point, d], [batch, point], and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    batch, points, width = draw(st.integers(1, 3)), draw(st.integers(least, 7)), draw(st.integers(1, 4))
    return rng.normal(size=(batch, points, width)), rng.normal(size=(batch, points)), rng


EVERY = {
    "averaging": estimators.averaging,
    "nearest neighbours": estimators.nearest_neighbours,
    "least squares": estimators.least_squares,
    "ridge": lambda xs, ys: estimators.ridge(xs, ys, 0.7),
    "Bayes": lambda xs, ys: estimators.bayes_ridge(xs, ys, 0.5),
    "tasks": lambda xs, ys: estimators.bayes_of_tasks(xs, ys, np.eye(xs.shape[2]), 0.8),
    "lasso": lambda xs, ys: estimators.lasso(xs, ys, 0.05),
}


@examples(10)
@given(drawn=prompts())
@pytest.mark.parametrize("name", EVERY)
def test_a_prediction_sees_the_points_before_it_and_not_their_order(name, drawn):
    xs, ys, rng = drawn
    found = EVERY[name](xs, ys)
    point = int(rng.integers(1, ys.shape[1])) if ys.shape[1] > 1 else 0
    later, answers = xs.copy(), ys.copy()
    later[:, point + 1 :] = 9 * rng.normal(size=later[:, point + 1 :].shape)
    answers[:, point:] = 9 * rng.normal(size=answers[:, point:].shape)
    np.testing.assert_allclose(EVERY[name](later, answers)[:, : point + 1], found[:, : point + 1], atol=1e-9)
    order = np.r_[rng.permutation(point), np.arange(point, ys.shape[1])]
    np.testing.assert_allclose(EVERY[name](xs[:, order], ys[:, order])[:, point:], found[:, point:], atol=1e-2 if name == "lasso" else 1e-6)
    rows = rng.permutation(len(xs))
    np.testing.assert_allclose(EVERY[name](xs[rows], ys[rows]), found[rows], atol=1e-9)


@examples(20)
@given(drawn=prompts(), scale=st.floats(0.1, 10), k=st.integers(1, 8))
def test_neighbours_are_the_nearest_and_all_of_them_make_the_mean(drawn, scale, k):
    xs, ys, rng = drawn
    found = estimators.nearest_neighbours(xs, ys, k)
    for prompt, point in np.ndindex(ys.shape):
        near = np.argsort(((xs[prompt, :point] - xs[prompt, point]) ** 2).sum(axis=1))[:k]
        assert found[prompt, point] == pytest.approx(ys[prompt, near].mean() if point else 0)
    moved = scale * xs @ np.linalg.qr(rng.normal(size=(xs.shape[2], xs.shape[2])))[0] + rng.normal(size=xs.shape[2])
    np.testing.assert_allclose(estimators.nearest_neighbours(moved, scale * ys, k), scale * found, atol=1e-9)


@examples(20)
@given(drawn=prompts(), penalty=st.floats(0.01, 10))
def test_weights_solve_their_equations(drawn, penalty):
    """Residuals of least squares are orthogonal to the design, and its weights are in the span of the points; ridge shrinks both."""
    xs, ys, _ = drawn
    plain, shrunk = estimators.least_squares_weights(xs, ys), estimators.ridge_weights(xs, ys, penalty)
    assert not plain[:, 0].any()
    for prompt, point in np.ndindex(ys.shape):
        x, y = xs[prompt, :point], ys[prompt, :point]
        own = plain[prompt, point]
        np.testing.assert_allclose(x.T @ (x @ own - y), 0, atol=1e-8)
        if point:
            np.testing.assert_allclose(np.linalg.pinv(x) @ x @ own, own, atol=1e-6 * (1 + np.abs(own).max()))
        ridge = shrunk[prompt, point]
        np.testing.assert_allclose(x.T @ (x @ ridge - y) + penalty * ridge, 0, atol=1e-8)
        assert np.linalg.norm(ridge) <= np.linalg.norm(own) + 1e-12
    np.testing.assert_allclose(estimators.ridge(xs, ys, penalty), (shrunk * xs).sum(axis=-1))


@examples(20)
@given(drawn=prompts(), noise=st.floats(0.1, 3), scale=st.floats(0.1, 3), unit=st.floats(0.1, 10))
def test_bayes_sees_the_ratio_of_noise_and_scale_and_no_unit(drawn, noise, scale, unit):
    xs, ys, _ = drawn
    found = estimators.bayes_ridge(xs, ys, noise, scale)
    assert estimators.bayes_penalty(unit * noise, unit * scale) == pytest.approx(estimators.bayes_penalty(noise, scale))
    np.testing.assert_allclose(estimators.bayes_ridge(xs, unit * ys, unit * noise, unit * scale), unit * found, atol=1e-9)
    np.testing.assert_allclose(found, estimators.ridge(xs, ys, (noise / scale) ** 2))
    np.testing.assert_array_equal(estimators.bayes_ridge(xs, ys, 0, scale), estimators.least_squares(xs, ys))


@examples(20)
@given(drawn=prompts(), count=st.integers(1, 5), noise=st.floats(0.2, 3))
def test_a_list_of_tasks_is_weighed_by_how_well_each_fits(drawn, count, noise):
    xs, ys, rng = drawn
    tasks = rng.normal(size=(count, xs.shape[2]))
    found = estimators.bayes_of_tasks(xs, ys, tasks, noise)
    for prompt, point in np.ndindex(ys.shape):
        misfit = ((ys[prompt, :point, None] - xs[prompt, :point] @ tasks.T) ** 2).sum(axis=0)
        weight = np.exp(-(misfit - misfit.min()) / (2 * noise**2))
        assert found[prompt, point] == pytest.approx(weight @ (tasks @ xs[prompt, point]) / weight.sum(), abs=1e-9)
    twice = np.concatenate([tasks, tasks])[rng.permutation(2 * count)]
    np.testing.assert_allclose(estimators.bayes_of_tasks(xs, ys, twice, noise), found, atol=1e-9)
    answers = tasks @ xs.swapaxes(1, 2)  # [batch, task, point]
    assert (found >= answers.min(axis=1) - 1e-9).all()
    assert (found <= answers.max(axis=1) + 1e-9).all()


@examples(15)
@given(drawn=prompts(), penalty=st.floats(0.01, 0.5))
def test_the_lasso_follows_the_unit_of_y_and_predicts_nothing_under_a_large_penalty(drawn, penalty):
    """The weights are 0 where no coordinate of the gradient at 0 exceeds the penalty."""
    xs, ys, _ = drawn
    found = estimators.lasso(xs, ys, penalty)
    assert not found[:, 0].any()
    for prompt in range(len(xs)):
        x, y = xs[prompt, :-1], ys[prompt, :-1]
        largest = np.abs(x.T @ y).max() / len(y)
        assert estimators.lasso(xs[[prompt]], ys[[prompt]], 1.001 * largest + 1e-9)[0, -1] == 0
    np.testing.assert_allclose(estimators.lasso(xs, 2 * ys, 2 * penalty), 2 * found, atol=1e-2)


@examples(15)
@given(seed=st.integers(0, 1000), points=st.integers(2, 6), dims=st.integers(1, 3))
def test_errors_are_squares_over_dimensions_and_the_nearest_ridge_is_the_ridge_itself(seed, points, dims):
    drawn = linear_prompts(3, points, dims, seed, noise=0.1)
    ys = drawn.ys.double().numpy()
    answers = estimators.ridge(drawn.xs, drawn.ys, 1.0)
    np.testing.assert_allclose(query_errors(lambda xs, ys: estimators.ridge(xs, ys, 1.0), drawn), (answers - ys) ** 2 / dims, atol=1e-12)
    assert not squared_errors(ys, ys, dims).any()
    weights = estimators.ridge_weights(drawn.xs, drawn.ys, 1.0)
    found = penalty_profile(weights, drawn, [0.1, 1.0, 10.0], range(1, points))
    assert (found[found["nearest"]]["penalty"] == 1.0).all()
    assert found["nearest"].sum() == points - 1
    np.testing.assert_allclose(found.loc[found["penalty"] == 1.0, "distance"], 0, atol=1e-12)


# Layers against iterates


@examples(20)
@given(drawn=prompts(), layers=st.integers(1, 3))
def test_the_most_similar_iterate_of_each_layer_is_the_one_that_it_is(drawn, layers):
    _, ys, rng = drawn
    steps = {step: rng.normal(size=ys.shape) for step in range(1, 4)}
    wanted = rng.integers(1, 4, layers)
    table = similarity_table([steps[step] for step in wanted], {"own": steps, "others": {0: ys + 1}}, ys)
    for row in table.itertuples():
        read = steps[wanted[0 if row.layer == "embed" else int(row.layer)]]
        other = ys + 1 if row.algorithm == "others" else steps[row.step]
        assert row.estimate == pytest.approx(error_similarity(read, other, ys).mean())
    best = best_steps(table)
    assert best["layer"].tolist() == ["embed", *map(str, range(1, layers))] * 2
    own = best[best["algorithm"] == "own"]
    np.testing.assert_allclose(own["estimate"], 1)
    if ys.shape[1] > 2:  # of a single point all errors are alike but for their sign
        assert own["step"].tolist() == wanted.tolist()


@examples(8)
@given(seed=SEEDS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_a_probe_sees_neither_unit_nor_zero_of_states_and_targets(seed, scale, shift):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(20, 3))
    targets = states @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(20, 2))
    found = probe(states, targets, folds=4)
    np.testing.assert_allclose(probe(states * [scale, 1, -1] + shift, targets, folds=4), found, atol=1e-8)
    np.testing.assert_allclose(probe(states, targets + shift, folds=4), found + shift, atol=1e-8)
    np.testing.assert_allclose(probe(states, targets[:, 0], folds=4), found[:, 0], atol=1e-8)
    table = depth({"probe": [found, targets]}, targets, n_resamples=20)
    assert table["layer"].tolist() == ["embed", "1"]
    assert table["estimate"].tolist() == pytest.approx([explained(found, targets).mean(), 1])


# Posteriors of two hypotheses


@st.composite
def mixtures(draw):
    """A mixture of components of two hypotheses, new prompts, and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    count, width = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    labels = np.r_[np.zeros(count), np.ones(draw(st.integers(1, 3)))]
    roots = np.tril(0.5 * rng.normal(size=(len(labels), width + 1, width + 1)), -1) + np.eye(width + 1)
    mixture = selection.Mixture(labels, rng.normal(size=(len(labels), width + 1)), roots @ roots.swapaxes(1, 2))
    return mixture, rng.normal(size=(2, 4, width)), rng.normal(size=(2, 4)), rng


@examples(20)
@given(drawn=mixtures())
def test_a_posterior_is_that_of_the_densities_and_does_not_see_the_answer_asked_for(drawn):
    mixture, xs, ys, rng = drawn
    found = mixture.posterior(xs, ys)
    np.testing.assert_allclose(np.exp(found.log_probability).sum(axis=-1), 1)
    tokens = np.concatenate([xs, ys[..., None]], axis=-1)
    for prompt, point in np.ndindex(ys.shape):
        logs, means = [], []
        for label, mean, covariance in zip(mixture.labels, mixture.means, mixture.covariances, strict=True):
            seen = sum(multivariate_normal.logpdf(token, mean, covariance) for token in tokens[prompt, :point])
            asked = multivariate_normal.logpdf(xs[prompt, point], mean[:-1], covariance[:-1, :-1])
            logs.append(seen + asked - np.log((mixture.labels == label).sum()))
            slope = np.linalg.solve(covariance[:-1, :-1], covariance[:-1, -1])
            means.append(mean[-1] + slope @ (xs[prompt, point] - mean[:-1]))
        weight = np.exp(np.array(logs) - max(logs))
        weight /= weight.sum()
        expected = [weight[mixture.labels == label].sum() for label in (0, 1)]
        np.testing.assert_allclose(np.exp(found.log_probability[prompt, point]), expected, atol=1e-8)
        assert found.mean[prompt, point] == pytest.approx(weight @ means, abs=1e-8)
    point = int(rng.integers(4))
    answers = ys.copy()
    answers[:, point:] += rng.normal(size=answers[:, point:].shape)
    again = mixture.posterior(xs, answers)
    np.testing.assert_allclose(again.mean[:, : point + 1], found.mean[:, : point + 1], atol=1e-8)
    lost = found.log_loss([0, 1])
    np.testing.assert_allclose(2.0**-lost, np.exp([found.log_probability[0, :, 0], found.log_probability[1, :, 1]]))


@examples(20)
@given(seed=SEEDS)
def test_answers_of_a_posterior_lie_between_the_predictors(seed):
    rng = np.random.default_rng(seed)
    xs, share = rng.normal(size=(3, 4, 2)), rng.random((3, 4))
    posterior = selection.Posterior([0.0, 1.0], np.log(np.stack([share, 1 - share], axis=-1)), np.zeros((3, 4)))
    hard, soft = selection.hard_choice(xs, posterior), selection.averaging(xs, posterior)
    np.testing.assert_allclose(soft, share * xs[..., 0] + (1 - share) * xs[..., 1])
    np.testing.assert_array_equal(hard, np.where(share >= 0.5, xs[..., 0], xs[..., 1]))
    assert (np.abs(soft - hard) <= 0.5 * np.abs(xs[..., 0] - xs[..., 1]) + 1e-12).all()


@examples(15)
@given(drawn=prompts(), scale=st.floats(0.1, 10))
def test_stacking_is_ridge_around_its_prior_and_sees_no_unit(drawn, scale):
    xs, ys, rng = drawn
    width = xs.shape[2]
    root, mean = np.tril(0.5 * rng.normal(size=(width, width)), -1) + np.eye(width), rng.normal(size=width)
    plain = selection.Stacking(np.zeros(width), np.eye(width), 0.7)
    np.testing.assert_allclose(plain.predict(xs, ys), estimators.ridge(xs, ys, 0.7), atol=1e-9)
    found = selection.Stacking(mean, root @ root.T, 0.7)
    np.testing.assert_allclose(found.weights(xs, ys)[:, 0], np.tile(mean, (len(xs), 1)))
    whitened = estimators.ridge(xs @ root, ys - xs @ mean, 0.7)  # b is mean + root @ standard normal
    np.testing.assert_allclose(found.predict(xs, ys), xs @ mean + whitened, atol=1e-8)
    larger = selection.Stacking(mean, root @ root.T, scale**2 * 0.7)
    np.testing.assert_allclose(larger.predict(scale * xs, scale * ys), scale * found.predict(xs, ys), atol=1e-8 * (1 + scale))
