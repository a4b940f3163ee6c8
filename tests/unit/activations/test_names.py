"""TransformerLens's names for a backbone's activations: they rebuild each other, no hook stays."""

import pytest
import torch

from analysis_lib import activations, incontext, weights
from analysis_lib.models.regressor import Regressor, RegressorConfig
from tests.support import tiny


@pytest.fixture(scope="module")
def model():
    return tiny.regressor()


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(4, 5, 2, seed=0)


@pytest.fixture(scope="module")
def flat(model, drawn):
    return activations.named(model, xs=drawn.xs, ys=drawn.ys)


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def assert_close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_each_block_adds_attention_and_feed_forward_to_the_stream(flat):
    for layer in range(2):
        at = f"blocks.{layer}"
        assert_close(flat[f"{at}.hook_resid_pre"] + flat[f"{at}.hook_attn_out"], flat[f"{at}.hook_resid_mid"])
        assert_close(flat[f"{at}.hook_resid_mid"] + flat[f"{at}.hook_mlp_out"], flat[f"{at}.hook_resid_post"])
    assert_close(flat["blocks.0.hook_resid_post"], flat["blocks.1.hook_resid_pre"])


def test_patterns_times_values_are_z_and_z_through_w_o_is_the_attention_output(model, flat):
    held = weights.weights_of(model)
    for layer in range(2):
        at = f"blocks.{layer}.attn"
        assert_close(torch.einsum("bhqk,bkhe->bqhe", flat[f"{at}.hook_pattern"], flat[f"{at}.hook_v"]), flat[f"{at}.hook_z"])
        out = torch.einsum("bqhe,hed->bqd", flat[f"{at}.hook_z"], held.W_O[layer]) + held.b_O[layer]
        assert_close(out, flat[f"blocks.{layer}.hook_attn_out"])
        scores = torch.einsum("bqhe,bkhe->bhqk", flat[f"{at}.hook_q"], flat[f"{at}.hook_k"]) * held.attention_scale[layer]
        hidden = torch.ones(scores.shape[-2:]).triu(1).bool()
        assert_close(scores.masked_fill(hidden, -torch.inf).softmax(dim=-1), flat[f"{at}.hook_pattern"])


def test_the_last_name_read_out_is_the_prediction(model, drawn, flat):
    predictions = model.read_out(flat["ln_final.hook_normalized"][:, ::2])[..., 0]
    assert_close(predictions, model(xs=drawn.xs, ys=drawn.ys).predictions)


def test_the_language_model_has_the_same_names():
    model = tiny.gpt2(layers=2).eval()
    found = activations.named(model, input_ids=torch.arange(6)[None])
    assert found["blocks.1.attn.hook_z"].shape == (1, 6, 2, 8)
    assert found["blocks.1.mlp.hook_post"].shape == (1, 6, 64)
    assert not any(value.requires_grad for value in found.values())


def test_no_hook_stays_whether_the_pass_went_well_or_not(model, drawn):
    activations.named(model, xs=drawn.xs, ys=drawn.ys)
    with pytest.raises(ValueError, match="ys: expected"):
        activations.named(model, xs=drawn.xs, ys=drawn.ys[:, :3])
    assert hooks_on(model) == 0


def test_what_cannot_be_read_is_refused(drawn):
    with pytest.raises(ValueError, match="model: expected layer norms before attention, or none, found BertForMaskedLM"):
        activations.named(tiny.bert(), input_ids=torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="model: expected evaluation mode"):
        activations.named(tiny.gpt2().train(), input_ids=torch.zeros(1, 3, dtype=torch.long))
    config = RegressorConfig(n_dims=2, n_points=5, n_embd=12, n_layer=1, n_head=3)
    config._attn_implementation = "sdpa"
    with pytest.raises(ValueError, match="eager"):
        activations.named(Regressor(config).eval(), xs=drawn.xs, ys=drawn.ys)
