"""What holds for whatever prompts, answers and attention: written-out formulas, planted answers, changes that must not be seen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from analysis_lib.incontext import error_curves, implied_weights, predict
from analysis_lib.incontext.algorithms import error_similarity, gradient_descent, newton
from analysis_lib.incontext.answers import explained
from analysis_lib.incontext.behaviour import answer_influence, linear_influence, weight_distances
from analysis_lib.incontext.clusters import cluster_rows, content_share, cut_accuracy, prompt_cuts, random_attention, split_rows
from analysis_lib.incontext.estimators import averaging, ridge_weights
from analysis_lib.incontext.heads import binding, key_slopes, product_slopes
from analysis_lib.models.regressor import RegressorOutput
from tests.support import tiny_circuits
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)


class Averaging(torch.nn.Module):
    """A planted model that answers as `estimators.averaging` does."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, xs, ys):
        before = torch.cumsum(xs * ys[..., None], dim=1).roll(1, dims=1)
        before = torch.cat((torch.zeros_like(before[:, :1]), before[:, 1:]), dim=1)
        counts = torch.arange(ys.shape[1]).clamp(min=1)[:, None]
        return RegressorOutput(self.one * (before / counts * xs).sum(dim=-1))


@st.composite
def prompts(draw, least=2):
    """Points and answers [batch, point, d], [batch, point] of any functions, and a generator."""
    rng = np.random.default_rng(draw(SEEDS))
    batch, points, width = draw(st.integers(1, 3)), draw(st.integers(least, 6)), draw(st.integers(1, 4))
    return rng.normal(size=(batch, points, width)), rng.normal(size=(batch, points)), rng


@examples(30)
@given(drawn=prompts(), batch_size=st.integers(1, 4))
def test_a_planted_model_is_read_as_what_it_computes(drawn, batch_size):
    """Its slope in x is the mean of the x y before; its slope in each y that of the estimator that it is."""
    xs, ys, _ = drawn
    loaded = tiny_circuits.loaded(Averaging())
    np.testing.assert_allclose(predict(loaded, xs, ys, batch_size), averaging(xs, ys), atol=1e-12)
    found = implied_weights(loaded, xs, ys, batch_size)
    for point in range(ys.shape[1]):
        expected = (xs[:, :point] * ys[:, :point, None]).sum(axis=1) / max(point, 1)
        np.testing.assert_allclose(found[:, point], expected, atol=1e-12)
    np.testing.assert_allclose(answer_influence(loaded, xs, ys), linear_influence(averaging, xs), atol=1e-12)


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 8), points=st.integers(1, 4), scale=st.sampled_from([-1.0, 0.5, 4.0]), shift=st.integers(-3, 3))
def test_curves_are_means_inside_their_bands_and_follow_a_change_of_unit(seed, n, points, scale, shift):
    errors = np.random.default_rng(seed).normal(size=(n, points))
    found = error_curves({"one": errors, "other": scale * errors + shift}, n_resamples=50)
    one, other = found["one"], found["other"]
    assert one["examples"].tolist() == list(range(points))
    np.testing.assert_allclose(one["error"], errors.mean(axis=0))
    assert (one["low"] <= one["high"]).all()
    assert (errors.min(axis=0) - 1e-12 <= one["low"]).all()
    assert (one["high"] <= errors.max(axis=0) + 1e-12).all()
    ends = other[["low", "high"]].to_numpy()
    np.testing.assert_allclose(ends if scale > 0 else ends[:, ::-1], scale * one[["low", "high"]] + shift, atol=1e-9)
    assert error_curves({"one": errors}, n_resamples=50)["one"].equals(one)  # whatever others are measured


def spectral(xs, ys, query, remaining):
    """The answer of weights in the eigenbasis of S, where a share `remaining` of each eigenvalue is not inverted yet."""
    values, vectors = np.linalg.eigh(xs.T @ xs)
    kept = values > 1e-9 * values[-1]
    inverse = vectors[:, kept] * ((1 - remaining(values[kept] / values[-1])) / values[kept]) @ vectors[:, kept].T
    return float(query @ inverse @ xs.T @ ys)


@examples(30)
@given(drawn=prompts(), n_steps=st.integers(1, 12))
def test_iterates_are_what_their_eigenvalues_say(drawn, n_steps):
    """With eigenvalues s as shares of the largest, t steps of descent leave (1 - s)^t and Newton's leave (1 - s^2)^(2^t)."""
    xs, ys, _ = drawn
    descent, quick = gradient_descent(xs, ys, n_steps), newton(xs, ys, n_steps)
    assert not descent[0].any()
    assert not quick[:, :, 0].any()
    for prompt, point in np.ndindex(len(xs), ys.shape[1]):
        if point:
            asked = (xs[prompt, :point], ys[prompt, :point], xs[prompt, point])
            scale = 1 + abs(spectral(*asked, lambda s: 0 * s))
            slow, fast = spectral(*asked, lambda s: (1 - s) ** n_steps), spectral(*asked, lambda s: (1 - s**2) ** (2.0**n_steps))
            np.testing.assert_allclose(descent[-1, prompt, point], slow, atol=1e-6 * scale)
            np.testing.assert_allclose(quick[-1, prompt, point], fast, atol=1e-6 * scale)


