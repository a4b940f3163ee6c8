"""The hand-built circuit is found and its worth is exact; chance passes for nothing."""

import numpy as np
import pytest
import torch

from analysis_lib import circuits, models
from analysis_lib.circuits import induction
from analysis_lib.circuits.composition import Composition
from analysis_lib.circuits.induction import Circuit
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from tests.support import tiny_circuits


def draw(seed, n_sequences=12):
    return circuits.repeated_random_tokens(12, n_sequences, block=4, gap=(0, 3), start=tiny_circuits.START, seed=seed)


@pytest.fixture(scope="module")
def model():
    return tiny_circuits.loaded(tiny_circuits.induction_model())


@pytest.fixture(scope="module")
def scores(model):
    """Scores of the hand-built model on two draws."""
    return [induction.probe_scores(induction.probe_patterns(model, draw(seed)), draw(seed)) for seed in (1, 2)]


def test_the_hand_built_circuit_is_found(scores):
    found = induction.find_circuit(scores[0])
    assert found == Circuit((0, 0), (1, 0), ((0, 0),), ((1, 0),))
    assert found.heads == ((0, 0), (1, 0))
    assert found.pairs == [(0, 0)]
    assert found.others(0, 2) == [(0, 1)]
    assert found.others(1, 2) == [(1, 1)]


def test_best_heads_are_chosen_on_one_draw_and_measured_on_the_other(scores):
    assert list(scores[0]) == list(induction.SCORES)
    chosen = induction.best_heads(*scores)
    assert chosen["previous token"].index == (0, 0)
    assert chosen["induction"].index == (1, 0)
    assert chosen["induction"].interval.estimate == pytest.approx(1, abs=1e-6)
    layer, head = chosen["first position"].index
    assert chosen["first position"].interval.estimate == pytest.approx(scores[1]["first position"][:, layer, head].mean())


def planted(previous, two_back, inductive):
    """Scores [sequence, layer, head] of one sequence and two layers, given for the layer that counts."""
    nothing = np.zeros(len(previous))
    layers = {"previous token": (previous, nothing), "two back": (two_back, nothing), "induction": (nothing, inductive)}
    return {name: np.array([score]) for name, score in layers.items()}


def test_heads_of_a_circuit_pass_the_threshold_or_are_the_strongest():
    found = induction.find_circuit(planted([0.2, 0.9, 0.1], [0.5, 0.0, 0.1], [0.6, 0.1, 0.7]))
    assert found == Circuit((0, 1), (1, 2), ((0, 0), (0, 1)), ((1, 0), (1, 2)))
    assert found.pairs == [(0, 0), (0, 2), (1, 0), (1, 2)]
    none = induction.find_circuit(planted([0.2, 0.1, 0.1], [0.1, 0.3, 0.1], [0.1, 0.4, 0.1]))
    assert none == Circuit((0, 0), (1, 1), ((0, 0),), ((1, 1),))
    with pytest.raises(ValueError, match="scores: expected those of a model of two layers, found 3"):
        induction.find_circuit({name: np.zeros((1, 3, 2)) for name in induction.SCORES})


def test_losses_of_the_block(model):
    probe = draw(2)
    first, second = induction.block_losses(model, probe)
    assert first.shape == second.shape == (12, 3)
    whole = circuits.token_losses(model, probe.ids)
    np.testing.assert_array_equal(second[5], whole[5, probe.second[5, :-1]])
    np.testing.assert_array_equal(first[5], whole[5, probe.first[5, :-1]])
    assert second.max() < 0.01 < np.log(11) - 0.1 < first.mean()


def test_order_is_all_that_an_induction_head_profits_from(model):
    gains = induction.repetition_gains(model, draw(2))
    first, second = (losses.mean(axis=1) for losses in induction.block_losses(model, draw(2)))
    np.testing.assert_allclose(sum(gains.values()), first - second)
    assert gains["order"].mean() > 2
    assert gains["words"].mean() < 0.5  # the circuit copies what followed before, and in a shuffled block that is wrong


def test_a_model_that_only_warms_up_gains_from_the_place_alone(model, monkeypatch):
    """Losses that fall along a sequence, whatever stands there, are no gain from words or their order."""
    probe = draw(2)
    monkeypatch.setattr(
        induction, "token_losses", lambda loaded, ids: np.broadcast_to(-0.1 * np.arange(ids.shape[1] - 1.0), (len(ids), ids.shape[1] - 1))
    )
    gains = induction.repetition_gains(model, probe)
    np.testing.assert_allclose(gains["place"], 0.1 * (probe.second[:, 0] - probe.first[:, 0]))
    np.testing.assert_allclose([gains["words"], gains["order"]], 0)


def test_an_exchanged_probe_has_other_sequences_words_in_the_same_places():
    probe = draw(2)
    other = probe.exchanged()
    np.testing.assert_array_equal(np.take_along_axis(other.ids, probe.first, 1), np.take_along_axis(probe.ids, probe.first, 1))
    np.testing.assert_array_equal(np.take_along_axis(other.ids, probe.second, 1)[1:], np.take_along_axis(probe.ids, probe.second, 1)[:-1])
    outside = np.ones(probe.ids.shape, bool)
    np.put_along_axis(outside, probe.second, False, axis=1)
    np.testing.assert_array_equal(other.ids[outside], probe.ids[outside])


