"""Recall of projections on text: planted models where the prediction is exact, or where it says nothing."""

import numpy as np
import pytest
import torch

from analysis_lib import weights as weights_module
from analysis_lib.models import LoadedModel
from analysis_lib.projections import recall, vo_factors
from tests.support import tiny

WORDS = ["nie", "wiem", "czy", "lasu", "mały", "wodę", "rano", "kobiet", "drogą", "inaczej"]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.byte_level_tokenizer()


def loaded_with(model, tokenizer):
    return LoadedModel(model=model, tokenizer=tokenizer, name="tiny", source="folder", identifier="tiny", revision="0")


def layer_norm_factors(weights, layer, head):
    return vo_factors(weights, layer, head, embedding="layer_norm")


def single_tokens(tokenizer):
    names = tokenizer.get_vocab()
    texts = [w for w in ("a", "b", "c", "d", "e", "i", "k", "m", "o", "r", "w", "z") if w in names]
    assert len(texts) >= 10
    return texts


def test_head_recall_is_one_where_the_head_reads_one_token_and_nothing_else(tokenizer):
    model = tiny.gpt2(vocab=len(tokenizer), layers=1)
    with torch.no_grad():
        model.transformer.wpe.weight.zero_()
        model.transformer.h[0].attn.c_attn.bias.zero_()
    found = recall.head_recall(loaded_with(model, tokenizer), single_tokens(tokenizer), layer_norm_factors, k=20)
    assert len(found) == 2
    np.testing.assert_allclose(found["recall"], 1.0)
    assert (found["control"] < 0.9).all()
    assert (found["p"] <= 1 / 21 + 1e-12).all()


def test_head_recall_of_another_models_weights_is_the_controls(tokenizer):
    model = tiny.gpt2(vocab=len(tokenizer), layers=1)
    other = weights_module.extract(tiny.gpt2(vocab=len(tokenizer), layers=1, seed=9))

    def wrong(_weights, layer, head):
        return vo_factors(other, layer, head, embedding="layer_norm")

    found = recall.head_recall(loaded_with(model, tokenizer), single_tokens(tokenizer), wrong, k=20)
    assert (found["excess"].abs() < 0.1).all()


def test_bert_leaves_out_places_that_attend_to_special_tokens():
    tokenizer = tiny.herbert_tokenizer()
    model = tiny.bert(vocab=len(tokenizer))
    found = recall.head_recall(loaded_with(model, tokenizer), list(tiny.SENTENCES), layer_norm_factors, k=10)
    tokens = sum(len(ids) - 2 for ids in tokenizer(list(tiny.SENTENCES))["input_ids"])
    assert (found["n_places"] <= tokens).all()
    assert found["recall"].dropna().between(0, 1).all()


def test_value_recall_of_a_neuron_that_owns_the_stream_equals_its_control(tokenizer):
    model = tiny.gpt2(vocab=len(tokenizer), layers=1)
    value = torch.randn(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mlp = model.transformer.h[0].mlp
        mlp.c_fc.bias[3] = 1000.0
        mlp.c_proj.weight[3] = value - value.mean()
        model.transformer.ln_f.weight.fill_(1)
        model.transformer.ln_f.bias.zero_()
    found = recall.value_recall(loaded_with(model, tokenizer), list(tiny.SENTENCES), k=10)
    assert found["recall"].iloc[0] > 0.95
    assert abs(found["excess"].iloc[0]) < 0.02  # one prediction everywhere: the control sees it too


def test_value_recall_has_a_row_a_layer_and_its_interval_holds_the_mean(tokenizer):
    model = tiny.gpt2(vocab=len(tokenizer), layers=3)
    found = recall.value_recall(loaded_with(model, tokenizer), list(tiny.SENTENCES), k=10)
    assert list(found["layer"]) == [0, 1, 2]
    assert (found["low"] <= found["recall"]).all()
    assert (found["recall"] <= found["high"]).all()


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [("jeden", {}, "texts: expected two or more"), (["jeden"], {}, "texts: expected two"), (["a", "b"], {"k": 0}, "k: expected"),
     (["a", "b"], {"n_permutations": 0}, "n_permutations: expected")],
)  # fmt: skip
def test_bad_arguments_are_named(tokenizer, texts, options, message):
    loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer)), tokenizer)
    with pytest.raises(ValueError, match=message):
        recall.value_recall(loaded, texts, **options)
