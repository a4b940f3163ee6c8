"""Lenses: exact at the last layer, exact on linear blocks, equal to dense derivatives, to ridge written out and to TransformerLens."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import models, weights
from analysis_lib.activations import edited, recording
from analysis_lib.projections import lens_scores, lenses
from analysis_lib.projections.places import Places
from analysis_lib.statistics.products import Products
from tests.support import tiny
from tests.support.examples import examples
from tests.support.linear_blocks import linear_blocks

RECORDED = json.loads((Path(tiny.__file__).parent / "jacobian_lens.json").read_text(encoding="utf-8"))
TEXTS = list(tiny.SENTENCES)


@pytest.fixture(scope="module", params=["gpt2", "bert"])
def loaded(request):
    if request.param == "gpt2":
        tokenizer = tiny.byte_level_tokenizer()
        return models.wrap(tiny.gpt2(vocab=len(tokenizer)), tokenizer, name="gpt2")
    tokenizer = tiny.herbert_tokenizer()
    return models.wrap(tiny.bert(vocab=len(tokenizer)), tokenizer, name="bert")


@pytest.fixture(scope="module")
def places(loaded):
    return Places.of(loaded, TEXTS)


def all_lenses(loaded, places):
    n_layers, _, width = places.states.shape
    return {
        "logit": lenses.logit_lens(n_layers, width),
        "affine": lenses.affine_lens(places.states, places.states[-1], places.table["text"], n_folds=3),
        "jacobian": lenses.jacobian_lens(loaded, places.at(np.arange(9))),
    }


def test_every_lens_is_exact_at_the_last_layer(loaded, places):
    read_out, last = weights.extract(loaded), places.states[-1]
    for name, lens in all_lenses(loaded, places).items():
        for one in (lens, lens.centred(places.states, last)):
            found = lens_scores.compare(read_out, last, one(places.states))
            np.testing.assert_allclose(found.kl[-1], 0, atol=1e-6, err_msg=name)
            assert found.agrees[-1].all(), name
            assert found.kl[0].mean() > found.kl[-1].mean(), name


def test_the_logit_lens_is_the_models_own_head(loaded, places):
    model = loaded.model
    states = torch.tensor(places.states)
    with torch.no_grad():
        own = model.lm_head(model.transformer.ln_f(states)) if loaded.name == "gpt2" else model.cls(states)
    targets = places.table["target"].to_numpy()
    read = lenses.logit_lens(*places.states[:, 0].shape)(places.states)
    found = lens_scores.compare(weights.extract(loaded), places.states[-1], read, targets)
    p, q = own[-1].double().softmax(-1).numpy(), own.double().softmax(-1).numpy()
    np.testing.assert_allclose(found.kl, scipy.stats.entropy(np.broadcast_to(p, q.shape), q, axis=-1), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(found.top, q.argmax(-1))
    expected = np.where(targets < 0, np.nan, -np.log(q[:, np.arange(len(places)), targets]))
    np.testing.assert_allclose(found.loss, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.agrees, q.argmax(-1) == p.argmax(-1))


def test_jacobians_are_the_dense_ones(loaded, places):
    """Against torch's own Jacobian of one sequence: summed over the places that are changed, averaged over the places that change."""
    one = places.at(np.flatnonzero(places.table["sequence"] == places.table["sequence"].iloc[0])[:4])
    where = torch.tensor(one.table["position"].to_numpy())
    ids = torch.tensor([places.sequences[one.table["sequence"].iloc[0]]])
    found = lenses.jacobian_lens(loaded, one)
    assert not found.offsets.any()
    for layer in range(2):
        with torch.no_grad(), recording(loaded.model) as record:
            loaded.model.base_model(input_ids=ids)

        def last_state(changed, layer=layer, whole=record["states", layer]):
            put = whole.clone()
            put[0, where] = changed
            with edited(loaded.model, {("states", layer): lambda value: put}), recording(loaded.model) as inner:
                loaded.model.base_model(input_ids=ids)
            return inner["states", 2][0, where]

        dense = torch.autograd.functional.jacobian(last_state, record["states", layer][0, where])  # [place, out, place, in]
        expected = dense.sum(dim=0).mean(dim=1).T
        np.testing.assert_allclose(found.matrices[layer], expected, rtol=1e-3, atol=1e-4)


def test_batches_of_sequences_do_not_matter(loaded, places):
    sample = places.at(np.arange(0, len(places), 5))
    whole, single = (lenses.jacobian_lens(loaded, sample, batch_size=size) for size in (50, 1))
    np.testing.assert_allclose(whole.matrices, single.matrices, rtol=1e-3, atol=1e-4)


def test_jacobians_do_not_depend_on_how_many_columns_a_pass_makes(loaded, places, monkeypatch):
    """Sixteen sequences at once are several columns of the few sequences with these places; the width need not divide."""
    few = places.at(np.arange(9))
    whole = lenses.jacobian_lens(loaded, few).matrices
    for columns, at_once in ((5, 16), (128, 1), (7, 3)):
        monkeypatch.setattr(lenses, "COLUMNS", columns)
        np.testing.assert_allclose(lenses.jacobian_lens(loaded, few, batch_size=at_once).matrices, whole, rtol=1e-4, atol=1e-5)