@examples(20)
@given(drawn=prompts(), scale=st.floats(0.1, 10))
@pytest.mark.parametrize("iteration", [gradient_descent, newton])
def test_iterates_are_linear_in_y_and_see_neither_axes_nor_unit_of_x(iteration, drawn, scale):
    xs, ys, rng = drawn
    rotation = np.linalg.qr(rng.normal(size=(xs.shape[2], xs.shape[2])))[0]
    other = rng.normal(size=ys.shape)
    found = iteration(xs, ys, 4)
    np.testing.assert_allclose(iteration(scale * xs @ rotation, ys, 4), found, atol=1e-8)
    np.testing.assert_allclose(iteration(xs, scale * ys + other, 4), scale * found + iteration(xs, other, 4), atol=1e-8)


@examples(20)
@given(drawn=prompts(), scale=st.floats(0.1, 10))
def test_similar_errors_are_cosines(drawn, scale):
    _, ys, rng = drawn
    first, second = rng.normal(size=(2, *ys.shape))
    found = error_similarity(first, second, ys)
    expected = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip((first - ys)[:, 1:], (second - ys)[:, 1:], strict=True)]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(error_similarity(second, first, ys), found)
    np.testing.assert_allclose(error_similarity(ys + scale * (first - ys), second, ys), found)
    np.testing.assert_allclose(error_similarity(first, ys - scale * (first - ys), ys), -1)
    assert not error_similarity(first, ys, ys).any()


@examples(20)
@given(drawn=prompts(), penalty=st.floats(0.01, 10))
def test_distances_of_weights_are_squares_of_a_metric(drawn, penalty):
    xs, ys, rng = drawn
    a, b = ridge_weights(xs, ys, penalty), rng.normal(size=xs.shape)
    c = rng.normal(size=xs.shape)
    assert not weight_distances(a, a).any()
    np.testing.assert_array_equal(weight_distances(a, b), weight_distances(b, a))
    assert (np.sqrt(weight_distances(a, c)) <= np.sqrt(weight_distances(a, b)) + np.sqrt(weight_distances(b, c)) + 1e-12).all()


@examples(20)
@given(seed=SEEDS, n=st.integers(3, 10), outputs=st.integers(1, 3), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_what_is_explained_sees_no_unit_and_is_least_squares_at_best(seed, n, outputs, scale, shift):
    rng = np.random.default_rng(seed)
    targets, predictions = rng.normal(size=(2, n, outputs))
    found = explained(predictions, targets)
    np.testing.assert_allclose(explained(scale * predictions + shift, scale * targets + shift), found, atol=1e-6)
    assert (explained(targets, targets) == 1).all()
    np.testing.assert_allclose(explained(np.broadcast_to(targets.mean(axis=0), targets.shape), targets).mean(), 0, atol=1e-12)
    design = np.column_stack([np.ones(n), predictions])
    fitted = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    assert max(found.mean(), 0) <= explained(fitted, targets).mean() + 1e-9 <= 1 + 2e-9


@examples(20)
@given(seed=SEEDS, n=st.integers(2, 6), value=st.floats(0.001, 1))
def test_targets_of_one_value_explain_nothing(seed, n, value):
    with pytest.raises(ValueError, match="targets: expected values that differ"):
        explained(np.random.default_rng(seed).normal(size=n), np.full(n, value))


def attention(seed, prompts=4, points=3):
    """Causal patterns [1, prompt, 1, token, token] and their generator."""
    rng = np.random.default_rng(seed)
    scores = np.where(np.tri(2 * points, dtype=bool), rng.normal(size=(1, prompts, 1, 2 * points, 2 * points)), -np.inf)
    return softmax(scores, axis=-1), rng


@examples(20)
@given(seed=SEEDS, points=st.integers(1, 4))
def test_rows_of_a_pattern_are_questions_and_answers_in_turn(seed, points):
    pattern, _ = attention(seed, points=points)
    questions, answers = split_rows(pattern)
    found = binding(pattern)
    for point in range(points):
        np.testing.assert_array_equal(questions[..., point, :], pattern[..., 2 * point, :])
        np.testing.assert_array_equal(answers[..., point, :], pattern[..., 2 * point + 1, :])
        np.testing.assert_array_equal(found[..., point], np.moveaxis(pattern[..., 2 * point + 1, 2 * point], 0, 1))


@examples(20)
@given(seed=SEEDS, points=st.integers(1, 4))
def test_random_attention_sees_what_the_pattern_sees(seed, points):
    pattern, _ = attention(seed, points=points)
    found = random_attention(pattern, seed)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    np.testing.assert_array_equal(found > 0, pattern > 0)


@examples(30)
@given(seed=SEEDS, prompts_=st.integers(2, 6), keys=st.integers(2, 5), slope=st.floats(-3, 3), scale=st.floats(0.1, 10))
def test_a_planted_slope_is_found_whatever_position_does(seed, prompts_, keys, slope, scale):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(prompts_, keys))
    scores -= scores.mean()
    by_position = rng.normal(size=keys)
    rows = 1 + slope * scores + (by_position - by_position.mean())  # their mean is 1
    np.testing.assert_allclose(key_slopes(rows, scores), slope, atol=1e-6)
    np.testing.assert_allclose(key_slopes(rows, scale * scores + rng.normal(size=keys)), slope / scale, atol=1e-6 / scale)
    np.testing.assert_allclose(key_slopes(scale * rows, scores), slope, atol=1e-6)


