import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from analysis_lib import incontext
from analysis_lib.incontext import prompts
from tests.support.examples import examples

SAMPLERS = {
    "linear": incontext.linear_prompts,
    "opposite": prompts.opposite_quadrants,
    "orthogonal": prompts.orthogonal_queries,
}


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a) if isinstance(getattr(a, name), torch.Tensor))


# Linear functions


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_every_sampler_has_the_noise_it_is_given_and_is_seeded(sampler, noise):
    found = sampler(3000, 4, 5, 3, noise=noise)
    assert found.xs.shape == found.queries.shape == (3000, 4, 5)
    assert found.ys.shape == found.answers.shape == (3000, 4)
    assert found.w.shape == (3000, 5)
    for places, values in ((found.xs, found.ys), (found.queries, found.answers)):
        left = values - (places * found.w[:, None]).sum(-1)
        # the standard error of a standard deviation from 12,000 values is 0.0065 of it: five of them
        assert left.std() == pytest.approx(noise, rel=0.033, abs=1e-5)
        assert left.mean().abs() < 5 * noise / math.sqrt(12_000) + 1e-6
    assert same(found, sampler(3000, 4, 5, 3, noise=noise))
    assert not same(found, sampler(3000, 4, 5, 4, noise=noise))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_generator_goes_on_and_a_seed_begins_anew(sampler):
    generator = torch.Generator().manual_seed(3)
    first, second = sampler(5, 2, 3, generator), sampler(5, 2, 3, generator)
    assert same(first, sampler(5, 2, 3, 3))
    assert not same(first, second)


def test_in_distribution_points_are_their_own_queries():
    found = incontext.linear_prompts(4000, 10, 3, 0, noise=0.5)
    assert found.queries is found.xs
    assert found.answers is found.ys
    # 120,000 numbers; five standard errors
    assert found.xs.mean().abs() < 5 / math.sqrt(120_000)
    assert found.xs.var() == pytest.approx(1, abs=5 * math.sqrt(2 / 120_000))
    assert found.w.var() == pytest.approx(1, abs=5 * math.sqrt(2 / 12_000))


def test_prompts_of_a_list_of_tasks():
    tasks = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 5.0]])
    found = incontext.prompts_of_tasks(tasks, 4000, 6, seed=0, noise=0.5)
    of_task = (found.w[:, None] == tasks).all(-1)
    assert (of_task.sum(1) == 1).all()  # each prompt has one of them
    # the standard error of a share of 1/4 among 4,000 is .0068: five of them
    torch.testing.assert_close(of_task.double().mean(0), torch.full((4,), 0.25).double(), atol=0.035, rtol=0)
    left = found.ys - (found.xs * found.w[:, None]).sum(-1)
    assert left.std() == pytest.approx(0.5, rel=0.033)
    assert same(found, incontext.prompts_of_tasks(tasks, 4000, 6, seed=0, noise=0.5))


def test_scaled_points_are_the_same_points():
    plain, scaled = incontext.linear_prompts(3, 4, 2, 7), incontext.linear_prompts(3, 4, 2, 7, scale=3.0)
    torch.testing.assert_close(scaled.xs, 3 * plain.xs)
    torch.testing.assert_close(scaled.ys, 3 * plain.ys)


@examples(20)
@given(n_dims=st.integers(1, 12), seed=st.integers(0, 1000))
def test_skewed_covariance(n_dims, seed):
    transform = prompts.skewed_transform(n_dims, seed)
    covariance = transform @ transform.T
    sizes = torch.linalg.eigvalsh(covariance.double()).flip(0)
    falling = 1 / torch.arange(1, n_dims + 1).double() ** 2
    torch.testing.assert_close(sizes, n_dims * falling / falling.sum(), rtol=1e-4, atol=1e-5)


