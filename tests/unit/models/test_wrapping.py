import copy

import numpy as np
import pytest
import torch
from transformers import BertForTokenClassification, OPTConfig, OPTForCausalLM

from analysis_lib import activations, models
from analysis_lib.models import cards
from tests.support import tiny

TEXT = ["Nie wiem, czy jeśli żeby."]


@pytest.mark.parametrize(("build", "tokenizer"), [(tiny.gpt2, tiny.byte_level_tokenizer), (tiny.bert, tiny.herbert_tokenizer)])
def test_a_wrapped_model_gives_what_the_same_model_from_a_folder_gives(build, tokenizer, tmp_path):
    model, tokenizer = build().half().float(), tokenizer()  # files hold float16
    tiny.save(tmp_path / "folder", model, tokenizer)
    wrapped, loaded = models.wrap(model, tokenizer), models.load(tmp_path / "folder")
    found, expected = (activations.run(one, TEXT, outputs=["patterns"]) for one in (wrapped, loaded))
    np.testing.assert_array_equal(found.states, expected.states)
    np.testing.assert_array_equal(found.patterns[0], expected.patterns[0])
    assert wrapped.vocabulary.text.tolist() == loaded.vocabulary.text.tolist()
    assert wrapped.vocabulary is wrapped.vocabulary
    assert len(wrapped.vocabulary) == model.config.vocab_size


def test_the_model_itself_is_left_alone_and_no_weight_is_copied():
    model = tiny.gpt2()
    model.set_attn_implementation("sdpa")
    model.train()
    before = copy.deepcopy(model.state_dict())
    wrapped = models.wrap(model, tiny.byte_level_tokenizer())
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert not wrapped.model.training
    assert activations.run(wrapped, TEXT, outputs=["patterns"]).patterns[0].sum() > 0
    for name, value in wrapped.model.state_dict().items():
        assert value.data_ptr() == model.state_dict()[name].data_ptr()
        assert torch.equal(value, before[name])
    assert wrapped.model.lm_head.weight is wrapped.model.transformer.wte.weight  # still tied


def test_feed_forward_layers_that_take_tokens_in_chunks_are_read_whole(tmp_path):
    tokenizer, size = tiny.herbert_tokenizer(), "chunk_size_feed_forward"
    plain, chunked = (tiny.bert(vocab=len(tokenizer), **{size: chunk}) for chunk in (0, 1))
    tiny.save(tmp_path / "chunked", chunked, tokenizer)
    expected, found = (activations.run(models.wrap(model, tokenizer), TEXT, outputs=["mlp", "mlp_hidden"]) for model in (plain, chunked))
    np.testing.assert_array_equal(found.mlp, expected.mlp)
    np.testing.assert_array_equal(found.mlp_hidden, expected.mlp_hidden)
    assert getattr(chunked.config, size) == chunked.bert.encoder.layer[0].chunk_size_feed_forward == 1  # the model itself is left alone
    loaded = activations.run(models.load(tmp_path / "chunked"), TEXT, outputs=["mlp"])
    assert loaded.mlp.shape == expected.mlp.shape


def test_half_precision_is_copied_to_float32():
    model = tiny.gpt2().half()
    wrapped = models.wrap(model)
    assert {value.dtype for value in wrapped.model.parameters()} == {torch.float32}
    assert {value.dtype for value in model.parameters()} == {torch.float16}


def test_the_revision_is_that_of_the_weights():
    model = tiny.gpt2()
    first = models.wrap(model)
    assert first.revision == models.wrap(tiny.gpt2()).revision
    assert first.revision != models.wrap(tiny.gpt2(seed=1)).revision
    assert (first.source, first.name) == ("memory", "GPT2LMHeadModel")
    assert models.wrap(model, name="mine").label.startswith("mine (memory mine, revision ")
    fresh = models.untrained_like(first, seed=0)
    assert fresh.source == "untrained"
    with pytest.raises(ValueError, match="expected a model with a tokenizer"):
        first.vocabulary  # noqa: B018


def test_what_cannot_be_wrapped_is_named():
    with pytest.raises(TypeError, match="model: expected a transformers model .* found str"):
        models.wrap("gpt2")
    with pytest.raises(TypeError, match="found LoadedModel"):
        models.wrap(models.wrap(tiny.gpt2()))
    small = OPTConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, ffn_dim=8, num_attention_heads=1, word_embed_proj_dim=8)
    with pytest.raises(ValueError, match="model: unknown architecture 'opt'"):
        models.wrap(OPTForCausalLM(small))
    with pytest.raises(ValueError, match="tokenizer: the tokenizer does not fit the embedding: expected ids below 100"):
        models.wrap(tiny.gpt2(vocab=100), tiny.byte_level_tokenizer())
    broken = tiny.gpt2()
    broken.transformer.wte.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite weights, found NaN or infinity in transformer.wte.weight"):
        models.wrap(broken)


@pytest.mark.parametrize(
    ("model", "predicts"),
    [
        (tiny.gpt2(), True),
        (tiny.bert(), True),
        (tiny.pretraining(tiny.bert()), True),
        (tiny.gpt2().transformer, False),
        (tiny.bert().bert, False),
        (BertForTokenClassification(tiny.bert().config), False),
        (tiny.regressor(), True),
    ],
)
def test_only_models_with_a_head_for_tokens_or_numbers_predict(model, predicts):
    wrapped = models.wrap(model)
    assert wrapped.predicts == predicts
    assert ("bare encoder" in wrapped.label) == (not predicts)


def test_a_model_without_its_head_has_the_same_layers():
    model = tiny.gpt2()
    sizes = [cards.sizes(own) for own in (model, model.transformer)]
    assert sizes[0]["feed-forward"] == sizes[1]["feed-forward"] > 0