@examples(30)
@given(seed=SEEDS, prompts_=st.integers(1, 6), keys=st.integers(2, 5))
def test_scores_that_tell_no_prompt_from_another_have_no_slope(seed, prompts_, keys):
    rng = np.random.default_rng(seed)
    rows, scores = softmax(rng.normal(size=(prompts_, keys)), axis=1), rng.normal(size=keys)
    assert np.isnan(key_slopes(rows, np.tile(scores, (prompts_, 1)))).all()


@examples(20)
@given(seed=SEEDS, slope=st.floats(-0.02, 0.02), points=st.integers(3, 5))
def test_a_head_that_attends_by_products_is_found(seed, slope, points):
    rng = np.random.default_rng(seed)
    xs = np.clip(rng.normal(size=(6, points, 2)), -2, 2)
    products = np.einsum("bpd,bd->bp", xs[:, :-1], xs[:, -1])
    products -= products.mean()
    pattern = np.zeros((1, 6, 1, 2 * points, 2 * points))
    pattern[0, :, 0, -2, :-2] = np.repeat(1 + slope * products, 2, axis=1)
    np.testing.assert_allclose(product_slopes(pattern, xs), slope, atol=1e-8)


@examples(30)
@given(seed=SEEDS, prompts_=st.integers(2, 5), points=st.integers(1, 4), keys=st.integers(1, 4), scale=st.floats(0.1, 10))
def test_content_is_the_share_that_position_leaves(seed, prompts_, points, keys, scale):
    rng = np.random.default_rng(seed)
    rows, by_position = rng.normal(size=(prompts_, points, keys)), rng.normal(size=(points, keys))
    found = content_share(rows)
    assert 0 <= found <= 1 + 1e-12
    order = rng.permutation(prompts_)
    assert content_share(scale * rows[order] + rng.normal(size=keys)) == pytest.approx(found)
    assert content_share(rows - rows.mean(axis=0)) == pytest.approx(1)
    if points > 1:
        assert content_share(np.tile(by_position, (prompts_, 1, 1))) == pytest.approx(0, abs=1e-12)


@examples(30)
@given(prompts_=st.integers(2, 6), points=st.integers(1, 6), keys=st.integers(1, 3), value=st.floats(0.001, 1))
def test_rows_that_are_all_the_same_have_no_content_to_speak_of(prompts_, points, keys, value):
    with pytest.raises(ValueError, match="rows: expected rows that differ"):
        content_share(np.full((prompts_, points, keys), value))


@examples(50)
@given(labels=st.lists(st.integers(0, 1), min_size=2, max_size=10).filter(lambda drawn: len(set(drawn)) == 2), seed=SEEDS)
def test_the_best_cut_is_the_best_of_all_cuts(labels, seed):
    rng = np.random.default_rng(seed)
    labels, positions = np.array(labels), rng.integers(0, 5, len(labels))
    agreements = [np.mean((positions >= cut) == labels) for cut in range(7)]
    expected = max(*agreements, *(1 - share for share in agreements))
    assert cut_accuracy(labels, positions) == pytest.approx(expected)
    assert cut_accuracy(1 - labels, np.exp(positions)) == pytest.approx(expected)
    assert 0.5 <= expected <= 1


@examples(5)
@given(seed=SEEDS, count=st.integers(2, 4))
def test_clusters_that_are_far_apart_are_found_and_numbered_in_their_order(seed, count):
    rng = np.random.default_rng(seed)
    planted = np.repeat(np.arange(count), 5)
    rows = 100 * np.eye(count)[planted] + rng.normal(size=(5 * count, count))
    found = cluster_rows(rows)
    np.testing.assert_array_equal(found.labels, planted)
    assert found.count == count
    cut = prompt_cuts(np.stack([100.0 * (np.arange(4) >= place)[:, None] + rng.normal(size=(4, 1)) for place in (1, 2)]))
    np.testing.assert_array_equal(cut, 1)
