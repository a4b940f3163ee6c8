"""What heads do: planted slopes and bindings, ablations one head at a time."""

import copy

import numpy as np
import pytest
import scipy.stats
import torch

from analysis_lib import incontext
from analysis_lib.incontext import heads
from analysis_lib.incontext.answers import without_head
from tests.support import tiny_circuits


def test_patterns_are_the_models_own(model, loaded, drawn):
    found = heads.attention_patterns(loaded, drawn)
    with torch.no_grad():
        expected = model(drawn.xs, drawn.ys, output_attentions=True).attentions
    np.testing.assert_allclose(found, torch.stack(expected), atol=1e-6)


def test_each_head_is_ablated_by_itself(loaded, drawn):
    found = heads.ablation_errors(loaded, drawn, slice(2, 4), "zero")
    assert found.shape == (30, 2, 3)
    with without_head(loaded, 1, 2, "zero"):
        errors = incontext.squared_errors(incontext.predict(loaded, drawn.xs, drawn.ys), drawn.ys, 2)
    np.testing.assert_allclose(found[:, 1, 2], errors[:, 2:4].mean(axis=1), rtol=1e-5)
    assert len(np.unique(found.mean(axis=0).round(6))) == 6  # no two heads cost the same


def test_a_mean_is_that_over_all_prompts_however_many(loaded):
    """Passes of 512 prompts each would give the last one, alone in its pass, its own output for a mean: no ablation at all."""
    many = incontext.linear_prompts(513, 4, 2, seed=3)
    found = heads.ablation_errors(loaded, many, slice(None))
    with without_head(loaded, 1, 2, "mean"):
        predictions = incontext.predict(loaded, many.xs, many.ys, 513)
    np.testing.assert_allclose(found[:, 1, 2], incontext.squared_errors(predictions, many.ys, 2).mean(axis=1), rtol=1e-5)
    intact = incontext.squared_errors(incontext.predict(loaded, many.xs, many.ys), many.ys, 2).mean(axis=1)
    assert abs(found[-1, 1, 2] - intact[-1]) > 1e-6


def test_binding_is_attention_to_ones_own_question():
    patterns = np.zeros((2, 4, 3, 10, 10))
    patterns[1, :, 2, [1, 5], [0, 4]] = 0.75  # answers 0 and 2 to their questions
    patterns[1, :, 2, 5, 0] = 0.25  # answer 2 to another question
    found = heads.binding(patterns)
    assert found.shape == (4, 2, 3, 5)
    assert found[:, 1, 2].mean(axis=0).tolist() == [0.75, 0, 0.75, 0, 0]
    assert found.sum() == pytest.approx(4 * 1.5)


def test_key_slopes_find_a_planted_slope_and_see_through_position():
    rng = np.random.default_rng(5)
    scores, place = rng.normal(size=(300, 9)), 1 + np.arange(9.0)
    rows = (place + 0.5 * scores) / 40
    even = rows.mean() * 40
    np.testing.assert_allclose(heads.key_slopes(rows, scores + place), 0.5 / even)
    np.testing.assert_allclose(heads.key_slopes(rows, -2 * scores), -0.25 / even)
    assert abs(heads.key_slopes(rows, rng.normal(size=(300, 9))).mean()) < 0.02  # standard error 0.003
    assert np.isnan(heads.key_slopes(rows, np.broadcast_to(place, (300, 9)))).all()


def test_product_slopes_are_key_slopes_of_each_heads_last_question():
    rng = np.random.default_rng(8)
    xs = rng.normal(size=(200, 5, 2))
    products = np.einsum("bpd,bd->bp", xs[:, :-1], xs[:, -1])
    patterns = np.full((1, 200, 2, 10, 10), 0.05)
    patterns[0, :, 1, 8, 1:8:2] += 0.01 * products  # answers' keys, in the row of the last question
    found = heads.product_slopes(patterns, torch.tensor(xs))
    assert found.shape == (200, 1, 2)
    np.testing.assert_allclose(found[:, 0, 0], 0, atol=1e-12)
    rows = patterns[0, :, 1, 8, 0:8:2] + patterns[0, :, 1, 8, 1:8:2]
    np.testing.assert_allclose(found[:, 0, 1], heads.key_slopes(rows, products))
    # Attention is even but for the planted part, so the slope is 0.01 in units of the mean.
    np.testing.assert_allclose(found[:, 0, 1], 0.01 / rows.mean())


def test_the_table_names_heads_from_zero():
    values = np.arange(24.0).reshape(4, 2, 3)
    table = heads.by_head(values)
    assert table["name"].tolist() == ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]
    np.testing.assert_allclose(table["estimate"], values.mean(axis=0).ravel())
    wide = heads.by_head(values, level=1 - 0.05 / 6)
    assert (wide["low"] <= table["low"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: heads.key_slopes(np.ones((3, 4)), np.ones((3, 2))), "scores: expected"),
        (lambda: heads.binding(np.ones((3, 4, 4))), "patterns: expected"),
        (lambda: heads.product_slopes(np.ones((1, 3, 1, 8, 8)), np.ones((3, 5, 2))), "xs: expected"),
        (lambda: heads.by_head(np.ones((3, 4))), "values: expected"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_patterns_of_a_model_in_another_precision_are_read_too(model, loaded, drawn, kind):
    found = heads.attention_patterns(tiny_circuits.loaded(copy.deepcopy(model).to(kind)), drawn)
    assert found.shape == heads.attention_patterns(loaded, drawn).shape
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=0.02)  # bfloat16 has three digits
    if kind == torch.float64:
        np.testing.assert_allclose(found, heads.attention_patterns(loaded, drawn), atol=1e-5)


def test_intervals_of_heads_are_students():
    values = np.random.default_rng(3).normal(size=(4, 2, 3))
    table = heads.by_head(values, level=0.9)
    low, high = scipy.stats.t.interval(0.9, 3, values.mean(axis=0), scipy.stats.sem(values, axis=0))
    np.testing.assert_allclose(table["low"], low.ravel())
    np.testing.assert_allclose(table["high"], high.ravel())
