import copy

import pytest
import torch

from analysis_lib import models, weights
from tests.support import tiny
from tests.support.tiny_minigpt import build, logits_by_paths


def some_ids(batch=3, length=11, vocab=40):
    return torch.randint(vocab, (batch, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("heads", "width"), [(1, 12), (4, 24), (8, 64)])
def test_logits_are_the_sum_over_paths(heads, width, tied):
    model = build(heads=heads, width=width, tie_word_embeddings=tied)
    ids = some_ids()
    paths = logits_by_paths(weights.weights_of(model), ids)
    with torch.no_grad():
        expected = model.double()(ids).logits
    total = sum(paths.values())
    assert (total - expected).abs().max() < 1e-5
    assert all(path.abs().max() > 0.1 for path in paths.values())
    assert min((total - path - expected).abs().max() for path in paths.values()) > 0.1  # none can be left out


@pytest.mark.parametrize(("heads", "width", "layers"), [(1, 12, 1), (4, 24, 2), (8, 64, 3)])
def test_rebuilt_attention_is_the_models_own(heads, width, layers):
    model = build(heads=heads, width=width, layers=layers)
    mask = torch.ones(3, 11, dtype=torch.long)
    mask[1, 5:] = 0
    errors = weights.attention_errors_on_ids(model, some_ids(), mask)
    assert errors.pattern.shape == (layers, heads)
    assert errors.pattern.max() < 1e-5
    assert errors.output.max() < 1e-5 * max(1, errors.output_scale.max())


def test_padding_on_the_right_changes_nothing():
    model, ids = build(), some_ids()
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    with torch.no_grad():
        padded = model(ids, attention_mask=mask, output_attentions=True)
        alone = model(ids[1:2, :5], output_attentions=True)
    torch.testing.assert_close(padded.logits[1:2, :5], alone.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(padded.attentions[1][1:2, :, :5, :5], alone.attentions[1], rtol=1e-5, atol=1e-6)
    assert torch.isfinite(padded.logits).all()


def test_a_token_sees_no_later_token():
    model, ids = build(), some_ids()
    changed = ids.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 40
    with torch.no_grad():
        before, after = model(ids).logits, model(changed).logits
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_positions_reach_patterns_and_never_values():
    """With queries of zero every pattern is uniform over the past, so positions can change nothing."""
    model, ids = build(), some_ids()
    moved = copy.deepcopy(model)
    with torch.no_grad():
        moved.positions.weight.normal_(generator=torch.Generator().manual_seed(5))
        assert not torch.allclose(model(ids).logits, moved(ids).logits)
        for each in (model, moved):
            for block in each.blocks:
                block.attn.query.weight.zero_()
        assert torch.equal(model(ids).logits, moved(ids).logits)


def test_patterns_states_and_loss_are_given_where_they_are_asked_for():
    model, ids = build(layers=3), some_ids()
    with torch.no_grad():
        plain, full = model(ids), model(ids, labels=ids, output_attentions=True, output_hidden_states=True)
    assert plain.loss is plain.attentions is plain.hidden_states is None
    assert [tuple(pattern.shape) for pattern in full.attentions] == [(3, 4, 11, 11)] * 3
    torch.testing.assert_close(full.attentions[2].sum(-1), torch.ones(3, 4, 11))
    assert [tuple(states.shape) for states in full.hidden_states] == [(3, 11, 24)] * 4
    log_p = full.logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    torch.testing.assert_close(full.loss, -log_p.mean())
    assert model.base_model is model
    config = model.config
    sizes = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.max_position_embeddings)
    assert sizes == (24, 3, 4, 24)


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_comes_back(tmp_path, tied):
    model = build(tie_word_embeddings=tied, layers=3).half()
    model.save_pretrained(tmp_path)
    loaded = models.load(tmp_path)
    assert loaded.tokenizer is None
    assert loaded.model.dtype == torch.float32
    state = loaded.model.state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in model.state_dict().items())
    assert (loaded.model.unembed.weight is loaded.model.embed.weight) == tied
    fresh = models.untrained_like(loaded, seed=3)
    again = models.untrained_like(loaded, seed=3)
    assert torch.equal(fresh.model.embed.weight, again.model.embed.weight)
    assert not torch.equal(fresh.model.blocks[1].attn.query.weight, loaded.model.blocks[1].attn.query.weight)


def test_a_tokenizer_in_the_folder_is_loaded(tmp_path):
    tokenizer = tiny.byte_level_tokenizer()
    tiny.save(tmp_path, build(vocab=len(tokenizer)), tokenizer)
    loaded = models.load(tmp_path)
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert weights.attention_errors(loaded, tiny.SENTENCES[:1]).pattern.max() < 1e-5


def test_fresh_weights_have_the_stated_spread():
    model = build(vocab=500, positions=300, width=64, embedding_std=0.25, position_std=0.5)
    spread = {name: float(weight.detach().std()) for name, weight in model.named_parameters()}
    # The standard error of a standard deviation of n normal draws is sd / sqrt(2 n): under 1 % here.
    assert spread.pop("embed.weight") == pytest.approx(0.25, rel=0.05)
    assert spread.pop("positions.weight") == pytest.approx(0.5, rel=0.05)
    assert all(value == pytest.approx(64**-0.5, rel=0.05) for value in spread.values())


def test_extracted_weights():
    model = build(layers=3)
    found = weights.weights_of(model)
    assert found.W_Q.shape == found.W_V.shape == (3, 4, 24, 6)
    assert found.W_O.shape == (3, 4, 6, 24)
    assert (found.architecture, found.positions, found.d_mlp, found.causal) == ("minigpt", "queries_keys", 0, True)
    assert torch.equal(found.W_K[2, 1], model.blocks[2].attn.key.weight[6:12].T)
    assert found.W_in is found.layer_norms is found.norm is None
    assert not any(bias.any() for bias in (found.b_Q, found.b_K, found.b_V, found.b_O, found.b_U))
    names = found.named()
    assert {"embed.W_E", "pos_embed.W_pos", "unembed.W_U", "blocks.2.attn.W_O"} <= set(names)
    assert not [name for name in names if ".mlp." in name or ".ln" in name]
    assert not [name for name, value in names.items() if value is None]


def test_there_is_no_layer_norm_to_fold():
    with pytest.raises(ValueError, match="layer norms to fold, found .*minigpt.*none"):
        weights.weights_of(build(), fold_layer_norm=True)


@pytest.mark.parametrize("shape", [(1, 25), (1, 0), (3,)])
def test_sequences_that_do_not_fit_raise(shape):
    with pytest.raises(ValueError, match=r"input_ids: expected \[batch, 1 to 24 tokens\]"):
        build()(torch.zeros(shape, dtype=torch.long))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="n_heads: expected a divisor of d_model 24, found 5"):
        build(heads=5)
