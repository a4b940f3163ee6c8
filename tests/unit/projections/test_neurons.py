"""Neurons as lists: planted answers, counts by hand, and tables whose columns are what they say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis_lib import statistics, weights
from analysis_lib.projections import feed_forward_keys_values, neurons
from tests.support import tiny


@pytest.fixture(scope="module")
def gpt2():
    return weights.weights_of(tiny.gpt2(vocab=60, layers=3, heads=4, width=24))


def vocabulary_of(*words):
    return SimpleNamespace(text=np.array(words, dtype=object))


def test_neurons_are_numbered_layer_after_layer(gpt2):
    keys, values = neurons.all_keys_values(gpt2)
    assert keys.shape == values.shape == (3 * gpt2.d_mlp, 24)
    for side, whole in zip(feed_forward_keys_values(gpt2, 2), (keys, values), strict=True):
        torch.testing.assert_close(whole[2 * gpt2.d_mlp :], side)
    assert neurons.neuron_name(2 * gpt2.d_mlp + 5, gpt2.d_mlp) == "L2N5"


def test_cosines_of_keys_and_values(gpt2):
    keys, values = (side.double().numpy() for side in neurons.all_keys_values(gpt2))
    by_hand = (keys * values).sum(1) / np.linalg.norm(keys, axis=1) / np.linalg.norm(values, axis=1)
    np.testing.assert_allclose(neurons.key_value_cosines(gpt2), by_hand, atol=1e-6)


def test_random_vectors_are_drawn_from_their_seed():
    vectors = neurons.random_vectors(2000, 8, seed=1)
    torch.testing.assert_close(vectors, neurons.random_vectors(2000, 8, seed=1))
    assert (vectors != neurons.random_vectors(2000, 8, seed=2)).any()
    assert vectors.mean().item() == pytest.approx(0, abs=4 / np.sqrt(16000))


def test_columns_show_tokens_with_scores_and_leave_out_what_is_not_kept():
    W_U = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    keep = np.array([True, True, True, False])
    table = neurons.token_columns({"K": torch.ones(4), "−K": -torch.ones(4)}, W_U, vocabulary_of("a", "b", "c", "d"), keep, rows=2)
    assert table["K"].tolist() == ["c 3.00", "b 2.00"]
    assert table["−K"].tolist() == ["a −1.00", "b −2.00"]


def test_hubs_are_counted():
    ids = np.array([[0, 1], [0, 2], [0, 3]])
    assert neurons.hubs(ids, most=1) == {"lists": 3, "different tokens": 4, "filled by the top 1": 0.5}


def test_gains_are_differences_of_shares():
    passed, control = np.repeat([True, False, True, True], 50), np.repeat([True, False, True, False], [20, 80, 40, 60])
    table = neurons.gains_by_layer(passed, np.stack([control, control]), n_layers=2)
    assert table["layer"].tolist() == [0, 1]
    np.testing.assert_allclose(table["estimate"], [0.5 - 0.2, 1 - 0.4])
    assert (table["low"] < table["estimate"]).all()
    assert (table["estimate"] < table["high"]).all()
    assert (table["low"] > 0).all()


def test_shares_by_layer_and_side():
    lists = pd.DataFrame({"case": [True, True, False, False], "name": [False, True, False, False]})
    table = neurons.shares_by_layer({"K": lists, "V": ~lists}, n_layers=2)
    assert list(table.columns) == ["K0", "K1", "V0", "V1"]
    assert table["K0"].to_dict() == {"any kind": 1, "case": 1, "name": 0.5}
    assert table["K1"].to_dict() == {"any kind": 0, "case": 0, "name": 0}


def test_the_most_alike_lists_and_where_they_stand():
    table = pd.DataFrame(
        {
            "list": [0, 1, 2, 3, 3],
            "kind": ["case", "case", "case", "case", "number"],
            "feature": ["dative", "genitive", "locative", "dative", "numbers"],
            "count": [9, 8, 7, 6, 5],
            "size": [20, 20, 19, 20, 20],
            "expected": [1.0, 2.0, 3.0, 4.0, 0.5],
            "p": [1e-9, 1e-7, 1e-8, 0.5, 1e-3],
            "p_holm": [1e-8, 1e-6, 1e-7, 1, 0.02],
        }
    )
    ids = np.array([[0, 1], [1, 2], [2, 0], [2, 1]])  # two neurons of one layer each: keys, then values
    found = neurons.most_alike(table, ids, d_mlp=1, vocabulary=vocabulary_of("a", "b", "c"), rows=2, words=2)
    assert found["vector"].tolist() == ["K L0N0", "V L0N0", "V L1N0"]
    assert found["shared"].tolist() == ["case: dative", "case: locative", "number"]
    assert found["tokens"].tolist() == ["a b", "c a", "c b"]
    assert found[["count", "size", "expected"]].to_numpy().tolist() == [[9, 20, 1], [7, 19, 3], [5, 20, 0.5]]
    none = neurons.most_alike(table, ids, 1, vocabulary_of("a", "b", "c"), level=1e-12)
    assert none.empty
    assert not none["shared"].str.match("case").any()  # words all the same


def test_neurons_are_chosen_by_rule():
    chosen = neurons.choose_neurons({"most": np.array([0.1, 0.9, 0.2]), "least": -np.array([0.1, 0.9, 0.2])}, seed=4)
    assert chosen["most"] == 1
    assert chosen["least"] == 0
    assert chosen["drawn at random"] == np.random.default_rng(4).integers(3)


def test_tables_are_cut_into_keys_and_values():
    frame = pd.DataFrame({"x": range(6)})
    halves = neurons.by_side(frame)
    assert halves["K"]["x"].tolist() == [0, 1, 2]
    assert halves["V"]["x"].tolist() == [3, 4, 5]


def test_similar_vectors_have_each_layers_mean_and_covariance():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.randn(3000, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + place for place in (0, 5)]
    drawn = neurons.similar_vectors(torch.cat(layers), n_layers=2, seed=1)
    for own, given in zip(drawn.split(3000), layers, strict=True):
        spread = torch.cov(given.T)
        torch.testing.assert_close(own.mean(dim=0), given.mean(dim=0), atol=4 * float(spread.diagonal().max() / 3000) ** 0.5, rtol=0)
        torch.testing.assert_close(torch.cov(own.T), spread, atol=0.1 * float(spread.diagonal().max()), rtol=0)
    assert (drawn - torch.cat(layers)).abs().min(dim=1).values.max() > 0.1
    assert (drawn != neurons.similar_vectors(torch.cat(layers), n_layers=2, seed=2)).any()


def test_similar_vectors_replace_the_chosen_rows_each_by_one_of_its_layer():
    lines = [torch.outer(torch.linspace(-1, 1, 40), direction) for direction in torch.tensor([[1.0, 0, 0], [0, 1, 1]])]
    drawn = neurons.similar_vectors(torch.cat(lines), n_layers=2, seed=1, rows=np.array([0, 3, 39, 42]))
    torch.testing.assert_close(drawn[:3, 1:], torch.zeros(3, 2))  # on the first layer's line
    torch.testing.assert_close(drawn[3:, [0]], torch.zeros(1, 1))
    torch.testing.assert_close(drawn[3:, 1], drawn[3:, 2])
    assert drawn.abs().max(dim=1).values.min() > 0


def test_neurons_are_drawn_from_every_layer():
    drawn = neurons.sample_neurons(3, 10, 4, seed=0)
    assert (np.diff(drawn) > 0).all()
    assert np.bincount(drawn // 10).tolist() == [4, 4, 4]
    assert neurons.sample_neurons(3, 10, 99).tolist() == list(range(30))


@pytest.mark.parametrize(("own", "others"), [(80, 300), (0, 300), (400, 0), (0, 0), (400, 3000)])
def test_gains_have_newcombes_interval(own, others):
    """Newcombe's method 10 written out, also where none or all pass; layer by layer it is the same."""
    passed, control = np.arange(400) < own, np.arange(3000) < others
    found = neurons.passing_gain(passed, control)
    assert found.estimate == pytest.approx(own / 400 - others / 3000)
    a, b = statistics.wilson_interval(own, 400), statistics.wilson_interval(others, 3000)
    below, above = np.hypot(a.estimate - a.low, b.high - b.estimate), np.hypot(a.high - a.estimate, b.estimate - b.low)
    np.testing.assert_allclose([found.low, found.high], [found.estimate - below, found.estimate + above], atol=1e-9)
    assert found.low < found.high
    table = neurons.gains_by_layer(np.tile(passed, 2), np.tile(control, (1, 2)), n_layers=2)
    np.testing.assert_allclose(table[["estimate", "low", "high"]], [found, found])
