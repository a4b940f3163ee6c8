"""Posterior over hypotheses: Bayes' rule point by point, calibrated on simulated prompts, and the answers that follow from it."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge

from analysis_lib import incontext
from analysis_lib.incontext import selection

LABELS = np.array([0.1, 0.1, 0.8])
MEANS = np.array([[0.0, 0.1, 0.0], [1.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
COVARIANCES = np.array(
    [
        [[1.0, 0.9, 0.9], [0.9, 1.0, 0.8], [0.9, 0.8, 1.1]],
        [[2.0, 1.9, 0.9], [1.9, 2.0, 0.8], [0.9, 0.8, 1.1]],
        [[1.0, 0.9, 0.6], [0.9, 1.0, 0.7], [0.6, 0.7, 2.0]],
    ]
)


@pytest.fixture(scope="module")
def mixture():
    return selection.Mixture(LABELS, MEANS, COVARIANCES)


@pytest.fixture(scope="module")
def simulated():
    """Prompts of the mixture itself, a hypothesis drawn first and then one of its components."""
    rng = np.random.default_rng(0)
    component = np.where(rng.random(4000) < 0.5, 2, rng.integers(0, 2, 4000))
    noise = np.linalg.cholesky(COVARIANCES)[component][:, None] @ rng.normal(size=(4000, 6, 3, 1))
    tokens = noise[..., 0] + MEANS[component][:, None]
    return tokens[..., :2], tokens[..., 2], LABELS[component]


def test_posterior_is_bayes_rule_point_by_point(mixture, simulated):
    xs, ys, _ = simulated
    found = mixture.posterior(xs[:3], ys[:3])
    for prompt, k in ((0, 0), (0, 5), (1, 3), (2, 1)):
        tokens = np.concatenate((xs[prompt, :k], ys[prompt, :k, None]), axis=-1)
        likelihoods = []
        expected_y = []
        for mean, covariance in zip(MEANS, COVARIANCES, strict=True):
            shown = multivariate_normal(mean, covariance).pdf(tokens).prod() if k else 1.0
            likelihoods.append(shown * multivariate_normal(mean[:2], covariance[:2, :2]).pdf(xs[prompt, k]))
            expected_y.append(mean[2] + covariance[2, :2] @ np.linalg.inv(covariance[:2, :2]) @ (xs[prompt, k] - mean[:2]))
        weights = np.array([0.25, 0.25, 0.5]) * likelihoods
        weights /= weights.sum()
        np.testing.assert_allclose(np.exp(found.log_probability[prompt, k]), [weights[:2].sum(), weights[2]], rtol=1e-9)
        assert found.mean[prompt, k] == pytest.approx(weights @ expected_y)
        assert found.log_odds[prompt, k] == pytest.approx(np.log(weights[2] / weights[:2].sum()))
    assert found.hypotheses == [0.1, 0.8]


def test_no_answer_that_the_prompt_allows_beats_the_posterior_mean(mixture, simulated):
    xs, ys, _ = simulated
    posterior = mixture.posterior(xs, ys)
    others = [xs[..., 0], xs[..., 1], selection.hard_choice(xs, posterior), selection.averaging(xs, posterior)]
    assert all(((posterior.mean - ys) ** 2).mean() < ((other - ys) ** 2).mean() for other in others)


@pytest.mark.parametrize("k", [1, 3])
def test_the_posterior_is_calibrated_on_the_selectors_own_prompts(k):
    bank = incontext.selector_prompts(800, seed=1, n_points=200, n_fitted=6)
    fresh = incontext.selector_prompts(1500, seed=2, n_points=4, n_fitted=6)
    posterior = selection.Mixture.from_prompts(bank.xs, bank.ys, bank.alphas).posterior(fresh.xs, fresh.ys)
    probability = np.exp(posterior.log_probability[:, k, 1])
    for low in (0.0, 0.25, 0.5, 0.75):
        chosen = (probability > low) & (probability <= low + 0.25)
        share = (fresh.alphas.numpy()[chosen] > 0.5).mean()
        # Four standard errors of a share, and some for a mixture of 800 components in place of all functions.
        assert abs(share - probability[chosen].mean()) < 4 * np.sqrt(0.25 / chosen.sum()) + 0.03


def test_moments_are_those_of_each_prompt(simulated):
    bank = incontext.selector_prompts(4, seed=5, n_points=50)
    mixture = selection.Mixture.from_prompts(bank.xs, bank.ys, [0.1, 0.8, 0.1, 0.8])
    tokens = np.concatenate((bank.xs[2], bank.ys[2, :, None]), axis=-1).astype(float)
    np.testing.assert_allclose(mixture.means[2], tokens.mean(axis=0))
    np.testing.assert_allclose(mixture.covariances[2], np.cov(tokens.T, bias=True))


def test_no_answer_is_used_before_it_is_given(mixture, simulated):
    xs, ys, _ = simulated
    changed = ys.copy()
    changed[:, 3:] += 9
    np.testing.assert_array_equal(mixture.posterior(xs, ys).mean[:, :4], mixture.posterior(xs, changed).mean[:, :4])


def test_sure_posteriors_make_averaging_a_choice():
    xs = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]])
    with np.errstate(divide="ignore"):
        posterior = selection.Posterior([0.1, 0.8], np.log([[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]]), np.zeros((1, 3)))
    assert selection.hard_choice(xs, posterior)[0, :2].tolist() == [1, 4]
    assert selection.averaging(xs, posterior).tolist() == [[1, 4, 6]]


def test_log_loss_is_in_bits():
    posterior = selection.Posterior([0.1, 0.8], np.log([[[0.5, 0.5], [0.75, 0.25]], [[0.5, 0.5], [0.125, 0.875]]]), np.zeros((2, 2)))
    np.testing.assert_allclose(posterior.log_loss([0.8, 0.1]), [[1, 2], [1, 3]])


def test_stacking_is_ridge_regression_towards_the_prior_mean(simulated):
    xs, ys, _ = simulated
    stacking = selection.Stacking(np.array([0.7, 0.2]), np.diag([0.5, 2.0]), 0.3)
    shown, root = xs[1, :4], np.sqrt([0.5, 2.0])
    around = Ridge(0.3, fit_intercept=False).fit(shown * root, ys[1, :4] - shown @ stacking.mean)
    np.testing.assert_allclose(stacking.weights(xs, ys)[1, 4], stacking.mean + root * around.coef_)
    np.testing.assert_allclose(stacking.weights(xs, ys)[:, 0], np.broadcast_to(stacking.mean, (4000, 2)))
    assert stacking.predict(xs, ys)[1, 4] == pytest.approx(stacking.weights(xs, ys)[1, 4] @ xs[1, 4])


def test_stacking_learns_its_prior_from_prompts():
    rng = np.random.default_rng(3)
    weights = [1.0, -0.5] + rng.normal(size=(500, 2)) * [0.2, 0.6]
    xs = rng.normal(size=(500, 200, 2))
    ys = (xs * weights[:, None]).sum(axis=-1) + 0.3 * rng.normal(size=(500, 200))
    found = selection.Stacking.from_prompts(xs, ys)
    np.testing.assert_allclose(found.mean, [1, -0.5], atol=0.1)  # standard errors 0.01 and 0.03
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), [0.2, 0.6], rtol=0.15)
    assert found.noise_variance == pytest.approx(0.09, rel=0.05)
    best = ((found.predict(xs, ys) - ys) ** 2)[:, 5:].mean()
    for other in (np.zeros(2), np.array([1, -0.5])):
        assert best < ((xs @ other - ys) ** 2)[:, 5:].mean()


def test_the_prior_of_stacking_is_that_of_b_and_not_of_its_estimates():
    """With thirty noisy points a prompt, the estimates vary twice as much as b does."""
    rng = np.random.default_rng(5)
    b = rng.normal(scale=0.2, size=(4000, 2))
    xs = rng.normal(size=(4000, 30, 2))
    found = selection.Stacking.from_prompts(xs, (xs * b[:, None]).sum(axis=-1) + rng.normal(size=(4000, 30)))
    assert found.noise_variance == pytest.approx(1, rel=0.02)  # its standard error is 0.004
    np.testing.assert_allclose(found.covariance, 0.04 * np.eye(2), atol=0.006)  # standard errors below 0.002


MIXTURE = selection.Mixture(LABELS, MEANS, COVARIANCES)
XS, YS = np.random.default_rng(0).normal(size=(4, 40, 2)), np.random.default_rng(1).normal(size=(4, 40))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: selection.Mixture.from_prompts(np.ones((2, 3)), np.ones((2, 3)), [0, 1]), "xs: expected"),
        (lambda: selection.Mixture.from_prompts(np.ones((2, 40, 2)), np.ones((2, 40)), [0]), "labels: expected one for each prompt"),
        (lambda: selection.Mixture.from_prompts(np.ones((2, 40, 2)), np.ones((2, 40)), [1, 1]), "labels: expected two hypotheses"),
        (lambda: selection.Mixture.from_prompts(np.ones((2, 9, 2)), np.ones((2, 9)), [0, 1]), "xs: expected 30 points"),
        (lambda: MIXTURE.posterior(np.ones((2, 3, 1)), np.ones((2, 3))), "xs: expected 2 predictors"),
        (lambda: selection.Stacking.from_prompts(XS[:2], YS[:2]), "xs: expected 3 prompts or more, found 2"),
        (lambda: selection.Stacking.from_prompts(XS * [1, 0], YS), "xs: expected predictors that do not depend on each other"),
        (lambda: selection.Stacking.from_prompts(XS, XS.sum(axis=-1)), "ys: expected measurements with noise"),
        (lambda: selection.Mixture.from_prompts(XS, XS[..., 0], [0, 1, 0, 1]), "xs, ys: expected predictors and measurements that no line"),
        (lambda: selection.averaging(np.ones((2, 4, 2)), MIXTURE.posterior(np.ones((2, 3, 2)), np.ones((2, 3)))), "posterior: exp"),
        (lambda: MIXTURE.posterior(np.ones((2, 3, 2)), np.ones((2, 3))).log_loss([0.1]), "labels: expected one for each of 2 prompts"),
        (lambda: MIXTURE.posterior(np.ones((2, 3, 2)), np.ones((2, 3))).log_loss([0.1, 0.5]), "labels: expected hypotheses among"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_stacking_of_a_single_predictor():
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(30, 50, 1))
    measured = predictions[..., 0] + 0.1 * rng.normal(size=(30, 50))
    stacking = selection.Stacking.from_prompts(predictions, measured)
    assert stacking.covariance.shape == (1, 1)
    assert stacking.predict(predictions, measured).shape == (30, 50)