def test_jacobians_of_weights_that_ask_for_no_gradient_are_the_same(loaded, places):
    few, frozen = places.at(np.arange(9)), replace(loaded, model=copy.deepcopy(loaded.model).requires_grad_(False))
    found, expected = (lenses.jacobian_lens(one, few).matrices for one in (frozen, loaded))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_second_jacobian_is_read_from_disk(loaded, places, monkeypatch, tmp_path):
    monkeypatch.setenv("ANALYSIS_SWEEPS", str(tmp_path))
    loaded = replace(loaded, source="folder")  # nothing is kept of a model in memory, whose weights may change
    first = lenses.jacobian_lens(loaded, places.at(np.arange(9))).matrices
    monkeypatch.setattr(lenses.torch.autograd, "grad", None)  # nothing can be computed any more
    np.testing.assert_array_equal(lenses.jacobian_lens(loaded, places.at(np.arange(9))).matrices, first)
    with pytest.raises(TypeError):
        lenses.jacobian_lens(loaded, places.at(np.arange(8)))  # other places


def test_linear_blocks_are_recovered():
    with linear_blocks() as loaded:
        places = Places.of(loaded, TEXTS)
        jacobian = lenses.jacobian_lens(loaded, places)
    affine = lenses.affine_lens(places.states, places.states[-1], places.table["text"])
    product = np.eye(12)
    for layer in reversed(range(4)):
        np.testing.assert_allclose(affine.matrices[layer], product, atol=1e-3)
        np.testing.assert_allclose(jacobian.matrices[layer], product, atol=1e-5)
        if layer:
            product = (np.eye(12) + loaded.model.blocks[layer - 1].weight.detach().numpy().T) @ product
    for lens in (affine, jacobian.centred(places.states, places.states[-1])):
        np.testing.assert_allclose(lens(places.states), np.stack([places.states[-1]] * 4), atol=1e-4)


def test_jacobians_agree_with_transformer_lens():
    """TransformerLens leaves out the last position of a prompt and here its first as well."""
    tokenizer = tiny.byte_level_tokenizer()
    loaded = models.wrap(tiny.gpt2(vocab=400, layers=3), tokenizer, name="gpt2")
    places = Places.of(loaded, TEXTS[:1])
    assert places.sequences == [RECORDED["ids"]]
    found = lenses.jacobian_lens(loaded, places.at((places.table["position"] < len(RECORDED["ids"]) - 1).to_numpy()))
    for layer, expected in RECORDED["matrices"].items():  # after a block, counted from 0
        np.testing.assert_allclose(found.matrices[int(layer) + 1], np.array(expected).T, rtol=1e-3, atol=1e-3)


def planted(noise, n=300, width=5, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(2, n, width)) + 3
    last = states[0] @ rng.normal(size=(width, width)) + noise * rng.normal(size=(n, width)) - 2
    return states, last, np.arange(n) // 10


def test_ridge_is_the_one_written_out():
    states, last, groups = planted(noise=1)
    found = lenses.affine_lens(states, last, groups, penalties=[0.3])
    for layer, x in enumerate(states):
        centred = x - x.mean(axis=0)
        scale = 0.3 * centred.var(axis=0).mean() * len(x) * np.eye(5)
        matrix = np.linalg.solve(centred.T @ centred + scale, centred.T @ (last - last.mean(axis=0)) + scale)
        np.testing.assert_allclose(found.matrices[layer], matrix, atol=1e-8)
        np.testing.assert_allclose(found.offsets[layer], last.mean(axis=0) - x.mean(axis=0) @ matrix, atol=1e-8)


