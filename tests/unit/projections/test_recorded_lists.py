"""Recorded lists made again: a planted model that holds them, one that does not, and tokens that it does not know."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis_lib import models, recorded
from analysis_lib.projections import recorded_lists
from analysis_lib.weights import weights_of
from tests.support import tiny

COLUMNS = ["matrix", "layer", "head", "left", "right"]
WORDS = [" nie", " wiem", " las", " rano", " koty", " domu", " woda"]
PAIRS = [(" nie", " wiem"), (" las", " rano"), (" koty", " domu"), (" rano", " nie")]


class PlainVocabulary:
    """Seven words that begin with a space, a piece, and a word with a Polish letter."""

    text = np.array([*(word.strip() for word in WORDS), "nie", "że"], dtype=object)
    raw = np.array([*(word.replace(" ", "Ġ") for word in WORDS), "nie", "Ġże"], dtype=object)
    starts_word = np.array([True] * 7 + [False, True])
    is_special, is_token = np.zeros(9, bool), np.ones(9, bool)


def planted(matrix):
    """Weights whose L1H0 has the pairs as its best ones, from the first to the last; what is not planted is noise."""
    weights = weights_of(tiny.gpt2(vocab=9, layers=2, heads=2, width=20))
    left, right = torch.eye(20)[:, :10], torch.zeros(20, 10)
    for place, (a, b) in enumerate(PAIRS):
        right[WORDS.index(b), WORDS.index(a)] = 4.0 - place  # token a asks for token b
    right[8, 8] = 99.0  # a pair with a Polish letter, which the notebook's filter refused
    names = {"VO": {"W_V": left, "W_O": right.T}, "QK": {"W_Q": left, "W_K": right}}[matrix]
    changed = {name: getattr(weights, name).clone() for name in names}
    for name, new in names.items():
        changed[name][1, 0] = new
    return replace(weights, W_E=torch.eye(20)[:9], W_U=torch.eye(20)[:9].T.clone(), **changed)


def lists_of(matrix, pairs, head=0):
    return pd.DataFrame([(matrix, 1, head, *pair) for pair in pairs], columns=COLUMNS)


@pytest.mark.parametrize("matrix", ["VO", "QK"])
def test_a_planted_list_is_found_in_its_order_and_only_in_its_head(matrix):
    weights = planted(matrix)
    own = recorded_lists.compare_lists(weights, PlainVocabulary, lists_of(matrix, PAIRS), k=4).iloc[0]
    assert (own["pairs"], own["known"], own["overlap"], own["order"], own["best"]) == (4, 4, 1.0, 1.0, "nie → wiem")
    assert recorded_lists.compare_lists(weights, PlainVocabulary, lists_of(matrix, PAIRS[::-1]), k=4)["order"].item() == -1
    assert recorded_lists.compare_lists(weights, PlainVocabulary, lists_of(matrix, PAIRS), k=2)["overlap"].item() == 0.5
    other = recorded_lists.compare_lists(weights, PlainVocabulary, lists_of(matrix, PAIRS, head=1), k=4).iloc[0]
    assert other["overlap"] < 1


def test_unknown_tokens_are_counted_and_left_out():
    found = recorded_lists.compare_lists(planted("VO"), PlainVocabulary, lists_of("VO", [*PAIRS[:1], (" nie", " obcy")]), k=4).iloc[0]
    assert (found["pairs"], found["known"], found["overlap"]) == (2, 1, 1.0)
    assert np.isnan(found["order"])


def test_a_piece_is_not_the_word_that_is_spelt_alike():
    found = recorded_lists.compare_lists(planted("VO"), PlainVocabulary, lists_of("VO", [("nie", " wiem")]), k=4).iloc[0]
    assert (found["known"], found["overlap"]) == (1, 0.0)


def test_every_recorded_list_can_be_asked_for():
    """The lists of the notebook against a model of 24 layers and 16 heads that knows its own tokens alone."""
    tokenizer = tiny.byte_level_tokenizer()
    loaded = models.wrap(tiny.gpt2(vocab=len(tokenizer), layers=24, heads=16, width=32), tokenizer)
    found = recorded_lists.compare_lists(weights_of(loaded.model), loaded.vocabulary, recorded.head_lists(), k=20)
    assert len(found) == 11
    assert (found["known"] <= found["pairs"]).all()
    assert found["overlap"].dropna().between(0, 1).all()


def test_bad_lists_are_named():
    with pytest.raises(ValueError, match="expected the matrices VO and QK, found 'OV'"):
        recorded_lists.compare_lists(planted("VO"), PlainVocabulary, lists_of("OV", PAIRS))
    with pytest.raises(ValueError, match="head"):
        recorded_lists.compare_lists(planted("VO"), PlainVocabulary, lists_of("VO", PAIRS, head=7))


@pytest.mark.parametrize("matrix", ["OV", None])
def test_an_unknown_matrix_is_refused_before_any_list_is_made(matrix):
    lists = lists_of("VO", PAIRS, head=7).assign(matrix=[*["VO"] * (len(PAIRS) - 1), matrix])  # there is no head 7 either
    with pytest.raises(ValueError, match="lists: expected the matrices VO and QK, found"):
        recorded_lists.compare_lists(planted("VO"), PlainVocabulary, lists)


def with_neuron(tokens):
    """Weights in which neuron 3 of layer 1 has a key that points at some tokens, from the first to the last, and the opposite value."""
    weights = weights_of(tiny.gpt2(vocab=9, layers=2, heads=2, width=20))
    key = torch.zeros(20)
    for place, token in enumerate(tokens):
        key[WORDS.index(token)] = 4.0 - place
    key[8] = 99.0  # a token with a Polish letter, which the notebook's filter refused
    W_in, W_out = weights.W_in.clone(), weights.W_out.clone()
    W_in[1, :, 3], W_out[1, 3] = key, -key
    return replace(weights, W_E=torch.eye(20)[:9], W_U=torch.eye(20)[:9].T.clone(), W_in=W_in, W_out=W_out)


def neuron(side, tokens, number=3):
    return pd.DataFrame([(1, number, side, token) for token in tokens], columns=["layer", "neuron", "side", "token"])


TOKENS = [" las", " nie", " koty", " domu"]


@pytest.mark.parametrize("side", ["K", "-V"])
def test_a_planted_neuron_is_found_in_its_order_and_on_its_own_side(side):
    weights = with_neuron(TOKENS)
    own = recorded_lists.compare_neurons(weights, PlainVocabulary, neuron(side, TOKENS), k=4).iloc[0]
    assert (own["tokens"], own["known"], own["overlap"], own["order"], own["best"]) == (4, 4, 1.0, 1.0, "las, nie, koty")
    assert recorded_lists.compare_neurons(weights, PlainVocabulary, neuron(side, TOKENS[::-1]), k=4)["order"].item() == -1
    assert recorded_lists.compare_neurons(weights, PlainVocabulary, neuron(side, TOKENS), k=2)["overlap"].item() == 0.5
    opposite = {"K": "-K", "-V": "V"}[side]
    assert recorded_lists.compare_neurons(weights, PlainVocabulary, neuron(opposite, TOKENS), k=4)["overlap"].item() == 0
    assert recorded_lists.compare_neurons(weights, PlainVocabulary, neuron(side, [*TOKENS, " obcy"]), k=4)["known"].item() == 4


def test_every_recorded_neuron_can_be_asked_for():
    tokenizer = tiny.byte_level_tokenizer()
    lists = recorded.neuron_lists()
    loaded = models.wrap(tiny.gpt2(vocab=len(tokenizer), layers=24, heads=2, width=8, n_inner=4096), tokenizer)
    found = recorded_lists.compare_neurons(weights_of(loaded.model), loaded.vocabulary, lists)
    assert len(found) == 4 * lists[["layer", "neuron"]].drop_duplicates().shape[0] == 40
    assert found["overlap"].dropna().between(0, 1).all()


def test_bad_neurons_are_named():
    with pytest.raises(ValueError, match="lists: expected the sides K, V, -K, -V, found 'Q'"):
        recorded_lists.compare_neurons(with_neuron(TOKENS), PlainVocabulary, neuron("Q", TOKENS))
    with pytest.raises(ValueError, match=r"lists: expected 2 layers of \d+ neurons, found neuron 99 of layer 1"):
        recorded_lists.compare_neurons(with_neuron(TOKENS), PlainVocabulary, neuron("K", TOKENS, number=99))