def test_without_its_heads_the_circuit_is_lost(model):
    probe = draw(2)
    each = induction.loss_without_each(model, probe)
    assert each.shape == (2, 2, 12)
    np.testing.assert_allclose(each[0, 0], induction.loss_without(model, probe, [(0, 0)]))
    assert min(each[0, 0].mean(), each[1, 0].mean()) > 2
    np.testing.assert_allclose(each[:, 1], 0, atol=1e-6)  # heads of zeros
    frozen = induction.loss_without(model, probe, [(0, 0)], frozen=True)
    np.testing.assert_allclose(frozen, 0, atol=1e-4)  # the previous-token head acts through the pattern of layer 1


def test_pairs_of_the_circuit_beside_the_others():
    z, scores, expected = np.zeros((2, 2, 2, 2)), np.full((2, 2, 2, 2), 0.1), np.full((2, 2, 2, 2), 0.2)
    z[0, :, 1] = [[5.0, 1.0], [2.0, -1.0]]
    scores[0, :, 1] = [[0.4, 0.1], [0.2, 0.1]]
    composed = Composition(scores, expected, np.ones_like(z), z)
    found = induction.compare_pairs(composed, [(0, 0), (1, 1)], composed)
    assert found["circuit's pairs"] == pytest.approx(0.25)
    assert found["other pairs"] == pytest.approx(0.15)
    assert (found["circuit's z"], found["other pairs' z"], found["largest other z"]) == (2, 1.5, 2)
    assert found["in top"] == 1
    assert found["chance"] == pytest.approx(0.2)
    assert found["untrained"] == pytest.approx(0.2)
    assert found["largest untrained z"] == 5
    assert "untrained" not in induction.compare_pairs(composed, [(0, 0)])


def test_pairs_that_are_not_there_are_named():
    one_layer, two_layers = (Composition(*np.zeros((4, n, 2, n, 2))) for n in (1, 2))
    for composed, pairs in ((one_layer, [(0, 0)]), (two_layers, [(0, 2)])):
        with pytest.raises(ValueError, match="composed, pairs: expected two layers and heads from 0 to 1"):
            induction.compare_pairs(composed, pairs)


def test_portrait_and_milestone_of_the_hand_built_model(model):
    choosing, probe = draw(1), draw(2)
    found = induction.portrait(model, choosing, probe)
    assert found["previous token"] == pytest.approx(1, abs=1e-6)
    assert found["induction"] == pytest.approx(1, abs=1e-6)
    assert found["again"] < 0.01 < 2 < found["first"]
    assert found["without shift heads"] > 2
    assert found["without others"] == pytest.approx(0, abs=1e-6)  # a head of zeros
    assert found["circuit's z"] > 5
    assert found["other pairs' z"] == 0
    finished = induction.milestone(model, probe, Circuit((0, 0), (1, 0), ((0, 0),), ((1, 0),)), (0, 1))
    for name in ("previous token", "induction", "first"):
        assert finished[name] == pytest.approx(found[name])
    assert finished["circuit's pairs"] > 0.1 > finished["other pairs"] == 0


def test_excess_is_tested_over_all_heads_of_all_sets_and_measured_on_the_other_draw():
    rng = np.random.default_rng(0)
    draws = {("noise", kind): tuple(rng.standard_normal((2, 30, 4, 6))) for kind in ("a", "b")}
    strong = rng.standard_normal((2, 30, 4, 6))
    strong[:, :, 3, 1] += 2
    table = induction.excess_table(draws | {("planted", "a"): tuple(strong)}, ["model", "text"])
    assert list(table) == ["model", "text", "layer", "head", "excess", "significant", "heads"]
    assert table["significant"].tolist() == [0, 0, 1]
    assert table["heads"].tolist() == [24, 24, 24]
    row = table.iloc[2]
    assert (row["layer"], row["head"]) == (3, 1)
    assert row["excess"].estimate == pytest.approx(strong[1, :, 3, 1].mean())
    assert row["excess"].low > 1


def test_a_head_without_any_excess_is_not_significant():
    draw_of = np.random.default_rng(1).standard_normal((2, 30, 1, 2)) + 3
    draw_of[..., 0] = 0
    table = induction.excess_table({("x",): tuple(draw_of)}, ["model"])
    assert table["significant"].tolist() == [1]


def test_a_model_whose_heads_are_all_in_the_circuit_has_no_other_pairs():
    config = MiniGPTConfig(vocab_size=64, n_positions=64, d_model=8, n_heads=1, n_layers=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loaded = models.wrap(MiniGPT(config).eval())
    draws = [circuits.repeated_random_tokens(range(1, 64), 4, block=8, gap=(0, 4), start=0, length=24, seed=seed) for seed in (1, 2)]
    found = induction.portrait(loaded, *draws)
    assert np.isnan(found["other pairs' z"])
    assert np.isfinite(found["circuit's z"])