def test_the_transform_makes_the_covariance():
    transform = prompts.skewed_transform(3, 0)
    found = incontext.linear_prompts(4000, 10, 3, 1, transform=transform)
    # entries of a covariance of 40,000 points: five standard errors, at most sqrt(2) times its largest variance each
    largest = float((transform @ transform.T).diagonal().max())
    assert np.allclose(np.cov(found.xs.flatten(0, 1).T.numpy()), transform @ transform.T, atol=5 * math.sqrt(2) * largest / 200)
    turned = incontext.linear_prompts(2, 3, 2, 0, transform=torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    plain = incontext.linear_prompts(2, 3, 2, 0)
    torch.testing.assert_close(turned.xs, torch.stack((-plain.xs[..., 1], plain.xs[..., 0]), dim=-1))


def test_opposite_quadrants():
    found = prompts.opposite_quadrants(500, 6, 3, 0)
    signs = found.xs.sign()
    assert torch.equal(signs, signs[:, :1].expand_as(signs))
    assert torch.equal(found.queries.sign(), -signs)
    assert len(torch.unique(signs[:, 0], dim=0)) == 8
    assert not torch.allclose(found.queries, -found.xs)
    assert found.xs.square().mean() == pytest.approx(1, abs=5 * math.sqrt(2 / 9000))


@examples(20)
@given(n_dims=st.integers(1, 8), data=st.data(), seed=st.integers(0, 1000))
def test_orthogonal_queries(n_dims, data, seed):
    n_points = data.draw(st.integers(1, n_dims))
    found = prompts.orthogonal_queries(20, n_points, n_dims, seed)
    for k in range(n_points):
        overlap = (found.xs[:, :k] @ found.queries[:, k, :, None]).abs()
        assert (overlap < 1e-4).all()
    assert (found.queries.norm(dim=-1) > 0).all()


def test_orthogonal_queries_are_as_long_as_points():
    found = prompts.orthogonal_queries(4000, 3, 3, 0)
    # a chi-squared of 3 degrees has variance 6; five standard errors of a mean of 4,000
    assert found.queries.square().sum(-1).mean(0).numpy() == pytest.approx(np.full(3, 3.0), abs=5 * math.sqrt(6 / 4000))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_what_is_asked_after_k_points(sampler):
    found = sampler(4, 3, 3, 0, noise=0.1)
    for k in range(3):
        xs, ys = found.asked(k)
        assert torch.equal(xs[:, :k], found.xs[:, :k])
        assert torch.equal(ys[:, :k], found.ys[:, :k])
        assert torch.equal(xs[:, k], found.queries[:, k])
        assert torch.equal(ys[:, k], found.answers[:, k])
        assert xs.shape[1] == ys.shape[1] == k + 1
    for k in (-1, 3):
        with pytest.raises(ValueError, match="k: expected 0 to 2 points shown"):
            found.asked(k)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_the_first_prompts_are_prompts_of_the_same_kind(sampler):
    drawn = sampler(4, 3, 3, 0, noise=0.1)
    found = drawn.first(2)
    assert torch.equal(found.queries, drawn.queries[:2])
    assert torch.equal(found.answers, drawn.answers[:2])
    assert (found.queries is found.xs) == (drawn.queries is drawn.xs)
    assert (len(found.w), found.noise) == (2, 0.1)
    with pytest.raises(ValueError, match="n: expected 1 to 4 prompts"):
        drawn.first(5)


# Ridge


@examples(25)
@given(
    n_points=st.integers(2, 12),
    n_dims=st.integers(1, 6),
    penalty=st.floats(0.01, 10),
    intercept=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_ridge_is_scikit_learns(n_points, n_dims, penalty, intercept, seed):
    found = incontext.linear_prompts(3, n_points, n_dims, seed, noise=0.3)
    queries = incontext.linear_prompts(3, 4, n_dims, seed + 1).xs
    predictions = prompts.ridge_predictions(found.xs, found.ys, queries, penalty, intercept)
    assert predictions.dtype == torch.float32
    for i in range(3):
        reference = Ridge(alpha=penalty, fit_intercept=intercept).fit(found.xs[i].double().numpy(), found.ys[i].double().numpy())
        assert np.allclose(predictions[i], reference.predict(queries[i].double().numpy()), rtol=1e-4, atol=1e-5)


def test_ridge_between_least_squares_and_zero():
    found = incontext.linear_prompts(5, 8, 3, 0, noise=0.5)
    exact = torch.linalg.lstsq(found.xs, found.ys[..., None]).solution
    least = prompts.ridge_predictions(found.xs, found.ys, found.xs, 1e-9)
    torch.testing.assert_close(least, (found.xs @ exact)[..., 0], rtol=1e-4, atol=1e-4)
    assert prompts.ridge_predictions(found.xs, found.ys, found.xs, 1e9).abs().max() < 1e-6


# The model selector


def test_selector_prompts():
    found = incontext.selector_prompts(400, 0)
    assert found.xs.shape == (400, 21, 2)
    assert found.ys.shape == (400, 21)
    assert found.alphas.unique().tolist() == pytest.approx([0.1, 0.8])
    assert 150 < int((found.alphas > 0.5).sum()) < 250  # five standard deviations of a fair coin
    assert same(found, incontext.selector_prompts(400, 0))
    assert not same(found, incontext.selector_prompts(400, 1))


def test_without_noise_and_with_weak_penalties_both_ridges_are_right():
    found = incontext.selector_prompts(50, 0, alphas=(1e-6, 2e-6), noise_per_alpha=0.0)
    torch.testing.assert_close(found.xs, found.ys[..., None].expand(-1, -1, 2), rtol=1e-3, atol=1e-3)


def test_noise_grows_with_alpha():
    """With very many points fitted nothing is left but the noise of the fresh points."""
    found = incontext.selector_prompts(400, 0, n_fitted=400)
    left = (found.ys - found.xs[..., 0]).square()
    for alpha in (0.1, 0.8):
        expected = (0.8 * alpha) ** 2 * (1 + 6 / 400)  # and that of six fitted numbers
        assert left[found.alphas == alpha].mean() == pytest.approx(expected, rel=0.15)  # five standard errors of 4,000 squares, or so


def test_the_figures_recorded_by_the_original_are_those_of_other_alphas():
    """0.1196 and 0.1262 for its two ridges are what alphas 0.1 and 0.5 give, and far from what 0.1 and 0.8 give."""
    recorded = torch.tensor([0.1196, 0.1262])
    distances = {}
    for alphas in ((0.1, 0.5), (0.1, 0.8)):
        found = incontext.selector_prompts(10_000, 0, n_points=1, alphas=alphas)
        errors = (found.xs[:, -1] - found.ys[:, -1, None]).square()
        # the original's are means of 10,000 prompts too
        distances[alphas] = (errors.mean(0) - recorded).abs() / (math.sqrt(2) * errors.std(0) / 100)
    assert distances[0.1, 0.5].max() < 3
    assert distances[0.1, 0.8].min() > 10


# Refused


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: incontext.linear_prompts(0, 1, 1, 0), "n_prompts: expected a whole number of 1 or more, found 0"),
        (lambda: incontext.linear_prompts(1, 1.5, 1, 0), "n_points: expected a whole number"),
        (lambda: incontext.linear_prompts(1, 1, 1, 0, noise=-1.0), "noise: expected a standard deviation of 0 or more"),
        (lambda: incontext.linear_prompts(1, 1, 1, 0, noise=math.nan), "noise"),
        (lambda: incontext.linear_prompts(1, 1, 1, 0, scale=0.0), "scale: expected a positive number"),
        (lambda: incontext.linear_prompts(1, 1, 2, 0, transform=torch.eye(3)), r"transform: expected \(2, 2\), found \(3, 3\)"),
        (
            lambda: prompts.prompts_of_tasks(torch.zeros(0, 2), 1, 1, 0),
            r"tasks: expected \[task, d\], none of them 0, found shape \(0, 2\)",
        ),
        (lambda: prompts.prompts_of_tasks(torch.zeros(3), 1, 1, 0), r"tasks: .* found shape \(3,\)"),
        (lambda: prompts.orthogonal_queries(1, 4, 3, 0), "n_points: expected at most n_dims 3"),
        (lambda: prompts.opposite_quadrants(1, 1, 0, 0), "n_dims"),
        (lambda: prompts.skewed_transform(0, 0), "n_dims"),
        (lambda: incontext.selector_prompts(1, 0, n_fitted=1), "n_fitted: expected 2 or more"),
        (lambda: incontext.selector_prompts(1, 0, alphas=(0.1, 0.0)), "alphas: expected positive numbers"),
        (lambda: incontext.selector_prompts(1, 0, alphas=()), "alphas"),
        (lambda: incontext.selector_prompts(1, 0, noise_per_alpha=-0.1), "noise_per_alpha"),
        (lambda: prompts.ridge_predictions(torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.zeros(1, 1, 3), 0.0), "penalty"),
        (lambda: prompts.ridge_predictions(torch.zeros(1, 2, 3), torch.zeros(1, 3), torch.zeros(1, 1, 3), 1.0), "xs, ys"),
        (lambda: prompts.ridge_predictions(torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.zeros(1, 1, 2), 1.0), "queries"),
    ],
)
def test_arguments_that_make_no_prompt(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("seed", [1.5, "1", None, True])
def test_seeds_are_whole_numbers_or_generators(seed):
    with pytest.raises(TypeError, match="seed: expected a whole number or a torch.Generator"):
        incontext.linear_prompts(1, 1, 1, seed)


def test_numbers_and_matrices_of_other_types_are_taken_as_they_are():
    tasks = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = prompts.prompts_of_tasks(tasks, np.int64(2), 5, np.int64(0))
    again = prompts.prompts_of_tasks(tasks.float(), 2, 5, 0)
    assert torch.equal(found.ys, again.ys)
    stretched = prompts.linear_prompts(2, 3, 2, 0, transform=2 * torch.eye(2, dtype=torch.float64))
    assert torch.equal(stretched.xs, 2 * prompts.linear_prompts(2, 3, 2, 0).xs)
