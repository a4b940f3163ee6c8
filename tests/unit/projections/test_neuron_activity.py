"""Planted neurons: places by brute force, words that have what a list has in common, values that raise their own tokens."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("morfeusz2")

from analysis_lib import activations, models, weights
from analysis_lib.activations import sites
from analysis_lib.projections import neuron_activity
from analysis_lib.projections.neuron_activity import (
    Firing,
    exchanged,
    matching_shares,
    passing_lists,
    random_directions,
    shares_of_places,
    steering,
)
from tests.support import tiny

TEXTS = [*tiny.SENTENCES, "Drogą szło pięć kobiet.", "Do lasu nie idź już, nie."]


@pytest.fixture(scope="module", params=["gpt2", "bert"])
def loaded(request):
    if request.param == "gpt2":
        tokenizer = tiny.byte_level_tokenizer()
        return models.wrap(tiny.gpt2(vocab=len(tokenizer)), tokenizer, name="gpt2")
    tokenizer = tiny.herbert_tokenizer()
    return models.wrap(tiny.bert(vocab=len(tokenizer)), tokenizer, name="bert")


def test_places_are_the_strongest_of_each_text(loaded):
    firing = Firing.of(loaded, TEXTS, n=3)
    ran = activations.run(loaded, TEXTS, outputs=["mlp_pre", "mlp_hidden"], states=False)
    inputs, hidden, tokens = ran.mlp_pre, ran.mlp_hidden, ran.tokens
    usable = (tokens["word"] >= 0) & ~tokens["special"] & ~tokens["first"]
    for layer, neuron in ((0, 0), (1, 5), (1, 17)):
        heights = pd.Series(inputs[layer, :, neuron])[usable].groupby(tokens["text"]).max().sort_values(ascending=False)
        np.testing.assert_allclose(inputs[layer, firing.places[layer, neuron], neuron], heights.iloc[:3], rtol=1e-5)
        assert tokens["text"].iloc[firing.places[layer, neuron]].tolist() == heights.index[:3].tolist()
        np.testing.assert_allclose(hidden[layer, firing.places[layer, neuron], neuron], firing.strength[layer, neuron], rtol=1e-5)


def test_a_neuron_that_never_fires_has_its_places_where_it_comes_nearest(loaded):
    """GELU is near zero far below zero, which is more than just below zero: its output would choose the worst places."""
    site = sites.sites_of(loaded.model).at("mlp_pre", 1).module
    with torch.no_grad():
        kept = site.bias.clone()
        site.bias -= 4
        try:
            firing = Firing.of(loaded, TEXTS, n=3)
            ran = activations.run(loaded, TEXTS, outputs=["mlp_pre"], states=False)
        finally:
            site.bias.copy_(kept)
    inputs, usable = ran.mlp_pre[1], ((ran.tokens["word"] >= 0) & ~ran.tokens["special"] & ~ran.tokens["first"]).to_numpy()
    assert (inputs < 0).all()
    nearest = np.take_along_axis(inputs, firing.places[1].T, axis=0)[0]
    np.testing.assert_allclose(nearest, inputs[usable].max(axis=0), rtol=1e-5)


def test_places_do_not_depend_on_how_many_texts_are_held_at_once(loaded, monkeypatch):
    whole = Firing.of(loaded, TEXTS, n=3)
    monkeypatch.setattr(neuron_activity, "HELD", 1)  # a text at a time
    parts = Firing.of(loaded, TEXTS, n=3)
    np.testing.assert_array_equal(parts.places, whole.places)
    np.testing.assert_allclose(parts.strength, whole.strength, rtol=1e-5)
    pd.testing.assert_frame_equal(parts.tokens, whole.tokens)


def test_contexts_are_pieces_of_the_texts(loaded):
    firing = Firing.of(loaded, TEXTS, n=3)
    for (_, row), form in zip(firing.contexts(1, 4, letters=12).iterrows(), firing.forms()[1, 4], strict=True):
        assert row["word"] == form
        whole = f"{row['before'].removeprefix('… ')}{row['word']}{row['after'].removesuffix(' …')}"
        assert any(whole in text for text in TEXTS)
        assert len(row["before"]) <= 14
        assert len(row["after"]) <= 14


def test_too_few_texts_are_refused(loaded):
    with pytest.raises(ValueError, match="expected at least 3 with a word after their first, found 2"):
        Firing.of(loaded, [*TEXTS[:2], "."], n=3)
    for n in (0, len(TEXTS) + 1):
        with pytest.raises(ValueError, match=f"n: expected 1 to {len(TEXTS)}, the number of texts, found {n}"):
            Firing.of(loaded, TEXTS, n=n)
    with pytest.raises(TypeError, match="texts is the string"):
        Firing.of(loaded, TEXTS[0], n=1)


@pytest.fixture
def planted():
    """One layer: neuron 0 fires at genitives in -go, neuron 1 before them, the others at other words."""
    sentence = ["kot", "dobrego", "las", "małego", "dom", "nowego", "rzeka", "złego", "pięć", "sześć"]
    tokens = pd.DataFrame({"text": 0, "word": range(10), "word_form": sentence})
    places = np.array([[[1, 3, 5, 7], [0, 2, 4, 6], [0, 2, 8, 9], [8, 9, 6, 1]]])
    return Firing((" ".join(sentence),), tokens, places, np.ones(places.shape))


def test_a_planted_neuron_does_what_its_list_says(planted):
    lists = pd.DataFrame({"layer": 0, "neuron": [0, 1, 3], "kind": "ending", "feature": "-go"})
    here = matching_shares(shares_of_places(planted, lists), lists)
    assert here["own"].tolist() == [1, 0, 0.25]
    np.testing.assert_allclose(here["others"], [0.25 / 3, 1.25 / 3, 1 / 3])
    assert here["p"].tolist() == [0.25, 1, 0.5]
    after = matching_shares(shares_of_places(planted, lists, ahead=1), lists)
    assert after["own"].tolist() == [0, 1, 0.25]
    assert planted.forms(1)[0, 2].tolist() == ["dobrego", "małego", "sześć", ""]
    assert not shares_of_places(planted, lists.assign(feature="-xyz")).any()
    assert shares_of_places(planted, lists[:0]).shape == (0, 4)


def test_lists_are_exchanged_within_their_layer():
    shares = np.array([[0.9, 0.1, 0, 0], [0.3, 0.7, 0, 0], [0, 0, 0.5, 0]])
    lists = pd.DataFrame({"layer": [0, 0, 1], "neuron": [0, 1, 2]})
    draws = exchanged(shares, lists, n_permutations=200, seed=1)
    np.testing.assert_allclose(np.unique(draws.round(12)), [(0.1 + 0.3 + 0.5) / 3, (0.9 + 0.7 + 0.5) / 3])  # the third has no partner
    assert 60 < (draws > 0.5).sum() < 140
    np.testing.assert_array_equal(draws, exchanged(shares, lists, n_permutations=200, seed=1))


def test_a_list_that_passes_is_named_by_its_least_probable_feature():
    columns = ["list", "kind", "feature", "p", "p_holm"]
    rows = [(0, "case", "genitive", 0.01, 0.04), (0, "ending", "-go", 0.001, 0.01), (3, "name", "names", 0.005, 0.02)]
    rows += [(2, "name", "names", 0.2, 1.0)]
    found = passing_lists(pd.DataFrame(rows, columns=columns), numbers=np.array([3, 9]), d_mlp=8)
    assert found.to_numpy().tolist() == [["K", 0, 0, 3, "ending", "-go"], ["V", 1, 1, 1, "name", "names"]]


def test_of_a_side_where_none_passes_the_nearest_can_be_asked():
    rows = [
        (0, "case", "genitive", 0.001, 0.01),
        (1, "name", "names", 0.2, 1.0),
        (2, "name", "names", 0.3, 1.0),
        (3, "case", "dative", 0.1, 0.8),
    ]
    judged = pd.DataFrame(rows, columns=["list", "kind", "feature", "p", "p_holm"])
    ask = {"numbers": np.array([3, 9]), "d_mlp": 8}
    assert passing_lists(judged, **ask)["side"].tolist() == ["K"]
    nearest = passing_lists(judged, **ask, instead=1)
    assert nearest[["side", "number"]].to_numpy().tolist() == [["K", 0], ["V", 1]]  # the key that passes needs no other beside it


def test_a_planted_value_raises_the_tokens_of_its_list(loaded):
    w = weights.extract(loaded)
    keep = loaded.vocabulary.keep(words=True)
    own = np.flatnonzero(keep)[[3, 20, 41]]
    if loaded.name == "bert":  # between the last state and the vocabulary stands a dense layer: read the gradient instead
        ids = torch.tensor([loaded.tokenizer(TEXTS[1])["input_ids"]])
        zero = torch.zeros(w.d_model, requires_grad=True)
        with activations.edited(loaded.model, {("mlp", 1): lambda value: value + zero}):
            logits = loaded.model(input_ids=ids).logits.mean(dim=(0, 1))
        (logits[own].mean() - logits[np.flatnonzero(keep)].mean()).backward()
        vector = zero.grad
    else:
        vector = w.W_U[:, own].mean(dim=1) - w.W_U[:, np.flatnonzero(keep)].mean(dim=1)
    vector = 0.3 * vector / vector.norm()
    vectors = torch.cat([vector[None], 0 * vector[None], random_directions(vector, 6, seed=1)])
    rises = steering(loaded, TEXTS, 1, vectors, np.tile(own, (8, 1)), keep)
    assert rises[1] == pytest.approx(0, abs=1e-6)
    assert rises[0] > rises[2:].max() > 0
    small = steering(loaded, TEXTS, 1, torch.stack([0.01 * vector, -0.01 * vector]), np.tile(own, (2, 1)), keep)
    assert small[0] == pytest.approx(-small[1], rel=0.05)


def test_a_model_that_also_tells_next_sentences_is_steered_alike():
    tokenizer = tiny.herbert_tokenizer()
    bert = tiny.bert(vocab=len(tokenizer))
    masked, both = (models.wrap(model, tokenizer) for model in (bert, tiny.pretraining(bert)))
    keep = masked.vocabulary.keep(words=True)
    ask = (TEXTS, 1, random_directions(torch.ones(16), 3), np.tile(np.flatnonzero(keep)[:3], (3, 1)), keep)
    np.testing.assert_allclose(steering(both, *ask), steering(masked, *ask), rtol=1e-4, atol=1e-5)


def test_random_directions_have_the_vectors_length():
    vector = torch.tensor([3.0, 0, 4.0])
    drawn = random_directions(vector, 50, seed=2)
    torch.testing.assert_close(drawn.norm(dim=1), torch.full((50,), 5.0))
    assert drawn.mean(dim=0).norm() < 2.5


def test_a_bare_encoder_cannot_be_steered(loaded, monkeypatch):
    monkeypatch.setattr(type(loaded), "predicts", property(lambda self: False))
    with pytest.raises(ValueError, match="expected a model that predicts tokens"):
        steering(loaded, TEXTS, 0, torch.ones(1, 16), np.array([[5]]), loaded.vocabulary.keep())


def test_texts_are_cut_between_words():
    assert neuron_activity._shortened("ala ma kota", 7) == "ala ma …"
    assert neuron_activity._shortened("ala ma kota", -7) == "… kota"
    assert neuron_activity._shortened("ala", 7) == "ala"


def test_a_neuron_that_fires_at_one_form_alone_fires_at_its_lemma():
    forms = np.array([[["król", "król", "król"], ["wszedł", "spał", "jadł"]]])  # of two neurons
    lists = pd.DataFrame({"layer": 0, "kind": ["lemma", "part of speech"], "feature": ["król", "noun"]})
    firing = SimpleNamespace(forms=lambda ahead=0: forms)
    # Of the verbs one can be a noun: *spał*, the genitive of *spały*.
    np.testing.assert_allclose(neuron_activity.shares_of_places(firing, lists), [[1, 0], [1, 1 / 3]])
