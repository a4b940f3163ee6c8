"""An architecture added from outside the package: a small LLaMA, with RMSNorm, a gated feed-forward layer and rotary positions."""

import copy
import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from analysis_lib import activations, models, weights
from analysis_lib.activations.interventions import edited, frozen_patterns, zero
from analysis_lib.activations.sites import Sites, into, out_of
from analysis_lib.circuits import ablation_effects
from analysis_lib.models.architectures import ARCHITECTURES, Architecture
from analysis_lib.norms.measure import norm_based_attention
from analysis_lib.projections.factors import feed_forward_keys_values, vo_factors
from analysis_lib.weights import LayerNorm, LayerNorms, TransformerWeights
from tests.support import tiny, tiny_circuits

IDS = torch.randint(0, 40, (3, 9), generator=torch.Generator().manual_seed(0))


def llama_sites(model) -> Sites:
    blocks, n_heads = model.base_model.layers, model.config.num_attention_heads
    attention = [block.self_attn for block in blocks]
    return Sites(
        states=[into(blocks[0]), *(out_of(block) for block in blocks), out_of(model.base_model.norm)],
        read=[into(module) for module in attention],
        queries=[out_of(module.q_proj, n_heads=n_heads) for module in attention],  # before they are turned
        keys=[out_of(module.k_proj, n_heads=n_heads) for module in attention],
        values=[out_of(module.v_proj, n_heads=n_heads) for module in attention],
        patterns=[out_of(module, item=1) for module in attention],
        heads=[into(module.o_proj, n_heads) for module in attention],
        attention=[out_of(module) for module in attention],
        middle=[into(block.post_attention_layernorm) for block in blocks],
        mlp_pre=[out_of(block.mlp.gate_proj) for block in blocks],
        mlp_hidden=[into(block.mlp.down_proj) for block in blocks],
        mlp=[out_of(block.mlp) for block in blocks],
        final_norm=True,
    )


