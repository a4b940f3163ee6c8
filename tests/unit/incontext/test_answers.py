"""Lens, probes and ablations: the last layer's lens is the model, planted answers are found, noise is not, heads come back."""

import copy

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from analysis_lib import incontext
from analysis_lib.incontext import answers as answer_layers
from tests.support import tiny_circuits


def test_the_lens_on_the_last_layer_is_the_model(model, loaded, drawn):
    states, answers = answer_layers.token_states(loaded, drawn.xs, drawn.ys)
    assert states.shape == answers.shape == (3, 30, 5, 12)
    np.testing.assert_allclose(answer_layers.lens(loaded, states)[-1], incontext.predict(loaded, drawn.xs, drawn.ys), atol=1e-5)
    embedded = model.read_in(drawn.xs) + model.backbone.wpe.weight[:10:2]
    torch.testing.assert_close(states[0], embedded.detach(), atol=1e-6, rtol=1e-5)
    padded = torch.nn.functional.pad(drawn.ys[..., None], (0, 1))
    embedded = model.read_in(padded) + model.backbone.wpe.weight[1:10:2]
    torch.testing.assert_close(answers[0], embedded.detach(), atol=1e-6, rtol=1e-5)


def test_a_probe_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(300, 8)) * np.arange(1, 9) + 5
    planted = states @ rng.normal(size=(8, 2)) + 3
    assert answer_layers.explained(answer_layers.probe(states, planted), planted).mean() > 0.999
    noise = rng.normal(size=300)
    assert answer_layers.explained(answer_layers.probe(states, noise), noise).mean() < 0.05  # fitted to all, R^2 would be about 8/300
    np.testing.assert_array_equal(answer_layers.probe(states, planted), answer_layers.probe(states, planted))


def test_a_probe_of_more_features_than_prompts_does_not_shine_out_of_fold():
    rng = np.random.default_rng(1)
    states, targets = rng.normal(size=(40, 80)), rng.normal(size=40)
    assert answer_layers.explained(answer_layers.probe(states, targets), targets).mean() < 0.2


def test_what_is_held_out_has_no_part_in_standardising():
    rng = np.random.default_rng(4)
    states = rng.normal(size=(60, 3))
    targets = states @ [1.0, 2.0, 3.0] + rng.normal(size=60)
    far = states.copy()
    far[0] *= 1000
    fold = next(held_out for _, held_out in KFold(5, shuffle=True, random_state=0).split(states) if 0 in held_out)
    beside = fold[fold != 0]  # predicted by a fit that never saw prompt 0
    before, after = answer_layers.probe(states, targets), answer_layers.probe(far, targets)
    np.testing.assert_array_equal(before[beside], after[beside])
    assert before[0] != after[0]


def test_depth_has_a_row_for_each_reader_and_layer():
    rng = np.random.default_rng(5)
    targets = rng.normal(size=50)
    targets -= targets.mean()
    table = answer_layers.depth({"right": [targets, targets], "half": [targets / 2, 0 * targets]}, targets)
    assert table["reader"].tolist() == ["right"] * 2 + ["half"] * 2
    assert table["layer"].tolist() == ["embed", "1"] * 2
    np.testing.assert_allclose(table["estimate"], [1, 1, 0.75, 0], atol=1e-12)
    assert (table["low"] <= table["estimate"]).all()


def test_explained_averages_to_r_squared():
    rng = np.random.default_rng(2)
    targets, predictions = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    assert answer_layers.explained(predictions, targets).mean() == pytest.approx(
        r2_score(targets, predictions, multioutput="variance_weighted")
    )
    assert (answer_layers.explained(targets, targets) == 1).all()


def test_zero_ablation_is_a_model_whose_head_writes_nothing(model, loaded, drawn):
    with answer_layers.without_head(loaded, 1, 2, "zero"):
        ablated = incontext.predict(loaded, drawn.xs, drawn.ys)
    weight = model.backbone.h[1].attn.c_proj.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[8:12] = 0  # rows of head 2
    expected = incontext.predict(loaded, drawn.xs, drawn.ys)
    with torch.no_grad():
        weight.copy_(kept)
    np.testing.assert_allclose(ablated, expected, atol=1e-6)
    assert not np.allclose(ablated, incontext.predict(loaded, drawn.xs, drawn.ys), atol=1e-4)


def test_mean_ablation_of_one_prompt_changes_nothing_and_of_many_something(loaded, drawn):
    for xs, ys, same in ((drawn.xs[:1], drawn.ys[:1], True), (drawn.xs, drawn.ys, False)):
        whole = incontext.predict(loaded, xs, ys)
        with answer_layers.without_head(loaded, 0, 1, "mean"):
            ablated = incontext.predict(loaded, xs, ys)
        assert np.allclose(ablated, whole, atol=1e-6) == same


def test_the_head_comes_back_even_after_an_error(loaded, drawn):
    whole = incontext.predict(loaded, drawn.xs, drawn.ys)
    with pytest.raises(RuntimeError, match="stop"), answer_layers.without_head(loaded, 0, 0):
        raise RuntimeError("stop")
    np.testing.assert_array_equal(incontext.predict(loaded, drawn.xs, drawn.ys), whole)


@pytest.mark.parametrize(
    ("arguments", "message"), [((2, 0), "layer: expected 0 to 1"), ((0, 3), "head: expected 0 to 2"), ((0, 0, "no"), "how: expected")]
)
def test_heads_that_are_not_there_are_refused(loaded, arguments, message):
    with pytest.raises(ValueError, match=message), answer_layers.without_head(loaded, *arguments):
        pass


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: answer_layers.probe(np.ones((3, 2, 2)), np.ones(3)), "states: expected"),
        (lambda: answer_layers.probe(np.ones((3, 2)), np.ones(3), folds=4), "folds: expected"),
        (lambda: answer_layers.explained(np.ones(3), np.ones((3, 2))), "predictions: expected"),
        (lambda: answer_layers.explained(np.ones(3), np.ones(3)), "targets: expected values that differ"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_probe_of_one_column_keeps_its_shape():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(40, 3))
    targets = states[:, :1] @ np.ones((1, 1))
    found = answer_layers.probe(states, targets)
    assert found.shape == (40, 1)
    np.testing.assert_array_equal(found[:, 0], answer_layers.probe(states, targets[:, 0]))


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-5), (torch.bfloat16, 0.05)])
def test_states_and_lens_of_a_model_in_another_precision_are_those_of_its_predictions(model, drawn, kind, tolerance):
    other = tiny_circuits.loaded(copy.deepcopy(model).to(kind))
    states, answers = answer_layers.token_states(other, drawn.xs, drawn.ys)
    assert states.shape == answers.shape == (3, 30, 5, 12)
    read = answer_layers.lens(other, states)[-1]
    np.testing.assert_allclose(read.double(), incontext.predict(other, drawn.xs, drawn.ys), rtol=tolerance, atol=tolerance)
