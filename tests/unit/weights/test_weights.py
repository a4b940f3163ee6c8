import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import layer_norm
from transformers import BertModel, GPT2Model, OPTConfig, OPTForCausalLM
from transformers.activations import ACT2FN

from analysis_lib import weights
from analysis_lib.models import LoadedModel
from tests.support import tiny
from tests.support.examples import examples

SHAPES = [(1, 24), (2, 16), (3, 33), (4, 24), (5, 35), (8, 56), (16, 80)]
TOLERANCE = 1e-5


def ids_and_mask(batch=3, length=11, vocab=250):
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[1, length // 2 :] = 0
    return torch.randint(5, vocab, (batch, length), generator=generator), mask


def build(architecture, **options):
    return {"gpt2": tiny.gpt2, "bert": tiny.bert}[architecture](**options)


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
@pytest.mark.parametrize(("heads", "width"), SHAPES)
def test_rebuilt_attention_is_the_models_own(architecture, heads, width):
    model = build(architecture, heads=heads, width=width, layers=3)
    errors = weights.attention_errors_on_ids(model, *ids_and_mask())
    assert errors.pattern.shape == (3, heads)
    assert errors.pattern.max() < TOLERANCE
    assert errors.output.max() < TOLERANCE
    assert errors.output_scale.min() > 0.1
    assert errors.n_tokens == 2 * 11 + 5


@examples(15)
@given(
    architecture=st.sampled_from(["gpt2", "bert"]),
    heads=st.integers(1, 16),
    d_head=st.integers(1, 9),
    layers=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_rebuilt_attention_is_the_models_own_for_any_shape(architecture, heads, d_head, layers, seed):
    model = build(architecture, heads=heads, width=heads * d_head, layers=layers, seed=seed)
    errors = weights.attention_errors_on_ids(model, *ids_and_mask())
    assert errors.pattern.max() < TOLERANCE
    assert errors.output.max() < TOLERANCE * max(1, errors.output_scale.max())


@pytest.mark.parametrize("options", [{"scale_attn_by_inverse_layer_idx": True}, {"scale_attn_weights": False}])
def test_other_attention_scales_of_gpt2(options):
    errors = weights.attention_errors_on_ids(tiny.gpt2(layers=3, **options), *ids_and_mask())
    assert max(errors.pattern.max(), errors.output.max()) < TOLERANCE


@pytest.mark.parametrize(("heads", "width"), [(2, 16), (4, 24), (16, 80)])
def test_the_original_notebooks_split_of_herberts_output_matrix_fails(heads, width):
    """Notebook 000 stacks output.dense.weight.T and splits its *output* axis into heads."""
    model = tiny.bert(heads=heads, width=width, layers=3)
    right = weights.weights_of(model)
    stacked = torch.cat([layer.attention.output.dense.weight.T.detach() for layer in model.bert.encoder.layer])
    wrong = stacked.reshape(3, width, heads, width // heads).permute(0, 2, 1, 3)  # used as .T per head
    wrong = wrong.transpose(-1, -2)
    assert wrong.shape == right.W_O.shape
    changed = weights.split_outputs_wrongly(right)
    assert torch.equal(changed.W_O, wrong)
    errors = weights.attention_errors_on_ids(model, *ids_and_mask(), weights=changed)
    assert errors.pattern.max() < TOLERANCE
    assert (errors.output > 0.1 * errors.output_scale).all()
    cosine = torch.cosine_similarity((right.W_V @ right.W_O).flatten(2), (right.W_V @ wrong).flatten(2), dim=-1)
    assert cosine.abs().max() < 0.5


def test_one_head_split_on_the_wrong_axis_is_transposed():
    model = tiny.bert(heads=1, width=24, layers=1)
    right = weights.weights_of(model)
    wrong = model.bert.encoder.layer[0].attention.output.dense.weight.T.reshape(1, 24, 1, 24).permute(0, 2, 1, 3)
    assert torch.equal(wrong.transpose(-1, -2)[0, 0], right.W_O[0, 0].T)


def test_shapes_and_sizes_gpt2():
    model = tiny.gpt2(vocab=400, layers=3, heads=4, width=24, n_inner=40)
    found = weights.weights_of(model)
    sizes = (found.n_layers, found.n_heads, found.d_model, found.d_head, found.d_mlp, found.d_vocab)
    assert sizes == (3, 4, 24, 6, 40, 400)
    assert found.architecture == "gpt2"
    assert found.causal
    assert found.norm == "pre"
    assert found.W_Q.shape == found.W_K.shape == found.W_V.shape == (3, 4, 24, 6)
    assert found.W_O.shape == (3, 4, 6, 24)
    assert found.b_Q.shape == (3, 4, 6)
    assert found.b_O.shape == found.b_out.shape == found.layer_norms.attention.gain.shape == (3, 24)
    assert found.W_in.shape == (3, 24, 40)
    assert found.W_out.shape == (3, 40, 24)
    assert found.b_in.shape == (3, 40)
    assert found.W_U.shape == (24, 400)
    assert found.W_pos.shape == (64, 24)
    assert weights.weights_of(tiny.gpt2(width=16)).d_mlp == 64


def test_shapes_and_sizes_bert():
    found = weights.weights_of(tiny.bert(vocab=250, layers=3, heads=4, width=24))
    assert (found.n_layers, found.n_heads, found.d_model, found.d_head, found.d_mlp, found.d_vocab) == (3, 4, 24, 6, 72, 250)
    assert found.architecture == "bert"
    assert not found.causal
    assert found.W_O.shape == (3, 4, 6, 24)
    assert found.W_in.shape == (3, 24, 72)
    assert found.W_type.shape == (2, 24)
    assert found.layer_norms.embedding.gain.shape == found.mlm_head.norm.bias.shape == (24,)
    assert found.layer_norms.final is None
    assert found.norm == "post"


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_extraction_leaves_the_model_alone(architecture):
    model = build(architecture)
    before = copy.deepcopy(model.state_dict())
    found = weights.weights_of(model)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    tensors = [value for value in vars(found).values() if isinstance(value, torch.Tensor)]
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in tensors)
    assert found.W_E.data_ptr() == found.W_U.data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_half_precision_models_are_read_in_float32():
    found = weights.weights_of(tiny.gpt2().half())
    assert found.W_E.dtype == found.W_O.dtype == found.W_U.dtype == torch.float32


def test_untied_unembedding_is_the_heads_own():
    model = tiny.gpt2(tie_word_embeddings=False)
    assert torch.equal(weights.weights_of(model).W_U, model.lm_head.weight.T)
    assert not torch.equal(weights.weights_of(model).W_U, model.transformer.wte.weight.T)


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_a_loaded_model_and_a_model_without_head_are_read_too(architecture):
    model = build(architecture)
    found = weights.weights_of(model)
    loaded = LoadedModel(model, None, "tiny", "folder", "tiny", "0")
    assert torch.equal(weights.extract(loaded).W_O, found.W_O)
    body = weights.weights_of(model.base_model)
    assert isinstance(model.base_model, GPT2Model | BertModel)
    assert torch.equal(body.W_Q, found.W_Q)
    assert torch.equal(body.W_U, found.W_E.T)


def test_named_gives_transformer_lens_keys():
    found = weights.weights_of(tiny.gpt2(layers=2)).named()
    expected = {f"blocks.1.attn.{name}" for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
    expected |= {f"blocks.0.mlp.{name}" for name in ("W_in", "b_in", "W_out", "b_out")}
    expected |= {"blocks.0.ln1.w", "blocks.1.ln2.b", "embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U"}
    expected |= {"ln_final.w", "ln_final.b"}
    assert expected <= set(found)
    assert len(found) == 6 + 2 * 16
    assert found["blocks.1.attn.W_O"].shape == (2, 8, 16)
    bert = weights.weights_of(tiny.bert(layers=2)).named()
    assert {"embed.embed.W_E", "embed.ln.w", "mlm_head.W", "embed.token_type_embed.W_token_type"} <= set(bert)
    assert not [key for key, value in (found | bert).items() if value is None]


def gpt2_logits(found, ids):
    """GPT-2 from its extracted weights alone, with the layer norms that the weights say are left."""

    norms = found.layer_norms
    states = found.W_E[ids] + found.W_pos[: ids.shape[1]]
    for layer in range(found.n_layers):
        read = layer_norm(states, (found.d_model,), norms.attention.gain[layer], norms.attention.bias[layer], norms.attention.epsilon)
        torch.testing.assert_close(found.read(layer, states), read, rtol=0, atol=0)
        states = states + weights.rebuild_attention(found, layer, read).output
        read = norms.mlp[layer](states)
        inner = ACT2FN[found.activation](read @ found.W_in[layer] + found.b_in[layer])
        states = states + inner @ found.W_out[layer] + found.b_out[layer]
    return found.final(states) @ found.W_U + found.b_U


def bert_logits(found, ids):
    """BERT from its extracted weights alone."""

    norms = found.layer_norms
    states = found.W_E[ids] + found.W_pos[: ids.shape[1]] + found.W_type[0]
    states = norms.embedding(states)
    for layer in range(found.n_layers):
        attended = weights.rebuild_attention(found, layer, states).output
        assert found.read(layer, states) is states
        states = norms.attention[layer](states + attended)
        inner = ACT2FN[found.activation](states @ found.W_in[layer] + found.b_in[layer])
        states = norms.mlp[layer](states + inner @ found.W_out[layer] + found.b_out[layer])
    head = ACT2FN[found.activation](states @ found.mlm_head.W + found.mlm_head.b)
    return found.mlm_head.norm(head) @ found.W_U + found.b_U


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("heads", "width"), [(1, 24), (4, 24), (16, 80)])
def test_gpt2s_logits_come_out_of_raw_and_folded_weights(folded, heads, width):
    model = tiny.gpt2(heads=heads, width=width, layers=3)
    ids, _ = ids_and_mask()
    found = weights.weights_of(model, fold_layer_norm=folded)
    with torch.no_grad():
        expected = model(ids).logits
    torch.testing.assert_close(gpt2_logits(found, ids), expected, rtol=1e-4, atol=1e-4)


def test_berts_logits_come_out_of_its_weights():
    model = tiny.bert(heads=3, width=33, layers=3)
    ids, _ = ids_and_mask()
    with torch.no_grad():
        expected = model(ids).logits
    torch.testing.assert_close(bert_logits(weights.weights_of(model), ids), expected, rtol=1e-4, atol=1e-4)


def test_folding_leaves_gains_of_one_and_reading_weights_without_mean():
    found = weights.weights_of(tiny.gpt2(), fold_layer_norm=True)
    assert found.folded
    assert (found.layer_norms.attention.gain == 1).all()
    assert (found.layer_norms.final.bias == 0).all()
    for reading in (found.W_Q, found.W_K, found.W_V, found.W_in, found.W_U):
        assert reading.mean(dim=-2).abs().max() < 1e-6
    raw = weights.weights_of(tiny.gpt2())
    assert not raw.folded
    assert torch.equal(raw.W_O, found.W_O)
    assert torch.equal(raw.W_E, found.W_E)


def test_each_norms_bias_is_folded_by_itself():
    raw = weights.weights_of(tiny.gpt2())
    without = replace(raw.layer_norms, final=replace(raw.layer_norms.final, bias=None))
    whole, part = weights.fold(raw), weights.fold(replace(raw, layer_norms=without))
    assert torch.equal(part.b_in, whole.b_in)
    assert torch.equal(part.b_Q, whole.b_Q)
    assert torch.equal(part.b_U, raw.b_U)
    with pytest.raises(ValueError, match="no bias in the norm before a gated feed-forward layer"):
        weights.fold(replace(raw, W_gate=raw.W_in))


def test_folding_is_refused_for_bert_and_for_folded_weights():
    with pytest.raises(ValueError, match="BertForMaskedLM is a post-norm model"):
        weights.weights_of(tiny.bert(), fold_layer_norm=True)
    with pytest.raises(ValueError, match="raw weights"):
        weights.fold(weights.weights_of(tiny.gpt2(), fold_layer_norm=True))


def test_unknown_architectures_list_the_known():
    config = OPTConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16)
    config.word_embed_proj_dim = 16
    with pytest.raises(ValueError, match="unknown architecture 'opt' .OPTForCausalLM.; expected one of bert, gpt2, minigpt, regressor"):
        weights.weights_of(OPTForCausalLM(config))
    for read in (weights.extract, weights.weights_of):
        with pytest.raises(TypeError, match="found str"):
            read("gpt2")
    with pytest.raises(TypeError, match="loaded: expected a LoadedModel, .* found GPT2LMHeadModel; weights_of reads a bare model"):
        weights.extract(tiny.gpt2())


def test_cross_attention_is_refused():
    with pytest.raises(ValueError, match="add_cross_attention"):
        weights.weights_of(tiny.gpt2(add_cross_attention=True))


def test_hooks_are_removed_also_when_the_model_fails():
    model = tiny.gpt2()
    with pytest.raises(IndexError):
        weights.attention_errors_on_ids(model, torch.tensor([[1, 10_000]]))
    weights.attention_errors_on_ids(model, *ids_and_mask())
    assert not any(module._forward_hooks for module in model.modules())


def test_texts_go_through_the_tokenizer():
    loaded = LoadedModel(tiny.gpt2(), tiny.byte_level_tokenizer(), "tiny", "folder", "tiny", "0")
    errors = weights.attention_errors(loaded, ["Nie wiem.", "Zażółć gęślą jaźń"])
    assert errors.n_tokens == sum(len(loaded.tokenizer(text)["input_ids"]) for text in ("Nie wiem.", "Zażółć gęślą jaźń"))
    assert np.isfinite(errors.pattern).all()
    assert errors.output.max() < TOLERANCE


@pytest.mark.parametrize(("texts", "message"), [([], "sequence"), ("nie", "sequence"), (["nie", " "], r"texts\[1\]")])
def test_texts_that_cannot_be_compared(texts, message):
    loaded = LoadedModel(tiny.gpt2(), tiny.byte_level_tokenizer(), "tiny", "folder", "tiny", "0")
    with pytest.raises(ValueError, match=message):
        weights.attention_errors(loaded, texts)


def test_over_long_texts_are_named_and_strings_need_a_tokenizer():
    loaded = LoadedModel(tiny.gpt2(), tiny.byte_level_tokenizer(), "tiny", "folder", "tiny", "0")
    with pytest.raises(ValueError, match=r"texts\[1\]: expected 1 to 64 tokens"):
        weights.attention_errors(loaded, ["nie", "żółć " * 100])
    with pytest.raises(TypeError, match="tokenizer"):
        weights.attention_errors(loaded.model, ["nie"])


def test_attention_that_gives_no_patterns_is_refused():
    model = tiny.gpt2()
    model.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="eager"):
        weights.attention_errors_on_ids(model, *ids_and_mask())