def llama_weights(model) -> TransformerWeights:
    """Linear weights are [out, in]. Rotary positions are no weights: `positions` says that there are some."""
    body, n_heads = model.base_model, model.config.num_attention_heads
    blocks, scale = body.layers, model.config.hidden_size // n_heads

    def stack(read):
        return torch.stack([read(block).weight.detach().T for block in blocks])

    def norms(read):
        return LayerNorm(torch.stack([read(block).weight.detach() for block in blocks]), None, model.config.rms_norm_eps, rms=True)

    w_e = body.embed_tokens.weight.detach()
    w_q, w_k, w_v = (
        stack(lambda block, name=name: getattr(block.self_attn, name)).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    zeros = w_e.new_zeros(*w_q.shape[:2], w_q.shape[-1])
    return TransformerWeights(
        W_E=w_e,
        W_pos=None,
        W_U=model.lm_head.weight.detach().T,
        b_U=w_e.new_zeros(len(w_e)),
        W_Q=w_q,
        W_K=w_k,
        W_V=w_v,
        W_O=stack(lambda block: block.self_attn.o_proj).unflatten(1, (n_heads, -1)),
        b_Q=zeros,
        b_K=zeros,
        b_V=zeros,
        b_O=w_e.new_zeros(len(blocks), w_e.shape[1]),
        attention_scale=w_e.new_full((len(blocks),), scale**-0.5),
        W_in=stack(lambda block: block.mlp.up_proj),
        W_gate=stack(lambda block: block.mlp.gate_proj),
        W_out=stack(lambda block: block.mlp.down_proj),
        layer_norms=LayerNorms(
            norms(lambda block: block.input_layernorm),
            norms(lambda block: block.post_attention_layernorm),
            final=LayerNorm(body.norm.weight.detach(), None, model.config.rms_norm_eps, rms=True),
        ),
        activation=model.config.hidden_act,
        positions="rotary",
    )


@pytest.fixture
def registered():
    models.register("llama", Architecture(LlamaForCausalLM, llama_sites, llama_weights, norm="pre", causal=True, tokenized=False))
    yield
    del ARCHITECTURES["llama"]


@pytest.fixture(scope="module")
def llama():
    config = LlamaConfig(
        vocab_size=40, hidden_size=24, intermediate_size=50, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=32,
        attn_implementation="eager",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
        for name, parameter in model.named_parameters():
            parameter.data = torch.exp(0.5 * torch.randn_like(parameter)) if "norm" in name else 10 * parameter.data
    return model


def logits_of(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.usefixtures("registered")
def test_head_outputs_rebuilt_from_weights_sum_to_the_models_attention(llama):
    errors = weights.attention_errors_on_ids(llama, IDS)
    assert (errors.output < 1e-5 * np.maximum(1, errors.output_scale)).all()
    assert errors.output_scale.min() > 0.1
    assert np.isnan(errors.pattern).all()  # patterns are the model's own: nothing was rebuilt
    wrong = weights.split_outputs_wrongly(weights.weights_of(llama))
    assert (weights.attention_errors_on_ids(llama, IDS, weights=wrong).output > 0.1 * errors.output_scale).all()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("folded", [False, True])
def test_the_models_logits_come_out_of_its_weights_and_its_patterns(llama, folded):
    found = weights.weights_of(llama, fold_layer_norm=folded)
    assert (found.architecture, found.norm, found.causal, found.folded) == ("llama", "pre", True, folded)
    with activations.recording(llama, ["patterns", "attention", "mlp", "mlp_hidden"]) as record:
        expected = logits_of(llama)
    states = found.W_E[IDS]
    for layer in range(3):
        rebuilt = weights.rebuild_attention(found, layer, found.read(layer, states), patterns=record["patterns", layer])
        close(rebuilt.head_outputs.sum(dim=1), record["attention", layer])
        states = states + rebuilt.output
        read = found.layer_norms.mlp[layer](states)
        neurons = torch.nn.functional.silu(read @ found.W_gate[layer]) * (read @ found.W_in[layer])
        close(neurons, record["mlp_hidden", layer])
        states = states + neurons @ found.W_out[layer]
    close(found.final(states) @ found.W_U + found.b_U, expected)


@pytest.mark.usefixtures("registered")
def test_what_of_the_notation_does_not_apply_is_said(llama):
    found = weights.weights_of(llama)
    with pytest.raises(ValueError, match="rotary positions turn queries and keys"):
        weights.rebuild_attention(found, 0, torch.zeros(1, 3, 24))
    with pytest.raises(ValueError, match="a gated one, whose neurons multiply two readings: no column is a key"):
        feed_forward_keys_values(found, 0)
    with pytest.raises(ValueError, match="expected raw weights of a pre-norm model"):
        weights.fold(weights.weights_of(llama, fold_layer_norm=True))


@pytest.mark.usefixtures("registered")
def test_qk_is_the_score_of_a_token_with_itself_and_of_no_other_pair(llama):
    found = weights.weights_of(llama)
    with activations.recording(llama, ["read", "queries", "keys"]) as record:
        logits_of(llama)
    read = record["read", 1]
    cos, sin = llama.base_model.rotary_emb(read, torch.arange(read.shape[1])[None])
    queries, keys = apply_rotary_pos_emb(record["queries", 1].transpose(1, 2), record["keys", 1].transpose(1, 2), cos, sin)
    scores = queries[:, 2] @ keys[:, 2].mT
    plain = read @ found.head(1, 2).qk.dense() @ read.mT
    close(scores.diagonal(dim1=1, dim2=2), plain.diagonal(dim1=1, dim2=2))
    assert (scores - plain).abs().max() > 0.1


@pytest.mark.usefixtures("registered")
def test_recording_interventions_and_studies_work_as_for_any_model(llama):
    loaded = models.LoadedModel(llama, None, "toy", "memory", "toy", "0")
    ran = activations.run_ids(loaded, IDS.numpy(), outputs=["patterns", "attention", "mlp"])
    assert ran.layers == ["embed", "1", "2", "3", "3+ln_f"]
    close(torch.tensor(ran.states[:3] + ran.attention + ran.mlp), torch.tensor(ran.states[1:4]))
    names = activations.named(llama, input_ids=IDS)
    close(names["blocks.2.hook_resid_mid"] + names["blocks.2.hook_mlp_out"], names["blocks.2.hook_resid_post"])
    without = copy.deepcopy(llama)
    without.model.layers[1].self_attn.o_proj.weight.data[:, 6:12] = 0
    with edited(llama, {("heads", 1): zero([1])}):
        close(logits_of(llama), logits_of(without))
    patterns = [torch.tensor(np.stack([pattern[layer] for pattern in ran.patterns])) for layer in range(3)]
    whole = logits_of(llama)
    with frozen_patterns(llama, patterns):
        close(logits_of(llama), whole)
    assert np.abs(ablation_effects(tiny_circuits.loaded(llama), IDS.numpy())).mean(axis=(2, 3)).min() > 1e-4
    assert len(norm_based_attention(loaded, IDS.tolist())) == 3
    left, right = vo_factors(weights.weights_of(llama), 0, 1, embedding="layer_norm")
    assert left.shape == right.shape == (40, 6)


@pytest.mark.usefixtures("registered")
def test_a_checkpoint_of_it_is_loaded(llama, tmp_path):
    llama.save_pretrained(tmp_path)
    loaded = models.load(tmp_path)
    assert isinstance(loaded.model, LlamaForCausalLM)
    assert torch.equal(loaded.model.lm_head.weight, llama.lm_head.weight)


@pytest.mark.usefixtures("registered")
def test_layers_that_its_configuration_does_not_have_are_refused(llama, tmp_path):
    """Its blocks are `layers`, a GPT-2's `h` and a BERT's `layer`."""
    llama.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 2}))
    with pytest.raises(models.CheckpointError, match=r"holds layers that config.json does not have \(model.layers.2.[\w.]+\): expected 2"):
        models.load(tmp_path)


def test_it_is_unknown_before_it_is_registered(llama):
    expected = r"unknown architecture 'llama' \(LlamaForCausalLM\); expected one of bert, gpt2, minigpt, regressor, or one added"
    for ask in (weights.weights_of, activations.sites_of, models.is_causal):
        with pytest.raises(ValueError, match=expected):
            ask(llama)


def test_a_bert_is_causal_where_it_decodes():
    sizes = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    with torch.random.fork_rng():
        decoder = BertLMHeadModel(BertConfig(**sizes, max_position_embeddings=32, is_decoder=True))
    assert models.is_causal(decoder)
    assert not models.is_causal(tiny.bert())
    assert models.is_causal(tiny.gpt2())


@pytest.mark.usefixtures("registered")
def test_an_entry_is_replaced_only_where_that_is_meant():
    entry = ARCHITECTURES["llama"]
    with pytest.raises(ValueError, match="model_type: 'llama' is registered already"):
        models.register("llama", entry)
    models.register("llama", entry, exist_ok=True)
    with pytest.raises(ValueError, match="norm: expected 'pre', 'post' or None, found 'rms'"):
        Architecture(LlamaForCausalLM, llama_sites, llama_weights, norm="rms", causal=True)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_entry_of_the_table_names_what_exists(name):
    entry = ARCHITECTURES[name]
    assert entry.resolve("model_class").config_class.model_type == name
    assert callable(entry.resolve("sites"))
    assert callable(entry.resolve("extract"))
