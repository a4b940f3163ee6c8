"""Copying on text: planted heads that copy or suppress, written out by hand, and what must be zero."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from analysis_lib import activations, models, weights
from analysis_lib.activations.interventions import head_means
from analysis_lib.circuits import copying
from tests.support import tiny, tiny_circuits
from tests.support.tiny_minigpt import build

IDS = np.random.default_rng(0).integers(1, 40, size=(6, 14))


@pytest.fixture(params=["gpt2", "minigpt"])
def loaded(request):
    made = {"gpt2": lambda: tiny.gpt2(vocab=40, layers=2, heads=2, width=40), "minigpt": lambda: build(layers=2)}[request.param]()
    return tiny_circuits.loaded(made)


def planted(sign):
    """A GPT-2 whose last layer's first head writes the embedding of what it attends to, or its opposite."""
    model = tiny.gpt2(vocab=40, layers=2, heads=2, width=40)
    attention = model.transformer.h[1].attn
    with torch.no_grad():
        model.transformer.wte.weight[:, 20:] = 0
        model.transformer.wte.weight[:, :20] *= 20
        model.transformer.wpe.weight[:, :20] = 0
        attention.c_attn.weight[:, :80] *= 20
        attention.c_attn.weight[:, 80:100] = torch.eye(40)[:, :20]  # values of the first head: the token's slots
        attention.c_proj.weight[:20] = sign * 5 * torch.eye(40)[:20]
        attention.c_proj.weight[20:] = 0
    return tiny_circuits.loaded(model)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_head_has_its_sign_and_the_erased_one_nothing(sign):
    for kind, found in copying.copying_on_text(planted(sign), IDS).items():
        assert (sign * found[:, 1, 0] > 0).all(), kind
        np.testing.assert_allclose(found[:, 1, 1], 0, atol=1e-5)


def test_in_the_last_layer_without_feed_forward_part_both_effects_agree():
    loaded = tiny_circuits.loaded(build(layers=2))
    found = copying.copying_on_text(loaded, IDS)
    np.testing.assert_allclose(found["direct"][:, -1], found["ablation"][:, -1], atol=1e-5)
    assert np.abs(found["direct"][:, 0] - found["ablation"][:, 0]).max() > 1e-4


def test_one_head_written_out(loaded):
    extracted = weights.weights_of(loaded.model)

    ids = torch.as_tensor(IDS)
    with activations.recording(loaded.model, ["patterns", "heads"]) as record, torch.no_grad():
        loaded.model.base_model(input_ids=ids)
    head = (record["heads", 1][:, :, 1] - head_means(loaded.model, [ids])[1, 1]) @ extracted.W_O[1, 1]
    last = record["states", 2]
    sums = []
    for t in range(2, IDS.shape[1]):
        weights_of = record["patterns", 1][2, 1, t, 1 : t + 1]
        effect = [
            float((extracted.final(last[2, t]) - extracted.final(last[2, t] - head[2, t])) @ extracted.W_U[:, x]) for x in IDS[2, 1 : t + 1]
        ]
        sums.append(float((weights_of / weights_of.sum()) @ torch.tensor(effect)) - np.mean(effect))
    assert copying.copying_on_text(loaded, IDS)["direct"][2, 1, 1] == pytest.approx(np.mean(sums), abs=1e-5)


def test_some_heads_are_as_among_all(loaded):
    whole, some = copying.copying_on_text(loaded, IDS), copying.copying_on_text(loaded, IDS, heads=[(1, 0)])
    for kind, found in some.items():
        np.testing.assert_array_equal(found[:, 1, 0], whole[kind][:, 1, 0])
        assert np.isnan(found).sum() == found.size - len(IDS)


def test_even_attention_and_constant_effects_count_for_nothing():
    even = torch.ones(2, 6, 6).tril()
    effects = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(copying.likeness(even / even.sum(-1, keepdim=True), effects), 0, atol=1e-7)
    sharp = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(1)).tril()
    np.testing.assert_allclose(copying.likeness(sharp, torch.full((2, 6, 6), 3.0)), 0, atol=1e-7)


def test_bad_input_is_named(loaded):
    with pytest.raises(ValueError, match="four tokens or more, found 3"):
        copying.copying_on_text(loaded, IDS[:, :3])
    with pytest.raises(ValueError, match="loaded: expected a causal language model, found BertForMaskedLM"):
        copying.copying_on_text(tiny_circuits.loaded(tiny.bert()), IDS)


def test_the_head_of_a_decoding_bert_is_part_of_its_logits():
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                        max_position_embeddings=32, is_decoder=True, attn_implementation="eager")  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loaded = models.wrap(BertLMHeadModel(config).eval())
    extracted = weights.extract(loaded)
    ids = torch.arange(12).view(2, 6)
    with torch.no_grad():
        states = loaded.model(ids, output_hidden_states=True)
        torch.testing.assert_close(extracted.unembedded(states.hidden_states[-1]) @ extracted.W_U + extracted.b_U, states.logits)


def test_a_head_that_is_not_there_is_refused_before_any_pass():
    loaded, passes = models.wrap(tiny.gpt2()), []
    loaded.model.base_model.register_forward_hook(lambda *_: passes.append(1))
    with pytest.raises(ValueError, match="layer: expected a whole number from 0 to 1, found 9"):
        copying.copying_on_text(loaded, torch.zeros(2, 8, dtype=torch.long), heads=[(9, 0)])
    assert not passes


def test_a_model_in_memory_is_asked_again_after_a_weight_has_changed(monkeypatch, tmp_path):
    monkeypatch.setenv("ANALYSIS_SWEEPS", str(tmp_path))
    model = tiny.gpt2(vocab=40, layers=2, heads=2, width=40)
    loaded = models.wrap(model)
    before = copying.copying_on_text(loaded, IDS)["direct"]
    with torch.no_grad():
        model.transformer.h[1].attn.c_proj.weight.zero_()
    after = copying.copying_on_text(loaded, IDS)["direct"]
    assert not np.allclose(before[:, 1], 0, atol=1e-5)
    np.testing.assert_allclose(after[:, 1], 0, atol=1e-5)
    assert not list(tmp_path.iterdir())