def test_errors_at_other_places_are_those_of_the_matrices():
    """One product for all penalties, beside a matrix for each; a coordinate does not vary where lenses are fitted."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 60, 7)) * [1, 2, 3, 0.1, 1, 1, 5]
    x[:40, 2] = 1.0
    fit, penalties = lenses._Ridge(Products.of(x[:40], y[:40] - x[:40])), [0.0, 1e-3, 0.1, 10.0]
    expected = []
    for penalty in penalties:
        matrix, offset = fit.fitted(penalty)
        expected.append(((x[40:] @ matrix + offset - y[40:]) ** 2).sum())
    np.testing.assert_allclose(fit.squared_errors(x[40:], y[40:], penalties), expected, rtol=1e-9)
    assert np.ptp(expected) > 1


def test_a_single_penalty_is_not_chosen_but_fitted_with_as_if_it_had_been():
    problem = planted(3, n=60)
    one, several = (lenses.affine_lens(*problem, penalties=penalties) for penalties in ([0.1], [0.1, 1e9]))
    np.testing.assert_array_equal(several.penalties, one.penalties)
    np.testing.assert_array_equal(one.matrices, several.matrices)


def test_the_penalty_grows_with_noise_and_sees_the_fit_alone():
    """Exact targets need no penalty; the second layer, which says nothing of the target, needs the largest."""
    clean, noisy = (lenses.affine_lens(*planted(noise, n=60)).penalties for noise in (0, 30))
    assert clean[0] <= 1e-6
    assert noisy[0] >= 0.1
    states, last, groups = planted(noise=1)
    with pytest.raises(ValueError, match="finite"):
        lenses.affine_lens(np.where(states > 5, np.nan, states), last, groups)


def test_directions_without_variance_stay_as_they_are():
    states, last, groups = planted(noise=0)
    states[0, :, 2] = 7
    found = lenses.affine_lens(states, last, groups, penalties=[0])
    np.testing.assert_allclose(found.matrices[0, 2], np.eye(5)[2], atol=1e-8)
    assert np.isfinite(found(states)).all()


@examples(25)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 30))
def test_divergences_are_never_negative_and_zero_for_equal_predictions(seed, scale):
    read_out = weights.weights_of(tiny.gpt2(layers=1))
    states = np.random.default_rng(seed).normal(scale=scale, size=(2, 3, 16))
    found = lens_scores.compare(read_out, states[0], states)
    np.testing.assert_allclose(found.kl[0], 0, atol=1e-6)
    assert (found.kl >= 0).all()


def test_divergence_from_a_fixed_distribution(loaded, places):
    read_out, rng = weights.extract(loaded), np.random.default_rng(0)
    fixed = rng.dirichlet(np.ones(read_out.d_vocab))
    p = read_out.logits(torch.tensor(places.states[-1])).double().softmax(-1).numpy()
    expected = scipy.stats.entropy(p, np.broadcast_to(fixed, p.shape), axis=-1)
    np.testing.assert_allclose(lens_scores.divergence_from(read_out, places.states[-1], fixed), expected, rtol=1e-3, atol=1e-4)
    own = lens_scores.divergence_from(read_out, places.states[-1, :1], p[0] / p[0].sum())
    np.testing.assert_allclose(own, 0, atol=1e-5)


def test_the_mean_prediction_is_the_best_of_all_fixed_ones(loaded, places):
    read_out, last = weights.extract(loaded), places.states[-1]
    best = lens_scores.mean_prediction(read_out, last, batch_size=7)
    p = read_out.logits(torch.tensor(last)).double().softmax(-1).numpy()
    np.testing.assert_allclose(best, p.mean(axis=0), rtol=1e-3, atol=1e-7)
    other = 0.9 * best + 0.1 / len(best)
    assert lens_scores.divergence_from(read_out, last, best).mean() < lens_scores.divergence_from(read_out, last, other).mean()


def test_means_over_places_with_intervals_over_documents():
    values = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
    found = lens_scores.by_layer(values, ["a", "a", "b"])
    np.testing.assert_allclose(found.estimate, [3, 0])
    assert set(found.draws[:, 0].round(9)) == {1.5, 3.0, 6.0}
    assert found.units.kind == "document"
    with pytest.raises(ValueError, match="two documents"):
        lens_scores.by_layer(values, ["a"] * 3)
    with pytest.raises(ValueError, match="one label for each"):
        lens_scores.by_layer(values, ["a", "b"])


def test_the_share_told_is_one_for_the_truth_and_zero_for_a_fixed_prediction():
    fixed = np.array([1.0, 2.0, 3.0, 2.0])
    found = lens_scores.told([fixed * 0, fixed / 4, fixed, 3 * fixed], fixed, ["a", "a", "b", "c"])
    np.testing.assert_allclose(found.estimate, [1, 0.75, 0, -2])
    np.testing.assert_allclose(found.draws, np.tile([1, 0.75, 0, -2], (1000, 1)))  # paired within each resample


def test_bad_input_is_named(loaded, places):
    states, last, groups = planted(noise=1)
    fit = lenses.affine_lens
    for arguments, message in (
        ((states, last[:-1], groups), "states, last, groups"),
        ((states, last, groups[:-1]), "states, last, groups"),
        ((states, last, groups, []), "penalties"),
        ((states, last, groups, [-1.0]), "penalties"),
        ((states, last, groups, [1.0], 1), "n_folds is 1"),
        ((states, last, groups, [1.0], 31), "n_folds is 31"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(*arguments)
    read_out = weights.extract(loaded)
    with pytest.raises(ValueError, match="transported"):
        lens_scores.compare(read_out, places.states[-1], places.states[:, 1:])
    with pytest.raises(ValueError, match="finite"):
        lens_scores.compare(read_out, places.states[-1] * np.inf, places.states)
    with pytest.raises(ValueError, match="states: expected"):
        lenses.logit_lens(2, 5)(states[:1])
    with pytest.raises(ValueError, match="probabilities"):
        lens_scores.divergence_from(read_out, places.states[-1], np.ones(read_out.d_vocab))
    with pytest.raises(ValueError, match="places: expected one"):
        lenses.jacobian_lens(loaded, places.at(slice(0)))
    with pytest.raises(ValueError, match="targets"):
        lens_scores.compare(read_out, places.states[-1], places.states, np.full(len(places), read_out.d_vocab))