@pytest.mark.parametrize(("layer", "shape"), [(2, (1, 3, 16)), (-1, (1, 3, 16)), (0, (3, 16)), (0, (1, 3, 15))])
def test_rebuild_attention_names_what_does_not_fit(layer, shape):
    with pytest.raises(ValueError, match="expected"):
        weights.rebuild_attention(weights.weights_of(tiny.gpt2()), layer, torch.zeros(shape))


def test_a_model_in_training_mode_is_refused():
    model = tiny.gpt2()
    model.train()
    with pytest.raises(ValueError, match="expected evaluation mode, found training mode"):
        weights.attention_errors_on_ids(model, torch.zeros(1, 4, dtype=torch.long))


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_a_model_in_half_precision_is_compared_in_single_precision(architecture):
    """What is left is the rounding of the model itself, a thousandth."""
    errors = weights.attention_errors_on_ids(build(architecture).half(), *ids_and_mask())
    assert errors.pattern.max() < 0.01
    assert errors.output.max() < 0.01 * errors.output_scale.max()


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_the_read_out_alone_makes_the_same_logits_and_holds_no_layers(architecture):
    whole = weights.weights_of(build(architecture, heads=4, width=24))
    alone, states = whole.without_layers(), torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(alone.logits(states), whole.logits(states))
    assert torch.equal(alone.embedded(), whole.embedded())
    assert (alone.n_layers, alone.d_model, alone.d_vocab) == (0, 24, whole.d_vocab)
    assert sum(alone.part(name).untyped_storage().nbytes() for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")) == 0
