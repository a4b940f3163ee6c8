"""Places where a model predicts: none missing, none twice, states of the model itself."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis_lib import activations, models
from analysis_lib.projections import lenses
from analysis_lib.projections.places import Places
from tests.support import tiny

TEXTS = [*tiny.SENTENCES, "Nie!"]


@pytest.fixture(scope="module")
def gpt2():
    tokenizer = tiny.byte_level_tokenizer()
    return models.wrap(tiny.gpt2(vocab=len(tokenizer)), tokenizer, name="gpt2")


@pytest.fixture(scope="module")
def bert():
    tokenizer = tiny.herbert_tokenizer()
    return models.wrap(tiny.bert(vocab=len(tokenizer)), tokenizer, name="bert")


def test_a_causal_model_predicts_the_next_token_after_each_but_the_first(gpt2):
    places = Places.of(gpt2, TEXTS)
    ids = [gpt2.tokenizer(text)["input_ids"] for text in TEXTS]
    assert places.sequences == ids
    assert places.layers == ["embed", "1", "2"]
    expected = [(text, place, row[place], [*row, -1][place + 1]) for text, row in enumerate(ids) for place in range(1, len(row))]
    assert places.table[["text", "position", "token_id", "target"]].values.tolist() == [list(row) for row in expected]
    assert (places.table["sequence"] == places.table["text"]).all()


@pytest.mark.parametrize("every", [2, 3, 5])
def test_each_token_is_hidden_once_with_its_whole_word(bert, every):
    places = Places.of(bert, TEXTS, every=every)
    tokens = activations.tokens_of(bert, TEXTS)
    seen = places.table.sort_values(["text", "position"], ignore_index=True)
    expected = tokens[~tokens["special"]].reset_index(drop=True)
    assert seen["token_id"].tolist() == seen["target"].tolist() == expected["token_id"].tolist()
    turn = seen["sequence"].groupby([seen["text"], expected["word"]]).nunique()
    assert (turn[turn.index.get_level_values("word") >= 0] == 1).all()  # all tokens of a word in one sequence
    mask = bert.tokenizer.mask_token_id
    for sequence, group in places.table.groupby("sequence"):
        ids = np.array(places.sequences[sequence])
        assert np.flatnonzero(ids == mask).tolist() == sorted(group["position"])
        ids[group["position"]] = group["token_id"]
        assert ids.tolist() == bert.tokenizer(TEXTS[group["text"].iloc[0]])["input_ids"]
    hidden = np.array([np.mean(np.array(ids) == mask) for ids in places.sequences[:every]])
    assert (hidden < 1.7 / every).all()


def test_states_are_the_models_own(gpt2, bert):
    for loaded in (gpt2, bert):
        places = Places.of(loaded, TEXTS)
        for row in (0, 7, len(places) - 1):
            at = places.table.iloc[row]
            with torch.no_grad():
                out = loaded.model(input_ids=torch.tensor([places.sequences[at["sequence"]]]), output_hidden_states=True)
            own = torch.stack(out.hidden_states)[:, 0, at["position"]].numpy()
            kept = slice(None, -1) if loaded is gpt2 else slice(None)  # transformers shows GPT-2's last state after its final norm
            np.testing.assert_allclose(places.states[kept, row], own[kept], rtol=1e-4, atol=1e-5)


def test_some_of_the_layers():
    tokenizer = tiny.byte_level_tokenizer()
    deep = models.wrap(tiny.gpt2(vocab=len(tokenizer), layers=7), tokenizer, name="deep")
    whole, some = Places.of(deep, TEXTS), Places.of(deep, TEXTS, most=5)
    assert some.layers == ["embed", "1", "4", "6", "7"]
    assert some.layer_numbers == [0, 1, 4, 6, 7]
    np.testing.assert_array_equal(some.states, whole.states[some.layer_numbers])
    assert Places.of(deep, TEXTS, most=8).layers == whole.layers == ["embed", *map(str, range(1, 8))]
    few = whole.at(np.arange(9))
    np.testing.assert_array_equal(
        lenses.jacobian_lens(deep, some.at(np.arange(9))).matrices, lenses.jacobian_lens(deep, few).matrices[some.layer_numbers]
    )


def test_some_of_the_places(gpt2):
    places = Places.of(gpt2, TEXTS)
    some = places.at([4, 2])
    assert some.table["position"].tolist() == [5, 3]
    np.testing.assert_array_equal(some.states, places.states[:, [4, 2]])
    assert len(places.at(np.arange(len(places)) < 3)) == 3


def test_bad_input_is_named(gpt2, bert, monkeypatch):
    with pytest.raises(ValueError, match="every is 1"):
        Places.of(bert, TEXTS, every=1)
    with pytest.raises(ValueError, match="most is 3"):
        Places.of(gpt2, TEXTS, most=3)
    with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
        Places.of(gpt2, ["Nie.", " "])
    nameless = copy.copy(bert.tokenizer)
    nameless.mask_token = None
    with pytest.raises(ValueError, match="tokenizer without one"):
        Places.of(replace(bert, tokenizer=nameless), TEXTS)
    monkeypatch.setattr(type(gpt2), "predicts", property(lambda self: False))
    with pytest.raises(ValueError, match="expected a model that predicts tokens"):
        Places.of(gpt2, TEXTS)
