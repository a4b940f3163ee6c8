"""Norms of updates: those of the modules' outputs, and what each token contributes to them."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis_lib import activations, norms, weights
from analysis_lib.norms import measure
from tests.support import tiny


def test_gpt2_norms_are_those_of_the_modules_outputs(gpt2):
    text = tiny.SENTENCES[1]
    found = norms.update_norms(gpt2, [text])
    model, seen, handles = gpt2.model.transformer, {"attention": [], "mlp": []}, []
    for block in model.h:
        for name, module in (("attention", block.attn.c_proj), ("mlp", block.mlp.c_proj)):
            handles.append(module.register_forward_hook(lambda m, a, out, name=name: seen[name].append(out[0])))
    with torch.no_grad():
        model(**gpt2.tokenizer(text, return_tensors="pt"))
    for handle in handles:
        handle.remove()
    for name, outputs in seen.items():
        expected = np.stack([output.norm(dim=-1).numpy() for output in outputs])
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5)


def test_bert_norms_are_taken_before_the_layer_norm(bert):
    text = tiny.SENTENCES[4]
    found = norms.update_norms(bert, [text])
    ids = bert.tokenizer(text, return_tensors="pt")["input_ids"]
    layer = bert.model.bert.encoder.layer[0]
    with torch.no_grad():
        states = bert.model.bert.embeddings(ids)
        inside = layer.attention.self(states)[0]
        attention = layer.attention.output.dense(inside)
        between = layer.attention.output(inside, states)
        mlp = layer.output.dense(layer.intermediate(between))
    np.testing.assert_allclose(found.attention[0], attention[0].norm(dim=-1).numpy(), rtol=1e-4)
    np.testing.assert_allclose(found.mlp[0], mlp[0].norm(dim=-1).numpy(), rtol=1e-4)


def test_tokens_say_what_they_are_without_context(gpt2, bert):
    for loaded in (gpt2, bert):
        tokens = norms.update_norms(loaded, [*tiny.SENTENCES, "Piernikarnia, kalosze."]).tokens
        assert not tokens.loc[tokens["position"] == 0, "word_internal"].any()
        assert tokens["word_internal"].any()
        assert not (tokens["word_internal"] & tokens["no_word"]).any()
        commas = tokens[tokens["form"] == ","]
        assert commas["no_word"].all()
        np.testing.assert_allclose(np.exp(commas["log_frequency"]), len(commas))
        np.testing.assert_allclose(np.expm1(tokens["log_rank"]), tokens["token_id"])
    assert tokens.groupby("text")["special"].agg(["first", "last"]).to_numpy().all()


def test_ids_give_the_norms_of_their_text(gpt2, bert):
    for loaded in (gpt2, bert):
        texts = list(tiny.SENTENCES[:3])
        of_text = norms.update_norms(loaded, texts)
        of_ids = norms.update_norms(loaded, loaded.tokenizer(texts)["input_ids"])
        np.testing.assert_allclose(of_ids.attention, of_text.attention, rtol=1e-5)
        for column in ("special", "no_word", "log_frequency", "log_rank"):
            np.testing.assert_array_equal(of_ids.tokens[column], of_text.tokens[column])


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_norm_based_attention_is_the_norm_of_what_each_token_contributes(kind, request):
    loaded = request.getfixturevalue(kind)
    read = weights.extract(loaded)
    texts = list(tiny.SENTENCES[:2])
    summed, by_head = norms.norm_based_attention(loaded, texts), norms.norm_based_attention(loaded, texts, per_head=True)
    ran = activations.run(loaded, texts, outputs=("attention", "patterns"))
    layer, rows = 1, np.flatnonzero(ran.tokens["text"] == 1)
    states = torch.from_numpy(ran.states[layer][rows])
    if kind == "gpt2":
        states = loaded.model.transformer.h[layer].ln_1(states)
    values = (states @ read.W_V[layer] + read.b_V[layer][:, None]) @ read.W_O[layer]
    vectors = torch.from_numpy(ran.patterns[1][layer])[..., None] * values[:, None]  # (head, query, key, d_model)
    np.testing.assert_allclose(by_head[1][layer], vectors.norm(dim=-1).detach(), atol=1e-4)
    np.testing.assert_allclose(summed[1][layer], vectors.sum(dim=0).norm(dim=-1).detach(), atol=1e-3)
    output = vectors.sum(dim=(0, 2)) + read.b_O[layer]
    np.testing.assert_allclose(output.detach(), ran.attention[layer][rows], atol=1e-3)


def test_shared_sources_of_plain_averages_are_known():
    average = np.tril(np.ones((1, 20, 20))) / np.arange(1, 21)[:, None]
    found = norms.shared_sources([average, average], first=4)
    t = np.arange(4, 20)
    np.testing.assert_allclose(found, np.mean(t / (t + 1)))
    np.testing.assert_allclose(norms.shared_sources([np.eye(9)[None]], first=3), 0)
    with pytest.raises(ValueError, match="first: expected at least 1 and less"):
        norms.shared_sources([average], first=20)


def test_mean_by_position_is_the_mean_of_logs_of_those_who_get_there():
    tokens = pd.DataFrame({"text": [0] * 4 + [1] * 3, "position": [0, 1, 2, 3, 0, 1, 2]})
    tokens["special"] = tokens["position"] == 0
    values = np.exp(np.arange(14.0).reshape(2, 7))
    np.testing.assert_allclose(measure.mean_by_position(values, tokens, least=2), [[3, 4], [10, 11]])
    np.testing.assert_allclose(measure.mean_by_position(values, tokens, least=1), [[3, 4, 3], [10, 11, 10]])
    with pytest.raises(ValueError, match="least: expected 1 to 2, the texts, got 3"):
        measure.mean_by_position(values, tokens, least=3)


def test_slopes_know_where_the_first_column_stands():
    position = np.tile(np.arange(30), 25)
    tokens = pd.DataFrame({"position": position, "special": (position == 0).astype(int)})
    means = measure.mean_by_position(((1.0 + position) ** -0.5)[None], tokens)
    assert means.shape == (1, 29)
    np.testing.assert_allclose(measure.position_slopes(means, first=1), -0.5, atol=1e-9)
