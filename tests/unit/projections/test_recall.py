"""Recall of projections on text: planted models where the prediction is exact, or where it says nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from analysis_lib import activations
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
    assert (found["control_anywhere"] < 0.9).all()
    assert (found["control"] == 1).all()  # texts of one token: there is no other place to compare with


def test_head_recall_of_another_models_weights_is_the_controls(tokenizer):
    model = tiny.gpt2(vocab=len(tokenizer), layers=1)
    other = weights_module.weights_of(tiny.gpt2(vocab=len(tokenizer), layers=1, seed=9))

    def wrong(weights, layer, head):
        return vo_factors(replace(other, W_E=weights.W_E), layer, head, embedding="layer_norm")

    found = recall.head_recall(loaded_with(model, tokenizer), single_tokens(tokenizer), wrong, k=20)
    assert (found["excess"].abs() < 0.1).all()


def test_lists_are_those_of_the_whole_products(tokenizer):
    """What tokens predict and what heads write, with factors over the whole vocabulary and outputs of full width."""
    loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=2), tokenizer)
    weights, k = weights_module.extract(loaded), 10
    run = activations.run(loaded, list(tiny.SENTENCES), outputs=["patterns"])
    found = recall.head_recall(loaded, list(tiny.SENTENCES), layer_norm_factors, k=k).set_index(["layer", "head"])["recall"]
    for layer, head in found.index:
        left, right = layer_norm_factors(weights, layer, head)
        shares = []
        for text, rows in run.tokens.groupby("text").indices.items():
            states = weights.read(layer, torch.from_numpy(run.states[layer][rows])[None])
            written = weights_module.rebuild_attention(weights, layer, states).head_outputs[0, head] @ weights.W_U
            key = run.patterns[text][layer, head].argmax(axis=-1)
            predicted = left[run.tokens["token_id"].to_numpy()[rows][key]] @ right.T
            pairs = zip(predicted.topk(k).indices.tolist(), written.topk(k).indices.tolist(), strict=True)
            shares += [len(set(a) & set(b)) / k for a, b in pairs]
        assert found[layer, head] == pytest.approx(np.mean(shares), abs=1e-9)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_places_of_a_head_average_to_its_recall(tokenizer, kind):
    if kind == "gpt2":
        loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=2), tokenizer)
    else:
        herbert = tiny.herbert_tokenizer()
        loaded = loaded_with(tiny.bert(vocab=len(herbert)), herbert)
    found = recall.head_recall(loaded, list(tiny.SENTENCES), layer_norm_factors, k=10, heads=[(1, 0)]).loc[0]
    places = recall.head_places(loaded, list(tiny.SENTENCES), layer_norm_factors, (1, 0), k=10)
    assert len(places) == found["n_places"]
    assert places["recall"].mean() == pytest.approx(found["recall"])


def test_places_name_the_token_and_the_one_attended_to_most(tokenizer):
    loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=2), tokenizer)
    texts, k = list(tiny.SENTENCES), 10
    places = recall.head_places(loaded, texts, layer_norm_factors, (1, 1), k=k)
    run = activations.run(loaded, texts, outputs=["patterns"])
    left, right = layer_norm_factors(weights_module.extract(loaded), 1, 1)
    for text, rows in places.groupby("text"):
        ids = run.tokens.loc[run.tokens["text"] == text, "token_id"].to_numpy()
        np.testing.assert_array_equal(rows["token_id"], ids)
        key = run.patterns[text][1, 1].argmax(axis=-1)
        np.testing.assert_array_equal(rows["attended_id"], ids[key])
        np.testing.assert_array_equal(rows["offset"], key - np.arange(len(key)))
    for row in places.itertuples():
        assert set(row.predicted) == set((left[row.attended_id] @ right.T).topk(k).indices.tolist())
        assert row.recall == len(set(row.predicted) & set(row.written)) / k
    offsets = run.tokens.groupby("text")[["start", "end"]].first()
    np.testing.assert_array_equal(places.groupby("text")[["start", "end"]].first(), offsets)
    with pytest.raises(ValueError, match="head"):
        recall.head_places(loaded, texts, layer_norm_factors, (1, 2))


def test_some_heads_are_as_among_all(tokenizer):
    loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=2), tokenizer)
    whole = recall.head_recall(loaded, list(tiny.SENTENCES), layer_norm_factors, k=10)
    some = recall.head_recall(loaded, list(tiny.SENTENCES), layer_norm_factors, k=10, heads=[(1, 1), (0, 1)])
    pd.testing.assert_frame_equal(some, whole[whole["head"] == 1].reset_index(drop=True))
    for heads in ([], [(2, 0)]):
        with pytest.raises(ValueError, match="heads: expected one or more of 2 layers x 2"):
            recall.head_recall(loaded, list(tiny.SENTENCES), layer_norm_factors, heads=heads)


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
    assert (found["excess_low"] <= found["excess"]).all()
    assert (found["excess"] <= found["excess_high"]).all()


def test_a_shared_topic_is_no_excess():
    """Each text has a topic, from which both what is predicted and what is written are drawn: no place says anything of itself."""
    rng = np.random.default_rng(0)
    text = np.repeat(np.arange(30), 12)
    topics = np.array([rng.choice(1000, 40, replace=False) for _ in range(30)])
    predicted, written = (np.array([rng.choice(topics[t], 10, replace=False) for t in text]) for _ in range(2))
    found = recall._beside_controls(predicted, written, text)
    assert found["recall"] - found["control_anywhere"] > 0.2  # what a permutation across texts takes for a finding
    assert abs(found["excess"]) < 0.02
    assert -0.04 < found["excess_low"] < found["excess_high"] < 0.04
    predicted[:, :3] = written[:, :3] = 1000 + np.arange(3 * len(text)).reshape(-1, 3)  # three of ten tokens are the place's own
    own = recall._beside_controls(predicted, written, text)
    assert 0.1 < own["excess_low"] < own["excess"] < own["excess_high"]


def test_shared_tokens_by_counting():
    predicted, written = np.array([[1, 2, 3], [7, 8, 9]]), np.array([[3, 2, 1], [1, 5, 9]])
    np.testing.assert_array_equal(recall.shared_tokens(predicted, written), [[3, 1], [0, 1]])
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 2\)"):
        recall.shared_tokens(predicted, written[:, :2])


def test_controls_are_the_means_over_all_permutations():
    rng = np.random.default_rng(2)
    predicted, written = (np.array([rng.choice(12, 4, replace=False) for _ in range(5)]) for _ in range(2))
    text = np.array([0, 0, 0, 1, 1])
    found = recall._beside_controls(predicted, written, text)
    orders = [np.array(order) for order in itertools.permutations(range(5))]
    means = [np.mean([len(set(predicted[o]) & set(written[i])) for i, o in enumerate(order)]) / 4 for order in orders]
    within = [mean for mean, order in zip(means, orders, strict=True) if (text[order] == text).all()]
    assert len(within) == 12
    assert found["control"] == pytest.approx(np.mean(within))
    assert found["control_anywhere"] == pytest.approx(np.mean(means))


def test_few_texts_have_a_t_interval():
    """Five texts: the bootstrap over them covers too little, Student's t is wider."""
    values, text = np.repeat([0.1, 0.2, 0.3, 0.4, 0.5], 3), np.repeat(np.arange(5), 3)
    found = recall._interval_over_texts(values, text)
    half = scipy.stats.t.ppf(0.975, 4) * np.std([0.1, 0.2, 0.3, 0.4, 0.5], ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(found, [0.3, 0.3 - half, 0.3 + half])
    many = recall._interval_over_texts(np.tile(values, 4), np.repeat(np.arange(20), 3))
    assert many.high - many.low < found.high - found.low


def test_the_excess_has_an_interval_of_its_own():
    """What a text has in common moves recall and control together: texts that differ in it leave no doubt of the excess."""
    text = np.repeat(np.arange(6), 2)
    predicted, written = 1000 + np.arange(2 * 12 * 8).reshape(2, 12, 8)
    for place, common in enumerate(text):  # text t has t tokens in every list of either kind
        predicted[place, :common] = written[place, :common] = 100 * common + np.arange(common)
    predicted[:, 7] = written[:, 7] = 5000 + np.arange(12)  # and one token is the place's own
    found = recall._beside_controls(predicted, written, text)
    assert found["high"] - found["low"] > 0.3
    np.testing.assert_allclose([found[name] for name in ("excess", "excess_low", "excess_high")], 1 / 16)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [("jeden", {}, "texts: expected two or more"), (["jeden"], {}, "texts: expected two"), (["a", "b"], {"k": 0}, "k: expected")],
)  # fmt: skip
def test_bad_arguments_are_named(tokenizer, texts, options, message):
    loaded = loaded_with(tiny.gpt2(vocab=len(tokenizer)), tokenizer)
    with pytest.raises(ValueError, match=message):
        recall.value_recall(loaded, texts, **options)
